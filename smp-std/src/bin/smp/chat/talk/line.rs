//! What typed lines do.

use jiff::tz::TimeZone;
use smp_agent::storage::Storage;
use smp_agent::{Command, ConnectionId, ConnectionOptions, LinkRequest, PostQuantum, Reply};

use super::super::backend::{Commands, Rejection};
use super::super::book::{Batch, Contact, Delivery, Draft, Entry, Stage};
use super::super::terminal::{beginning, handle};
use super::super::{USER, content};
use super::names::{Typed, parse};
use super::{Flow, Talk, show};
use crate::failure::{Failure, OTHER};

/// How many messages `/history` shows if it is not told.
const HISTORY: usize = 20;

const HELP: &str = "\
A line is sent to who is in front of it. @NAME TEXT sends to somebody else, //TEXT a text that begins with a slash.
/contacts               who there is
/to NAME                write to NAME from now on
/invite [NAME]          a link for one person; NAME is what you will call them
/connect LINK [NAME]    use a link that somebody gave you
/address                a link for everybody; whoever uses it has to be accepted
/accept NAME            let in who asks; /reject NAME does not, and tells them nothing
/rename NAME NEW        call somebody something else
/history [NAME] [N]     the last messages
/verify [NAME]          a code: if both sides have the same, nobody is between you
/switch [NAME]          receive from NAME over another relay
/sync [NAME]            make new keys when messages cannot be read
/link NAME              show the link again
/delete NAME            end a conversation and forget it
/set                    settings; /set allow off asks before somebody who has an invitation is let in
/quit                   stop; messages wait at the relays
✓ is at the relay of the other side, ✓✓ was received, ✗ will not arrive.";

/// What a new invitation shall be like.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InviteOptions {
    pub(crate) post_quantum: PostQuantum,
    pub(crate) short: bool,
    /// Whether the link is made without a network.
    pub(crate) prepared: bool,
}

impl<C: Commands, S: Storage, P: FnMut(String)> Talk<C, S, P> {
    /// Who there is, for the beginning of a session.
    pub(crate) fn greet(&mut self) -> Result<(), Failure> {
        self.contacts()?;
        let connected = self.book.contacts()?.into_iter().filter(|(_, contact)| contact.stage == Stage::Connected);
        let connected: Vec<ConnectionId> = connected.map(|(connection, _)| connection).collect();
        if let [only] = connected[..] {
            self.current = Some(only);
        }
        for (connection, contact) in self.book.contacts()? {
            for draft in self.book.drafts(connection)? {
                let (name, text) = (&contact.name, beginning(&draft.text));
                self.say(format!("! {name}: the program was stopped when it was about to send: {text}"));
                self.say(format!("! {name}: if it was taken, a tick will tell"));
            }
        }
        self.say("/help lists the commands");
        Ok(())
    }

    /// Does what a line says.
    pub(crate) async fn line(&mut self, line: &str) -> Result<Flow, Failure> {
        match parse(line) {
            Typed::Nothing => {}
            Typed::Text(text) => match self.current {
                Some(connection) => self.send(connection, text).await?,
                None => self.say("! nobody to write to: /to NAME, /invite or /connect LINK"),
            },
            Typed::TextTo(name, text) => {
                if let Some((connection, _)) = self.named(name)? {
                    self.send(connection, text).await?;
                }
            }
            Typed::Command("quit" | "q" | "exit", _) => return Ok(Flow::Quit),
            Typed::Command(command, rest) => self.command(command, rest).await?,
        }
        Ok(Flow::Continue)
    }

