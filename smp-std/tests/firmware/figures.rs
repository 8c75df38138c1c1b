//! What programs cost, counted.

use crate::board::{Board, DONE, keep_figures};
use crate::recipient::Writer;
use crate::{notifier, receiver, sender};

/// Waits for a program's end, which must be a good one, and keeps what it printed.
async fn ended(program: &'static str, board: Board) {
    let (code, lines) = board.end().await;
    assert_eq!(code, DONE, "{lines:?}");
    keep_figures(program, &lines);
}

#[tokio::test]
#[ignore = "needs QEMU and firmware"]
async fn figures_of_cryptography() {
    ended("bench", Board::start_counting("bench", &[])).await;
}

#[tokio::test]
#[ignore = "needs QEMU and firmware"]
async fn figures_of_the_ratchet() {
    ended("ratchet", Board::start_counting("ratchet", &[])).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and firmware"]
async fn figures_of_a_notifier() {
    let mut story = notifier::Story::new().await;
    story.arguments.push("messages=3".into());
    let mut board = Board::start_counting("notifier", &story.arguments);
    board.event("subscribed").await;
    for text in ["one", "two"] {
        story.writer.send(text).await;
        board.event("notified").await;
        assert_eq!(story.recipient.next().await, text);
    }
    // Once more, with a relay whose certificates it knows.
    story.relay.kill();
    board.event("disconnected").await;
    story.relay.start_again();
    board.event("subscribed").await;
    story.writer.send("three").await;
    assert_eq!(story.recipient.next().await, "three");
    ended("notifier", board).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and firmware"]
async fn figures_of_a_sender() {
    let story = sender::Story::new().await;
    ended("sender", Board::start_counting("sender", &story.arguments(&["alarms=3"]))).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and firmware"]
async fn figures_of_a_receiver() {
    let story = receiver::Story::new();
    let mut board = Board::start_counting("receiver", &story.arguments(&["messages=3"]));
    let mut writer = Writer::new(&board.event("queue").await);
    for text in ["one", "two", "three"] {
        writer.send(text).await;
    }
    ended("receiver", board).await;
}
