//! What comes from outside, as the fuzzer has it: messages of peers, answers and events of relays.

use smp_agent::request::{
    Answer, Blocked, BlockingReason, CreatedQueue, Failure, LinkData, Notice, Operation, Reason, Reporter,
};
use smp_crypto::key::{Ed25519SecretKey, X25519PublicKey, X25519SecretKey};
use smp_crypto::short_link::{FIXED_LENGTH, USER_LENGTH};
use smp_proto::agent::{AddedQueue, AgentMessage, Message, QueueKey, QueueReference, QueueUse, message::Receipt};
use smp_proto::id::QueueId;
use smp_proto::key::AuthorizationKey;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::uri::{QueueAddress, QueueInfo, QueueUri};
use smp_proto::version::{ClientVersion, VersionRange};
use smp_proto::wire::NonEmptyList;

use super::peer::{Peer, encoded};
use super::relays::Relays;
use crate::input::Input;

/// What an operator says.
pub const BLOCKED: Blocked = Blocked { reason: BlockingReason::Spam, notice: Some(Notice { ttl: Some(i64::MIN) }) };
const REASONS: [Reason; 14] = [
    Reason::Network,
    Reason::Timeout,
    Reason::Unavailable,
    Reason::NoSession,
    Reason::Host,
    Reason::Version,
    Reason::Identity,
    Reason::NotAuthorized,
    Reason::Quota,
    Reason::TooLarge,
    Reason::NoMessage,
    Reason::Blocked(BLOCKED),
    Reason::Unexpected,
    Reason::Refused,
];
const REPORTERS: [Reporter; 4] = [Reporter::Relay, Reporter::Relay, Reporter::Proxy, Reporter::ProxyAboutRelay];
const MODES: [Option<QueueMode>; 3] = [Some(QueueMode::Messaging), Some(QueueMode::Contact), None];

/// A failure.
pub fn failure(input: &mut Input<'_>) -> Failure {
    let choice = input.byte();
    let reason = REASONS[usize::from(choice & 15) % REASONS.len()];
    Failure { by: REPORTERS[usize::from(choice >> 4) % REPORTERS.len()], reason }
}

/// An answer to anything.
pub fn answer(input: &mut Input<'_>, relays: &mut Relays) -> Result<Answer, Failure> {
    Ok(match input.below(8) {
        0..=2 => return Err(failure(input)),
        3 => Answer::Done,
        4 | 5 => Answer::Created(created(input, relays)),
        6 => {
            let count = [0, 1, 2, 5][input.below(4)];
            Answer::Each((0..count).map(|_| if input.byte() < 128 { Ok(()) } else { Err(failure(input)) }).collect())
        }
        _ => {
            let sizes = [(FIXED_LENGTH, USER_LENGTH), (0, 0), (FIXED_LENGTH, 17), (70, USER_LENGTH + 1)];
            let (fixed, user) = sizes[input.below(4)];
            let fill = input.byte();
            let data = LinkData { fixed: vec![fill; fixed], user: vec![fill; user] };
            Answer::Link { sender_id: id(input, relays), data }
        }
    })
}

/// An id: new, known or strange.
fn id(input: &mut Input<'_>, relays: &mut Relays) -> Vec<u8> {
    match input.below(6) {
        0..=2 => relays.id(),
        3 => input.one_of(&relays.queues).map(|queue| queue.recipient_id.clone()).unwrap_or_default(),
        4 => input.one_of(&relays.queues).map(|queue| queue.sender_id.clone()).unwrap_or_default(),
        _ => vec![input.byte(); usize::from(input.byte())],
    }
}

/// A queue that somebody says was created.
pub fn created(input: &mut Input<'_>, relays: &mut Relays) -> CreatedQueue {
    let link_id = match input.below(3) {
        0 => None,
        _ => Some(id(input, relays)),
    };
    CreatedQueue {
        recipient_id: id(input, relays),
        sender_id: id(input, relays),
        relay_key: key(input),
        mode: MODES[input.below(3)],
        link_id,
    }
}

/// A key, good or of small order.
fn key(input: &mut Input<'_>) -> X25519PublicKey {
    match input.byte() {
        0..=199 => X25519SecretKey::from_bytes(&[9; 32]).public_key(),
        200 => X25519PublicKey([0; 32]),
        fill => X25519PublicKey([fill; 32]),
    }
}

/// Changes an answer that was right.
pub fn bend(input: &mut Input<'_>, relays: &mut Relays, operation: &Operation, right: &mut Result<Answer, Failure>) {
    match (operation, right) {
        (Operation::CreateQueue(_), Ok(Answer::Created(queue))) => match input.below(5) {
            0 => queue.recipient_id = id(input, relays),
            1 => queue.sender_id = id(input, relays),
            2 => queue.relay_key = key(input),
            3 => queue.mode = MODES[input.below(3)],
            _ => queue.link_id = Some(id(input, relays)),
        },
        (_, Ok(Answer::Each(results))) => {
            let place = input.below(results.len());
            let failure = failure(input);
            match results.get_mut(place) {
                Some(result) if input.byte() < 128 => *result = Err(failure),
                _ => results.truncate(place),
            }
        }
        (_, Ok(Answer::Link { sender_id, data })) => match input.below(3) {
            0 => *sender_id = id(input, relays),
            1 => input.change(&mut data.fixed),
            _ => input.change(&mut data.user),
        },
        (_, right) => *right = answer(input, relays),
    }
}

