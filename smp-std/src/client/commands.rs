//! The commands, typed (wire reference, section 7).

mod create;
mod links;
mod notifications;

use std::time::Duration;

use smp_crypto::key::AuthorizationKey;
use smp_proto::id::ID_LENGTH;
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::wire::Reader;
use tokio::sync::oneshot;

use super::carrier::SenderCommands;
use super::encode::new_correlation_id;
use super::multiplex::{Kind, Request, Response};
use super::{Client, ClientError, CommandKey, Delivery, Id};
pub use create::{CreatedQueue, QueueOptions, RegisteredQueue};
pub use links::{NewLink, ReservedId};
pub use notifications::{Notification, NotifierAccess};

/// One side of a queue: the id this side knows it by, and the key that authorizes its commands.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The recipient's or the sender's id of the queue.
    pub id: Id,
    /// The key registered for that side.
    pub key: CommandKey,
}

/// Who subscribes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// `SUB`: the recipient, for messages.
    Recipient,
    /// `NSUB`: the notifier, for notifications.
    Notifier,
}

/// What a relay tells about a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStatus {
    /// Whether a sender's key is set.
    pub secured: bool,
    /// Whether somebody is notified.
    pub notifications: bool,
    /// How many messages wait.
    pub size: i64,
}

/// A command that was handed to the connection.
struct Sent(oneshot::Receiver<Response>);

impl Sent {
    async fn response(self) -> Response {
        self.0.await.unwrap_or(Err(ClientError::Closed))
    }
}

impl Client {
    /// `SUB`: receives the messages of a queue on this connection. They come as [`Event::Message`](super::Event::Message).
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn subscribe(&self, queue: &Credentials) -> Result<(), ClientError> {
        let sent = self.send_command(&queue.id, Kind::Subscribe, &Command::Subscribe, Some(&queue.key)).await?;
        self.subscribed(sent.response().await)
    }

