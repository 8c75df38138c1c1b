//! The SQLite file of a store: how it is made, opened and changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, OpenFlags, OptionalExtension, Row, TransactionBehavior};
use smp_agent::storage::{Change, MAX_KEY_LENGTH, MAX_VALUE_LENGTH, Record};

use super::error::{Part, StorageError};
use super::key::{self, Key, Purpose};
use super::passphrase::Passphrase;
use crate::identity::files::sync_directory;

/// Tells a store from other databases: "SMPa".
const APPLICATION_ID: i64 = 0x534d_5061;

/// All that is in the schema, as SQLite keeps it: name and definition.
const TABLES: [(&str, &str); 2] = [
    ("header", "CREATE TABLE header (value BLOB NOT NULL) STRICT"),
    ("records", "CREATE TABLE records (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID"),
];

const GET: &str = "SELECT key, value FROM records WHERE key = ?1";
const SCAN: &str = "SELECT key, value FROM records WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3";
const ALL: &str = "SELECT key, value FROM records ORDER BY key";
const PUT: &str = "INSERT OR REPLACE INTO records (key, value) VALUES (?1, ?2)";
const DELETE: &str = "DELETE FROM records WHERE key = ?1";

/// Greater than every key.
const END: [u8; MAX_KEY_LENGTH + 1] = [0xff; MAX_KEY_LENGTH + 1];

/// After how many commits free pages are looked at.
const COMMITS_BETWEEN_VACUUMS: u32 = 64;
/// Free pages that may stay for what is written next: 4 MiB.
const FREE_PAGES: i64 = 1024;
/// How many pages are given back to the file system at a time: 2 MiB, so that no commit waits for long.
const PAGES_PER_VACUUM: u32 = 512;

/// An open store.
pub(super) struct Database {
    connection: Connection,
    key: Key,
    /// A commit failed: nothing is known any more.
    failed: bool,
    commits: u32,
}

impl Database {
    pub(super) fn open(path: &Path, passphrase: &Passphrase) -> Result<Self, StorageError> {
        let connection = connect(path)?;
        let key = key::unwrap_key(Purpose::Store, &header(&connection)?, passphrase)?;
        Ok(Self::new(connection, key))
    }

    fn new(connection: Connection, key: Key) -> Self {
        Self { connection, key, failed: false, commits: 0 }
    }

    /// Makes a store with what `fill` puts into it. It appears under its name when it is complete, or not at all.
    pub(super) fn create(
        path: &Path,
        passphrase: &Passphrase,
        fill: impl FnOnce(&mut Self) -> Result<(), StorageError>,
    ) -> Result<Self, StorageError> {
        vacant(path)?;
        let key = Key::random()?;
        let header = key::wrap_key(Purpose::Store, &key, passphrase)?;
        Self::create_with(path, key, &header, fill)
    }

    /// The same with a key that is wrapped already.
    pub(super) fn create_with(
        path: &Path,
        key: Key,
        header: &[u8],
        fill: impl FnOnce(&mut Self) -> Result<(), StorageError>,
    ) -> Result<Self, StorageError> {
        let temporary = temporary(path)?.into_temp_path();
        let mut database = Self::new(new_connection(&temporary, header)?, key);
        fill(&mut database)?;
        let key = database.close()?;
        temporary.persist_noclobber(path).map_err(|error| error.error)?;
        sync_directory(folder(path))?;
        Ok(Self::new(connect(path)?, key))
    }

    /// Writes everything into the one file.
    fn close(self) -> Result<Key, StorageError> {
        checkpoint(&self.connection)?;
        self.connection.close().map_err(|(_, error)| error)?;
        Ok(self.key)
    }

    pub(super) fn header(&self) -> Result<Vec<u8>, StorageError> {
        self.usable()?;
        header(&self.connection)
    }

    pub(super) fn replace_header(&mut self, header: &[u8]) -> Result<(), StorageError> {
        self.usable()?;
        let replaced = self.connection.execute("UPDATE header SET value = ?1", [header]);
        // The former header shall not stay in the log.
        let replaced = replaced.map_err(StorageError::from).and_then(|_| checkpoint(&self.connection));
        self.failed |= replaced.is_err();
        replaced
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.usable()?;
        let mut statement = self.connection.prepare_cached(GET)?;
        let record = statement.query_row([key], |row| Ok(self.record(row))).optional()?;
        Ok(record.transpose()?.map(|(_, value)| value))
    }

