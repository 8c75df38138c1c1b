//! Records of an agent in flash survive loss of power at any moment.

#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod mock_flash;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use mock_flash::{MockError, MockFlash, Numbers};
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
                Err(error) => assert_eq!(error, FlashError::Flash(MockError::Off)),
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
                    assert_eq!(error, FlashError::Flash(MockError::Off));
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

/// Commits numbers until that fails, and tells how many were taken and why it ended.
fn count<F: NorFlash>(records: &mut FlashRecords<F>, most: u8) -> (u8, Option<FlashError<F::Error>>) {
    for number in 0..most {
        let change = Change::Put { key: vec![1], value: vec![number; 50] };
        if let Err(error) = records.commit(&[change]) {
            return (number, Some(error));
        }
    }
    (most, None)
}

#[test]
fn a_commit_that_the_flash_does_not_hold_has_not_happened() {
    for worn in (16_384 + 64..16_384 + 2_000).step_by(4) {
        let mut flash = MockFlash::<1, 4, 4096>::new(32_768);
        // In the half that is used first.
        flash.worn = vec![worn / 4];
        let mut records = FlashRecords::open(flash, 0..32_768).unwrap();
        let (taken, error) = count(&mut records, 50);
        assert_eq!(error, Some(FlashError::Worn));
        assert_eq!(records.commit(&[]), Err(FlashError::Stopped));
        let mut records = FlashRecords::open(records.into_flash(), 0..32_768).unwrap();
        let last = taken.checked_sub(1).map(|last| (vec![1], vec![last; 50]));
        assert_eq!(read(&mut records), last.into_iter().collect::<Model>(), "what was before it is there");
        // The other half is whole.
        assert_eq!(count(&mut records, 50), (50, None));
    }
}

#[test]
fn an_older_state_does_not_come_back_when_the_flash_has_lost_a_commit() {
    let mut records = FlashRecords::open(MockFlash::<1, 4, 4096>::new(32_768), 0..32_768).unwrap();
    let empty = records.room();
    count(&mut records, 1);
    let commit = empty - records.room();
    count(&mut records, 9);
    let flash = records.into_flash();
    // All but the last one, which could have been interrupted.
    for bit in 0..9 * commit * 8 {
        let mut damaged = flash.clone();
        damaged.bytes[16_384 + 12 + bit / 8] ^= 1 << (bit % 8);
        match FlashRecords::open(damaged, 0..32_768) {
            Err(error) => assert_eq!(error, FlashError::Damaged),
            // What fills words up is not looked at.
            Ok(mut records) => assert_eq!(read(&mut records)[&vec![1]], [8; 50], "bit {bit}"),
        }
    }
}

/// A flash that takes down how much is read at once: so much of the heap is needed for it.
struct Watched(MockFlash<1, 4, 4096>, Rc<Cell<usize>>);

impl ErrorType for Watched {
    type Error = MockError;
}

impl ReadNorFlash for Watched {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), MockError> {
        self.1.set(self.1.get().max(bytes.len()));
        self.0.read(offset, bytes).await
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl NorFlash for Watched {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), MockError> {
        self.0.erase(from, to).await
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), MockError> {
        self.0.write(offset, bytes).await
    }
}

#[test]
fn a_half_written_length_takes_no_room_of_the_heap() {
    let mut records = FlashRecords::open(MockFlash::<1, 4, 4096>::new(262_144), 0..262_144).unwrap();
    let empty = records.room();
    count(&mut records, 3);
    let end = 131_072 + 12 + empty - records.room();
    let mut flash = records.into_flash();
    // Power was lost while the head of a fourth commit of 800 bytes was written: some bits are still one.
    flash.bytes[end..end + 8].copy_from_slice(&[0x20, 0xF3, 0x01, 0, 1, 2, 3, 4]);
    flash.bytes[end + 8..end + 808].fill(7);
    let most = Rc::new(Cell::new(0));
    let mut records = FlashRecords::open(Watched(flash, Rc::clone(&most)), 0..262_144).unwrap();
    assert_eq!(read(&mut records)[&vec![1]], [2; 50]);
    assert!(most.get() <= 1_024, "{} bytes at once", most.get());
}

#[test]
fn a_wrong_range_is_refused() {
    for range in [0..0, 0..4096, 100..16_484, 0..12_288] {
        let opened = FlashRecords::open(MockFlash::<1, 4, 4096>::new(16_384), range);
        assert!(matches!(opened, Err(FlashError::Range)));
    }
}
