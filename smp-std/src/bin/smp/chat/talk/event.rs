//! What events mean to a person.

use jiff::tz::TimeZone;
use smp_agent::event::{RatchetSync, SwitchPhase};
use smp_agent::policy::server::Server;
use smp_agent::request::BlockingReason;
use smp_agent::storage::Storage;
use smp_agent::{
    Command, ConnectionError, ConnectionId, ConnectionOptions, Event, EventKind, InvitationId, MessageId, Refusal,
    Reply,
};

use super::super::backend::{Commands, Rejection};
use super::super::book::{Batch, Contact, Delivery, Draft, Entry, Request, Stage};
use super::super::content;
use super::super::terminal::{beginning, one_line};
use super::{Talk, show};
use crate::failure::{Failure, OTHER};

impl<C: Commands, S: Storage, P: FnMut(String)> Talk<C, S, P> {
    /// Takes an event: writes down what follows from it, prints it, answers it, and acknowledges it, in this order. After
    /// a crash in between it is told again, and what was done is not done a second time.
    pub(crate) async fn event(&mut self, event: Event) -> Result<(), Failure> {
        match event.id {
            Some(id) if self.book.has_seen(id)? => {}
            id => {
                let mut batch = Batch::default();
                let lines = self.follow(&event.kind, &mut batch)?;
                match id {
                    Some(id) => self.book.absorb(id, batch)?,
                    None => self.book.commit(batch)?,
                }
                for line in lines {
                    self.say(line);
                }
            }
        }
        match &event.kind {
            EventKind::Confirmation { connection, .. } if self.settings.auto_allow => {
                let info = content::encode_profile(&self.settings.name);
                self.repeat(Command::Allow { connection: *connection, info }).await?;
            }
            EventKind::Request { invitation, .. } if self.settings.auto_accept => self.accept(*invitation).await?,
            _ => {}
        }
        if let Some(event_id) = event.id {
            let is_message = matches!(event.kind, EventKind::Message { .. });
            let receipt = (is_message && self.settings.receipts).then(Vec::new);
            self.repeat(Command::Acknowledge { event: event_id, receipt }).await?;
        }
        Ok(())
    }

    /// Accepts a request to an address, if it is still there.
    pub(super) async fn accept(&mut self, invitation: InvitationId) -> Result<(), Failure> {
        let requests = self.book.requests()?;
        let Some((_, request)) = requests.into_iter().find(|(id, _)| *id == invitation) else { return Ok(()) };
        let info = content::encode_profile(&self.settings.name);
        let options = ConnectionOptions::default();
        let mut batch = Batch::default();
        match self.commands.command(Command::Accept { invitation, info, options }).await {
            Ok(Reply::Connection(connection)) => {
                let contact = Contact { name: request.name, named: false, stage: Stage::Connecting, link: None };
                batch.contact(connection, &contact);
            }
            Ok(_) => {}
            Err(Rejection::Refused(refusal)) => {
                self.say(format!("! {refusal}"));
                // Whatever else is in the way may go away, and the request is still there then.
                if refusal != Refusal::NoInvitation {
                    return Ok(());
                }
            }
            Err(stopped) => return Err(Failure::new(OTHER, stopped)),
        }
        batch.forget_request(invitation);
        self.book.commit(batch)
    }