    /// Subscribes to many queues, with as few blocks as possible. The results are in the order of the queues.
    pub async fn subscribe_all<'q>(
        &self,
        queues: impl IntoIterator<Item = &'q Credentials>,
    ) -> Vec<Result<(), ClientError>> {
        let mut sent = Vec::new();
        for queue in queues {
            sent.push(self.send_command(&queue.id, Kind::Subscribe, &Command::Subscribe, Some(&queue.key)).await);
        }
        self.all_subscribed(sent).await
    }

    /// The same for both sides.
    pub(super) async fn subscribe_each(&self, queues: &[(Credentials, Side)]) -> Vec<Result<(), ClientError>> {
        let mut sent = Vec::with_capacity(queues.len());
        for (queue, side) in queues {
            let (kind, command) = match side {
                Side::Recipient => (Kind::Subscribe, Command::Subscribe),
                Side::Notifier => (Kind::Plain, Command::SubscribeNotifications),
            };
            sent.push(self.send_command(&queue.id, kind, &command, Some(&queue.key)).await);
        }
        self.all_subscribed(sent).await
    }

    async fn all_subscribed(&self, sent: Vec<Result<Sent, ClientError>>) -> Vec<Result<(), ClientError>> {
        let mut results = Vec::with_capacity(sent.len());
        for sent in sent {
            results.push(match sent {
                Ok(sent) => self.subscribed(sent.response().await),
                Err(error) => Err(error),
            });
        }
        results
    }

    fn subscribed(&self, response: Response) -> Result<(), ClientError> {
        match self.decode(&response?)? {
            // Old relays answer with the first message, which has become an event already.
            BrokerMessage::Subscribed(_) | BrokerMessage::Ok | BrokerMessage::Message(_) => Ok(()),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// `ACK`: tells the relay that a message is safe here. The relay forgets it; the queue's next message may follow.
    ///
    /// # Errors
    /// Any of [`ClientError`]; `NO_MSG` from the relay means that the message was not delivered on this connection, or not
    /// last. After any failure the message may be delivered again.
    pub async fn acknowledge(&self, queue: &Credentials, message_id: &Id) -> Result<(), ClientError> {
        let command = Command::Acknowledge(message_id.message());
        let sent = self.send_command(&queue.id, Kind::Acknowledge, &command, Some(&queue.key)).await?;
        match self.decode(&sent.response().await?)? {
            BrokerMessage::Ok | BrokerMessage::Message(_) => Ok(()),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// `GET`: fetches the first message of a queue without subscribing, if there is one. It has to be acknowledged before
    /// the next one can be fetched.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn get(&self, queue: &Credentials) -> Result<Option<Delivery>, ClientError> {
        let response = self.plain(&queue.id, &Command::Get, Some(&queue.key)).await?;
        match self.decode(&response)? {
            BrokerMessage::Ok => Ok(None),
            BrokerMessage::Message(message) => Ok(Some(Delivery {
                queue: queue.id.clone(),
                message_id: message.message_id.into(),
                body: Box::from(message.body),
            })),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// `KEY`: the recipient sets the sender's key. From then on only the holder of that key can send. Again with the same
    /// key it succeeds; with another one it is refused.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn secure(&self, queue: &Credentials, sender_key: AuthorizationKey) -> Result<(), ClientError> {
        self.expect_ok(&queue.id, Kind::Plain, &Command::Secure(sender_key), Some(&queue.key)).await
    }

    /// `SKEY`: the sender sets its own key, which the queue must allow. Again with the same key it succeeds.
    ///
    /// # Errors
    /// Any of [`ClientError`]; [`ClientError::NotAtThisVersion`] below version 9; `AUTH` from the relay when the queue is
    /// not of that mode or has another sender already.
    pub async fn secure_by_sender(&self, queue: &Credentials) -> Result<(), ClientError> {
        SenderCommands::secure_by_sender(self, queue).await
    }

    /// `SEND`: puts a message into a queue. Without a key only as long as the queue is not secured.
    ///
    /// # Errors
    /// Any of [`ClientError`]; [`ClientError::TooLarge`] if the body is longer than
    /// [`SmpVersion::max_message_length`](smp_proto::version::SmpVersion::max_message_length). After a time-out the relay may have the message all the same.
    pub async fn send(
        &self,
        sender_id: &Id,
        key: Option<&CommandKey>,
        notify: bool,
        body: &[u8],
    ) -> Result<(), ClientError> {
        SenderCommands::send(self, sender_id, key, notify, body).await
    }

    /// `OFF`: refuses further messages for good. Those that wait can still be received.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn suspend(&self, queue: &Credentials) -> Result<(), ClientError> {
        self.expect_ok(&queue.id, Kind::Plain, &Command::Suspend, Some(&queue.key)).await
    }

    /// `DEL`: deletes the queue and its messages.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn delete(&self, queue: &Credentials) -> Result<(), ClientError> {
        self.expect_ok(&queue.id, Kind::Delete, &Command::Delete, Some(&queue.key)).await
    }

    /// `QUE`: asks about a queue.
    ///
    /// # Errors
    /// Any of [`ClientError`]. Relays of old versions do not know the command.
    pub async fn queue_status(&self, queue: &Credentials) -> Result<QueueStatus, ClientError> {
        let response = self.plain(&queue.id, &Command::QueueInfo, Some(&queue.key)).await?;
        match self.decode(&response)? {
            BrokerMessage::Info(info) => {
                Ok(QueueStatus { secured: info.secured, notifications: info.notifications, size: info.size })
            }
            _ => Err(ClientError::Unexpected),
        }
    }

    /// `PING`: waits for a sign of life.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn ping(&self) -> Result<(), ClientError> {
        let response = self.plain(&Id::EMPTY, &Command::Ping, None).await?;
        match self.decode(&response)? {
            BrokerMessage::Pong => Ok(()),
            _ => Err(ClientError::Unexpected),
        }
    }

    pub(super) async fn plain(&self, entity: &Id, command: &Command<'_>, key: Option<&CommandKey>) -> Response {
        self.send_command(entity, Kind::Plain, command, key).await?.response().await
    }

    pub(super) async fn expect_ok(
        &self,
        entity: &Id,
        kind: Kind,
        command: &Command<'_>,
        key: Option<&CommandKey>,
    ) -> Result<(), ClientError> {
        let response = self.send_command(entity, kind, command, key).await?.response().await?;
        match self.decode(&response)? {
            BrokerMessage::Ok => Ok(()),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Hands a command to the connection; waits only for room.
    async fn send_command(
        &self,
        entity: &Id,
        kind: Kind,
        command: &Command<'_>,
        key: Option<&CommandKey>,
    ) -> Result<Sent, ClientError> {
        self.start(new_correlation_id(), entity, kind, command, key, self.response_time_out()).await
    }

    /// Sends a command under a correlation id and with a time limit of its own.
    pub(super) async fn request(
        &self,
        correlation_id: [u8; ID_LENGTH],
        entity: &Id,
        kind: Kind,
        command: &Command<'_>,
        key: Option<&CommandKey>,
        time_out: Duration,
    ) -> Response {
        self.start(correlation_id, entity, kind, command, key, time_out).await?.response().await
    }

    async fn start(
        &self,
        correlation_id: [u8; ID_LENGTH],
        entity: &Id,
        kind: Kind,
        command: &Command<'_>,
        key: Option<&CommandKey>,
        time_out: Duration,
    ) -> Result<Sent, ClientError> {
        let transmission = self.session().encode_as(&correlation_id, entity, command, key)?;
        let (responder, response) = oneshot::channel();
        let entity = entity.clone();
        let request = Request { correlation_id, entity, kind, transmission, time_out, responder: Some(responder) };
        self.hand_over(request).await?;
        Ok(Sent(response))
    }

    pub(super) fn decode<'r>(&self, response: &'r [u8]) -> Result<BrokerMessage<'r>, ClientError> {
        BrokerMessage::decode(&mut Reader::new(response), self.session().version).map_err(|_| ClientError::Malformed)
    }
}
