//! Clients that ask for as much as they can and read none of it, or as much work as they can. Each costs bounded memory
//! and is cut off when it does not take its answers.

use std::time::{Duration, Instant};

use smp_crypto::key::{AuthorizationSecretKey, X25519SecretKey};
use smp_crypto::session::ClientConfiguration;
use smp_proto::smp::Command;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::transport::block::BatchWriter;
use smp_proto::version::VersionRange;
use smp_std::net::{ClientAlpn, ClientTls};
use tokio::net::TcpSocket;
use tokio::time::{sleep, timeout};

use crate::harness::{PATIENCE, RawClient, TestQueue, new_command, send_command};
use crate::process::RelayProcess;

/// What one connection may cost, whatever it does: its limit of 512 responses and another block of them (up to 255), a
/// KiB each while they wait for the disk; message bodies of 256 KiB; a block and a record in either direction. The sum
/// is less than this.
pub(crate) const PER_CONNECTION: u64 = 1_200 << 10;

/// The limit of changes that wait for the disk, and what the disk store may gather in memory behind it.
const STORE: u64 = (16 + 5 * 16 + 16) << 20;

/// A client that takes little before its receive window is full.
pub(crate) async fn greedy_client(relay: &RelayProcess) -> RawClient {
    let versions = VersionRange::SMP;
    greedy(relay, ClientConfiguration { versions, identity: relay.fingerprint, is_proxy: false, service: None }).await
}

/// Another relay that does the same.
pub(crate) async fn greedy_proxy(relay: &RelayProcess) -> RawClient {
    let versions = VersionRange::SMP;
    greedy(relay, ClientConfiguration { versions, identity: relay.fingerprint, is_proxy: true, service: None }).await
}

async fn greedy(relay: &RelayProcess, configuration: ClientConfiguration<'_>) -> RawClient {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16_384).unwrap();
    // What waits in its own sockets is not what this is about.
    socket.set_send_buffer_size(65_536).unwrap();
    let tcp = socket.connect(relay.address).await.unwrap();
    let tls = ClientTls::new(ClientAlpn::Smp).connect(tcp, &relay.fingerprint, PATIENCE).await.unwrap();
    RawClient::greet_as(tls, configuration).await
}

/// A block of as many transmissions as fit, at most `count`.
pub(crate) fn full_block(
    client: &mut RawClient,
    count: usize,
    mut next: impl FnMut(&RawClient, usize) -> Vec<u8>,
) -> Vec<Vec<u8>> {
    let mut room = vec![0; BLOCK_LENGTH - 200];
    let mut batch = BatchWriter::new(&mut room).unwrap();
    let mut block = Vec::new();
    for number in 0..count.min(255) {
        let transmission = next(client, number);
        if batch.push(|writer| writer.bytes(&transmission)).is_err() {
            break;
        }
        block.push(transmission);
    }
    block
}

/// How much the relay takes from somebody who reads nothing: blocks until none was taken for a while. Returns how many.
/// The transmissions are always the same, so that the attacker is not busier than the relay.
pub(crate) async fn push_until_stuck(client: &mut RawClient, transmissions: &[Vec<u8>]) -> usize {
    /// So long that a busy relay is not taken for one that has stopped reading.
    const STUCK: Duration = Duration::from_millis(1_000);
    let start = Instant::now();
    for count in 0.. {
        // Fails, too, when the relay has cut the connection off.
        let sent = timeout(STUCK, async {
            let mut bytes = Box::new([0; BLOCK_LENGTH]);
            let mut batch = BatchWriter::new(client.session.sealer.content_mut(&mut bytes)).unwrap();
            for transmission in transmissions {
                batch.push(|writer| writer.bytes(transmission)).unwrap();
            }
            let length = batch.finish().unwrap().len();
            client.session.sealer.seal(&mut bytes, length).unwrap();
            client.tls.write_block(&bytes).await?;
            client.tls.flush().await
        });
        if !matches!(sent.await, Ok(Ok(()))) {
            return count;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "the relay never stops reading");
    }
    unreachable!()
}

