//! Puts what was read into a store, many steps with one write.

use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::journal::{JournalSink, Source};
use super::messages::{LoggedMessage, LoggedNotification};
use super::rejected::Rejected;
use super::store_log::StoreLogLine;
use super::{Line, Lines, MovingError, Reason};
use crate::relay::store::{
    Backend, Id, ImportStep, Imported, Operation, PendingNotification, Reply, StoreError, StoredMessage,
};

/// Steps in one write, at most.
const BATCH: usize = 4096;
/// Bytes of steps in one write, at most and about.
const BATCH_BYTES: usize = 8 << 20;
/// How often the log tells how far it is, in lines.
const PROGRESS: u64 = 100_000;

/// How much was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Taken {
    /// Lines of the queue store log.
    pub store_log_lines: u64,
    /// Messages taken.
    pub messages: u64,
    /// Pending notifications taken.
    pub notifications: u64,
    /// Services taken.
    pub services: u64,
    /// Files whose last line has no end: the old server was stopped while it wrote.
    pub unfinished_files: u64,
}

/// Carries steps to a store.
pub(super) struct Loader<'a> {
    backend: &'a dyn Backend,
    pub(super) rejected: &'a mut Rejected,
    pub(super) taken: Taken,
    operations: Vec<Operation>,
    origins: Vec<Origin>,
    raw: Vec<u8>,
    weight: usize,
    /// Whole days since 1970-01-01, UTC.
    today: u32,
}

