//! The state machine.

mod blocked;
mod commands;
mod deliver;
mod enqueue;
mod handshake;
mod join;
mod link;
mod open;
mod order;
mod prepare;
mod proxies;
mod queues;
mod ratchet;
mod read_link;
mod receipts;
mod receive;
mod redundant;
mod relays;
mod remove;
mod resync;
mod role_doubt;
mod rotate;
mod subscriptions;
mod work;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use rand_core::CryptoRng;

use crate::command::{Command, Reply};
use crate::configuration::Configuration;
use crate::error::{ConnectionError, Error};
use crate::event::{Event, EventKind};
use crate::id::{ConnectionId, EventId, MessageId};
use crate::policy::server::{Server, ServerList, UserId};
use crate::policy::session::SessionKey;
use crate::record::{Connection, EventRecord, ReceivedFrom, State};
use crate::request::{Answer, Failure, RelayEvent, Request, RequestId};
use crate::storage::Storage;
use crate::table::Key;
use crate::time::{MINUTE, Time};
use crate::transaction::{Mark, Notice, Transaction};

use proxies::Proxies;
use remove::Cleanup;
use subscriptions::Subscriptions;
use work::{Flight, Progress, Work};

/// How long an application is believed that there is no network, in milliseconds.
const OFFLINE_LIMIT: u64 = 30 * MINUTE;
/// A clock that goes back by no more than this, in milliseconds, is waited for.
const JITTER: u64 = MINUTE;
/// How many event numbers are reserved at once.
const EVENT_BLOCK: u64 = 1_024;

/// What an agent's operations give.
pub(crate) type Result<T, S> = core::result::Result<T, Error<<S as Storage>::Error>>;

/// Connections of all users of one storage.
///
/// Inputs ([`handle`](Self::handle), [`answer`](Self::answer), [`relay_event`](Self::relay_event),
/// [`advance`](Self::advance)) change the state in memory; [`commit`](Self::commit) makes what follows from all of them
/// durable, and only then are its requests ([`next_request`](Self::next_request)) and events ([`poll`](Self::poll)) given
/// out. Several inputs may share a commit.
pub struct Agent<S: Storage, R: CryptoRng> {
    transaction: Transaction<S>,
    random: R,
    configuration: Configuration,
    /// An earlier failure of the storage.
    stopped: bool,
    now: Time,
    /// The latest moment that was given, since the clock was set back last.
    given: Time,
    /// By how much the clock was set back since the agent was opened, in milliseconds.
    set_back: u64,
    state: State,
    next_event: u64,
    next_request: u64,
    users: BTreeMap<UserId, ServerList>,
    connections: BTreeMap<ConnectionId, Connection>,
    /// The connection of each receive queue.
    queues: BTreeMap<(Server, Vec<u8>), (ConnectionId, u32)>,
    /// Messages that wait for each send queue, oldest first.
    waiting: BTreeMap<(ConnectionId, u32), VecDeque<MessageId>>,
    work: BTreeMap<Work, Progress>,
    due: BTreeSet<(Time, Work)>,
    flights: BTreeMap<RequestId, Flight>,
    subscriptions: BTreeMap<SessionKey, Subscriptions>,
    /// Sessions that may have to ask for subscriptions.
    unsubscribed: BTreeSet<SessionKey>,
    /// Sessions that ask later.
    subscriptions_due: BTreeSet<(Time, SessionKey)>,
    /// Since when there is no network, as the application says.
    offline_since: Option<Time>,
    /// The proxy for each session to a relay.
    proxies: Proxies,
    /// Proxies that have failed lately, by themselves or on the way to one relay, and until when others are preferred.
    failing_proxies: BTreeMap<(Server, Option<Server>), Time>,
    /// Work that goes directly the next time, as no proxy reaches its relay.
    direct: BTreeSet<Work>,
    /// Confirmations that are authorized the next time, as the recipient may have set the key.
    signed: BTreeSet<Work>,
    /// When something was last known of a receive queue, of connections that have several.
    heard: BTreeMap<(ConnectionId, u32), Time>,
    /// Receive queues whose relay has delivered a message before the last one was acknowledged: it has to do so again.
    ahead: BTreeSet<(ConnectionId, u32)>,
    /// Send queues that have failed lately, and until when others are preferred.
    failing: BTreeMap<(ConnectionId, u32), Time>,
    next_cleanup: Time,
    cleanup: Cleanup,
    /// Connections whose work has to be planned anew.
    touched: BTreeSet<ConnectionId>,
    undo: Vec<Undo>,
    requests: VecDeque<Request>,
    notices: VecDeque<Notice>,
}

