//! The layers inside message bodies, and link data, against values made by the reference implementation, as far as they
//! need no cryptography: the crypto crate runs the same file for the rest.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that panics has failed")]

mod support;

use serde_json::Value;
use smp_proto::agent::ConnectionRequest;
use smp_proto::agent::link_data::{ContactData, FixedLinkData, OwnerAuthorization, RelayLink};
use smp_proto::agent::link_data::{Signed, UserData, UserLinkData};
use smp_proto::id::{LinkId, MessageId};
use smp_proto::key::{AuthorizationKey, Ed25519PublicKey, X25519PublicKey};
use smp_proto::short_link::{LinkKind, ShortLink};
use smp_proto::smp::message::{CONFIRMATION_PADDED_LENGTH, DELIVERY_PADDED_LENGTH, MESSAGE_PADDED_LENGTH};
use smp_proto::smp::message::{ClientEnvelope, ClientMessage, Delivery, NotificationMetadata};
use smp_proto::version::{AgentVersion, ClientVersion, Version, VersionRange};
use smp_proto::wire::{Decode, List, ShortString, Time};
use support::{array, bytes, encoded, for_each_case, length, number, text, truth, wants_error};

#[test]
fn envelopes_vectors() {
    for_each_case("envelopes.json", |case| match text(&case["op"]) {
        "client_envelope" => client_envelope(case),
        "client_envelope_parse" => {
            let encoded_envelope = bytes(&case["bytes"]);
            let parsed = ClientEnvelope::from_bytes(&encoded_envelope);
            assert_eq!(parsed.is_err(), wants_error(case));
            parsed.iter().for_each(|envelope| assert_eq!(encoded(envelope), encoded_envelope));
        }
        "client_message_parse" => {
            let encoded_message = bytes(&case["bytes"]);
            let parsed = ClientMessage::from_bytes(&encoded_message);
            if wants_error(case) {
                assert!(parsed.is_err());
                return;
            }
            let (parsed, expected) = (parsed.unwrap(), &case["result"]);
            assert_eq!(parsed.body, bytes(&expected["body"]));
            assert_eq!(parsed.sender_key, private_header(&expected["private_header"]));
            assert_eq!(encoded(&parsed), encoded_message);
        }
        "msg_body" => {
            let body = repeated(&case["body"]);
            let time = Time(number(&case["time"]));
            let message = Delivery::Message { time, notification: truth(&case["notification"]), body: &body };
            assert_part(&encoded(&message), &case["plain"]);
            assert_eq!(length(&case["pad_to"]), DELIVERY_PADDED_LENGTH);
        }
        "msg_quota" => {
            let quota = Delivery::Quota { time: Time(number(&case["time"])) };
            assert_part(&encoded(&quota), &case["plain"]);
        }
        "msg_plain_parse" => delivery(case),
        "nmsg_meta" => {
            let message_id = bytes(&case["msg_id"]);
            let message_id = MessageId::new(&message_id).unwrap();
            let metadata = NotificationMetadata { message_id, time: Time(number(&case["time"])) };
            let mut encoded_metadata = bytes(&case["meta"]);
            assert_eq!(encoded(&metadata), encoded_metadata);
            for end in 0..encoded_metadata.len() {
                assert!(NotificationMetadata::from_bytes(&encoded_metadata[..end]).is_err());
            }
            encoded_metadata.extend(b"later");
            assert_eq!(NotificationMetadata::from_bytes(&encoded_metadata), Ok(metadata));
        }
        "link_data" => link_data(case),
        "link_data_verify" => link_data_verify(case),
        // All of it is cryptography.
        "forward" => {}
        op => panic!("unknown operation {op}"),
    });
}

/// Bytes in hexadecimal, or a byte and how often it comes.
fn repeated(value: &Value) -> Vec<u8> {
    match value.as_str() {
        Some(hexadecimal) => hex::decode(hexadecimal).unwrap(),
        None => bytes(&value["repeat"]).repeat(length(&value["count"])),
    }
}

