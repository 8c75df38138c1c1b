//! What one agent did, in the words of the recorded procedures: commands with the names of queues, answers, messages and
//! events, in order.

use std::collections::BTreeMap;

use smp_agent::event::{Event, EventKind};
use smp_agent::request::{Answer, CreatedQueue, Failure, Operation};
use smp_proto::smp::recipient::QueueMode;

/// Names of queues and links by their ids.
#[derive(Default)]
pub struct Names(BTreeMap<Vec<u8>, String>);

/// Something that happened to an agent.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A command it gave.
    Command(Box<Sent>),
    /// What a relay answered to the earliest command that had no answer.
    Answer(Result<(), Failure>),
    /// A message it got.
    Message {
        /// The queue.
        entity: String,
        /// The length of what the relay encrypted, in bytes.
        body: usize,
    },
    /// What its application was told.
    Event(Box<EventKind>),
}

/// A command as the records have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// `NEW`, `SEND` and so on.
    pub command: &'static str,
    /// What it is about, such as `A.q1.sender`; nothing for `NEW`.
    pub entity: Option<String>,
    /// Whether a key authorizes it.
    pub authorized: bool,
    /// Whether it goes through a proxy.
    pub proxied: bool,
    /// Whether the recipient's device shall be woken, and the body; of `SEND`.
    pub message: Option<(bool, Vec<u8>)>,
    /// What is asked for; of `NEW`.
    pub creates: Option<Creates>,
}

/// What `NEW` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Creates {
    pub mode: QueueMode,
    pub subscribes: bool,
    /// Whether with a link.
    pub link: bool,
}

impl Sent {
    /// The command as a line of the records.
    pub fn line(&self) -> String {
        let entity = self.entity.as_ref().map_or_else(String::new, |entity| format!(" {entity}"));
        let key = if self.authorized { "Ed25519" } else { "unsigned" };
        let proxied = if self.proxied { " proxied" } else { "" };
        format!("{}{entity} ({key}){proxied}", self.command)
    }
}

/// What happened to one agent.
#[derive(Default)]
pub struct Transcript {
    pub entries: Vec<Entry>,
}

impl Transcript {
    /// Forgets what happened so far.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The commands, one line each.
    pub fn commands(&self) -> Vec<String> {
        self.sent().map(Sent::line).collect()
    }

    /// The commands.
    pub fn sent(&self) -> impl Iterator<Item = &Sent> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Command(sent) => Some(&**sent),
            _ => None,
        })
    }

    /// The events.
    pub fn events(&self) -> impl Iterator<Item = &EventKind> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Event(kind) => Some(&**kind),
            _ => None,
        })
    }

    pub(super) fn answered(&mut self, result: &Result<Answer, Failure>) {
        self.entries.push(Entry::Answer(result.as_ref().map(|_| ()).map_err(|failure| *failure)));
    }

    pub(super) fn event(&mut self, event: &Event) {
        self.entries.push(Entry::Event(Box::new(event.kind.clone())));
    }
}

impl Names {
    /// The name of an id.
    pub fn of(&self, id: &[u8]) -> String {
        self.0.get(id).cloned().unwrap_or_else(|| "unknown".into())
    }

    pub(super) fn queue(&mut self, name: &str, queue: &CreatedQueue) {
        self.0.insert(queue.recipient_id.clone(), format!("{name}.recipient"));
        self.0.insert(queue.sender_id.clone(), format!("{name}.sender"));
        if let Some(link) = &queue.link_id {
            self.0.insert(link.clone(), format!("{name}.link"));
        }
    }

    pub(super) fn link(&mut self, id: &[u8]) {
        self.0.entry(id.to_vec()).or_insert_with(|| "link".into());
    }

    /// One command for each queue of a batch.
    pub(super) fn commands(&self, operation: &Operation, proxied: bool) -> Vec<Sent> {
        let sent = |command, id: Option<&[u8]>, authorized| Sent {
            command,
            entity: id.map(|id| self.of(id)),
            authorized,
            proxied,
            message: None,
            creates: None,
        };
        let one = match operation {
            Operation::CreateQueue(new) => Sent {
                creates: Some(Creates { mode: new.mode, subscribes: new.subscribe, link: new.link.is_some() }),
                ..sent("NEW", None, true)
            },
            Operation::Subscribe(queues) => {
                return queues.iter().map(|queue| sent("SUB", Some(&queue.id), true)).collect();
            }
            Operation::Secure { queue, .. } => sent("KEY", Some(&queue.id), true),
            Operation::SecureBySender { queue } => sent("SKEY", Some(&queue.id), true),
            Operation::Send { sender_id, key, notify, body } => {
                Sent { message: Some((*notify, body.clone())), ..sent("SEND", Some(sender_id), key.is_some()) }
            }
            Operation::Acknowledge { queue, .. } => sent("ACK", Some(&queue.id), true),
            Operation::Suspend(queue) => sent("OFF", Some(&queue.id), true),
            Operation::Delete(queue) => sent("DEL", Some(&queue.id), true),
            Operation::SetLink { queue, .. } => sent("LSET", Some(&queue.id), true),
            Operation::DeleteLink(queue) => sent("LDEL", Some(&queue.id), true),
            Operation::ReadInvitation { link_id, .. } => sent("LKEY", Some(link_id), true),
            Operation::ReadAddress { link_id } => sent("LGET", Some(link_id), false),
            other => panic!("no command for {other:?}"),
        };
        vec![one]
    }

    pub(super) fn describe(&self, operation: &Operation) -> String {
        self.commands(operation, false).iter().map(Sent::line).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn message(&self, queue: &[u8], body: usize) -> Entry {
        Entry::Message { entity: self.of(queue), body }
    }
}
