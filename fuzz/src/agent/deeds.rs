//! What is done, one deed after the other, as the input says.

use smp_agent::event::EventKind;
use smp_agent::policy::server::ServerList;
use smp_agent::request::{Delivery, Operation, RelayEvent};
use smp_agent::{Command, ConnectionId, ConnectionOptions, LinkRequest, MessageId, PostQuantum};
use smp_crypto::ratchet::BodyKind;
use smp_proto::agent::EnvelopeContent;
use smp_proto::smp::message::Delivery as Content;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::wire;

use super::host::{MARK, USER};
use super::starts::{STARTS, Scene, key_message};
use super::{outside, peer::encoded, show};
use crate::input::Input;

/// More deeds show nothing that fewer do not.
const DEEDS: usize = 32;
/// So many messages are kept to be sent again.
const KEPT: usize = 8;
/// Spans of time, in milliseconds.
const SPANS: [u64; 16] = [
    0,
    1,
    1_000,
    5_001,
    15_000,
    60_000,
    600_000,
    3_600_000,
    86_400_000,
    2 * 86_400_000 + 1,
    7 * 86_400_000 + 1,
    22 * 86_400_000,
    181 * 86_400_000,
    60_001,
    10_001,
    180 * 365 * 86_400_000,
];

/// One deed.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// A message, each part of it right or not.
    Say,
    /// Any plaintext for the ratchet.
    SayRaw,
    /// An envelope that was changed before the queue's encryption.
    SayBent,
    /// Any agent's envelope.
    Envelope,
    /// Anything inside the queue's encryption.
    Sealed,
    /// Anything inside the relay's encryption.
    Sent,
    /// A confirmation.
    Confirm,
    /// Keys for a new ratchet.
    Rekey,
    /// A request to an address.
    Request,
    /// Something once more, in the same queue or in another.
    Again,
    /// Message keys that are left out.
    Skip,
    /// The peer reads.
    Read,
    /// The application deals with an event.
    Acknowledge,
    /// The application deals with all events.
    AcknowledgeAll,
    /// The application wants something.
    Command,
    /// Time.
    Pass,
    /// The end of the process, and its start.
    Restart,
    /// The storage fails.
    Fail,
    /// The relay does not take the next message.
    Refuse,
    /// The connection to a relay ends.
    Disconnect,
    /// Relays do all there is to do.
    Serve,
    /// A request is answered as it should be.
    Answer,
    /// A request is answered nearly as it should be.
    Bend,
    /// A request is answered with anything.
    Invent,
    /// An answer to nothing, or a second one.
    Stray,
    /// Something that relays say unasked.
    Event,
    /// A message that the relay made.
    Forge,
}

use Deed::*;

/// What happens around a hostile peer.
const PEER: [Deed; 40] = [
    Say,
    Say,
    Say,
    Say,
    Say,
    Say,
    Say,
    Say,
    SayRaw,
    SayBent,
    Envelope,
    Sealed,
    Sent,
    Confirm,
    Confirm,
    Rekey,
    Rekey,
    Request,
    Request,
    Again,
    Again,
    Skip,
    Read,
    Read,
    Acknowledge,
    AcknowledgeAll,
    AcknowledgeAll,
    Command,
    Command,
    Command,
    Command,
    Pass,
    Pass,
    Pass,
    Restart,
    Fail,
    Refuse,
    Refuse,
    Disconnect,
    Read,
];
/// What happens around hostile relays.
const RELAY: [Deed; 40] = [
    Answer,
    Answer,
    Answer,
    Answer,
    Bend,
    Bend,
    Bend,
    Bend,
    Invent,
    Invent,
    Invent,
    Stray,
    Stray,
    Event,
    Event,
    Event,
    Forge,
    Forge,
    Forge,
    Serve,
    Serve,
    Serve,
    Say,
    Say,
    Say,
    Read,
    Acknowledge,
    AcknowledgeAll,
    Command,
    Command,
    Command,
    Command,
    Command,
    Pass,
    Pass,
    Pass,
    Restart,
    Fail,
    Confirm,
    Rekey,
];

/// Who is hostile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hostile {
    /// The peer; the relays do what they are asked.
    Peer,
    /// The relays; nothing is answered unless a deed says so.
    Relay,
}

/// Plays an input.
pub fn play(data: &[u8], hostile: Hostile) {
    let mut input = Input(data);
    let Some(start) = input.next() else { return };
    let mut play = Play { scene: STARTS[usize::from(start) % STARTS.len()].scene(), hostile, said: Vec::new() };
    play.rest();
    for _ in 0..DEEDS {
        let Some(choice) = input.next() else { break };
        let deeds = if hostile == Hostile::Peer { &PEER } else { &RELAY };
        play.deed(deeds[usize::from(choice) % deeds.len()], &mut input);
        play.rest();
    }
    play.scene.host.compare_work();
}

