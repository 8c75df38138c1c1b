//! The conversations of a person: what events mean, what is printed, what typed lines do.

mod event;
mod line;
mod names;
mod show;

pub(crate) use line::InviteOptions;

use std::collections::HashSet;

use smp_agent::storage::Storage;
use smp_agent::{Command, ConnectionId, InvitationId, MessageId, Reply};

use super::backend::{Commands, Rejection};
use super::book::{Batch, Book, Contact, Stage};
use super::qr;
use super::settings::Settings;
use super::terminal::handle;
use crate::failure::{Failure, OTHER};

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    Quit,
}

/// Where links appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// Among the other texts, with a QR code where there are so many columns for it.
    Here { columns: Option<usize> },
    /// Somebody else shows them.
    Elsewhere,
}

/// A person's conversations. `P` prints a text of one or more lines.
pub(crate) struct Talk<C, S, P> {
    commands: C,
    book: Book<S>,
    settings: Settings,
    print: P,
    links: Links,
    /// Who is written to: who is in front of the line.
    current: Option<ConnectionId>,
    /// Who is from the next line on, if nobody is: the line that is being typed was begun with nobody in front.
    next: Option<ConnectionId>,
    /// Messages whose waiting was told.
    waiting: HashSet<(ConnectionId, MessageId)>,
    /// Relays that cannot be reached.
    down: HashSet<smp_agent::policy::server::Server>,
}

impl<C: Commands, S: Storage, P: FnMut(String)> Talk<C, S, P> {
    pub(crate) fn new(commands: C, book: Book<S>, settings: Settings, links: Links, print: P) -> Self {
        Self {
            commands,
            book,
            settings,
            print,
            links,
            current: None,
            next: None,
            waiting: HashSet::new(),
            down: HashSet::new(),
        }
    }

    /// What stands in front of the next line that is typed.
    pub(crate) fn prompt(&mut self) -> Result<String, Failure> {
        self.current = self.current.or(self.next.take());
        let name = match self.current {
            Some(connection) => self.book.contact(connection)?.map(|contact| contact.name),
            None => None,
        };
        Ok(name.map_or_else(|| "> ".to_owned(), |name| format!("{name}> ")))
    }

    fn say(&mut self, text: impl Into<String>) {
        (self.print)(text.into());
    }

    /// The texts for a link.
    fn link_lines(&self, name: &str, link: &str) -> Vec<String> {
        let Links::Here { columns } = self.links else { return Vec::new() };
        let code = columns.and_then(|columns| qr::qr_code(link, columns));
        [format!("link of {name}:\n{link}")].into_iter().chain(code).collect()
    }

    /// Does something at the agent; says why it is refused, and gives `None` then.
    async fn ask(&mut self, command: Command) -> Result<Option<Reply>, Failure> {
        match self.commands.command(command).await {
            Ok(reply) => Ok(Some(reply)),
            Err(Rejection::Refused(refusal)) => {
                self.say(format!("! {refusal}"));
                Ok(None)
            }
            Err(stopped) => Err(Failure::new(OTHER, stopped)),
        }
    }

    /// Does what may have been done before a crash already: then it is refused, and that is right.
    async fn repeat(&mut self, command: Command) -> Result<Option<Reply>, Failure> {
        match self.commands.command(command).await {
            Ok(reply) => Ok(Some(reply)),
            Err(Rejection::Refused(_)) => Ok(None),
            Err(stopped) => Err(Failure::new(OTHER, stopped)),
        }
    }

    /// The contact of a connection. One that is not known was made by another program in the same folder.
    fn contact(&mut self, connection: ConnectionId) -> Result<Contact, Failure> {
        if let Some(contact) = self.book.contact(connection)? {
            return Ok(contact);
        }
        let name = self.free_name("contact", None)?;
        Ok(Contact { name, named: false, stage: Stage::Connecting, link: None })
    }

    /// Writes a new contact.
    fn add(&mut self, connection: ConnectionId, contact: &Contact) -> Result<(), Failure> {
        let mut batch = Batch::default();
        batch.contact(connection, contact);
        self.book.commit(batch)
    }

    /// A name that nobody else has, as close as can be to the wanted one. `except` may have it.
    fn free_name(&mut self, wanted: &str, except: Option<ConnectionId>) -> Result<String, Failure> {
        let contacts = self.book.contacts()?;
        let others = contacts.into_iter().filter(|(id, _)| Some(*id) != except).map(|(_, contact)| contact.name);
        let requests = self.book.requests()?.into_iter().map(|(_, request)| request.name);
        let taken: HashSet<String> = others.chain(requests).map(|name| name.to_lowercase()).collect();
        let wanted = match handle(wanted) {
            wanted if wanted.is_empty() => "contact".to_owned(),
            wanted => wanted,
        };
        if !taken.contains(&wanted.to_lowercase()) {
            return Ok(wanted);
        }
        let mut numbered = (2_u32..).map(|number| format!("{wanted}_{number}"));
        Ok(numbered.find(|name| !taken.contains(&name.to_lowercase())).unwrap_or(wanted))
    }

    fn find(&mut self, name: &str) -> Result<Option<(ConnectionId, Contact)>, Failure> {
        let name = name.trim_start_matches('@');
        let contacts = self.book.contacts()?;
        Ok(contacts.into_iter().find(|(_, contact)| contact.name.eq_ignore_ascii_case(name) || contact.name == name))
    }

    fn find_request(&mut self, name: &str) -> Result<Option<InvitationId>, Failure> {
        let requests = self.book.requests()?;
        Ok(requests.into_iter().find(|(_, request)| request.name.eq_ignore_ascii_case(name)).map(|(id, _)| id))
    }
}

#[cfg(test)]
mod tests;
