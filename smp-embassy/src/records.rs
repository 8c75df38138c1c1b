//! Records of an agent in flash: what `smp-agent` keeps, for a handful of connections.
//!
//! [`FlashRecords`] is an [`smp_agent::Storage`]. It writes a journal: each commit is one entry with a checksum, appended to
//! one half of the flash. When there is no room left, and each time it is opened, what is still needed is written to the
//! other half, whose header, written last, makes it the one that counts. A commit that was interrupted by loss of power at
//! any moment has happened as a whole or not at all; one that returned has happened: what was written is read again at once.
//!
//! An entry that cannot be read although others follow it was not interrupted: the flash has lost it. The records are then
//! [damaged](FlashError::Damaged) as a whole, for without it they would be what they were before, and an agent that goes on
//! with an older state uses the keys of its ratchets twice.
//!
//! All records are in memory, too: reading costs nothing, and the heap has to hold them. A connection with one queue in each
//! direction takes about 6 KiB, with post-quantum keys 10 KiB, and each message that waits to be sent its length and 3 KiB.
//! Each half of the flash needs room for all records and the largest commit, about 40 KiB.
//!
//! The flash is not encrypted: protect it as the processor allows.
//!
//! ```
//! use embedded_storage_async::nor_flash::NorFlash;
//! use smp_agent::{Agent, Configuration, Time};
//! use smp_embassy::records::{FlashError, FlashRecords};
//!
//! fn start<F: NorFlash, R: rand_core::CryptoRng>(
//!     flash: F,
//!     random: R,
//!     now: Time,
//! ) -> Result<Agent<FlashRecords<F>, R>, smp_agent::Error<FlashError<F::Error>>> {
//!     let records = FlashRecords::open(flash, 0x10_0000..0x14_0000).map_err(smp_agent::Error::Storage)?;
//!     Agent::open(records, Configuration::default(), random, now)
//! }
//! ```

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::{Bound, Range};

use embassy_futures::block_on;
use embedded_storage_async::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};
use smp_agent::Storage;
use smp_agent::storage::{Change, Record};

use crate::store::{CRC32_START, adapt, crc32, crc32_more};

/// In front of each half that counts.
const MAGIC: u32 = 0x736D_7061;
/// Length and checksum in front of each entry.
const HEAD: usize = 8;
/// The longest word for reading and writing, in bytes.
const MAX_WORD: usize = 256;

/// Why the flash could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlashError<E> {
    /// The flash failed.
    Flash(E),
    /// The range is not two halves of whole pages, or the words of the flash are longer than 256 bytes.
    Range,
    /// There is no room for all records.
    Full,
    /// The flash does not hold what was written.
    Worn,
    /// A commit that had happened cannot be read any more. Nothing was changed; whoever wants to use the flash again erases
    /// it, and loses all records.
    Damaged,
    /// An earlier call failed: open the records anew.
    Stopped,
}

impl<E: NorFlashError> fmt::Display for FlashError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flash(error) => match error.kind() {
                NorFlashErrorKind::NotAligned => "the flash was used out of line",
                NorFlashErrorKind::OutOfBounds => "the flash ends before the range",
                _ => "the flash failed",
            },
            Self::Range => "the range is not two halves of whole pages",
            Self::Full => "there is no room for all records",
            Self::Worn => "the flash does not hold what was written",
            Self::Damaged => "the flash has lost what was written",
            Self::Stopped => "an earlier call failed",
        })
    }
}

impl<E: NorFlashError> core::error::Error for FlashError<E> {}

/// What an entry says, and where the next one begins.
type Entry = (Vec<u8>, usize);

/// Records in flash and in memory.
pub struct FlashRecords<F> {
    flash: F,
    /// Where each half starts.
    halves: [u32; 2],
    length: u32,
    /// The half that counts, and its generation.
    active: usize,
    generation: u32,
    /// Where the next entry goes in it.
    end: u32,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    stopped: bool,
}

impl<F> fmt::Debug for FlashRecords<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlashRecords({} records)", self.records.len())
    }
}