    /// What an event changes, and what is printed.
    fn follow(&mut self, kind: &EventKind, batch: &mut Batch) -> Result<Vec<String>, Failure> {
        let Some(connection) = kind.connection() else { return Ok(self.relays(kind)) };
        let mut contact = self.contact(connection)?;
        let before = contact.clone();
        let mut lines = Vec::new();
        let name = contact.name.clone();
        match kind {
            EventKind::LinkReady { links, .. } => {
                let link = links.short.as_ref().unwrap_or(&links.full).clone();
                if contact.stage == Stage::Preparing {
                    contact.stage = Stage::Invited;
                }
                // What was prepared was shown already, and may have been handed over.
                if contact.link.as_ref() == Some(&links.full) {
                    lines.push(format!("{name}: the link can be used now"));
                } else {
                    lines.extend(self.link_lines(&name, &link));
                    contact.link = Some(link);
                }
            }
            EventKind::LinkPrepared { links, .. } => {
                lines.extend(self.link_lines(&name, &links.full));
                lines.push(format!("{name}: the link leads nowhere before your relay is reached"));
                contact.link = Some(links.full.clone());
            }
            EventKind::LinkDeleted { .. } => lines.push(format!("the short link of {name} is deleted")),
            EventKind::Joined { .. } => {
                lines.push(format!("{name}: the answer is on its way, waiting for the other side"))
            }
            EventKind::Confirmation { info, .. } => {
                self.learn(connection, &mut contact, &info.0)?;
                contact.stage = Stage::Asking;
                let name = &contact.name;
                lines.push(match self.settings.auto_allow {
                    true => format!("{name} uses your invitation"),
                    false => format!("{name} uses your invitation: /accept {name} or /reject {name}"),
                });
            }
            EventKind::Request { invitation, info, .. } => {
                let theirs = content::decode_profile(&info.0).unwrap_or_default();
                let asking = self.free_name(&theirs, None)?;
                batch.request(*invitation, &Request { name: asking.clone() });
                lines.push(match self.settings.auto_accept {
                    true => format!("{asking} asks at {name}"),
                    false => format!("{asking} asks at {name}: /accept {asking} or /reject {asking}"),
                });
            }
            EventKind::Info { info, .. } => self.learn(connection, &mut contact, &info.0)?,
            EventKind::Connected { post_quantum, .. } => {
                contact.stage = Stage::Connected;
                contact.link = None;
                self.next = self.next.or(Some(connection));
                let quantum = if *post_quantum { ", with post-quantum keys" } else { "" };
                lines.push(format!("{name} is connected{quantum}: /to {name} writes there"));
            }
            EventKind::Message { message, .. } => {
                let text = content::decode_text(&message.body.0).map(str::to_owned);
                let entry = Entry { time: message.relay_time, delivery: Delivery::Incoming, text };
                batch.entry(connection, message.id, &entry);
                lines.extend(
                    show::integrity(&message.integrity).map(|why| format!("! {name}, the next message: {why}")),
                );
                lines.push(show::message(&entry, &name, show::now(), &TimeZone::system()));
            }
            EventKind::Sent { message, .. } => {
                lines.extend(self.delivered(connection, *message, Delivery::Sent, &name, batch)?);
            }
            EventKind::NotSent { messages, problem, .. } => {
                for message in messages {
                    let line = self.delivered(connection, *message, Delivery::Failed, &name, batch)?;
                    lines.extend(line.map(|line| format!("{line}: {}", show::problem(problem))));
                }
            }
            EventKind::Waiting { message, failure, .. } => {
                if self.waiting.insert((connection, *message)) {
                    lines.push(format!("… {name}: a message waits: {failure}"));
                }
            }
            EventKind::Receipt { message, intact, .. } => {
                lines.extend(self.delivered(connection, *message, Delivery::Received, &name, batch)?);
                if !intact {
                    lines.push(format!("! {name} received something else than was sent"));
                }
            }
            EventKind::Switch { receiving, phase, .. } => lines.extend(switch(&name, *receiving, *phase)),
            EventKind::Ratchet { state, .. } => lines.push(ratchet(&name, *state)),
            EventKind::Redundancy { receiving, .. } => {
                lines.push(format!("{name}: {} relays receive now", receiving.len()));
            }
            EventKind::SubscriptionEnded { .. } => {
                lines.push(format!("! {name}: another program receives these messages now"));
            }
            EventKind::QueueDeleted { server, .. } => {
                lines.push(format!("! {name}: {} has deleted a queue", host(server)));
            }
            EventKind::QueueBlocked { receiving, server, blocked, .. } => {
                let whose = if *receiving { "your queue" } else { "the other side's queue" };
                let why = match blocked.reason {
                    BlockingReason::Spam => "as spam",
                    BlockingReason::Content => "for its content",
                };
                let then = if *receiving { format!("; /switch {name} moves it") } else { String::new() };
                lines.push(format!("! {name}: the operator of {} has blocked {whose} {why}{then}", host(server)));
            }
            EventKind::Deleted { failures, .. } => {
                let relays: Vec<String> = failures.iter().map(|(server, _)| host(server)).collect();
                if !relays.is_empty() {
                    lines.push(format!("deleted; a queue stays behind at {}", relays.join(", ")));
                }
                // What was told after /delete, or what another program deleted.
                self.book.forget_history(connection)?;
                batch.forget_contact(connection);
                batch.drafts(connection, &[]);
                self.current = self.current.filter(|current| *current != connection);
                self.next = self.next.filter(|next| *next != connection);
                return Ok(lines);
            }
            EventKind::Failed { error, .. } => {
                let ends = matches!(
                    error,
                    ConnectionError::NotAvailable
                        | ConnectionError::NotAccepted
                        | ConnectionError::QueueGone
                        | ConnectionError::PreparedLink(_)
                );
                if ends && contact.stage != Stage::Connected {
                    contact.stage = Stage::Closed;
                }
                if matches!(error, ConnectionError::PreparedLink(_)) {
                    contact.link = None;
                }
                lines.push(format!("! {name}: {error}"));
            }
            // A link was read for somebody else, or it is nothing to be said.
            _ => return Ok(lines),
        }
        if contact != before || self.book.contact(connection)?.is_none() {
            batch.contact(connection, &contact);
        }
        Ok(lines)
    }

