//! The agent protocol, which connects two parties over queues: how they find each other,
//! and the forms of what the double ratchet between them sends.

pub mod connection_request;
pub mod link_data;
pub mod ratchet_agreement;
pub mod ratchet_message;
pub mod ratchet_parameters;

pub use connection_request::{ConnectionLink, ConnectionRequest};
pub use ratchet_agreement::{AgreedParameters, Encapsulation};
pub use ratchet_message::{EncryptedHeader, RatchetHeader, RatchetMessage};
pub use ratchet_parameters::RatchetParameters;
