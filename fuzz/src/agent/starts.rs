//! Connections in the states that inputs begin with: made once, copied for each input.

use std::sync::LazyLock;

use smp_agent::event::EventKind;
use smp_agent::policy::server::{ConfiguredServer, OperatorId, Server, ServerList};
use smp_agent::storage::MemoryStorage;
use smp_agent::{
    Command, Configuration, ConnectionId, ConnectionOptions, ConnectionState, LinkRequest, PostQuantum,
    RedundancyPolicy, Time,
};
use smp_crypto::ratchet::BodyKind;
use smp_proto::agent::{AddedQueue, EnvelopeContent, Message};
use smp_proto::smp::recipient::QueueMode;
use smp_proto::uri::QueueUri;
use smp_proto::version::VersionRange;
use smp_proto::wire::NonEmptyList;

use super::host::{Host, MARK, USER};
use super::peer::{Peer, encoded};
use super::relays::Relays;

/// A state to begin with.
pub struct Start {
    memory: MemoryStorage,
    configuration: Configuration,
    now: Time,
    relays: Relays,
    peer: Peer,
}

/// All parties, at work.
pub struct Scene {
    /// The agent.
    pub host: Host,
    /// The relays of both sides.
    pub relays: Relays,
    /// The peer.
    pub peer: Peer,
}

/// All states.
pub static STARTS: LazyLock<Vec<Start>> = LazyLock::new(|| {
    let scenes = [
        nothing as fn() -> Scene,
        invited,
        joined,
        to_be_allowed,
        || connected(1, PostQuantum::Off),
        || connected_as_joiner(1, PostQuantum::Off),
        || connected(1, PostQuantum::On),
        moving,
        peer_moves,
        resynchronizing,
        || connected(3, PostQuantum::Off),
        address,
        requested,
        greeting,
        one_of_several,
        short_link,
        resynchronized,
        deleting,
    ];
    scenes.map(|scene| scene().keep()).into()
});

/// A relay of the agent's user.
fn own_server(number: usize) -> ConfiguredServer {
    let letter = char::from(b"ABC"[number % 3]);
    let text = format!("smp://{letter}pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@relay{number}.example.com");
    let server = ConfiguredServer::parse(&text).expect("it is an address");
    ConfiguredServer { operator: Some(OperatorId((number % 3) as u32)), ..server }
}

/// A relay of the peer.
#[must_use]
pub fn peer_server(number: usize) -> Server {
    let text = format!("smp://Dpd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@peer{}.example.net", number % 4);
    Server::parse(&text).expect("it is an address")
}

impl Start {
    /// The state, ready to go on.
    #[must_use]
    pub fn scene(&self) -> Scene {
        let host = Host::open(self.memory.clone(), self.configuration.clone(), self.now);
        Scene { host, relays: self.relays.clone(), peer: self.peer.copy() }
    }
}

impl Scene {
    fn new(configuration: Configuration, post_quantum: PostQuantum) -> Self {
        let host = Host::open(MemoryStorage::default(), configuration, Time(1_790_000_000_000));
        let peer = Peer::new(7, post_quantum != PostQuantum::Off);
        let mut scene = Self { host, relays: Relays::default(), peer };
        let servers = ServerList::from((0..3).map(own_server).collect::<Vec<_>>());
        scene.command(Command::SetServers { user: USER, servers });
        scene
    }

    fn keep(self) -> Start {
        let Self { host, relays, peer } = self;
        Start { memory: host.storage.copy(), configuration: host.configuration, now: host.now, relays, peer }
    }

    /// Lets the relays do all there is to do.
    pub fn serve(&mut self) {
        self.host.serve(&mut self.relays);
    }

    /// Gives a command, and lets the relays follow.
    pub fn command(&mut self, command: Command) {
        self.host.command(command);
        self.serve();
    }

    /// The connection that was made last.
    fn connection(&self) -> ConnectionId {
        *self.host.connections().last().expect("there is one")
    }

    fn link(&self) -> String {
        let links = self.host.events.iter().rev().find_map(|event| match &event.kind {
            EventKind::LinkReady { links, .. } => Some(links.full.clone()),
            _ => None,
        });
        links.expect("there is a link")
    }

