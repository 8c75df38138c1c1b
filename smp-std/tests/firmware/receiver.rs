//! A queue of the board's own, and what comes to it.

use crate::board::{Board, DONE};
use crate::recipient::Writer;
use crate::relay::Relay;

/// A relay, and the flash of a board that has a queue there.
pub(crate) struct Story {
    relay: Relay,
    flash: tempfile::TempDir,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self { relay: Relay::start(), flash: tempfile::tempdir().unwrap() }
    }

    /// The program's arguments, and some more.
    pub(crate) fn arguments(&self, more: &[&str]) -> Vec<String> {
        let flash = format!("flash={}", self.flash.path().join("flash").display());
        let relay = format!("relay={}", self.relay.uri());
        [flash, relay].into_iter().chain(more.iter().map(|word| (*word).to_owned())).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and firmware"]
async fn messages_arrive_once_also_after_a_reset() {
    let story = Story::new();
    let mut board = Board::start("receiver", &story.arguments(&["messages=2"]));
    let address = board.event("queue").await;
    let mut writer = Writer::new(&address);
    for text in ["one", "two"] {
        writer.send(text).await;
        assert_eq!(board.event("message").await, text);
    }
    assert_eq!(board.end().await.0, DONE);
    // Sent while the board is off.
    writer.send("three").await;
    let board = Board::start("receiver", &story.arguments(&["messages=1"]));
    let (code, lines) = board.end().await;
    assert_eq!(code, DONE, "{lines:?}");
    assert!(lines.contains(&format!("event queue {address}")), "{lines:?}");
    let messages: Vec<&String> = lines.iter().filter(|line| line.starts_with("event message")).collect();
    assert_eq!(messages, ["event message three"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and firmware"]
async fn messages_arrive_after_a_restart_of_the_relay() {
    let mut story = Story::new();
    let mut board = Board::start("receiver", &story.arguments(&[]));
    let mut writer = Writer::new(&board.event("queue").await);
    writer.send("before").await;
    assert_eq!(board.event("message").await, "before");
    story.relay.kill();
    board.event("failed").await;
    story.relay.start_again();
    writer.send("after").await;
    assert_eq!(board.event("message").await, "after");
}
