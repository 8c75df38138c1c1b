//! A device's flash ages: bits flip, words wear out. What can be read is kept, and nothing makes the device stop.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod mock_flash;

use embassy_futures::block_on;
use mock_flash::{MockFlash, Numbers};
use serde::{Deserialize, Serialize};
use smp_embassy::store::{FlashStore, Kind, NumberStore, Record};

const RECORDS: u8 = 12;
const RANGE: core::ops::Range<u32> = 0..3 * 4096;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note(u8, heapless::Vec<u8, 200>);

impl Record for Note {
    const KIND: Kind = Kind::application(0);
    const VERSION: u8 = 1;
}

fn note(index: u8, round: u8) -> Note {
    // A long run of ones looks like empty flash, if nothing is done about it.
    let content = if index.is_multiple_of(3) { vec![0xFF; 120] } else { vec![index ^ round; 20 + usize::from(index)] };
    Note(round, content.into_iter().collect())
}

/// A store with records, of which some were replaced, and four alarms.
async fn used<const WORD: usize>() -> MockFlash<1, WORD, 4096> {
    let mut flash = MockFlash::new(3 * 4096);
    let mut buffer = [0; 256];
    let mut store = FlashStore::<_, 4>::open(&mut flash, RANGE, &mut buffer).await.unwrap();
    for round in 0..5 {
        for index in 0..RECORDS {
            store.save(index, &note(index, round)).await.unwrap();
        }
    }
    for number in 0..4 {
        assert!(store.push_alarm(&[number; 30]).await.unwrap());
    }
    drop(store);
    flash
}

/// Tries everything, and tells how many records and alarms are as they should be. Errors are fine.
async fn try_everything<const WORD: usize>(flash: &mut MockFlash<1, WORD, 4096>) -> (usize, usize) {
    flash.forgiving = true;
    let (mut right, mut alarms) = (0, 0);
    let (mut buffer, mut room) = ([0; 256], [0; 256]);
    let Ok(mut store) = FlashStore::<_, 4>::open(flash, RANGE, &mut buffer).await else { return (0, 0) };
    for index in 0..RECORDS {
        right += usize::from(store.load(index).await == Ok(Some(note(index, 4))));
    }
    for _ in 0..8 {
        if let Ok(Some(length)) = store.first_alarm(&mut room).await {
            alarms += usize::from(length == 30 && room[..30].iter().all(|byte| *byte == room[0] && *byte < 4));
        }
        let _ = store.pop_alarm().await;
        let _ = store.next_number(1).await;
        let _ = store.push_alarm(&[9; 50]).await;
    }
    for index in 0..RECORDS {
        for _ in 0..5 {
            let _ = store.save(index, &note(index, 9)).await;
        }
    }
    let _ = store.erase().await;
    (right, alarms)
}

fn flip_one<const WORD: usize>(step: usize) {
    block_on(async {
        let flash = used::<WORD>().await;
        for bit in (0..flash.bytes.len() * 8).step_by(step) {
            let mut flash = flash.clone();
            flash.bytes[bit / 8] ^= 1 << (bit % 8);
            let (right, alarms) = try_everything(&mut flash).await;
            assert!(
                right + 1 >= usize::from(RECORDS) && alarms + 1 >= 4,
                "bit {bit}: {right} records, {alarms} alarms"
            );
            assert!(right == usize::from(RECORDS) || alarms >= 4, "bit {bit} damaged two things");
        }
    });
}

#[test]
fn one_flipped_bit_damages_one_record_at_most() {
    flip_one::<1>(601);
    flip_one::<4>(607);
    flip_one::<16>(613);
}

#[test]
#[ignore = "minutes"]
fn any_flipped_bit_damages_one_record_at_most() {
    flip_one::<1>(1);
    flip_one::<4>(1);
    flip_one::<16>(1);
}

#[test]
fn nothing_in_the_flash_stops_the_device() {
    async fn damage<const WORD: usize>(rounds: u64) {
        let flash = used::<WORD>().await;
        for seed in 0..rounds {
            let (mut flash, mut random) = (flash.clone(), Numbers::new(seed));
            for _ in 0..1 << random.below(12) {
                let index = random.below(flash.bytes.len() as u64) as usize;
                match random.below(3) {
                    0 => flash.bytes[index] = 0xFF,
                    1 => flash.bytes[index] = 0,
                    _ => flash.bytes[index] ^= 1 << random.below(8),
                }
            }
            if random.below(4) == 0 {
                let (start, length) = (random.below(3 * 4096) as usize, random.below(4096) as usize);
                let byte = random.next() as u8;
                flash.bytes.iter_mut().skip(start).take(length).for_each(|to| *to = byte);
            }
            try_everything(&mut flash).await;
        }
    }
    block_on(async {
        damage::<1>(20).await;
        damage::<4>(20).await;
        damage::<16>(20).await;
    });
}

/// Erases that 1,000 alarms cost, and the bytes that the longest operation reads. An alarm is kept and forgotten.
async fn wear<const WORD: usize, const ERASE: usize>(pages: usize, length: usize) -> (u64, u64) {
    let mut flash = MockFlash::<1, WORD, ERASE>::new(pages * ERASE);
    let mut buffer = [0; 1088];
    let counter = flash.read_bytes.clone();
    let mut longest = 0;
    let range = 0..(pages * ERASE) as u32;
    let mut store = FlashStore::<_, 16>::open(&mut flash, range.clone(), &mut buffer).await.unwrap();
    println!("store {}, future {}", size_of_val(&store), size_of_val(&store.push_alarm(&[])));
    store.save(0, &Note(0, heapless::Vec::from_slice(&[1; 200]).unwrap())).await.unwrap();
    store.save(1, &Note(0, heapless::Vec::from_slice(&[2; 200]).unwrap())).await.unwrap();
    drop(store);
    let before = flash.erases;
    let mut store = FlashStore::<_, 16>::open(&mut flash, range, &mut buffer).await.unwrap();
    let mut read = counter.get();
    for number in 0..1000 {
        assert!(store.push_alarm(&vec![number as u8; length]).await.unwrap());
        store.next_number(0).await.unwrap();
        store.pop_alarm().await.unwrap();
        let now = counter.get();
        longest = longest.max(now - read);
        read = now;
    }
    drop(store);
    (flash.erases - before, longest)
}

#[test]
fn a_thousand_alarms_wear_the_flash_as_documented() {
    block_on(async {
        let figures = [
            wear::<1, 4096>(2, 100).await,
            wear::<1, 4096>(4, 100).await,
            wear::<16, 8192>(2, 100).await,
            wear::<16, 8192>(4, 100).await,
            wear::<16, 8192>(2, 1000).await,
        ];
        let erases: Vec<u64> = figures.iter().map(|figure| figure.0).collect();
        println!("{figures:?}");
        // The front page of the store tells these figures.
        assert!(erases.iter().zip([36, 32, 21, 18, 142]).all(|(erases, most)| *erases <= most), "{erases:?}");
        assert!(
            figures.iter().all(|figure| figure.1 < 950_000),
            "an operation reads more than documented: {figures:?}"
        );
    });
}