    async fn command(&mut self, command: &str, rest: &str) -> Result<(), Failure> {
        let (first, second) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let second = second.trim();
        match command {
            "help" | "h" | "?" => self.say(HELP),
            "contacts" | "c" => self.contacts()?,
            "to" => {
                if let Some((connection, _)) = self.named(first)? {
                    self.current = Some(connection);
                }
            }
            "invite" => {
                self.invite(InviteOptions { short: true, ..InviteOptions::default() }, first).await?;
            }
            "connect" => {
                self.connect(first, second).await?;
            }
            "address" => self.address().await?,
            "accept" => self.let_in(first).await?,
            "reject" => self.turn_away(first).await?,
            "rename" => self.rename(first, second)?,
            "history" => self.history(rest)?,
            "link" => self.link(first)?,
            "verify" => self.verify(first).await?,
            "switch" => self.about(first, |connection| Command::Switch { connection }).await?,
            "sync" => self.about(first, |connection| Command::Resynchronize { connection, force: false }).await?,
            "delete" => self.delete(first).await?,
            "set" => self.set(first, second)?,
            _ => self.say("! there is no such command; /help lists them"),
        }
        Ok(())
    }

    /// Somebody by name, or who is written to; says so if there is nobody.
    fn named(&mut self, name: &str) -> Result<Option<(ConnectionId, Contact)>, Failure> {
        let found = match (name, self.current) {
            ("", Some(connection)) => self.book.contact(connection)?.map(|contact| (connection, contact)),
            ("", None) => None,
            (name, _) => self.find(name)?,
        };
        if found.is_none() {
            self.say("! there is nobody of that name; /contacts lists them");
        }
        Ok(found)
    }

    fn contacts(&mut self) -> Result<(), Failure> {
        let mut contacts = self.book.contacts()?;
        contacts.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
        let requests = self.book.requests()?;
        if contacts.is_empty() && requests.is_empty() {
            self.say("nobody yet: /invite makes a link for somebody, /connect LINK uses one");
        }
        for (_, Contact { name, stage, .. }) in contacts {
            let then = if stage == Stage::Asking { format!(": /accept {name}") } else { String::new() };
            self.say(format!("{name} ({}){then}", stage.text()));
        }
        for (_, request) in requests {
            let name = request.name;
            self.say(format!("{name} (asks at your address): /accept {name} or /reject {name}"));
        }
        Ok(())
    }

    async fn send(&mut self, connection: ConnectionId, text: &str) -> Result<(), Failure> {
        let command = Command::Send { connection, body: content::encode_text(text), notify: true };
        // The agent says why, if it knows a better reason.
        if text.len() > content::LONGEST_TEXT {
            self.ask(command).await?;
            return Ok(());
        }
        let time = show::now();
        let earlier = self.book.drafts(connection)?;
        let draft = Draft { time, text: text.to_owned(), before: None };
        let mut batch = Batch::default();
        batch.drafts(connection, &[&earlier[..], &[draft]].concat());
        self.book.commit(batch)?;
        let reply = self.ask(command).await?;
        let mut batch = Batch::default();
        if let Some(Reply::Message(message)) = reply {
            let entry = Entry { time, delivery: Delivery::Waiting, text: Some(text.to_owned()) };
            batch.entry(connection, message, &entry);
            let earlier = earlier.into_iter().map(|draft| Draft { before: draft.before.or(Some(message.0)), ..draft });
            batch.drafts(connection, &earlier.collect::<Vec<_>>());
        } else {
            batch.drafts(connection, &earlier);
        }
        self.book.commit(batch)
    }

    /// Makes an invitation. The link comes with an event.
    pub(crate) async fn invite(&mut self, options: InviteOptions, name: &str) -> Result<Option<ConnectionId>, Failure> {
        let InviteOptions { post_quantum, short, prepared } = options;
        let options = ConnectionOptions { post_quantum, ..ConnectionOptions::default() };
        let reply = self.ask(match prepared {
            true => Command::PrepareInvitation { user: USER, options, link: self.link_request() },
            false => Command::Invite { user: USER, options, link: short.then(|| self.link_request()) },
        });
        let reply = reply.await?;
        let Some(Reply::Connection(connection)) = reply else { return Ok(None) };
        let wanted = if name.is_empty() { "invited" } else { name };
        let contact = Contact {
            name: self.free_name(wanted, None)?,
            named: !name.is_empty(),
            stage: Stage::Preparing,
            link: None,
        };
        self.add(connection, &contact)?;
        Ok(Some(connection))
    }

