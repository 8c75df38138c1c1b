//! Private routing, misused: as another relay that forwards, and as a client that has things forwarded.

use std::time::{Duration, Instant};

use smp_crypto::key::AuthorizationSecretKey;
use smp_crypto::routing::ProxyLayer;
use smp_proto::address::ServerAddress;
use smp_proto::id::LinkId;
use smp_proto::smp::Command;
use smp_proto::smp::link::{LinkData, SetLink};
use smp_proto::smp::proxy::ProxySession;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::smp::{BrokerMessage, sender};
use smp_proto::wire::{Decode, LongString};
use tokio::net::TcpListener;

use crate::fake::{Answer, FakeRelay, Greeting, nobody};
use crate::harness::{RawClient, TestQueue, send_command};
use crate::hunger::{delete, greedy_client, greedy_proxy, push_until_stuck, starve};
use crate::process::RelayProcess;
use crate::routing::{RawProxy, RelaySession};

/// A server address as it travels.
fn encoded(host: &str, port: u16, fingerprint: &[u8; 32]) -> Vec<u8> {
    let short = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap()][..], bytes].concat();
    [vec![1], short(host.as_bytes()), short(port.to_string().as_bytes()), short(fingerprint)].concat()
}

fn session(client: &RawClient) -> RelaySession {
    let context = &client.session.context;
    RelaySession {
        id: context.session_id().as_bytes().to_vec(),
        version: context.version(),
        key: *context.peer_key().unwrap(),
    }
}

/// What another relay sends to have a command carried out.
fn forwarded(
    client: &mut RawClient,
    key: Option<&AuthorizationSecretKey>,
    entity: &[u8],
    command: &Command<'_>,
) -> Vec<u8> {
    let session = session(client);
    let sealed = session.seal(key, entity, command);
    let layer = ProxyLayer::new(&client.session.context.session_secret().unwrap());
    let correlation: [u8; 24] = rand::random();
    let parameter = RawProxy::wrap_in(&layer, &correlation, &sealed);
    [&[0, 24][..], &correlation, &[0], b"RFWD ", &parameter].concat()
}

/// A queue with as much link data as there may be, and its link.
async fn linked_queue(owner: &mut RawClient) -> (TestQueue, [u8; 24]) {
    let queue = owner.new_queue(QueueMode::Contact, false).await;
    let link: [u8; 24] = rand::random();
    let (fixed, user) = (vec![1; 2_048], vec![2; 13_824]);
    let data = LinkData { fixed: LongString::new(&fixed).unwrap(), user: LongString::new(&user).unwrap() };
    let command = Command::SetLink(SetLink { link_id: LinkId::new(&link).unwrap(), data });
    assert_eq!(owner.tell(Some(&queue.key), &queue.recipient_id, &command).await, "OK");
    (queue, link)
}

/// Asks for link data in the name of others and reads none of it.
pub(crate) async fn forwarded_links(relay: &RelayProcess) {
    let mut owner = relay.client().await;
    let (queue, link) = linked_queue(&mut owner).await;
    let clients = [greedy_proxy(relay).await, greedy_proxy(relay).await, greedy_proxy(relay).await].into();
    let transmissions = |client: &mut RawClient| vec![forwarded(client, None, &link, &Command::GetLink)];
    starve(relay, "forwarded LGET flood", clients, transmissions, 0).await;
    delete(&mut owner, &[queue]).await;
}

/// Asks for link data itself and reads none of it.
pub(crate) async fn own_links(relay: &RelayProcess) {
    let mut owner = relay.client().await;
    let (queue, link) = linked_queue(&mut owner).await;
    let clients = [greedy_client(relay).await, greedy_client(relay).await, greedy_client(relay).await].into();
    let transmissions = |client: &mut RawClient| {
        crate::hunger::full_block(client, 255, |client, _| client.encode(None, &link, &Command::GetLink).1)
    };
    starve(relay, "LGET flood", clients, transmissions, 0).await;
    delete(&mut owner, &[queue]).await;
}

/// Sends for others and reads none of the answers.
pub(crate) async fn forwarded_sends(relay: &RelayProcess) {
    /// What waits for the disk, as with messages sent directly.
    const STORE: u64 = (16 + 5 * 16 + 16) << 20;
    let mut owner = relay.client().await;
    let queue = owner.new_queue(QueueMode::Contact, false).await;
    let clients = [greedy_proxy(relay).await, greedy_proxy(relay).await].into();
    let body = vec![5; 15_000];
    let command = Command::Send(sender::Send { notify: true, body: &body });
    let transmissions = |client: &mut RawClient| vec![forwarded(client, None, &queue.sender_id, &command)];
    starve(relay, "forwarded SEND flood", clients, transmissions, STORE).await;
    delete(&mut owner, &[queue]).await;
}

