//! A device keeps its keys, its alarms and its numbers, and is told when it cannot.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod mock_flash;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use embassy_futures::block_on;
use mock_flash::{MockError, MockFlash, Numbers};
use serde::{Deserialize, Serialize};
use smp_embassy::store::{
    COUNTERS, Error, FlashStore, Kind, NotifierKey, NotifierState, NumberStore, Record, STRIDE, VolatileNumbers,
};

type Flash = MockFlash<1, 4, 4096>;
type Once = MockFlash<1, 16, 8192>;

const RANGE: core::ops::Range<u32> = 4096..3 * 4096;

fn flash() -> Flash {
    MockFlash::new(4 * 4096)
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Old(u8);

impl Record for Old {
    const KIND: Kind = Kind::application(7);
    const VERSION: u8 = 1;
}

/// The same record in later firmware.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct New(u32, bool);

impl Record for New {
    const KIND: Kind = Kind::application(7);
    const VERSION: u8 = 2;

    fn upgrade(version: u8, bytes: &[u8]) -> Option<Self> {
        let old: Old = (version == 1).then(|| postcard::from_bytes(bytes).ok()).flatten()?;
        Some(Self(old.0.into(), false))
    }
}

/// A record of another firmware altogether.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Long(heapless::Vec<u8, 600>);

impl Record for Long {
    const KIND: Kind = Kind::application(1);
    const VERSION: u8 = 1;
}

#[test]
fn a_new_device_is_provisioned_and_knows_its_queues_after_a_reset() {
    block_on(async {
        let (mut flash, mut buffer) = (flash(), [0; 512]);
        let mut store = FlashStore::<_, 4>::open(&mut flash, RANGE, &mut buffer).await.unwrap();
        assert_eq!(store.is_empty().await, Ok(true));
        for index in 0..3 {
            let state = NotifierState {
                server: heapless::Vec::from_slice(&[index; 60]).unwrap(),
                notifier_id: [index; 24],
                authorization: NotifierKey::Ed25519([index; 32]),
                metadata: (index == 1).then_some([9; 32]),
            };
            assert!(!format!("{state:?}").contains("60"));
            store.save(index, &state).await.unwrap();
        }
        assert_eq!(store.is_empty().await, Ok(false));
        drop(store);
        assert_eq!(buffer, [0; 512], "secrets are left in memory");
        let mut store = FlashStore::<_, 4>::open(&mut flash, RANGE, &mut buffer).await.unwrap();
        for index in 0..3 {
            let state: NotifierState = store.load(index).await.unwrap().unwrap();
            assert!(state.server == [index; 60] && state.notifier_id == [index; 24]);
            assert!(matches!(&state.authorization, NotifierKey::Ed25519(seed) if *seed == [index; 32]));
            assert_eq!(state.metadata, (index == 1).then_some([9; 32]));
        }
        assert!(store.load::<NotifierState>(3).await.unwrap().is_none());
        drop(store);
        assert!(
            flash.bytes[..4096].iter().chain(&flash.bytes[3 * 4096..]).all(|byte| *byte == 0xFF),
            "outside of the range"
        );
    });
}

#[test]
fn later_firmware_reads_older_records_and_older_firmware_leaves_later_ones_alone() {
    block_on(async {
        let (mut flash, mut buffer) = (flash(), [0; 512]);
        let mut store = FlashStore::<_, 4>::open(&mut flash, RANGE, &mut buffer).await.unwrap();
        store.save(0, &Old(5)).await.unwrap();
        assert_eq!(store.load(0).await, Ok(Some(New(5, false))));
        store.save(0, &New(6, true)).await.unwrap();
        assert_eq!(store.load::<Old>(0).await, Err(Error::RecordTooNew));
        assert_eq!(store.save(0, &Old(7)).await, Err(Error::RecordTooNew));
        for number in 0..100 {
            store.save(1, &New(number, true)).await.unwrap();
            store.save(0, &Long(heapless::Vec::from_slice(&[1; 400]).unwrap())).await.unwrap();
        }
        drop(store);
        let mut store = FlashStore::<_, 4>::open(&mut flash, RANGE, &mut buffer).await.unwrap();
        assert_eq!(store.load(0).await, Ok(Some(New(6, true))));
        assert!(store.erases().await.unwrap() > 3, "the record was moved to other pages");
    });
}

#[test]
fn alarms_wait_in_order_until_the_flash_is_full_and_leave_room_for_everything_else() {
    block_on(async {
        let (mut flash, mut buffer) = (flash(), [0; 512]);
        let mut store = FlashStore::<_, 40>::open(&mut flash, RANGE, &mut buffer).await.unwrap();
        let body = |number: u32| [number as u8; 200];
        let (mut first, mut next) = (0_u32, 0_u32);
        for round in 0..40 {
            while store.push_alarm(&body(next)).await.unwrap() {
                next += 1;
            }
            assert!((10..16).contains(&(next - first)), "{} alarms of 200 bytes in one page", next - first);
            assert_eq!(store.alarms().await, Ok((next - first) as usize));
            // What does not wait is kept all the same.
            store.save(0, &Long(heapless::Vec::from_slice(&[2; 450]).unwrap())).await.unwrap();
            for counter in 0..COUNTERS as u8 {
                assert!(store.next_number(counter).await.unwrap() >= round);
            }
            let mut room = [0; 512];
            for _ in 0..7 {
                assert_eq!(store.first_alarm(&mut [0; 199]).await, Err(Error::RecordTooLong));
                let length = store.first_alarm(&mut room).await.unwrap().unwrap();
                assert_eq!(room[..length], body(first));
                store.pop_alarm().await.unwrap();
                first += 1;
            }
        }
        assert_eq!(store.push_alarm(&[0; 512]).await, Err(Error::RecordTooLong));
        assert_eq!(
            store.save(0, &Long(heapless::Vec::from_slice(&[2; 600]).unwrap())).await,
            Err(Error::RecordTooLong)
        );
    });
}

#[test]
fn everything_or_nothing_is_erased() {
    block_on(async {
        let (mut full, mut buffer) = (MockFlash::<1, 16, 4096>::new(4 * 4096), [0; 512]);
        let range = 0..4 * 4096;
        let mut store = FlashStore::<_, 4>::open(&mut full, range.clone(), &mut buffer).await.unwrap();
        for index in 0..15 {
            store.save(index, &Long(heapless::Vec::from_slice(&[index; 400]).unwrap())).await.unwrap();
        }
        drop(store);
        let mut whole = 0;
        for moment in 0.. {
            let mut flash = full.clone();
            flash.random = Numbers::new(moment);
            flash.power = Some(moment);
            let done = FlashStore::<_, 4>::format(&mut flash, range.clone(), &mut buffer).await.is_ok();
            let mut flash = flash.restarted();
            let mut store = FlashStore::<_, 4>::open(&mut flash, range.clone(), &mut buffer).await.unwrap();
            let mut kept = 0;
            for index in 0..15 {
                kept += u32::from(store.load::<Long>(index).await.unwrap().is_some());
            }
            assert!(kept == 0 || (kept == 15 && !done), "{kept} records after moment {moment}");
            whole += u32::from(kept == 15);
            if done {
                break;
            }
        }
        assert!(whole > 0);
    });
}

#[test]
fn what_is_not_a_store_is_not_touched() {
    block_on(async {
        let mut buffer = [0; 512];
        let mut other = flash();
        other.bytes[4096 + 2000] = 7;
        let before = other.bytes.clone();
        let result = FlashStore::<_, 4>::open(&mut other, RANGE, &mut buffer).await.err();
        assert_eq!(result, Some(Error::NotFormatted));
        assert_eq!(other.bytes, before);
        assert!(FlashStore::<_, 4>::format(&mut other, RANGE, &mut buffer).await.unwrap().is_empty().await.unwrap());

        // The header of a later layout: its number, and a checksum that fits.
        let (mut later, mut copy) = (other.clone(), [0; 12]);
        copy.copy_from_slice(&later.bytes[4096 + 16..][..12]);
        copy[7] = 2;
        let sum = !copy.iter().fold(0xEEEE_EEEE_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 })
        });
        later.bytes[4096 + 16..][..12].copy_from_slice(&copy);
        later.bytes[4096 + 28..][..4].copy_from_slice(&sum.to_le_bytes());
        let before = later.bytes.clone();
        let result = FlashStore::<_, 4>::open(&mut later, RANGE, &mut buffer).await.err();
        assert_eq!(result, Some(Error::StoreTooNew));
        assert_eq!(later.bytes, before);
    });
}

