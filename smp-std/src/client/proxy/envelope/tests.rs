use super::*;
use smp_crypto::authorization::{Decoy, verify};
use smp_crypto::routing::PADDED_LENGTH;
use smp_proto::id::EntityId;
use smp_proto::smp::SmpError;
use smp_proto::smp::sender::Send;
use smp_proto::transport::transmission::{Authorization, encode_unauthorized};

const SESSION: [u8; 32] = [0x5e; 32];

/// The relay's end of a session with a proxy.
struct Relay {
    secret: X25519SecretKey,
    session: RelaySession,
}

impl Relay {
    fn new(version: u16) -> Self {
        let secret = X25519SecretKey::generate(&mut rand::rng());
        let key = secret.public_key();
        let id = Id::new(&SESSION).unwrap();
        Self { secret, session: RelaySession { id, version: SmpVersion(version), key } }
    }

    fn layer(&self, sealed: &Sealed) -> CommandLayer {
        let agreed = self.secret.diffie_hellman(&sealed.key).unwrap();
        CommandLayer::new(&agreed, CorrelationId::from_array(&sealed.correlation_id))
    }

    /// The relay's answer to a command, with these ids, encrypted.
    fn answer(&self, sealed: &Sealed, id: &[u8], entity: &[u8], message: &BrokerMessage<'_>) -> Vec<u8> {
        let mut buffer = [0; SEALED_LENGTH];
        let mut writer = Writer::new(&mut buffer[PADDED_MESSAGE_START..]);
        let mut transmission = [0; 16_300];
        let mut inner = Writer::new(&mut transmission);
        encode_unauthorized(
            &mut inner,
            self.session.version,
            SessionId::new(&SESSION).unwrap(),
            CorrelationId::new(id).unwrap(),
            EntityId::new(entity).unwrap(),
            |writer| message.encode(writer, self.session.version),
        )
        .unwrap();
        writer.u8(1).unwrap();
        writer.long(inner.written()).unwrap();
        let length = writer.len();
        self.layer(sealed).seal_response(&mut buffer, length).unwrap();
        buffer.to_vec()
    }
}

fn queue() -> (Id, CommandKey) {
    (Id::new(&[7; 24]).unwrap(), CommandKey::generate(SmpVersion::MAX))
}

#[test]
fn the_relay_finds_the_command_authorized_for_the_inner_session() {
    let (id, key) = queue();
    for version in 8..=20 {
        let relay = Relay::new(version);
        for key in [None, Some(&key)] {
            let command = Command::Send(Send { notify: true, body: b"hello" });
            let mut sealed = relay.session.seal(&id, &command, key).unwrap();
            assert_eq!(sealed.encrypted.len(), SEALED_LENGTH);
            let layer = relay.layer(&sealed);
            let content = layer.open_command(&mut sealed.encrypted).unwrap();
            let bytes = decode_single(content).unwrap();
            let session_id = SessionId::new(&SESSION).unwrap();
            let inner = Transmission::decode(bytes, SmpVersion(version), session_id).unwrap();
            assert_eq!(inner.correlation_id.as_bytes(), sealed.correlation_id);
            assert_eq!(inner.entity_id.as_bytes(), id.as_bytes());
            assert_eq!(inner.service_signature, None);
            let read = Command::decode(&mut Reader::new(inner.command), SmpVersion(version)).unwrap();
            assert_eq!(read, command);
            let Some(key) = key else {
                assert_eq!(inner.authorization, Authorization::None);
                continue;
            };
            let mut authorized = vec![0; 500];
            let mut writer = Writer::new(&mut authorized);
            inner.write_authorized(&mut writer, session_id).unwrap();
            let id = CorrelationId::from_array(&sealed.correlation_id);
            let keys = [key.public()];
            assert!(verify(
                &inner.authorization,
                id,
                &[writer.written()],
                &keys,
                Some(&relay.secret),
                &Decoy::generate(&mut rand::rng())
            ));
        }
    }
}

#[test]
fn every_command_has_a_key_and_an_id_of_its_own() {
    let (id, _) = queue();
    let relay = Relay::new(20);
    let [one, other] = [(); 2].map(|()| relay.session.seal(&id, &Command::GetLink, None).unwrap());
    assert_ne!(one.correlation_id, other.correlation_id);
    assert_ne!(one.key, other.key);
    assert_ne!(one.encrypted, other.encrypted);
    // Neither length nor content tell a short command from a long one.
    let body = vec![1; 16_048];
    let long = relay.session.seal(&id, &Command::Send(Send { notify: false, body: &body }), None).unwrap();
    assert_eq!(long.encrypted.len(), one.encrypted.len());
}

