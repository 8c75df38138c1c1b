//! The lamp that blinks when a message waits.

use smp_crypto::key::{AuthorizationKey, X25519SecretKey};
use smp_proto::wire::Base64;

use crate::board::{Board, DONE};
use crate::recipient::{Recipient, Writer};
use crate::relay::Relay;

/// A queue whose messages a board is to be told of, by somebody who writes to it.
pub(crate) struct Story {
    pub(crate) relay: Relay,
    pub(crate) recipient: Recipient,
    pub(crate) writer: Writer,
    pub(crate) arguments: Vec<String>,
}

impl Story {
    pub(crate) async fn new() -> Self {
        let relay = Relay::start();
        let recipient = Recipient::new(&relay).await;
        let key = X25519SecretKey::generate(&mut rand::rng());
        let client = recipient.client.client().await.unwrap();
        let public = AuthorizationKey::X25519(key.public_key());
        let access = client.enable_notifications(recipient.queue.credentials(), public).await.unwrap();
        // The last part lets it read which message a notification is about.
        let (id, secret) = (Base64(access.notifier_id.as_bytes()), Base64(access.secret.as_bytes().as_slice()));
        let key = Base64(key.as_bytes().as_slice());
        let arguments = vec![format!("key={key}"), format!("queue={}#{id}#{secret}", relay.uri())];
        let writer = Writer::new(&recipient.address());
        Self { relay, recipient, writer, arguments }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and firmware"]
async fn a_lamp_blinks_when_a_message_waits() {
    let mut story = Story::new().await;
    let mut board = Board::start("notifier", &[story.arguments, vec!["messages=2".into()]].concat());
    board.event("subscribed").await;
    story.writer.send("one").await;
    assert_eq!(board.event("notified").await, "0");
    let message = board.event("message").await;
    assert_eq!(board.event("lamp").await, "on");
    assert_eq!(story.recipient.next().await, "one");
    assert_eq!(message, story.recipient.last());
    story.writer.send("two").await;
    let (code, lines) = board.end().await;
    assert_eq!(code, DONE, "{lines:?}");
    assert_eq!(story.recipient.next().await, "two");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and firmware"]
async fn the_lamp_hears_again_after_a_restart_of_the_relay() {
    let mut story = Story::new().await;
    let mut board = Board::start("notifier", &story.arguments);
    board.event("subscribed").await;
    story.relay.kill();
    board.event("disconnected").await;
    story.relay.start_again();
    board.event("subscribed").await;
    story.writer.send("after the restart").await;
    board.event("notified").await;
    assert_eq!(story.recipient.next().await, "after the restart");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and firmware"]
async fn a_lamp_trusts_no_other_relay_at_the_same_address() {
    let story = Story::new().await;
    let relay = story.relay.impostor();
    let mut board = Board::start("notifier", &story.arguments);
    let reason = board.event("disconnected").await;
    assert_eq!(reason, "certificate");
    // It goes on trying, and goes on refusing.
    board.event("tcp-connected").await;
    board.event("disconnected").await;
    assert!(!board.had("connected") && !board.had("subscribed"));
    drop(relay);
}
