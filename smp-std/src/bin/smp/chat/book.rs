//! What the program itself keeps, beside the agent's records in the same encrypted store: settings, contacts, requests,
//! and what was said.
//!
//! Keys begin with [`APPLICATION`] and an octet for the kind; identifiers in them are random and mean something to this
//! store only. Values are JSON.
//!
//! Whatever follows from an event of the agent is written in one transaction with the number of the event, before the event
//! is acknowledged. After a crash the agent tells events again that were not acknowledged; one that was written is
//! recognised by its number, as numbers only grow.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use smp_agent::storage::{APPLICATION, Change, MAX_VALUE_LENGTH, Storage};
use smp_agent::{ConnectionId, EventId, InvitationId, MessageId};

use super::settings::Settings;
use crate::failure::{Failure, STATE};

const SETTINGS: [u8; 2] = [APPLICATION, 1];
const LAST_EVENT: [u8; 2] = [APPLICATION, 2];
const CONTACTS: [u8; 2] = [APPLICATION, 3];
const HISTORY: [u8; 2] = [APPLICATION, 4];
const REQUESTS: [u8; 2] = [APPLICATION, 5];
const DRAFTS: [u8; 2] = [APPLICATION, 6];

/// How many records are read at a time.
const PAGE: usize = 256;

/// How far a conversation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// An invitation, or an address, that has no link yet.
    Preparing,
    /// An invitation that nobody has used yet.
    Invited,
    /// Somebody used the invitation and waits to be let in.
    Asking,
    /// On the way.
    Connecting,
    /// Messages go both ways.
    Connected,
    /// It failed, or its queues are gone.
    Closed,
    /// An address, which others send requests to.
    Address,
}

impl Stage {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Preparing => "being prepared",
            Self::Invited => "invited, the link is not used yet",
            Self::Asking => "asks to be let in",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Closed => "closed",
            Self::Address => "your address",
        }
    }
}

/// A conversation, or an address of one's own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contact {
    /// What it is called here. No other contact is called the same.
    pub(crate) name: String,
    /// Whether the user chose the name: it does not follow what the other side says.
    pub(crate) named: bool,
    pub(crate) stage: Stage,
    /// The link, as long as it can be used.
    pub(crate) link: Option<String>,
}

/// Who asks at an address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) name: String,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Delivery {
    /// From the other side.
    Incoming,
    /// On its way to the other side's relay.
    Waiting,
    /// At the other side's relay.
    Sent,
    /// With the other side.
    Received,
    /// It will not be delivered.
    Failed,
}

impl Delivery {
    pub(crate) const fn mark(self) -> &'static str {
        match self {
            Self::Incoming => "",
            Self::Waiting => "…",
            Self::Sent => "✓",
            Self::Received => "✓✓",
            Self::Failed => "✗",
        }
    }
}

/// A message of the past.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Seconds since the Unix epoch: when it was sent here, or when the relay received it.
    pub(crate) time: i64,
    pub(crate) delivery: Delivery,
    /// What was said; `None` for what is no text.
    pub(crate) text: Option<String>,
}

/// A message that is handed to the agent, and has no number here yet. It is written before, so that one that the agent
/// took is not missing from the history when the program is killed right then; the agent tells later what became of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Draft {
    pub(crate) time: i64,
    pub(crate) text: String,
    /// The number of a message that was sent after it: its own is lower, if it has one.
    pub(crate) before: Option<u64>,
}

/// Changes that are made together.
#[derive(Default)]
pub(crate) struct Batch(Vec<Change>);

impl Batch {
    fn put(&mut self, key: Vec<u8>, value: &impl Serialize) {
        // These types are texts, numbers and lists: they can be written.
        let value = serde_json::to_vec(value).unwrap_or_default();
        self.0.push(Change::Put { key, value });
    }

    pub(crate) fn settings(&mut self, settings: &Settings) {
        self.put(SETTINGS.to_vec(), settings);
    }

    pub(crate) fn contact(&mut self, connection: ConnectionId, contact: &Contact) {
        self.put(key(CONTACTS, connection.as_bytes()), contact);
    }

    pub(crate) fn forget_contact(&mut self, connection: ConnectionId) {
        self.0.push(Change::Delete { key: key(CONTACTS, connection.as_bytes()) });
    }

    pub(crate) fn request(&mut self, invitation: InvitationId, request: &Request) {
        self.put(key(REQUESTS, invitation.as_bytes()), request);
    }