/// How to take back a change in memory.
enum Undo {
    Connection(ConnectionId, Option<Box<Connection>>),
    /// A queue waits for a message.
    Waits(ConnectionId, u32, MessageId),
    /// A queue does not wait for a message any more.
    WaitsNot(ConnectionId, u32, MessageId),
    /// An event took this number, when numbers below that one were reserved. Numbers that are reserved in memory alone
    /// would be given again after a restart, to other events.
    Event {
        number: u64,
        reserved: u64,
    },
}

impl<S: Storage, R: CryptoRng> core::fmt::Debug for Agent<S, R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Agent").field("connections", &self.connections.len()).finish_non_exhaustive()
    }
}

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// Executes a command of the application.
    ///
    /// # Errors
    /// [`Error::Refused`], and nothing has changed; the others mean that the agent is of no use any more.
    pub fn handle(&mut self, now: Time, command: Command) -> Result<Reply, S> {
        self.input(now, |agent| agent.command(command))
    }

    /// Takes the result of a request.
    ///
    /// # Errors
    /// All mean that the agent is of no use any more.
    pub fn answer(
        &mut self,
        now: Time,
        request: RequestId,
        result: core::result::Result<Answer, Failure>,
    ) -> Result<(), S> {
        self.input(now, |agent| agent.take_answer(request, result))
    }

    /// Takes what a relay said without being asked, or the end of a connection.
    ///
    /// # Errors
    /// All mean that the agent is of no use any more.
    pub fn relay_event(&mut self, now: Time, event: RelayEvent) -> Result<(), S> {
        self.input(now, |agent| agent.unless_refused(|agent| agent.take_relay_event(event)).map(drop))
    }

    /// Does what is due.
    ///
    /// # Errors
    /// All mean that the agent is of no use any more.
    pub fn advance(&mut self, now: Time) -> Result<(), S> {
        self.input(now, |agent| {
            if agent.offline_since.is_some() && !agent.is_offline() {
                agent.network_changed(true);
            }
            agent.advance_work();
            agent.advance_subscriptions();
            agent.clean_up_if_due()
        })
    }

    /// When [`advance`](Self::advance) has something to do, by the clock as it was given last. Where a clock may be set
    /// back it is called now and then all the same: the agent cannot know otherwise.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let work = self.due.first().map(|(due, _)| *due);
        let subscriptions = self.subscriptions_due.first().map(|(due, _)| *due);
        let online = self.offline_since.map(|since| since.after(OFFLINE_LIMIT));
        let next = match online {
            // Nothing else can be done before.
            Some(online) => Some(online.min(self.next_cleanup)),
            None => [work, subscriptions, Some(self.next_cleanup)].into_iter().flatten().min(),
        };
        next.map(|next| Time(next.0.saturating_sub(self.set_back)))
    }

    /// Makes everything durable that follows from the inputs since the last commit, and lets its requests and events
    /// out. It is one [`Storage::commit`], or none when nothing has to be stored.
    ///
    /// # Errors
    /// The storage failed.
    pub fn commit(&mut self) -> Result<(), S> {
        if self.stopped {
            return Err(Error::Stopped);
        }
        self.undo.clear();
        if let Err(error) = self.transaction.commit() {
            self.stopped = true;
            return Err(error);
        }
        self.requests.extend(self.transaction.requests.drain(..));
        self.notices.extend(self.transaction.notices.drain(..));
        Ok(())
    }

    /// The next request to be executed, of those that were committed.
    pub fn next_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// The next event, of those that were committed. After a restart all events that were not acknowledged come again,
    /// in their order.
    ///
    /// # Errors
    /// The storage failed.
    pub fn poll(&mut self) -> Result<Option<Event>, S> {
        while let Some(notice) = self.notices.pop_front() {
            match notice {
                Notice::Passing(kind) => return Ok(Some(Event { id: None, kind })),
                Notice::Kept(id) => {
                    let record =
                        self.transaction.get::<EventRecord>(&Key::event(id)).inspect_err(|_| self.stopped = true)?;
                    // Acknowledged before it was asked for, by an application that knew it from before a restart.
                    if let Some(record) = record {
                        return Ok(Some(Event { id: Some(id), kind: record.kind }));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The storage. What was not committed is lost.
    pub fn into_storage(self) -> S {
        self.transaction.into_storage()
    }

    /// The storage, for records of the application.
    pub fn storage(&mut self) -> &mut S {
        self.transaction.storage()
    }

    /// Takes one input: all that follows from it, or, when it is refused, nothing.
    fn input<T>(&mut self, now: Time, act: impl FnOnce(&mut Self) -> Result<T, S>) -> Result<T, S> {
        if self.stopped {
            return Err(Error::Stopped);
        }
        self.take_time(now);
        let mark = self.transaction.mark();
        let undo = self.undo.len();
        let result = act(self);
        match &result {
            Ok(_) => {
                self.plan_touched().inspect_err(|_| self.stopped = true)?;
                self.subscribe_waiting();
            }
            Err(Error::Refused(_)) => self.take_back(mark, undo),
            Err(_) => self.stopped = true,
        }
        result
    }

    /// Time goes on from where it was when a clock was set back: nothing stands still until it is that late again.
    fn take_time(&mut self, given: Time) {
        let back = self.given.since(given);
        if back > JITTER {
            self.set_back = self.set_back.saturating_add(back);
            self.given = given;
        }
        self.given = self.given.max(given);
        self.now = self.now.max(given.after(self.set_back));
    }

    /// Does something that no command asked for, and that may turn out to be impossible: then nothing of it is done, and
    /// `None` given. Only commands are refused.
    fn unless_refused<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, S>) -> Result<Option<T>, S> {
        let (mark, undo) = (self.transaction.mark(), self.undo.len());
        match act(self) {
            Ok(done) => Ok(Some(done)),
            Err(Error::Refused(_)) => {
                let touched = core::mem::take(&mut self.touched);
                self.take_back(mark, undo);
                self.touched = touched;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether nothing is to be tried: there is no network. An application that forgets to say that it is back is believed
    /// for half an hour.
    fn is_offline(&self) -> bool {
        self.offline_since.is_some_and(|since| self.now.since(since) < OFFLINE_LIMIT)
    }

    /// The application says whether there is a network.
    fn network_changed(&mut self, online: bool) {
        if !online {
            self.offline_since.get_or_insert(self.now);
            return;
        }
        self.offline_since = None;
        // What failed may have been the network here.
        self.failing_proxies.clear();
        self.hurry_all();
        self.hurry_subscriptions();
        self.touched.extend(self.connections.keys().copied());
    }

    fn take_back(&mut self, mark: Mark, undo: usize) {
        self.transaction.roll_back(mark);
        self.touched.clear();
        while self.undo.len() > undo {
            match self.undo.pop() {
                Some(Undo::Connection(id, Some(connection))) => drop(self.connections.insert(id, *connection)),
                Some(Undo::Connection(id, None)) => drop(self.connections.remove(&id)),
                Some(Undo::Waits(id, queue, message)) => drop(self.remove_waiting(id, queue, message)),
                Some(Undo::WaitsNot(id, queue, message)) => self.insert_waiting(id, queue, message),
                Some(Undo::Event { number, reserved }) => {
                    self.next_event = number;
                    self.state.events_below = reserved;
                }
                None => {}
            }
        }
    }

    /// Lets a queue wait for a message, in its place.
    fn insert_waiting(&mut self, id: ConnectionId, queue: u32, message: MessageId) {
        let waiting = self.waiting.entry((id, queue)).or_default();
        let place = waiting.partition_point(|other| *other < message);
        waiting.insert(place, message);
    }

    /// Lets a queue not wait for a message any more; whether it did.
    fn remove_waiting(&mut self, id: ConnectionId, queue: u32, message: MessageId) -> bool {
        let Some(waiting) = self.waiting.get_mut(&(id, queue)) else { return false };
        let found = waiting.binary_search(&message).ok().and_then(|place| waiting.remove(place)).is_some();
        if waiting.is_empty() {
            self.waiting.remove(&(id, queue));
        }
        found
    }

    /// Stores a connection.
    fn save(&mut self, id: ConnectionId, connection: Connection) -> Result<(), S> {
        self.transaction.put(&Key::connection(id), &connection)?;
        let before = self.connections.insert(id, connection);
        self.undo.push(Undo::Connection(id, before.map(Box::new)));
        self.touched.insert(id);
        Ok(())
    }

    /// A copy of a connection, to be changed and saved.
    fn load(&self, id: ConnectionId) -> Option<Connection> {
        self.connections.get(&id).cloned()
    }

    /// Tells the application something.
    fn notify(&mut self, kind: EventKind) -> Result<(), S> {
        self.notify_from(kind, None).map(drop)
    }

    /// Tells the application something that came with a message.
    fn notify_from(&mut self, kind: EventKind, from: Option<ReceivedFrom>) -> Result<Option<EventId>, S> {
        if !kind.is_kept() {
            self.transaction.notices.push(Notice::Passing(kind));
            return Ok(None);
        }
        self.undo.push(Undo::Event { number: self.next_event, reserved: self.state.events_below });
        if self.next_event >= self.state.events_below {
            self.state.events_below = self.next_event.saturating_add(EVENT_BLOCK);
            self.transaction.put(&Key::state(), &self.state)?;
        }
        let id = EventId(self.next_event);
        self.next_event = self.next_event.saturating_add(1);
        self.transaction.put(&Key::event(id), &EventRecord { kind, from })?;
        self.transaction.notices.push(Notice::Kept(id));
        Ok(Some(id))
    }

    /// Tells the application that something about a connection failed.
    fn fail(&mut self, connection: ConnectionId, error: ConnectionError) -> Result<(), S> {
        self.notify(EventKind::Failed { connection, error })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::error::Refusal;
    use crate::storage::MemoryStorage;

    const NOW: Time = Time(1_700_000_000_000);

    fn open(storage: MemoryStorage) -> Agent<MemoryStorage, ChaCha20Rng> {
        Agent::open(storage, Configuration::default(), ChaCha20Rng::seed_from_u64(1), NOW).unwrap()
    }

    fn continued() -> EventKind {
        let connection = ConnectionId::from_bytes([1; 12]);
        EventKind::LinkDeleted { connection }
    }

    #[test]
    fn what_is_taken_back_leaves_no_number_to_be_given_twice() {
        let mut agent = open(MemoryStorage::default());
        agent.commit().unwrap();
        let refused: Result<(), MemoryStorage> = agent.input(NOW, |agent| {
            agent.notify(continued())?;
            Err(Refusal::Prohibited.into())
        });
        assert_eq!(refused, Err(Error::Refused(Refusal::Prohibited)));
        agent.input(NOW, |agent| agent.notify(continued())).unwrap();
        agent.commit().unwrap();
        let first = agent.poll().unwrap().unwrap().id;
        // The process ends, and the application has acknowledged nothing.
        let mut agent = open(agent.into_storage());
        agent.input(NOW, |agent| agent.notify(continued())).unwrap();
        agent.commit().unwrap();
        let ids = [agent.poll().unwrap().unwrap().id, agent.poll().unwrap().unwrap().id];
        assert!(ids[0] == first && ids[1] > first, "{first:?} {ids:?}");
        assert_eq!(agent.poll().unwrap(), None);
    }

    #[test]
    fn what_is_taken_back_leaves_queues_waiting_as_before() {
        let mut agent = open(MemoryStorage::default());
        let id = ConnectionId::from_bytes([1; 12]);
        for message in [2, 4, 6] {
            agent.insert_waiting(id, 1, MessageId(message));
        }
        let before = agent.waiting.clone();
        let refused: Result<(), MemoryStorage> = agent.input(NOW, |agent| {
            agent.forget_delivery(id, 1, MessageId(2));
            agent.forget_delivery(id, 1, MessageId(6));
            agent.forget_delivery(id, 1, MessageId(4));
            agent.insert_waiting(id, 1, MessageId(5));
            agent.undo.push(Undo::Waits(id, 1, MessageId(5)));
            Err(Refusal::Prohibited.into())
        });
        assert!(refused.is_err());
        assert_eq!(agent.waiting, before);
    }
}
