//! Envelopes are made and opened as the reference implementation does it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{array, assert_bytes, bytes, for_each_case, number, text};
use serde_json::Value;
use smp_crypto::{
    authorization::{authorize, verify as verify_authorization},
    delivery, hash,
    key::*,
    notification, queue_envelope,
    queue_envelope::{EnvelopeHeader, SealedEnvelope},
    routing::{self, CommandLayer, ProxyLayer},
    secret_box::{BoxKey, Nonce, PADDED_MESSAGE_START},
    short_link::{self, LinkError, LinkKey},
};
use smp_proto::{
    agent::link_data::{Signed, UserLinkData},
    id::{CorrelationId, MessageId, QueueId},
    short_link::{LinkKind, ShortLink},
    smp::{
        message::{ClientMessage, Delivery, NotificationMetadata},
        proxy::{ForwardedResponse, ForwardedTransmission, ProxyForward},
    },
    transport::Authorization,
    version::{ClientVersion, SmpVersion},
    wire::{Decode, Encode, Time},
};

#[test]
fn envelopes_vectors() {
    for_each_case("envelopes.json", |case| match text(case, "op") {
        "client_envelope" => client_envelope(case),
        "client_envelope_parse" => client_envelope_parse(case),
        "msg_body" | "msg_quota" => message_body(case),
        "nmsg_meta" => notification_metadata(case),
        "forward" => forward(case),
        "link_data" => link_data(case),
        "link_data_verify" => link_data_verify(case),
        // The runner of smp-proto has these.
        "client_message_parse" | "msg_plain_parse" => {}
        other => panic!("no runner for {other}"),
    });
}

fn x25519(case: &Value, field: &str) -> X25519SecretKey {
    X25519SecretKey::from_pkcs8(&bytes(case, field)).unwrap()
}

/// Both sides agree; their public keys are those of the case.
fn agree(case: &Value, one: &str, other: &str) -> SharedSecret {
    let [one_key, other_key] = [one, other].map(|name| {
        let key = x25519(case, &format!("{name}_private"));
        assert_eq!(key.public_key().to_spki()[..], bytes(case, &format!("{name}_public")));
        key
    });
    let secret = one_key.diffie_hellman(&other_key.public_key()).unwrap();
    assert!(secret == other_key.diffie_hellman(&one_key.public_key()).unwrap());
    secret
}

/// Bytes that may be given as a repeated one.
fn body(value: &Value) -> Vec<u8> {
    match value {
        Value::String(hexadecimal) => hex::decode(hexadecimal).unwrap(),
        repeated => hex::decode(text(repeated, "repeat")).unwrap().repeat(number(repeated, "count")),
    }
}

fn client_envelope(case: &Value) {
    let secret = agree(case, "sender", "recipient");
    assert_eq!(secret.as_bytes(), &array(case, "dh_secret"));
    let key = BoxKey::from(&secret);
    let public_key = (text(case, "public_key_in_header") == "True")
        .then(|| X25519PublicKey::from_spki(&bytes(case, "sender_public")).unwrap());
    let header = EnvelopeHeader {
        version: ClientVersion(number(case, "client_version").try_into().unwrap()),
        key: public_key,
        nonce: Nonce(array(case, "nonce")),
    };
    let padded = number(case, "pad_to");
    assert_eq!(padded, if public_key.is_some() { 15_904 } else { 16_000 });

    let sender_key = match &case["private_header"] {
        Value::String(_) => None,
        with_key => {
            let sender = AuthorizationSecretKey::from_pkcs8(&bytes(with_key, "private")).unwrap();
            assert_eq!(sender.public_key(), AuthorizationKey::from_spki(&bytes(with_key, "K")).unwrap());
            Some(sender.public_key())
        }
    };
    let body = body(&case["body"]);
    let message = ClientMessage { sender_key, body: &body };
    let mut buffer = [0; queue_envelope::MESSAGE_LENGTH];
    assert_bytes(message.to_slice(&mut buffer).unwrap(), &case["inner"]);

    let sealed = queue_envelope::seal(&key, &header, &message, &mut buffer).unwrap();
    assert_bytes(sealed, &case["envelope"]);

    let mut sealed = sealed.to_vec();
    let envelope = SealedEnvelope::new(&mut sealed).unwrap();
    assert_eq!(*envelope.header(), header);
    assert_eq!(envelope.open(&key), Ok(message));
}

