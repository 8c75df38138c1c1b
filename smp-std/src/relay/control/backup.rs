//! A copy of a relay that runs: its store, its configuration, its identity and its books, in a directory that another
//! relay can be started from.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::answer::Answer;
use crate::relay::store::{Store, StoreError};
use crate::relay::{Relay, audit, clock, config, disk, gauges, stats, web};

/// Files of the identity, as far as they are there.
const IDENTITY: [&str; 5] = ["ca.key", "ca.crt", "server.key", "server.crt", "fingerprint"];

/// Other files, as far as they are there.
const OTHERS: [&str; 6] =
    [config::FILE_NAME, clock::CLOCK_FILE, stats::STATE_FILE, stats::DAILY_FILE, audit::FILE_NAME, web::UPTIME_FILE];

/// The folder of the store inside a relay's directory.
const STORE: &str = "store";

/// Why there is no backup.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupError {
    /// The target is there and not an empty directory.
    NotEmpty,
    /// The copy would take what must stay free on the disk of the store.
    NoRoom {
        /// Bytes that are free.
        free: u64,
        /// Bytes that the store has, and those that must stay free.
        needed: u64,
    },
    /// A file could not be read or written.
    Io(io::Error),
    /// The store could not be read or written.
    Store(StoreError),
}

impl std::fmt::Display for BackupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotEmpty => f.write_str("the target must be an empty directory or not exist"),
            Self::NoRoom { free, needed } => write!(
                f,
                "the disk of the store has {} MiB free; a copy on it needs {} MiB with what must stay free",
                free >> 20,
                needed >> 20
            ),
            Self::Io(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BackupError {}

impl From<io::Error> for BackupError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Copies a relay from `directory` to `target`, which must not exist or be an empty directory. Everything that was
/// durable in `store` when this begins is in the copy. `target` is there only when the copy is complete and on disk;
/// until then it is `target` with `.incomplete` behind it, which is removed after a failure, and left there when the
/// process ends.
///
/// On the disk of the store, what `disk.messages_free_mib` says stays free: a copy that needs it is not begun, or given up.
///
/// # Errors
/// See [`BackupError`].
pub fn backup(directory: &Path, store: &Store, target: &Path, with_identity: bool) -> Result<(), BackupError> {
    match fs::read_dir(target) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(BackupError::NotEmpty);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(BackupError::NotEmpty),
        Err(error) => return Err(error.into()),
    }
    let mut incomplete = target.as_os_str().to_owned();
    incomplete.push(".incomplete");
    let incomplete = PathBuf::from(incomplete);
    DirBuilder::new().mode(0o700).create(&incomplete)?;
    let copied = copy_all(directory, store, &incomplete, with_identity);
    if copied.is_err() {
        // So that it does not fill the disk. The first error is the one to tell.
        let _ = fs::remove_dir_all(&incomplete);
    }
    copied?;
    fs::rename(&incomplete, target)?;
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok(File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?)
}

/// Copies everything to a directory that is there and empty.
fn copy_all(directory: &Path, store: &Store, incomplete: &Path, with_identity: bool) -> Result<(), BackupError> {
    let leave_free = must_stay_free(directory, incomplete)?;
    let folder = incomplete.join(STORE);
    DirBuilder::new().mode(0o700).create(&folder)?;
    store.backup(&folder, leave_free).map_err(BackupError::Store)?;
    let identity = IDENTITY.iter().filter(|_| with_identity);
    for name in identity.chain(&OTHERS) {
        copy(&directory.join(name), &incomplete.join(name))?;
    }
    if with_identity {
        for file in web_files(directory) {
            if let Some(folder) = file.parent() {
                DirBuilder::new().mode(0o700).recursive(true).create(incomplete.join(folder))?;
            }
            copy(&directory.join(&file), &incomplete.join(&file))?;
        }
    }
    Ok(File::open(incomplete)?.sync_all()?)
}

