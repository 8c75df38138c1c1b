//! The recipient's end of a queue: its keys, its address, and the opening of what comes in (wire reference, sections 10.1,
//! 10.2 and 13.1).

use rand_core::TryCryptoRng;
use smp_crypto::key::{SharedSecret, X25519PublicKey, X25519SecretKey};
use smp_crypto::queue_envelope::SealedEnvelope;
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_proto::address::ServerAddress;
use smp_proto::id::{EntityId, ID_LENGTH, QueueId};
use smp_proto::key::AuthorizationKey;
use smp_proto::smp::message::{ClientMessage, Delivery};
use smp_proto::smp::password::PasswordRef;
use smp_proto::smp::recipient::{NewQueue, QueueIds, QueueMode, QueueRequest, SubscriptionMode};
use smp_proto::uri::{QueueAddress, QueueUri};
use smp_proto::version::VersionRange;
use smp_proto::wire::{Decode, Writer};
use zeroize::Zeroizing;

use crate::random::{self, RandomError};
use crate::state::{MESSAGE_ID_LENGTH, ReceiverState};

/// Why a message cannot be read. It never can be, so it is acknowledged, and the next one comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Unreadable {
    /// It is not encrypted by the relay for this queue.
    NotForUs,
    /// It was not made by the holder of the key that introduced itself, or is damaged.
    NotFromSender,
    /// It came before any sender had introduced itself.
    NotIntroduced,
    /// Somebody else introduces himself: the queue has its sender already.
    OtherSender,
    /// The sender's key is unusable.
    WeakKey,
}

impl core::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotForUs => "the message is not encrypted for this queue",
            Self::NotFromSender => "the message was not made by the sender",
            Self::NotIntroduced => "the message came before its sender was known",
            Self::OtherSender => "the queue has another sender already",
            Self::WeakKey => "the sender's key is unusable",
        })
    }
}

impl core::error::Error for Unreadable {}

/// Keys for a queue that is being created.
pub(crate) struct NewKeys {
    authorization: X25519SecretKey,
    delivery: X25519SecretKey,
}

impl NewKeys {
    pub(crate) fn generate<R: TryCryptoRng + ?Sized>(random: &mut R) -> Result<Self, RandomError> {
        let authorization = Zeroizing::new(random::array(random)?);
        let delivery = Zeroizing::new(random::array(random)?);
        Ok(Self {
            authorization: X25519SecretKey::from_bytes(&authorization),
            delivery: X25519SecretKey::from_bytes(&delivery),
        })
    }

    /// The key that authorizes NEW and everything after it.
    pub(crate) const fn authorization(&self) -> &X25519SecretKey {
        &self.authorization
    }

    /// The parameters of NEW.
    pub(crate) fn request<'a>(&self, password: Option<PasswordRef<'a>>) -> NewQueue<'a> {
        NewQueue {
            recipient_key: AuthorizationKey::X25519(self.authorization.public_key()),
            recipient_dh_key: self.delivery.public_key(),
            password,
            subscription: SubscriptionMode::Subscribe,
            request: Some(QueueRequest::Messaging(None)),
            notifier: None,
        }
    }
}

/// The recipient's end of a queue.
pub(crate) struct ReceiveQueue {
    state: ReceiverState,
    authorization: X25519SecretKey,
    delivery: BoxKey,
    secret: X25519SecretKey,
    /// What is agreed with the sender, once it is known.
    sender: Option<BoxKey>,
}

/// What was in a message.
pub(crate) enum Opened<'m> {
    /// A message of the sender.
    Message {
        /// When the relay received it, in seconds since the Unix epoch.
        time: i64,
        /// The key the sender asks to be set, because it could not set it itself.
        secure: Option<AuthorizationKey>,
        /// Whether the sender has introduced itself with it: the state has changed.
        introduced: bool,
        body: &'m [u8],
    },
    /// Messages were refused after the last one, for the queue was full.
    Full {
        /// When the first one was refused, in seconds since the Unix epoch.
        time: i64,
    },
}

