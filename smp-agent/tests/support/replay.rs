//! Lets two agents do what the reference agents did in a recorded procedure, and writes down what they did in the same
//! words.

use smp_agent::command::{Command, ConnectionOptions, LinkRequest, PostQuantum, Reply};
use smp_agent::event::{EventKind, RatchetSync, SwitchPhase};
use smp_agent::id::{ConnectionId, EventId, InvitationId};
use smp_agent::policy::integrity::Integrity;
use smp_agent::policy::routing::ProxyMode;
use smp_agent::storage::MemoryStorage;
use smp_agent::time::{MINUTE, SECOND};
use smp_proto::version::{AgentVersion, ClientVersion, RatchetVersion, Version, VersionRange};

use super::app::Manners;
use super::envelopes::{self, Opener};
use super::party::{Setup, USER};
use super::stories::{A, B, Pair, by_hand, two_parties};
use super::transcript::{Creates, Entry};
use super::vectors::Procedure;
use super::world::World;
use smp_proto::smp::recipient::QueueMode;

/// The agents of a procedure.
pub struct Replay {
    pub world: World,
    options: [ConnectionOptions; 2],
    /// The conversation each party has.
    conversations: [Option<ConnectionId>; 2],
    /// The address each party has.
    addresses: [Option<ConnectionId>; 2],
    link: String,
    /// What a party held once.
    old: Option<MemoryStorage>,
    /// Messages of A's that wait since before the first step.
    waiting: Vec<Vec<u8>>,
}

fn range<V: Version>(versions: Option<(u16, u16)>, make: fn(u16) -> V, all: VersionRange<V>) -> VersionRange<V> {
    versions.map_or(all, |(low, high)| VersionRange::new(make(low), make(high)).expect("a range"))
}

impl Replay {
    /// The agents with the options of a procedure, after what came before its first step.
    pub fn new(procedure: &Procedure) -> Self {
        let world = two_parties(7, |party, setup| limit(setup, procedure, party));
        let options = [A, B].map(|party| ConnectionOptions {
            post_quantum: if procedure.has(party, "--no-pq") { PostQuantum::Off } else { PostQuantum::On },
            ..ConnectionOptions::default()
        });
        let mut replay = Self {
            world,
            options,
            conversations: [None; 2],
            addresses: [None; 2],
            link: String::new(),
            old: None,
            waiting: Vec::new(),
        };
        replay.prepare(&procedure.name);
        replay.world.settle();
        for party in &mut replay.world.parties {
            party.transcript.clear();
            let before = party.storage.take_outgoing();
            if procedure.name == "quota" && party.name == "A" {
                // The last five wait still: the reference encrypts them when it sends them.
                replay.waiting = before[before.len() - 5..].to_vec();
            }
        }
        replay
    }

    fn prepare(&mut self, name: &str) {
        match name {
            "rotation" | "ratchet-resync" | "ratchet-resync-both" => self.talk(1),
            "receipts" | "deletion" | "agent4-pq-requested" | "resubscribe" => self.talk(0),
            "ratchet-resync-old-database" => {
                self.talk(1);
                self.old = Some(self.world.parties[A].storage.copy());
                for number in 2..=4 {
                    self.exchange(number);
                }
                let old = self.old.take().expect("it was just kept");
                self.world.parties[A].storage.replace(old);
                self.world.crash(A);
                self.world.settle();
            }
            "quota" => {
                self.talk(0);
                let pair = self.pair();
                for number in 1..=133 {
                    let body = format!("{:x<40}", format!("{number} ")).into_bytes();
                    self.world.command(A, Command::Send { connection: pair.connections[A], body, notify: false });
                    self.world.settle();
                }
                for number in 1..=126 {
                    assert_eq!(self.world.texts(pair, B).len(), number);
                    self.acknowledge(B);
                    self.world.settle();
                }
            }
            "short-link-update" | "short-link-add" => {
                let link = LinkRequest { user_data: b"first data".to_vec(), entity_id: None };
                let (address, links) = self.world.address(A, (name == "short-link-update").then_some(link));
                self.addresses[A] = Some(address);
                self.link = links.short.unwrap_or(links.full);
            }
            _ => {}
        }
    }

    fn pair(&self) -> Pair {
        Pair {
            parties: [A, B],
            connections: self.conversations.map(|conversation| conversation.expect("a conversation")),
        }
    }

    fn talk(&mut self, exchanges: usize) {
        let (inviting, links) = self.world.invite(A, self.options[A], None);
        let joining = self.world.join(B, &links.full, self.options[B]);
        self.conversations = [Some(inviting), Some(joining)];
        let pair = self.pair();
        self.world.run_until(|world| world.are_connected(pair));
        for number in 1..=exchanges {
            self.exchange(number);
        }
    }

    fn exchange(&mut self, number: usize) {
        let pair = self.pair();
        self.world.tell(pair, A, &format!("ping {number}"));
        self.world.tell(pair, B, &format!("pong {number}"));
        self.world.settle();
    }