fn client_envelope_parse(case: &Value) {
    let mut envelope = bytes(case, "bytes");
    assert_eq!(SealedEnvelope::new(&mut envelope).is_ok(), case["result"] == "ok");
}

fn message_body(case: &Value) {
    let key = BoxKey::from(&agree(case, "server", "recipient"));
    let id = bytes(case, "msg_id");
    let id = MessageId::new(&id).unwrap();
    assert_eq!(number(case, "pad_to") + 16, delivery::SEALED_LENGTH);
    let body = case.get("body").map(body).unwrap_or_default();
    let content = match text(case, "op") {
        "msg_quota" => Delivery::Quota { time: time(case) },
        _ => Delivery::Message { time: time(case), notification: text(case, "notification") == "True", body: &body },
    };
    let mut sealed = [0; delivery::SEALED_LENGTH];
    assert_bytes(content.to_slice(&mut sealed).unwrap(), &case["plain"]);
    delivery::seal(&key, id, &content, &mut sealed).unwrap();
    assert_bytes(&sealed, &case["encrypted"]);
    assert_eq!(delivery::open(&key, id, &mut sealed), Ok(content));
}

fn time(case: &Value) -> Time {
    Time(case["time"].as_i64().unwrap())
}

fn notification_metadata(case: &Value) {
    let key = BoxKey::from(&agree(case, "server", "recipient"));
    let nonce = Nonce(array(case, "nonce"));
    let id = bytes(case, "msg_id");
    let metadata = NotificationMetadata { message_id: MessageId::new(&id).unwrap(), time: time(case) };
    let mut plain = [0; notification::SEALED_LENGTH];
    assert_bytes(metadata.to_slice(&mut plain).unwrap(), &case["meta"]);
    let mut sealed = notification::seal(&key, &nonce, &metadata).unwrap();
    assert_bytes(&sealed, &case["encrypted"]);
    assert_eq!(notification::open(&key, &nonce, &mut sealed), Ok(metadata));
}

/// A batch of one, in place for sealing.
fn in_place(block: &[u8]) -> Box<[u8; routing::SEALED_LENGTH]> {
    let mut buffer = Box::new([0; routing::SEALED_LENGTH]);
    buffer[PADDED_MESSAGE_START..][..block.len()].copy_from_slice(block);
    buffer
}

