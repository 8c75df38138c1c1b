use super::*;
use crate::relay::store::MessageKind;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples");

#[derive(Default)]
struct Found {
    messages: Vec<(Id, StoredMessage)>,
    full: Vec<Id>,
    damaged: Vec<(String, Option<u64>, Reason)>,
}

impl JournalSink for Found {
    type Error = io::Error;

    fn message(&mut self, recipient_id: &Id, message: StoredMessage, _: Source<'_>) -> io::Result<()> {
        self.messages.push((*recipient_id, message));
        Ok(())
    }

    fn full(&mut self, recipient_id: &Id) -> io::Result<()> {
        self.full.push(*recipient_id);
        Ok(())
    }

    fn damaged(&mut self, source: Source<'_>, reason: Reason) -> io::Result<()> {
        let name = source.path.file_name().unwrap().to_string_lossy().split('.').next().unwrap().to_owned();
        self.damaged.push((name, source.line.map(|line| line.number), reason));
        Ok(())
    }
}

impl Found {
    fn bodies(&self) -> Vec<String> {
        let body = |message: &StoredMessage| match &message.kind {
            MessageKind::QuotaMark => "QUOTA".to_owned(),
            MessageKind::Message { body, .. } => String::from_utf8_lossy(body).into_owned(),
        };
        self.messages.iter().map(|(_, message)| body(message)).collect()
    }
}

fn read(root: &Path) -> Found {
    let mut found = Found::default();
    read_all(root, &mut found).unwrap();
    found
}

#[test]
fn the_samples_are_read_whole() {
    for path in ["var", "var-after-restart"] {
        let found = read(Path::new(&format!("{VECTORS}/journal/{path}/messages")));
        // 2 + 3 + 1 + 1 + 1 + 128 + the mark + 1
        assert_eq!(found.messages.len(), 138, "{path}");
        assert_eq!(found.full.len(), 1);
        assert_eq!(found.damaged, []);
        let full: Vec<_> = found.messages.iter().filter(|(id, _)| *id == found.full[0]).collect();
        assert_eq!(full.len(), 129);
        assert_eq!(full[128].1.kind, MessageKind::QuotaMark);
    }
}

const ID: Id = [7; 24];

fn message(number: u8) -> StoredMessage {
    let kind = MessageKind::Message { notification: number.is_multiple_of(2), body: vec![b'a' + number; 3].into() };
    StoredMessage { id: [number; 24], time: 1_000 + i64::from(number), kind }
}

/// A journal in which messages from `read` on wait.
struct Journal {
    root: tempfile::TempDir,
    folder: PathBuf,
}

impl Journal {
    fn new(count: u8) -> Self {
        let root = tempfile::tempdir().unwrap();
        let written = write_queue(root.path(), &ID, "AAAAAAAAAAAAAAAA", (0..count).map(message), false).unwrap();
        assert_eq!(written, u64::from(count));
        let folder = queue_folder(root.path(), &ID);
        Self { root, folder }
    }

    fn state(&self, text: &str) {
        fs::write(state_path(&self.folder, &ID), text).unwrap();
    }

    fn messages(&self) -> PathBuf {
        messages_path(&self.folder, "AAAAAAAAAAAAAAAA")
    }

    fn read(&self) -> Found {
        read(self.root.path())
    }
}

/// The length of a line of `message`.
const LINE: u64 = 51;

fn line(read: u64, count: u64) -> String {
    let (bytes, all) = (read * LINE, count * LINE);
    format!(
        "write=AAAAAAAAAAAAAAAA,{count},{count},{all},{all} read=AAAAAAAAAAAAAAAA,{read},{count},{bytes},{all} \
         canWrite=T size={}\n",
        count - read
    )
}

#[test]
fn what_is_written_is_read() {
    let journal = Journal::new(3);
    assert_eq!(fs::metadata(journal.messages()).unwrap().len(), LINE * 3);
    assert_eq!(fs::read_to_string(state_path(&journal.folder, &ID)).unwrap(), line(0, 3));
    let found = journal.read();
    assert_eq!(found.messages, (0..3).map(|number| (ID, message(number))).collect::<Vec<_>>());
    assert!(found.full.is_empty());
    assert!(Journal::new(1).read().damaged.is_empty());
}

#[test]
fn the_last_valid_line_counts() {
    let journal = Journal::new(3);
    journal.state(&format!("{}{}", line(0, 3), line(2, 3)));
    assert_eq!(journal.read().bodies(), ["ccc"]);
    // A torn last line, with and without its end.
    let torn = &line(3, 3)[..60];
    for end in ["", "\n"] {
        journal.state(&format!("{}{}{torn}{end}", line(0, 3), line(1, 3)));
        assert_eq!(journal.read().bodies(), ["bbb", "ccc"]);
    }
    // Numbers that do not fit together.
    journal.state(&format!("{}{}", line(1, 3), line(2, 3).replace("size=1", "size=2")));
    assert_eq!(journal.read().bodies(), ["bbb", "ccc"]);
    // The state was being rewritten.
    fs::write(state_path(&journal.folder, &ID).with_extension("log.bak"), line(2, 3)).unwrap();
    journal.state("");
    assert_eq!(journal.read().bodies(), ["ccc"]);
    // Older backups have a time in their names.
    fs::remove_file(state_path(&journal.folder, &ID).with_extension("log.bak")).unwrap();
    fs::write(state_path(&journal.folder, &ID).with_extension("log.2026-01-01T00:00:00Z.bak"), line(0, 3)).unwrap();
    journal.state(&line(3, 3));
    assert_eq!(journal.read().bodies(), [""; 0]);
}

