//! A relay as the proxy of private routing (wire reference, section 12).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use smp_crypto::certificate::{Certificate, validate_server_chain};
use smp_crypto::key::AuthorizationSecretKey;
use smp_crypto::signed_key::SignedKey;
use smp_proto::address::ServerAddress;
use smp_proto::smp::proxy::ProxySession;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::Decode;
use smp_std::relay::config::Config;

use crate::fake::{Answer, FakeRelay, Greeting, nobody, silence};
use crate::harness::{RawClient, Received, TestRelay, ack, send_command};
use crate::routing::{RelaySession, Sealed};
use crate::{body, ed25519};

/// A server address as it travels.
pub(crate) fn encoded(address: SocketAddr, fingerprint: &[u8; 32]) -> Vec<u8> {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let short = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap()][..], bytes].concat();
    [vec![1], short(host.as_bytes()), short(port.as_bytes()), short(fingerprint)].concat()
}

fn config() -> Config {
    let mut config = Config::default();
    config.proxy.allow_private_addresses = true;
    config.proxy.connect_timeout_seconds = 2;
    config.proxy.command_timeout_seconds = 1;
    config
}

async fn proxy() -> TestRelay {
    TestRelay::start(config()).await
}

async fn destination(versions: (u16, u16)) -> TestRelay {
    let mut config = Config::default();
    config.server.versions = VersionRange::new(SmpVersion(versions.0), SmpVersion(versions.1)).ok();
    TestRelay::start(config).await
}

impl RawClient {
    /// PRXY, and whatever comes back.
    async fn request(&mut self, address: &[u8]) -> Received {
        let server = ServerAddress::from_bytes(address).unwrap();
        self.ask(None, &[], &Command::ProxySession(ProxySession { server, password: None })).await
    }

    /// PRXY, with the checks that an honest client makes.
    async fn session_with(&mut self, address: SocketAddr, fingerprint: &[u8; 32]) -> (RelaySession, String) {
        let received = self.request(&encoded(address, fingerprint)).await;
        let BrokerMessage::ProxyKey(key) = received.decode(self.version()) else { panic!("{}", received.text()) };
        let certificates: Vec<&[u8]> = key.chain.iter().collect();
        validate_server_chain(&certificates, fingerprint, 1_800_000_000).unwrap();
        let leaf = Certificate::from_der(certificates[0]).unwrap();
        let relay_key = SignedKey::from_der(key.signed_key.as_bytes()).unwrap().verify(leaf.public_key()).unwrap();
        let session =
            RelaySession { id: key.session_id.as_bytes().to_vec(), version: key.versions.max(), key: relay_key };
        (session, key.versions.to_string())
    }

    async fn start_forward(&mut self, session: &RelaySession, sealed: &Sealed) {
        let forward = sealed.forward();
        let command = session.command(&Command::ProxyForward(forward));
        let id = &session.id;
        let length = u8::try_from(id.len()).unwrap();
        let transmission = [&[0, 24][..], &sealed.correlation, &[length], id, &command].concat();
        self.send_block(&[transmission]).await;
    }

    /// PFWD, and whatever comes back.
    async fn forward(&mut self, session: &RelaySession, sealed: &Sealed) -> Received {
        self.start_forward(session, sealed).await;
        let received = self.response_to(&sealed.correlation).await;
        assert_eq!(received.entity, session.id);
        received
    }

    /// A command through the proxy: the text of its response.
    async fn tell_through(
        &mut self,
        session: &RelaySession,
        key: Option<&AuthorizationSecretKey>,
        entity: &[u8],
        command: &Command<'_>,
    ) -> String {
        let sealed = session.seal(key, entity, command);
        let received = self.forward(session, &sealed).await;
        let BrokerMessage::ProxyResponse(response) = received.decode(self.version()) else { return received.text() };
        let inner = sealed.open(response);
        assert_eq!(inner.correlation, sealed.correlation);
        inner.text()
    }
}