/// An agent message in which everything may be as it should or not.
pub fn message(input: &mut Input<'_>, peer: &mut Peer) -> Vec<u8> {
    let kind = input.below(16);
    if kind > 12 {
        let body = input.long();
        return match kind {
            13 => peer.introduction(&body),
            14 => encoded(&AgentMessage::ConnectionInfo(&body)).unwrap_or_default(),
            _ => encoded(&AgentMessage::RatchetInfo(&body)).unwrap_or_default(),
        };
    }
    let number = input.number(peer.last.0.wrapping_add(1));
    let hash = match input.byte() {
        0..=199 => peer.last.1.clone(),
        _ => input.bytes().to_vec(),
    };
    let say = |message: Message<'_>| {
        encoded(&AgentMessage::Sequenced { number, previous_hash: &hash, message }).unwrap_or_default()
    };
    let bytes = match kind {
        0..=3 => say(Message::Application(&input.long())),
        4 => say(Message::Hello),
        5 => {
            let receipts: Vec<_> = (0..=input.below(3)).map(|_| receipt(input, peer)).collect();
            let receipts: Vec<_> =
                receipts.iter().map(|(number, hash, info)| Receipt { number: *number, hash, info }).collect();
            NonEmptyList::new(&receipts).map(|receipts| say(Message::Receipts(receipts))).unwrap_or_default()
        }
        6 => say(Message::QuotaContinue(reference(input, peer))),
        7 => {
            if peer.own.len() < 6 && input.byte() < 160 {
                peer.add_own(peer.own.len(), MODES[usize::from(input.byte() > 200)]);
            }
            let added: Vec<_> = (0..=usize::from(input.byte() > 200)).filter_map(|_| added(input, peer)).collect();
            NonEmptyList::new(&added).map(|added| say(Message::AddQueues(added))).unwrap_or_default()
        }
        8 => match queue_key(input, peer) {
            Some(key) => NonEmptyList::new(&[key]).map(|keys| say(Message::QueueKeys(keys))).unwrap_or_default(),
            None => say(Message::Hello),
        },
        9 => {
            let used = [QueueUse { primary: input.byte() < 128, queue: reference(input, peer) }];
            NonEmptyList::new(&used).map(|used| say(Message::UseQueues(used))).unwrap_or_default()
        }
        10 => {
            let tested = [reference(input, peer)];
            NonEmptyList::new(&tested).map(|tested| say(Message::TestQueues(tested))).unwrap_or_default()
        }
        11 => say(Message::Ready(input.number(1))),
        _ => {
            let mut bytes = say(Message::Application(b""));
            bytes.extend(input.bytes());
            bytes
        }
    };
    peer.count(number, &bytes);
    bytes
}

/// A receipt of one of the last messages, or of another one.
fn receipt<'i>(input: &mut Input<'i>, peer: &Peer) -> (i64, Vec<u8>, &'i [u8]) {
    let (number, hash) = input.one_of(&peer.received).copied().unwrap_or_default();
    let number = input.number(number);
    let hash = if input.byte() < 200 { hash.to_vec() } else { input.bytes().to_vec() };
    (number, hash, input.bytes())
}

/// A queue of either side, the last ones first, or none that anybody knows.
fn reference<'p>(input: &mut Input<'_>, peer: &'p Peer) -> QueueReference<'p> {
    let choice = usize::from(input.byte());
    let (side, place) = (choice % 2, choice / 2 % 8);
    let strange = QueueReference {
        server: super::starts::STRANGE.address(),
        sender_id: QueueId::from_array(b"no queue that is known...".first_chunk().unwrap_or(&[0; 24])),
    };
    match side {
        0 => peer.own.iter().rev().nth(place).map_or(strange, |own| (&own.address()).into()),
        _ => peer.lanes.iter().rev().nth(place).map_or(strange, |lane| (&lane.address(None)).into()),
    }
}

/// A queue that is added, at the place of another one or beside it.
fn added<'p>(input: &mut Input<'_>, peer: &'p Peer) -> Option<AddedQueue<'p>> {
    let own = peer.own.iter().rev().nth(input.below(4))?;
    let key = match input.byte() {
        0..=199 => own.address().dh_key,
        _ => key(input),
    };
    let versions = match input.byte() {
        0..=199 => VersionRange::CLIENT,
        version => VersionRange::new(ClientVersion(u16::from(version % 8)), ClientVersion(9)).ok()?,
    };
    let queue = QueueUri::new(versions, &QueueAddress { dh_key: key, ..own.address() }).ok()?;
    let replaced = (input.byte() < 160).then(|| reference(input, peer));
    Some(AddedQueue { queue, replaced })
}

/// Keys for a queue that the agent has added.
fn queue_key<'p>(input: &mut Input<'_>, peer: &'p Peer) -> Option<QueueKey<'p>> {
    let lane = peer.lanes.iter().rev().nth(input.below(4))?;
    let mut address = lane.address(MODES[usize::from(input.byte() > 200)]);
    if input.byte() >= 200 {
        address.dh_key = key(input);
    }
    let version = match input.byte() {
        0..=199 => ClientVersion::MAX,
        version => ClientVersion(u16::from(version % 8)),
    };
    let sender_key = match input.byte() {
        0..=199 => AuthorizationKey::Ed25519(Ed25519SecretKey::from_bytes(&[5; 32]).public_key()),
        _ => AuthorizationKey::X25519(key(input)),
    };
    Some(QueueKey { queue: QueueInfo { version, queue: address }, sender_key })
}