/// Compares with a value that may be given by its length and both ends.
fn assert_part(actual: &[u8], expected: &Value) {
    match expected.as_str() {
        Some(hexadecimal) => assert_eq!(hex::encode(actual), hexadecimal),
        None => {
            assert_eq!(actual.len(), length(&expected["len"]));
            assert!(actual.starts_with(&bytes(&expected["first64"])));
            assert!(actual.ends_with(&bytes(&expected["last64"])));
        }
    }
}

fn private_header(value: &Value) -> Option<AuthorizationKey> {
    match value.as_str() {
        Some("_") => None,
        Some(other) => panic!("header {other}"),
        None => Some(AuthorizationKey::from_spki(&bytes(&value["K"])).unwrap()),
    }
}

fn client_envelope(case: &Value) {
    let body = repeated(&case["body"]);
    let message = ClientMessage { sender_key: private_header(&case["private_header"]), body: &body };
    let inner = encoded(&message);
    assert_part(&inner, &case["inner"]);
    assert_eq!(ClientMessage::from_bytes(&inner), Ok(message));

    let version = ClientVersion(number(&case["client_version"]).try_into().unwrap());
    let with_key = truth(&case["public_key_in_header"]);
    let sender_key = X25519PublicKey::from_spki(&bytes(&case["sender_public"])).unwrap();
    let (dh_key, nonce) = (Some(sender_key).filter(|_| with_key), array(&case["nonce"]));
    let envelope = ClientEnvelope { version, dh_key, nonce: &nonce, ciphertext: &[] };
    assert_eq!(length(&case["pad_to"]), envelope.padded_length());
    assert_eq!(envelope.padded_length(), if with_key { CONFIRMATION_PADDED_LENGTH } else { MESSAGE_PADDED_LENGTH });
    let head = encoded(&envelope);
    let expected = &case["envelope"];
    assert_eq!(length(&expected["len"]), head.len() + 16 + envelope.padded_length());
    let begin = bytes(&expected["first64"]);
    let common = head.len().min(begin.len());
    assert_eq!(begin[..common], head[..common]);
    for end in 0..head.len() {
        assert!(ClientEnvelope::from_bytes(&head[..end]).is_err());
    }
    if expected.get("bytes").is_some() {
        let whole = bytes(&expected["bytes"]);
        let parsed = ClientEnvelope::from_bytes(&whole).unwrap();
        assert_eq!((parsed.version, parsed.dh_key, parsed.nonce), (version, dh_key, &nonce));
        assert_eq!(encoded(&parsed), whole);
    }
}

fn delivery(case: &Value) {
    let plain = bytes(&case["plain"]);
    let parsed = Delivery::from_bytes(&plain);
    let expected = &case["result"];
    if wants_error(case) {
        assert!(parsed.is_err());
    } else if expected.get("quota").is_some() {
        assert_eq!(parsed, Ok(Delivery::Quota { time: Time(number(&expected["quota"])) }));
    } else {
        let (body, time) = (bytes(&expected["body"]), Time(number(&expected["time"])));
        let notification = truth(&expected["notification"]);
        assert_eq!(parsed, Ok(Delivery::Message { time, notification, body: &body }));
    }
}

fn versions<V: Version>(value: &Value) -> VersionRange<V> {
    let number = |index: usize| V::from_number(value[index].as_u64().unwrap().try_into().unwrap());
    VersionRange::new(number(0), number(1)).unwrap()
}