fn forward(case: &Value) {
    let version = SmpVersion(number(case, "version").try_into().unwrap());
    let client_id = bytes(case, "client_corr_id");
    let client_id = CorrelationId::new(&client_id).unwrap();
    let proxy_id = bytes(case, "proxy_corr_id");
    let proxy_id = CorrelationId::new(&proxy_id).unwrap();
    let relay = x25519(case, "relay_session_private");
    let command_key = x25519(case, "command_private");

    // The command inside is authorized with the relay's key, not the proxy's.
    let authorization = bytes(case, "authorization");
    let signed = bytes(case, "signed");
    if !authorization.is_empty() && (cfg!(feature = "ed448") || text(case, "algorithm") != "Ed448") {
        let key = AuthorizationSecretKey::from_pkcs8(&bytes(case, "entity_private")).unwrap();
        assert_eq!(key.public_key(), AuthorizationKey::from_spki(&bytes(case, "entity_public")).unwrap());
        let made = authorize(&key, Some(&relay.public_key()), client_id, &signed).unwrap();
        assert_eq!(made.as_authorization(), Authorization::from_bytes(&authorization).unwrap());
        let keys = [key.public_key()];
        assert!(verify_authorization(
            &made.as_authorization(),
            client_id,
            &[&signed],
            &keys,
            Some(&relay),
            &common::decoy()
        ));
    }

    let command_secret = agree(case, "command", "relay_session");
    assert_eq!(command_secret.as_bytes(), &array(case, "command_secret"));
    let session_secret = agree(case, "proxy", "relay_session");
    assert_eq!(session_secret.as_bytes(), &array(case, "session_secret"));
    let (client, proxy) = (CommandLayer::new(&command_secret, client_id), ProxyLayer::new(&session_secret));

    // Client, proxy.
    let block = bytes(case, "inner_block");
    let mut encrypted = in_place(&block);
    client.seal_command(&mut encrypted, block.len()).unwrap();
    assert_bytes(&encrypted[..], &case["enc_transmission"]);
    let forward = ProxyForward { version, key: command_key.public_key(), encrypted: &encrypted[..] };
    let transmission = ForwardedTransmission { correlation_id: client_id, forward };
    let mut plain = [0; routing::FORWARDED_LENGTH];
    assert_bytes(transmission.to_slice(&mut plain).unwrap(), &case["fwd_transmission"]);
    let mut parameter = [0; routing::FORWARDED_LENGTH];
    assert_bytes(proxy.seal_forward(proxy_id, &transmission, &mut parameter).unwrap(), &case["rfwd_parameter"]);

    // Relay.
    let opened = proxy.open_forward(proxy_id, &mut parameter).unwrap();
    assert_eq!(opened.correlation_id, client_id);
    assert_eq!(opened.version, version);
    let secret = relay.diffie_hellman(&opened.key).unwrap();
    let layer = CommandLayer::new(&secret, opened.correlation_id);
    assert_eq!(layer.open_command(opened.encrypted).unwrap(), block);
    let block = bytes(case, "inner_response_block");
    let mut encrypted = in_place(&block);
    layer.seal_response(&mut encrypted, block.len()).unwrap();
    assert_bytes(&encrypted[..], &case["enc_response_pres"]);
    let response = ForwardedResponse { correlation_id: client_id, encrypted: &encrypted[..] };
    let mut plain = [0; routing::FORWARDED_RESPONSE_LENGTH];
    assert_bytes(response.to_slice(&mut plain).unwrap(), &case["fwd_response"]);
    let mut parameter = [0; routing::FORWARDED_RESPONSE_LENGTH];
    assert_bytes(proxy.seal_response(proxy_id, &response, &mut parameter).unwrap(), &case["rres_parameter"]);

    // Proxy, client.
    let opened = proxy.open_response(proxy_id, &mut parameter).unwrap();
    assert_eq!(opened, response);
    let mut encrypted = opened.encrypted.to_vec();
    assert_eq!(client.open_response(&mut encrypted).unwrap(), block);
}

fn ed25519(case: &Value, field: &str) -> Ed25519SecretKey {
    Ed25519SecretKey::from_pkcs8(&bytes(case, field)).unwrap()
}

