//! Stores with many queues, a quarter of them with keys of each kind and a quarter without a sender's. A third of each
//! belongs to a service, and a third to another one.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use smp_crypto::key::{AuthorizationSecretKey, Ed448SecretKey};
use smp_proto::key::AuthorizationKey;

use crate::relay::store::{
    Backend, FjallBackend, FjallOptions, Id, LinkData, MemoryBackend, Notifier, Operation, QueueMode, QueueRecord,
    SharedSecret, Store, StoreOptions,
};

/// Kinds of keys.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::relay::authorize) enum Kind {
    Ed25519,
    Ed448,
    X25519,
}

impl Kind {
    pub(in crate::relay::authorize) const ALL: [Self; 3] = [Self::Ed25519, Self::Ed448, Self::X25519];

    pub(in crate::relay::authorize) fn generate(self, random: &mut StdRng) -> AuthorizationSecretKey {
        match self {
            Self::Ed25519 => AuthorizationSecretKey::generate_ed25519(random),
            Self::Ed448 => AuthorizationSecretKey::Ed448(Ed448SecretKey::generate(random)),
            Self::X25519 => AuthorizationSecretKey::generate_x25519(random),
        }
    }
}

/// The service whose sessions are measured.
pub(in crate::relay::authorize) const OWN_SERVICE: Id = [21; 24];
/// A service that other queues are associated with.
pub(in crate::relay::authorize) const OTHER_SERVICE: Id = [22; 24];

/// The names of a queue.
#[derive(Clone, Copy)]
pub(in crate::relay::authorize) struct Ids {
    pub(in crate::relay::authorize) recipient: Id,
    pub(in crate::relay::authorize) sender: Id,
    pub(in crate::relay::authorize) notifier: Id,
    pub(in crate::relay::authorize) link: Id,
    /// What receives for it and takes its notifications.
    pub(in crate::relay::authorize) service: Option<Id>,
}

pub(in crate::relay::authorize) struct Population {
    pub(in crate::relay::authorize) store: Store,
    groups: [Vec<Ids>; 4],
    /// Queues whose sender's keys are known here.
    pub(in crate::relay::authorize) own: Vec<(Ids, AuthorizationSecretKey)>,
}

impl Population {
    pub(in crate::relay::authorize) fn in_memory(count: usize) -> Self {
        Self::over(Arc::new(MemoryBackend::new()), count)
    }

    pub(in crate::relay::authorize) fn on_disk(folder: &Path, count: usize) -> Self {
        let options = FjallOptions::default();
        let backend = FjallBackend::open(&folder.join("store"), &options).unwrap();
        let mut population = Self::over(Arc::new(backend), count);
        // Opened again, as after a restart: the rows are in tables, and none of them is in the cache.
        let Self { store, .. } = &population;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(store.close()).unwrap();
        population.store = Store::memory(StoreOptions::default()).unwrap();
        population.store = Store::fjall(&folder.join("store"), &options, StoreOptions::default()).unwrap();
        population
    }

    pub(in crate::relay::authorize) fn of(&self, kind: Kind) -> &[Ids] {
        &self.groups[kind as usize]
    }

    /// Those of them that belong to a service, or to none.
    pub(in crate::relay::authorize) fn associated(&self, kind: Kind, service: Option<Id>) -> Vec<Ids> {
        self.of(kind).iter().filter(|ids| ids.service == service).copied().collect()
    }

    pub(in crate::relay::authorize) fn without_key(&self) -> &[Ids] {
        &self.groups[3]
    }

    pub(in crate::relay::authorize) fn over(backend: Arc<dyn Backend>, count: usize) -> Self {
        let random = &mut StdRng::seed_from_u64(6);
        let keys =
            Kind::ALL.map(|kind| (0..count.min(500)).map(|_| kind.generate(random).public_key()).collect::<Vec<_>>());
        let mut groups: [Vec<Ids>; 4] = Default::default();
        let mut own = Vec::new();
        let mut operations = Vec::new();
        for number in 0..count {
            let ids = Ids {
                recipient: random.random(),
                sender: random.random(),
                notifier: random.random(),
                link: random.random(),
                service: [None, Some(OWN_SERVICE), Some(OTHER_SERVICE)][number / 4 % 3],
            };
            let group = number % 4;
            let mut key = keys.get(group).map(|keys| keys[number % keys.len()]);
            if own.len() < 4 && group == Kind::X25519 as usize {
                let secret = AuthorizationSecretKey::generate_x25519(random);
                key = Some(secret.public_key());
                own.push((ids, secret));
            } else {
                groups[group].push(ids);
            }
            operations.push(creation(&ids, key, keys[0][number % keys.len()]));
            if operations.len() == 4_096 || number + 1 == count {
                backend.apply(&operations).unwrap();
                operations.clear();
            }
        }
        // In the order in which they were made they would lie side by side in memory, as what stands in for others does not.
        groups.iter_mut().for_each(|group| group.shuffle(random));
        Self { store: Store::with_backend(backend, StoreOptions::default()).unwrap(), groups, own }
    }
}

fn creation(ids: &Ids, key: Option<AuthorizationKey>, default: AuthorizationKey) -> Operation {
    let notifier = Notifier { id: ids.notifier, key: key.unwrap_or(default), secret: SharedSecret::new([1; 32]) };
    let record = QueueRecord {
        sender_key: key,
        // Neither of them is open to who asks here: one has a key already, the other never gets one.
        mode: if key.is_some() { QueueMode::Messaging } else { QueueMode::Contact },
        link_id: Some(ids.link),
        notifier: Some(Box::new(notifier)),
        recipient_service: ids.service,
        notifier_service: ids.service,
        ..QueueRecord::new(ids.recipient, ids.sender, key.unwrap_or(default), SharedSecret::new([2; 32]))
    };
    let link = LinkData { fixed: Bytes::from_static(b"fixed"), user: Bytes::from_static(b"user") };
    Operation::CreateQueue { record: Arc::new(record), link: Some(link) }
}