#[tokio::test]
async fn commands_travel_through_a_proxy_at_every_version() {
    let proxy = proxy().await;
    for (range, reported) in [
        ((6, 8), "8"),
        ((6, 9), "8-9"),
        ((8, 10), "8-10"),
        // Without the proxy flag the proxy speaks version 10 at most.
        ((6, 11), "8-10"),
        ((10, 13), "10"),
        ((6, 14), "8-14"),
        ((6, 16), "8-16"),
        ((6, 18), "8-18"),
        ((6, 20), "8-20"),
        ((20, 20), "20"),
    ] {
        let relay = destination(range).await;
        let mut alice = relay.client().await;
        for version in [8, 11, 20] {
            let mut bob = proxy.client_at(version).await;
            let (session, versions) = bob.session_with(relay.address, &relay.fingerprint).await;
            assert_eq!(versions, reported, "{range:?}");
            let queue = alice.new_queue(QueueMode::Messaging, true).await;
            let key = ed25519();
            if session.version >= SmpVersion::SENDER_SECURED && alice.version() >= SmpVersion::SENDER_SECURED {
                let secure = Command::SecureBySender(key.public_key());
                assert_eq!(bob.tell_through(&session, Some(&key), &queue.sender_id, &secure).await, "OK");
                let longest = vec![5; session.version.max_message_length()];
                let command = send_command(&longest);
                assert_eq!(bob.tell_through(&session, Some(&key), &queue.sender_id, &command).await, "OK");
                let (id, plain) = alice.message(&queue).await;
                assert_eq!(body(&plain), longest);
                assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &ack(&id)).await, "OK");
            }
            assert_eq!(bob.tell_through(&session, None, &[3; 24], &send_command(b"hello")).await, "ERR AUTH");
        }
        relay.stop().await;
    }
    let stats = proxy.relay.stats();
    assert_eq!((stats.proxy_sessions.requests.get(), stats.proxy_sessions.successes.get()), (30, 30));
    assert_eq!(stats.proxy_sessions_own.requests.get(), 0);
    assert_eq!(stats.proxy_forwards.requests.get(), stats.proxy_forwards.successes.get());
    proxy.stop().await;
}

/// All that can go wrong with PRXY.
#[tokio::test]
async fn a_relay_that_cannot_be_used_is_told_apart() {
    let proxy = proxy().await;
    let mut client = proxy.client().await;
    let good = FakeRelay::start(Greeting::Honest, (6, 20), Answer::Silent);
    let wrong_identity = encoded(good.address, &[7; 32]);
    for (address, expected) in [
        (encoded(nobody(), &[7; 32]), "ERR PROXY BROKER NETWORK"),
        (encoded(silence().await, &[7; 32]), "ERR PROXY BROKER NETWORK"),
        (wrong_identity, "ERR PROXY BROKER NETWORK"),
        (b"\x01\x09127.0.0.1\x0270\x00".to_vec(), "ERR PROXY BROKER NETWORK"),
        (encoded("[::1]:0".parse().unwrap(), &[7; 32]), "ERR PROXY BROKER HOST"),
        (
            [&b"\x01\x3e"[..], b"o5vmywmrnaxalvz6wi3zicyftgio6psuvyniis6gco6bp6ekl4cqj4id.onion", b"\0\x20", &[7; 32]]
                .concat(),
            "ERR PROXY BROKER HOST",
        ),
    ] {
        assert_eq!(client.request(&address).await.text(), expected);
    }
    for (greeting, versions, expected) in [
        (Greeting::Silent, (6, 20), "ERR PROXY BROKER NETWORK"),
        (Greeting::Hangup, (6, 20), "ERR PROXY BROKER NETWORK"),
        (Greeting::Garbage, (6, 20), "ERR PROXY BROKER TRANSPORT HANDSHAKE PARSE"),
        (Greeting::BadLength, (6, 20), "ERR PROXY BROKER TRANSPORT LARGE_MSG"),
        (Greeting::OtherSession, (6, 20), "ERR PROXY BROKER TRANSPORT SESSION"),
        (Greeting::NoKey, (6, 20), "ERR PROXY BROKER TRANSPORT NO_AUTH"),
        (Greeting::Forged, (6, 20), "ERR PROXY BROKER TRANSPORT HANDSHAKE BAD_AUTH"),
        (Greeting::Honest, (6, 7), "ERR PROXY BROKER TRANSPORT VERSION"),
        (Greeting::Honest, (6, 6), "ERR PROXY BROKER TRANSPORT VERSION"),
        (Greeting::Honest, (21, 22), "ERR PROXY BROKER TRANSPORT VERSION"),
        (Greeting::Honest, (11, 13), "ERR PROXY BROKER TRANSPORT VERSION"),
    ] {
        let fake = FakeRelay::start(greeting, versions, Answer::Silent);
        let address = encoded(fake.address, &fake.fingerprint);
        assert_eq!(client.request(&address).await.text(), expected, "{greeting:?} {versions:?}");
        // From memory.
        assert_eq!(client.request(&address).await.text(), expected, "{greeting:?} {versions:?}");
        assert_eq!(fake.connections.load(Ordering::SeqCst), 1);
    }
    let stats = &proxy.relay.stats().proxy_sessions;
    let counted =
        [&stats.requests, &stats.successes, &stats.connect_errors, &stats.version_errors, &stats.other_errors]
            .map(smp_std::relay::stats::Counter::get);
    assert_eq!(counted, [28, 0, 8, 10, 10]);
    proxy.stop().await;
}