    pub(crate) fn forget_request(&mut self, invitation: InvitationId) {
        self.0.push(Change::Delete { key: key(REQUESTS, invitation.as_bytes()) });
    }

    pub(crate) fn entry(&mut self, connection: ConnectionId, message: MessageId, entry: &Entry) {
        let text = entry.text.as_deref().map(kept);
        self.put(entry_key(connection, message), &Entry { text, ..*entry });
    }

    /// The drafts of a conversation from now on: the last ones, as many as fit into a record.
    pub(crate) fn drafts(&mut self, connection: ConnectionId, drafts: &[Draft]) {
        let key = key(DRAFTS, connection.as_bytes());
        let mut drafts: Vec<Draft> =
            drafts.iter().map(|draft| Draft { text: kept(&draft.text), ..draft.clone() }).collect();
        while drafts.len() > 1 && serde_json::to_vec(&drafts).is_ok_and(|value| value.len() > MAX_VALUE_LENGTH) {
            drafts.remove(0);
        }
        match &drafts[..] {
            [] => self.0.push(Change::Delete { key }),
            drafts => self.put(key, &drafts),
        }
    }

    fn forget_entry(&mut self, connection: ConnectionId, message: MessageId) {
        self.0.push(Change::Delete { key: entry_key(connection, message) });
    }
}

/// The program's records.
pub(crate) struct Book<S>(S);

impl<S: Storage> Book<S> {
    pub(crate) const fn new(storage: S) -> Self {
        Self(storage)
    }

    /// The settings; `None` in a store that was not set up by this program.
    pub(crate) fn settings(&mut self) -> Result<Option<Settings>, Failure> {
        self.read(&SETTINGS)
    }

    pub(crate) fn contact(&mut self, connection: ConnectionId) -> Result<Option<Contact>, Failure> {
        self.read(&key(CONTACTS, connection.as_bytes()))
    }

    pub(crate) fn contacts(&mut self) -> Result<Vec<(ConnectionId, Contact)>, Failure> {
        let records = self.all(&CONTACTS)?;
        records.into_iter().map(|(id, contact)| Ok((ConnectionId::from_bytes(id), contact))).collect()
    }

    pub(crate) fn requests(&mut self) -> Result<Vec<(InvitationId, Request)>, Failure> {
        let records = self.all(&REQUESTS)?;
        records.into_iter().map(|(id, request)| Ok((InvitationId::from_bytes(id), request))).collect()
    }

    pub(crate) fn entry(&mut self, connection: ConnectionId, message: MessageId) -> Result<Option<Entry>, Failure> {
        self.read(&entry_key(connection, message))
    }

    /// What was handed to the agent in a conversation and is not known to have been taken, the oldest first.
    pub(crate) fn drafts(&mut self, connection: ConnectionId) -> Result<Vec<Draft>, Failure> {
        Ok(self.read(&key(DRAFTS, connection.as_bytes()))?.unwrap_or_default())
    }

    /// Forgets all of it: another program sends now, and hears what becomes of messages.
    pub(crate) fn forget_drafts(&mut self) -> Result<(), Failure> {
        let mut batch = Batch::default();
        for (connection, _) in self.all::<Vec<Draft>>(&DRAFTS)? {
            batch.drafts(ConnectionId::from_bytes(connection), &[]);
        }
        if batch.0.is_empty() { Ok(()) } else { self.commit(batch) }
    }

    /// The last messages of a conversation, at most so many, the oldest first.
    pub(crate) fn history(
        &mut self,
        connection: ConnectionId,
        count: usize,
    ) -> Result<Vec<(MessageId, Entry)>, Failure> {
        let prefix = key(HISTORY, connection.as_bytes());
        let Some(newest) = self.newest(connection)? else { return Ok(Vec::new()) };
        // Numbers have gaps: reach back further until there are enough, or nothing is left.
        let mut reach = u64::try_from(count).unwrap_or(u64::MAX);
        loop {
            let before = newest.checked_sub(reach);
            let mut after = before.map(|number| entry_key(connection, MessageId(number)));
            let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            loop {
                let page = blocking(|| self.0.scan(&prefix, after.as_deref(), PAGE)).map_err(storage)?;
                let complete = page.len() < PAGE;
                after = page.last().map(|(key, _)| key.clone());
                found.extend(page);
                found.drain(..found.len().saturating_sub(count));
                if complete {
                    break;
                }
            }
            if found.len() >= count || before.is_none() {
                let entries = found.into_iter().map(|(key, value)| {
                    let number = key.get(prefix.len()..).and_then(|rest| rest.try_into().ok()).ok_or_else(damaged)?;
                    Ok((MessageId(u64::from_be_bytes(number)), parse(&value)?))
                });
                return entries.collect();
            }
            reach = reach.saturating_mul(8);
        }
    }

