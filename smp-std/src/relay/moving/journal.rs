//! The reference's journal of messages (wire reference, 14.5): a folder for each queue, with the log of the journal's
//! state and one or two files of messages.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use smp_proto::wire::Base64;

use super::lines::Lines;
use super::messages::{journal_line, parse_journal_line};
use super::text::{Cursor, decode};
use super::{Line, Reason};
use crate::relay::store::{Id, StoredMessage};

/// How much of the end of a state log is looked at for its last valid line. The reference looks at 512 bytes.
const STATE_TAIL: u64 = 64 << 10;

/// Where a journal is read or written.
#[derive(Clone, PartialEq, Eq)]
pub struct Position {
    /// Names the file; base64url of 12 random bytes.
    pub journal: String,
    /// Messages before the position.
    pub messages: u64,
    /// Messages in the file.
    pub message_count: u64,
    /// Bytes before the position.
    pub bytes: u64,
    /// Bytes in the file.
    pub byte_count: u64,
}

/// A line of the state log.
#[derive(Clone, PartialEq, Eq)]
pub struct JournalState {
    /// Where the next message is written.
    pub write: Position,
    /// Where the oldest message is read.
    pub read: Position,
    /// The queue takes messages: it was not filled since it was empty.
    pub can_write: bool,
    /// Messages that wait.
    pub size: u64,
}

impl fmt::Debug for JournalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JournalState({} messages)", self.size)
    }
}

impl JournalState {
    /// Reads a line without its end, and checks that it makes sense.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, Reason> {
        let mut cursor = Cursor::new(line);
        cursor.expect(b"write=", "write position")?;
        let write = position(&mut cursor, "write position")?;
        cursor.expect(b" read=", "read position")?;
        let read = position(&mut cursor, "read position")?;
        cursor.expect(b" canWrite=", "write flag")?;
        let can_write = match cursor.word() {
            b"T" => true,
            b"F" => false,
            _ => return Err(Reason::Field("write flag")),
        };
        cursor.expect(b" size=", "size")?;
        let state = Self { write, read, can_write, size: cursor.number("size")? };
        cursor.finish()?;
        if state.is_consistent() { Ok(state) } else { Err(Reason::JournalState) }
    }

    /// Whether the numbers fit together.
    fn is_consistent(&self) -> bool {
        let (read, write) = (&self.read, &self.write);
        let waiting_to_read = read.message_count.checked_sub(read.messages);
        let always = waiting_to_read.is_some()
            && read.bytes <= read.byte_count
            && write.messages == write.message_count
            && write.bytes == write.byte_count;
        let size = if read.journal == write.journal {
            let same = read.message_count == write.message_count && read.byte_count == write.byte_count;
            if same { waiting_to_read } else { None }
        } else {
            waiting_to_read.and_then(|waiting| waiting.checked_add(write.message_count))
        };
        always && size == Some(self.size)
    }
}

impl fmt::Display for JournalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = if self.can_write { 'T' } else { 'F' };
        write!(f, "write={} read={} canWrite={flag} size={}", self.write, self.read, self.size)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { journal, messages, message_count, bytes, byte_count } = self;
        write!(f, "{journal},{messages},{message_count},{bytes},{byte_count}")
    }
}

fn position(cursor: &mut Cursor<'_>, what: &'static str) -> Result<Position, Reason> {
    let journal = cursor.item();
    // It becomes part of a file name.
    if decode(journal, what)?.is_empty() {
        return Err(Reason::Field(what));
    }
    let journal = String::from_utf8_lossy(journal).into_owned();
    let mut next = || {
        cursor.expect(b",", what)?;
        cursor.number(what)
    };
    Ok(Position { journal, messages: next()?, message_count: next()?, bytes: next()?, byte_count: next()? })
}

/// The folder of a queue below the folder of the journal.
#[must_use]
pub fn queue_folder(root: &Path, recipient_id: &Id) -> PathBuf {
    let text = Base64(recipient_id).to_string();
    let mut path = root.to_owned();
    let mut rest = text.as_str();
    for _ in 0..4 {
        let (part, behind) = rest.split_at_checked(2).unwrap_or((rest, ""));
        path.push(part);
        rest = behind;
    }
    path.push(rest);
    path
}

