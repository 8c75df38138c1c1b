//! Mends the end of the engine's journal after a loss of power.
//!
//! The engine appends each batch to a preallocated file and syncs it before anything is acknowledged. When power fails in
//! between, the disk may have kept any of the batch's pages: it may be complete but for a hole of zeros. The engine skips
//! a batch that ends early, but refuses to open over one with a wrong checksum, because it cannot tell a torn write from
//! damage. Here it can be told: only the very last batch can be torn, and nothing of it was ever acknowledged.
//!
//! The format, of engine version 3 (integers little-endian): a batch is a start (1, item count u32, sequence number
//! u64), items (2, kind u8, compression u8, keyspace u64, key length u16, value length u32, stored length u32, key,
//! value) and an end (3, XXH3-64 of the items u64, `FJL` 3).

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::StoreError;

/// Cuts the last batch off the newest journal in `folder` if it is torn and nothing follows it. Whether it did.
pub(super) fn discard_torn_tail(folder: &Path) -> Result<bool, StoreError> {
    let Some(path) = newest_journal(folder)? else { return Ok(false) };
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let Some(start) = torn_batch(&file)? else { return Ok(false) };
    file.set_len(start)?;
    file.sync_all()?;
    tracing::warn!("discarded a write that a loss of power left incomplete; nothing of it had been acknowledged");
    Ok(true)
}

fn newest_journal(folder: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse().ok());
        if let Some(number) = number
            && newest.as_ref().is_none_or(|(highest, _)| number > *highest)
        {
            newest = Some((number, path));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// Where the torn last batch starts, if there is one.
fn torn_batch(file: &File) -> io::Result<Option<u64>> {
    let mut reader = BufReader::with_capacity(64 << 10, file);
    let mut start = 0;
    loop {
        match read_batch(&mut reader) {
            Ok(Batch::Whole) => start = reader.stream_position()?,
            Ok(Batch::Torn) => break,
            Ok(Batch::None) => return Ok(None),
            // Ends early: the engine copes with that itself.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let only_zeros_follow = only_zeros(&mut reader)?;
    Ok(only_zeros_follow.then_some(start))
}

enum Batch {
    Whole,
    Torn,
    None,
}

fn read_batch(reader: &mut impl Read) -> io::Result<Batch> {
    if array::<1>(reader)? != [1] {
        return Ok(Batch::None);
    }
    let expected = u32::from_le_bytes(array(reader)?);
    let _sequence_number: [u8; 8] = array(reader)?;
    let mut items = 0u32;
    let mut hash = Xxh3::new();
    loop {
        match array::<1>(reader)? {
            [2] => {
                let head: [u8; 20] = array(reader)?;
                hash.update(&[2]);
                hash.update(&head);
                let [.., k0, k1, _, _, _, _, v0, v1, v2, v3] = head;
                let length = u64::from(u16::from_le_bytes([k0, k1])) + u64::from(u32::from_le_bytes([v0, v1, v2, v3]));
                hash_exactly(reader, length, &mut hash)?;
                items = items.saturating_add(1);
            }
            [3] => {
                let checksum = u64::from_le_bytes(array(reader)?);
                let trailer: [u8; 4] = array(reader)?;
                let whole = trailer == *b"FJL\x03" && items == expected && checksum == hash.digest();
                return Ok(if whole { Batch::Whole } else { Batch::Torn });
            }
            _ => return Ok(Batch::None),
        }
    }
}

fn array<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn hash_exactly(reader: &mut impl Read, length: u64, hash: &mut Xxh3) -> io::Result<()> {
    let mut taken = reader.take(length);
    let mut buffer = [0; 4096];
    loop {
        let count = taken.read(&mut buffer)?;
        if count == 0 {
            return if taken.limit() == 0 { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) };
        }
        hash.update(buffer.get(..count).unwrap_or_default());
    }
}

fn only_zeros(reader: &mut impl Read) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok(true);
        }
        if buffer.iter().take(count).any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
}
