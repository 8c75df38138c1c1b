//! Commands carried out (wire reference, section 7). What takes a write becomes a future that resolves when the change
//! is on disk; what needs none is answered at once. One file for each family of commands.

mod create;
mod limits;
mod link;
mod names;
mod notifier;
mod proxy;
mod recipient;
mod sender;
mod services;

pub(super) use self::notifier::{Listening, listen};

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use rand::Rng;
use smp_proto::smp::Command;
use smp_proto::smp::error::{CommandError, SmpError};
use smp_proto::version::SmpVersion;

use self::names::lower_case;
use super::authorize::{Authorized, store_error};
use super::hub::{Part, Peer};
use super::notifications::Notifications;
use super::reply::{Body, Reply, ShortBytes};
use super::service_session::ServiceSession;
use super::store::{Id, Pending, QueueRecord, StoredMessage, Suspension};
use super::subscriptions::Subscriptions;
use super::{Relay, queue_info};

/// A response that waits for the disk.
pub(super) type Waiting = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What came of a command, and what it means for the connection's subscriptions.
pub(super) struct Outcome {
    pub(super) body: Body,
    pub(super) effect: Effect,
}

/// What a command that is on disk means for the connection.
pub(super) enum Effect {
    None,
    /// The queue, named by its id in this part, has another service now and is received from. Whether it `joined` the
    /// session's.
    Resubscribe {
        part: Part,
        id: Id,
        joined: bool,
    },
    /// The new queue is subscribed.
    Subscribe(Id),
    /// The message was removed; deliver the next one.
    Acknowledged(Arc<QueueRecord>, Option<StoredMessage>),
    /// The queue is gone, and its notifier if it had one.
    Deleted(Id, Option<Id>),
    /// The notifier is gone.
    NotifierDeleted(Id),
}

impl From<Body> for Outcome {
    fn from(body: Body) -> Self {
        Self { body, effect: Effect::None }
    }
}

/// An answer, now or later.
pub(super) enum Answer {
    Now(Body),
    Later(Waiting),
}

/// Executes commands of one connection.
pub(super) struct Executor<'c> {
    pub(super) relay: &'c Arc<Relay>,
    pub(super) peer: &'c Arc<Peer>,
    pub(super) subscriptions: &'c mut Subscriptions,
    pub(super) notifications: &'c mut Notifications,
    /// The service that the client is.
    pub(super) service: &'c mut Option<ServiceSession>,
    pub(super) version: SmpVersion,
    /// Where the client connects from.
    pub(super) address: IpAddr,
}

/// 24 random bytes.
pub(super) fn new_id() -> Id {
    let mut id = Id::default();
    rand::rng().fill_bytes(&mut id);
    id
}

impl Executor<'_> {
    /// Carries out one command. Waits only for room among the changes that are on their way to the disk.
    pub(super) async fn execute(&mut self, authorized: &Authorized<'_>) -> Answer {
        match self.dispatch(authorized).await {
            Ok(answer) => answer,
            Err(error) => Answer::Now(Body::Error(error)),
        }
    }

    async fn dispatch(&mut self, authorized: &Authorized<'_>) -> Result<Answer, SmpError<'static>> {
        let Some(record) = &authorized.record else {
            return match &authorized.command {
                Command::Ping => Ok(Answer::Now(Body::Pong)),
                Command::New(new) => self.create(&authorized.correlation, new).await,
                Command::SubscribeService(expected) | Command::SubscribeNotifierService(expected) => {
                    self.subscribe_service(expected)
                }
                Command::ResolveName(domain) => Ok(self.relay.answer_name(lower_case(domain))),
                _ => Err(SmpError::Command(CommandError::Prohibited)),
            };
        };
        let queue = record.recipient_id;
        if !matches!(authorized.command, Command::Suspend | Command::Delete | Command::SubscribeNotifications) {
            let today = self.relay.today();
            if record.activity_day != today {
                self.relay.store.touch_queue(queue, today);
            }
        }
        match &authorized.command {
            Command::Subscribe => self.subscribe(queue).await,
            Command::Secure(key) => self.secure(record, key).await,
            Command::SecureBySender(key) => self.secure(record, key).await,
            Command::Send(send) => self.send(record, send).await,
            Command::Get => self.get(record),
            Command::Acknowledge(message) => self.acknowledge(record, message).await,
            Command::Suspend => {
                let pending = self.relay.store.suspend_queue(queue).await.map_err(|error| store_error(&error))?;
                later(pending, |outcome| match outcome {
                    Suspension::Suspended => Body::Ok,
                    Suspension::NotFound => Body::Error(SmpError::Auth),
                })
            }
            Command::Delete => self.delete(queue).await,
            Command::EnableNotifications(keys) => self.set_notifier(record, keys).await,
            Command::DisableNotifications => self.remove_notifier(queue).await,
            Command::SubscribeNotifications => self.subscribe_notifications(record).await,
            Command::SetRecipientKeys(keys) => self.set_recipient_keys(record, keys).await,
            Command::SetLink(link) => self.set_link(record, link).await,
            Command::DeleteLink => self.delete_link(queue).await,
            Command::SecureByLink(key) => self.secure_by_link(record, key).await,
            Command::GetLink => self.get_link(record),
            Command::QueueInfo => queue_info::describe(&self.relay.store, record, self.subscriptions)
                .map(|json| Answer::Now(Body::Info(json))),
            _ => Err(SmpError::Command(CommandError::Prohibited)),
        }
    }
}

fn later<T: 'static + Send>(
    pending: Pending<T>,
    finish: impl FnOnce(T) -> Body + Send + 'static,
) -> Result<Answer, SmpError<'static>> {
    Ok(Answer::Later(Box::pin(async move {
        match pending.await {
            Ok(outcome) => finish(outcome).into(),
            Err(error) => Body::Error(store_error(&error)).into(),
        }
    })))
}

/// A response whose request is known.
pub(super) fn reply(correlation: ShortBytes, entity: ShortBytes, body: Body) -> Reply {
    // Responses that name no entity: the new queue's ids stand in the message itself, and a PING has none.
    let entity = match body {
        Body::Ids(_) | Body::Pong | Body::Name(_) => ShortBytes::new(),
        _ => entity,
    };
    Reply { correlation, entity, body }
}
