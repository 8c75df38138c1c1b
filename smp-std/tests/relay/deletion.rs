//! What is said of a queue in the instant in which it is deleted.

use smp_proto::smp::Command;
use smp_proto::smp::recipient::QueueMode;
use smp_std::relay::config::Config;

use crate::harness::TestRelay;
use crate::send;

/// Found by fuzzing. The commands of a block are authorized before any is carried out; PINGs give the store time.
#[tokio::test]
async fn a_queue_that_is_deleted_is_not_said_to_be_empty() {
    let relay = TestRelay::start(Config::default()).await;
    let mut client = relay.client().await;
    let mut refused = 0;
    for _ in 0..20 {
        let queue = client.new_queue(QueueMode::Messaging, false).await;
        assert_eq!(send(&mut client, None, &queue, b"one").await, "OK");
        let mut commands = vec![client.encode(Some(&queue.key), &queue.recipient_id, &Command::Delete)];
        commands.extend((0..40).map(|_| client.encode(None, b"", &Command::Ping)));
        commands.push(client.encode(Some(&queue.key), &queue.recipient_id, &Command::Get));
        let (ids, transmissions): (Vec<_>, Vec<_>) = commands.into_iter().unzip();
        client.send_block(&transmissions).await;
        assert_eq!(client.response_to(&ids[0]).await.text(), "OK");
        for id in &ids[1..41] {
            assert_eq!(client.response_to(id).await.text(), "PONG");
        }
        let response = client.response_to(&ids[41]).await.text();
        // Before the deletion, where the store was slow, or after it.
        assert!(response == "ERR AUTH" || response.starts_with("MSG "), "{response}");
        refused += usize::from(response == "ERR AUTH");
    }
    assert!(refused > 0);
    relay.stop().await;
}
