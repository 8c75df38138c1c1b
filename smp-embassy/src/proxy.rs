//! Private routing: commands to a relay through a proxy, which learns neither the commands nor their answers, so that the
//! relay does not learn the device's address (wire reference, section 12).
//!
//! Both layers are made and opened where they stand in the one buffer of the connection to the proxy. Each command costs
//! a key pair and an agreement, about 1.8 million instructions on a Cortex-M4, and one more encryption.

use rand_core::TryCryptoRng;
use smp_crypto::certificate::{MAX_CHAIN_LENGTH, validate_server_chain, validate_server_chain_without_time};
use smp_crypto::key::{X25519PublicKey, X25519SecretKey};
use smp_crypto::routing::{CommandLayer, SEALED_LENGTH};
use smp_crypto::secret_box::PADDED_MESSAGE_START;
use smp_crypto::signed_key::SignedKey;
use smp_proto::id::{CorrelationId, EntityId, ID_LENGTH, SessionId};
use smp_proto::smp::proxy::ProxyKey;
use smp_proto::transport::Transmission;
use smp_proto::transport::block::decode_single;
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::{self, Writer};
use zeroize::Zeroizing;

use crate::connection::TransmissionContext;
use crate::key::CommandKey;
use crate::random::{self, RandomError};
use crate::refusal::{ProxyFailure, Refusal};

/// The longest identifier of a session between proxy and relay, in bytes: a Finished value of TLS.
const SESSION_ID_CAPACITY: usize = smp_crypto::session::MAX_SESSION_ID_LENGTH;

/// What a device knows of the session that a proxy has with a relay, after it has checked that the relay is the right
/// one.
pub(crate) struct RelaySession {
    /// The identifier of the session between proxy and relay, the entity of PFWD.
    id: heapless::Vec<u8, SESSION_ID_CAPACITY>,
    version: SmpVersion,
    key: X25519PublicKey,
}

impl RelaySession {
    /// Takes what a proxy says about its session with the relay of this fingerprint, if it is true (wire reference, section
    /// 12.1, step 4). Without a time the dates of certificates are not looked at.
    pub(crate) fn accept(
        key: &ProxyKey<'_>,
        fingerprint: &[u8; 32],
        known: VersionRange<SmpVersion>,
        now: Option<i64>,
    ) -> Result<Self, ProxyFailure> {
        if key.chain.len() > MAX_CHAIN_LENGTH {
            return Err(ProxyFailure::Identity);
        }
        let mut chain = [&[][..]; MAX_CHAIN_LENGTH];
        chain.iter_mut().zip(key.chain.iter()).for_each(|(place, certificate)| *place = certificate);
        let chain = chain.get(..key.chain.len()).ok_or(ProxyFailure::Identity)?;
        let validated = match now {
            Some(now) => validate_server_chain(chain, fingerprint, now),
            None => validate_server_chain_without_time(chain, fingerprint),
        };
        let validated = validated.map_err(|_| ProxyFailure::Identity)?;
        let relay_key = SignedKey::from_der(key.signed_key.as_bytes())
            .and_then(|signed| signed.verify(&validated.leaf_key))
            .map_err(|_| ProxyFailure::Identity)?;
        let version = known.intersection(&key.versions).map(|common| common.max());
        let version =
            version.filter(|version| *version >= SmpVersion::PRIVATE_ROUTING).ok_or(ProxyFailure::NoCommonVersion)?;
        let id = heapless::Vec::from_slice(key.session_id.as_bytes()).map_err(|_| ProxyFailure::Transport)?;
        if id.is_empty() {
            return Err(ProxyFailure::Transport);
        }
        Ok(Self { id, version, key: relay_key })
    }

    /// The version the relay is spoken to in.
    pub(crate) const fn version(&self) -> SmpVersion {
        self.version
    }

    /// The relay's session key.
    pub(crate) const fn key(&self) -> &X25519PublicKey {
        &self.key
    }

    /// The entity of PFWD.
    pub(crate) fn entity(&self) -> EntityId<'_> {
        self.session_id().into()
    }

    fn session_id(&self) -> SessionId<'_> {
        // The capacity is below the limit of `new`.
        SessionId::new(&self.id).unwrap_or(SessionId::EMPTY)
    }

    /// Secrets for one command.
    pub(crate) fn prepare<R: TryCryptoRng + ?Sized>(&self, random: &mut R) -> Result<Forward, RandomError> {
        let correlation_id: [u8; ID_LENGTH] = random::array(random)?;
        let secret = Zeroizing::new(random::array(random)?);
        let secret = X25519SecretKey::from_bytes(&secret);
        // The relay has signed its key: one of small order only harms itself, and is refused before in handshakes.
        let agreed = secret.diffie_hellman(&self.key).map_err(|_| RandomError::Source)?;
        let layer = CommandLayer::new(&agreed, CorrelationId::from_array(&correlation_id));
        Ok(Forward { correlation_id, key: secret.public_key(), layer })
    }
}