struct Play {
    scene: Scene,
    hostile: Hostile,
    /// What the peer sent last, and to which lane.
    said: Vec<(usize, Vec<u8>)>,
}

impl Play {
    /// What follows by itself.
    fn rest(&mut self) {
        if self.hostile == Hostile::Peer {
            self.scene.serve();
        }
    }

    fn deed(&mut self, deed: Deed, input: &mut Input<'_>) {
        show(|| format!("{} {deed:?}, {} bytes left", self.scene.host.now, input.0.len()));
        match deed {
            Say | SayRaw | SayBent => self.say(deed, input),
            Envelope => {
                let body = input.long();
                self.seal(input, &body);
            }
            Sealed => {
                let front: &[u8] = [&[0, 4, b'0'][..], &[0, 4], &[0, 1, b'0'], &[0, 9, b'0']][input.below(4)];
                let lane = input.below(self.scene.peer.lanes.len());
                let body = self.scene.peer.seal_raw(lane, front, &input.long());
                self.deliver(lane, body);
            }
            Sent => {
                let (lane, body) = (input.below(self.scene.peer.lanes.len()), input.long());
                self.deliver(lane, Some(body));
            }
            Confirm => self.confirm(input),
            Rekey => {
                let parameters = match input.byte() {
                    0..=199 => self.scene.peer.resynchronize().unwrap_or_default(),
                    _ => input.bytes().to_vec(),
                };
                let mut body = key_message(&self.scene.peer, &parameters);
                if input.byte() >= 200 {
                    input.change(&mut body);
                }
                self.seal(input, &body);
            }
            Request => self.request(input),
            Again => {
                let Some((lane, body)) = input.one_of(&self.said).cloned() else { return };
                let lane = if input.byte() < 128 { lane } else { input.below(self.scene.peer.lanes.len()) };
                self.scene.deliver(lane, body);
            }
            Skip => self.scene.peer.skip([1, 2, 5, 60, 600, 1_025][input.below(6)]),
            Read => self.scene.read_all(),
            Acknowledge => {
                let receipt = (input.byte() < 128).then(|| input.long());
                self.scene.host.acknowledge(input.below(self.scene.host.events.len()), receipt);
            }
            AcknowledgeAll => {
                for _ in 0..self.scene.host.events.len() {
                    self.scene.host.acknowledge(0, None);
                }
            }
            Command => {
                let command = self.command(input);
                self.scene.host.command(command);
            }
            Pass => {
                let span = SPANS[input.below(SPANS.len())];
                let Scene { host, relays, .. } = &mut self.scene;
                let serves = self.hostile == Hostile::Peer;
                host.pass(span, |host| {
                    if serves {
                        host.serve(relays);
                    }
                });
            }
            Restart => {
                self.scene.host.compare_work();
                self.scene.relays.disconnect();
                self.scene.host.restart();
            }
            Fail => self.scene.host.fail_soon(input.below(3), u64::from(input.byte() % 16)),
            Refuse => {
                for _ in 0..=input.below(4) {
                    self.scene.relays.refusals.push_back(outside::failure(input));
                }
            }
            Disconnect => {
                let session = self.session(input);
                self.scene.relays.disconnect();
                self.scene.host.relay_event(RelayEvent::Disconnected(session));
            }
            Serve => self.scene.serve(),
            Answer | Bend | Invent | Stray => self.answer(deed, input),
            Event => self.event(input),
            Forge => self.forge(input),
        }
    }

    /// Brings something of the peer to its queue.
    fn deliver(&mut self, lane: usize, body: Option<Vec<u8>>) {
        let Some(body) = body else { return };
        self.said.push((lane, body.clone()));
        if self.said.len() > KEPT {
            self.said.remove(0);
        }
        self.scene.deliver(lane, body);
    }

    /// Seals an agent's envelope for one lane or all, as it is usual or not.
    fn seal(&mut self, input: &mut Input<'_>, body: &[u8]) {
        self.seal_as(input, body, false);
    }

    fn seal_as(&mut self, input: &mut Input<'_>, body: &[u8], introduces: bool) {
        let choice = input.byte();
        let count = self.scene.peer.lanes.len();
        let (introduces, secures) = (introduces ^ (choice >= 240), choice >= 224 && choice < 248);
        let later = choice & 8 != 0 && choice < 64;
        let lanes = match choice % 8 {
            0..=3 => 0..count,
            place => usize::from(place - 4).min(count)..usize::from(place - 3).min(count),
        };
        for lane in lanes {
            match self.scene.peer.seal(lane, body, introduces, secures) {
                // It comes when it is said again.
                Some(sealed) if later => self.said.push((lane, sealed)),
                sealed => self.deliver(lane, sealed),
            }
        }
    }

