//! Receive queues move to other relays, and are added (wire reference, section 18).
//!
//! The side whose queue moves is in [`receiver`], the other one in [`sender`].

mod receiver;
mod sender;

pub(super) use receiver::say_again;

use smp_proto::agent::QueueReference;

use crate::policy::server::Server;
use crate::record::Connection;

/// Whether a queue is the one that is spoken of.
fn is_named(server: &Server, sender_id: &[u8], reference: &QueueReference<'_>) -> bool {
    sender_id == reference.sender_id.as_bytes() && server.address().same_server(&reference.server)
}

fn find_receive_queue(connection: &Connection, reference: &QueueReference<'_>) -> Option<u32> {
    let mut queues = connection.receive_queues.iter().filter(|queue| queue.is_created());
    queues.find(|queue| is_named(&queue.server, &queue.sender_id, reference)).map(|queue| queue.number)
}

fn find_send_queue(connection: &Connection, reference: &QueueReference<'_>) -> Option<u32> {
    let mut queues = connection.send_queues.iter();
    queues.find(|queue| is_named(&queue.server, &queue.sender_id, reference)).map(|queue| queue.number)
}
