//! A device loses power at any moment, and forgets nothing that it was told was kept.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::large_enum_variant, reason = "a test")]

mod mock_flash;

use std::collections::{BTreeMap, VecDeque};

use embassy_futures::block_on;
use embedded_storage_async::nor_flash::NorFlash;
use mock_flash::{MockError, MockFlash, Numbers};
use serde::{Deserialize, Serialize};
use smp_embassy::store::{Error, FlashStore, Kind, NumberStore, Record};

const ALARMS: usize = 6;
const BUFFER: usize = 512;
const PLACES: u8 = 4;

/// A record of any length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note(heapless::Vec<u8, 300>);

impl Record for Note {
    const KIND: Kind = Kind::application(0);
    const VERSION: u8 = 3;
}

/// What a device does with its store.
#[derive(Clone, Debug)]
enum Deed {
    Save(u8, Note),
    Push(Vec<u8>),
    Pop,
    Number(u8),
}

impl Deed {
    fn any(random: &mut Numbers) -> Self {
        let longest = match random.below(8) {
            0..2 => 290,
            2 => 4,
            _ => 100,
        };
        let length = random.below(longest);
        let content: Vec<u8> = match random.below(4) {
            0 => vec![0xFF; length as usize],
            1 => vec![0; length as usize],
            _ => (0..length).map(|_| random.next() as u8).collect(),
        };
        match random.below(8) {
            0..3 => Self::Save(random.below(u64::from(PLACES)) as u8, Note(content.into_iter().collect())),
            3..5 => Self::Push(content),
            5..7 => Self::Pop,
            _ => Self::Number(random.below(2) as u8),
        }
    }
}

/// What has to be in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Expected {
    notes: BTreeMap<u8, Note>,
    alarms: VecDeque<Vec<u8>>,
    /// All smaller numbers may have been given out.
    numbers: [u64; 2],
}

/// Does something, and takes down what was acknowledged. `None` for a number that was not given out.
async fn perform<F: NorFlash>(
    store: &mut FlashStore<'_, F, ALARMS>,
    deed: &Deed,
    expected: &mut Expected,
) -> Result<(), Error<F::Error>> {
    match deed {
        Deed::Save(place, note) => {
            store.save(*place, note).await?;
            expected.notes.insert(*place, note.clone());
        }
        Deed::Push(body) => {
            if store.push_alarm(body).await? {
                expected.alarms.push_back(body.clone());
            }
        }
        Deed::Pop => {
            store.pop_alarm().await?;
            expected.alarms.pop_front();
        }
        Deed::Number(counter) => {
            let number = store.next_number(*counter).await?;
            let bound = &mut expected.numbers[usize::from(*counter)];
            assert!(number >= *bound, "{number} was given out before");
            *bound = number + 1;
        }
    }
    Ok(())
}

/// What is in the store, without the numbers.
async fn contents<F: NorFlash>(store: &mut FlashStore<'_, F, ALARMS>) -> Result<Expected, Error<F::Error>> {
    let mut found = Expected::default();
    for place in 0..PLACES {
        if let Some(note) = store.load(place).await? {
            found.notes.insert(place, note);
        }
    }
    let mut body = [0; BUFFER];
    while let Some(length) = store.first_alarm(&mut body).await? {
        found.alarms.push_back(body[..length].to_vec());
        store.pop_alarm().await?;
    }
    Ok(found)
}

fn same(found: &Expected, expected: &Expected) -> bool {
    found.notes == expected.notes && found.alarms == expected.alarms
}

/// Opens what is left after a loss of power, and compares.
async fn check_after<F: NorFlash<Error = MockError>>(
    flash: F,
    range: u32,
    before: &Expected,
    after: &Expected,
    what: &str,
) {
    let mut buffer = [0; BUFFER];
    let mut store = FlashStore::<_, ALARMS>::open(flash, 0..range, &mut buffer).await.expect(what);
    for (counter, bound) in before.numbers.iter().enumerate() {
        let number = store.next_number(counter as u8).await.expect(what);
        assert!(number >= *bound, "{what}: {number} was given out before");
    }
    let found = contents(&mut store).await.expect(what);
    assert!(same(&found, before) || same(&found, after), "{what}: {found:?} is not {before:?} and not {after:?}");
}