    fn say(&mut self, deed: Deed, input: &mut Input<'_>) {
        let plaintext = match deed {
            SayRaw => input.long(),
            _ => outside::message(input, &mut self.scene.peer),
        };
        let Some(mut sent) = self.scene.peer.encrypt(&plaintext, BodyKind::Message) else { return };
        if matches!(deed, SayBent) {
            input.change(&mut sent);
        }
        let Some(body) = self.scene.peer.envelope(EnvelopeContent::Message(&sent)) else { return };
        self.seal(input, &body);
    }

    fn confirm(&mut self, input: &mut Input<'_>) {
        let plaintext = match input.byte() {
            0..=199 => self.scene.peer.introduction(input.bytes()),
            _ => outside::message(input, &mut self.scene.peer),
        };
        let Some(sent) = self.scene.peer.encrypt(&plaintext, BodyKind::Confirmation) else { return };
        let Some(mut body) = self.scene.peer.confirmation(&sent) else { return };
        if input.byte() >= 200 {
            input.change(&mut body[..64]);
        }
        self.seal_as(input, &body, true);
    }

    fn request(&mut self, input: &mut Input<'_>) {
        let peer = &mut self.scene.peer;
        if peer.own.is_empty() {
            peer.add_own(0, Some(QueueMode::Messaging));
        }
        let request = match input.byte() {
            0..=127 => peer.invitation(),
            _ => {
                let mut text = peer.invitation().into_bytes();
                input.change(&mut text);
                String::from_utf8_lossy(&text).into_owned()
            }
        };
        let mut body = encoded(&peer.version).unwrap_or_default();
        body.push(b'I');
        body.extend(u16::try_from(request.len()).unwrap_or(0).to_be_bytes());
        body.extend([request.as_bytes(), &input.long()].concat());
        self.seal_as(input, &body, true);
    }

    fn connection(&self, input: &mut Input<'_>) -> ConnectionId {
        let connections = self.scene.host.connections();
        input.one_of(&connections).copied().unwrap_or(ConnectionId::from_bytes([0; 12]))
    }

    fn command(&mut self, input: &mut Input<'_>) -> Command {
        let choice = input.below(24);
        let connection = self.connection(input);
        let said = [MARK, input.bytes()].concat();
        let options = ConnectionOptions {
            post_quantum: [PostQuantum::Off, PostQuantum::Off, PostQuantum::On, PostQuantum::InLink][input.below(4)],
            receive_queues: [1, 1, 2, 4, 0, 255][input.below(6)],
        };
        let link = (input.byte() >= 200).then(|| LinkRequest { user_data: said.clone(), entity_id: None });
        let invitations = self.scene.host.events.iter().filter_map(|event| match &event.kind {
            EventKind::Request { invitation, .. } => Some(*invitation),
            _ => None,
        });
        let invitation = input.one_of(&invitations.collect::<Vec<_>>()).copied();
        match choice {
            0..=4 => {
                let long = if input.byte() > 240 { 15_800 } else { 0 };
                let body = [said, vec![0; long]].concat();
                Command::Send { connection, body, notify: true }
            }
            5 | 6 => Command::Allow { connection, info: said },
            7 | 8 => match invitation {
                Some(invitation) => Command::Accept { invitation, info: said, options },
                None => Command::SubscribeAll,
            },
            9 => match invitation {
                Some(invitation) => Command::Reject { invitation },
                None => Command::SetServers { user: USER, servers: ServerList::from(Vec::new()) },
            },
            10 | 11 => Command::Switch { connection },
            12 => Command::AbortSwitch { connection },
            13 | 14 => Command::Resynchronize { connection, force: input.byte() < 200 },
            15 => Command::AddReceiveQueue { connection },
            16 => match link {
                Some(link) if input.byte() < 128 => Command::PrepareInvitation { user: USER, options, link },
                link => Command::Invite { user: USER, options, link },
            },
            17 => match link {
                Some(link) if input.byte() < 128 => Command::PrepareAddress { user: USER, link },
                link => Command::CreateAddress { user: USER, link },
            },
            18 => {
                if self.scene.peer.own.is_empty() {
                    self.scene.peer.add_own(0, Some(QueueMode::Messaging));
                }
                let mut link = self.scene.peer.invitation().into_bytes();
                if input.byte() >= 200 {
                    input.change(&mut link);
                }
                Command::Join { user: USER, link: String::from_utf8_lossy(&link).into_owned(), info: said, options }
            }
            19 => Command::Delete { connection, deliver_first: input.byte() < 128 },
            20 => Command::ForgetMessage { connection, message: MessageId(u64::from(input.byte())) },
            21 => Command::NetworkChanged { online: input.byte() < 128 },
            22 => match input.below(3) {
                0 => Command::Suspend { connection },
                1 => Command::Subscribe { connection },
                _ => Command::SubscribeAll,
            },
            _ => match input.below(2) {
                0 => Command::SetLink { connection, user_data: said },
                _ => Command::DeleteLink { connection },
            },
        }
    }

