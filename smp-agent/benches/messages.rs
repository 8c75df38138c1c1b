//! What a message costs two agents, the world of the tests between them included: its relay encrypts, checks and keeps
//! everything, and the storage is memory.
//!
//! `cargo bench -p smp-agent --bench messages [-- MESSAGES]`

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use smp_agent::command::{ConnectionOptions, PostQuantum};
use support::stories::{A, B, plain};

fn main() {
    let messages = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(500_u32);
    for post_quantum in [PostQuantum::Off, PostQuantum::On] {
        let mut world = plain(1);
        let pair = world.connect(ConnectionOptions { post_quantum, ..ConnectionOptions::default() });
        let started = Instant::now();
        for message in 0..messages {
            world.tell(pair, A, &message.to_string());
        }
        let one_way = started.elapsed() / messages;
        let started = Instant::now();
        for message in 0..messages / 10 {
            world.tell(pair, B, &format!("{message} asked"));
            world.tell(pair, A, &format!("{message} answered"));
        }
        let turns = started.elapsed() / (messages / 5).max(1);
        println!(
            "post-quantum {post_quantum:?}: {one_way:?} a message in one direction, {turns:?} when they take turns"
        );
    }
}