    pub(super) fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Record>, StorageError> {
        self.usable()?;
        // The least key greater than `after` is `after` and an octet of zero.
        let start = after.filter(|after| *after >= prefix).map(|after| [after, &[0]].concat());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = self.connection.prepare_cached(SCAN)?;
        let rows = (start.as_deref().unwrap_or(prefix), successor(prefix), limit);
        let rows = statement.query_map(rows, |row| Ok(self.record(row)))?;
        rows.map(|record| record?).collect()
    }

    /// All records in the order of their keys, as they are at one moment.
    pub(super) fn for_each(
        &self,
        mut what: impl FnMut(&[u8], &[u8]) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        self.usable()?;
        let mut statement: CachedStatement<'_> = self.connection.prepare_cached(ALL)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (key, value) = self.record(row)?;
            let value = zeroize::Zeroizing::new(value);
            what(&key, &value)?;
        }
        Ok(())
    }

    fn record(&self, row: &Row<'_>) -> Result<Record, StorageError> {
        let key = row.get_ref(0)?.as_blob().map_err(|_| not_a_blob(0))?;
        let value = row.get_ref(1)?.as_blob().map_err(|_| not_a_blob(1))?;
        Ok((key.to_vec(), self.key.open_record(key, value)?))
    }

    pub(super) fn commit(&mut self, changes: &[Change]) -> Result<(), StorageError> {
        self.usable()?;
        let fits = |change: &Change| {
            let value = if let Change::Put { value, .. } = change { value.len() } else { 0 };
            (1..=MAX_KEY_LENGTH).contains(&change.key().len()) && value <= MAX_VALUE_LENGTH
        };
        if !changes.iter().all(fits) {
            return Err(StorageError::Length);
        }
        if changes.is_empty() {
            return Ok(());
        }
        let committed = self.write(changes).and_then(|()| self.give_back());
        self.failed = committed.is_err();
        committed
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StorageError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for change in changes {
            match change {
                Change::Put { key, value } => {
                    let sealed = self.key.seal_record(key, value)?;
                    transaction.prepare_cached(PUT)?.execute((key, sealed))?
                }
                Change::Delete { key } => transaction.prepare_cached(DELETE)?.execute([key])?,
            };
        }
        Ok(transaction.commit()?)
    }

    /// Gives pages back to the file system when many are free, a few at a time.
    fn give_back(&mut self) -> Result<(), StorageError> {
        self.commits = self.commits.wrapping_add(1);
        if !self.commits.is_multiple_of(COMMITS_BETWEEN_VACUUMS) {
            return Ok(());
        }
        let free: i64 = self.connection.prepare_cached("PRAGMA freelist_count")?.query_row([], |row| row.get(0))?;
        let pages: i64 = self.connection.prepare_cached("PRAGMA page_count")?.query_row([], |row| row.get(0))?;
        if free > FREE_PAGES.max(pages.checked_div(4).unwrap_or_default()) {
            let mut vacuum = self.connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_PER_VACUUM})"))?;
            let mut steps = vacuum.query([])?;
            while steps.next()?.is_some() {}
        }
        Ok(())
    }

    fn usable(&self) -> Result<(), StorageError> {
        if self.failed { Err(StorageError::Failed) } else { Ok(()) }
    }
}

fn not_a_blob(column: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, String::new(), Type::Null)
}

/// The least key that is greater than all with this prefix.
fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut successor = prefix.to_vec();
    while let Some(last) = successor.pop() {
        if let Some(next) = last.checked_add(1) {
            successor.push(next);
            return successor;
        }
    }
    END.to_vec()
}

/// The folder that a file is in.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file beside `path` that only its owner can read. It goes away unless it gets that name.
pub(super) fn temporary(path: &Path) -> Result<tempfile::NamedTempFile, StorageError> {
    Ok(tempfile::Builder::new().prefix(".").suffix(".new").tempfile_in(folder(path))?)
}

/// Whether nothing has that name, nor one that belongs to it.
fn vacant(path: &Path) -> Result<(), StorageError> {
    // SQLite would take what it finds beside a new file for the new file's.
    for suffix in ["", "-wal", "-journal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        if fs::symlink_metadata(PathBuf::from(name)).is_ok() {
            return Err(StorageError::Exists);
        }
    }
    Ok(())
}

/// Opens a store that exists.
fn connect(path: &Path) -> Result<Connection, StorageError> {
    // Not opened here: in this process, closing it would end SQLite's lock on it.
    if !fs::metadata(path)?.is_file() {
        return Err(StorageError::NotAStore);
    }
    let connection = open(path)?;
    let id: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if id != APPLICATION_ID {
        return Err(StorageError::NotAStore);
    }
    let mut statement = connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")?;
    let tables = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let tables: Vec<(String, String)> = tables.collect::<Result<_, _>>()?;
    drop(statement);
    if !tables.iter().map(|(name, sql)| (name.as_str(), sql.as_str())).eq(TABLES) {
        return Err(StorageError::NotAStore);
    }
    configure(&connection)?;
    Ok(connection)
}