/// All that can go wrong with PFWD: every row of section 12.5 that a relay can bring about.
#[tokio::test]
async fn what_a_relay_answers_is_passed_on_by_the_table() {
    let proxy = proxy().await;
    let mut client = proxy.client().await;
    let message = |text: &[u8]| Answer::Message(text.to_vec());
    for (answer, expected) in [
        (message(b"ERR CRYPTO"), &b"ERR PROXY PROTOCOL CRYPTO"[..]),
        (message(b"ERR BLOCK"), b"ERR PROXY PROTOCOL BLOCK"),
        (message(b"ERR CMD SYNTAX"), b"ERR PROXY PROTOCOL CMD SYNTAX"),
        (message(b"ERR PROXY BROKER TRANSPORT NO_AUTH"), b"ERR PROXY PROTOCOL PROXY BROKER TRANSPORT NO_AUTH"),
        (
            message(b"ERR BLOCKED reason=spam,notice={\"ttl\":60}"),
            b"ERR PROXY PROTOCOL BLOCKED reason=spam,notice={\"ttl\":60}",
        ),
        (message(b"HELLO"), b"ERR PROXY BROKER RESPONSE \x0bCMD UNKNOWN"),
        (message(b"ERR WHAT"), b"ERR PROXY BROKER RESPONSE \x0aCMD SYNTAX"),
        (message(b"OK "), b"ERR PROXY BROKER RESPONSE \x0aCMD SYNTAX"),
        (message(b"OK"), b"ERR PROXY BROKER UNEXPECTED \x02OK"),
        (message(b"PONG"), b"ERR PROXY BROKER UNEXPECTED \x04PONG"),
        (message(b"STORE ERR STORE but no more than thirty-two"), b"ERR PROXY BROKER RESPONSE \x0bCMD UNKNOWN"),
        (
            Answer::About(vec![1; 24], b"PRES and no more than thirty-two".to_vec()),
            b"ERR PROXY BROKER UNEXPECTED \x20PRES and no more than thirty-two",
        ),
        (message(b"RRES not sealed at all, but long enough"), b"ERR CRYPTO"),
        (message(b"RRES "), b"ERR CRYPTO"),
        (Answer::Sealed(b"\xffshort".to_vec()), b"ERR PROXY BROKER RESPONSE \x05BLOCK"),
        (Answer::Sealed(vec![]), b"ERR PROXY BROKER RESPONSE \x05BLOCK"),
        (Answer::Silent, b"ERR PROXY BROKER TIMEOUT"),
        (Answer::GarbageBlock, b"ERR PROXY BROKER TIMEOUT"),
        (Answer::Hangup, b"ERR PROXY BROKER NETWORK"),
    ] {
        let fake = FakeRelay::start(Greeting::Honest, (6, 20), answer.clone());
        let (session, _) = client.session_with(fake.address, &fake.fingerprint).await;
        let sealed = session.seal(None, &[1; 24], &send_command(b"hello"));
        let received = client.forward(&session, &sealed).await;
        assert_eq!(received.message, expected, "{answer:?}");
    }
    // A block that has no room for it.
    let fake = FakeRelay::start(Greeting::Honest, (6, 20), Answer::Silent);
    let (session, _) = client.session_with(fake.address, &fake.fingerprint).await;
    let mut sealed = session.seal(None, &[1; 24], &send_command(b"hello"));
    sealed.encrypted.extend([0; 2]);
    let expected = "ERR PROXY BROKER TRANSPORT LARGE_MSG";
    assert_eq!(client.forward(&session, &sealed).await.text(), expected);
    assert_eq!(fake.commands.load(Ordering::SeqCst), 0);
    // No such session.
    let unknown = RelaySession { id: vec![9; 32], ..session };
    let sealed = unknown.seal(None, &[1; 24], &send_command(b"hello"));
    assert_eq!(client.forward(&unknown, &sealed).await.text(), "ERR PROXY NO_SESSION");
    let stats = &proxy.relay.stats().proxy_forwards;
    assert_eq!((stats.successes.get(), stats.connect_errors.get(), stats.other_errors.get()), (5, 1, 15));
    proxy.stop().await;
}