#[test]
fn flash_that_cannot_be_used_is_refused() {
    async fn refused<const READ: usize, const WORD: usize, const ERASE: usize>(
        range: core::ops::Range<u32>,
        buffer: usize,
    ) {
        let mut flash = MockFlash::<READ, WORD, ERASE>::new(16 * 4096);
        let mut buffer = vec![0; buffer];
        let result = FlashStore::<_, 4>::open(&mut flash, range.clone(), &mut buffer).await.err();
        assert_eq!(result, Some(Error::Unsuitable), "{range:?}");
    }
    block_on(async {
        refused::<1, 4, 4096>(0..4096, 512).await; // one page
        refused::<1, 4, 4096>(0..4096 * 2 + 4, 512).await;
        refused::<1, 4, 4096>(100..4096 * 2 + 100, 512).await;
        refused::<1, 4, 4096>(0..4096 * 17, 512).await; // past the end
        let (start, end) = (4096, 0);
        refused::<1, 4, 4096>(start..end, 512).await;
        refused::<1, 4, 4096>(0..4096 * 2, 513).await; // not whole words
        refused::<1, 4, 4096>(0..4096 * 2, 4000).await; // longer than a page has room
        refused::<1, 64, 4096>(0..4096 * 2, 512).await; // words too long
        refused::<1, 12, 4096>(0..4096 * 2, 504).await;
    });
}