#[test]
fn what_was_not_acknowledged_is_not_there() {
    let journal = Journal::new(3);
    journal.state(&line(0, 2));
    let found = journal.read();
    assert_eq!(found.bodies(), ["aaa", "bbb"]);
    assert_eq!(found.damaged, []);
}

#[test]
fn a_short_file_gives_what_it_has() {
    let journal = Journal::new(3);
    let file = File::options().write(true).open(journal.messages()).unwrap();
    file.set_len(LINE * 2 + 30).unwrap();
    let found = journal.read();
    assert_eq!(found.bodies(), ["aaa", "bbb"]);
    let messages = || "messages".to_owned();
    assert_eq!(
        found.damaged,
        [(messages(), None, Reason::JournalShort), (messages(), Some(3), Reason::Field("message id"))]
    );
    fs::remove_file(journal.messages()).unwrap();
    assert_eq!(journal.read().damaged, [(messages(), None, Reason::JournalMissing)]);
}

#[test]
fn a_damaged_line_costs_only_itself() {
    let journal = Journal::new(3);
    let text = fs::read_to_string(journal.messages()).unwrap();
    fs::write(journal.messages(), text.replacen("flags", "FLAGS", 2).replacen("FLAGS", "flags", 1)).unwrap();
    let found = journal.read();
    assert_eq!(found.bodies(), ["aaa", "ccc"]);
    assert_eq!(found.damaged, [("messages".to_owned(), Some(2), Reason::Field("body"))]);
}

#[test]
fn without_a_state_everything_is_taken() {
    let journal = Journal::new(3);
    journal.state("nonsense\n");
    let found = journal.read();
    assert_eq!(found.bodies(), ["aaa", "bbb", "ccc"]);
    assert_eq!(found.damaged, [("queue_state".to_owned(), None, Reason::JournalState)]);
    fs::remove_file(state_path(&journal.folder, &ID)).unwrap();
    assert_eq!(journal.read().bodies().len(), 3);
    // A queue without any messages is none to speak of.
    fs::remove_file(journal.messages()).unwrap();
    assert_eq!(journal.read().damaged, []);
}

#[test]
fn two_files_follow_each_other() {
    let journal = Journal::new(3);
    let later: String = (3..5).map(|number| journal_line(&message(number)) + "\n").collect();
    fs::write(messages_path(&journal.folder, "BBBBBBBBBBBBBBBB"), later).unwrap();
    let (write, read) = (LINE * 2, LINE * 3);
    let state = format!(
        "write=BBBBBBBBBBBBBBBB,2,2,{write},{write} read=AAAAAAAAAAAAAAAA,1,3,{LINE},{read} canWrite=F size=4\n"
    );
    journal.state(&state);
    let found = journal.read();
    assert_eq!(found.bodies(), ["bbb", "ccc", "ddd", "eee"]);
    assert_eq!(found.full, [ID]);
    assert_eq!(JournalState::parse(state.trim_end().as_bytes()).unwrap().to_string(), state.trim_end());
    // Without the first, what is in the second.
    fs::remove_file(journal.messages()).unwrap();
    let found = journal.read();
    assert_eq!(found.bodies(), ["ddd", "eee"]);
    assert_eq!(found.damaged, [("messages".to_owned(), None, Reason::JournalMissing)]);
}

#[test]
fn states_that_make_no_sense_are_refused() {
    let good = line(1, 3);
    let good = good.trim_end();
    assert!(JournalState::parse(good.as_bytes()).is_ok());
    for (from, to) in [
        ("AAAAAAAAAAAAAAAA,1,3", "AAAAAAAAAAAAAAAA,4,3"),
        ("AAAAAAAAAAAAAAAA,3,3", "AAAAAAAAAAAAAAAA,2,3"),
        ("size=2", "size=3"),
        ("size=2", "size=-1"),
        ("canWrite=T", "canWrite=1"),
        ("write=AAAAAAAAAAAAAAAA", "write=../../../etc"),
        ("write=AAAAAAAAAAAAAAAA", "write="),
        ("size=2", "size=2 "),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        assert!(JournalState::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn any_damage_is_survived() {
    let journal = Journal::new(3);
    let state = fs::read(state_path(&journal.folder, &ID)).unwrap();
    let messages = fs::read(journal.messages()).unwrap();
    for (path, content) in [(state_path(&journal.folder, &ID), state), (journal.messages(), messages)] {
        for place in 0..content.len() {
            for bit in [0, 3, 7] {
                let mut damaged = content.clone();
                damaged[place] ^= 1 << bit;
                fs::write(&path, &damaged).unwrap();
                let count = journal.read().messages.len();
                // A damaged byte of the messages costs a line, or two when it ended one.
                assert!(path != journal.messages() || count >= 1, "{place} {bit}: {count}");
            }
            fs::write(&path, &content[..place]).unwrap();
            let count = journal.read().messages.len();
            assert!(path != journal.messages() || count as u64 >= place as u64 / LINE, "{place}: {count}");
        }
        fs::write(&path, &content).unwrap();
    }
}