/// Loses power at every moment of each of many deeds, `step` apart. Tells how often.
fn lose_power<const READ: usize, const WORD: usize, const ERASE: usize>(
    pages: usize,
    deeds: usize,
    seed: u64,
    step: u64,
) -> u64 {
    let page = ERASE * 4_096_usize.div_ceil(ERASE);
    let range = (pages * page) as u32;
    let mut flash = MockFlash::<READ, WORD, ERASE>::new(pages * page);
    let mut random = Numbers::new(seed);
    let mut expected = Expected::default();
    let mut cuts = 0;
    block_on(async {
        for number in 0..deeds {
            let deed = Deed::any(&mut random);
            let before = expected.clone();
            let start = flash.clone();
            {
                let mut buffer = [0; BUFFER];
                let mut store = FlashStore::<_, ALARMS>::open(&mut flash, 0..range, &mut buffer).await.unwrap();
                perform(&mut store, &deed, &mut expected).await.unwrap();
            }
            let moments = flash.moments - start.moments;
            let mut cut = random.below(step);
            while cut < moments {
                let what = format!("deed {number} ({deed:?}), cut at {cut} of {moments}, seed {seed}");
                let mut flash = start.clone();
                flash.random = Numbers::new(seed ^ (cut << 20) ^ number as u64);
                flash.power = Some(cut);
                let mut buffer = [0; BUFFER];
                let mut done = before.clone();
                let result = match FlashStore::<_, ALARMS>::open(&mut flash, 0..range, &mut buffer).await {
                    Ok(mut store) => perform(&mut store, &deed, &mut done).await,
                    Err(error) => Err(error),
                };
                assert_eq!(result, Err(Error::Flash(MockError::Off)), "{what}");
                let mut flash = flash.restarted();
                if random.below(4) == 0 {
                    // Once more, while what was interrupted is finished or taken back.
                    flash.power = Some(random.below(4_000));
                    let mut buffer = [0; BUFFER];
                    if let Ok(mut store) = FlashStore::<_, ALARMS>::open(&mut flash, 0..range, &mut buffer).await {
                        let _ = store.next_number(5).await;
                    }
                    flash = flash.restarted();
                }
                check_after(flash, range, &before, &expected, &what).await;
                cuts += 1;
                cut += step;
            }
        }
    });
    let turned = flash.erases as usize - (page / ERASE) * pages;
    assert!(turned >= 4, "the pages were not turned often enough to say anything: {turned} erases");
    cuts
}

macro_rules! losses {
    ($some:ident, $every:ident, $read:literal, $word:literal, $erase:literal, $pages:literal, $deeds:literal) => {
        #[test]
        fn $some() {
            lose_power::<$read, $word, $erase>($pages, $deeds, $word, 61);
        }

        #[test]
        #[ignore = "minutes"]
        fn $every() {
            let cuts = lose_power::<$read, $word, $erase>($pages, $deeds, $word, 1);
            println!("power was lost {cuts} times");
        }
    };
}

losses!(power_lost_in_flash_with_single_bytes, power_lost_at_every_byte_with_single_bytes, 1, 1, 4096, 3, 700);
losses!(power_lost_in_flash_with_words_of_4, power_lost_at_every_byte_with_words_of_4, 4, 4, 4096, 2, 500);
losses!(power_lost_in_flash_with_words_of_8, power_lost_at_every_byte_with_words_of_8, 1, 8, 2048, 4, 500);
losses!(power_lost_in_flash_with_words_of_16, power_lost_at_every_byte_with_words_of_16, 1, 16, 8192, 2, 700);
losses!(power_lost_in_flash_with_words_of_32, power_lost_at_every_byte_with_words_of_32, 4, 32, 4096, 3, 300);