    /// The number of the last message of a conversation.
    fn newest(&mut self, connection: ConnectionId) -> Result<Option<u64>, Failure> {
        let prefix = key(HISTORY, connection.as_bytes());
        let mut is_above = |number: u64| -> Result<bool, Failure> {
            let after = entry_key(connection, MessageId(number));
            Ok(!blocking(|| self.0.scan(&prefix, Some(&after), 1)).map_err(storage)?.is_empty())
        };
        // The least number that nothing is above.
        let (mut low, mut high) = (0_u64, u64::MAX);
        while low < high {
            let middle = low + (high - low) / 2;
            if is_above(middle)? { low = middle + 1 } else { high = middle }
        }
        let exists = self.entry(connection, MessageId(low))?.is_some();
        Ok(exists.then_some(low))
    }

    /// Forgets what was said in a conversation.
    pub(crate) fn forget_history(&mut self, connection: ConnectionId) -> Result<(), Failure> {
        loop {
            let page = self.history(connection, PAGE)?;
            if page.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::default();
            for (message, _) in page {
                batch.forget_entry(connection, message);
            }
            self.commit(batch)?;
        }
    }

    pub(crate) fn commit(&mut self, batch: Batch) -> Result<(), Failure> {
        blocking(|| self.0.commit(&batch.0)).map_err(storage)
    }

    /// Whether what follows from this event was written already.
    pub(crate) fn has_seen(&mut self, event: EventId) -> Result<bool, Failure> {
        Ok(self.read(&LAST_EVENT)?.is_some_and(|last: u64| event.0 <= last))
    }

    /// Writes what follows from an event that was not seen yet.
    pub(crate) fn absorb(&mut self, event: EventId, mut batch: Batch) -> Result<(), Failure> {
        batch.put(LAST_EVENT.to_vec(), &event.0);
        self.commit(batch)
    }

    fn read<T: DeserializeOwned>(&mut self, key: &[u8]) -> Result<Option<T>, Failure> {
        let value = blocking(|| self.0.get(key)).map_err(storage)?;
        value.map(|value| parse(&value)).transpose()
    }

    fn all<T: DeserializeOwned>(&mut self, prefix: &[u8]) -> Result<Vec<([u8; 12], T)>, Failure> {
        let mut all = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = blocking(|| self.0.scan(prefix, after.as_deref(), PAGE)).map_err(storage)?;
            let complete = page.len() < PAGE;
            after = page.last().map(|(key, _)| key.clone());
            for (key, value) in page {
                let id = key.get(prefix.len()..).and_then(|id| id.try_into().ok()).ok_or_else(damaged)?;
                all.push((id, parse(&value)?));
            }
            if complete {
                return Ok(all);
            }
        }
    }
}

/// The disk is waited for: other tasks of the thread go elsewhere meanwhile.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// A text as it is kept. Characters that are never shown would take six bytes each, and the longest message would not fit
/// into a record: they are kept as what is shown instead.
fn kept(text: &str) -> String {
    let hidden = |character: char| character.is_control() && !matches!(character, '\n' | '\r' | '\t');
    text.chars().map(|character| if hidden(character) { char::REPLACEMENT_CHARACTER } else { character }).collect()
}

fn parse<T: DeserializeOwned>(value: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(value).map_err(|_| damaged())
}

fn damaged() -> Failure {
    Failure::new(STATE, "a record of the data folder is damaged, or of a newer release")
}

fn storage(error: impl std::error::Error) -> Failure {
    Failure::new(STATE, format_args!("the data folder: {error}"))
}

fn key(kind: [u8; 2], id: &[u8; 12]) -> Vec<u8> {
    [&kind[..], id].concat()
}

fn entry_key(connection: ConnectionId, message: MessageId) -> Vec<u8> {
    [&key(HISTORY, connection.as_bytes())[..], &message.0.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests;
