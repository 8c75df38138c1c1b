//! Queues are created (wire reference, section 7.2).

use smp_crypto::key::{AuthorizationKey, SharedSecret, X25519PublicKey, X25519SecretKey};
use smp_proto::id::ID_LENGTH;
use smp_proto::smp::password::PasswordRef;
use smp_proto::smp::recipient::{NewQueue, QueueMode, QueueRequest, SubscriptionMode};
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::version::SmpVersion;

use super::notifications::Proposal;
use super::{Credentials, NewLink, NotifierAccess};
use crate::client::encode::new_correlation_id;
use crate::client::multiplex::Kind;
use crate::client::{Client, ClientError, CommandKey, Id};

/// What a new queue shall be like.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct QueueOptions<'a> {
    /// What the relay asks from those who create queues.
    pub password: Option<&'a [u8]>,
    /// For one sender or for anybody. Versions below 9 know no mode; see [`CreatedQueue::mode`].
    pub mode: QueueMode,
    /// Whether to receive at once.
    pub subscribe: bool,
    /// Link data to create it with, from version 15 on.
    pub link: Option<NewLink<'a>>,
    /// The key of whoever shall be notified of messages, from version 17 on; [`Client::enable_notifications`] does the
    /// same later.
    pub notifier: Option<AuthorizationKey>,
}

impl Default for QueueOptions<'_> {
    fn default() -> Self {
        Self { password: None, mode: QueueMode::Messaging, subscribe: true, link: None, notifier: None }
    }
}

/// A queue that was created.
#[derive(Debug)]
pub struct CreatedQueue {
    /// The recipient's side.
    pub recipient: Credentials,
    /// The sender's id of the queue, to be handed to whoever shall send.
    pub sender_id: Id,
    /// What is agreed with the relay to encrypt messages on their last hop.
    pub delivery_secret: SharedSecret,
    /// What the queue is for. `None` at versions below 9: the sender cannot secure it.
    pub mode: Option<QueueMode>,
    /// The id of its link, if it was created with link data.
    pub link_id: Option<Id>,
    /// What was agreed for notifications, if somebody shall be notified.
    pub notifier: Option<NotifierAccess>,
}

/// What the relay says of a queue that was created with keys of the caller's.
#[derive(Debug)]
pub struct RegisteredQueue {
    /// The recipient's id of the queue.
    pub recipient_id: Id,
    /// The sender's id of the queue, to be handed to whoever shall send.
    pub sender_id: Id,
    /// The relay's half of what messages are encrypted with on their last hop.
    pub relay_key: X25519PublicKey,
    /// What the queue is for. `None` at versions below 9: the sender cannot secure it.
    pub mode: Option<QueueMode>,
    /// The id of its link, if it was created with link data.
    pub link_id: Option<Id>,
    /// What was agreed for notifications, if somebody shall be notified.
    pub notifier: Option<NotifierAccess>,
}

impl Client {
    /// `NEW`: creates a queue, with new keys of the kind that [`CommandKey::generate`] chooses.
    ///
    /// # Errors
    /// Any of [`ClientError`]; `AUTH` from the relay means that it wants a password, or another one. After a time-out
    /// there may be a queue nobody knows: how long it stays is up to the relay.
    pub async fn create_queue(&self, options: &QueueOptions<'_>) -> Result<CreatedQueue, ClientError> {
        let key = CommandKey::generate(self.session().version);
        let delivery_key = X25519SecretKey::generate(&mut rand::rng());
        let queue = self.register_queue(&key, &delivery_key.public_key(), options).await?;
        let delivery_secret = delivery_key.diffie_hellman(&queue.relay_key).map_err(|_| ClientError::UnusableKey)?;
        Ok(CreatedQueue {
            recipient: Credentials { id: queue.recipient_id, key },
            sender_id: queue.sender_id,
            delivery_secret,
            mode: queue.mode,
            link_id: queue.link_id,
            notifier: queue.notifier,
        })
    }

    /// As [`Self::create_queue`], with keys that exist already: of who keeps them before the relay knows them, and repeats
    /// the command when its answer is lost. `delivery_key` agrees with the relay's on the encryption of the last hop.
    ///
    /// # Errors
    /// As [`Self::create_queue`].
    pub async fn register_queue(
        &self,
        key: &CommandKey,
        delivery_key: &X25519PublicKey,
        options: &QueueOptions<'_>,
    ) -> Result<RegisteredQueue, ClientError> {
        let version = self.session().version;
        let password = options.password.map(PasswordRef::new).transpose().map_err(|_| ClientError::UnusableKey)?;
        let request = match (&options.link, options.mode) {
            (Some(_), _) if version < SmpVersion::SHORT_LINKS => return Err(ClientError::NotAtThisVersion(version)),
            (Some(link), mode) => link.request(mode)?,
            (None, QueueMode::Messaging) => QueueRequest::Messaging(None),
            (None, QueueMode::Contact) => QueueRequest::Contact(None),
        };
        let proposal = match options.notifier {
            Some(_) if version < SmpVersion::NEW_NOTIFIER => return Err(ClientError::NotAtThisVersion(version)),
            notifier => notifier.map(Proposal::new),
        };
        let command = Command::New(NewQueue {
            recipient_key: key.public(),
            recipient_dh_key: *delivery_key,
            password,
            subscription: if options.subscribe { SubscriptionMode::Subscribe } else { SubscriptionMode::CreateOnly },
            request: Some(request),
            notifier: proposal.as_ref().map(|proposal| proposal.keys),
        });
        let kind = if options.subscribe { Kind::Create } else { Kind::Plain };
        let correlation_id = options.link.map_or_else(new_correlation_id, |link| link.reserved.correlation_id);
        let time_out = self.response_time_out();
        let response = self.request(correlation_id, &Id::EMPTY, kind, &command, Some(key), time_out).await?;
        let BrokerMessage::Ids(ids) = self.decode(&response)? else { return Err(ClientError::Unexpected) };
        // Relays make ids of this length; shorter ones could be guessed.
        if ids.recipient_id.as_bytes().len() < ID_LENGTH || ids.sender_id.as_bytes().len() < ID_LENGTH {
            return Err(ClientError::Unexpected);
        }
        if ids.mode.is_some_and(|mode| mode != options.mode) {
            return Err(ClientError::Unexpected);
        }
        let sender_id = Id::from(ids.sender_id);
        let link_id = ids.link_id.map(|id| Id::from(smp_proto::id::EntityId::from(id)));
        if let Some(link) = &options.link {
            let wanted = link.link_id.filter(|_| options.mode == QueueMode::Contact);
            let other_link = link_id.is_none() || wanted.is_some_and(|wanted| link_id.as_ref() != Some(wanted));
            if other_link || sender_id != *link.reserved.sender_id() {
                return Err(ClientError::Unexpected);
            }
        }
        let notifier = match (proposal, ids.notifier) {
            (Some(proposal), Some(ids)) => Some(proposal.agree(&ids)?),
            (Some(_), None) => return Err(ClientError::Unexpected),
            (None, _) => None,
        };
        Ok(RegisteredQueue {
            recipient_id: ids.recipient_id.into(),
            sender_id,
            relay_key: ids.relay_dh_key,
            mode: ids.mode,
            link_id,
            notifier,
        })
    }
}
