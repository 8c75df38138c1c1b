//! A new store is there as a whole or not at all, whenever the power fails.
//!
//! The engine makes a folder for each keyspace and notes it elsewhere; a power cut in between leaves what it does not open,
//! or opens with one keyspace in the place of another. So a marker stands in the folder until all of it is on disk: what a
//! marker stands beside is made anew. Nothing was acknowledged by then.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::relay::store::StoreError;

const MARKER: &str = "creating";

/// A store that is being made. The marker is locked meanwhile.
pub(super) struct Creation {
    folder: PathBuf,
    marker: File,
}

impl Creation {
    /// Begins when there is no store in the folder, or one that was not finished.
    pub(super) fn begin(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(MARKER);
        let exists = || folder.join("version").try_exists();
        let is_new = !exists()?;
        if is_new {
            std::fs::create_dir_all(folder)?;
        }
        // A store that is there gets no marker, whoever may have finished it just now.
        let marker = match OpenOptions::new().write(true).create(is_new).truncate(false).open(&path) {
            Ok(marker) => marker,
            Err(error) if error.kind() == ErrorKind::NotFound && !is_new => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match marker.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        // Another made it in this moment, and has it open.
        if is_new && exists()? {
            std::fs::remove_file(&path)?;
            return Err(StoreError::InUse);
        }
        if !path.try_exists()? {
            return Err(StoreError::InUse);
        }
        marker.sync_all()?;
        sync_names(folder)?;
        for name in ["version", "0.jnl"] {
            match std::fs::remove_file(folder.join(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        match std::fs::remove_dir_all(folder.join("keyspaces")) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        Ok(Some(Self { folder: folder.to_owned(), marker }))
    }

    /// Everything is on disk.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        std::fs::remove_file(self.folder.join(MARKER))?;
        sync_names(&self.folder)?;
        drop(self.marker);
        Ok(())
    }
}

/// Makes the names in a folder last.
pub(super) fn sync_names(folder: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use crate::relay::store::{FjallBackend, FjallOptions};

    #[test]
    fn what_was_not_finished_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("keyspaces/3")).unwrap();
        std::fs::write(at("version"), b"FJL").unwrap();
        std::fs::write(at("0.jnl"), [0; 512]).unwrap();
        std::fs::write(at(MARKER), b"").unwrap();
        drop(FjallBackend::open(folder.path(), &FjallOptions::default()).unwrap());
        assert!(!at(MARKER).exists());
        drop(FjallBackend::open(folder.path(), &FjallOptions::default()).unwrap());
    }

    #[test]
    fn two_do_not_make_one_store() {
        let folder = tempfile::tempdir().unwrap();
        let first = Creation::begin(folder.path()).unwrap().unwrap();
        assert!(matches!(Creation::begin(folder.path()), Err(StoreError::InUse)));
        first.finish().unwrap();
    }
}