/// One command on its way through a proxy.
pub(crate) struct Forward {
    /// The correlation id of PFWD, and of the command inside.
    pub(crate) correlation_id: [u8; ID_LENGTH],
    key: X25519PublicKey,
    layer: CommandLayer,
}

impl Forward {
    /// Writes PFWD, with the command encrypted where it stands.
    pub(crate) fn write(
        &self,
        writer: &mut Writer<'_>,
        session: &RelaySession,
        entity: EntityId<'_>,
        key: Option<&CommandKey>,
        command: impl FnOnce(&mut Writer<'_>) -> Result<(), wire::Error>,
    ) -> Result<(), wire::Error> {
        writer.bytes(b"PFWD ")?;
        writer.value(&session.version)?;
        writer.value(&self.key)?;
        let sealed: &mut [u8; SEALED_LENGTH] =
            writer.reserve(SEALED_LENGTH)?.try_into().map_err(|_| wire::Error::NoSpace)?;
        // A batch of one transmission: the count, its length, itself.
        let batch = sealed.get_mut(PADDED_MESSAGE_START..).ok_or(wire::Error::NoSpace)?;
        let (head, room) = batch.split_first_chunk_mut::<3>().ok_or(wire::Error::NoSpace)?;
        let context = TransmissionContext {
            version: session.version,
            session_id: session.session_id(),
            server_key: Some(&session.key),
        };
        let length =
            context.encode(room, &self.correlation_id, entity, key, command).map_err(|_| wire::Error::TooLong)?;
        let [high, low] = u16::try_from(length).map_err(|_| wire::Error::TooLong)?.to_be_bytes();
        *head = [1, high, low];
        self.layer.seal_command(sealed, length.saturating_add(3)).map_err(|_| wire::Error::TooLong)
    }

    /// Opens the parameter of PRES where it stands: whether the relay has done what the command says.
    pub(crate) fn open(
        &self,
        session: &RelaySession,
        entity: EntityId<'_>,
        encrypted: &mut [u8],
    ) -> Result<(), Refusal> {
        if encrypted.len() != SEALED_LENGTH {
            return Err(Refusal::Proxy(ProxyFailure::Forged));
        }
        let content = self.layer.open_response(encrypted).map_err(|_| Refusal::Proxy(ProxyFailure::Forged))?;
        // From here on it is certain that the relay made this: what is wrong now is the relay's fault.
        let bytes = decode_single(content).map_err(|_| Refusal::Protocol)?;
        let transmission =
            Transmission::decode(bytes, session.version, session.session_id()).map_err(|_| Refusal::Protocol)?;
        if transmission.correlation_id.as_bytes() != self.correlation_id {
            return Err(Refusal::Protocol);
        }
        let same = transmission.entity_id == entity;
        match transmission.command.strip_prefix(b"ERR ") {
            None if same && transmission.command == b"OK" => Ok(()),
            Some(error) if same || transmission.entity_id.is_empty() => Err(Refusal::read(error, false)),
            _ => Err(Refusal::Protocol),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use smp_crypto::authorization::{Decoy, verify};
    use smp_crypto::key::AuthorizationKey;
    use smp_crypto::routing::PADDED_LENGTH;
    use smp_proto::smp::Command;
    use smp_proto::smp::proxy::ProxyForward;
    use smp_proto::wire::{Reader, pad};

    use super::*;
    use crate::test::random;

    const ENTITY: [u8; 24] = [4; 24];

    /// A relay behind a proxy.
    struct Relay(X25519SecretKey);

    impl Relay {
        fn session(&self, version: u16, id_length: usize) -> RelaySession {
            let id = heapless::Vec::from_slice(&[6; 48][..id_length]).unwrap();
            RelaySession { id, version: SmpVersion(version), key: self.0.public_key() }
        }

        /// Opens a forwarded command, checks its authorization, and answers.
        fn answer(
            &self,
            pfwd: &[u8],
            correlation: &[u8; 24],
            session: &RelaySession,
            message: &[u8],
            key: &AuthorizationKey,
        ) -> (Vec<u8>, Vec<u8>) {
            let Ok(Command::ProxyForward(ProxyForward { version, key: ephemeral, encrypted })) =
                Command::decode(&mut Reader::new(pfwd), session.version)
            else {
                panic!("no PFWD");
            };
            assert_eq!(version, session.version);
            let correlation = CorrelationId::from_array(correlation);
            let layer = CommandLayer::new(&self.0.diffie_hellman(&ephemeral).unwrap(), correlation);
            let mut encrypted = encrypted.to_vec();
            let bytes = decode_single(layer.open_command(&mut encrypted).unwrap()).unwrap().to_vec();
            let read = Transmission::decode(&bytes, version, session.session_id()).unwrap();
            assert_eq!(read.correlation_id, correlation);
            assert_eq!(read.entity_id.as_bytes(), ENTITY);
            let mut authorized = std::vec![0; 17_000];
            let mut writer = Writer::new(&mut authorized);
            read.write_authorized(&mut writer, session.session_id()).unwrap();
            let decoy = Decoy::generate(&mut random(9));
            assert!(verify(&read.authorization, correlation, &[writer.written()], [key], Some(&self.0), &decoy));
            (read.command.to_vec(), self.seal(&layer, correlation.as_bytes(), &ENTITY, message))
        }

        fn seal(&self, layer: &CommandLayer, correlation: &[u8], entity: &[u8], message: &[u8]) -> Vec<u8> {
            let transmission = [&[0, 24], correlation, &[entity.len() as u8], entity, message].concat();
            let batch = [&[1][..], &(transmission.len() as u16).to_be_bytes(), &transmission].concat();
            let mut sealed = std::vec![0; SEALED_LENGTH];
            pad(&batch, &mut sealed[16..]).unwrap();
            assert_eq!(sealed.len(), PADDED_LENGTH + 16);
            layer.seal_response((&mut sealed[..]).try_into().unwrap(), batch.len()).unwrap();
            sealed
        }
    }

    #[test]
    fn commands_and_answers_pass_through_a_proxy() {
        let random = &mut random(1);
        let relay = Relay(X25519SecretKey::from_bytes(&[1; 32]));
        let key = CommandKey::generate_x25519(random).unwrap();
        let mut buffer = std::vec![0; 16_384];
        for version in 8..=20 {
            for id_length in [12, 32] {
                let session = relay.session(version, id_length);
                for (command, message, expected) in [
                    (&b"SKEY x"[..], &b"OK"[..], Ok(())),
                    (b"SEND T body", b"ERR AUTH", Err(Refusal::NotAuthorized)),
                    (b"SEND T body", b"ERR QUOTA", Err(Refusal::QueueFull)),
                    (b"SEND T body", b"PONG", Err(Refusal::Protocol)),
                    (b"SEND T body", b"?", Err(Refusal::Protocol)),
                ] {
                    let forward = session.prepare(random).unwrap();
                    let mut writer = Writer::new(&mut buffer);
                    let entity = EntityId::from_array(&ENTITY);
                    let write = |writer: &mut Writer<'_>| writer.bytes(command);
                    forward.write(&mut writer, &session, entity, Some(&key), write).unwrap();
                    let (read, mut answer) =
                        relay.answer(writer.written(), &forward.correlation_id, &session, message, &key.public_key());
                    assert_eq!(read, command);
                    assert_eq!(forward.open(&session, entity, &mut answer.clone()), expected);
                    // The proxy changes something.
                    answer[5_000] ^= 1;
                    let forged = Err(Refusal::Proxy(ProxyFailure::Forged));
                    assert_eq!(forward.open(&session, entity, &mut answer.clone()), forged);
                    assert_eq!(forward.open(&session, entity, &mut answer[1..]), forged);
                }
            }
        }
    }

    #[test]
    fn the_longest_message_fits_with_everything_around_it() {
        let random = &mut random(2);
        let relay = Relay(X25519SecretKey::from_bytes(&[1; 32]));
        let key = CommandKey::generate_x25519(random).unwrap();
        let session = relay.session(20, 32);
        let forward = session.prepare(random).unwrap();
        let mut buffer = std::vec![0; 16_384];
        let entity = EntityId::from_array(&ENTITY);
        let body = [7; smp_crypto::queue_envelope::MESSAGE_LENGTH];
        let mut writer = Writer::new(&mut buffer);
        let write = |writer: &mut Writer<'_>| {
            writer.bytes(b"SEND T ")?;
            writer.bytes(&body)
        };
        forward.write(&mut writer, &session, entity, Some(&key), write).unwrap();
        // The rest of a batch of one: counts, authorization, correlation id, and the session as the entity.
        assert!(writer.len() + 1 + 2 + 1 + 25 + 33 <= smp_proto::transport::block::BATCH_CONTENT_LIMIT);
        let (read, _) = relay.answer(writer.written(), &forward.correlation_id, &session, b"OK", &key.public_key());
        assert_eq!(read.len(), 7 + body.len());
    }

    #[test]
    fn answers_to_other_commands_are_not_taken() {
        let random = &mut random(3);
        let relay = Relay(X25519SecretKey::from_bytes(&[1; 32]));
        let session = relay.session(20, 32);
        let forward = session.prepare(random).unwrap();
        let entity = EntityId::from_array(&ENTITY);
        let agreed = relay.0.diffie_hellman(&forward.key).unwrap();
        let layer = CommandLayer::new(&agreed, CorrelationId::from_array(&forward.correlation_id));
        let open = |correlation: &[u8], about: &[u8], message: &[u8]| {
            let mut sealed = relay.seal(&layer, correlation, about, message);
            forward.open(&session, entity, &mut sealed)
        };
        assert_eq!(open(&forward.correlation_id, &ENTITY, b"OK"), Ok(()));
        assert_eq!(open(&[9; 24], &ENTITY, b"OK"), Err(Refusal::Protocol));
        assert_eq!(open(&forward.correlation_id, &[5; 24], b"OK"), Err(Refusal::Protocol));
        assert_eq!(open(&forward.correlation_id, &[], b"OK"), Err(Refusal::Protocol));
        assert_eq!(open(&forward.correlation_id, &[], b"ERR AUTH"), Err(Refusal::NotAuthorized));
    }
}