    /// The peer reads all that was sent to it.
    pub fn read_all(&mut self) {
        while let Some(sent) = self.relays.sent.pop_front() {
            let _ = self.peer.read(&sent);
        }
    }

    /// Brings what the peer has sealed for a lane to its queue.
    pub fn deliver(&mut self, lane: usize, body: Vec<u8>) {
        let Some(lane) = self.peer.lanes.get(lane) else { return };
        if let Some(place) = self.relays.queues.iter().position(|queue| queue.sender_id == lane.sender_id) {
            self.relays.send(place, body);
        }
    }

    /// The peer sends the same confirmation through all its lanes.
    fn confirm(&mut self, secures: bool) {
        let body = self.peer.introduction(b"the peer");
        let sent = self.peer.encrypt(&body, BodyKind::Confirmation).expect("there is a ratchet");
        let body = self.peer.confirmation(&sent).expect("it fits");
        for lane in 0..self.peer.lanes.len() {
            let sealed = self.peer.seal(lane, &body, true, secures).expect("it fits");
            self.deliver(lane, sealed);
        }
        self.serve();
    }

    /// The peer sends a numbered message through all its lanes.
    pub fn say(&mut self, message: Message<'_>) {
        let plaintext = self.peer.numbered(message);
        let Some(sent) = self.peer.encrypt(&plaintext, BodyKind::Message) else { return };
        let Some(body) = self.peer.envelope(EnvelopeContent::Message(&sent)) else { return };
        for lane in 0..self.peer.lanes.len() {
            if let Some(sealed) = self.peer.seal(lane, &body, false, false) {
                self.deliver(lane, sealed);
            }
        }
        self.serve();
    }

    fn acknowledge_all(&mut self) {
        while !self.host.events.is_empty() {
            self.host.acknowledge(0, None);
            self.serve();
        }
    }

    fn be_connected(mut self) -> Self {
        let state = self.host.agent.connection(self.connection()).map(|summary| summary.state);
        assert_eq!(state, Some(ConnectionState::Connected));
        self.say(Message::Application(b"hello"));
        self.acknowledge_all();
        self
    }
}

fn options(receive_queues: u8, post_quantum: PostQuantum) -> ConnectionOptions {
    ConnectionOptions { post_quantum, receive_queues }
}

fn nothing() -> Scene {
    Scene::new(Configuration::default(), PostQuantum::Off)
}

fn invite(mut scene: Scene, options: ConnectionOptions) -> Scene {
    scene.command(Command::Invite { user: USER, options, link: None });
    for relay in 0..usize::from(options.receive_queues) {
        scene.peer.add_own(relay, Some(QueueMode::Messaging));
    }
    let link = scene.link();
    scene.peer.join(&link);
    scene
}

fn invited() -> Scene {
    invite(nothing(), options(1, PostQuantum::Off))
}

fn to_be_allowed() -> Scene {
    let mut scene = invited();
    scene.confirm(false);
    scene
}

fn allow(scene: &mut Scene) {
    let connection = scene.connection();
    scene.command(Command::Allow { connection, info: MARK.to_vec() });
    scene.read_all();
}

fn connect(scene: Scene, options: ConnectionOptions) -> Scene {
    let mut scene = invite(scene, options);
    scene.confirm(false);
    allow(&mut scene);
    scene.be_connected()
}

fn connected(queues: u8, post_quantum: PostQuantum) -> Scene {
    connect(Scene::new(Configuration::default(), post_quantum), options(queues, post_quantum))
}

/// Messages go to the first of several queues.
fn one_of_several() -> Scene {
    let configuration = Configuration { redundancy: RedundancyPolicy::First, ..Configuration::default() };
    connect(Scene::new(configuration, PostQuantum::Off), options(2, PostQuantum::Off))
}

fn joined() -> Scene {
    join(options(1, PostQuantum::Off))
}

fn join(options: ConnectionOptions) -> Scene {
    let mut scene = Scene::new(Configuration::default(), options.post_quantum);
    scene.peer.add_own(0, Some(QueueMode::Messaging));
    let link = scene.peer.invitation();
    scene.command(Command::Join { user: USER, link, info: MARK.to_vec(), options });
    scene.read_all();
    scene
}

