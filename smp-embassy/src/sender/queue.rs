//! The sender's end of a queue: its address, its keys, and the envelope around what it sends (wire reference, sections
//! 10.2 and 13.1).

use rand_core::TryCryptoRng;
use smp_crypto::key::{AuthorizationKey, X25519PublicKey, X25519SecretKey};
use smp_crypto::queue_envelope::{self, EnvelopeHeader};
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_proto::address::ServerAddress;
use smp_proto::id::EntityId;
use smp_proto::smp::message::{CONFIRMATION_PADDED_LENGTH, ClientMessage};
use smp_proto::uri::QueueUri;
use smp_proto::version::{ClientVersion, VersionRange};
use smp_proto::wire::{self, Decode, Writer};
use zeroize::Zeroizing;

use crate::random::{self, RandomError};
use crate::state::{SendStage, SenderState};

/// The longest alarm in bytes: what fits the first message of a sender, whoever secures the queue.
pub const MAX_ALARM_LENGTH: usize = CONFIRMATION_PADDED_LENGTH - 2 - 1 - 1 - X25519PublicKey::SPKI_LENGTH;

/// Why there is no sending to a queue. None of these gets better by trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AddressError {
    /// The text is no queue URI.
    Malformed,
    /// The address does not say which identity the relay must prove.
    NoFingerprint,
    /// The recipient reads no version of messages that this client writes.
    Version,
    /// The recipient's key has small order: everybody could read what is sent.
    WeakKey,
    /// The random source failed, so there are no keys.
    Random(RandomError),
}

impl core::fmt::Display for AddressError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not the address of a queue",
            Self::NoFingerprint => "the address does not say which identity the relay must prove",
            Self::Version => "the recipient reads no version of messages that is known here",
            Self::WeakKey => "the key in the address is unusable",
            Self::Random(error) => return core::fmt::Display::fmt(error, f),
        })
    }
}

impl core::error::Error for AddressError {}

impl From<RandomError> for AddressError {
    fn from(error: RandomError) -> Self {
        Self::Random(error)
    }
}

/// The sender's end of a queue.
pub(crate) struct SendQueue {
    pub(crate) uri: QueueUri,
    pub(crate) authorization: X25519SecretKey,
    secret: X25519SecretKey,
    /// Agreed between `secret` and the key in the address.
    key: BoxKey,
    /// The highest version of messages that both sides know.
    version: ClientVersion,
}

impl core::fmt::Debug for SendQueue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SendQueue(..)")
    }
}

impl SendQueue {
    /// The end of the queue with this address, with new keys.
    pub(crate) fn new<R: TryCryptoRng + ?Sized>(address: &str, random: &mut R) -> Result<Self, AddressError> {
        let uri = QueueUri::parse(address).map_err(|_| AddressError::Malformed)?;
        let authorization = Zeroizing::new(random::array(random)?);
        let secret = Zeroizing::new(random::array(random)?);
        Self::from_parts(uri, &authorization, &secret)
    }

    /// Whether this is the end of the queue with this address.
    pub(crate) fn is_at(&self, address: &str) -> bool {
        QueueUri::parse(address).is_ok_and(|uri| {
            uri.queue().same_queue(&self.uri.queue())
                && uri.server().key_hash == self.uri.server().key_hash
                && uri.dh_key() == self.uri.dh_key()
        })
    }

    /// The end of a queue as it was kept.
    pub(crate) fn from_state(state: &SenderState) -> Result<Self, AddressError> {
        let uri = QueueUri::from_bytes(&state.address).map_err(|_| AddressError::Malformed)?;
        Self::from_parts(uri, &state.authorization, &state.secret)
    }

    fn from_parts(uri: QueueUri, authorization: &[u8; 32], secret: &[u8; 32]) -> Result<Self, AddressError> {
        uri.server().fingerprint().ok_or(AddressError::NoFingerprint)?;
        let versions = uri.versions().intersection(&VersionRange::CLIENT).ok_or(AddressError::Version)?;
        let secret = X25519SecretKey::from_bytes(secret);
        let agreed = secret.diffie_hellman(&uri.dh_key()).map_err(|_| AddressError::WeakKey)?;
        let authorization = X25519SecretKey::from_bytes(authorization);
        Ok(Self { uri, authorization, secret, key: BoxKey::from(&agreed), version: versions.max() })
    }

    /// What has to be kept.
    pub(crate) fn to_state(&self, stage: SendStage, secures: bool) -> SenderState {
        let mut state = SenderState {
            address: heapless::Vec::new(),
            authorization: *self.authorization.as_bytes(),
            secret: *self.secret.as_bytes(),
            stage,
            secures,
        };
        // The capacity is that of the longest address there can be.
        if state.address.resize(state.address.capacity(), 0).is_ok() {
            let mut writer = Writer::new(&mut state.address);
            let length = writer.value(&self.uri).map_or(0, |()| writer.len());
            state.address.truncate(length);
        }
        state
    }

