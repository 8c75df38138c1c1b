//! What is done, one deed after the other, as the input says.

use smp_agent::request::RelayEvent;

use super::starts::{STARTS, Scene, key_message};
use super::{outside, show};
use crate::input::Input;

/// More deeds show nothing that fewer do not.
const DEEDS: usize = 32;
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
pub(super) enum Deed {
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

/// What an input does.
pub(super) struct Play {
    pub(super) scene: Scene,
    hostile: Hostile,
    /// What the peer sent last, and to which lane.
    pub(super) said: Vec<(usize, Vec<u8>)>,
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
}
