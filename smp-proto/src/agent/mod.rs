//! The agent protocol, which connects two parties over queues: how they find each other, what they tell each other
//! under the encryption of a queue, and what under that of the double ratchet between them.
//!
//! From the outside in: [`ClientMessage`](crate::smp::message::ClientMessage), [`AgentEnvelope`], [`RatchetMessage`],
//! [`AgentMessage`], [`Message`].

pub mod connection_request;
pub mod envelope;
pub mod link_data;
pub mod message;
pub mod message_kind;
pub mod queue;
pub mod ratchet_agreement;
pub mod ratchet_message;
pub mod ratchet_parameters;

pub use connection_request::{ConnectionLink, ConnectionRequest};
pub use envelope::{AgentEnvelope, EnvelopeContent, RATCHET_KEY_INFO};
pub use message::{AgentMessage, Message, Receipt};
pub use message_kind::MessageKind;
pub use queue::{AddedQueue, QueueKey, QueueReference, QueueUse};
pub use ratchet_agreement::{AgreedParameters, Encapsulation};
pub use ratchet_message::{EncryptedHeader, RatchetHeader, RatchetMessage};
pub use ratchet_parameters::RatchetParameters;
