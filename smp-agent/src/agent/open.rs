//! Going on from a storage.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::proxies::Proxies;
use super::remove::Cleanup;
use super::{Agent, Result};
use crate::configuration::Configuration;
use crate::error::Error;
use crate::id::{ConnectionId, EventId, MessageId};
use crate::policy::server::UserId;
use crate::record::{Connection, Secret, State};
use crate::storage::Storage;
use crate::table::{Key, Table};
use crate::time::Time;
use crate::transaction::{Notice, Transaction, decode};

/// How many records are read at once.
const PAGE: usize = 256;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// An agent that goes on from what is in a storage; an empty one is a new beginning.
    ///
    /// What was under way is done again as it falls due. Nothing is received before
    /// [`Command::SubscribeAll`](crate::Command::SubscribeAll). [`Self::commit`] lets the first requests out.
    ///
    /// # Errors
    /// The storage cannot be read, or holds records that cannot.
    pub fn open(storage: S, configuration: Configuration, mut random: R, now: Time) -> Result<Self, S> {
        let mut transaction = Transaction::new(storage);
        let state = match transaction.get::<State>(&Key::state())? {
            Some(state) => state,
            None => {
                let mut salt = [0; 32];
                random.fill_bytes(&mut salt);
                let state = State { salt: Secret(salt), events_below: 1 };
                transaction.put(&Key::state(), &state)?;
                state
            }
        };
        let next_event = state.events_below;
        let next_cleanup = now.after(configuration.cleanup_interval / 10);
        let mut agent = Self {
            transaction,
            random,
            configuration,
            stopped: false,
            now,
            given: now,
            set_back: 0,
            state,
            next_event,
            next_request: 1,
            users: BTreeMap::new(),
            connections: BTreeMap::new(),
            queues: BTreeMap::new(),
            waiting: BTreeMap::new(),
            work: BTreeMap::new(),
            due: BTreeSet::new(),
            flights: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            unsubscribed: BTreeSet::new(),
            subscriptions_due: BTreeSet::new(),
            offline_since: None,
            proxies: Proxies::default(),
            failing_proxies: BTreeMap::new(),
            direct: BTreeSet::new(),
            signed: BTreeSet::new(),
            heard: BTreeMap::new(),
            ahead: BTreeSet::new(),
            failing: BTreeMap::new(),
            next_cleanup,
            cleanup: Cleanup::default(),
            touched: BTreeSet::new(),
            undo: Vec::new(),
            requests: VecDeque::new(),
            notices: VecDeque::new(),
        };
        agent.load_all()?;
        agent.plan_touched()?;
        Ok(agent)
    }

    fn load_all(&mut self) -> Result<(), S> {
        self.for_each(Table::User, |agent, key, value| {
            let id = key.get(1..).and_then(|id| id.try_into().ok()).ok_or(Error::Record)?;
            agent.users.insert(UserId(u32::from_be_bytes(id)), decode(value)?);
            Ok(())
        })?;
        self.for_each(Table::Connection, |agent, key, value| {
            let id = connection_id(key).ok_or(Error::Record)?;
            let mut connection: Connection = decode(value)?;
            connection.forget_future(agent.now);
            for queue in connection.receive_queues.iter().filter(|queue| queue.is_created()) {
                agent.queues.insert((queue.server.clone(), queue.recipient_id.clone()), (id, queue.number));
            }
            agent.connections.insert(id, connection);
            agent.touched.insert(id);
            Ok(())
        })?;
        self.for_each(Table::Delivery, |agent, key, _| {
            let id = connection_id(key).ok_or(Error::Record)?;
            let queue = key.get(13..17).and_then(|queue| queue.try_into().ok()).ok_or(Error::Record)?;
            let message = key.get(17..).and_then(|message| message.try_into().ok()).ok_or(Error::Record)?;
            let messages = agent.waiting.entry((id, u32::from_be_bytes(queue))).or_default();
            messages.push_back(MessageId(u64::from_be_bytes(message)));
            Ok(())
        })?;
        self.for_each(Table::Event, |agent, key, _| {
            let id = key.get(1..).and_then(|id| id.try_into().ok()).ok_or(Error::Record)?;
            agent.notices.push_back(Notice::Kept(EventId(u64::from_be_bytes(id))));
            Ok(())
        })
    }

    /// Goes through all records of a table.
    pub(super) fn for_each(
        &mut self,
        table: Table,
        mut act: impl FnMut(&mut Self, &[u8], &[u8]) -> Result<(), S>,
    ) -> Result<(), S> {
        let prefix = Key::new(table);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.transaction.scan(prefix.as_bytes(), after.as_deref(), PAGE)?;
            for (key, value) in &page {
                act(self, key, value)?;
            }
            match page.into_iter().last() {
                Some((key, _)) => after = Some(key),
                None => return Ok(()),
            }
        }
    }
}

/// The connection in the key of a record.
pub(super) fn connection_id(key: &[u8]) -> Option<ConnectionId> {
    key.get(1..13).and_then(|id| id.try_into().ok()).map(ConnectionId::from_bytes)
}