fn link_data(case: &Value) {
    let contact = !text(case, "name").starts_with("invitation");
    let kind = if contact { LinkKind::Contact } else { LinkKind::Invitation };
    let link_key = LinkKey(array(case, "link_key"));
    let key = if contact {
        let (id, key) = link_key.contact_keys().unwrap();
        assert_eq!(id, array(case, "link_id"));
        key
    } else {
        link_key.invitation_key().unwrap()
    };
    let root = ed25519(case, "root_private");
    assert_eq!(root.public_key().to_spki()[..], bytes(case, "root_public"));
    let owners = case.get("owners").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut signer = ed25519(case, "root_private");
    for (number, owner) in owners.iter().enumerate() {
        let public = Ed25519PublicKey::from_spki(&bytes(owner, "owner_public")).unwrap();
        assert_eq!(ed25519(owner, "owner_private").public_key(), public);
        let id = bytes(owner, "owner_id");
        let by_root = short_link::sign_owner(&id, &public, &root);
        let earlier = owners[..number].iter().map(|owner| ed25519(owner, "owner_private"));
        let mut signatures = earlier.map(|key| short_link::sign_owner(&id, &public, &key)).chain([by_root]);
        assert!(signatures.any(|signature| signature[..] == bytes(owner, "signature")));
        if case["user_signed_by"] == String::from_utf8(id).unwrap() {
            signer = ed25519(owner, "owner_private");
        }
    }

    for (part, sealed_part, length, signer) in [
        ("fixed", "enc_fixed", short_link::FIXED_LENGTH, &root),
        ("user", "enc_user", short_link::USER_LENGTH, &signer),
    ] {
        let data = bytes(&case[part], "data");
        assert_eq!(signer.sign(&data)[..], bytes(&case[part], "signature"));
        let mut buffer = vec![0; length];
        buffer[short_link::DATA_START..][..data.len()].copy_from_slice(&data);
        let nonce = Nonce(array(&case[sealed_part], "nonce"));
        short_link::seal(&key, &nonce, signer, &mut buffer, data.len()).unwrap();
        assert_bytes(&buffer, &case[sealed_part]);
    }

    let seal = |part: &str, length: usize, signer: &Ed25519SecretKey| {
        let data = bytes(&case[part], "data");
        let mut buffer = vec![0; length];
        buffer[short_link::DATA_START..][..data.len()].copy_from_slice(&data);
        short_link::seal(&key, &Nonce([1; 24]), signer, &mut buffer, data.len()).unwrap();
        buffer
    };
    let mut fixed = seal("fixed", short_link::FIXED_LENGTH, &root);
    let mut user = seal("user", short_link::USER_LENGTH, &signer);
    let link = ShortLink::parse(text(case, "short_link")).unwrap();
    let sender_id = bytes(case, "sender_id");
    let sender_id = QueueId::new(&sender_id).unwrap();
    let correlation_id = bytes(case, "corr_id");
    assert_eq!(hash::sender_id(CorrelationId::new(&correlation_id).unwrap()), sender_id.as_bytes());
    let (mut fixed_copy, mut user_copy) = (fixed.clone(), user.clone());
    let read = short_link::read(&link, sender_id, &mut fixed_copy, &mut user_copy).unwrap();
    assert_eq!(read.0.connection_request.queue().server(), link.server());
    let fixed = short_link::open(&key, &mut fixed).unwrap();
    let user = short_link::open(&key, &mut user).unwrap();
    assert_eq!(fixed.data, bytes(&case["fixed"], "data"));
    assert_eq!(user.data, bytes(&case["user"], "data"));
    let verified = short_link::verify(kind, &link_key, &fixed, &user).unwrap();
    assert_eq!(verified.0.root_key, root.public_key());
    assert_eq!(verified, read, "the link has the address of the queue");
    if let UserLinkData::Contact { contact, .. } = verified.1 {
        let signer = signer.public_key();
        assert_eq!(short_link::verify_signer(&verified.0.root_key, &contact.owners, &signer), Ok(()));
    }
    let other = if contact { LinkKind::Invitation } else { LinkKind::Group };
    assert!(matches!(short_link::verify(other, &link_key, &fixed, &user), Err(LinkError::Format(_))));
}

fn link_data_verify(case: &Value) {
    let (fixed, user) = (bytes(case, "signed_fixed"), bytes(case, "signed_user"));
    let link_key = LinkKey(array(case, "link_key"));
    let result = Signed::from_bytes(&fixed).map_err(LinkError::from).and_then(|fixed| {
        let user = Signed::from_bytes(&user)?;
        short_link::verify(LinkKind::Contact, &link_key, &fixed, &user).map(|_| ())
    });
    let expected = text(case, "result");
    let contains = |part: &str| expected.contains(part);
    match result {
        Ok(()) => assert_eq!(expected, "ok"),
        Err(LinkError::Hash) => assert!(contains("link data hash")),
        Err(LinkError::FixedSignature) => assert!(contains("link data signature")),
        Err(LinkError::UserSignature) => assert!(contains("user data signature")),
        Err(LinkError::RootOwner) => assert!(contains("matches root key")),
        Err(LinkError::DuplicateOwner) => assert!(contains("duplicate owner")),
        Err(LinkError::OwnerSignature) => assert!(contains("invalid authorization of owner")),
        Err(LinkError::Format(_)) => assert!(contains("A_MESSAGE")),
        Err(error) => panic!("{error} where {expected}"),
    }
}
