//! Exports behind their passphrase, with a key that everybody knows: only in the builds of fuzzers, which would otherwise
//! spend their time in Argon2.

use std::path::Path;
use std::sync::LazyLock;

use super::database::Database;
use super::key::{Key, Purpose, wrap_key};
use super::stream::{ChunkReader, ChunkWriter};
use super::{Cost, Passphrase, SqliteStorage, StorageError, transfer};

const KEY: [u8; 32] = [7; 32];

/// The header of all stores, whose key it wraps.
static HEADER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let passphrase = Passphrase::empty().with_cost(Cost::WEAKEST);
    passphrase.and_then(|it| wrap_key(Purpose::Store, &Key::new(&KEY), &it)).unwrap_or_default()
});

/// Seals any text as the text of an export is sealed.
///
/// # Errors
/// None for texts that fit into memory.
pub fn seal(text: &[u8]) -> Result<Vec<u8>, StorageError> {
    let mut writer = ChunkWriter::new(Vec::new(), Key::new(&KEY));
    writer.write(text)?;
    writer.finish()
}

/// Makes a store of a sealed text, which is [`SqliteStorage::import`] after the header.
///
/// # Errors
/// Those of [`SqliteStorage::import`].
pub fn import(sealed: &[u8], store: &Path) -> Result<SqliteStorage, StorageError> {
    let input = ChunkReader::new(sealed, Key::new(&KEY))?;
    let database = Database::create_with(store, Key::new(&KEY), &HEADER, |database| transfer::fill(database, input))?;
    Ok(SqliteStorage::new(database))
}

/// The sealed text of a store's export.
///
/// # Errors
/// Those of [`SqliteStorage::export`].
pub fn export(store: &SqliteStorage) -> Result<Vec<u8>, StorageError> {
    transfer::write(&store.0.lock(), Vec::new(), Key::new(&KEY))
}
