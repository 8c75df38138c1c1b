//! Services, notifiers, askers for names and browsers, in numbers.

use std::time::{Duration, Instant};

use smp_crypto::key::{AuthorizationSecretKey, Ed25519SecretKey, X25519SecretKey};
use smp_proto::smp::notifier::NotifierKeys;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::smp::service::{IdsHash, ServiceQueues, ServiceRole};
use smp_proto::smp::{BrokerMessage, Command, sender};
use smp_proto::version::SmpVersion;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::certificates::{Claim, TestService};
use crate::harness::{PATIENCE, RawClient, TestQueue};
use crate::hunger::{delete, full_block, greedy_client, starve};
use crate::process::RelayProcess;

async fn service_session(relay: &RelayProcess, service: &TestService, role: ServiceRole) -> RawClient {
    let claim = Claim { in_tls: Some(service), in_hello: Some((service, role)), version: SmpVersion::MAX.0 };
    claim.connect_to(relay.address.port(), relay.fingerprint).await.unwrap_or_else(|(error, _)| panic!("{error:?}"))
}

/// Connects as another service each time, from some connections at once, for a while.
pub(crate) async fn strange_services(relay: &RelayProcess) {
    let (before, start) = (relay.memory(), Instant::now());
    let visitors = (0..8).map(|_| async {
        let mut count = 0;
        while start.elapsed() < Duration::from_secs(2) {
            drop(service_session(relay, &TestService::self_signed(), ServiceRole::Messaging).await);
            count += 1;
        }
        count
    });
    let count: u64 = futures_util::future::join_all(visitors).await.into_iter().sum();
    let cost = relay.memory().saturating_sub(before);
    eprintln!("{count} services: {} KiB", cost >> 10);
    // A record with a certificate, in memory or on its way to the disk, and what the allocator keeps of handshakes.
    assert!(cost <= count * (4 << 10) + (16 << 20), "{count} services cost {cost} bytes");
}

/// Two sessions of one service take its queues from each other and read nothing.
pub(crate) async fn service_quarrel(relay: &RelayProcess) {
    let service = TestService::self_signed();
    let mut owner = service_session(relay, &service, ServiceRole::Messaging).await;
    let mut queues = Vec::new();
    for _ in 0..100 {
        queues.push(owner.new_queue(QueueMode::Contact, true).await);
    }
    drop(owner);
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(service_session(relay, &service, ServiceRole::Messaging).await);
    }
    let subscribe = Command::SubscribeService(ServiceQueues { count: 100, hash: IdsHash::new(&[0; 16]) });
    let transmissions = |client: &mut RawClient| {
        let key = client.service.as_ref().unwrap().to_pkcs8();
        let key = AuthorizationSecretKey::Ed25519(Ed25519SecretKey::from_pkcs8(key.as_bytes()).unwrap());
        let id = client.session.context.service().unwrap().id().as_bytes().to_vec();
        full_block(client, 255, |client, _| client.encode(Some(&key), &id, &subscribe).1)
    };
    starve(relay, "SUBS quarrel", clients, transmissions, 16 << 20).await;
    let mut owner = relay.client().await;
    delete(&mut owner, &queues).await;
}

/// Queues whose notifiers have as many notifications as messages fit into a queue.
async fn notified_queues(owner: &mut RawClient, count: usize) -> Vec<(TestQueue, AuthorizationSecretKey, Vec<u8>)> {
    let mut queues = Vec::new();
    for _ in 0..count {
        let queue = owner.new_queue(QueueMode::Contact, false).await;
        let key = AuthorizationSecretKey::generate_ed25519(&mut rand::rng());
        let dh = X25519SecretKey::generate(&mut rand::rng());
        let keys = NotifierKeys { notifier_key: key.public_key(), recipient_dh_key: dh.public_key() };
        let response = owner.ask(Some(&queue.key), &queue.recipient_id, &Command::EnableNotifications(keys)).await;
        let BrokerMessage::NotifierId(ids) = response.decode(owner.version()) else { panic!("{}", response.text()) };
        let id = ids.notifier_id.as_bytes().to_vec();
        for _ in 0..2 {
            let block = full_block(owner, 60, |owner, _| {
                let send = Command::Send(sender::Send { notify: true, body: b"hello" });
                owner.encode(None, &queue.sender_id, &send).1
            });
            owner.send_block(&block).await;
            for _ in &block {
                assert_eq!(owner.receive().await.text(), "OK");
            }
        }
        queues.push((queue, key, id));
    }
    queues
}