impl ReceiveQueue {
    /// The end of a queue that was just created; nothing when what the relay says makes no sense.
    pub(crate) fn created<R: TryCryptoRng + ?Sized>(
        server: &ServerAddress<'_>,
        keys: &NewKeys,
        ids: &QueueIds<'_>,
        random: &mut R,
    ) -> Result<Option<Self>, RandomError> {
        let secret = Zeroizing::new(random::array(random)?);
        // Relays make ids of this length; shorter ones could be guessed.
        let short = |id: QueueId<'_>| id.as_bytes().len() < ID_LENGTH;
        let other_mode = ids.mode.is_some_and(|mode| mode != QueueMode::Messaging);
        if short(ids.recipient_id) || short(ids.sender_id) || other_mode {
            return Ok(None);
        }
        let Ok(delivery) = keys.delivery.diffie_hellman(&ids.relay_dh_key) else { return Ok(None) };
        let mut address = heapless::Vec::new();
        if address.resize(address.capacity(), 0).is_err() {
            return Ok(None);
        }
        let mut writer = Writer::new(&mut address);
        if writer.value(server).is_err() {
            return Ok(None);
        }
        let length = writer.len();
        address.truncate(length);
        let (Ok(recipient_id), Ok(sender_id)) = (
            heapless::Vec::from_slice(ids.recipient_id.as_bytes()),
            heapless::Vec::from_slice(ids.sender_id.as_bytes()),
        ) else {
            return Ok(None);
        };
        let state = ReceiverState {
            server: address,
            recipient_id,
            sender_id,
            messaging: ids.mode == Some(QueueMode::Messaging),
            authorization: *keys.authorization.as_bytes(),
            delivery: *delivery.as_bytes(),
            secret: *secret,
            sender_key: None,
        };
        Ok(Self::from_state(state))
    }

    /// The end of a queue as it was kept; nothing when the record makes no sense.
    pub(crate) fn from_state(state: ReceiverState) -> Option<Self> {
        let secret = X25519SecretKey::from_bytes(&state.secret);
        let sender = match state.sender_key {
            None => None,
            Some(key) => Some(BoxKey::from(&secret.diffie_hellman(&X25519PublicKey(key)).ok()?)),
        };
        let delivery = BoxKey::from(&SharedSecret::from_bytes(state.delivery));
        let authorization = X25519SecretKey::from_bytes(&state.authorization);
        let queue = Self { state, authorization, delivery, secret, sender };
        queue.address()?.server.fingerprint()?;
        Some(queue)
    }

    /// What has to be kept.
    pub(crate) const fn state(&self) -> &ReceiverState {
        &self.state
    }

