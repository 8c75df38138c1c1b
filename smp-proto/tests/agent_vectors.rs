//! Agent envelopes and agent messages against values made by the reference implementation.
//!
//! The hashes of ratchet keys are in the same file, for the runner of smp-crypto.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that panics has failed")]

mod support;

use serde_json::Value;
use smp_proto::address::{Scheme, ServerAddress, ServerUri};
use smp_proto::agent::{
    AddedQueue, AgentEnvelope, AgentMessage, AgreedParameters, Encapsulation, EnvelopeContent, Message, MessageKind,
    QueueKey, QueueReference, QueueUse, Receipt,
};
use smp_proto::id::QueueId;
use smp_proto::key::{AuthorizationKey, X448PublicKey, X25519PublicKey};
use smp_proto::uri::{QueueAddress, QueueInfo, QueueMode, QueueUri};
use smp_proto::version::{AgentVersion, ClientVersion, RatchetVersion, VersionRange};
use smp_proto::wire::{Decode, Encode, NonEmptyList};
use support::{array, bytes, encoded, for_each_case, number, sha256, text, truth, wants_error};

#[test]
fn agent_vectors() {
    for_each_case("agent.json", |case| match text(&case["op"]) {
        "agent_message" => agent_message(case),
        "agent_message_parse" => agent_message_parse(case),
        "message_type_code" => message_type_code(case),
        "agent_envelope" => agent_envelope(case),
        "agent_envelope_parse" => agent_envelope_parse(case),
        "hash_chain" => hash_chain(case),
        // All of it is cryptography.
        "ratchet_key_hash" => {}
        op => panic!("unknown operation {op}"),
    });
}

/// Lends a value for as long as the tests run.
fn kept<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn kept_bytes(value: &Value) -> &'static [u8] {
    kept(bytes(value))
}

fn version(value: &Value) -> u16 {
    number(value).try_into().unwrap()
}

fn server(value: &Value) -> ServerAddress<'static> {
    kept(ServerUri::parse_without_password(Scheme::Smp, text(value)).unwrap()).address()
}

fn sender_id(value: &Value) -> QueueId<'static> {
    QueueId::new(kept_bytes(value)).unwrap()
}

fn queue_address(value: &Value) -> QueueAddress<'static> {
    let mode = match value["mode"].as_str() {
        None => None,
        Some("M") => Some(QueueMode::Messaging),
        Some("C") => Some(QueueMode::Contact),
        Some(other) => panic!("mode {other}"),
    };
    QueueAddress {
        server: server(&value["server"]),
        sender_id: sender_id(&value["sender_id"]),
        dh_key: X25519PublicKey::from_spki(&bytes(&value["dh"])).unwrap(),
        mode,
    }
}

fn queue_info(value: &Value) -> QueueInfo<'static> {
    QueueInfo { version: ClientVersion(version(&value["client_version"])), queue: queue_address(value) }
}

fn queue_uri(value: &Value) -> QueueUri {
    let [min, max] = [0, 1].map(|index: usize| ClientVersion(version(&value["client_range"][index])));
    QueueUri::new(VersionRange::new(min, max).unwrap(), &queue_address(value)).unwrap()
}

fn reference(value: &Value) -> QueueReference<'static> {
    QueueReference { server: server(&value["server"]), sender_id: sender_id(&value["sender_id"]) }
}

fn list<T>(values: &Value, item: impl FnMut(&Value) -> T) -> NonEmptyList<'static, T> {
    NonEmptyList::new(kept(values.as_array().unwrap().iter().map(item).collect::<Vec<_>>())).unwrap()
}

fn message(value: &Value) -> Message<'static> {
    let queues = &value["queues"];
    match text(&value["type"]) {
        "HELLO" => Message::Hello,
        "A_MSG" => Message::Application(kept_bytes(&value["body"])),
        "A_RCVD" => Message::Receipts(list(&value["receipts"], |receipt| Receipt {
            number: number(&receipt["snd_msg_id"]),
            hash: kept_bytes(&receipt["msg_hash"]),
            info: kept_bytes(&receipt["info"]),
        })),
        "A_QCONT" => Message::QuotaContinue(reference(&value["queue"])),
        "QADD" => Message::AddQueues(list(queues, |item| AddedQueue {
            queue: queue_uri(&item["queue"]),
            replaced: Some(&item["replaced"]).filter(|queue| !queue.is_null()).map(reference),
        })),
        "QKEY" => Message::QueueKeys(list(queues, |item| QueueKey {
            queue: queue_info(&item["queue"]),
            sender_key: AuthorizationKey::from_spki(&bytes(&item["sender_key"])).unwrap(),
        })),
        "QUSE" => Message::UseQueues(list(queues, |item| QueueUse {
            queue: reference(&item["queue"]),
            primary: truth(&item["primary"]),
        })),
        "QTEST" => Message::TestQueues(list(queues, reference)),
        "EREADY" => Message::Ready(number(&value["last_decrypted_id"])),
        other => panic!("type {other}"),
    }
}

