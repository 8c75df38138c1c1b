//! Link data and recipients' keys, as the owner of a queue sets them (wire reference, section 7.3).

use smp_crypto::hash::sender_id;
use smp_crypto::key::AuthorizationKey;
use smp_proto::id::{CorrelationId, ID_LENGTH, LinkId, QueueId};
use smp_proto::smp::Command;
use smp_proto::smp::link::{LinkData, SetLink};
use smp_proto::smp::recipient::{ContactLink, InvitationLink, QueueMode, QueueRequest};
use smp_proto::wire::{LongString, NonEmptyList};

use crate::client::encode::new_correlation_id;
use crate::client::multiplex::Kind;
use crate::client::{Client, ClientError, Credentials, Id};

/// The sender's id of a queue that does not exist yet. Link data holds the address of its queue, so that address has to
/// be known before the queue is created with the data. Good for one attempt.
#[derive(Debug)]
pub struct ReservedId {
    pub(super) correlation_id: [u8; ID_LENGTH],
    sender_id: Id,
}

impl ReservedId {
    /// Draws an id.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_correlation_id(new_correlation_id())
    }

    /// The id that follows from a correlation id, which must be random and used for nothing else.
    #[must_use]
    pub fn from_correlation_id(correlation_id: [u8; ID_LENGTH]) -> Self {
        let sender_id = Id::from(QueueId::from_array(&sender_id(CorrelationId::from_array(&correlation_id))));
        Self { correlation_id, sender_id }
    }

    /// The sender's id the queue will have.
    #[must_use]
    pub const fn sender_id(&self) -> &Id {
        &self.sender_id
    }
}

/// Link data to create a queue with, encrypted already.
#[derive(Clone, Copy)]
pub struct NewLink<'a> {
    /// The id the queue will have, which is in the data.
    pub reserved: &'a ReservedId,
    /// The link's id. For queues of anybody's ([`QueueMode::Contact`]) it follows from the data; for those of one sender
    /// the relay chooses it, and this is not used.
    pub link_id: Option<&'a Id>,
    /// The part that never changes.
    pub fixed: &'a [u8],
    /// The part its owner may replace.
    pub user: &'a [u8],
}

impl std::fmt::Debug for NewLink<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewLink({} and {} bytes)", self.fixed.len(), self.user.len())
    }
}

impl NewLink<'_> {
    /// What NEW says of the link.
    pub(super) fn request(&self, mode: QueueMode) -> Result<QueueRequest<'_>, ClientError> {
        let data = data(self.fixed, self.user)?;
        let sender_id = self.reserved.sender_id.queue();
        Ok(match mode {
            QueueMode::Messaging => QueueRequest::Messaging(Some(InvitationLink { sender_id, data })),
            QueueMode::Contact => {
                let link_id = link_id(self.link_id.ok_or(ClientError::UnusableLink)?);
                QueueRequest::Contact(Some(ContactLink { link_id, sender_id, data }))
            }
        })
    }
}

fn data<'a>(fixed: &'a [u8], user: &'a [u8]) -> Result<LinkData<'a>, ClientError> {
    let long = |bytes| LongString::new(bytes).map_err(|_| ClientError::UnusableLink);
    Ok(LinkData { fixed: long(fixed)?, user: long(user)? })
}

fn link_id(id: &Id) -> LinkId<'_> {
    // Never longer than 255 bytes.
    LinkId::new(id.as_bytes()).unwrap_or(LinkId::EMPTY)
}

impl Client {
    /// `LSET`: stores the data of a link, or replaces the part that may be. From version 15 on.
    ///
    /// # Errors
    /// Any of [`ClientError`]; `AUTH` from the relay when the fixed part or the link's id differs from what is stored, or
    /// the queue is one sender's and secured.
    pub async fn set_link_data(
        &self,
        queue: &Credentials,
        link: &Id,
        fixed: &[u8],
        user: &[u8],
    ) -> Result<(), ClientError> {
        let command = Command::SetLink(SetLink { link_id: link_id(link), data: data(fixed, user)? });
        self.expect_ok(&queue.id, Kind::Plain, &command, Some(&queue.key)).await
    }

    /// `LDEL`: removes the data of a queue's link; succeeds also without. From version 15 on.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn delete_link_data(&self, queue: &Credentials) -> Result<(), ClientError> {
        self.expect_ok(&queue.id, Kind::Plain, &Command::DeleteLink, Some(&queue.key)).await
    }

    /// `RKEY`: replaces the keys that authorize the recipient of a queue that anybody may write to; any of them does from
    /// then on. 1 to 255 keys, from version 15 on.
    ///
    /// # Errors
    /// Any of [`ClientError`]; [`ClientError::UnusableKey`] for another number of keys; `AUTH` from the relay for queues of
    /// one sender.
    pub async fn set_recipient_keys(&self, queue: &Credentials, keys: &[AuthorizationKey]) -> Result<(), ClientError> {
        let keys = NonEmptyList::new(keys).map_err(|_| ClientError::UnusableKey)?;
        self.expect_ok(&queue.id, Kind::Plain, &Command::SetRecipientKeys(keys), Some(&queue.key)).await
    }
}