#[tokio::test]
async fn who_may_not_use_the_proxy_is_told_so() {
    let relay = destination((6, 20)).await;
    let mut config = config();
    config.queues.password = Some("secret".to_owned());
    let proxy = TestRelay::start(config.clone()).await;
    let mut client = proxy.client().await;
    let address = encoded(relay.address, &relay.fingerprint);
    let with = |password: &[u8]| [b"PRXY ", &address[..], password].concat();
    assert_eq!(client.tell_raw(None, &[], &with(b"0")).await, "ERR PROXY BASIC_AUTH");
    assert_eq!(client.tell_raw(None, &[], &with(b"1\x06wrong!")).await, "ERR PROXY BASIC_AUTH");
    assert!(client.tell_raw(None, &[], &with(b"1\x06secret")).await.starts_with("PKEY "));
    assert_eq!(client.tell_raw(None, &[], &with(b"")).await, "ERR CMD SYNTAX");
    assert_eq!(client.tell_raw(None, &[1; 24], &with(b"0")).await, "ERR CMD HAS_AUTH");
    proxy.stop().await;

    config.queues.password = None;
    config.proxy.enabled = false;
    let closed = TestRelay::start(config.clone()).await;
    assert_eq!(closed.client().await.request(&address).await.text(), "ERR PROXY BASIC_AUTH");
    closed.stop().await;

    // By default nobody looks around in the relay's own network through it.
    config.proxy = smp_std::relay::config::Proxy::default();
    config.proxy.own_server_domains = vec!["localhost".to_owned()];
    let careful = TestRelay::start(config).await;
    let mut client = careful.client().await;
    for host in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "localhost"] {
        let length = u8::try_from(host.len()).unwrap();
        let address = [&[1, length][..], host.as_bytes(), b"\x045223\x20", &[1; 32]].concat();
        assert_eq!(client.request(&address).await.text(), "ERR PROXY BROKER HOST", "{host}");
    }
    assert_eq!(careful.relay.stats().proxy_sessions_own.other_errors.get(), 1);
    careful.stop().await;
    relay.stop().await;
}

