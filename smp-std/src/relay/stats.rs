//! What a relay counts. Counters name no user, queue or address: they are sums over everybody.

mod active;
pub(super) mod calendar;
mod daily;
mod deliveries;
mod file;
mod keeper;
pub(super) mod moved;
mod sums;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

pub use active::{ActiveQueues, Period};
pub use daily::Held;
pub(crate) use deliveries::{Deliveries, DeliveryFacts, RANGES};
pub use file::{DAILY_FILE, STATE_FILE};
pub use sums::Sums;

use self::daily::DayBook;

use smp_proto::smp::Command;
use smp_proto::smp::error::SmpError;

use super::store::{HeaderKind, Id, MessageHeader, QueueRecord};

/// A number that only grows while the relay runs.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub fn one(&self) {
        self.add(1);
    }

    /// Counts `number` at once.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// The sum so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Declares a group of counters, all visible by name and in order.
macro_rules! counters {
    ($(#[$about:meta])* $group:ident { $($(#[$doc:meta])* $name:ident),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Default)]
        pub struct $group {
            $($(#[$doc])* pub $name: Counter,)+
        }

        impl $group {
            /// Names and sums, in the order of declaration.
            #[must_use]
            pub fn sums(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get()),)+]
            }
        }
    };
}

counters! {
    /// Requests to or about other relays (wire reference, section 14.8).
    ProxyCounters {
        /// All requests.
        requests,
        /// Those that succeeded.
        successes,
        /// Those that failed because the relay could not be reached.
        connect_errors,
        /// Those that failed because the relay is of another version.
        version_errors,
        /// Those that failed otherwise.
        other_errors,
    }
}

counters! {
    /// What services did, of one kind: recipients or notifiers.
    ServiceCounters {
        /// Queues that came to a service.
        associated,
        /// Queues that had been the service's before.
        associated_before,
        /// Queues that moved to another service.
        moved,
        /// Queues that left a service.
        left,
        /// SUBS or NSUBS that subscribed.
        subscriptions,
        /// SUBS or NSUBS of a session that was subscribed before.
        repeated_subscriptions,
        /// Queues that were subscribed by SUBS or NSUBS.
        subscribed_queues,
        /// ENDS sent.
        ended,
        /// The client's count and hash were the relay's.
        count_same,
        /// The client knew of fewer queues than the relay.
        count_more,
        /// The client knew of more queues than the relay.
        count_fewer,
        /// As many queues, but others.
        hash_different,
    }
}

counters! {
    /// RSLV (version 20).
    NameCounters {
        /// All requests.
        requests,
        /// Names that were found.
        successes,
        /// Names that do not exist.
        not_found,
        /// Requests that the resolver could not answer.
        resolver_errors,
        /// Requests refused because no resolver is configured.
        disabled,
    }
}

counters! {
    /// Queues, subscriptions and messages.
    QueueCounters {
        /// NEW.
        queues_created,
        /// KEY, SKEY and LKEY that set a key.
        queues_secured,
        /// DEL of a queue that was never secured.
        queues_deleted_new,
        /// DEL of a secured queue.
        queues_deleted_secured,
        /// Blocks with DEL commands.
        queues_deleted_batches,
        /// Queues an operator blocked.
        queues_blocked,
        /// SUB.
        subscribed,
        /// Blocks with SUB commands.
        subscribed_batches,
        /// SUB refused for its authorization.
        subscribed_auth,
        /// SUB of a queue that was subscribed by the same connection.
        subscribed_again,
        /// SUB after GET.
        subscribed_prohibited,
        /// END sent.
        subscriptions_ended,
        /// Blocks with END.
        subscriptions_ended_batches,
        /// NKEY.
        notifiers_created,
        /// NEW with a notifier.
        notifiers_created_with_queue,
        /// NDEL.
        notifiers_deleted,
        /// Blocks with NDEL.
        notifiers_deleted_batches,
        /// NSUB.
        notifiers_subscribed,
        /// Blocks with NSUB.
        notifiers_subscribed_batches,
        /// NSUB refused for its authorization.
        notifiers_subscribed_auth,
        /// NSUB of a notifier that was subscribed by the same connection.
        notifiers_subscribed_again,
        /// SEND answered with OK.
        messages_sent,
        /// SEND refused for its authorization.
        messages_sent_auth,
        /// SEND to a full queue.
        messages_sent_quota,
        /// SEND of a body that is too long.
        messages_sent_large,
        /// SEND to a blocked queue.
        messages_sent_blocked,
        /// Messages acknowledged.
        messages_received,
        /// Messages acknowledged after GET.
        messages_received_get,
        /// GET answered with a message.
        messages_got,
        /// GET of an empty queue.
        messages_got_none,
        /// GET refused for its authorization.
        messages_got_auth,
        /// GET that repeated a message.
        messages_got_again,
        /// GET after SUB.
        messages_got_prohibited,
        /// Messages nobody fetched in time.
        messages_expired,
        /// SEND answered with OK that asked for a notification.
        messages_sent_notified,
        /// Acknowledged messages that had asked for a notification.
        messages_received_notified,
        /// Notifications delivered.
        notifications,
        /// Blocks with notifications.
        notifications_batches,
        /// Notifications of notifiers that nobody is subscribed to.
        notifications_unsubscribed,
        /// Notifications dropped because there were too many.
        notifications_lost,
        /// Notifications nobody fetched in time.
        notifications_expired,
    }
}

