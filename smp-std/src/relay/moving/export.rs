//! Writing a relay's queues and messages as the reference has them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use smp_crypto::key::SharedSecret;
use smp_crypto::notification;
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_proto::id::MessageId;
use smp_proto::smp::message::NotificationMetadata;
use smp_proto::wire::Time;
use zeroize::Zeroizing;

use super::error::MovingError;
use super::files::{create_folders, create_private, sync_below, sync_folder};
use super::messages::{LoggedMessage, LoggedNotification};
use super::store_log::{LoggedQueue, StoreLogLine};
use super::{journal, options};
use crate::identity::Identity;
use crate::relay::config::{self, Config, Engine};
use crate::relay::stats::moved;
use crate::relay::store::{
    Backend, FjallBackend, FjallOptions, HeaderKind, Id, PendingNotification, QueueChange, QueueRecord, QueueStatus,
    ServiceSide, Side, StoreError, StoredMessage,
};

/// Queues read at a time.
const PAGE: usize = 1_000;

/// Where the reference shall find messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MessageForm {
    /// In a log, which it reads at the start (`store_messages = memory`).
    #[default]
    Log,
    /// In the journal (`store_messages = journal`).
    Journal,
}

/// What came of an export.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ExportReport {
    /// Services written.
    pub services: u64,
    /// Queues written.
    pub queues: u64,
    /// Messages written, quota marks included.
    pub messages: u64,
    /// Pending notifications written.
    pub notifications: u64,
    /// What was left out because the reference cannot read it, by reason.
    pub left_out: BTreeMap<&'static str, u64>,
}

/// Writes what the relay in `directory` has to the folders `etc` and `var` in `target`, which is made, or empty. The relay
/// does not run; the caller holds its lock.
///
/// `smp-server.ini` is written last: without it nothing can be started.
///
/// # Errors
/// [`MovingError::NotEmpty`] when there is something in `target`, and [`MovingError::NothingKept`] for a relay whose store
/// is in memory; see the others.
pub fn export(directory: &Path, target: &Path, form: MessageForm) -> Result<ExportReport, MovingError> {
    let toml_path = directory.join(config::FILE_NAME);
    let toml = fs::read_to_string(&toml_path).map_err(MovingError::at(&toml_path))?;
    let config = Config::parse(&toml).map_err(MovingError::Options)?;
    if config.store.engine == Engine::Memory {
        return Err(MovingError::NothingKept);
    }
    Identity::load(directory)?;
    match fs::read_dir(target) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(MovingError::NotEmpty(target.to_owned()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(MovingError::Io { path: target.to_owned(), error }),
    }
    let (etc, var) = (target.join("etc"), target.join("var"));
    for folder in [&etc, &var] {
        create_folders(folder).map_err(MovingError::at(folder))?;
    }
    let store = directory.join("store");
    let mut report = ExportReport::default();
    if store.exists() {
        let backend = FjallBackend::open(&store, &FjallOptions::default())?;
        Writer { backend: &backend, var: &var, form, report: &mut report }.write()?;
    }
    // Books that cannot be read are begun anew by the relay too.
    if let Ok(Some(text)) = moved::give(directory, report.queues) {
        write_file(&var.join(moved::FILE_NAME), text.as_bytes())?;
    }
    for (name, needed) in
        [("ca.crt", true), ("server.crt", true), ("fingerprint", true), ("server.key", true), ("ca.key", false)]
    {
        let path = directory.join(name);
        match fs::read(&path).map(Zeroizing::new) {
            Ok(content) => write_file(&etc.join(name), &content)?,
            Err(error) if !needed && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(MovingError::Io { path, error }),
        }
    }
    if form == MessageForm::Journal {
        // A folder with files for each queue: all of them at once. What is else written was synced file by file.
        sync_below(&var).map_err(MovingError::at(&var))?;
    }
    write_file(
        &etc.join("smp-server.ini"),
        options::write_ini(&config, &toml, form == MessageForm::Journal).as_bytes(),
    )?;
    for folder in [&etc, &var, &target.to_owned()] {
        sync_folder(folder).map_err(MovingError::at(folder))?;
    }
    Ok(report)
}

struct Writer<'a> {
    backend: &'a dyn Backend,
    var: &'a Path,
    form: MessageForm,
    report: &'a mut ExportReport,
}

