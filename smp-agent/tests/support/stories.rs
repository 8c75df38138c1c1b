//! What many tests begin with.

use smp_agent::command::{Command, ConnectionOptions, LinkRequest, Reply};
use smp_agent::event::{EventKind, Links};
use smp_agent::id::{ConnectionId, MessageId};

use super::app::Manners;
use super::party::{Setup, USER};
use super::world::World;

/// The first party of most tests, who makes the invitation or has the address.
pub const A: usize = 0;
/// The other one.
pub const B: usize = 1;

/// A world of three relays, where A and B each receive at one, and the third serves as a proxy if anything does.
pub fn two_parties(seed: u64, change: impl Fn(usize, &mut Setup)) -> World {
    let mut world = World::new(seed);
    for _ in 0..3 {
        world.add_relay();
    }
    for (number, name) in [(A, "A"), (B, "B")] {
        let mut setup = Setup { relays: vec![number], ..Setup::default() };
        change(number, &mut setup);
        world.add_party(name, setup);
    }
    world
}

/// The same without changes.
pub fn plain(seed: u64) -> World {
    two_parties(seed, |_, _| {})
}

/// Both sides of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub parties: [usize; 2],
    pub connections: [ConnectionId; 2],
}

/// The connection of a reply.
pub fn connection(reply: Reply) -> ConnectionId {
    match reply {
        Reply::Connection(connection) => connection,
        other => panic!("{other:?} names no connection"),
    }
}

impl World {
    /// The links of a connection, once they are there.
    pub fn links(&mut self, party: usize, connection: ConnectionId) -> Links {
        self.run_until(|world| world.last_links(party, connection).is_some());
        self.last_links(party, connection).expect("they are there")
    }

    fn last_links(&self, party: usize, connection: ConnectionId) -> Option<Links> {
        self.parties[party].app.of(connection).filter_map(links_of).last()
    }

    /// Makes an invitation; the connection and its links.
    pub fn invite(
        &mut self,
        party: usize,
        options: ConnectionOptions,
        link: Option<LinkRequest>,
    ) -> (ConnectionId, Links) {
        let connection = connection(self.command(party, Command::Invite { user: USER, options, link }));
        (connection, self.links(party, connection))
    }

    /// Makes an address; the connection and its links.
    pub fn address(&mut self, party: usize, link: Option<LinkRequest>) -> (ConnectionId, Links) {
        let connection = connection(self.command(party, Command::CreateAddress { user: USER, link }));
        (connection, self.links(party, connection))
    }

    /// Joins a link.
    pub fn join(&mut self, party: usize, link: &str, options: ConnectionOptions) -> ConnectionId {
        let info = self.parties[party].app.manners.info.clone();
        let link = link.to_owned();
        connection(self.command(party, Command::Join { user: USER, link, info, options }))
    }

    /// Lets B join an invitation of A's, until both are connected.
    pub fn connect(&mut self, options: ConnectionOptions) -> Pair {
        let (inviting, links) = self.invite(A, options, None);
        let joining = self.join(B, &links.full, options);
        let pair = Pair { parties: [A, B], connections: [inviting, joining] };
        self.run_until(|world| world.are_connected(pair));
        pair
    }

    /// Whether both sides can send.
    pub fn are_connected(&self, pair: Pair) -> bool {
        pair.parties.iter().zip(pair.connections).all(|(party, id)| self.parties[*party].app.is_connected(id))
    }

    /// Sends a message.
    pub fn send(&mut self, pair: Pair, side: usize, text: &str) -> MessageId {
        let (body, connection) = (text.as_bytes().to_vec(), pair.connections[side]);
        match self.command(pair.parties[side], Command::Send { connection, body, notify: true }) {
            Reply::Message(id) => id,
            other => panic!("{other:?} names no message"),
        }
    }

    /// What one side was sent.
    pub fn texts(&self, pair: Pair, side: usize) -> Vec<String> {
        self.parties[pair.parties[side]].app.texts(pair.connections[side])
    }

    /// Sends a message, and lets time pass until it has come.
    pub fn tell(&mut self, pair: Pair, side: usize, text: &str) {
        self.send(pair, side, text);
        self.run_until(|world| world.texts(pair, 1 - side).last().is_some_and(|last| last == text));
    }
}

fn links_of(kind: &EventKind) -> Option<Links> {
    match kind {
        EventKind::LinkReady { links, .. } => Some(links.clone()),
        _ => None,
    }
}

/// Manners of an application that does nothing by itself with people and messages.
pub fn by_hand() -> Manners {
    Manners { allow: false, accept: false, acknowledge_messages: false, ..Manners::default() }
}