counters! {
    /// What was refused to protect the relay.
    LimitCounters {
        /// Connections beyond the total.
        connections_total,
        /// Connections beyond those of one address.
        connections_address,
        /// Handshakes ended for newer ones.
        handshakes_evicted,
        /// Handshakes that failed or took too long.
        handshakes_failed,
        /// NEW refused because there are as many queues as configured.
        queues_total,
        /// NEW refused because an address creates queues too fast.
        queues_rate,
        /// NEW, LSET, RKEY or NKEY refused because the disk is nearly full.
        queues_disk,
        /// SEND refused because there are as many messages as configured.
        messages_total,
        /// SEND refused because the disk is nearly full.
        messages_disk,
        /// Subscriptions beyond those of one connection or the total.
        subscriptions,
        /// Commands delayed because a connection sends too many.
        commands_delayed,
        /// Forwarded commands beyond those of one connection or the total.
        forwarding,
    }
}

counters! {
    /// Connections.
    ConnectionCounters {
        /// Accepted, those refused at once not included.
        accepted,
        /// That finished their handshakes.
        established,
    }
}

/// Everything a relay counts.
#[derive(Debug, Default)]
pub struct Stats {
    /// Queues, subscriptions and messages.
    pub queues: QueueCounters,
    /// PRXY.
    pub proxy_sessions: ProxyCounters,
    /// PRXY to relays of this operator.
    pub proxy_sessions_own: ProxyCounters,
    /// PFWD.
    pub proxy_forwards: ProxyCounters,
    /// PFWD to relays of this operator.
    pub proxy_forwards_own: ProxyCounters,
    /// RFWD received from other relays.
    pub forwards_received: Counter,
    /// Services that receive.
    pub recipient_services: ServiceCounters,
    /// Services that notify.
    pub notifier_services: ServiceCounters,
    /// Names.
    pub names: NameCounters,
    /// Connections.
    pub connections: ConnectionCounters,
    /// What was refused to protect the relay.
    pub limits: LimitCounters,
    /// Queues that messages were sent to or acknowledged from.
    pub active: ActiveQueues,
    /// Those among them whose messages asked for notifications.
    pub active_notified: ActiveQueues,
    /// What waits for its acknowledgement, and how long that took.
    pub(crate) deliveries: Arc<Deliveries>,
    /// The running day; none before the relay keeps books.
    today: Mutex<Option<DayBook>>,
}

impl Stats {
    /// What was counted since midnight, UTC, also before a restart; since the start when no books are kept.
    #[must_use]
    pub fn today(&self) -> Sums {
        self.today.lock().as_ref().map_or_else(|| self.sums(), |book| book.sums(self))
    }

    /// A message waits in a queue now.
    pub(super) fn message_sent(&self, queue: &Id, notification: bool) {
        self.queues.messages_sent.one();
        self.active.add(queue);
        if notification {
            self.queues.messages_sent_notified.one();
            self.active_notified.add(queue);
        }
    }

    /// A command was refused for its authorization or because its queue is blocked.
    pub(super) fn refused(&self, command: &Command<'_>, error: &SmpError<'_>) {
        let counters = &self.queues;
        match (command, error) {
            (Command::Send(_), SmpError::Auth) => counters.messages_sent_auth.one(),
            (Command::Subscribe, SmpError::Auth) => counters.subscribed_auth.one(),
            (Command::SubscribeNotifications, SmpError::Auth) => counters.notifiers_subscribed_auth.one(),
            (Command::Get, SmpError::Auth) => counters.messages_got_auth.one(),
            _ => {}
        }
    }

    /// Commands of a block, each counted once for the block.
    pub(super) fn block_received<'a, 'b: 'a>(&self, commands: impl Iterator<Item = &'a Command<'b>>) {
        let (mut subscribes, mut deletes, mut subscribes_notifier, mut deletes_notifier) = (0, 0, 0, 0);
        for command in commands {
            match command {
                Command::Subscribe => subscribes = 1,
                Command::Delete => deletes = 1,
                Command::SubscribeNotifications => subscribes_notifier = 1,
                Command::DisableNotifications => deletes_notifier = 1,
                _ => {}
            }
        }
        let counters = &self.queues;
        counters.subscribed_batches.add(subscribes);
        counters.queues_deleted_batches.add(deletes);
        counters.notifiers_subscribed_batches.add(subscribes_notifier);
        counters.notifiers_deleted_batches.add(deletes_notifier);
    }

    /// A queue is gone.
    pub(super) fn queue_deleted(&self, record: &QueueRecord) {
        match record.sender_key {
            None => self.queues.queues_deleted_new.one(),
            Some(_) => self.queues.queues_deleted_secured.one(),
        }
    }

    /// A message was acknowledged. Quota marks are no messages.
    pub(super) fn message_received(&self, queue: &Id, message: &MessageHeader, fetched: bool) {
        let HeaderKind::Message { notification } = message.kind else { return };
        self.queues.messages_received.one();
        self.queues.messages_received_get.add(u64::from(fetched));
        self.active.add(queue);
        if notification {
            self.queues.messages_received_notified.one();
            self.active_notified.add(queue);
        }
    }
}
