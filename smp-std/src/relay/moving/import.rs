//! Taking over a server's files.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::MovingError;
use super::files::{create_folders, create_private, sync_folder};
use super::ini::Ini;
use super::load::{Loader, Taken};
use super::rejected::{REJECTED_FILE, Rejected};
use super::{Reason, journal, options};
use crate::identity::Identity;
use crate::relay::config;
use crate::relay::stats::{self, moved};
use crate::relay::store::{Backend, Counts, FjallBackend, FjallOptions};

/// The folder inside the new directory that holds everything until it is complete.
const PARTIAL: &str = "import.partial";
/// The file in it that says that it is.
const COMPLETE: &str = "complete";

/// The reference's names.
const INI: &str = "smp-server.ini";
const STORE_LOG: &str = "smp-server-store.log";
const MESSAGE_LOG: &str = "smp-server-messages.log";
const NOTIFICATION_LOG: &str = "smp-server-ntfs.log";
const JOURNAL: &str = "messages";

/// What an import makes, in the order in which it is moved to its place: a directory with a fingerprint is complete.
const MADE: [&str; 9] = [
    "store",
    REJECTED_FILE,
    stats::STATE_FILE,
    config::FILE_NAME,
    "ca.key",
    "server.key",
    "server.crt",
    "ca.crt",
    "fingerprint",
];

/// Longer configuration files are a mistake.
const LONGEST_INI: u64 = 1 << 20;

/// Where the files of a server are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// With `smp-server.ini`, certificates and keys; usually `/etc/opt/simplex`.
    pub configuration: PathBuf,
    /// With the logs; usually `/var/opt/simplex`.
    pub data: PathBuf,
}

impl Sources {
    /// Finds both below one folder, where operators have them: in the folder itself, in `etc` and `var`, in
    /// `etc/opt/simplex` and `var/opt/simplex`, or as the container examples call them.
    #[must_use]
    pub fn below(folder: &Path) -> Self {
        let configurations = ["", "etc", "etc/opt/simplex", "smp_configs", "config"];
        let datas = ["", "var", "var/opt/simplex", "smp_state", "logs", "data"];
        let logs = [STORE_LOG, "smp-server-store.log.start", MESSAGE_LOG, JOURNAL];
        let find = |names: &[&str], any: &[&str]| {
            let holds = |path: &PathBuf| any.iter().any(|name| path.join(name).exists());
            names.iter().map(|name| folder.join(name)).find(holds)
        };
        let configuration = find(&configurations, &[INI]).unwrap_or_else(|| folder.to_owned());
        let data = find(&datas, &logs).unwrap_or_else(|| configuration.clone());
        Self { configuration, data }
    }
}

/// What came of an import.
#[derive(Debug)]
#[non_exhaustive]
pub struct ImportReport {
    /// What the new store holds.
    pub counts: Counts,
    /// What was read.
    pub taken: Taken,
    /// How often something was not taken: the file's kind, why, how often.
    pub rejected: Vec<(String, Reason, u64)>,
    /// Where the first of them stood, and why they were not taken. All are in `import-rejected.log`.
    pub places: Vec<(String, Reason)>,
    /// Options of `smp-server.ini` that were not taken, each with the reason.
    pub options_left: Vec<String>,
    /// What else the operator should know.
    pub notes: Vec<String>,
}

/// Whether an import into this directory was interrupted. The directory is no relay's then; importing again starts over,
/// or finishes what was nearly done.
#[must_use]
pub fn is_unfinished(directory: &Path) -> bool {
    let partial = directory.join(PARTIAL);
    // An empty one beside a relay is the last thing that was to be removed.
    let is_done = || {
        let is_empty = std::fs::read_dir(&partial).is_ok_and(|mut entries| entries.next().is_none());
        is_empty && MADE.iter().any(|name| directory.join(name).symlink_metadata().is_ok())
    };
    partial.exists() && !is_done()
}

/// Makes a relay's directory of a server's files, which are only read. With `dry_run` everything is done as well, and
/// removed again at the end.
///
/// What is made stands in a folder of its own until it is complete. The caller holds the directory's lock.
///
/// # Errors
/// [`MovingError::NotEmpty`] when there is a relay, or something of one, in `directory`; see the others.
pub fn import(sources: &Sources, directory: &Path, dry_run: bool) -> Result<ImportReport, MovingError> {
    let partial = directory.join(PARTIAL);
    if partial.join(COMPLETE).exists() {
        // Everything was made, and some of it is in its place. The report of that is lost, nothing else.
        finish(directory)?;
    }
    for name in MADE {
        let path = directory.join(name);
        if path.symlink_metadata().is_ok() {
            return Err(MovingError::NotEmpty(directory.to_owned()));
        }
    }
    let ini = Ini::parse(&read_ini(&sources.configuration)?);
    let database = |key| ini.get("STORE_LOG", key) == Some("database");
    if database("store_queues") || database("store_messages") {
        return Err(MovingError::InDatabase);
    }
    let translation = options::translate(&ini, |path| File::open(path).is_ok());
    config::Config::parse(&translation.toml).map_err(MovingError::Options)?;
    Identity::load(&sources.configuration)?;

    create_folders(directory).map_err(MovingError::at(directory))?;
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(MovingError::at(&partial))?;
    }
    let made = make(sources, &ini, &translation, &partial);
    if dry_run || made.is_err() {
        // What is left of a failed attempt would only be in the way.
        let removed = fs::remove_dir_all(&partial);
        let report = made?;
        removed.map_err(MovingError::at(&partial))?;
        return Ok(report);
    }
    let report = made?;
    finish(directory)?;
    Ok(report)
}