    /// Uses a link.
    pub(crate) async fn connect(&mut self, link: &str, name: &str) -> Result<Option<ConnectionId>, Failure> {
        if link.is_empty() {
            self.say("! /connect LINK");
            return Ok(None);
        }
        let info = content::encode_profile(&self.settings.name);
        let options = ConnectionOptions::default();
        let reply = self.ask(Command::Join { user: USER, link: link.to_owned(), info, options }).await?;
        let Some(Reply::Connection(connection)) = reply else { return Ok(None) };
        let wanted = if name.is_empty() { "contact" } else { name };
        let contact = Contact {
            name: self.free_name(wanted, None)?,
            named: !name.is_empty(),
            stage: Stage::Connecting,
            link: None,
        };
        self.add(connection, &contact)?;
        self.say(format!("connecting, as {} for now", contact.name));
        Ok(Some(connection))
    }

    /// Shows the address, or makes one.
    async fn address(&mut self) -> Result<(), Failure> {
        let known = self.book.contacts()?.into_iter().find(|(_, contact)| contact.stage == Stage::Address);
        if let Some((_, contact)) = known {
            self.show_link(&contact);
            return Ok(());
        }
        let link = Some(self.link_request());
        if let Some(Reply::Connection(connection)) = self.ask(Command::CreateAddress { user: USER, link }).await? {
            let name = self.free_name("address", None)?;
            self.add(connection, &Contact { name, named: true, stage: Stage::Address, link: None })?;
        }
        Ok(())
    }

    /// What a short link of this user's holds.
    fn link_request(&self) -> LinkRequest {
        LinkRequest { user_data: content::encode_profile(&self.settings.name), entity_id: None }
    }

    fn link(&mut self, name: &str) -> Result<(), Failure> {
        if let Some((_, contact)) = self.named(name)? {
            self.show_link(&contact);
        }
        Ok(())
    }

    fn show_link(&mut self, contact: &Contact) {
        match &contact.link {
            Some(link) => {
                for line in self.link_lines(&contact.name, link) {
                    self.say(line);
                }
            }
            None => self.say("there is no link, or not yet"),
        }
    }

    async fn let_in(&mut self, name: &str) -> Result<(), Failure> {
        if let Some(invitation) = self.find_request(name)? {
            return self.accept(invitation).await;
        }
        let Some((connection, mut contact)) = self.named(name)? else { return Ok(()) };
        let info = content::encode_profile(&self.settings.name);
        if self.ask(Command::Allow { connection, info }).await?.is_some() {
            contact.stage = Stage::Connecting;
            self.add(connection, &contact)?;
        }
        Ok(())
    }

    async fn turn_away(&mut self, name: &str) -> Result<(), Failure> {
        if let Some(invitation) = self.find_request(name)? {
            self.repeat(Command::Reject { invitation }).await?;
            let mut batch = Batch::default();
            batch.forget_request(invitation);
            return self.book.commit(batch);
        }
        match self.named(name)? {
            Some((_, contact)) if contact.stage == Stage::Asking => self.delete(name).await,
            Some(_) => {
                self.say("! they do not ask for anything; /delete ends a conversation");
                Ok(())
            }
            None => Ok(()),
        }
    }