/// Where a step comes from, for the case that the store does not take it.
struct Origin {
    group: &'static str,
    place: String,
    line: Range<usize>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(backend: &'a dyn Backend, rejected: &'a mut Rejected) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let today = u32::try_from(now.checked_div(86_400).unwrap_or(0)).unwrap_or(u32::MAX);
        let (operations, origins) = (Vec::new(), Vec::new());
        Self { backend, rejected, taken: Taken::default(), operations, origins, raw: Vec::new(), weight: 0, today }
    }

    fn push(&mut self, group: &'static str, place: String, line: &[u8], step: ImportStep) -> Result<(), MovingError> {
        let operation = Operation::Import(Box::new(step));
        self.weight = self.weight.saturating_add(operation.weight()).saturating_add(line.len());
        self.operations.push(operation);
        let start = self.raw.len();
        self.raw.extend_from_slice(line);
        self.origins.push(Origin { group, place, line: start..self.raw.len() });
        if self.operations.len() >= BATCH || self.weight >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    /// Makes everything pushed durable.
    pub(super) fn flush(&mut self) -> Result<(), MovingError> {
        if self.operations.is_empty() {
            return Ok(());
        }
        let replies = self.backend.apply(&self.operations)?;
        for ((reply, origin), operation) in replies.into_iter().zip(self.origins.drain(..)).zip(&self.operations) {
            let Reply::Imported(outcome) = reply? else { return Err(StoreError::Failed.into()) };
            let reason = match outcome {
                Imported::Done => {
                    count(&mut self.taken, operation);
                    continue;
                }
                Imported::UnknownQueue => Reason::UnknownQueue,
                Imported::UnknownNotifier => Reason::UnknownNotifier,
                Imported::IdTaken => Reason::IdTaken,
                Imported::OtherKey => Reason::OtherKey,
                Imported::OtherLink => Reason::OtherLink,
                Imported::NoNotifier => Reason::NoNotifier,
            };
            let line = self.raw.get(origin.line).unwrap_or_default();
            self.rejected.add(origin.group, origin.place, reason, line)?;
        }
        self.operations.clear();
        self.raw.clear();
        self.weight = 0;
        Ok(())
    }

    /// The queue store log.
    pub(super) fn store_log(&mut self, path: &Path) -> Result<(), MovingError> {
        self.lines(path, "store log", |loader, line, place| {
            let step = match StoreLogLine::parse(line.bytes)? {
                StoreLogLine::Create(queue) => ImportStep::Queue(queue.record.into(), queue.link),
                StoreLogLine::Change { recipient_id, change } => {
                    ImportStep::Change { recipient_id, change, today: loader.today }
                }
                StoreLogLine::Service(mut service) => {
                    // One that has no queues yet is not forgotten right away.
                    service.seen_day = loader.today;
                    ImportStep::Service(service.into())
                }
            };
            loader.taken.store_log_lines = loader.taken.store_log_lines.saturating_add(1);
            loader.push("store log", place, line.bytes, step).map_err(Stop::Error)
        })
    }

    /// The message log.
    pub(super) fn message_log(&mut self, path: &Path) -> Result<(), MovingError> {
        self.lines(path, "message log", |loader, line, place| {
            let LoggedMessage { recipient_id, message } = LoggedMessage::parse(line.bytes)?;
            let step = ImportStep::Message { recipient_id, message };
            loader.push("message log", place, line.bytes, step).map_err(Stop::Error)
        })
    }

    /// The notification log.
    pub(super) fn notification_log(&mut self, path: &Path) -> Result<(), MovingError> {
        self.lines(path, "notification log", |loader, line, place| {
            // What is encrypted in it is what stands beside it; it is sealed anew when it is delivered.
            let LoggedNotification { notifier_id, message_id, time, .. } = LoggedNotification::parse(line.bytes)?;
            let notification = PendingNotification { message_id, time };
            let step = ImportStep::Notification { notifier_id, notification };
            loader.push("notification log", place, line.bytes, step).map_err(Stop::Error)
        })
    }

    fn lines(
        &mut self,
        path: &Path,
        group: &'static str,
        mut take: impl FnMut(&mut Self, Line<'_>, String) -> Result<(), Stop>,
    ) -> Result<(), MovingError> {
        let at = || MovingError::at(path);
        let mut lines = Lines::new(BufReader::with_capacity(64 << 10, File::open(path).map_err(at())?));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        while let Some(line) = lines.next_line().map_err(at())? {
            let place = format!("{name}:{}", line.number);
            let taken = if line.too_long { Err(Reason::TooLong.into()) } else { take(self, line, place.clone()) };
            match taken {
                Ok(()) => {}
                Err(Stop::Reason(reason)) => self.rejected.add(group, place, reason, line.bytes)?,
                Err(Stop::Error(error)) => return Err(error),
            }
            if !line.complete {
                self.taken.unfinished_files = self.taken.unfinished_files.saturating_add(1);
            }
            if line.number.is_multiple_of(PROGRESS) {
                tracing::info!(lines = line.number, "reading the {group}");
            }
        }
        self.flush()
    }
}

fn count(taken: &mut Taken, operation: &Operation) {
    let Operation::Import(step) = operation else { return };
    match step.as_ref() {
        ImportStep::Message { .. } => taken.messages = taken.messages.saturating_add(1),
        ImportStep::Notification { .. } => taken.notifications = taken.notifications.saturating_add(1),
        ImportStep::Service(_) => taken.services = taken.services.saturating_add(1),
        _ => {}
    }
}

/// Why a line was not taken, or nothing more is.
enum Stop {
    Reason(Reason),
    Error(MovingError),
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

/// The journal's place in reports: the folder of a queue would show whose queue it is.
fn place(source: &Source<'_>) -> String {
    let name = source.path.file_name().unwrap_or_default().to_string_lossy();
    match &source.line {
        Some(line) => format!("{name}:{}", line.number),
        None => name.into_owned(),
    }
}

impl JournalSink for Loader<'_> {
    type Error = MovingError;

    fn message(&mut self, recipient_id: &Id, message: StoredMessage, source: Source<'_>) -> Result<(), MovingError> {
        let line = source.line.map_or(&[][..], |line| line.bytes);
        let step = ImportStep::Message { recipient_id: *recipient_id, message };
        self.push("journal", place(&source), line, step)
    }

    fn full(&mut self, recipient_id: &Id) -> Result<(), MovingError> {
        let step = ImportStep::Full { recipient_id: *recipient_id };
        self.push("journal", String::new(), &[], step)
    }

    fn damaged(&mut self, source: Source<'_>, reason: Reason) -> Result<(), MovingError> {
        let line = source.line.map_or(&[][..], |line| line.bytes);
        self.rejected.add("journal", place(&source), reason, line)?;
        Ok(())
    }
}