fn agent_message_of(value: &Value) -> AgentMessage<'static> {
    match text(&value["kind"]) {
        "I" => AgentMessage::ConnectionInfo(kept_bytes(&value["info"])),
        "D" => AgentMessage::ConnectionInfoReply {
            queues: list(&value["reply_queues"], queue_info),
            info: kept_bytes(&value["info"]),
        },
        "R" => AgentMessage::RatchetInfo(kept_bytes(&value["info"])),
        "M" => AgentMessage::Sequenced {
            number: number(&value["snd_msg_id"]),
            previous_hash: kept_bytes(&value["prev_msg_hash"]),
            message: message(&value["message"]),
        },
        other => panic!("kind {other}"),
    }
}

fn agent_message(case: &Value) {
    let (made, expected) = (agent_message_of(&case["fields"]), bytes(&case["bytes"]));
    assert_eq!(encoded(&made), expected);
    assert_eq!(sha256(&expected), text(&case["sha256"]));
    assert_eq!(made.kind().code(), text(&case["type_code"]));
    let read = AgentMessage::from_bytes(&expected).unwrap();
    assert_eq!(read, agent_message_of(&case["parsed_back"]));
    assert_eq!(encoded(&read), expected);
    check_damaged(&expected);
}

fn agent_message_parse(case: &Value) {
    let given = bytes(&case["bytes"]);
    let read = AgentMessage::from_bytes(&given);
    if wants_error(case) {
        assert!(read.is_err());
    } else {
        assert_eq!(read, Ok(agent_message_of(&case["result"])));
        assert_eq!(encoded(&read.unwrap()), given);
    }
    check_damaged(&given);
}

/// Whatever happens to a message it is refused or read as one that can be written, to be read as the same again.
fn check_damaged(message: &[u8]) {
    let check = |damaged: &[u8]| {
        let Ok(read) = AgentMessage::from_bytes(damaged) else { return false };
        let _ = format!("{read:?}");
        let again = encoded(&read);
        assert_eq!(AgentMessage::from_bytes(&again), Ok(read));
        true
    };
    let whole = AgentMessage::from_bytes(message).is_ok();
    for end in (0..message.len()).filter(|_| whole) {
        // The contents of the application have no end of their own, nor has the mode of a queue a sign of its absence.
        assert!(!check(&message[..end]) || open_ended(message) <= end, "{end} of {} bytes", message.len());
    }
    for (position, bit) in (0..message.len()).flat_map(|position| (0..8).map(move |bit| (position, bit))) {
        let mut damaged = message.to_vec();
        damaged[position] ^= 1 << bit;
        check(&damaged);
    }
}

/// How many bytes are needed at least to make a message of its kind.
fn open_ended(message: &[u8]) -> usize {
    match AgentMessage::from_bytes(message) {
        Ok(AgentMessage::ConnectionInfo(rest) | AgentMessage::RatchetInfo(rest)) => message.len() - rest.len(),
        Ok(AgentMessage::ConnectionInfoReply { info, .. }) => message.len() - info.len() - 1,
        Ok(AgentMessage::Sequenced { message: Message::Application(body), .. }) => message.len() - body.len(),
        _ => message.len(),
    }
}

fn message_type_code(case: &Value) {
    let kind = match text(&case["type"]) {
        "AM_CONN_INFO" => MessageKind::ConnectionInfo,
        "AM_CONN_INFO_REPLY" => MessageKind::ConnectionInfoReply,
        "AM_RATCHET_INFO" => MessageKind::RatchetInfo,
        "AM_HELLO_" => MessageKind::Hello,
        "AM_A_MSG_" => MessageKind::Application,
        "AM_A_RCVD_" => MessageKind::Receipts,
        "AM_QCONT_" => MessageKind::QuotaContinue,
        "AM_QADD_" => MessageKind::AddQueues,
        "AM_QKEY_" => MessageKind::QueueKeys,
        "AM_QUSE_" => MessageKind::UseQueues,
        "AM_QTEST_" => MessageKind::TestQueues,
        "AM_EREADY_" => MessageKind::Ready,
        other => panic!("type {other}"),
    };
    assert_eq!(kind.code(), text(&case["code"]));
    assert_eq!(MessageKind::from_code(text(&case["code"])), Some(kind));
}