    async fn delete(&mut self, name: &str) -> Result<(), Failure> {
        if name.is_empty() {
            self.say("! /delete NAME");
            return Ok(());
        }
        let Some((connection, contact)) = self.named(name)? else { return Ok(()) };
        self.repeat(Command::Delete { connection, deliver_first: false }).await?;
        self.book.forget_history(connection)?;
        let mut batch = Batch::default();
        batch.forget_contact(connection);
        batch.drafts(connection, &[]);
        self.book.commit(batch)?;
        self.current = self.current.filter(|current| *current != connection);
        self.next = self.next.filter(|next| *next != connection);
        self.say(format!("{} is forgotten", contact.name));
        Ok(())
    }

    fn rename(&mut self, name: &str, new: &str) -> Result<(), Failure> {
        if new.is_empty() || handle(new) != new {
            self.say("! /rename NAME NEW; NEW has letters, digits, and any of - _ .");
            return Ok(());
        }
        let Some((connection, contact)) = self.named(name)? else { return Ok(()) };
        let free = self.free_name(new, Some(connection))?;
        if free != new {
            self.say("! somebody else has that name");
            return Ok(());
        }
        self.add(connection, &Contact { name: free, named: true, ..contact })
    }

    fn history(&mut self, rest: &str) -> Result<(), Failure> {
        let mut words: Vec<&str> = rest.split_whitespace().collect();
        let count = words.last().and_then(|word| word.parse().ok());
        if count.is_some() {
            words.pop();
        }
        let Some((connection, contact)) = self.named(words.first().copied().unwrap_or_default())? else {
            return Ok(());
        };
        let zone = TimeZone::system();
        for (_, entry) in self.book.history(connection, count.unwrap_or(HISTORY))? {
            let who = if entry.delivery == Delivery::Incoming { &contact.name } else { "you" };
            self.say(show::message(&entry, who, show::now(), &zone));
        }
        Ok(())
    }

    async fn verify(&mut self, name: &str) -> Result<(), Failure> {
        let Some((connection, contact)) = self.named(name)? else { return Ok(()) };
        match self.commands.verification_code(connection).await {
            Ok(Some(code)) => {
                let (name, code) = (contact.name, show::security_code(&code));
                self.say(format!("compare with {name}, over another way than this one:\n{code}"));
            }
            Ok(None) => self.say("there is no code before you are connected"),
            Err(Rejection::Refused(refusal)) => self.say(format!("! {refusal}")),
            Err(stopped) => return Err(Failure::new(OTHER, stopped)),
        }
        Ok(())
    }

    async fn about(&mut self, name: &str, command: impl Fn(ConnectionId) -> Command) -> Result<(), Failure> {
        if let Some((connection, _)) = self.named(name)? {
            self.ask(command(connection)).await?;
        }
        Ok(())
    }

    fn set(&mut self, what: &str, value: &str) -> Result<(), Failure> {
        let switch = match value {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        };
        let settings = &mut self.settings;
        match (what, switch) {
            ("receipts", Some(on)) => settings.receipts = on,
            ("allow", Some(on)) => settings.auto_allow = on,
            ("accept", Some(on)) => settings.auto_accept = on,
            ("name", _) if !value.is_empty() => settings.name = value.to_owned(),
            _ => {
                let word = |on| if on { "on" } else { "off" };
                let text = format!(
                    "/set name {}\n/set receipts {} (senders are told that their messages arrived)\n/set allow {} \
                     (who has an invitation is let in at once)\n/set accept {} (who asks at your address is accepted)",
                    settings.name,
                    word(settings.receipts),
                    word(settings.auto_allow),
                    word(settings.auto_accept),
                );
                self.say(text);
                return Ok(());
            }
        }
        let mut batch = Batch::default();
        batch.settings(&self.settings);
        self.book.commit(batch)
    }

    /// Takes the relays of the settings, and receives.
    pub(crate) async fn begin(&mut self, subscribe: bool) -> Result<(), Failure> {
        let servers = super::super::settings::server_list(&self.settings.servers)?;
        self.ask(Command::SetServers { user: USER, servers }).await?;
        if subscribe {
            self.ask(Command::SubscribeAll).await?;
        }
        Ok(())
    }
}