fn state_path(folder: &Path, recipient_id: &Id) -> PathBuf {
    folder.join(format!("queue_state.{}.log", Base64(recipient_id)))
}

fn messages_path(folder: &Path, journal: &str) -> PathBuf {
    folder.join(format!("messages.{journal}.log"))
}

/// Who is told what a journal holds.
pub trait JournalSink {
    /// What stops the reading.
    type Error: From<io::Error>;

    /// A message, in the order of its queue.
    fn message(&mut self, recipient_id: &Id, message: StoredMessage, source: Source<'_>) -> Result<(), Self::Error>;

    /// The queue was full and has not been empty since. Comes after its messages.
    fn full(&mut self, recipient_id: &Id) -> Result<(), Self::Error>;

    /// Something cannot be read.
    fn damaged(&mut self, source: Source<'_>, reason: Reason) -> Result<(), Self::Error>;
}

/// Where something stands.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The file or folder.
    pub path: &'a Path,
    /// The line; `None` when it is about the whole file.
    pub line: Option<Line<'a>>,
}

impl<'a> Source<'a> {
    const fn whole(path: &'a Path) -> Self {
        Self { path, line: None }
    }
}

/// Reads the journals of all queues below `root`, folder by folder in the order of their names. Nothing is changed.
///
/// # Errors
/// Those of the operating system, and the sink's.
pub fn read_all<S: JournalSink>(root: &Path, sink: &mut S) -> Result<(), S::Error> {
    walk(root, "", 0, sink)
}

fn walk<S: JournalSink>(folder: &Path, text: &str, depth: u32, sink: &mut S) -> Result<(), S::Error> {
    if depth == 5 {
        let id = decode(text.as_bytes(), "recipient id").ok().and_then(|id| Id::try_from(id.as_slice()).ok());
        return match id {
            Some(recipient_id) => read_queue(folder, &recipient_id, sink),
            None => sink.damaged(Source::whole(folder), Reason::Field("recipient id")),
        };
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name());
        }
    }
    names.sort();
    for name in names {
        let part = name.to_string_lossy();
        walk(&folder.join(&name), &format!("{text}{part}"), depth.saturating_add(1), sink)?;
    }
    Ok(())
}

/// Reads the journal of one queue.
///
/// # Errors
/// Those of the operating system, and the sink's.
pub fn read_queue<S: JournalSink>(folder: &Path, recipient_id: &Id, sink: &mut S) -> Result<(), S::Error> {
    let path = state_path(folder, recipient_id);
    // There only while the reference rewrites the state, and then it is the one that is complete.
    let interrupted = path.with_extension("log.bak");
    let path = if interrupted.try_exists()? { interrupted } else { path };
    let state = match last_state(&path) {
        Ok(state) => state,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let Some(state) = state else { return salvage(folder, &path, recipient_id, sink) };
    if state.size == 0 {
        return Ok(());
    }
    let (read, write) = (&state.read, &state.write);
    let mut found = read_range(folder, read, read.bytes, recipient_id, sink)?;
    if read.journal != write.journal {
        found |= read_range(folder, write, 0, recipient_id, sink)?;
    }
    if found && !state.can_write {
        sink.full(recipient_id)?;
    }
    Ok(())
}

/// The last line that makes sense.
fn last_state(path: &Path) -> io::Result<Option<JournalState>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(STATE_TAIL)))?;
    let mut tail = Vec::new();
    file.take(STATE_TAIL).read_to_end(&mut tail)?;
    Ok(tail.rsplit(|byte| *byte == b'\n').find_map(|line| JournalState::parse(line).ok()))
}

/// Reads the messages of a file from a byte on, up to where the state says it ends: what is behind was never
/// acknowledged. Whether there were any.
fn read_range<S: JournalSink>(
    folder: &Path,
    position: &Position,
    start: u64,
    recipient_id: &Id,
    sink: &mut S,
) -> Result<bool, S::Error> {
    let path = messages_path(folder, &position.journal);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            sink.damaged(Source::whole(&path), Reason::JournalMissing)?;
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    };
    if file.metadata()?.len() < position.byte_count {
        sink.damaged(Source::whole(&path), Reason::JournalShort)?;
    }
    file.seek(SeekFrom::Start(start))?;
    let read_before = if start == 0 { 0 } else { position.messages };
    read_lines(&path, file.take(position.byte_count.saturating_sub(start)), read_before, recipient_id, sink)
}

