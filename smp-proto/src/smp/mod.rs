//! The queue protocol: what clients ask ([`Command`]), what relays say ([`BrokerMessage`]), and how either fails
//! ([`SmpError`]). Wire reference, sections 7, 8, 11 and 12.
//!
//! Every tag is read at every version; only the encodings of a few parameters depend on it.

pub mod broker;
pub mod command;
pub mod error;
pub mod json;
pub mod link;
pub mod message;
pub mod names;
pub mod notifier;
pub mod password;
pub mod proxy;
pub mod queue_info;
pub mod recipient;
pub mod sender;
pub mod service;

pub use broker::BrokerMessage;
pub use command::Command;
pub use error::{CommandError, SmpError};

// What the front page promises about memory.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Command<'_>>() < 400 && size_of::<BrokerMessage<'_>>() < 400);
#[cfg(target_pointer_width = "32")]
const _: () = assert!(size_of::<Command<'_>>() < 256 && size_of::<BrokerMessage<'_>>() < 256);
