//! What is inside the messages of the ratchet: information, and numbered messages of every kind.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use smp_fuzz::{again, stable};
use smp_proto::agent::{AgentMessage, Message};
use smp_proto::wire::{Decode, NonEmptyList};

fuzz_target!(|data: &[u8]| {
    stable(data, again!(AgentMessage<'_>));

    let Ok(message) = AgentMessage::from_bytes(data) else { return };
    let _ = message.kind().code();
    match message {
        AgentMessage::ConnectionInfoReply { queues, .. } => check_items(&queues),
        AgentMessage::Sequenced { message, .. } => match message {
            Message::Receipts(items) => check_items(&items),
            Message::AddQueues(items) => check_items(&items),
            Message::QueueKeys(items) => check_items(&items),
            Message::UseQueues(items) => check_items(&items),
            Message::TestQueues(items) => check_items(&items),
            Message::Hello | Message::Application(_) | Message::QuotaContinue(_) | Message::Ready(_) => {}
        },
        AgentMessage::ConnectionInfo(_) | AgentMessage::RatchetInfo(_) => {}
    }
});

/// A list has as many items as it says, and a first one.
fn check_items<'a, T: Decode<'a> + Clone + PartialEq + Debug>(list: &NonEmptyList<'a, T>) {
    let first = list.first();
    assert!(first.is_some());
    assert_eq!((list.iter().count(), list.iter().next()), (list.len(), first));
}