    /// The relay.
    pub(crate) fn server(&self) -> ServerAddress<'_> {
        self.uri.server()
    }

    /// The sender's name of the queue.
    pub(crate) fn entity(&self) -> EntityId<'_> {
        self.uri.sender_id().into()
    }

    /// The sender's key, as relays know it.
    pub(crate) fn public_key(&self) -> AuthorizationKey {
        AuthorizationKey::X25519(self.authorization.public_key())
    }

    /// Writes SEND with the envelope, encrypted where it stands.
    ///
    /// The first message, whose header says who sends, is one until the relay has accepted it; `secures` tells whether the
    /// sender sets its key itself, or asks the recipient to.
    pub(crate) fn write_message(
        &self,
        writer: &mut Writer<'_>,
        confirmation: bool,
        secures: bool,
        nonce: [u8; 24],
        body: &[u8],
    ) -> Result<(), wire::Error> {
        let key = confirmation.then(|| self.secret.public_key());
        let header = EnvelopeHeader { version: self.version, key, nonce: Nonce(nonce) };
        let sender_key = if confirmation && !secures { Some(self.public_key()) } else { None };
        let length = if confirmation { queue_envelope::CONFIRMATION_LENGTH } else { queue_envelope::MESSAGE_LENGTH };
        writer.bytes(b"SEND T ")?;
        let room = writer.reserve(length)?;
        queue_envelope::seal(&self.key, &header, &ClientMessage { sender_key, body }, room)
            .map_err(|_| wire::Error::TooLong)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use smp_crypto::queue_envelope::SealedEnvelope;
    use smp_proto::address::{Host, Port, ServerBuf};
    use smp_proto::id::QueueId;
    use smp_proto::uri::{QueueAddress, QueueMode};
    use std::string::ToString;

    use super::*;
    use crate::test::{Broken, random};

    fn address(recipient: &X25519SecretKey) -> std::string::String {
        let server = ServerBuf::new(Host::Domain("relay.example"), Port::new(5223), &[7; 32]).unwrap();
        let queue = QueueAddress {
            server: server.address(),
            sender_id: QueueId::from_array(&[9; 24]),
            dh_key: recipient.public_key(),
            mode: Some(QueueMode::Messaging),
        };
        QueueUri::new(VersionRange::CLIENT, &queue).unwrap().to_string()
    }

    #[test]
    fn the_recipient_reads_the_first_message_and_the_others() {
        let recipient = X25519SecretKey::from_bytes(&[1; 32]);
        let queue = SendQueue::new(&address(&recipient), &mut random(1)).unwrap();
        let state = queue.to_state(SendStage::New, true);
        let queue = SendQueue::from_state(&state).unwrap();
        let longest = [5; MAX_ALARM_LENGTH];
        let mut buffer = [0; 16_100];
        let mut sender = None;
        for (confirmation, secures, body) in
            [(true, true, &b"hello"[..]), (true, false, &longest), (false, true, b"alarm"), (false, false, &longest)]
        {
            let mut writer = Writer::new(&mut buffer);
            queue.write_message(&mut writer, confirmation, secures, [3; 24], body).unwrap();
            let written = writer.into_written();
            assert_eq!(written[..7], *b"SEND T ");
            let envelope = SealedEnvelope::new(&mut written[7..]).unwrap();
            assert_eq!(envelope.header().key.is_some(), confirmation);
            assert_eq!(envelope.header().version, ClientVersion::MAX);
            sender = envelope.header().key.or(sender);
            let key = BoxKey::from(&recipient.diffie_hellman(&sender.unwrap()).unwrap());
            let message = envelope.open(&key).unwrap();
            assert!(message.body == body);
            assert_eq!(message.sender_key.is_some(), confirmation && !secures);
            assert!(message.sender_key.is_none_or(|key| key == queue.public_key()));
        }
        let too_long = [5; MAX_ALARM_LENGTH + 1];
        let writer = &mut Writer::new(&mut buffer);
        assert_eq!(queue.write_message(writer, true, false, [3; 24], &too_long), Err(wire::Error::TooLong));
        let writer = &mut Writer::new(&mut buffer[..15_900]);
        assert_eq!(queue.write_message(writer, true, true, [3; 24], b""), Err(wire::Error::NoSpace));
    }

    #[test]
    fn addresses_that_cannot_work_are_refused() {
        let recipient = X25519SecretKey::from_bytes(&[1; 32]);
        let good = address(&recipient);
        let new = |address: &str| SendQueue::new(address, &mut random(1)).map(|_| ());
        assert_eq!(new(&good), Ok(()));
        assert_eq!(new(""), Err(AddressError::Malformed));
        assert_eq!(new("https://example.com"), Err(AddressError::Malformed));
        assert_eq!(new(&good.replace("v=1-4", "v=5-6")), Err(AddressError::Version));
        assert_eq!(new(&good.replacen("BwcH", "", 1)), Err(AddressError::NoFingerprint));
        let weak = QueueUri::parse(&good).unwrap();
        let weak = QueueAddress { dh_key: X25519PublicKey([0; 32]), ..weak.queue() };
        let weak = QueueUri::new(VersionRange::CLIENT, &weak).unwrap().to_string();
        assert_eq!(new(&weak), Err(AddressError::WeakKey));
        assert_eq!(SendQueue::new(&good, &mut Broken).map(|_| ()), Err(AddressError::Random(RandomError::Source)));
    }

    #[test]
    fn the_longest_address_can_be_kept() {
        let recipient = X25519SecretKey::from_bytes(&[1; 32]);
        let mut server = ServerBuf::new(Host::Domain("a"), Port::new(65_535), &[7; 32]).unwrap();
        let longer = std::format!("{}.onion", "a".repeat(56));
        while server.push_host(Host::Onion(&longer)).is_ok() {}
        for length in (1..60).rev() {
            let host = "b".repeat(length);
            while server.push_host(Host::Domain(&host)).is_ok() {}
        }
        let queue = QueueAddress {
            server: server.address(),
            sender_id: QueueId::new(&[9; 64]).unwrap(),
            dh_key: recipient.public_key(),
            mode: Some(QueueMode::Messaging),
        };
        let uri = QueueUri::new(VersionRange::CLIENT, &queue).unwrap();
        let queue = SendQueue::from_parts(uri.clone(), &[1; 32], &[2; 32]).unwrap();
        let kept = SendQueue::from_state(&queue.to_state(SendStage::New, true)).unwrap();
        assert!(kept.uri == uri);
    }
}