/// A relay can be its own proxy, as it would be for any other.
#[tokio::test]
async fn a_relay_may_be_its_own_destination() {
    let relay = proxy().await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    let (session, _) = bob.session_with(relay.address, &relay.fingerprint).await;
    assert_eq!(bob.tell_through(&session, None, &queue.sender_id, &send_command(b"hello")).await, "OK");
    assert_eq!(body(&alice.message(&queue).await.1), b"hello");
    relay.stop().await;
}

/// One connection for all, made once although all ask at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_clients_share_one_connection() {
    let relay = destination((6, 20)).await;
    let mut config = config();
    config.proxy.command_timeout_seconds = 30;
    config.proxy.connect_timeout_seconds = 30;
    let proxy = TestRelay::start(config).await;
    let mut alice = relay.client().await;
    let queue = alice.new_queue(QueueMode::Contact, false).await;
    let before = relay.relay.connections();
    let mut clients = Vec::new();
    for _ in 0..1_000 {
        clients.push(proxy.client().await);
    }
    // Without optimization a command takes its time.
    let turns = std::sync::Arc::new(tokio::sync::Semaphore::new(100));
    let work = clients.into_iter().map(|mut client| {
        let turns = std::sync::Arc::clone(&turns);
        let (address, fingerprint, sender_id) = (relay.address, relay.fingerprint, queue.sender_id.clone());
        tokio::spawn(async move {
            let (session, _) = client.session_with(address, &fingerprint).await;
            let _turn = turns.acquire().await.unwrap();
            let text = client.tell_through(&session, None, &sender_id, &send_command(b"hello")).await;
            (session.id, text, client)
        })
    });
    let work: Vec<_> = work.collect();
    let mut sessions = HashMap::new();
    let mut texts = HashMap::<String, usize>::new();
    for work in work {
        let (session, text, _client) = work.await.unwrap();
        *sessions.entry(session).or_insert(0) += 1;
        *texts.entry(text).or_insert(0) += 1;
    }
    assert_eq!(sessions.len(), 1);
    assert_eq!(relay.relay.connections(), before + 1);
    // The queue takes 128 and then says that it is full.
    assert_eq!((texts["OK"], texts["ERR QUOTA"]), (128, 872));
    relay.stop().await;
    proxy.stop().await;
}

/// A session ends with its relay; the next request makes a new one.
#[tokio::test]
async fn a_relay_that_restarts_is_found_again() {
    let mut config = config();
    config.proxy.failure_memory_seconds = 1;
    let proxy = TestRelay::start(config).await;
    let mut client = proxy.client().await;
    let first = destination((6, 20)).await;
    let (session, _) = client.session_with(first.address, &first.fingerprint).await;
    assert_eq!(client.tell_through(&session, None, &[1; 24], &send_command(b"x")).await, "ERR AUTH");
    let (address, fingerprint, directory) = first.stop_keeping().await;
    // Both are true, for a moment: the connection has ended, and nobody has told the proxy yet.
    let text = client.tell_through(&session, None, &[1; 24], &send_command(b"x")).await;
    assert!(["ERR PROXY NO_SESSION", "ERR PROXY BROKER NETWORK"].contains(&text.as_str()), "{text}");
    let text = client.tell_through(&session, None, &[1; 24], &send_command(b"x")).await;
    assert_eq!(text, "ERR PROXY NO_SESSION");
    let encoded = encoded(address, &fingerprint);
    assert_eq!(client.request(&encoded).await.text(), "ERR PROXY BROKER NETWORK");
    let again = TestRelay::start_at(Config::default(), address, directory).await;
    assert_eq!(client.request(&encoded).await.text(), "ERR PROXY BROKER NETWORK", "remembered");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let (session, _) = client.session_with(again.address, &again.fingerprint).await;
    assert_eq!(client.tell_through(&session, None, &[1; 24], &send_command(b"x")).await, "ERR AUTH");
    again.stop().await;
    proxy.stop().await;
}