fn connected_as_joiner(queues: u8, post_quantum: PostQuantum) -> Scene {
    let mut scene = join(options(queues, post_quantum));
    scene.confirm(false);
    scene.be_connected()
}

/// The agent moves its queue, and the peer knows.
fn moving() -> Scene {
    let mut scene = connected(1, PostQuantum::Off);
    let connection = scene.connection();
    scene.command(Command::Switch { connection });
    scene.read_all();
    scene
}

/// The peer moves its queue, and the agent has answered.
fn peer_moves() -> Scene {
    let mut scene = connected(1, PostQuantum::Off);
    scene.peer.add_own(1, Some(QueueMode::Messaging));
    let own = scene.peer.own.clone();
    let queue = QueueUri::new(VersionRange::CLIENT, &own[1].address()).expect("ids are short");
    let added = [AddedQueue { queue, replaced: Some((&own[0].address()).into()) }];
    scene.say(Message::AddQueues(NonEmptyList::new(&added).expect("there is one")));
    scene.read_all();
    scene
}

fn resynchronizing() -> Scene {
    let mut scene = connected(1, PostQuantum::Off);
    let connection = scene.connection();
    scene.command(Command::Resynchronize { connection, force: true });
    scene
}

/// Both have new keys, and no message has come.
fn resynchronized() -> Scene {
    let mut scene = connected(1, PostQuantum::Off);
    let parameters = scene.peer.resynchronize().expect("it has keys");
    let content = key_message(&scene.peer, &parameters);
    let sealed = scene.peer.seal(0, &content, false, false).expect("it fits");
    scene.deliver(0, sealed);
    scene.serve();
    scene.read_all();
    scene
}

fn address() -> Scene {
    let mut scene = nothing();
    scene.command(Command::CreateAddress { user: USER, link: None });
    scene.peer.add_own(0, Some(QueueMode::Messaging));
    let link = scene.link();
    scene.peer.join(&link);
    scene
}

fn requested() -> Scene {
    let mut scene = address();
    let request = scene.peer.invitation();
    let content = EnvelopeContent::Invitation { request: &request, info: b"the peer" };
    let body = scene.peer.envelope(content).expect("it fits");
    let sealed = scene.peer.seal(0, &body, true, false).expect("it fits");
    scene.deliver(0, sealed);
    scene.serve();
    scene
}

/// Both sides secure queues for each other, and have not said HELLO.
fn greeting() -> Scene {
    let mut scene = nothing();
    scene.relays.old = true;
    scene.command(Command::Invite { user: USER, options: options(1, PostQuantum::Off), link: None });
    scene.peer.add_own(0, None);
    let link = scene.link();
    scene.peer.join(&link);
    scene.confirm(true);
    allow(&mut scene);
    scene
}

fn short_link() -> Scene {
    let mut scene = nothing();
    let link = LinkRequest { user_data: MARK.to_vec(), entity_id: Some(vec![1; 24]) };
    let options = options(1, PostQuantum::InLink);
    scene.command(Command::Invite { user: USER, options, link: Some(link.clone()) });
    let full = scene.link();
    scene.peer = Peer::new(7, true);
    scene.peer.add_own(0, Some(QueueMode::Messaging));
    scene.peer.join(&full);
    scene.command(Command::CreateAddress { user: USER, link: Some(link) });
    scene
}

/// A connection is deleted as soon as what waits is delivered.
fn deleting() -> Scene {
    let mut scene = connected(2, PostQuantum::Off);
    let connection = scene.connection();
    scene.host.command(Command::Send { connection, body: MARK.to_vec(), notify: true });
    scene.host.command(Command::Delete { connection, deliver_first: true });
    let Scene { host, relays, peer } = scene;
    // What is under way is forgotten: the storage is what counts.
    let host = Host::open(host.storage.copy(), host.configuration, host.now);
    Scene { host, relays, peer }
}

/// What a key message says, with any parameters.
#[must_use]
pub fn key_message(peer: &Peer, parameters: &[u8]) -> Vec<u8> {
    [&encoded(&peer.version).unwrap_or_default(), &b"R"[..], parameters, b"R"].concat()
}

/// A relay that nobody uses.
pub static STRANGE: LazyLock<Server> = LazyLock::new(|| {
    Server::parse("smp://Epd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@stranger.example.org").expect("it is an address")
});
