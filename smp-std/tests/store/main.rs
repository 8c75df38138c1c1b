//! What the relay promises about its queues and messages, kept by every store.

// A test ends at the first thing that is not as it should be, also in what the tests share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod backup;
mod blocking;
mod crash;
mod durability;
mod gated;
mod import;
mod layout;
mod links;
mod model;
mod notifications;
#[path = "../common/program.rs"]
mod program;
mod rules;
mod services;

use std::sync::Arc;

use bytes::Bytes;
use smp_proto::key::{AuthorizationKey, Ed448PublicKey, Ed25519PublicKey, X25519PublicKey};
use smp_std::relay::store::{
    Acknowledged, AppendMessage, Appended, Creation, FjallOptions, Id, LinkData, NotificationLimits, Notifier,
    QueueRecord, SharedSecret, Store, StoreOptions,
};
use tempfile::TempDir;

/// The engines under test.
#[derive(Clone, Copy, PartialEq)]
enum Engine {
    Memory,
    Fjall,
}

/// A store in a folder of its own.
struct Fixture {
    engine: Engine,
    fjall: FjallOptions,
    folder: TempDir,
    store: Option<Store>,
}

impl Fixture {
    fn new(engine: Engine) -> Self {
        Self::with_options(engine, FjallOptions::default())
    }

    /// With so little memory that tables are written, merged and cleaned all the time.
    fn small(engine: Engine) -> Self {
        Self::with_options(engine, small_options())
    }

    fn with_options(engine: Engine, fjall: FjallOptions) -> Self {
        let mut fixture = Self { engine, fjall, folder: tempfile::tempdir().unwrap(), store: None };
        fixture.open();
        fixture
    }

    fn open(&mut self) {
        let options = StoreOptions::default();
        self.store = Some(match self.engine {
            Engine::Memory => Store::memory(options).unwrap(),
            Engine::Fjall => Store::fjall(self.folder.path(), &self.fjall, options).unwrap(),
        });
    }

    /// Drops the store and opens it again, where that keeps what it holds.
    fn reopen(&mut self) {
        if self.engine != Engine::Memory {
            self.store = None;
            self.open();
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    async fn create(&self, record: QueueRecord) -> Creation {
        self.store().create_queue(Arc::new(record)).await.unwrap().await.unwrap()
    }

    async fn append(&self, append: AppendMessage) -> Appended {
        self.store().append_message(append).await.unwrap().await.unwrap()
    }

    async fn acknowledge(&self, queue: Id, message: Id) -> Option<Acknowledged> {
        self.store().acknowledge(queue, message).await.unwrap().await.unwrap()
    }
}

fn small_options() -> FjallOptions {
    FjallOptions {
        body_memory_bytes: 256 << 10,
        row_memory_bytes: 16 << 10,
        cache_bytes: 1 << 20,
        ..Default::default()
    }
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// An id that is different for each number.
fn id(number: u64) -> Id {
    let mut id = [0x5a; 24];
    // Spread over the whole space, as random ids are.
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id
}

fn key(byte: u8) -> AuthorizationKey {
    match byte % 3 {
        0 => AuthorizationKey::Ed25519(Ed25519PublicKey([byte; 32])),
        1 => AuthorizationKey::Ed448(Ed448PublicKey([byte; 57])),
        _ => AuthorizationKey::X25519(X25519PublicKey([byte; 32])),
    }
}

/// Queue `number`, with recipient id `id(number)` and sender id `id(number + 1_000_000)`.
fn queue(number: u64) -> QueueRecord {
    QueueRecord::new(id(number), id(number + 1_000_000), key(number as u8), SharedSecret::new([number as u8; 32]))
}

/// Notifier `number`, with id `id(number + 2_000_000)`.
fn notifier(number: u64) -> Notifier {
    Notifier { id: id(number + 2_000_000), key: key(number as u8), secret: SharedSecret::new([number as u8; 32]) }
}

/// How many notifications wait in most tests.
const LIMITS: NotificationLimits = NotificationLimits { per_notifier: 256, total: 1_000_000 };

fn message(queue: u64, number: u64) -> AppendMessage {
    AppendMessage {
        recipient_id: id(queue),
        message_id: id(number),
        time: number as i64,
        notification: number % 2 == 1,
        notify: Some(LIMITS),
        secured: true,
        body: body(number),
        quota: 128,
        expire: None,
    }
}

/// Link data that tells its numbers, user data of several lengths.
fn link_data(fixed: u64, user: u64) -> LinkData {
    let length = [0, 20, 600, 13_824][(user % 4) as usize];
    LinkData {
        fixed: fixed.to_le_bytes().repeat(256).into(),
        user: user.to_le_bytes().into_iter().cycle().take(length).collect(),
    }
}

/// A body that tells which message it belongs to; lengths from nothing to the largest a sender may send.
fn body(number: u64) -> Bytes {
    let length = [0, 1, 100, 4096, 16_048][(number % 5) as usize];
    number.to_le_bytes().into_iter().cycle().take(length).collect()
}

/// Makes a test of each engine of an async function that takes one.
macro_rules! for_every_engine {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(crate::Engine::Memory).await })*
        }
        mod fjall {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(crate::Engine::Fjall).await })*
        }
    };
}
use for_every_engine;