impl<F: NorFlash> FlashRecords<F> {
    /// A word in which both reading and writing are aligned.
    const WORD: usize = if F::READ_SIZE > F::WRITE_SIZE { F::READ_SIZE } else { F::WRITE_SIZE };

    /// Reads what is in the flash; an erased one is empty.
    ///
    /// # Errors
    /// The flash fails or is too small, or the range is not two halves of whole pages.
    pub fn open(flash: F, range: Range<u32>) -> Result<Self, FlashError<F::Error>> {
        let half = range.end.saturating_sub(range.start) / 2;
        let page = u32::try_from(F::ERASE_SIZE).map_err(|_| FlashError::Range)?;
        let whole = page > 0 && half > 0 && half.is_multiple_of(page) && range.start.is_multiple_of(page);
        if !whole || Self::WORD > MAX_WORD || !F::ERASE_SIZE.is_multiple_of(Self::WORD) {
            return Err(FlashError::Range);
        }
        let mut records = Self {
            flash,
            halves: [range.start, range.start.saturating_add(half)],
            length: half,
            active: 0,
            generation: 0,
            end: 0,
            records: BTreeMap::new(),
            stopped: false,
        };
        let generations = [records.generation(0)?, records.generation(1)?];
        let valid = generations.into_iter().enumerate().filter_map(|(half, generation)| Some((generation?, half)));
        if let Some((generation, active)) = valid.max() {
            records.active = active;
            records.generation = generation;
            records.replay()?;
        }
        // What was written last may have been interrupted, and read well only by luck.
        records.rewrite()?;
        Ok(records)
    }

    /// Gives the flash back.
    pub fn into_flash(self) -> F {
        self.flash
    }

    /// Bytes of flash that the next commits can take before the records are written anew.
    #[must_use]
    pub fn room(&self) -> usize {
        self.length.saturating_sub(self.end) as usize
    }

    const fn align(length: usize) -> usize {
        length.next_multiple_of(Self::WORD)
    }

    /// Where the entries of a half begin.
    const fn start() -> usize {
        Self::align(12)
    }

    fn read(&mut self, half: usize, offset: usize, bytes: &mut [u8]) -> Result<(), FlashError<F::Error>> {
        let offset = u32::try_from(offset).map_err(|_| FlashError::Range)?;
        let address = self.halves.get(half).copied().unwrap_or_default().saturating_add(offset);
        block_on(self.flash.read(address, bytes)).map_err(FlashError::Flash)
    }

    fn write(&mut self, half: usize, offset: usize, bytes: &[u8]) -> Result<(), FlashError<F::Error>> {
        let offset = u32::try_from(offset).map_err(|_| FlashError::Range)?;
        let mut address = self.halves.get(half).copied().unwrap_or_default().saturating_add(offset);
        block_on(self.flash.write(address, bytes)).map_err(FlashError::Flash)?;
        let mut read = vec![0; Self::align(MAX_WORD)];
        for chunk in bytes.chunks(read.len()) {
            let read = read.get_mut(..chunk.len()).ok_or(FlashError::Range)?;
            block_on(self.flash.read(address, read)).map_err(FlashError::Flash)?;
            if read != chunk {
                return Err(FlashError::Worn);
            }
            address = address.saturating_add(u32::try_from(chunk.len()).map_err(|_| FlashError::Range)?);
        }
        Ok(())
    }

