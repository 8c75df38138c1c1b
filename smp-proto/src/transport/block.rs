//! Blocks and the batches of transmissions inside (wire reference, sections 5 and 6.1).
//!
//! A block is `pad(content)`, or from version 11 on, between peers with session keys, an encrypted `pad(content)`. Padding
//! is [`pad_in_place`](crate::wire::pad_in_place) and [`unpad_range`](crate::wire::unpad_range); encryption is not made
//! here.

use core::fmt;
use core::ops::Range;

use crate::wire::{Decode, Error, ListIter, LongString, NonEmptyList, Reader, Writer};

/// The length of every block on a connection, in bytes.
pub const BLOCK_LENGTH: usize = 16_384;
/// The length of the tag in front of an encrypted block, in bytes.
pub const TAG_LENGTH: usize = 16;
/// The longest content of a block that is not encrypted, in bytes.
pub const PLAIN_CONTENT_LIMIT: usize = BLOCK_LENGTH - 2;
/// The longest content of an encrypted block, in bytes.
pub const ENCRYPTED_CONTENT_LIMIT: usize = BLOCK_LENGTH - TAG_LENGTH - 2;
/// Where content starts in a block that is not encrypted.
pub const PLAIN_CONTENT_START: usize = 2;
/// Where content starts in an encrypted block, before its encryption.
pub const ENCRYPTED_CONTENT_START: usize = TAG_LENGTH + 2;
/// The longest sum of encoded entries in a batch, in bytes, whether it gets encrypted or not.
pub const BATCH_ENTRIES_LIMIT: usize = BLOCK_LENGTH - 19;
/// The longest content a [`BatchWriter`] makes, in bytes.
pub const BATCH_CONTENT_LIMIT: usize = BATCH_ENTRIES_LIMIT + 1;
/// The longest transmission that fits a batch, in bytes.
pub const TRANSMISSION_LIMIT: usize = BATCH_ENTRIES_LIMIT - ENTRY_OVERHEAD;

/// The most entries a batch can have.
const BATCH_COUNT_LIMIT: usize = 255;
/// The length field of an entry.
const ENTRY_OVERHEAD: usize = 2;

/// The content of a block: 1 to 255 transmissions, found but not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<'a>(NonEmptyList<'a, LongString<'a>>);

impl<'a> Batch<'a> {
    /// Reads the content of a block. Fails as a whole when anything is missing or left over.
    pub fn decode(content: &'a [u8]) -> Result<Self, Error> {
        NonEmptyList::from_bytes(content).map(Self)
    }

    /// How many transmissions there are, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// The encoded transmissions in order.
    #[must_use]
    pub fn iter(&self) -> Transmissions<'a> {
        Transmissions(self.0.iter())
    }
}

impl<'a> IntoIterator for &Batch<'a> {
    type Item = &'a [u8];
    type IntoIter = Transmissions<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterates the encoded transmissions of a [`Batch`].
#[derive(Clone, Debug)]
pub struct Transmissions<'a>(ListIter<'a, LongString<'a>>);

impl<'a> Iterator for Transmissions<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.0.next().map(|entry| entry.as_bytes())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

/// Why a transmission was not added to a batch. The batch is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum BatchError {
    /// It does not fit behind the others: send this batch and add it to the next one.
    Full,
    /// It fits no batch.
    TooLarge,
    /// It could not be written.
    Encode(Error),
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the batch is full"),
            Self::TooLarge => f.write_str("the transmission is too large for any block"),
            Self::Encode(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for BatchError {}

/// Packs transmissions into the content of one block, in order, straight into the caller's buffer.
///
/// Give it the part of a block from [`PLAIN_CONTENT_START`] or [`ENCRYPTED_CONTENT_START`] on, and nothing has to be
/// copied. A buffer shorter than [`BATCH_CONTENT_LIMIT`] makes smaller batches.
#[derive(Debug)]
pub struct BatchWriter<'b> {
    writer: Writer<'b>,
    count: u8,
}

impl<'b> BatchWriter<'b> {
    /// An empty batch. Fails with [`Error::NoSpace`] when the buffer is empty.
    pub fn new(buffer: &'b mut [u8]) -> Result<Self, Error> {
        let length = buffer.len().min(BATCH_CONTENT_LIMIT);
        let mut writer = Writer::new(buffer.get_mut(..length).ok_or(Error::NoSpace)?);
        writer.u8(0)?;
        Ok(Self { writer, count: 0 })
    }

