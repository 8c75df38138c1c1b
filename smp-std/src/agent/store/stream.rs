//! A text of any length, sealed in chunks, so that no part of it is believed before it was verified. The format is in the
//! documentation of [`store`](super).

use std::io::{Read, Write};

use zeroize::Zeroizing;

use super::error::{Part, StorageError};
use super::key::{Key, NONCE_LENGTH, TAG_LENGTH};

const CHUNK: usize = 65_536;

fn nonce(number: u64, last: bool) -> [u8; NONCE_LENGTH] {
    let mut nonce = [0; NONCE_LENGTH];
    if let Some((counter, [flag, ..])) = nonce.split_first_chunk_mut::<8>() {
        *counter = number.to_be_bytes();
        *flag = u8::from(last);
    }
    nonce
}

fn damaged() -> StorageError {
    StorageError::Damaged(Part::Content)
}

/// Seals what is written to it.
pub(super) struct ChunkWriter<W> {
    out: W,
    key: Key,
    number: u64,
    chunk: Zeroizing<Vec<u8>>,
}

impl<W: Write> ChunkWriter<W> {
    pub(super) fn new(out: W, key: Key) -> Self {
        Self { out, key, number: 0, chunk: Zeroizing::new(Vec::with_capacity(CHUNK.saturating_add(TAG_LENGTH))) }
    }

    pub(super) fn write(&mut self, mut text: &[u8]) -> Result<(), StorageError> {
        while !text.is_empty() {
            // A full chunk waits until it is known not to be the last.
            if self.chunk.len() == CHUNK {
                self.seal(false)?;
            }
            let (now, later) = text.split_at(text.len().min(CHUNK.saturating_sub(self.chunk.len())));
            self.chunk.extend_from_slice(now);
            text = later;
        }
        Ok(())
    }

    /// Seals the last chunk.
    pub(super) fn finish(mut self) -> Result<W, StorageError> {
        self.seal(true)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn seal(&mut self, last: bool) -> Result<(), StorageError> {
        self.key.seal(&nonce(self.number, last), &[], &mut self.chunk)?;
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        self.number = self.number.checked_add(1).ok_or(StorageError::Length)?;
        Ok(())
    }
}

/// Opens what is read from it.
pub(super) struct ChunkReader<R> {
    input: R,
    key: Key,
    number: u64,
    /// The chunk that follows, sealed; empty after the last.
    next: Vec<u8>,
    /// Text that was verified, from `position` on not yet taken.
    text: Zeroizing<Vec<u8>>,
    position: usize,
}

impl<R: Read> ChunkReader<R> {
    /// Opens the first chunk.
    pub(super) fn new(input: R, key: Key) -> Result<Self, StorageError> {
        let mut reader = Self { input, key, number: 0, next: Vec::new(), text: Zeroizing::default(), position: 0 };
        reader.next = reader.sealed()?;
        reader.open()?;
        Ok(reader)
    }

    /// The next `length` bytes, at most a chunk's.
    pub(super) fn take(&mut self, length: usize) -> Result<Zeroizing<Vec<u8>>, StorageError> {
        let mut taken = Zeroizing::new(Vec::with_capacity(length));
        while taken.len() < length {
            let rest = self.text.get(self.position..).unwrap_or_default();
            if rest.is_empty() {
                self.open()?;
                continue;
            }
            let count = rest.len().min(length.saturating_sub(taken.len()));
            taken.extend_from_slice(rest.get(..count).unwrap_or_default());
            self.position = self.position.saturating_add(count);
        }
        Ok(taken)
    }

    /// Checks that nothing is left.
    pub(super) fn finish(self) -> Result<(), StorageError> {
        if self.position == self.text.len() && self.next.is_empty() { Ok(()) } else { Err(damaged()) }
    }

    fn sealed(&mut self) -> Result<Vec<u8>, StorageError> {
        let full = CHUNK.saturating_add(TAG_LENGTH);
        let mut sealed = Vec::with_capacity(full);
        self.input.by_ref().take(full as u64).read_to_end(&mut sealed)?;
        Ok(sealed)
    }

    fn open(&mut self) -> Result<(), StorageError> {
        let following = if self.next.len() == CHUNK.saturating_add(TAG_LENGTH) { self.sealed()? } else { Vec::new() };
        let mut text = Zeroizing::new(std::mem::replace(&mut self.next, following));
        self.key.open(&nonce(self.number, self.next.is_empty()), &[], &mut text).map_err(|_| damaged())?;
        // No text is empty, and a chunk follows another when there is more to say.
        if text.is_empty() {
            return Err(damaged());
        }
        (self.text, self.position) = (text, 0);
        self.number = self.number.checked_add(1).ok_or_else(damaged)?;
        Ok(())
    }
}