fn parameters(value: &Value) -> AgreedParameters<'static> {
    let key = |name: &str| X448PublicKey::from_spki(&bytes(&value[name])).unwrap();
    let kem = &value["kem"];
    let encapsulation = (!kem.is_null()).then(|| match text(&kem["kind"]) {
        "proposed" => Encapsulation::Proposed { key: kept(array(&kem["public"])) },
        "accepted" => {
            Encapsulation::Accepted { ciphertext: kept(array(&kem["ciphertext"])), key: kept(array(&kem["public"])) }
        }
        other => panic!("kind {other}"),
    });
    AgreedParameters {
        version: RatchetVersion(version(&value["version"])),
        first_key: key("k1"),
        second_key: key("k2"),
        encapsulation,
    }
}

fn agent_envelope(case: &Value) {
    let fields = &case["fields"];
    let given = |name: &str| kept_bytes(&fields[name]);
    let content = match text(&fields["kind"]) {
        "C" => EnvelopeContent::Confirmation {
            parameters: Some(&fields["e2e_params"]).filter(|value| !value.is_null()).map(parameters),
            message: given("enc_conn_info"),
        },
        "M" => EnvelopeContent::Message(given("enc_agent_message")),
        "I" => EnvelopeContent::Invitation { request: text(&fields["connection_request"]), info: given("conn_info") },
        "R" => EnvelopeContent::RatchetKey { parameters: parameters(&fields["e2e_params"]), info: given("info") },
        other => panic!("kind {other}"),
    };
    let envelope = AgentEnvelope { version: AgentVersion(version(&fields["agent_version"])), content };
    let expected = bytes(&case["bytes"]);
    assert!(truth(&case["reencodes"]));
    assert_eq!(encoded(&envelope), expected);
    assert_eq!(AgentEnvelope::from_bytes(&expected), Ok(envelope));
}

fn agent_envelope_parse(case: &Value) {
    let given = bytes(&case["bytes"]);
    let read = AgentEnvelope::from_bytes(&given);
    assert_eq!(AgentEnvelope::split(&mut given.clone()).is_ok(), read.is_ok());
    if wants_error(case) {
        assert!(read.is_err());
        return;
    }
    let read = read.unwrap();
    let kind = match read.content {
        EnvelopeContent::Confirmation { .. } => "C",
        EnvelopeContent::Message(_) => "M",
        EnvelopeContent::Invitation { .. } => "I",
        EnvelopeContent::RatchetKey { .. } => "R",
    };
    assert_eq!(kind, text(&case["result"]));
    assert_eq!(encoded(&read), given);
}

/// What one party sends: each message has the number behind that of the one before, and its hash.
fn hash_chain(case: &Value) {
    let mut last = String::new();
    for (index, value) in case["messages"].as_array().unwrap().iter().enumerate() {
        let plaintext = bytes(&value["plaintext"]);
        let id = number(&value["id"]);
        assert_eq!(id, i64::try_from(index).unwrap() + 1);
        assert_eq!(text(&value["prev_hash"]), last);
        let message = AgentMessage::from_bytes(&plaintext).unwrap();
        if let AgentMessage::Sequenced { number, previous_hash, .. } = message {
            assert_eq!((number, hex::encode(previous_hash)), (id, last));
        }
        assert_eq!(encoded(&message), plaintext);
        last = sha256(&plaintext);
        assert_eq!(last, text(&value["hash"]));
    }
}

#[test]
fn the_first_item_of_a_list_is_the_one_that_counts() {
    let queues = [b"\x01\x01a\x00\x01k\x02id".as_slice(), b"\x01\x01b\x00\x01k\x02id"].map(QueueReference::from_bytes);
    let queues = queues.map(Result::unwrap);
    let list = NonEmptyList::new(&queues).unwrap();
    let written = encoded(&list);
    let read = NonEmptyList::<QueueReference<'_>>::from_bytes(&written).unwrap();
    assert_eq!(read.first(), Some(queues[0]));
    assert_eq!(read.to_slice(&mut [0; 64]).unwrap(), written);
}
