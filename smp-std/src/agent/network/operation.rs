//! Operations of the agent as commands of the client.

use smp_agent::policy::server::ServerPassword;
use smp_agent::request::{AccessKey, Answer, CreatedQueue, LinkData, NewQueue, Operation, QueueAccess};
use smp_crypto::key::AuthorizationSecretKey;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::version::SmpVersion;

use super::failure;
use crate::client::{
    Client, ClientError, CommandKey, Credentials, Id, LinkParts, NewLink, QueueOptions, ReservedId, SenderCommands,
};

/// Executes an operation over a connection to its relay.
pub(super) async fn direct(client: &Client, operation: &Operation) -> Result<Answer, ClientError> {
    match operation {
        Operation::CreateQueue(queue) => create(client, queue).await,
        Operation::Subscribe(queues) => {
            let queues: Vec<Credentials> = queues.iter().map(credentials).collect::<Result<_, _>>()?;
            let results = client.subscribe_all(&queues).await;
            let results = results.into_iter().map(|result| result.map_err(|error| failure::of_relay(&error)));
            Ok(Answer::Each(results.collect()))
        }
        Operation::Secure { queue, sender_key } => done(client.secure(&credentials(queue)?, *sender_key).await),
        Operation::Acknowledge { queue, message_id } => {
            done(client.acknowledge(&credentials(queue)?, &id(message_id)?).await)
        }
        Operation::Suspend(queue) => done(client.suspend(&credentials(queue)?).await),
        Operation::Delete(queue) => done(client.delete(&credentials(queue)?).await),
        Operation::SetLink { queue, link_id, data } => {
            done(client.set_link_data(&credentials(queue)?, &id(link_id)?, &data.fixed, &data.user).await)
        }
        Operation::DeleteLink(queue) => done(client.delete_link_data(&credentials(queue)?).await),
        operation => of_sender(client, operation).await,
    }
}

/// Executes an operation of senders and of those who follow links, whichever way it goes to the relay. The others are
/// refused: what a recipient does is nothing for a proxy.
pub(super) async fn of_sender(way: &impl SenderCommands, operation: &Operation) -> Result<Answer, ClientError> {
    match operation {
        Operation::Send { sender_id, key, notify, body } => {
            let key = key.as_ref().map(command_key);
            done(way.send(&id(sender_id)?, key.as_ref(), *notify, body).await)
        }
        Operation::SecureBySender { queue } => done(way.secure_by_sender(&credentials(queue)?).await),
        Operation::ReadInvitation { link_id, key } => {
            way.secure_by_link(&id(link_id)?, &command_key(key)).await.map(link)
        }
        Operation::ReadAddress { link_id } => way.link_data(&id(link_id)?).await.map(link),
        _ => Err(ClientError::UnusableKey),
    }
}

async fn create(client: &Client, queue: &NewQueue) -> Result<Answer, ClientError> {
    let link = queue.link.as_ref().filter(|_| client.session().version >= SmpVersion::SHORT_LINKS);
    let reserved = link.map(|link| ReservedId::from_correlation_id(link.correlation_id));
    let link_id = link.and_then(|link| link.link_id.as_ref()).and_then(|bytes| Id::new(bytes));
    let link = link.zip(reserved.as_ref()).map(|(link, reserved)| NewLink {
        reserved,
        link_id: link_id.as_ref().filter(|_| queue.mode == QueueMode::Contact),
        fixed: &link.data.fixed,
        user: &link.data.user,
    });
    let options = QueueOptions {
        password: queue.password.as_ref().map(ServerPassword::as_bytes),
        mode: queue.mode,
        subscribe: queue.subscribe,
        link,
        notifier: None,
    };
    let key = command_key(&queue.key);
    let created = client.register_queue(&key, &queue.delivery_key.public_key(), &options).await?;
    Ok(Answer::Created(CreatedQueue {
        recipient_id: bytes(&created.recipient_id),
        sender_id: bytes(&created.sender_id),
        relay_key: created.relay_key,
        mode: created.mode,
        link_id: created.link_id.as_ref().map(bytes),
    }))
}

fn done(result: Result<(), ClientError>) -> Result<Answer, ClientError> {
    result.map(|()| Answer::Done)
}

fn link(parts: LinkParts) -> Answer {
    let data = LinkData { fixed: parts.fixed.into_vec(), user: parts.user.into_vec() };
    Answer::Link { sender_id: bytes(&parts.sender_id), data }
}

fn bytes(id: &Id) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// The agent keeps no longer ids than there can be.
fn id(bytes: &[u8]) -> Result<Id, ClientError> {
    Id::new(bytes).ok_or(ClientError::UnusableKey)
}

fn command_key(key: &AccessKey) -> CommandKey {
    CommandKey::new(AuthorizationSecretKey::Ed25519(key.secret()))
}

fn credentials(queue: &QueueAccess) -> Result<Credentials, ClientError> {
    Ok(Credentials { id: id(&queue.id)?, key: command_key(&queue.key) })
}