#[test]
fn the_largest_message_of_each_version_fits_with_every_kind_of_key() {
    let (id, authenticating) = queue();
    let random = &mut rand::rng();
    let signing = CommandKey::new(smp_crypto::key::AuthorizationSecretKey::generate_ed25519(random));
    let largest = CommandKey::new(smp_crypto::key::AuthorizationSecretKey::Ed448(
        smp_crypto::key::Ed448SecretKey::generate(random),
    ));
    for version in 8..=20 {
        let relay = Relay::new(version);
        let limit = SmpVersion(version).max_message_length();
        let body = vec![1; limit + 1];
        for key in [None, Some(&authenticating), Some(&signing), Some(&largest)] {
            let command = Command::Send(Send { notify: true, body: &body[..limit] });
            let sealed = relay.session.seal(&id, &command, key);
            // Before version 11 messages are so large that the signature of an Ed448 key finds no room.
            let room = PADDED_LENGTH - 2 - (1 + 2 + 1 + 25 + 25 + 7);
            let needed = limit
                + key.map_or(0, |key| match key.public() {
                    smp_proto::key::AuthorizationKey::Ed448(_) => 114,
                    smp_proto::key::AuthorizationKey::Ed25519(_) => 64,
                    smp_proto::key::AuthorizationKey::X25519(_) => 80,
                });
            let service_byte = usize::from(version >= 16 && key.is_some());
            assert_eq!(sealed.is_ok(), needed + service_byte <= room, "version {version}, {needed} bytes");
            let command = Command::Send(Send { notify: true, body: &body });
            let error = relay.session.seal(&id, &command, key).err();
            assert!(matches!(error, Some(ClientError::TooLarge(known)) if known == limit));
        }
    }
}

#[test]
fn commands_a_version_does_not_have_are_not_sent() {
    let (id, key) = queue();
    let name = smp_proto::smp::names::Domain::new("alice.simplex").unwrap();
    for (command, since) in [
        (Command::SecureBySender(key.public()), 9),
        (Command::SecureByLink(key.public()), 15),
        (Command::GetLink, 15),
        (Command::ResolveName(name), 20),
    ] {
        for version in 8..=20 {
            let sealed = Relay::new(version).session.seal(&id, &command, None);
            match sealed {
                Ok(_) => assert!(version >= since),
                Err(ClientError::NotAtThisVersion(at)) => assert!(version < since && at == SmpVersion(version)),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn every_flipped_bit_of_an_answer_is_noticed() {
    let (id, _) = queue();
    let relay = Relay::new(18);
    let sealed = relay.session.seal(&id, &Command::GetLink, None).unwrap();
    let answer = relay.answer(&sealed, &sealed.correlation_id, id.as_bytes(), &BrokerMessage::Ok);
    assert_eq!(&*sealed.opening.open(&mut answer.clone()).unwrap(), b"OK");
    let forged =
        |mut answer: Vec<u8>| matches!(sealed.opening.open(&mut answer), Err(ClientError::Proxy(ProxyFailure::Forged)));
    // Each bit of the beginning and of the end, and one of each other byte.
    for place in 0..answer.len() {
        let bits = if place < 64 || place >= answer.len() - 16 { 0..8 } else { place % 8..place % 8 + 1 };
        for bit in bits {
            let mut changed = answer.clone();
            changed[place] ^= 1 << bit;
            assert!(forged(changed), "bit {bit} of byte {place}");
        }
    }
    assert!(forged(answer[1..].to_vec()) && forged(Vec::new()) && forged([&answer[..], &[0]].concat()));
    // The command itself and the answer to another one are no answer.
    assert!(forged(sealed.encrypted.clone()));
    let other = relay.session.seal(&id, &Command::GetLink, None).unwrap();
    assert!(forged(relay.answer(&other, &other.correlation_id, id.as_bytes(), &BrokerMessage::Ok)));
    // Nor one of another relay.
    assert!(forged(Relay::new(18).answer(&sealed, &sealed.correlation_id, id.as_bytes(), &BrokerMessage::Ok)));
}

#[test]
fn what_the_relay_itself_says_wrongly_is_its_fault() {
    let (id, _) = queue();
    let relay = Relay::new(18);
    let sealed = relay.session.seal(&id, &Command::GetLink, None).unwrap();
    let open = |id: &[u8], entity: &[u8], message: &BrokerMessage<'_>| {
        sealed.opening.open(&mut relay.answer(&sealed, id, entity, message))
    };
    let (right, entity) = (&sealed.correlation_id[..], id.as_bytes());
    let auth = BrokerMessage::Error(SmpError::Auth);
    let relay_said = |result| matches!(result, Err(ClientError::Relay(error)) if error.get() == SmpError::Auth);
    assert!(relay_said(open(right, entity, &auth)));
    assert!(relay_said(open(right, &[], &auth)));
    for (id, entity, message) in [
        (&[1; 24][..], entity, &BrokerMessage::Ok),
        (right, &[1; 24][..], &BrokerMessage::Ok),
        (right, &[][..], &BrokerMessage::Ok),
        (right, &[1; 24][..], &auth),
        (&[][..], entity, &auth),
    ] {
        assert!(matches!(open(id, entity, message), Err(ClientError::Unexpected)));
    }
    // Two transmissions, or none that can be read.
    for content in [&b"\x02\x00\x01a\x00\x01b"[..], b"\x01\x00\x01a", b"\x01\x00\x05\x00\x00\x00HI", b""] {
        let mut buffer = [0; SEALED_LENGTH];
        buffer[PADDED_MESSAGE_START..][..content.len()].copy_from_slice(content);
        relay.layer(&sealed).seal_response(&mut buffer, content.len()).unwrap();
        let result = sealed.opening.open(&mut buffer);
        assert!(matches!(result, Err(ClientError::Malformed | ClientError::Unexpected)), "{result:?}");
    }
}

#[test]
fn a_weak_key_of_the_relay_is_refused() {
    let (id, _) = queue();
    let mut relay = Relay::new(18);
    relay.session.key = X25519PublicKey([0; 32]);
    assert!(matches!(relay.session.seal(&id, &Command::GetLink, None), Err(ClientError::UnusableKey)));
}