/// Subscribes to notifiers with many notifications, again and again, and reads none of them.
pub(crate) async fn unread_notifications(relay: &RelayProcess) {
    let mut owner = relay.client().await;
    let queues = notified_queues(&mut owner, 100).await;
    let clients = vec![greedy_client(relay).await, greedy_client(relay).await];
    let transmissions = |client: &mut RawClient| {
        full_block(client, queues.len(), |client, number| {
            let (_, key, id) = &queues[number];
            client.encode(Some(key), id, &Command::SubscribeNotifications).1
        })
    };
    starve(relay, "NSUB quarrel", clients, transmissions, 16 << 20).await;
    let queues: Vec<_> = queues.into_iter().map(|(queue, ..)| queue).collect();
    delete(&mut owner, &queues).await;
}

/// Asks for more and more names while the resolver says nothing.
pub(crate) async fn unresolved_names(relay: &RelayProcess) {
    const CLIENTS: usize = 12;
    let (before, sockets, start) = (relay.memory(), relay.sockets(), Instant::now());
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        // The first one takes its answers.
        let mut client = if number == 0 { relay.client().await } else { greedy_client(relay).await };
        let correlation = |entry: u8| [u8::try_from(number).unwrap(), entry].repeat(12);
        let block: Vec<Vec<u8>> = (0..90)
            .map(|entry| {
                let name = format!("RSLV a{number}-{entry}-{}.simplex", "x".repeat(40));
                [&[0, 24][..], &correlation(entry), &[0], name.as_bytes()].concat()
            })
            .collect();
        client.send_block(&block).await;
        clients.push(client);
    }
    let (mut most, mut peak) = (0, 0);
    while start.elapsed() < Duration::from_secs(2) {
        most = most.max(relay.sockets().saturating_sub(sockets));
        peak = peak.max(relay.memory().saturating_sub(before));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answer = clients[0].receive().await.text();
    assert!(answer.starts_with("ERR NAME RESOLVER"), "{answer}");
    eprintln!("RSLV flood: {most} sockets, {} KiB", peak >> 10);
    // The limit of lookups, and those that just ended.
    assert!(most <= CLIENTS + 2 * 256, "{most} sockets");
    assert!(peak <= 24 << 20, "{peak} bytes");
}

/// Opens the web site slowly, from many connections, while somebody wants to see it.
pub(crate) async fn slow_browsers(relay: &RelayProcess) {
    let port = relay.http;
    let (before, start) = (relay.memory(), Instant::now());
    let mut slow = Vec::new();
    for _ in 0..600 {
        let mut tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // Cut off, perhaps, to make room.
        let _ = tcp.write_all(b"GET / HTTP/1.1\r\nHost: relay\r\nX-Slow: ").await;
        slow.push(tcp);
    }
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut page = Vec::new();
    timeout(PATIENCE, tcp.read_to_end(&mut page)).await.unwrap().unwrap();
    assert!(page.starts_with(b"HTTP/1.1 200 OK"));
    let cost = relay.memory().saturating_sub(before);
    eprintln!("{} slow browsers: {} KiB, a page in {:?}", slow.len(), cost >> 10, start.elapsed());
    assert!(cost <= 24 << 20, "{cost} bytes");
    // They are cut off, not only when they leave: the last of them reads the end.
    let mut last = slow.pop().unwrap();
    timeout(Duration::from_secs(20), last.read_to_end(&mut Vec::new())).await.unwrap().ok();
}