    /// Takes the name that the other side gives itself, unless the user has chosen one.
    fn learn(&mut self, connection: ConnectionId, contact: &mut Contact, info: &[u8]) -> Result<(), Failure> {
        if let Some(theirs) = content::decode_profile(info)
            && !contact.named
        {
            contact.name = self.free_name(&theirs, Some(connection))?;
        }
        Ok(())
    }

    /// Notes what became of a message that was sent.
    fn delivered(
        &mut self,
        connection: ConnectionId,
        message: MessageId,
        delivery: Delivery,
        name: &str,
        batch: &mut Batch,
    ) -> Result<Option<String>, Failure> {
        self.waiting.remove(&(connection, message));
        let Some(mut entry) = self.sent_entry(connection, message, delivery, batch)? else { return Ok(None) };
        let text = beginning(entry.text.as_deref().unwrap_or_default());
        // A receipt can come before the relay's answer.
        if delivery != Delivery::Sent || entry.delivery == Delivery::Waiting {
            entry.delivery = delivery;
            batch.entry(connection, message, &entry);
            return Ok(Some(format!("{} {name}: {text}", delivery.mark())));
        }
        Ok(None)
    }

    /// The entry of a message that was sent. What the program was about to send when it was killed has none yet.
    fn sent_entry(
        &mut self,
        connection: ConnectionId,
        message: MessageId,
        delivery: Delivery,
        batch: &mut Batch,
    ) -> Result<Option<Entry>, Failure> {
        let known = self.book.entry(connection, message)?;
        // The agent tells of each message once whether it was sent, in their order; what was received may be told twice.
        if delivery == Delivery::Received {
            return Ok(known);
        }
        let mut drafts = self.book.drafts(connection)?;
        if drafts.is_empty() {
            return Ok(known);
        }
        let count = drafts.len();
        // Those before a message that was sent later were never taken.
        drafts.retain(|draft| draft.before.is_none_or(|later| message.0 < later));
        let found = match known {
            None if !drafts.is_empty() => {
                let Draft { time, text, .. } = drafts.remove(0);
                Some(Entry { time, delivery: Delivery::Waiting, text: Some(text) })
            }
            known => known,
        };
        if drafts.len() != count {
            batch.drafts(connection, &drafts);
        }
        Ok(found)
    }

    fn relays(&mut self, kind: &EventKind) -> Vec<String> {
        match kind {
            EventKind::Down { server, .. } if self.down.insert(server.clone()) => {
                vec![format!("! {} cannot be reached", host(server))]
            }
            EventKind::Up { server, .. } if self.down.remove(server) => vec![format!("{} is back", host(server))],
            _ => Vec::new(),
        }
    }
}

fn host(server: &Server) -> String {
    server.address().hosts.iter().next().map(|host| one_line(&host.to_string())).unwrap_or_default()
}

fn switch(name: &str, receiving: bool, phase: SwitchPhase) -> Option<String> {
    let whose = if receiving { "your relay" } else { "the other side's relay" };
    match phase {
        SwitchPhase::Started if receiving => Some(format!("{name}: {whose} is being changed")),
        SwitchPhase::Completed => Some(format!("{name}: {whose} was changed")),
        SwitchPhase::Aborted => Some(format!("{name}: {whose} stays the same")),
        SwitchPhase::Started | SwitchPhase::Confirmed | SwitchPhase::Secured => None,
    }
}

fn ratchet(name: &str, state: RatchetSync) -> String {
    match state {
        RatchetSync::Ok => format!("{name}: the encryption is in order"),
        RatchetSync::Allowed => format!("! {name}: a message could not be read; /sync {name} makes new keys"),
        RatchetSync::Required => format!("! {name}: the keys do not match any more; /sync {name} makes new ones"),
        RatchetSync::Started => format!("{name}: new keys are being agreed on"),
        RatchetSync::Agreed => format!("{name}: there are new keys; compare the code with /verify {name}"),
    }
}