/// A client that floods, and a relay that never answers, slow down nobody else.
#[tokio::test]
async fn floods_and_slow_relays_cost_only_themselves() {
    let mut config = config();
    config.proxy.command_timeout_seconds = 8;
    config.proxy.client_in_flight = 4;
    let proxy = TestRelay::start(config).await;
    let slow = FakeRelay::start(Greeting::Honest, (6, 20), Answer::Silent);
    let good = destination((6, 20)).await;
    let mut flooder = proxy.client().await;
    let (slow_session, _) = flooder.session_with(slow.address, &slow.fingerprint).await;
    let begun = Instant::now();
    for _ in 0..8 {
        let sealed = slow_session.seal(None, &[1; 24], &send_command(b"x"));
        flooder.start_forward(&slow_session, &sealed).await;
    }
    let mut other = proxy.client().await;
    let (session, _) = other.session_with(good.address, &good.fingerprint).await;
    for _ in 0..20 {
        assert_eq!(other.tell_through(&session, None, &[1; 24], &send_command(b"x")).await, "ERR AUTH");
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    // No more than four were passed on at a time.
    assert_eq!(slow.commands.load(Ordering::SeqCst), 4);
    for _ in 0..4 {
        assert_eq!(flooder.receive().await.text(), "ERR PROXY BROKER TIMEOUT");
    }
    // A relay that has not said a word in this time is given up.
    for _ in 4..8 {
        assert_eq!(flooder.receive().await.text(), "ERR PROXY NO_SESSION");
    }
    good.stop().await;
    proxy.stop().await;
}

/// Commands that wait take up memory that is bounded, and give it back.
#[tokio::test]
async fn there_is_a_bound_on_what_waits() {
    let mut config = config();
    config.proxy.in_flight = 9;
    config.proxy.command_timeout_seconds = 8;
    let proxy = TestRelay::start(config).await;
    let slow = FakeRelay::start(Greeting::Honest, (6, 20), Answer::Silent);
    let good = destination((6, 20)).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = proxy.client().await;
        let (session, _) = client.session_with(slow.address, &slow.fingerprint).await;
        let sealed = session.seal(None, &[1; 24], &send_command(b"x"));
        client.start_forward(&session, &sealed).await;
        clients.push(client);
    }
    // Half of what there is goes to one relay, and the rest is left for others.
    let mut client = proxy.client().await;
    let (session, _) = client.session_with(good.address, &good.fingerprint).await;
    assert_eq!(client.tell_through(&session, None, &[1; 24], &send_command(b"x")).await, "ERR AUTH");
    for client in &mut clients {
        assert_eq!(client.receive().await.text(), "ERR PROXY BROKER TIMEOUT");
    }
    let passed_on = slow.commands.load(Ordering::SeqCst);
    assert_eq!(passed_on, 5);
    assert_eq!(proxy.relay.stats().limits.forwarding.get(), 5);
    assert_eq!(client.tell_through(&session, None, &[1; 24], &send_command(b"x")).await, "ERR AUTH");
    good.stop().await;
    proxy.stop().await;
}