/// Lets `count` clients push until the relay reads no more of any of them; measures what they cost; waits until the
/// relay has cut them off.
pub(crate) async fn starve(
    relay: &RelayProcess,
    what: &str,
    clients: Vec<RawClient>,
    transmissions: impl Fn(&mut RawClient) -> Vec<Vec<u8>>,
    store: u64,
) {
    let (start, sockets, before) = (Instant::now(), relay.sockets(), relay.memory());
    let count = clients.len();
    let measuring = tokio::sync::Notify::new();
    let pushing = futures_util::future::join_all(clients.into_iter().map(|mut client| {
        let transmissions = transmissions(&mut client);
        async move {
            let blocks = push_until_stuck(&mut client, &transmissions).await;
            (client, blocks)
        }
    }));
    let peak = async {
        let mut peak = before;
        loop {
            peak = peak.max(relay.memory());
            if timeout(Duration::from_millis(20), measuring.notified()).await.is_ok() {
                return peak;
            }
        }
    };
    let ((clients, blocks), peak) = tokio::join!(
        async {
            let stuck: (Vec<_>, Vec<_>) = pushing.await.into_iter().unzip();
            measuring.notify_one();
            stuck
        },
        peak
    );
    let cost = peak.saturating_sub(before);
    let elapsed = start.elapsed();
    let bound = PER_CONNECTION * count as u64 + store + (8 << 20);
    assert!(cost <= bound, "{what}: {count} clients cost {cost} bytes, bound {bound}");
    let left = relay.wait_for_sockets(0..=sockets - count, Duration::from_secs(15)).await;
    assert!(left <= sockets - count, "{what}: who reads nothing is not cut off");
    drop(clients);
    let blocks: usize = blocks.iter().sum();
    eprintln!(
        "{what}: {count} clients stuck after {elapsed:?} and {blocks} blocks, cut off after {:?}, {} KiB",
        start.elapsed(),
        cost >> 10
    );
}

async fn greedy_clients(relay: &RelayProcess, count: usize) -> Vec<RawClient> {
    futures_util::future::join_all((0..count).map(|_| greedy_client(relay))).await
}

/// Creates queues and reads none of the answers.
pub(crate) async fn new_flood(relay: &RelayProcess) {
    let clients = greedy_clients(relay, 2).await;
    let key = AuthorizationSecretKey::generate_ed25519(&mut rand::rng());
    let dh = X25519SecretKey::generate(&mut rand::rng());
    let transmissions = |client: &mut RawClient| {
        full_block(client, 255, |client, _| {
            client.encode(Some(&key), b"", &new_command(&key, &dh, QueueMode::Contact, true)).1
        })
    };
    starve(relay, "NEW flood", clients, transmissions, STORE).await;
}

/// Sends pings and reads none of the answers: the cheapest command with the longest ids.
pub(crate) async fn ping_flood(relay: &RelayProcess) {
    let clients = greedy_clients(relay, 5).await;
    let transmission = [&[0, 255][..], &[1; 255], &[255], &[2; 255], b"PING"].concat();
    let transmissions = |client: &mut RawClient| full_block(client, 255, |_, _| transmission.clone());
    starve(relay, "PING flood", clients, transmissions, 0).await;
}

/// Sends messages and reads none of the answers.
pub(crate) async fn send_flood(relay: &RelayProcess) {
    let mut owner = relay.client().await;
    let queue = owner.new_queue(QueueMode::Contact, false).await;
    let clients = greedy_clients(relay, 4).await;
    let body = vec![5; 16_000];
    let transmissions = |client: &mut RawClient| vec![client.encode(None, &queue.sender_id, &send_command(&body)).1];
    starve(relay, "SEND flood", clients, transmissions, STORE).await;
    assert_eq!(owner.tell(Some(&queue.key), &queue.recipient_id, &Command::Delete).await, "OK");
}

/// Queues of one owner, each with a message of full length.
pub(crate) async fn queues_with_messages(owner: &mut RawClient, count: usize) -> Vec<TestQueue> {
    let mut queues = Vec::new();
    for number in 0..count {
        let queue = owner.new_queue(QueueMode::Contact, false).await;
        let body = vec![number as u8; 16_000];
        assert_eq!(owner.tell(None, &queue.sender_id, &send_command(&body)).await, "OK");
        queues.push(queue);
    }
    queues
}

/// Asks for messages of full length and reads none of them.
pub(crate) async fn get_flood(relay: &RelayProcess) {
    let mut owner = relay.client().await;
    let queues = queues_with_messages(&mut owner, 120).await;
    let clients = greedy_clients(relay, 4).await;
    let transmissions = |client: &mut RawClient| {
        full_block(client, queues.len(), |client, number| {
            let queue = &queues[number];
            client.encode(Some(&queue.key), &queue.recipient_id, &Command::Get).1
        })
    };
    starve(relay, "GET flood", clients, transmissions, 32 << 20).await;
    delete(&mut owner, &queues).await;
}

/// Asks for many messages in one block and does not take them: what stands behind them in the block is not executed, or
/// the relay would have to keep all those messages for this client.
pub(crate) async fn untaken_messages(relay: &RelayProcess) {
    let mut owner = relay.client().await;
    let queues = queues_with_messages(&mut owner, 110).await;
    let watched = owner.new_queue(QueueMode::Contact, true).await;
    let mut client = greedy_client(relay).await;
    let mut block: Vec<_> =
        queues.iter().map(|queue| client.encode(Some(&queue.key), &queue.recipient_id, &Command::Get).1).collect();
    block.push(client.encode(None, &watched.sender_id, &send_command(b"last")).1);
    client.send_block(&block).await;
    owner.assert_silent().await;
    for queue in &queues {
        let received = client.receive().await;
        assert_eq!(received.entity, queue.recipient_id);
        assert!(received.text().starts_with("MSG "));
    }
    assert_eq!(client.receive().await.text(), "OK");
    assert_eq!(&owner.message(&watched).await.1[10..], b"last");
    delete(&mut owner, &queues).await;
    delete(&mut owner, &[watched]).await;
}

