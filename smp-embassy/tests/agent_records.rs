//! Records of an agent in flash survive loss of power at any moment.

#![cfg(feature = "agent")]

mod mock_flash;

use std::collections::BTreeMap;

use embedded_storage_async::nor_flash::NorFlash;
use mock_flash::{MockFlash, Numbers};
use smp_agent::Storage;
use smp_agent::storage::Change;
use smp_embassy::records::{FlashError, FlashRecords};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn changes(random: &mut Numbers) -> Vec<Change> {
    (0..=random.below(4))
        .map(|_| {
            let key = vec![3, random.below(12) as u8];
            if random.below(3) == 0 {
                Change::Delete { key }
            } else {
                let length = [0, 1, 7, 64, 900][random.below(5) as usize];
                Change::Put { key, value: (0..length).map(|_| random.below(256) as u8).collect() }
            }
        })
        .collect()
}

fn apply(model: &mut Model, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Put { key, value } => drop(model.insert(key.clone(), value.clone())),
            Change::Delete { key } => drop(model.remove(key)),
        }
    }
}

fn read<F: NorFlash>(records: &mut FlashRecords<F>) -> Model
where
    FlashRecords<F>: Storage,
{
    records.scan(&[], None, usize::MAX).unwrap_or_else(|_| panic!("memory cannot fail")).into_iter().collect()
}

fn survives<const READ: usize, const WORD: usize, const ERASE: usize>(runs: u64) {
    let range = || 0..32_768;
    let mut interrupted = 0;
    for run in 0..runs {
        let random = &mut Numbers::new(run + 1);
        let mut flash = MockFlash::<READ, WORD, ERASE>::new(32_768);
        flash.random = Numbers::new(run + 77);
        let mut model = Model::new();
        for _ in 0..4 {
            assert_eq!(read(&mut FlashRecords::open(&mut flash, range()).unwrap()), model);
            // Power is lost after so many bytes, also while the records are opened.
            flash.power = Some(random.below(60_000));
            let mut after = model.clone();
            match FlashRecords::open(&mut flash, range()) {
                Err(error) => assert_eq!(error, FlashError::Flash(mock_flash::MockError::Off)),
                Ok(mut records) => {
                    let error = loop {
                        let changes = changes(random);
                        after.clone_from(&model);
                        apply(&mut after, &changes);
                        match records.commit(&changes) {
                            Ok(()) => model.clone_from(&after),
                            Err(error) => break error,
                        }
                    };
                    assert_eq!(error, FlashError::Flash(mock_flash::MockError::Off));
                    assert_eq!(records.commit(&[]), Err(FlashError::Stopped), "not before it is opened anew");
                }
            }
            flash = flash.restarted();
            let found = read(&mut FlashRecords::open(&mut flash, range()).unwrap());
            assert!(found == model || found == after, "all of a commit or nothing");
            interrupted += usize::from(after != model);
            model = found;
        }
    }
    assert!(interrupted > 10, "commits were interrupted");
}

#[test]
fn on_flash_with_words_of_one_byte() {
    survives::<1, 1, 4096>(12);
}

#[test]
fn on_flash_with_words_of_sixteen_bytes() {
    survives::<1, 16, 8192>(12);
}

#[test]
fn on_flash_that_is_read_by_the_word() {
    survives::<4, 4, 4096>(12);
}

#[test]
fn a_flash_that_is_full_says_so_and_keeps_what_it_had() {
    let mut records = FlashRecords::open(MockFlash::<1, 4, 4096>::new(16_384), 0..16_384).unwrap();
    let mut kept = 0_u8;
    let error = loop {
        let change = Change::Put { key: vec![1, kept], value: vec![kept; 1_000] };
        match records.commit(&[change]) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, FlashError::Full);
    assert!(kept > 5);
    let mut records = FlashRecords::open(records.into_flash(), 0..16_384).unwrap();
    assert_eq!(read(&mut records).len(), usize::from(kept));
    // What is given up makes room.
    for key in 0..kept {
        records.commit(&[Change::Delete { key: vec![1, key] }]).unwrap();
    }
    assert!(read(&mut records).is_empty());
}

#[test]
fn a_wrong_range_is_refused() {
    for range in [0..0, 0..4096, 100..16_484, 0..12_288] {
        let opened = FlashRecords::open(MockFlash::<1, 4, 4096>::new(16_384), range);
        assert!(matches!(opened, Err(FlashError::Range)));
    }
}