    /// The relay.
    pub(crate) fn server(&self) -> Option<ServerAddress<'_>> {
        ServerAddress::from_bytes(&self.state.server).ok()
    }

    /// The recipient's name of the queue.
    pub(crate) fn entity(&self) -> EntityId<'_> {
        EntityId::new(&self.state.recipient_id).unwrap_or(EntityId::EMPTY)
    }

    /// The key that authorizes commands.
    pub(crate) const fn authorization(&self) -> &X25519SecretKey {
        &self.authorization
    }

    fn address(&self) -> Option<QueueAddress<'_>> {
        Some(QueueAddress {
            server: self.server()?,
            sender_id: QueueId::new(&self.state.sender_id).ok()?,
            dh_key: self.secret.public_key(),
            mode: if self.state.messaging { Some(QueueMode::Messaging) } else { None },
        })
    }

    /// The address to hand to the sender.
    pub(crate) fn uri(&self) -> Option<QueueUri> {
        QueueUri::new(VersionRange::CLIENT, &self.address()?).ok()
    }

    /// Whether a sender has introduced itself.
    pub(crate) const fn is_introduced(&self) -> bool {
        self.sender.is_some()
    }

    /// Decrypts the body of a MSG where it stands, both layers. The first message that can be opened tells who the sender
    /// is: the state must be kept before it is acknowledged, because the sender does not tell again.
    pub(crate) fn open<'m>(
        &mut self,
        id: &[u8; MESSAGE_ID_LENGTH],
        body: &'m mut [u8],
    ) -> Result<Opened<'m>, Unreadable> {
        let range = self.delivery.open_padded(&Nonce::from_slice(id), body).map_err(|_| Unreadable::NotForUs)?;
        let content = body.get_mut(range).ok_or(Unreadable::NotForUs)?;
        let (time, length) = match Delivery::from_bytes(content).map_err(|_| Unreadable::NotForUs)? {
            Delivery::Message { time, body, .. } => (time.0, body.len()),
            Delivery::Quota { time } => return Ok(Opened::Full { time: time.0 }),
        };
        let start = content.len().saturating_sub(length);
        let envelope = content.get_mut(start..).ok_or(Unreadable::NotForUs)?;
        let envelope = SealedEnvelope::new(envelope).map_err(|_| Unreadable::NotFromSender)?;
        let introduction = match (envelope.header().key, self.state.sender_key) {
            (None, None) => return Err(Unreadable::NotIntroduced),
            (Some(sender), Some(known)) if sender.0 != known => return Err(Unreadable::OtherSender),
            // The first message comes again when the sender did not learn that it had arrived.
            (_, Some(_)) => None,
            (Some(sender), None) => {
                let agreed = self.secret.diffie_hellman(&sender).map_err(|_| Unreadable::WeakKey)?;
                Some((sender, BoxKey::from(&agreed)))
            }
        };
        let key = introduction.as_ref().map(|(_, key)| key).or(self.sender.as_ref());
        let key = key.ok_or(Unreadable::NotIntroduced)?;
        let ClientMessage { sender_key, body } = envelope.open(key).map_err(|_| Unreadable::NotFromSender)?;
        let introduced = introduction.is_some();
        if let Some((sender, key)) = introduction {
            self.state.sender_key = Some(sender.0);
            self.sender = Some(key);
        }
        Ok(Opened::Message { time, secure: sender_key, introduced, body })
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;
    use std::vec::Vec;

    use smp_crypto::delivery;
    use smp_proto::address::{Host, Port, ServerBuf};
    use smp_proto::id::MessageId;
    use smp_proto::wire::Time;

    use super::*;
    use crate::sender::queue::SendQueue;
    use crate::test::random;

    /// A queue on a relay, and both its ends.
    struct Pair {
        delivery: BoxKey,
        receiver: ReceiveQueue,
        sender: SendQueue,
    }

    fn pair() -> Pair {
        let random = &mut random(1);
        let server = ServerBuf::new(Host::Domain("relay.example"), Port::new(5223), &[7; 32]).unwrap();
        let keys = NewKeys::generate(random).unwrap();
        let relay = X25519SecretKey::from_bytes(&[8; 32]);
        let request = keys.request(None);
        let ids = QueueIds {
            recipient_id: QueueId::from_array(&[1; 24]),
            sender_id: QueueId::from_array(&[2; 24]),
            relay_dh_key: relay.public_key(),
            mode: Some(QueueMode::Messaging),
            link_id: None,
            service_id: None,
            notifier: None,
        };
        let receiver = ReceiveQueue::created(&server.address(), &keys, &ids, random).unwrap().unwrap();
        let delivery = BoxKey::from(&relay.diffie_hellman(&request.recipient_dh_key).unwrap());
        let sender = SendQueue::new(&receiver.uri().unwrap().to_string(), random).unwrap();
        Pair { delivery, receiver, sender }
    }

    impl Pair {
        fn deliver(&self, id: u8, confirmation: bool, secures: bool, text: &[u8]) -> Vec<u8> {
            let mut buffer = std::vec![0; 16_100];
            let mut writer = Writer::new(&mut buffer);
            self.sender.write_message(&mut writer, confirmation, secures, [id; 24], text).unwrap();
            self.seal(id, &writer.written()[7..])
        }

        fn seal(&self, id: u8, body: &[u8]) -> Vec<u8> {
            let mut sealed = std::vec![0; delivery::SEALED_LENGTH];
            let message = Delivery::Message { time: Time(77), notification: true, body };
            let into = (&mut sealed[..]).try_into().unwrap();
            delivery::seal(&self.delivery, MessageId::from_array(&[id; 24]), &message, into).unwrap();
            sealed
        }

        fn open(&mut self, id: u8, mut sealed: Vec<u8>) -> Result<(Vec<u8>, bool, bool), Unreadable> {
            match self.receiver.open(&[id; 24], &mut sealed)? {
                Opened::Message { time, secure, introduced, body } => {
                    assert_eq!(time, 77);
                    Ok((body.to_vec(), introduced, secure.is_some()))
                }
                Opened::Full { .. } => panic!("a message was sealed"),
            }
        }
    }

    #[test]
    fn messages_are_read_from_the_introduction_on() {
        let mut pair = pair();
        let early = pair.deliver(1, false, true, b"early");
        assert_eq!(pair.open(1, early), Err(Unreadable::NotIntroduced));
        let first = pair.deliver(2, true, true, b"first");
        assert_eq!(pair.open(2, first.clone()), Ok((b"first".to_vec(), true, false)));
        assert!(pair.receiver.is_introduced());
        assert_eq!(pair.open(2, first), Ok((b"first".to_vec(), false, false)), "it came again");
        let second = pair.deliver(3, false, true, b"second");
        assert_eq!(pair.open(3, second.clone()), Ok((b"second".to_vec(), false, false)));
        assert_eq!(pair.open(4, second), Err(Unreadable::NotForUs), "the id is the nonce");
        // The state survives.
        let record = {
            let mut buffer = [0; 1024];
            postcard::to_slice(pair.receiver.state(), &mut buffer).unwrap().to_vec()
        };
        pair.receiver = ReceiveQueue::from_state(postcard::from_bytes(&record).unwrap()).unwrap();
        let third = pair.deliver(5, false, true, b"third");
        assert_eq!(pair.open(5, third), Ok((b"third".to_vec(), false, false)));
    }

    #[test]
    fn a_sender_that_cannot_secure_asks_for_it() {
        let mut pair = pair();
        let first = pair.deliver(1, true, false, b"first");
        assert_eq!(pair.open(1, first), Ok((b"first".to_vec(), true, true)));
    }

    #[test]
    fn others_cannot_take_the_place_of_the_sender() {
        let mut pair = pair();
        let first = pair.deliver(1, true, true, b"first");
        pair.open(1, first).unwrap();
        let known = pair.receiver.state().sender_key;
        let address = pair.receiver.uri().unwrap().to_string();
        pair.sender = SendQueue::new(&address, &mut random(2)).unwrap();
        let other = pair.deliver(2, true, true, b"it is me");
        assert_eq!(pair.open(2, other), Err(Unreadable::OtherSender));
        let other = pair.deliver(3, false, true, b"it is me");
        assert_eq!(pair.open(3, other), Err(Unreadable::NotFromSender));
        for nonsense in [&b""[..], b"hello", &[0; 100]] {
            let sealed = pair.seal(4, nonsense);
            assert!(pair.open(4, sealed).is_err());
        }
        for length in 0..40 {
            assert_eq!(pair.open(4, std::vec![0; length]), Err(Unreadable::NotForUs));
        }
        assert!(pair.receiver.state().sender_key == known);
    }

    #[test]
    fn a_damaged_introduction_changes_nothing() {
        let mut pair = pair();
        let mut buffer = std::vec![0; 16_100];
        let mut writer = Writer::new(&mut buffer);
        pair.sender.write_message(&mut writer, true, true, [1; 24], b"text").unwrap();
        let mut envelope = writer.written()[7..].to_vec();
        envelope[5_000] ^= 1;
        let sealed = pair.seal(1, &envelope);
        assert_eq!(pair.open(1, sealed), Err(Unreadable::NotFromSender));
        assert!(!pair.receiver.is_introduced());
    }

    #[test]
    fn marks_of_a_full_queue_are_told_apart() {
        let mut pair = pair();
        let mut sealed = std::vec![0; delivery::SEALED_LENGTH];
        let into = (&mut sealed[..]).try_into().unwrap();
        let mark = Delivery::Quota { time: Time(99) };
        delivery::seal(&pair.delivery, MessageId::from_array(&[1; 24]), &mark, into).unwrap();
        assert!(matches!(pair.receiver.open(&[1; 24], &mut sealed), Ok(Opened::Full { time: 99 })));
    }
}