/// Bytes that must stay free on the disk of `target`: when the store is on another, or nowhere, none.
fn must_stay_free(directory: &Path, target: &Path) -> Result<u64, BackupError> {
    let store = directory.join(STORE);
    let device = match fs::metadata(&store) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        metadata => metadata?.dev(),
    };
    if device != fs::metadata(target)?.dev() {
        return Ok(0);
    }
    // As below: a configuration that cannot be read is no reason to refuse.
    let reserve = config::Config::load(directory).map(|config| config.disk).unwrap_or_default().free_for_messages();
    let free = disk::free_bytes(target);
    let needed = gauges::store_bytes(&store)?.saturating_add(reserve);
    if free < needed { Err(BackupError::NoRoom { free, needed }) } else { Ok(reserve) }
}

/// The web certificate and its key, as far as they are inside the relay's directory.
fn web_files(directory: &Path) -> Vec<PathBuf> {
    // A configuration that cannot be read is copied as it is; this is no place to complain.
    let Ok(config) = config::Config::load(directory) else { return Vec::new() };
    let inside = |path: &PathBuf| path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let known =
        |path: &PathBuf| IDENTITY.iter().chain(&OTHERS).any(|name| path == Path::new(name)) || path.starts_with(STORE);
    let mut files: Vec<PathBuf> = [config.web.certificate, config.web.key].into_iter().flatten().collect();
    files.retain(|path| inside(path) && !known(path));
    // One file can hold both.
    files.dedup();
    files
}

/// Copies a file with its permissions, if it is there.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = match File::open(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?,
    };
    let mode = source.metadata()?.permissions().mode() & 0o777;
    let mut copy = File::options().write(true).create_new(true).mode(mode).open(to)?;
    io::copy(&mut source, &mut copy)?;
    copy.sync_all()
}

impl Relay {
    pub(super) async fn back_up(self: &Arc<Self>, target: PathBuf, with_identity: bool) -> Answer {
        let Some(operator) = self.operator.get() else { return Answer::failed("the relay does not know its files") };
        let (directory, store) = (operator.directory.clone(), self.store.clone());
        let begun = std::time::Instant::now();
        let relay = Arc::clone(self);
        let copied = tokio::task::spawn_blocking(move || {
            relay.save_books_now(&directory)?;
            backup(&directory, &store, &target, with_identity)
        });
        let answer = match copied.await {
            Ok(Ok(())) => Ok(Answer::lines(format!("copied in {:.1} s", begun.elapsed().as_secs_f64()))),
            Ok(Err(error)) => Err(Answer::failed(error.to_string())),
            Err(_) => Err(Answer::failed("the backup failed")),
        };
        let details = if with_identity { "identity=yes" } else { "identity=no" };
        self.audited("backup", None, details, answer).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::store::{FjallOptions, StoreOptions};

    #[tokio::test]
    async fn a_copy_takes_nothing_of_what_must_stay_free() {
        let folder = tempfile::tempdir().unwrap();
        let (directory, target) = (folder.path().join("relay"), folder.path().join("copy"));
        let store = Store::fjall(&directory.join(STORE), &FjallOptions::default(), StoreOptions::default()).unwrap();
        let reserve_mib = (disk::free_bytes(folder.path()) >> 20) * 2;
        let config = format!("[disk]\nqueues_free_mib = {reserve_mib}\nmessages_free_mib = {reserve_mib}\n");
        fs::write(directory.join(config::FILE_NAME), config).unwrap();
        let error = backup(&directory, &store, &target, true).unwrap_err();
        let BackupError::NoRoom { free, needed } = error else { panic!("{error}") };
        assert!(free < needed && needed > reserve_mib << 20, "{free} {needed}");
        assert!(error.to_string().contains(&(needed >> 20).to_string()), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only the relay");

        fs::write(directory.join(config::FILE_NAME), "[disk]\nqueues_free_mib = 0\nmessages_free_mib = 0\n").unwrap();
        backup(&directory, &store, &target, true).unwrap();
        assert!(target.join(STORE).is_dir());
        store.close().await.unwrap();
    }

    #[test]
    fn a_copy_that_failed_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::memory(StoreOptions::default()).unwrap();
        let copied = backup(&folder.path().join("relay"), &store, &folder.path().join("copy"), true);
        assert!(matches!(copied, Err(BackupError::Store(StoreError::Engine(_)))), "{copied:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
