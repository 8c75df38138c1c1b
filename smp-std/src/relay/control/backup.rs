//! A copy of a relay that runs: its store, its configuration, its identity and its books, in a directory that another
//! relay can be started from.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::answer::Answer;
use crate::relay::store::{Store, StoreError};
use crate::relay::{Relay, audit, clock, config, stats, web};

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
    /// A file could not be read or written.
    Io(io::Error),
    /// The store could not be read or written.
    Store(StoreError),
}

impl std::fmt::Display for BackupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotEmpty => f.write_str("the target must be an empty directory or not exist"),
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
/// until then it is `target` with `.incomplete` behind it, which is left there after a failure.
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
    let folder = incomplete.join(STORE);
    DirBuilder::new().mode(0o700).create(&folder)?;
    store.backup(&folder).map_err(BackupError::Store)?;
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
    File::open(&incomplete)?.sync_all()?;
    fs::rename(&incomplete, target)?;
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok(File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?)
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
