//! Queues and messages of a relay: what is kept, how it changes, and where.
//!
//! The store is the authority on queues and messages. Changes are [`Operation`]s; a single commit thread carries them
//! out in the order of submission and makes what gathered meanwhile durable with one write (group commit across
//! connections), then answers. **An answer means that the change is on disk.** Reads go straight to the storage engine
//! from any thread.
//!
//! ```
//! # async fn example() -> Result<(), smp_std::relay::store::StoreError> {
//! use smp_std::relay::store::{AppendMessage, Store, StoreOptions};
//!
//! let store = Store::memory(StoreOptions::default())?;
//! let append = |message_id| AppendMessage {
//!     recipient_id: [1; 24],
//!     message_id,
//!     time: 1_700_000_000,
//!     notification: false,
//!     notify: None,
//!     secured: false,
//!     body: "encrypted".into(),
//!     quota: 128,
//!     expire: None,
//! };
//! // Both are submitted before the first is answered: they share a write, and keep their order.
//! let first = store.append_message(append([2; 24])).await?;
//! let second = store.append_message(append([3; 24])).await?;
//! first.await?;
//! second.await?;
//! store.close().await
//! # }
//! ```

mod backend;
mod codec;
mod commit;
mod counts;
mod error;
mod expiry;
mod fjall;
mod front;
mod import;
mod journal;
mod link_data;
mod memory;
mod notification;
mod operation;
mod overlay;
mod pending;
mod record;
pub mod rules;
mod service;
mod tables;

pub use self::fjall::{FjallBackend, FjallOptions};
pub use backend::{Backend, OccupiedPage, QueueWithLink, ReservedPage, Rows};
pub use commit::CommitObserver;
pub use counts::Counts;
pub use error::StoreError;
pub use expiry::Expiry;
pub(crate) use front::LookedUp;
pub use front::{Store, StoreOptions};
pub use import::{ImportStep, Imported, QueueChange};
pub use link_data::LinkData;
pub use memory::MemoryBackend;
pub use notification::{NotificationLimits, NotificationState, NotifierPage, PendingNotification};
pub use operation::{
    Acknowledged, AppendMessage, AppendOutcome, Appended, Blocking, Creation, DeletedQueue, KeyReplacement,
    LinkDeletion, LinkSetting, Notified, NotifierRemoval, NotifierSetting, Operation, QueueName, Removal, Reply,
    Securing, SecuringByLink, Side, Suspension, Unblocking,
};
pub use pending::Pending;
pub use record::{
    Blocked, BlockingReason, HeaderKind, Id, MessageHeader, MessageKind, Notice, Notifier, QueueMode, QueueRecord,
    QueueState, QueueStatus, RecipientKeys, SharedSecret, StoredMessage,
};
pub use service::{Association, QueueSet, ServiceAdmission, ServiceRecord, ServiceSide};
