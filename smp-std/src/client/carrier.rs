//! What senders and those who follow links ask of a relay, whichever way it gets there.

use std::future::Future;

use smp_crypto::key::AuthorizationKey;
use smp_proto::smp::link::LinkContent;
use smp_proto::smp::names::{Domain, NameRecord};
use smp_proto::smp::sender::Send as SendMessage;
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::version::SmpVersion;
use smp_proto::wire::Reader;

use super::{Client, ClientError, CommandKey, Credentials, Id};

/// Only this crate knows ways to a relay.
pub trait Sealed {}

/// A relay's answer to a command, read once.
#[derive(Debug)]
pub struct Answer {
    pub(super) bytes: Box<[u8]>,
    pub(super) version: SmpVersion,
}

impl Answer {
    pub(super) fn message(&self) -> Result<BrokerMessage<'_>, ClientError> {
        BrokerMessage::decode(&mut Reader::new(&self.bytes), self.version).map_err(|_| ClientError::Malformed)
    }
}

/// The data of a link, as it is kept by the relay: encrypted with what only the link holds.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkParts {
    /// The sender's id of the queue behind the link.
    pub sender_id: Id,
    /// The part that never changes; its hash is in the link.
    pub fixed: Box<[u8]>,
    /// The part its owner may replace.
    pub user: Box<[u8]>,
}

impl std::fmt::Debug for LinkParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LinkParts({} and {} bytes)", self.fixed.len(), self.user.len())
    }
}

impl From<&LinkContent<'_>> for LinkParts {
    fn from(content: &LinkContent<'_>) -> Self {
        Self {
            sender_id: content.sender_id.into(),
            fixed: Box::from(content.data.fixed.as_bytes()),
            user: Box::from(content.data.user.as_bytes()),
        }
    }
}

/// What a name stands for. Nobody but the relay's resolver vouches for any of it.
#[derive(Debug)]
pub struct ResolvedName(Answer);

impl ResolvedName {
    /// The record.
    ///
    /// # Errors
    /// Never: it was read before.
    pub fn record(&self) -> Result<NameRecord<'_>, ClientError> {
        match self.0.message()? {
            BrokerMessage::Name(record) => Ok(record),
            _ => Err(ClientError::Unexpected),
        }
    }
}

/// The commands that need no connection of one's own to a relay: [`Client`] sends them directly,
/// [`ProxySession`](super::ProxySession) through a proxy, and [`Route`](super::Route) as a policy says.
///
/// All fail with any of [`ClientError`]; with [`ClientError::Relay`] when the relay refuses, also through a proxy. After a
/// time-out the relay may have executed the command all the same.
pub trait SenderCommands: Sealed + Sync {
    /// Sends a command and waits for the answer.
    #[doc(hidden)]
    fn exchange<'a>(
        &'a self,
        entity: &'a Id,
        command: &'a Command<'a>,
        key: Option<&'a CommandKey>,
    ) -> impl Future<Output = Result<Answer, ClientError>> + Send + 'a;

    /// `SEND`: puts a message into a queue. Without a key only as long as the queue is not secured.
    /// [`ClientError::TooLarge`] if the body is longer than [`SmpVersion::max_message_length`].
    fn send(
        &self,
        sender_id: &Id,
        key: Option<&CommandKey>,
        notify: bool,
        body: &[u8],
    ) -> impl Future<Output = Result<(), ClientError>> + Send {
        async move { expect_ok(self, sender_id, &Command::Send(SendMessage { notify, body }), key).await }
    }

    /// `SKEY`: the sender sets its own key, which the queue must allow. Again with the same key it succeeds.
    /// [`ClientError::NotAtThisVersion`] below version 9; `AUTH` from the relay when the queue is not of that mode or has
    /// another sender already.
    fn secure_by_sender(&self, queue: &Credentials) -> impl Future<Output = Result<(), ClientError>> + Send {
        async move {
            let command = Command::SecureBySender(queue.key.public());
            expect_ok(self, &queue.id, &command, Some(&queue.key)).await
        }
    }

    /// `LKEY`: takes a one-time link: sets the sender's key of its queue and gives the link's data. Again with the same key
    /// it succeeds; `AUTH` from the relay when somebody else was first. From version 15 on.
    fn secure_by_link(
        &self,
        link_id: &Id,
        key: &CommandKey,
    ) -> impl Future<Output = Result<LinkParts, ClientError>> + Send {
        async move {
            let public: AuthorizationKey = key.public();
            link(self, link_id, &Command::SecureByLink(public), Some(key)).await
        }
    }

    /// `LGET`: asks for the data of a link that many may follow. From version 15 on.
    fn link_data(&self, link_id: &Id) -> impl Future<Output = Result<LinkParts, ClientError>> + Send {
        async move { link(self, link_id, &Command::GetLink, None).await }
    }

    /// `RSLV`: asks what a name stands for. From version 20 on; `NAME NO_RESOLVER` from relays that do not resolve names,
    /// `NAME NOT_FOUND` for names nobody has.
    fn resolve_name(&self, name: Domain<'_>) -> impl Future<Output = Result<ResolvedName, ClientError>> + Send {
        let command = Command::ResolveName(name);
        async move {
            let answer = self.exchange(&Id::EMPTY, &command, None).await?;
            match answer.message()? {
                BrokerMessage::Name(_) => Ok(ResolvedName(answer)),
                _ => Err(ClientError::Unexpected),
            }
        }
    }
}

async fn expect_ok(
    way: &(impl SenderCommands + ?Sized),
    entity: &Id,
    command: &Command<'_>,
    key: Option<&CommandKey>,
) -> Result<(), ClientError> {
    match way.exchange(entity, command, key).await?.message()? {
        BrokerMessage::Ok => Ok(()),
        _ => Err(ClientError::Unexpected),
    }
}

async fn link(
    way: &(impl SenderCommands + ?Sized),
    link_id: &Id,
    command: &Command<'_>,
    key: Option<&CommandKey>,
) -> Result<LinkParts, ClientError> {
    match way.exchange(link_id, command, key).await?.message()? {
        BrokerMessage::Link(content) => Ok(LinkParts::from(&content)),
        _ => Err(ClientError::Unexpected),
    }
}

impl Sealed for Client {}

impl SenderCommands for Client {
    async fn exchange<'a>(
        &'a self,
        entity: &'a Id,
        command: &'a Command<'a>,
        key: Option<&'a CommandKey>,
    ) -> Result<Answer, ClientError> {
        let bytes = self.plain(entity, command, key).await?;
        Ok(Answer { bytes, version: self.session().version })
    }
}