    fn unacknowledged(&self, party: usize) -> EventId {
        let connection = self.conversations[party].expect("a conversation");
        let app = &self.world.parties[party].app;
        let messages = app.messages(connection);
        let waiting = messages.into_iter().find(|(event, _)| !app.has_acknowledged(*event));
        waiting.expect("a message that was not acknowledged").0
    }

    fn acknowledge(&mut self, party: usize) {
        let event = self.unacknowledged(party);
        self.world.command(party, Command::Acknowledge { event, receipt: None });
    }

    fn request(&self, party: usize) -> InvitationId {
        let mut requests = self.world.parties[party].app.kinds().filter_map(|kind| match kind {
            EventKind::Request { invitation, .. } => Some(*invitation),
            _ => None,
        });
        requests.next_back().expect("a request")
    }

    /// Does all that the applications did.
    pub fn run(&mut self, procedure: &Procedure) {
        for (party, text, adjacent) in procedure.application_commands() {
            if !adjacent {
                self.world.settle();
                self.look();
            }
            let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
            self.command(party, name, rest);
        }
        self.world.settle();
        if procedure.name == "quota" {
            // What waits for room is tried again later, too.
            self.world.run_for(MINUTE);
        }
    }

    /// Learns of conversations that came from accepted requests.
    fn look(&mut self) {
        for party in [A, B] {
            if let Some(accepted) = self.world.parties[party].app.accepted.last() {
                self.conversations[party] = Some(*accepted);
            }
        }
    }

    fn command(&mut self, party: usize, name: &str, rest: &str) {
        let options = self.options[party];
        let link = |data: &str| Some(LinkRequest { user_data: data.as_bytes().to_vec(), entity_id: None });
        let address = self.addresses[A];
        let conversation = self.conversations[party];
        let words: Vec<&str> = rest.splitn(2, ' ').collect();
        let command = match name {
            "inv" | "invpq" | "invshort" => {
                let post_quantum = if name == "invpq" { PostQuantum::InLink } else { options.post_quantum };
                let request = if name == "invshort" { link(rest) } else { None };
                let options = ConnectionOptions { post_quantum, ..options };
                let (connection, links) = self.world.invite(party, options, request);
                self.conversations[party] = Some(connection);
                self.link = links.short.unwrap_or(links.full);
                return;
            }
            "contact" | "contactshort" => {
                let request = if name == "contactshort" { link(rest) } else { None };
                let (connection, links) = self.world.address(party, request);
                self.addresses[party] = Some(connection);
                self.link = links.short.unwrap_or(links.full);
                return;
            }
            "join" => {
                let link = self.link.clone();
                self.conversations[party] = Some(self.world.join(party, &link, options));
                return;
            }
            "getlink" => {
                let link = self.world.parties[A].app.of(address.unwrap()).filter_map(|kind| match kind {
                    EventKind::LinkReady { links, .. } => links.short.clone(),
                    _ => None,
                });
                let link = link.last().unwrap();
                Command::ReadLink { user: USER, link }
            }
            "setlink" => Command::SetLink { connection: address.unwrap(), user_data: words[1].as_bytes().to_vec() },
            "dellink" => Command::DeleteLink { connection: address.unwrap() },
            "send" => {
                let (connection, body) = (conversation.unwrap(), words[1].as_bytes().to_vec());
                Command::Send { connection, body, notify: true }
            }
            "allow" => Command::Allow { connection: conversation.unwrap(), info: b"own info".to_vec() },
            "ack" => Command::Acknowledge { event: self.unacknowledged(party), receipt: None },
            "reject" => Command::Reject { invitation: self.request(party) },
            "switch" => Command::Switch { connection: conversation.unwrap() },
            "rsync" => {
                let required = self.world.parties[party].app.of(conversation.unwrap());
                let required = required.filter(|kind| matches!(kind, EventKind::Ratchet { .. })).count() > 0;
                Command::Resynchronize { connection: conversation.unwrap(), force: !required }
            }
            // Subscribes again, as after a restart.
            "suball" => return self.world.crash(party),
            "del" => Command::Delete { connection: conversation.unwrap(), deliver_first: false },
            "qinfo" => return,
            other => panic!("the application does not know {other}"),
        };
        self.world.command(party, command);
    }

    /// Each message a party sent.
    pub fn sends(&self, party: usize) -> Vec<String> {
        let sends = self.world.parties[party].transcript.sent().filter_map(|sent| {
            let (notify, body) = sent.message.as_ref()?;
            let notify = if *notify { "T" } else { "F" };
            Some(format!("{} {notify} {}", sent.entity.as_ref()?, body.len()))
        });
        sends.collect()
    }

    /// Each queue a party created.
    pub fn creates(&self, party: usize) -> Vec<String> {
        let any_mode = self.world.parties[party].setup.smp_version < 9;
        let creates = self.world.parties[party].transcript.sent().filter_map(|sent| sent.creates);
        let lines = creates.map(|Creates { mode, subscribes, link }| {
            let mode = match mode {
                _ if any_mode => "any",
                QueueMode::Messaging => "messaging",
                QueueMode::Contact => "contact",
            };
            format!("{mode} {} link {link}", if subscribes { "S" } else { "C" })
        });
        lines.collect()
    }