/// Makes the tables in an empty file.
fn new_connection(path: &Path, header: &[u8]) -> Result<Connection, StorageError> {
    let mut connection = open(path)?;
    connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    configure(&connection)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}"))?;
    for (_, definition) in TABLES {
        transaction.execute_batch(definition)?;
    }
    transaction.execute("INSERT INTO header (value) VALUES (?1)", [header])?;
    transaction.commit()?;
    Ok(connection)
}

/// Opens a file, trusting nothing in it.
fn open(path: &Path) -> Result<Connection, StorageError> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::ZERO)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // No row and no statement is nearly as long.
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, 2 * MAX_VALUE_LENGTH as i32)?;
    // Before anything is read, so that the lock on the file is exclusive from the beginning, and the log needs no index
    // in shared memory.
    connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA cell_size_check = ON")?;
    Ok(connection)
}

/// What SQLite forgets when a file is closed.
///
/// Deleted records are overwritten, keys of messages among them, for which a commit of 16 KB writes a fifth more; larger
/// pages, or a table with row ids, would make it write half as much again and more.
fn configure(connection: &Connection) -> Result<(), StorageError> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StorageError::Damaged(Part::Database));
    }
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 1000;
         PRAGMA journal_size_limit = 4194304;
         PRAGMA secure_delete = ON;
         PRAGMA temp_store = MEMORY",
    )?;
    Ok(())
}

/// Empties the log into the database.
fn checkpoint(connection: &Connection) -> Result<(), StorageError> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy == 0 { Ok(()) } else { Err(StorageError::InUse) }
}

fn header(connection: &Connection) -> Result<Vec<u8>, StorageError> {
    let header = connection.query_row("SELECT value FROM header", [], |row| row.get(0)).optional()?;
    header.ok_or(StorageError::Damaged(Part::Header))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::store::Cost;

    #[test]
    fn successors_end_a_prefix() {
        assert_eq!(successor(&[1, 2]), [1, 3]);
        assert_eq!(successor(&[1, 0xff, 0xff]), [2]);
        assert_eq!(successor(&[0xff]), END);
        assert_eq!(successor(&[]), END);
    }

    #[test]
    fn a_full_disk_changes_nothing_and_stops_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.db");
        let passphrase = Passphrase::empty().with_cost(Cost::WEAKEST).unwrap();
        let put = |key: &[u8], length| Change::Put { key: key.to_vec(), value: vec![1; length] };
        let mut database = Database::create(&path, &passphrase, |_| Ok(())).unwrap();
        database.commit(&[put(b"before", 10)]).unwrap();
        database.connection.execute_batch("PRAGMA max_page_count = 12").unwrap();
        let full = database.commit(&[put(b"before", 20), put(b"during", 60_000)]);
        assert!(matches!(full, Err(StorageError::DiskFull)));
        assert!(matches!(database.commit(&[put(b"after", 1)]), Err(StorageError::Failed)));
        assert!(matches!(database.get(b"before"), Err(StorageError::Failed)));
        assert!(matches!(database.scan(&[], None, 1), Err(StorageError::Failed)));
        assert!(matches!(database.for_each(|_, _| Ok(())), Err(StorageError::Failed)));
        drop(database);
        let mut database = Database::open(&path, &passphrase).unwrap();
        assert_eq!(database.scan(&[], None, 9).unwrap(), [(b"before".to_vec(), vec![1; 10])]);
        database.commit(&[put(b"during", 60_000)]).unwrap();
    }

    /// What all promises rest on.
    #[test]
    fn sqlite_is_told_how_to_keep_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.db");
        let passphrase = Passphrase::empty().with_cost(Cost::WEAKEST).unwrap();
        drop(Database::create(&path, &passphrase, |_| Ok(())).unwrap());
        let database = Database::open(&path, &passphrase).unwrap();
        let pragma = |name: &str| -> String {
            let value =
                database
                    .connection
                    .query_row(&format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}"), [], |row| row.get(0));
            value.unwrap()
        };
        let settings =
            ["journal_mode", "locking_mode", "synchronous", "secure_delete", "auto_vacuum", "trusted_schema"];
        // synchronous 2 is FULL, auto_vacuum 2 is INCREMENTAL.
        assert_eq!(settings.map(pragma), ["wal", "exclusive", "2", "1", "2", "0"]);
    }
}
