//! Files of another server, taken over as a whole.
//!
//! The first byte says where messages are and how far the way goes; then come the files, with a zero byte between them:
//! the store log, the message log, the notification log, the statistics, and the state and the messages of one journal.
//!
//! Whatever is in them, an import ends; what it leaves out it names by file and line; done again it does the same; and
//! what is then exported is imported without loss, and exported the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use smp_std::identity::{Identity, KeyAlgorithm};
use smp_std::relay::moving::{ImportReport, MessageForm, MovingError, Sources, export, import};

const STORE_LOG: &str = "smp-server-store.log";
const MESSAGE_LOG: &str = "smp-server-messages.log";
const NOTIFICATION_LOG: &str = "smp-server-ntfs.log";
const STATISTICS: &str = "smp-server-stats.log";

/// The queue that has a journal, as in the sample of smp-std's tests.
const QUEUE: &str = "9vm_bRgW10NUbzRGhLbEyrvr0JwcJMtf";
const JOURNAL: &str = "messages/9v/m_/bR/gW/10NUbzRGhLbEyrvr0JwcJMtf";

const INI: &str =
    "[STORE_LOG]\nenable = on\nstore_queues = memory\nstore_messages = memory\n[TRANSPORT]\nport = 5223\n";

/// Certificates and keys, by the names of their files.
static IDENTITY: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let folder = workplace();
    Identity::create(folder.path(), KeyAlgorithm::Ed25519, "localhost").expect("an identity can be made");
    let entries = fs::read_dir(folder.path()).expect("the folder is there").flatten();
    let read = entries.map(|entry| {
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("the file is there"))
    });
    read.collect()
});

/// A folder in memory, where there is such a place.
fn workplace() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
        .expect("there is room for a folder")
}

fn write(path: PathBuf, content: &[u8]) {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).expect("a folder can be made");
    }
    fs::write(path, content).expect("a file can be written");
}

/// Plays an input.
pub fn play(data: &[u8]) {
    let Some((flags, data)) = data.split_first() else { return };
    let (journal, further) = (flags & 1 != 0, flags & 2 != 0);
    let folder = workplace();
    let (etc, var) = (folder.path().join("etc"), folder.path().join("var"));
    let ini = if journal { INI.replace("messages = memory", "messages = journal") } else { INI.to_owned() };
    write(etc.join("smp-server.ini"), ini.as_bytes());
    IDENTITY.iter().for_each(|(name, content)| write(etc.join(name), content));
    let state = format!("{JOURNAL}/queue_state.{QUEUE}.log");
    let messages = format!("{JOURNAL}/messages.6wPbq3mxtsEdPWad.log");
    let names = [STORE_LOG, MESSAGE_LOG, NOTIFICATION_LOG, STATISTICS, &state, &messages];
    let files = names.into_iter().zip(data.split(|byte| *byte == 0));
    let files: Vec<_> = files.filter(|(_, content)| !content.is_empty()).collect();
    files.iter().for_each(|(name, content)| write(var.join(name), content));

    let sources = Sources { configuration: etc, data: var };
    let take = |name: &str| import(&sources, &folder.path().join(name), false);
    let report = match (take("first"), take("second")) {
        (Ok(first), Ok(second)) => {
            assert_eq!(shown(&first), shown(&second), "taken over in another way the second time");
            first
        }
        (Err(first), Err(second)) => {
            // Damaged files are taken as far as they go.
            assert!(matches!(first, MovingError::Io { .. } | MovingError::Store(_)), "{first}");
            return assert_eq!(first.to_string(), second.to_string());
        }
        (first, second) => panic!("once {first:?}, once {second:?}"),
    };
    check_places(&report, &files);
    if further {
        round(&folder, &report);
    }
}

fn shown(report: &ImportReport) -> String {
    let ImportReport { counts, taken, rejected, places, notes, .. } = report;
    format!("{counts:?} {taken:?} {rejected:?} {places:?} {notes:?}")
}

/// What was left out is named by its file and a line of it, or as a file that is not there or says too little.
fn check_places(report: &ImportReport, files: &[(&str, &[u8])]) {
    for (place, reason) in &report.places {
        let Some((name, number)) = place.rsplit_once(':') else { continue };
        let number: usize = number.parse().unwrap_or_else(|_| panic!("{place:?} names no line: {reason}"));
        let lines = files.iter().filter(|(path, _)| path.rsplit('/').next() == Some(name));
        let lines = lines.map(|(_, content)| content.split(|byte| *byte == b'\n').count()).max();
        assert!((1..=lines.unwrap_or(0)).contains(&number), "{place:?} is no place: {reason}");
    }
    let counted: u64 = report.rejected.iter().map(|(_, _, count)| count).sum();
    assert!(report.places.len() as u64 == counted.min(20), "{counted} left out, {:?} named", report.places);
}

/// What was taken over is exported, taken over again, and exported again.
fn round(folder: &tempfile::TempDir, report: &ImportReport) {
    let at = |name: &str| folder.path().join(name);
    let exported = export(&at("first"), &at("out"), MessageForm::Log).expect("what was taken over can be exported");
    let sources = Sources { configuration: at("out/etc"), data: at("out/var") };
    let again = import(&sources, &at("again"), false).expect("what was exported can be imported");
    assert!(again.rejected.is_empty(), "not taken: {:?}", again.places);
    if exported.left_out.is_empty() {
        let counted = |report: &ImportReport| {
            let counts = &report.counts;
            [counts.queues, counts.messages, counts.services, counts.notifiers, counts.notifications]
        };
        assert_eq!(counted(&again), counted(report), "lost on the way");
    }
    let twice = export(&at("again"), &at("out again"), MessageForm::Log).expect("it can be exported again");
    assert!(twice.left_out.is_empty(), "left out the second time: {:?}", twice.left_out);
    for name in [STORE_LOG, MESSAGE_LOG] {
        let read = |out: &str| fs::read(at(out).join("var").join(name)).unwrap_or_default();
        let (first, second) = (read("out"), read("out again"));
        assert!(
            first == second,
            "{name} was\n{}\nand became\n{}",
            String::from_utf8_lossy(&first),
            String::from_utf8_lossy(&second)
        );
    }
}