fn make(
    sources: &Sources,
    ini: &Ini,
    translation: &options::Translation,
    partial: &Path,
) -> Result<ImportReport, MovingError> {
    let store = partial.join("store");
    create_folders(&store).map_err(MovingError::at(&store))?;
    let mut notes = Vec::new();
    let mut rejected = Rejected::new(partial);
    let backend = FjallBackend::open(&store, &FjallOptions::default())?;
    let mut loader = Loader::new(&backend, &mut rejected);
    load(sources, ini, &mut loader, &mut notes)?;
    let taken = loader.taken;
    if taken.unfinished_files > 0 {
        notes.push("the last line of a log has no end: the old server was stopped while it wrote it".to_owned());
    }
    let counts = backend.counts();
    drop(backend);
    rejected.finish().map_err(MovingError::at(&partial.join(REJECTED_FILE)))?;

    write(&partial.join(config::FILE_NAME), translation.toml.as_bytes(), true)?;
    for (name, private) in
        [("ca.crt", false), ("server.crt", false), ("fingerprint", false), ("server.key", true), ("ca.key", true)]
    {
        let path = sources.configuration.join(name);
        match fs::read(&path).map(Zeroizing::new) {
            Ok(content) => write(&partial.join(name), &content, private)?,
            // Best kept on another machine.
            Err(error) if name == "ca.key" && error.kind() == io::ErrorKind::NotFound => {
                notes.push("there is no ca.key, which is only needed to issue a new server.crt".to_owned());
            }
            Err(error) => return Err(MovingError::Io { path, error }),
        }
    }
    statistics(&sources.data.join(moved::FILE_NAME), partial, &mut notes)?;
    sync_folder(&store).and_then(|()| sync_folder(partial)).map_err(MovingError::at(partial))?;
    write(&partial.join(COMPLETE), b"", true)?;
    sync_folder(partial).map_err(MovingError::at(partial))?;
    Ok(ImportReport {
        counts,
        taken,
        rejected: rejected.counts.into_iter().map(|((group, reason), count)| (group, reason, count)).collect(),
        places: rejected.places,
        options_left: translation.left.clone(),
        notes,
    })
}

/// Takes the sums of the running day, if there are any.
fn statistics(path: &Path, partial: &Path, notes: &mut Vec<String>) -> Result<(), MovingError> {
    let taken = match File::open(path) {
        Ok(file) => moved::take(io::BufReader::new(file), partial),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
    };
    match taken {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            notes.push(format!("{} was not taken: it cannot be read; the day is counted anew", moved::FILE_NAME));
            Ok(())
        }
        Err(error) => Err(MovingError::Io { path: path.to_owned(), error }),
    }
}

/// Reads everything the data folder has.
fn load(sources: &Sources, ini: &Ini, loader: &mut Loader<'_>, notes: &mut Vec<String>) -> Result<(), MovingError> {
    let data = |name: &str| sources.data.join(name);
    let interrupted = data("smp-server-store.log.start");
    if interrupted.exists() {
        notes.push(
            "the old server was stopped while it rewrote its store log; what it had before is in \
             smp-server-store.log.start and was taken, as its next start would have done"
                .to_owned(),
        );
        loader.store_log(&interrupted)?;
    } else if data(STORE_LOG).exists() {
        loader.store_log(&data(STORE_LOG))?;
    } else {
        notes.push(format!("there is no {STORE_LOG}: no queue was taken, only the identity and the options"));
    }
    let journal = ini.get("STORE_LOG", "store_messages") == Some("journal");
    let (used, unused) = if journal { (JOURNAL, MESSAGE_LOG) } else { (MESSAGE_LOG, JOURNAL) };
    if data(unused).exists() {
        notes.push(format!("{unused} was not taken: smp-server.ini says that messages are kept elsewhere"));
    }
    match (data(used).exists(), journal) {
        (true, true) => {
            journal::read_all(&data(JOURNAL), loader)?;
            loader.flush()?;
        }
        (true, false) => loader.message_log(&data(MESSAGE_LOG))?,
        (false, true) => {}
        (false, false) => notes.push(format!(
            "there is no {MESSAGE_LOG}: the old server writes it when it is stopped with SIGINT, and only then; without \
             it no message was taken"
        )),
    }
    if data(NOTIFICATION_LOG).exists() {
        loader.notification_log(&data(NOTIFICATION_LOG))?;
    }
    Ok(())
}

/// Moves what is complete to its place. Interrupted, it can be called again.
fn finish(directory: &Path) -> Result<(), MovingError> {
    let partial = directory.join(PARTIAL);
    for name in MADE {
        let from = partial.join(name);
        if from.exists() {
            fs::rename(&from, directory.join(name)).map_err(MovingError::at(&from))?;
        }
    }
    sync_folder(directory).map_err(MovingError::at(directory))?;
    fs::remove_dir_all(&partial).map_err(MovingError::at(&partial))?;
    sync_folder(directory).map_err(MovingError::at(directory))
}

fn read_ini(folder: &Path) -> Result<String, MovingError> {
    let path = folder.join(INI);
    let mut file = match File::open(&path) {
        Ok(file) => file.take(LONGEST_INI),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(MovingError::NoConfiguration(folder.to_owned()));
        }
        Err(error) => return Err(MovingError::Io { path, error }),
    };
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(MovingError::at(&path))?;
    Ok(text)
}

fn write(path: &Path, content: &[u8], private: bool) -> Result<(), MovingError> {
    let written = || {
        let mut file = create_private(path)?;
        file.write_all(content)?;
        #[cfg(unix)]
        if !private {
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        }
        file.sync_all()
    };
    written().map_err(MovingError::at(path))
}