/// The time of a command runs also while others are passed on before it: to a relay that takes its time for each, the last of
/// many would otherwise take up its place among those of its client for many times as long.
#[tokio::test]
async fn commands_do_not_wait_longer_for_a_slow_relay_because_others_do() {
    const COMMANDS: usize = 120;
    let mut config = config();
    config.proxy.command_timeout_seconds = 2;
    config.proxy.client_in_flight = 2 * COMMANDS;
    let proxy = TestRelay::start(config).await;
    let slow = FakeRelay::start(Greeting::Honest, (6, 20), Answer::Slow(Duration::from_millis(200)));
    let mut client = proxy.client().await;
    let (session, _) = client.session_with(slow.address, &slow.fingerprint).await;
    let begun = Instant::now();
    for _ in 0..COMMANDS {
        let sealed = session.seal(None, &[1; 24], &send_command(b"x"));
        client.start_forward(&session, &sealed).await;
    }
    let mut answered = 0;
    for _ in 0..COMMANDS {
        match client.receive().await.text().as_str() {
            "ERR PROXY PROTOCOL AUTH" => answered += 1,
            text => assert_eq!(text, "ERR PROXY BROKER TIMEOUT"),
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    assert!(answered > 0);
    proxy.stop().await;
}

/// When there are as many connections as allowed, the one that was not used for longest makes room.
#[tokio::test]
async fn connections_make_room_for_others() {
    let mut config = config();
    config.proxy.connections = 2;
    let proxy = TestRelay::start(config).await;
    let mut client = proxy.client().await;
    let mut sessions = Vec::new();
    let mut relays = Vec::new();
    for _ in 0..4 {
        let relay = destination((6, 20)).await;
        sessions.push(client.session_with(relay.address, &relay.fingerprint).await.0);
        relays.push(relay);
        tokio::time::sleep(Duration::from_millis(1_050)).await;
    }
    for (session, expected) in
        sessions.iter().zip(["ERR PROXY NO_SESSION", "ERR PROXY NO_SESSION", "ERR AUTH", "ERR AUTH"])
    {
        assert_eq!(client.tell_through(session, None, &[1; 24], &send_command(b"x")).await, expected);
    }
    assert_eq!(relays[0].relay.connections(), 0);
    for relay in relays {
        relay.stop().await;
    }
    proxy.stop().await;
}

/// Whoever has commands forwarded to relays that never answer does not keep all the connections there may be.
#[tokio::test]
async fn silent_relays_make_room_for_others() {
    let mut config = config();
    config.proxy.connections = 2;
    config.proxy.command_timeout_seconds = 60;
    let proxy = TestRelay::start(config).await;
    let silent = [(); 2].map(|()| FakeRelay::start(Greeting::Honest, (6, 20), Answer::Silent));
    let good = destination((6, 20)).await;
    let (mut greedy, mut other) = (proxy.client().await, proxy.client().await);
    for relay in &silent {
        let (session, _) = greedy.session_with(relay.address, &relay.fingerprint).await;
        let sealed = session.seal(None, &[1; 24], &send_command(b"x"));
        greedy.start_forward(&session, &sealed).await;
    }
    let encoded = encoded(good.address, &good.fingerprint);
    assert_eq!(other.request(&encoded).await.text(), "ERR PROXY BROKER TIMEOUT", "they may still answer");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let (session, _) = other.session_with(good.address, &good.fingerprint).await;
    assert_eq!(other.tell_through(&session, None, &[1; 24], &send_command(b"x")).await, "ERR AUTH");
    assert_eq!(greedy.receive().await.text(), "ERR PROXY BROKER NETWORK");
    assert_eq!(proxy.relay.upstream_connections(), 2);
    good.stop().await;
    proxy.stop().await;
}

/// Relays are pinged while nothing else happens, and connections nobody uses are closed.
#[tokio::test]
async fn quiet_connections_are_kept_alive_for_a_while() {
    let mut config = config();
    config.proxy.ping_interval_seconds = 1;
    config.proxy.idle_timeout_seconds = 4;
    let proxy = TestRelay::start(config).await;
    let relay = destination((6, 20)).await;
    let mut client = proxy.client().await;
    let (session, _) = client.session_with(relay.address, &relay.fingerprint).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(client.tell_through(&session, None, &[1; 24], &send_command(b"x")).await, "ERR AUTH");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(relay.relay.connections(), 1);
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert_eq!(relay.relay.connections(), 0);
    assert_eq!(client.tell_through(&session, None, &[1; 24], &send_command(b"x")).await, "ERR PROXY NO_SESSION");
    relay.stop().await;
    proxy.stop().await;
}