fn read_lines<S: JournalSink>(
    path: &Path,
    file: impl Read,
    lines_before: u64,
    recipient_id: &Id,
    sink: &mut S,
) -> Result<bool, S::Error> {
    let mut lines = Lines::new(BufReader::new(file));
    let mut found = false;
    while let Some(line) = lines.next_line()? {
        let line = Line { number: line.number.saturating_add(lines_before), ..line };
        let source = Source { path, line: Some(line) };
        let parsed = if line.too_long { Err(Reason::TooLong) } else { parse_journal_line(line.bytes) };
        match parsed {
            Ok(message) => {
                found = true;
                sink.message(recipient_id, message, source)?;
            }
            Err(reason) => sink.damaged(source, reason)?,
        }
    }
    Ok(found)
}

/// Without a state nobody knows which messages were received: all are taken, the files in the order of their first
/// messages' times. A recipient knows a message it has had; one it never gets is worse.
fn salvage<S: JournalSink>(folder: &Path, state: &Path, recipient_id: &Id, sink: &mut S) -> Result<(), S::Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("messages.") && name.ends_with(".log") {
            let mut lines = Lines::new(BufReader::new(File::open(&path)?));
            if let Some(line) = lines.next_line()? {
                let time = parse_journal_line(line.bytes).map_or(i64::MAX, |message| message.time);
                files.push((time, path));
            }
        }
    }
    if files.is_empty() {
        // A queue that never had messages.
        return Ok(());
    }
    sink.damaged(Source::whole(state), Reason::JournalState)?;
    files.sort();
    for (_, path) in files {
        read_lines(&path, File::open(&path)?, 0, recipient_id, sink)?;
    }
    Ok(())
}

/// A name for a new file of messages: base64url of 12 random bytes.
///
/// # Errors
/// The operating system has no random numbers.
pub fn new_name() -> io::Result<String> {
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes).map_err(|_| io::Error::other("the operating system gives no random numbers"))?;
    Ok(Base64(&bytes).to_string())
}

/// Writes the journal of one queue: a state and one file, called `journal_name`, with all messages. Returns their number;
/// for none nothing is written. It is for the caller to make it durable.
///
/// # Errors
/// Those of the operating system.
pub fn write_queue(
    root: &Path,
    recipient_id: &Id,
    journal_name: &str,
    messages: impl IntoIterator<Item = StoredMessage>,
    full: bool,
) -> io::Result<u64> {
    let folder = queue_folder(root, recipient_id);
    let mut file: Option<io::BufWriter<File>> = None;
    let (mut count, mut bytes) = (0u64, 0u64);
    for message in messages {
        let line = journal_line(&message);
        let file = match &mut file {
            Some(file) => file,
            None => {
                super::files::create_folders(&folder)?;
                file.insert(io::BufWriter::new(super::files::create_private(&messages_path(&folder, journal_name))?))
            }
        };
        file.write_all(line.as_bytes())?;
        file.write_all(b"\n")?;
        count = count.saturating_add(1);
        bytes = bytes.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX)).saturating_add(1);
    }
    let Some(file) = file else { return Ok(0) };
    file.into_inner().map_err(io::IntoInnerError::into_error)?;
    let journal = journal_name.to_owned();
    let write = Position { journal: journal.clone(), messages: count, message_count: count, bytes, byte_count: bytes };
    let read = Position { journal, messages: 0, message_count: count, bytes: 0, byte_count: bytes };
    let state = JournalState { write, read, can_write: !full, size: count };
    let mut file = super::files::create_private(&state_path(&folder, recipient_id))?;
    writeln!(file, "{state}")?;
    Ok(count)
}

#[cfg(test)]
#[path = "journal/tests.rs"]
mod tests;