fn link_data(case: &Value) {
    let agent_versions = versions::<AgentVersion>(&case["agent_range"]);
    let root_key = Ed25519PublicKey::from_spki(&bytes(&case["root_public"])).unwrap();

    let request = bytes(&case["connection_request_binary"]);
    let connection_request = ConnectionRequest::from_bytes(&request).unwrap();
    assert_eq!(encoded(&connection_request), request);
    assert_eq!(encoded(&ConnectionRequest::parse(text(&case["connection_request_uri"])).unwrap()), request);
    let entity_id = case.get("entity_id").and_then(Value::as_str).map(|id| hex::decode(id).unwrap());
    let entity_id = entity_id.as_ref().map(|id| ShortString::new(id).unwrap());
    let fixed = FixedLinkData { agent_versions, root_key, connection_request, entity_id };
    let data = bytes(&case["fixed"]["data"]);
    assert_eq!(encoded(&fixed), data);
    assert_eq!(FixedLinkData::from_bytes(&data), Ok(fixed));
    for end in 0..data.len() - entity_id.map_or(0, |id| 1 + id.as_bytes().len()) {
        assert!(FixedLinkData::from_bytes(&data[..end]).is_err());
    }

    let user_data = bytes(&case["user_data_blob"]);
    let user_data = UserData(&user_data);
    let none = Vec::new();
    let items = |field: &str| case.get(field).and_then(Value::as_array).unwrap_or(&none).iter();
    let owners = items("owners").map(|owner| (owner, bytes(&owner["owner_id"]), array::<64>(&owner["signature"])));
    let owners = owners.collect::<Vec<_>>();
    let owners = owners.iter().map(|(owner, id, signature)| {
        let owner_key = Ed25519PublicKey::from_spki(&bytes(&owner["owner_public"])).unwrap();
        let authorization = OwnerAuthorization { owner_id: ShortString::new(id).unwrap(), owner_key, signature };
        assert_eq!(encoded(&authorization), bytes(&owner["encoded"]));
        let signed = [id.as_slice(), &owner_key.to_spki()].concat();
        assert_eq!(authorization.signed_bytes(&mut [0; 300]).unwrap(), signed);
        authorization
    });
    let owners = owners.collect::<Vec<_>>();
    let relays = items("relays").map(|relay| {
        let link = ShortLink::parse(text(&relay["text"])).unwrap();
        assert_eq!(encoded(&link), bytes(&relay["binary"]));
        RelayLink::new(link).unwrap()
    });
    let relays = relays.collect::<Vec<_>>();
    let user = match case.get("direct") {
        None => UserLinkData::Invitation { agent_versions, user_data },
        Some(_) => {
            let (owners, relays) = (List::new(&owners).unwrap(), List::new(&relays).unwrap());
            let contact = ContactData { direct: truth(&case["direct"]), owners, relays, user_data };
            UserLinkData::Contact { agent_versions, contact }
        }
    };
    let mut data = bytes(&case["user"]["data"]);
    assert_eq!(encoded(&user), data);
    for end in 0..data.len() {
        assert!(UserLinkData::from_bytes(&data[..end]).is_err());
    }
    data.extend(b"later");
    assert_eq!(UserLinkData::from_bytes(&data), Ok(user));

    let link = ShortLink::parse(text(&case["short_link"])).unwrap();
    assert_eq!(link.to_string(), text(&case["short_link"]));
    assert_eq!(link.key(), Some(array(&case["link_key"])));
    let invitation = link.kind() == LinkKind::Invitation;
    assert_eq!(invitation, matches!(user, UserLinkData::Invitation { .. }));
    let id = bytes(&case["link_id"]);
    assert_eq!(link.id(), Some(LinkId::new(&id).unwrap()).filter(|_| invitation));
}

/// The parts of a verdict that reading decides.
fn link_data_verify(case: &Value) {
    let (fixed, user) = (bytes(&case["signed_fixed"]), bytes(&case["signed_user"]));
    let fixed = Signed::from_bytes(&fixed).and_then(|signed| FixedLinkData::from_bytes(signed.data));
    let user = Signed::from_bytes(&user).and_then(|signed| UserLinkData::from_bytes(signed.data));
    let readable = match (fixed, user) {
        (Ok(fixed), Ok(user)) => {
            fixed.connection_request.is_invitation() == matches!(user, UserLinkData::Invitation { .. })
        }
        _ => false,
    };
    assert_eq!(readable, !text(&case["result"]).contains("A_MESSAGE"));
}