#[test]
fn numbers_are_used_once_whatever_happens() {
    block_on(async {
        let mut flash = Once::new(2 * 8192);
        let mut random = Numbers::new(7);
        let mut used = [0_u64; 3];
        for _ in 0..400 {
            flash.power = (random.below(2) == 0).then(|| random.below(700));
            let mut buffer = [0; 128];
            let Ok(mut store) = FlashStore::<_, 1>::open(&mut flash, 0..2 * 8192, &mut buffer).await else {
                flash = flash.restarted();
                continue;
            };
            for _ in 0..random.below(100) {
                let counter = random.below(3) as usize;
                match store.next_number(counter as u8).await {
                    Ok(number) => {
                        assert!(number >= used[counter], "{number} was used before");
                        used[counter] = number + 1;
                    }
                    Err(error) => assert_eq!(error, Error::Flash(MockError::Off)),
                }
            }
            drop(store);
            flash = flash.restarted();
        }
        let mut buffer = [0; 128];
        let mut store = FlashStore::<_, 1>::open(&mut flash, 0..2 * 8192, &mut buffer).await.unwrap();
        assert_eq!(store.next_number(COUNTERS as u8).await, Err(Error::Unsuitable));
        assert!(used.iter().all(|used| *used < 400 * 100 + 400 * 2 * STRIDE), "few are left out: {used:?}");

        let mut volatile = VolatileNumbers::new(u64::MAX - 1);
        assert_eq!(volatile.next_number(0).await, Ok((1 << 63) - 2));
        assert_eq!(volatile.next_number(0).await, Ok((1 << 63) - 1));
    });
}

#[test]
fn worn_words_are_passed_over_and_worn_out_pages_reported() {
    block_on(async {
        worn_words(false, Error::Worn).await;
        worn_words(true, Error::Flash(MockError::Worn)).await;
    });
}

/// Words that do not change, on a flash that tells of it or not.
async fn worn_words(tells: bool, error: Error<MockError>) {
    let (mut flash, mut buffer) = (flash(), [0; 512]);
    flash.tells = tells;
    let mut store = FlashStore::<_, 4>::open(&mut flash, RANGE, &mut buffer).await.unwrap();
    store.save(0, &Old(1)).await.unwrap();
    drop(store);
    // The word after what was written will not change.
    let end = flash.bytes[4096 + 32..8192 - 16].iter().rposition(|byte| *byte != 0xFF).unwrap() + 4096 + 32;
    flash.worn.push(end / 4 + 3);
    let mut store = FlashStore::<_, 4>::open(&mut flash, RANGE, &mut buffer).await.unwrap();
    for value in 0..40 {
        store.save(1, &Old(value)).await.unwrap();
        assert_eq!(store.load(1).await, Ok(Some(Old(value))));
        assert_eq!(store.load(0).await, Ok(Some(Old(1))));
    }
    drop(store);
    flash.worn.extend(0..flash.bytes.len() / 4);
    let mut store = FlashStore::<_, 4>::open(&mut flash, RANGE, &mut buffer).await.unwrap();
    assert_eq!(store.save(1, &Old(99)).await, Err(error));
    assert_eq!(store.load(1).await, Ok(Some(Old(39))));
}

#[test]
fn operations_can_be_given_up_at_any_point() {
    block_on(async {
        let mut random = Numbers::new(11);
        let (mut flash, mut buffer) = (Once::new(2 * 8192), [0; 512]);
        flash.slow = true;
        let mut store = FlashStore::<_, 8>::open(&mut flash, 0..2 * 8192, &mut buffer).await.unwrap();
        let (mut kept, mut number) = (None, 0);
        for value in 0..400 {
            let polls = random.below(500);
            if give_up_after(polls, store.save(0, &New(value, true))).is_some() {
                kept = Some(New(value, true));
                assert_eq!(store.load(0).await.unwrap(), kept);
            } else {
                let now = store.load(0).await.unwrap();
                assert!(now == kept || now == Some(New(value, true)));
                kept = now;
            }
            store.save(1, &Long(heapless::Vec::from_slice(&[3; 150]).unwrap())).await.unwrap();
            if let Some(next) = give_up_after(polls, store.next_number(0)) {
                assert!(next.unwrap() >= number);
            }
            let next = store.next_number(0).await.unwrap();
            assert!(next >= number);
            number = next + 1;
        }
        assert!(store.erases().await.unwrap() > 4);
    });
}

fn give_up_after<T>(polls: u64, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return Some(result);
        }
    }
    None
}
