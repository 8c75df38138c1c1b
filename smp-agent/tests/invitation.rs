//! A invites, B joins.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod support;

use smp_agent::command::ConnectionOptions;
use support::stories::{A, B, plain};

#[test]
fn two_who_share_an_invitation_talk() {
    let mut world = plain(1);
    let pair = world.connect(ConnectionOptions::default());
    world.tell(pair, A, "hello");
    world.tell(pair, B, "hello yourself");
    world.run_until_quiet();
    assert_eq!(world.texts(pair, B), ["hello"]);
    assert_eq!(world.texts(pair, A), ["hello yourself"]);
}