    /// Adds the transmission that `transmission` writes.
    pub fn push(&mut self, transmission: impl FnOnce(&mut Writer<'_>) -> Result<(), Error>) -> Result<(), BatchError> {
        let count = self.count.checked_add(1).ok_or(BatchError::Full)?;
        let start = self.writer.len();
        match self.writer.long_with(transmission) {
            Ok(()) => {
                self.count = count;
                Ok(())
            }
            Err(error) => {
                self.writer.truncate(start);
                Err(match error {
                    Error::NoSpace if self.count > 0 => BatchError::Full,
                    Error::NoSpace | Error::TooLong => BatchError::TooLarge,
                    error => BatchError::Encode(error),
                })
            }
        }
    }

    /// How many transmissions were added.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether none was added yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The content, from the front of the buffer; nothing when no transmission was added.
    #[must_use]
    pub fn finish(self) -> Option<&'b [u8]> {
        let content = self.writer.into_written();
        *content.first_mut()? = self.count;
        if self.count > 0 { Some(content) } else { None }
    }
}

/// What becomes of some of the entries given to [`pack_batches`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packed {
    /// These entries share a block.
    Batch(Range<usize>),
    /// This entry fits no block and is not sent.
    TooLarge(usize),
}

/// Divides entries of these encoded lengths (without their length fields) into batches the way deployed peers do: from
/// the end of the list, so the first block of a long list may be the short one. An entry that is too large ends the batch
/// being built. The groups come last one first.
pub fn pack_batches<I>(lengths: I) -> impl Iterator<Item = Packed>
where
    I: IntoIterator<Item = usize, IntoIter: DoubleEndedIterator + ExactSizeIterator>,
{
    let mut entries = lengths.into_iter().enumerate().rev().peekable();
    core::iter::from_fn(move || {
        let (last, length) = entries.next()?;
        let mut sum = length.saturating_add(ENTRY_OVERHEAD);
        if sum > BATCH_ENTRIES_LIMIT {
            return Some(Packed::TooLarge(last));
        }
        let end = last.saturating_add(1);
        let mut start = last;
        while let Some((index, length)) = entries.peek() {
            sum = sum.saturating_add(*length).saturating_add(ENTRY_OVERHEAD);
            if sum > BATCH_ENTRIES_LIMIT || end.saturating_sub(*index) > BATCH_COUNT_LIMIT {
                break;
            }
            start = *index;
            entries.next();
        }
        Some(Packed::Batch(start..end))
    })
}