impl Writer<'_> {
    fn write(mut self) -> Result<(), MovingError> {
        let mut store_log = Log::new(&self.var.join("smp-server-store.log"))?;
        self.services(&mut store_log)?;
        let mut messages = match self.form {
            MessageForm::Log => Some(Log::new(&self.var.join("smp-server-messages.log"))?),
            MessageForm::Journal => None,
        };
        let mut after = None;
        loop {
            let page = self.backend.queues(after.as_ref(), PAGE)?;
            for record in &page {
                self.queue(record, &mut store_log)?;
                match &mut messages {
                    Some(log) => self.messages(record, log)?,
                    None => self.journal(record)?,
                }
            }
            match page.last() {
                Some(record) if page.len() == PAGE => after = Some(record.recipient_id),
                _ => break,
            }
        }
        if let Some(log) = messages {
            log.finish()?;
        }
        store_log.finish()?;
        self.notifications()
    }

    /// Notifications that wait, sealed for their recipients as if they were delivered now.
    fn notifications(&mut self) -> Result<(), MovingError> {
        let mut log = Log::new(&self.var.join("smp-server-ntfs.log"))?;
        let mut after = None;
        loop {
            let page = self.backend.notified(after.as_ref(), PAGE)?;
            for (notifier_id, _) in page.notifiers {
                let Some(recipient_id) = self.backend.recipient_id(Side::Notifier, &notifier_id)? else { continue };
                let record = self.backend.queue(&recipient_id)?;
                let Some(notifier) = record.as_ref().and_then(|record| record.notifier.as_ref()) else { continue };
                let key = BoxKey::from(&SharedSecret::from_bytes(*notifier.secret.as_bytes()));
                let state = self.backend.notification_state(&notifier_id)?;
                for sequence in state.head..state.tail {
                    let missing = StoreError::Corrupt("notifier: a notification is missing");
                    let PendingNotification { message_id, time } =
                        self.backend.notification(&notifier_id, sequence)?.ok_or(missing)?;
                    let mut nonce = [0; 24];
                    let random = getrandom::fill(&mut nonce).map_err(|_| io::Error::other("no random numbers"));
                    random.map_err(MovingError::at(&log.path))?;
                    let metadata =
                        NotificationMetadata { message_id: MessageId::from_array(&message_id), time: Time(time) };
                    let sealed = notification::seal(&key, &Nonce(nonce), &metadata)
                        .map_err(|_| StoreError::Corrupt("notification"))?;
                    let metadata = sealed.to_vec();
                    log.line(&LoggedNotification { notifier_id, message_id, time, nonce, metadata }.to_line())?;
                    add(&mut self.report.notifications, 1);
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return log.finish(),
            }
        }
    }

    fn services(&mut self, log: &mut Log) -> Result<(), MovingError> {
        let mut after = None;
        loop {
            let page = self.backend.services(after.as_ref(), PAGE)?;
            for record in &page {
                log.line(&StoreLogLine::Service((**record).clone()).to_line())?;
                add(&mut self.report.services, 1);
            }
            match page.last() {
                Some(record) if page.len() == PAGE => after = Some(record.id),
                _ => return Ok(()),
            }
        }
    }

    /// One line for a queue, as the reference compacts its log; more where one line cannot say it.
    fn queue(&mut self, record: &QueueRecord, log: &mut Log) -> Result<(), MovingError> {
        let recipient_id = record.recipient_id;
        let mut record = record.clone();
        let link = match record.link_id {
            Some(_) => self.backend.link(&recipient_id)?,
            None => None,
        };
        let mut changes = Vec::new();
        if let QueueStatus::Blocked { blocked, suspended } = record.status {
            if suspended {
                // A line has one status.
                record.status = QueueStatus::Suspended;
                changes.push(QueueChange::Block(blocked));
            } else if blocked.notice.is_some()
                && let Some(service) = record.recipient_service.take()
            {
                // Nothing can follow a notice.
                changes.push(QueueChange::Service(ServiceSide::Recipient, Some(service)));
            }
        }
        log.line(&StoreLogLine::Create(Box::new(LoggedQueue { record, link })).to_line())?;
        for change in changes {
            log.line(&StoreLogLine::Change { recipient_id, change }.to_line())?;
        }
        add(&mut self.report.queues, 1);
        Ok(())
    }

    fn messages(&mut self, record: &QueueRecord, log: &mut Log) -> Result<(), MovingError> {
        let recipient_id = record.recipient_id;
        let state = self.backend.state(&recipient_id)?;
        for sequence in state.head..state.tail {
            let message = message(self.backend, &recipient_id, sequence)?;
            if is_writable(&message, self.report) {
                log.line(&LoggedMessage { recipient_id, message }.to_line())?;
                add(&mut self.report.messages, 1);
            }
        }
        Ok(())
    }

    fn journal(&mut self, record: &QueueRecord) -> Result<(), MovingError> {
        let recipient_id = record.recipient_id;
        let state = self.backend.state(&recipient_id)?;
        if state.is_empty() {
            return Ok(());
        }
        let name = journal::new_name().map_err(MovingError::at(self.var))?;
        let (backend, report) = (self.backend, &mut *self.report);
        let root = self.var.join("messages");
        let mut failed = None;
        let messages = (state.head..state.tail).map_while(|sequence| match message(backend, &recipient_id, sequence) {
            Ok(message) => Some(message),
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        let messages = messages.filter(|message| is_writable(message, report));
        let written = journal::write_queue(&root, &recipient_id, &name, messages, state.quota_exceeded)
            .map_err(MovingError::at(&root))?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        add(&mut self.report.messages, written);
        Ok(())
    }
}

fn message(backend: &dyn Backend, recipient_id: &Id, sequence: u64) -> Result<StoredMessage, StoreError> {
    backend.message(recipient_id, sequence)?.ok_or(StoreError::Corrupt("queue: a message is missing"))
}

/// The reference writes messages without a body, but stops when it reads one.
fn is_writable(message: &StoredMessage, report: &mut ExportReport) -> bool {
    let empty = message.header().kind != HeaderKind::QuotaMark && message.body().is_empty();
    if empty {
        add(report.left_out.entry("messages without a body").or_default(), 1);
    }
    !empty
}

fn add(count: &mut u64, more: u64) {
    *count = count.saturating_add(more);
}

/// A log that is written from its beginning.
struct Log {
    path: std::path::PathBuf,
    file: BufWriter<File>,
}

impl Log {
    fn new(path: &Path) -> Result<Self, MovingError> {
        let file = BufWriter::new(create_private(path).map_err(MovingError::at(path))?);
        Ok(Self { path: path.to_owned(), file })
    }

    fn line(&mut self, line: &str) -> Result<(), MovingError> {
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.write_all(b"\n"));
        written.map_err(MovingError::at(&self.path))
    }

    fn finish(self) -> Result<(), MovingError> {
        let synced = self.file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        synced.map_err(MovingError::at(&self.path))
    }
}

fn write_file(path: &Path, content: &[u8]) -> Result<(), MovingError> {
    let written = || {
        let mut file = create_private(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    written().map_err(MovingError::at(path))
}