pub(crate) async fn delete(owner: &mut RawClient, queues: &[TestQueue]) {
    for queue in queues {
        assert_eq!(owner.tell(Some(&queue.key), &queue.recipient_id, &Command::Delete).await, "OK");
    }
}

/// Subscribes to many queues with messages and reads nothing.
pub(crate) async fn silent_subscriber(relay: &RelayProcess) {
    let mut owner = relay.client().await;
    let queues = queues_with_messages(&mut owner, 120).await;
    let clients = greedy_clients(relay, 1).await;
    let transmissions = |client: &mut RawClient| {
        full_block(client, queues.len(), |client, number| {
            let queue = &queues[number];
            client.encode(Some(&queue.key), &queue.recipient_id, &Command::Subscribe).1
        })
    };
    starve(relay, "silent subscriber", clients, transmissions, 32 << 20).await;
    // Whoever subscribes next gets everything.
    for queue in &queues {
        assert_eq!(owner.tell(Some(&queue.key), &queue.recipient_id, &Command::Subscribe).await, "SOK 0");
        owner.message(queue).await;
    }
    delete(&mut owner, &queues).await;
}

/// Two connections take the subscriptions of the same queues from each other and neither reads: what one is told of the
/// other must not pile up.
pub(crate) async fn subscription_quarrel(relay: &RelayProcess) {
    let mut owner = relay.client().await;
    let mut queues = Vec::new();
    for _ in 0..120 {
        queues.push(owner.new_queue(QueueMode::Contact, false).await);
    }
    let clients = greedy_clients(relay, 2).await;
    let transmissions = |client: &mut RawClient| {
        full_block(client, queues.len(), |client, number| {
            let queue = &queues[number];
            client.encode(Some(&queue.key), &queue.recipient_id, &Command::Subscribe).1
        })
    };
    starve(relay, "subscription quarrel", clients, transmissions, 0).await;
    delete(&mut owner, &queues).await;
}

/// Thousands of subscriptions on one connection.
pub(crate) async fn many_subscriptions(relay: &RelayProcess) {
    const QUEUES: usize = 2_000;
    /// A queue in memory, and a subscription in the connection and in the hub.
    const EACH: u64 = 4 << 10;
    let before = relay.memory();
    let mut client = relay.client().await;
    let key = AuthorizationSecretKey::generate_ed25519(&mut rand::rng());
    let dh = X25519SecretKey::generate(&mut rand::rng());
    let mut created = 0;
    while created < QUEUES {
        let block = full_block(&mut client, QUEUES - created, |client, _| {
            client.encode(Some(&key), b"", &new_command(&key, &dh, QueueMode::Contact, true)).1
        });
        client.send_block(&block).await;
        for _ in &block {
            assert!(client.receive().await.text().starts_with("IDS "));
        }
        created += block.len();
    }
    let cost = relay.memory().saturating_sub(before);
    eprintln!("{QUEUES} subscriptions: {} KiB", cost >> 10);
    assert!(cost <= QUEUES as u64 * EACH + (16 << 20), "{QUEUES} subscriptions cost {cost} bytes");
}

/// Blocks full of commands with wrong signatures, from many connections at once, for a while.
pub(crate) async fn wrong_signatures(relay: &RelayProcess, stranger: AuthorizationSecretKey) {
    let mut owner = relay.client().await;
    let queue = owner.new_queue(QueueMode::Contact, false).await;
    let attackers = (0..8).map(|_| {
        let (queue, stranger) = (&queue, &stranger);
        async move {
            let mut client = relay.client().await;
            let block = full_block(&mut client, 135, |client, _| {
                client.encode(Some(stranger), &queue.recipient_id, &Command::Subscribe).1
            });
            assert!(block.len() >= 70, "{}", block.len());
            let start = Instant::now();
            let mut blocks = 0;
            while start.elapsed() < Duration::from_secs(2) {
                client.send_block(&block).await;
                for _ in &block {
                    assert_eq!(client.receive().await.text(), "ERR AUTH");
                }
                blocks += 1;
            }
            blocks
        }
    });
    let blocks: usize = futures_util::future::join_all(attackers).await.into_iter().sum();
    eprintln!("{blocks} blocks of wrong signatures in 2 s");
    assert!(blocks > 0);
    sleep(Duration::from_millis(10)).await;
}