/// Reads a batch that must hold exactly one transmission, as forwarded ones do (wire reference, section 12.3).
pub fn decode_single(content: &[u8]) -> Result<&[u8], Error> {
    let mut reader = Reader::new(content);
    if reader.u8()? != 1 {
        return Err(Error::Invalid);
    }
    let transmission = reader.long()?;
    reader.finish()?;
    Ok(transmission)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// How many entries of a length share a block.
    fn capacity(length: usize) -> usize {
        let mut buffer = [0; BATCH_CONTENT_LIMIT];
        let mut batch = BatchWriter::new(&mut buffer).unwrap();
        while batch.push(|writer| writer.bytes(&vec![7; length])).is_ok() {}
        batch.len()
    }

    #[test]
    fn blocks_hold_as_many_as_deployed_peers_put_in() {
        // Wire reference, section 6.1: encoded lengths of SUB and NMSG, two bytes of them the length field.
        assert_eq!(capacity(153 - 2), 106);
        assert_eq!(capacity(121 - 2), 135);
        assert_eq!(capacity(137 - 2), 119);
        assert_eq!(capacity(203 - 2), 80);
        assert_eq!(capacity(0), 255);
    }

    #[test]
    fn a_refused_transmission_leaves_no_trace() {
        let mut buffer = vec![0xee; BLOCK_LENGTH];
        let mut batch = BatchWriter::new(&mut buffer).unwrap();
        assert_eq!(batch.push(|writer| writer.bytes(&[1; TRANSMISSION_LIMIT + 1])), Err(BatchError::TooLarge));
        assert!(batch.is_empty());
        batch.push(|writer| writer.bytes(&[1; 100])).unwrap();
        assert_eq!(batch.push(|writer| writer.bytes(&[2; TRANSMISSION_LIMIT])), Err(BatchError::Full));
        let failed = batch.push(|writer| {
            writer.bytes(&[3; 10])?;
            Err(Error::Invalid)
        });
        assert_eq!(failed, Err(BatchError::Encode(Error::Invalid)));
        batch.push(|writer| writer.bytes(&[4; 5])).unwrap();
        assert_eq!(batch.len(), 2);
        let content = batch.finish().unwrap();
        assert_eq!(content, [&[2, 0, 100][..], &[1; 100], &[0, 5], &[4; 5]].concat());
    }

    #[test]
    fn the_largest_transmission_fits_every_block() {
        let mut buffer = [0; BLOCK_LENGTH];
        let mut batch = BatchWriter::new(&mut buffer).unwrap();
        batch.push(|writer| writer.bytes(&[1; TRANSMISSION_LIMIT])).unwrap();
        assert_eq!(batch.push(|writer| writer.bytes(&[])), Err(BatchError::Full));
        let content = batch.finish().unwrap();
        assert_eq!(content.len(), BATCH_CONTENT_LIMIT);
        assert!(content.len() <= ENCRYPTED_CONTENT_LIMIT);
    }

    #[test]
    fn no_transmission_is_no_batch() {
        assert_eq!(BatchWriter::new(&mut [0; 10]).unwrap().finish(), None);
        assert!(BatchWriter::new(&mut []).is_err());
    }

    #[test]
    fn batches_are_read_as_a_whole() {
        let content = [&[3, 0, 1, 7, 0, 0, 0, 2][..], b"ab"].concat();
        let batch = Batch::decode(&content).unwrap();
        assert_eq!(batch.len(), 3);
        assert_eq!(batch.iter().collect::<Vec<_>>(), [&[7][..], b"", b"ab"]);
        for end in 0..content.len() {
            assert!(Batch::decode(&content[..end]).is_err());
        }
        assert!(Batch::decode(&[&content[..], b"x"].concat()).is_err());
        assert!(Batch::decode(&[0]).is_err());
    }

    #[test]
    fn forwarded_batches_have_one_transmission() {
        assert_eq!(decode_single(&[1, 0, 2, 5, 6]), Ok(&[5, 6][..]));
        for bad in [&[][..], &[0], &[1], &[1, 0, 2, 5], &[1, 0, 2, 5, 6, 7], &[2, 0, 0, 0, 0]] {
            assert!(decode_single(bad).is_err());
        }
    }

    #[test]
    fn every_entry_is_packed_once_and_in_order() {
        let mut state = 1u32;
        for _ in 0..200 {
            let mut random = |below: u32| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                usize::try_from((state >> 8) % below).unwrap()
            };
            let count = random(700);
            let longest = [3, 200, 9_000, 17_000][random(4)];
            let lengths: Vec<_> = (0..count).map(|_| random(longest)).collect();
            let mut end = lengths.len();
            for packed in pack_batches(lengths.iter().copied()) {
                match packed {
                    Packed::TooLarge(index) => {
                        assert_eq!(index + 1, end);
                        assert!(lengths[index] > TRANSMISSION_LIMIT);
                        end = index;
                    }
                    Packed::Batch(range) => {
                        assert_eq!(range.end, end);
                        assert!(!range.is_empty() && range.len() <= 255);
                        let sum: usize = lengths[range.clone()].iter().map(|length| length + 2).sum();
                        assert!(sum <= BATCH_ENTRIES_LIMIT);
                        // No other entry would have fitted.
                        if let Some(before) = range.start.checked_sub(1) {
                            assert!(sum + lengths[before] + 2 > BATCH_ENTRIES_LIMIT || range.len() == 255);
                        }
                        end = range.start;
                    }
                }
            }
            assert_eq!(end, 0);
        }
    }
}