/// Forwards what cannot be opened, and reads none of the answers.
pub(crate) async fn forwarded_garbage(relay: &RelayProcess) {
    let clients = [greedy_proxy(relay).await, greedy_proxy(relay).await].into();
    let garbage: Vec<Vec<u8>> =
        (0..60).map(|number| [&[0, 24][..], &[number; 24], &[0], b"RFWD ", &[number; 200]].concat()).collect();
    starve(relay, "forwarded garbage", clients, |_: &mut RawClient| garbage.clone(), 0).await;
}

/// PRXY: the whole transmission.
fn request(client: &mut RawClient, address: &[u8]) -> Vec<u8> {
    let server = ServerAddress::from_bytes(address).unwrap();
    client.encode(None, b"", &Command::ProxySession(ProxySession { server, password: None })).1
}

/// A session with a relay, which must come about.
async fn proxied(client: &mut RawClient, relay: &FakeRelay) -> RelaySession {
    let address = encoded("127.0.0.1", relay.address.port(), &relay.fingerprint);
    let server = ServerAddress::from_bytes(&address).unwrap();
    let received = client.ask(None, &[], &Command::ProxySession(ProxySession { server, password: None })).await;
    let BrokerMessage::ProxyKey(key) = received.decode(client.version()) else { panic!("{}", received.text()) };
    // The key is not looked at: the relay at the other end never opens anything.
    RelaySession { id: key.session_id.as_bytes().to_vec(), version: key.versions.max(), key: session(client).key }
}

/// Has as much forwarded as a client may to a relay that never answers.
pub(crate) async fn unanswered_forwards(relay: &RelayProcess) {
    const CLIENTS: usize = 8;
    let silent = FakeRelay::start(Greeting::Honest, (6, 20), Answer::Silent);
    let (before, start) = (relay.memory(), Instant::now());
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = greedy_client(relay).await;
        let session = proxied(&mut client, &silent).await;
        let sealed = session.seal(None, &[3; 24], &send_command(&[5; 15_000]));
        let command = session.command(&Command::ProxyForward(sealed.forward()));
        let id = &session.id;
        let length = u8::try_from(id.len()).unwrap();
        clients.push((client, vec![[&[0, 24][..], &sealed.correlation, &[length], id, &command].concat()]));
    }
    let pushing = clients.iter_mut().map(|(client, block)| push_until_stuck(client, block));
    let taken: usize = futures_util::future::join_all(pushing).await.into_iter().sum();
    let cost = relay.memory().saturating_sub(before);
    eprintln!("PFWD flood: {taken} blocks of {CLIENTS} clients in {:?}, {} KiB", start.elapsed(), cost >> 10);
    // What is passed on is not kept, and the client's share of the rest is small.
    assert!(cost <= (16 << 20) + CLIENTS as u64 * (512 << 10), "{cost} bytes");
    // Somebody else's command is passed on meanwhile.
    let other = FakeRelay::start(Greeting::Honest, (6, 20), Answer::Silent);
    proxied(&mut relay.client().await, &other).await;
}

/// Names hundreds of relays that do not answer: others still reach theirs.
pub(crate) async fn unreachable_relays(relay: &RelayProcess) {
    const CLIENTS: u16 = 16;
    const EACH: u16 = 30;
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let (silent, closed) = (listener.local_addr().unwrap().port(), nobody().port());
    let holding = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(accepted) = listener.accept().await {
            held.push(accepted);
        }
    });
    let (before, sockets, start) = (relay.memory(), relay.sockets(), Instant::now());
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = greedy_client(relay).await;
        let mut block = Vec::new();
        for each in 0..EACH {
            let host = format!("127.0.{}.{}", number + 1, each + 1);
            block.push(request(&mut client, &encoded(&host, silent, &[7; 32])));
            if each % 8 == 0 {
                block.push(request(&mut client, &encoded(&host, closed, &[7; 32])));
            }
        }
        client.send_block(&block).await;
        clients.push(client);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (cost, opened) = (relay.memory().saturating_sub(before), relay.sockets().saturating_sub(sockets));
    eprintln!("PRXY flood: {opened} sockets, {} KiB", cost >> 10);
    assert!(opened <= 256 + usize::from(CLIENTS) + 8, "{opened} sockets");
    assert!(cost <= (24 << 20) + u64::from(CLIENTS) * (512 << 10), "{cost} bytes");
    let good = FakeRelay::start(Greeting::Honest, (6, 20), Answer::Silent);
    let honest = Instant::now();
    proxied(&mut relay.client().await, &good).await;
    eprintln!("an honest PRXY among them: {:?}", honest.elapsed());
    // Nobody waits for ever.
    for client in &mut clients {
        assert!(client.receive().await.text().starts_with("ERR PROXY BROKER "));
    }
    drop(clients);
    let left = relay.wait_for_sockets(0..=sockets + 2, Duration::from_secs(15)).await;
    assert!(left <= sockets + 2, "{left} sockets, {sockets} before");
    eprintln!("PRXY flood over after {:?}", start.elapsed());
    holding.abort();
}
