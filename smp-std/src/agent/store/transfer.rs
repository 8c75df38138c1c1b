//! Exports: a whole store in one file that does not depend on SQLite. The format is in the documentation of
//! [`store`](super).

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use smp_agent::storage::{Change, MAX_KEY_LENGTH, MAX_VALUE_LENGTH};

use super::database::{Database, folder, temporary};
use super::error::{Part, StorageError};
use super::key::{self, HEADER_LENGTH, Key, Purpose};
use super::passphrase::Passphrase;
use super::stream::{ChunkReader, ChunkWriter};
use crate::identity::files::sync_directory;

const MAGIC: &[u8; 16] = b"SMP agent export";

/// How many bytes of records are put into a new store at a time.
const BATCH: usize = 1 << 20;

/// The key and the header of a new export.
pub(super) fn prepare(passphrase: &Passphrase) -> Result<(Key, Vec<u8>), StorageError> {
    let key = Key::random()?;
    let header = key::wrap_key(Purpose::Export, &key, passphrase)?;
    Ok((key, header))
}

/// Writes all records of a store.
pub(super) fn export(database: &Database, path: &Path, key: Key, header: &[u8]) -> Result<(), StorageError> {
    if std::fs::symlink_metadata(path).is_ok() {
        return Err(StorageError::Exists);
    }
    let mut file = temporary(path)?;
    let mut out = BufWriter::new(file.as_file_mut());
    out.write_all(MAGIC)?;
    out.write_all(header)?;
    drop(write(database, out, key)?);
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(sync_directory(folder(path))?)
}

/// Writes the sealed text.
pub(super) fn write<W: Write>(database: &Database, out: W, key: Key) -> Result<W, StorageError> {
    let mut out = ChunkWriter::new(out, key);
    let mut records: u64 = 0;
    database.for_each(|key, value| {
        records = records.saturating_add(1);
        out.write(&[u8::try_from(key.len()).map_err(|_| StorageError::Damaged(Part::Record))?])?;
        out.write(key)?;
        out.write(&u32::try_from(value.len()).map_err(|_| StorageError::Damaged(Part::Record))?.to_be_bytes())?;
        out.write(value)
    })?;
    out.write(&[0])?;
    out.write(&records.to_be_bytes())?;
    out.finish()
}

/// Makes a store of an export.
pub(super) fn import(
    path: &Path,
    passphrase: &Passphrase,
    store: &Path,
    new_passphrase: &Passphrase,
) -> Result<Database, StorageError> {
    let mut input = BufReader::new(File::open(path)?);
    let mut head = Vec::with_capacity(MAGIC.len().saturating_add(HEADER_LENGTH));
    let length = u64::try_from(head.capacity()).unwrap_or_default();
    input.by_ref().take(length).read_to_end(&mut head)?;
    let header = head.strip_prefix(MAGIC).ok_or(StorageError::NotAnExport)?;
    let key = key::unwrap_key(Purpose::Export, header, passphrase)?;
    let input = ChunkReader::new(input, key)?;
    Database::create(store, new_passphrase, |database| fill(database, input))
}

/// Puts all records of the text into a store, if it is one.
pub(super) fn fill<R: Read>(database: &mut Database, mut input: ChunkReader<R>) -> Result<(), StorageError> {
    let damaged = || StorageError::Damaged(Part::Content);
    let (mut batch, mut size, mut records) = (Vec::new(), 0_usize, 0_u64);
    let mut last = Vec::new();
    loop {
        let length = usize::from(*input.take(1)?.first().ok_or_else(damaged)?);
        if length == 0 {
            break;
        }
        let key = input.take(length)?.to_vec();
        let value = input.take(4)?;
        let value = u32::from_be_bytes(*value.first_chunk().ok_or_else(damaged)?);
        let value = usize::try_from(value).map_err(|_| damaged())?;
        if length > MAX_KEY_LENGTH || value > MAX_VALUE_LENGTH || key <= last {
            return Err(damaged());
        }
        let value = input.take(value)?.to_vec();
        size = size.saturating_add(key.len()).saturating_add(value.len());
        records = records.saturating_add(1);
        last.clone_from(&key);
        batch.push(Change::Put { key, value });
        if size >= BATCH {
            database.commit(&batch)?;
            batch.clear();
            size = 0;
        }
    }
    if *input.take(8)? != records.to_be_bytes() {
        return Err(damaged());
    }
    database.commit(&batch)?;
    input.finish()
}