    /// The generation of a half, when its header is whole.
    fn generation(&mut self, half: usize) -> Result<Option<u32>, FlashError<F::Error>> {
        let mut header = vec![0; Self::start()];
        self.read(half, 0, &mut header)?;
        let field = |place: usize| {
            let bytes = header.get(place..).and_then(|rest| rest.first_chunk::<4>());
            bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        let covered = header.get(..8).unwrap_or_default();
        Ok((field(0) == MAGIC && field(8) == crc32(&[covered])).then(|| field(4)))
    }

    /// Takes over all whole entries of the active half.
    fn replay(&mut self) -> Result<(), FlashError<F::Error>> {
        let mut offset = Self::start();
        while let Some((entry, next)) = self.entry(offset)? {
            let mut rest = entry.as_slice();
            while let Some((key, value, after)) = split_change(rest) {
                match value {
                    Some(value) => drop(self.records.insert(key.to_vec(), value.to_vec())),
                    None => drop(self.records.remove(key)),
                }
                rest = after;
            }
            offset = next;
        }
        if self.goes_on(offset)? { Err(FlashError::Damaged) } else { Ok(()) }
    }

    /// Whether there are entries behind something that is none: it was one then. The head of an entry is written last, so
    /// that without it there is nothing to look for.
    fn goes_on(&mut self, offset: usize) -> Result<bool, FlashError<F::Error>> {
        let mut head = vec![0; Self::align(HEAD)];
        if offset.saturating_add(head.len()) > self.length as usize {
            return Ok(false);
        }
        self.read(self.active, offset, &mut head)?;
        if head.iter().all(|byte| *byte == 0xFF) {
            return Ok(false);
        }
        for offset in (offset..self.length as usize).step_by(Self::WORD).skip(1) {
            if self.whole_entry(offset)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// An entry that is whole, and where the next one begins.
    fn entry(&mut self, offset: usize) -> Result<Option<Entry>, FlashError<F::Error>> {
        let Some((body, size)) = self.whole_entry(offset)? else { return Ok(None) };
        let mut entry = vec![0; Self::align(size)];
        self.read(self.active, body, &mut entry)?;
        entry.truncate(size);
        Ok(Some((entry, body.saturating_add(Self::align(size)))))
    }

    /// Where the body of an entry is that is whole, and its length. It is read in pieces: the heap may not have room for what
    /// a half written head calls a length.
    fn whole_entry(&mut self, offset: usize) -> Result<Option<(usize, usize)>, FlashError<F::Error>> {
        let length = self.length as usize;
        let head_length = Self::align(HEAD);
        if offset.saturating_add(head_length) > length {
            return Ok(None);
        }
        let mut head = vec![0; head_length];
        self.read(self.active, offset, &mut head)?;
        let number = |place: usize| {
            let bytes = head.get(place..).and_then(|rest| rest.first_chunk::<4>());
            bytes.map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes))
        };
        let (size, sum) = (number(0) as usize, number(4));
        let body = offset.saturating_add(head_length);
        if size == 0 || size > length || body.saturating_add(Self::align(size)) > length {
            return Ok(None);
        }
        let mut checked = crc32_more(CRC32_START, &number(0).to_le_bytes());
        let mut piece = vec![0; Self::align(MAX_WORD)];
        for start in (0..size).step_by(piece.len()) {
            let left = size.saturating_sub(start).min(piece.len());
            let piece = piece.get_mut(..Self::align(left)).ok_or(FlashError::Range)?;
            self.read(self.active, body.saturating_add(start), piece)?;
            checked = crc32_more(checked, piece.get(..left).unwrap_or_default());
        }
        Ok((adapt(!checked) == sum).then_some((body, size)))
    }

    /// Writes an entry: its body first, so that its head comes last.
    fn append(&mut self, half: usize, offset: usize, entry: &mut Vec<u8>) -> Result<usize, FlashError<F::Error>> {
        let size = u32::try_from(entry.len()).map_err(|_| FlashError::Full)?;
        let sum = crc32(&[&size.to_le_bytes(), entry]);
        let mut head = vec![0xFF; Self::align(HEAD)];
        for (place, byte) in head.iter_mut().zip(size.to_le_bytes().into_iter().chain(sum.to_le_bytes())) {
            *place = byte;
        }
        entry.resize(Self::align(entry.len()), 0xFF);
        let body = offset.saturating_add(head.len());
        let next = body.saturating_add(entry.len());
        if next > self.length as usize {
            return Err(FlashError::Full);
        }
        self.write(half, body, entry)?;
        self.write(half, offset, &head)?;
        Ok(next)
    }

    /// Writes all records to the other half, which counts from then on.
    fn rewrite(&mut self) -> Result<(), FlashError<F::Error>> {
        let half = usize::from(self.active == 0);
        let start = self.halves.get(half).copied().unwrap_or_default();
        block_on(self.flash.erase(start, start.saturating_add(self.length))).map_err(FlashError::Flash)?;
        let mut offset = Self::start();
        let mut entry = Vec::new();
        let records = core::mem::take(&mut self.records);
        let mut result = Ok(());
        for (key, value) in &records {
            entry.clear();
            push_change(&mut entry, key, Some(value));
            match self.append(half, offset, &mut entry) {
                Ok(next) => offset = next,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.records = records;
        result?;
        let generation = self.generation.saturating_add(1);
        let mut header = vec![0xFF; Self::start()];
        let covered: Vec<u8> = MAGIC.to_le_bytes().into_iter().chain(generation.to_le_bytes()).collect();
        let sum = crc32(&[&covered]);
        for (place, byte) in header.iter_mut().zip(covered.into_iter().chain(sum.to_le_bytes())) {
            *place = byte;
        }
        self.write(half, 0, &header)?;
        (self.active, self.generation) = (half, generation);
        self.end = u32::try_from(offset).map_err(|_| FlashError::Full)?;
        Ok(())
    }

    fn append_changes(&mut self, changes: &[Change]) -> Result<(), FlashError<F::Error>> {
        let mut entry = Vec::new();
        for change in changes {
            match change {
                Change::Put { key, value } => push_change(&mut entry, key, Some(value)),
                Change::Delete { key } => push_change(&mut entry, key, None),
            }
        }
        if entry.is_empty() {
            return Ok(());
        }
        let needed = Self::align(HEAD).saturating_add(Self::align(entry.len()));
        if needed > self.room() {
            self.rewrite()?;
        }
        let end = self.append(self.active, self.end as usize, &mut entry)?;
        self.end = u32::try_from(end).map_err(|_| FlashError::Full)?;
        Ok(())
    }
}

/// One change: the key's length and key, the value's length plus one, or 0, and the value.
fn push_change(entry: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    // Keys and values have limits far below.
    entry.push(u8::try_from(key.len()).unwrap_or(u8::MAX));
    entry.extend_from_slice(key);
    let length = value.map_or(0, |value| u32::try_from(value.len()).unwrap_or(u32::MAX).saturating_add(1));
    entry.extend_from_slice(&length.to_le_bytes());
    entry.extend_from_slice(value.unwrap_or_default());
}

type SplitChange<'a> = (&'a [u8], Option<&'a [u8]>, &'a [u8]);

fn split_change(bytes: &[u8]) -> Option<SplitChange<'_>> {
    let (length, rest) = bytes.split_first()?;
    let (key, rest) = rest.split_at_checked(usize::from(*length))?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    match (u32::from_le_bytes(*length) as usize).checked_sub(1) {
        None => Some((key, None, rest)),
        Some(length) => {
            let (value, rest) = rest.split_at_checked(length)?;
            Some((key, Some(value), rest))
        }
    }
}

impl<F: NorFlash> Storage for FlashRecords<F> {
    type Error = FlashError<F::Error>;

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Self::Error> {
        Ok(self.records.get(key).cloned())
    }

    fn scan(&mut self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Record>, Self::Error> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let records = self.records.range::<[u8], _>((start, Bound::Unbounded));
        let records = records.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(records.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), Self::Error> {
        if self.stopped {
            return Err(FlashError::Stopped);
        }
        // Written anew, the records must not hold what is not committed: memory follows the flash.
        let result = self.append_changes(changes);
        if result.is_err() {
            self.stopped = true;
            return result;
        }
        for change in changes {
            match change {
                Change::Put { key, value } => drop(self.records.insert(key.clone(), value.clone())),
                Change::Delete { key } => drop(self.records.remove(key)),
            }
        }
        Ok(())
    }
}