    fn session(&self, input: &mut Input<'_>) -> smp_agent::policy::session::SessionKey {
        let server = input.one_of(&self.scene.relays.queues).map(|queue| queue.server.clone());
        self.scene.host.session(&server.unwrap_or_else(|| super::starts::STRANGE.clone()))
    }

    fn answer(&mut self, deed: Deed, input: &mut Input<'_>) {
        let Scene { host, relays, .. } = &mut self.scene;
        if matches!(deed, Stray) {
            let id = match input.one_of(&host.answered) {
                Some(id) if input.byte() < 200 => *id,
                _ => smp_agent::RequestId(u64::from(input.byte())),
            };
            if host.requests.iter().any(|request| request.id == id) {
                return;
            }
            let result = outside::answer(input, relays);
            return host.answer(id, result);
        }
        if host.requests.is_empty() {
            return;
        }
        let request = host.requests.remove(input.below(host.requests.len()));
        let mut result = match deed {
            Invent => outside::answer(input, relays),
            _ => relays.execute(request.session.server(), &request.operation),
        };
        if matches!(deed, Bend) {
            outside::bend(input, relays, &request.operation, &mut result);
        }
        if let (Operation::CreateQueue(_), Ok(smp_agent::Answer::Created(created)), Some(last)) =
            (&request.operation, &result, relays.queues.last_mut())
        {
            // Messages can come where the agent believes its queue to be.
            last.recipient_id.clone_from(&created.recipient_id);
            last.sender_id.clone_from(&created.sender_id);
        }
        host.answered(request.id);
        host.answer(request.id, result);
    }

    fn event(&mut self, input: &mut Input<'_>) {
        let queue = input.one_of(&self.scene.relays.queues).map(|queue| queue.recipient_id.clone()).unwrap_or_default();
        let session = self.session(input);
        let event = match input.below(5) {
            4 => RelayEvent::QueueBlocked { session, queue, blocked: outside::BLOCKED },
            0 => RelayEvent::SubscriptionEnded { session, queue },
            1 => RelayEvent::QueueDeleted { session, queue },
            2 => RelayEvent::Disconnected(session),
            _ => {
                let server = session.server().clone();
                let (message_id, body) = (input.bytes().to_vec(), input.long());
                RelayEvent::Message(Box::new(Delivery { server, session, queue, message_id, body }))
            }
        };
        self.scene.host.relay_event(event);
    }

    /// A message with the right encryption of the relay: any, one of the peer's, or the mark of a full queue.
    fn forge(&mut self, input: &mut Input<'_>) {
        let message_id = match input.byte() {
            0..=127 => self.scene.relays.id(),
            128..=199 => self
                .scene
                .relays
                .queues
                .iter()
                .find_map(|queue| Some(queue.messages.front()?.0.clone()))
                .unwrap_or_default(),
            _ => input.bytes().to_vec(),
        };
        let Some(queue) = input.one_of(&self.scene.relays.queues).cloned() else { return };
        let time = wire::Time(input.number(1_790_000_000));
        let said = self.said.last().map(|(_, body)| body.clone()).unwrap_or_default();
        let waiting = queue.messages.front().map(|(_, body)| body.clone()).unwrap_or_default();
        let mut body = match input.below(4) {
            0 => queue.seal(&message_id, &Content::Quota { time }),
            1 => queue.seal(&message_id, &Content::Message { time, notification: false, body: &waiting }),
            2 => queue.seal(&message_id, &Content::Message { time, notification: false, body: &said }),
            _ => queue.seal(&message_id, &Content::Message { time, notification: true, body: &input.long() }),
        };
        if input.byte() >= 240 {
            input.change(&mut body);
        }
        let (session, server) = (self.scene.host.session(&queue.server), queue.server.clone());
        let queue = queue.recipient_id;
        self.scene.host.relay_event(RelayEvent::Message(Box::new(Delivery {
            server,
            session,
            queue,
            message_id,
            body,
        })));
    }
}