    /// Each envelope a party sealed.
    pub fn envelopes(&self, party: usize, opener: &mut Opener) -> Vec<String> {
        let sent = self.world.parties[party].transcript.sent();
        let messages = sent.filter_map(|sent| Some((sent.entity.as_ref()?, sent.message.as_ref()?)));
        let read = messages.map(|(entity, (_, body))| opener.read(&self.world, party, entity.as_bytes(), body));
        read.collect()
    }

    /// Each message a party gave to its ratchet.
    pub fn messages(&self, party: usize) -> Vec<String> {
        let waiting = if party == A { self.waiting.clone() } else { Vec::new() };
        envelopes::messages(&[waiting, self.world.parties[party].storage.take_outgoing()].concat())
    }

    /// What a party's application was told.
    pub fn events(&self, party: usize) -> Vec<String> {
        let mut events: Vec<String> = self.world.parties[party].transcript.events().filter_map(event).collect();
        events.dedup_by(|one, other| one == other && one == "LINK");
        events
    }
}

fn on(yes: bool) -> &'static str {
    if yes { "on" } else { "off" }
}

fn event(kind: &EventKind) -> Option<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let flag = |yes| if yes { "T" } else { "F" };
    Some(match kind {
        EventKind::LinkReady { .. } => "LINK".into(),
        EventKind::LinkRead { user_data, .. } => format!("LDATA {}", text(&user_data.0)),
        EventKind::Joined { can_send, .. } => format!("JOINED {}", flag(*can_send)),
        EventKind::Confirmation { info, post_quantum, .. } => {
            format!("CONF pq={} \"{}\"", on(*post_quantum), text(&info.0))
        }
        EventKind::Request { info, post_quantum, .. } => format!("REQ pq={} \"{}\"", on(*post_quantum), text(&info.0)),
        EventKind::Info { info, .. } => format!("INFO \"{}\"", text(&info.0)),
        EventKind::Connected { post_quantum, .. } => format!("CON pq={}", on(*post_quantum)),
        EventKind::Message { message, .. } => {
            let integrity = if message.integrity == Integrity::Ok { "OK" } else { "bad" };
            let body = text(&message.body.0);
            let body = body.split(" xxx").next().unwrap_or_default();
            format!("MSG snd={} integrity={integrity} pq={} {body}", message.sender_number, on(message.post_quantum))
        }
        EventKind::Sent { proxied, .. } => format!("SENT {}", if *proxied { "proxied" } else { "direct" }),
        EventKind::Receipt { intact, .. } => format!("RCVD {}", if *intact { "ok" } else { "bad" }),
        EventKind::Switch { receiving, phase, .. } => {
            let phase = match phase {
                // The reference's answer to the command says so much.
                SwitchPhase::Started if *receiving => return None,
                SwitchPhase::Started => "started",
                SwitchPhase::Confirmed => "confirmed",
                SwitchPhase::Secured => "secured",
                SwitchPhase::Completed => "completed",
                SwitchPhase::Aborted => "aborted",
            };
            format!("SWITCH {} {phase}", if *receiving { "receive" } else { "send" })
        }
        EventKind::Ratchet { state, .. } => {
            let state = match state {
                RatchetSync::Ok => "ok",
                RatchetSync::Allowed => "allowed",
                RatchetSync::Required => "required",
                // The same.
                RatchetSync::Started => return None,
                RatchetSync::Agreed => "agreed",
            };
            format!("RSYNC {state}")
        }
        EventKind::Continued { .. } => "QCONT".into(),
        EventKind::NotSent { .. } => "MERR".into(),
        EventKind::Failed { .. } => "ERROR".into(),
        _ => return None,
    })
}

fn limit(setup: &mut Setup, procedure: &Procedure, party: usize) {
    let configuration = &mut setup.configuration;
    let versions = |name| procedure.versions(party, name);
    configuration.agent_versions = range(versions("--agent-vr"), AgentVersion, VersionRange::AGENT);
    configuration.client_versions = range(versions("--client-vr"), ClientVersion, VersionRange::CLIENT);
    configuration.ratchet_versions = range(versions("--e2e-vr"), RatchetVersion, VersionRange::RATCHET);
    configuration.routing.mode = ProxyMode::Never;
    // Nobody is away: what does not come at once does not come.
    configuration.role_doubt = SECOND;
    if procedure.option(party, "--proxy") == Some("always") {
        configuration.routing.mode = ProxyMode::Always;
        setup.proxies = vec![2];
    }
    if procedure.name == "rotation" && party == A {
        setup.relays.push(2);
    }
    // The reference deletes an old queue without looking whether it is empty.
    configuration.queue_rest = 0;
    setup.smp_version = versions("--smp-vr").map_or(18, |(_, high)| high);
    setup.manners = if procedure.has(party, "--manual") { by_hand() } else { Manners::default() };
    setup.manners.receipts = procedure.has(party, "--receipts");
    // The procedures say when.
    setup.manners.resynchronize = false;
    setup.manners.expects_failures = true;
}
