//! The data folder: one encrypted file.

use std::path::{Path, PathBuf};

use clap::Args;
use smp_std::agent::store::{Passphrase, SqliteStorage, StorageError};

use super::book::Book;
use super::passphrase::{Purpose, Unlock};
use super::settings::Settings;
use crate::failure::{Failure, STATE};

/// The store's name in the folder.
const STORE: &str = "chat.db";

/// Where everything is kept.
#[derive(Clone, Debug, Args)]
pub(crate) struct Folder {
    /// The folder with your conversations.
    #[arg(long, value_name = "FOLDER", default_value = "./smp-chat", global = true)]
    data: PathBuf,
    #[command(flatten)]
    unlock: Unlock,
}

impl Folder {
    /// Makes the folder, where there is none, with an empty store in it.
    pub(crate) fn create(&self) -> Result<SqliteStorage, Failure> {
        self.make()?;
        let passphrase = self.unlock.passphrase(Purpose::New)?;
        SqliteStorage::create(&self.store(), &passphrase).map_err(|error| self.failed(error))
    }

    /// Opens the store, and reads the settings.
    pub(crate) fn open(&self) -> Result<(SqliteStorage, Settings), Failure> {
        // Before somebody types a passphrase for nothing.
        if !self.store().exists() {
            return Err(self.failed(StorageError::NotFound));
        }
        let storage = self.open_store(&self.unlock.passphrase(Purpose::Existing)?)?;
        let settings = Book::new(storage.clone()).settings()?;
        let settings =
            settings.ok_or_else(|| Failure::new(STATE, "smp chat init did not complete; delete the folder"))?;
        Ok((storage, settings))
    }

    /// Writes everything to a file of its own.
    pub(crate) fn export(&self, file: &Path) -> Result<(), Failure> {
        let passphrase = self.unlock.passphrase(Purpose::Existing)?;
        let storage = self.open_store(&passphrase)?;
        let failed = |error| Failure::new(STATE, format_args!("{}: {error}", file.display()));
        storage.export(file, &passphrase).map_err(failed)
    }

    /// Makes a folder of an exported file.
    pub(crate) fn import(&self, file: &Path) -> Result<(), Failure> {
        if self.store().exists() {
            return Err(self.failed(StorageError::Exists));
        }
        let passphrase = self.unlock.passphrase(Purpose::Existing)?;
        self.make()?;
        let failed = |error| Failure::new(STATE, format_args!("{}: {error}", file.display()));
        SqliteStorage::import(file, &passphrase, &self.store(), &passphrase).map_err(failed)?;
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.data
    }

    fn make(&self) -> Result<(), Failure> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.data).map_err(|error| self.failed(error.into()))
    }

    fn store(&self) -> PathBuf {
        self.data.join(STORE)
    }

    fn open_store(&self, passphrase: &Passphrase) -> Result<SqliteStorage, Failure> {
        SqliteStorage::open(&self.store(), passphrase).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: StorageError) -> Failure {
        let folder = self.data.display();
        Failure::new(
            STATE,
            match error {
                StorageError::NotFound => format!("there is nothing in {folder}; smp chat init begins"),
                StorageError::Exists => format!("{folder} is in use already; --data names another folder"),
                StorageError::InUse => format!("another smp chat is running with {folder}"),
                StorageError::WrongPassphrase => "the passphrase is wrong".to_owned(),
                error => format!("{folder}: {error}"),
            },
        )
    }
}
