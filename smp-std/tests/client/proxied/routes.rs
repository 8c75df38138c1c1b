//! A router and its policies, over real sockets.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use smp_proto::address::{Host, Port, Scheme, ServerBuf, ServerUri};
use smp_proto::id::QueueId;
use smp_proto::smp::BrokerMessage;
use smp_proto::smp::error::{BrokerError, NetworkError, ProxyError, SmpError, TransportError};
use smp_proto::smp::recipient::QueueMode;
use smp_proto::uri::{QueueAddress, QueueUri};
use smp_proto::version::VersionRange;
use smp_std::client::{
    ClientError, Options, ProxyFailure, ProxyMode, Router, RoutingPolicy, SendQueue, SenderCommands,
};
use smp_std::identity::Identity;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::behind::{Behind, new_identity, relay_address, relay_identity};
use super::failure;
use crate::queue;
use crate::reconnect::address;
use crate::scripted::{Peer, accept, versions};

/// What a scripted proxy does with the next PRXY or PFWD.
#[derive(Clone, Copy)]
enum Step {
    /// What a good proxy does.
    Good,
    /// Answers with an error.
    Refuse(SmpError<'static>),
    /// Shows another identity for the relay.
    Lie,
    /// Closes the connection.
    Leave,
}

/// A proxy that follows a list of steps, and after that is good.
struct Proxy {
    server: ServerUri,
    connections: Arc<AtomicUsize>,
    /// The commands it got: `P` for PRXY, `F` for PFWD.
    log: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Proxy {
    async fn start(steps: &[Step]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = ServerUri::new(Scheme::Smp, address(&listener), None);
        let (connections, log) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(String::new())));
        let steps = Arc::new(Mutex::new(steps.iter().copied().rev().collect::<Vec<_>>()));
        let (count, written) = (Arc::clone(&connections), Arc::clone(&log));
        let task = tokio::spawn(async move {
            let liar: Arc<Identity> = Arc::new(new_identity());
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let (steps, log, liar) = (Arc::clone(&steps), Arc::clone(&written), Arc::clone(&liar));
                tokio::spawn(async move {
                    let mut peer = Peer::greet(accept(socket).await.unwrap(), versions(6, 20)).await;
                    let mut behind = Behind::new();
                    loop {
                        let waiting = peer.asked().await;
                        if waiting.is_empty() {
                            return;
                        }
                        for asked in waiting {
                            let is_session = asked.command.starts_with(b"PRXY ");
                            log.lock().unwrap().push(if is_session { 'P' } else { 'F' });
                            let step = steps.lock().unwrap().pop().unwrap_or(Step::Good);
                            match step {
                                Step::Leave => return,
                                Step::Refuse(error) => peer.answer(&asked, BrokerMessage::Error(error)).await,
                                Step::Lie => behind.introduce(&mut peer, &asked, &liar).await,
                                Step::Good if is_session => {
                                    behind = Behind::new();
                                    behind.introduce(&mut peer, &asked, relay_identity()).await;
                                }
                                Step::Good => behind.answer(&mut peer, &asked, BrokerMessage::Ok).await,
                            }
                        }
                    }
                });
            }
        });
        Self { server, connections, log, task }
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn policy(mode: ProxyMode, proxies: &[&Proxy], direct_fallback: bool) -> RoutingPolicy {
    let mut policy = RoutingPolicy::default();
    policy.mode = mode;
    policy.proxies = proxies.iter().map(|proxy| proxy.server.clone()).collect();
    policy.direct_fallback = direct_fallback;
    policy
}

fn router(policy: RoutingPolicy) -> Router {
    let mut options = Options::interactive();
    options.response_time_out = Duration::from_secs(5);
    Router::new(policy, options)
}

/// Sends through the proxy to the relay behind it.
async fn send(router: &Router) -> Result<(), ClientError> {
    let queue = queue(1);
    let route = router.route(&relay_address().address()).unwrap();
    route.send(&queue.id, Some(&queue.key), true, b"x").await
}

const NO_SESSION: Step = Step::Refuse(SmpError::Proxy(ProxyError::NoSession));

const fn broker(error: BrokerError<'static>) -> Step {
    Step::Refuse(SmpError::Proxy(ProxyError::Broker(error)))
}

#[tokio::test]
async fn sessions_are_kept_and_a_lost_one_is_asked_for_again_once() {
    let proxy = Proxy::start(&[Step::Good, Step::Good, NO_SESSION, Step::Good, Step::Good, Step::Good]).await;
    let router = router(policy(ProxyMode::Always, &[&proxy], false));
    for _ in 0..3 {
        send(&router).await.unwrap();
    }
    assert_eq!(proxy.log(), "PFFPFF");
    assert_eq!(proxy.connections.load(Ordering::Relaxed), 1);

    let stubborn = Proxy::start(&[Step::Good, NO_SESSION, Step::Good, NO_SESSION]).await;
    let router = self::router(policy(ProxyMode::Always, &[&stubborn], true));
    assert!(matches!(failure(send(&router).await), ProxyFailure::NoSession));
    assert_eq!(stubborn.log(), "PFPF");
    send(&router).await.unwrap();
}

#[tokio::test]
async fn a_proxy_that_goes_is_connected_to_again() {
    let proxy = Proxy::start(&[Step::Good, Step::Good, Step::Leave]).await;
    let router = router(policy(ProxyMode::Always, &[&proxy], false));
    send(&router).await.unwrap();
    // Whether this one was forwarded is not known: the caller is asked.
    assert!(send(&router).await.unwrap_err().is_temporary());
    send(&router).await.unwrap();
    assert_eq!(proxy.log(), "PFFPF");
    assert_eq!(proxy.connections.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn one_way_is_made_for_all_who_need_it_at_once() {
    let proxy = Proxy::start(&[]).await;
    let router = router(policy(ProxyMode::Always, &[&proxy], false));
    let sends = (0..10).map(|_| {
        let router = router.clone();
        async move { send(&router).await }
    });
    for result in futures_util::future::join_all(sends).await {
        result.unwrap();
    }
    assert_eq!(proxy.log().matches('P').count(), 1);
    assert_eq!(proxy.log().matches('F').count(), 10);
}

/// Ten relays behind a proxy that says nothing, and ten commands for each: one attempt is enough to know.
#[tokio::test]
async fn a_proxy_that_does_not_answer_is_waited_for_once_by_all() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut policy = policy(ProxyMode::Always, &[], false);
    policy.proxies = vec![ServerUri::new(Scheme::Smp, address(&listener), None)];
    let mut options = Options::interactive();
    options.connect_time_out = Duration::from_secs(2);
    let router = Router::new(policy, options);
    let sends = (0..100).map(|number| {
        let router = router.clone();
        async move {
            let host = format!("relay{}.example", number % 10);
            let relay = ServerBuf::new(Host::parse(&host).unwrap(), Port::new(5223), &[7; 32]).unwrap();
            let queue = queue(1);
            router.route(&relay.address()).unwrap().send(&queue.id, Some(&queue.key), true, b"x").await
        }
    });
    let mut connections = Vec::new();
    let accepting = async {
        loop {
            connections.push(listener.accept().await.unwrap());
        }
    };
    let sent = tokio::select! {
        sent = futures_util::future::join_all(sends) => sent,
        () = accepting => unreachable!(),
    };
    for result in sent {
        let error = failure(result);
        assert!(matches!(&error, ProxyFailure::Connection(error) if matches!(**error, ClientError::Timeout)));
    }
    assert_eq!(connections.len(), 1);
}

#[tokio::test]
async fn another_proxy_is_taken_when_one_cannot_be_used() {
    let gone = Proxy::start(&[]).await;
    gone.task.abort();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let locked = Proxy::start(&[Step::Refuse(SmpError::Proxy(ProxyError::BasicAuth)); 20]).await;
    let good = Proxy::start(&[]).await;
    for _ in 0..5 {
        let router = router(policy(ProxyMode::Always, &[&gone, &locked, &good], false));
        send(&router).await.unwrap();
    }
    let router = self::router(policy(ProxyMode::Always, &[&gone], true));
    let error = failure(send(&router).await);
    assert!(matches!(error, ProxyFailure::Connection(_)) && error.is_temporary(), "{error:?}");
}

#[tokio::test]
async fn a_proxy_with_another_certificate_is_said_so() {
    let good = Proxy::start(&[]).await;
    let port = Port::new(good.server.port().unwrap());
    let wrong = ServerBuf::new(Host::parse("127.0.0.1").unwrap(), port, &[7; 32]).unwrap();
    let mut policy = policy(ProxyMode::Always, &[], true);
    policy.proxies = vec![ServerUri::new(Scheme::Smp, wrong, None)];
    let error = failure(send(&router(policy)).await);
    let ProxyFailure::Connection(error) = error else { panic!("{error:?}") };
    assert!(matches!(*error, ClientError::Identity));
    assert_eq!(good.log(), "");
}

/// A relay that can be connected to, and how often somebody did.
async fn destination() -> (ServerBuf, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = Port::new(listener.local_addr().unwrap().port());
    // An address of the loopback network that no proxy has.
    let relay = ServerBuf::new(Host::parse("localhost").unwrap(), port, relay_identity().fingerprint()).unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let connections = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            // Left open and unanswered: that somebody connects at all is what matters.
            let (socket, _) = listener.accept().await.unwrap();
            connections.fetch_add(1, Ordering::Relaxed);
            drop(socket);
        }
    });
    (relay, count)
}

#[tokio::test]
async fn only_what_is_impossible_brings_about_a_direct_connection_and_only_if_allowed() {
    let network = BrokerError::Network(NetworkError::Failed);
    for (step, direct) in [
        (broker(BrokerError::Host), true),
        (broker(BrokerError::Transport(TransportError::Version)), true),
        (broker(network), false),
        (broker(BrokerError::Timeout), false),
        (broker(BrokerError::Transport(TransportError::NoServerKey)), false),
        (broker(BrokerError::Network(NetworkError::UnknownAuthority)), false),
        (Step::Refuse(SmpError::Proxy(ProxyError::BasicAuth)), false),
        (Step::Refuse(SmpError::Internal), false),
        (Step::Lie, false),
        (Step::Leave, false),
    ] {
        for allowed in [false, true] {
            let (relay, connections) = destination().await;
            let proxy = Proxy::start(&[step]).await;
            let router = router(policy(ProxyMode::Always, &[&proxy], allowed));
            let route = router.route(&relay.address()).unwrap();
            let queue = queue(1);
            let error = route.send(&queue.id, None, true, b"x").await.unwrap_err();
            if matches!(step, Step::Lie) {
                assert!(matches!(error, ClientError::Identity), "{error:?}");
            }
            assert_eq!(connections.load(Ordering::Relaxed) > 0, direct && allowed, "{error:?}");
        }
    }
}

#[tokio::test]
async fn relays_are_no_proxies_for_themselves_and_known_ones_need_none() {
    let (relay, connections) = destination().await;
    let as_proxy = ServerUri::new(Scheme::Smp, relay.clone(), None);
    let count = || connections.swap(0, Ordering::Relaxed);
    for (mode, known, fallback, direct) in [
        (ProxyMode::Always, false, false, false),
        (ProxyMode::Always, false, true, true),
        (ProxyMode::UnknownRelays, false, false, true),
        (ProxyMode::UnknownRelays, true, false, true),
        (ProxyMode::Never, false, false, true),
    ] {
        let mut policy = policy(mode, &[], fallback);
        if known {
            policy.known = vec![relay.clone()];
        } else {
            policy.proxies = vec![as_proxy.clone()];
        }
        let route = router(policy).route(&relay.address()).unwrap();
        let error = route.version().await.unwrap_err();
        assert_eq!(count() > 0, direct, "{mode:?}: {error:?}");
        assert_eq!(matches!(error, ClientError::NoProxy), !direct);
    }
    let proxy = Proxy::start(&[]).await;
    let router = router(policy(ProxyMode::UnknownRelays, &[&proxy], false));
    let route = router.route(&relay.address()).unwrap();
    assert!(route.is_proxied().await.unwrap());
    assert_eq!(count(), 0);
}

/// The address of a queue on the relay behind the proxies.
fn uri() -> QueueUri {
    let key = smp_crypto::key::X25519SecretKey::generate(&mut rand::rng()).public_key();
    let relay = relay_address();
    let address = QueueAddress {
        server: relay.address(),
        sender_id: QueueId::from_array(&[1; 24]),
        dh_key: key,
        mode: Some(QueueMode::Messaging),
    };
    QueueUri::new(VersionRange::CLIENT, &address).unwrap()
}

#[tokio::test]
async fn a_sender_secures_its_queue_and_sends_through_the_proxy() {
    let proxy = Proxy::start(&[Step::Good, Step::Good, NO_SESSION]).await;
    let router = router(policy(ProxyMode::Always, &[&proxy], false));
    let uri = uri();
    let route = router.route(&uri.server()).unwrap();
    let mut queue = SendQueue::new(&uri, route.version().await.unwrap()).unwrap();
    queue.send(&route, b"hello").await.unwrap();
    // SKEY, SEND that found no session, another session, SEND.
    assert_eq!(proxy.log(), "PFFPF");
}

/// What a person sees of a proxy that lies about the relay.
#[tokio::test]
async fn smp_send_refuses_another_certificate_and_says_so() {
    let proxy = Proxy::start(&[Step::Lie; 10]).await;
    let folder = tempfile::tempdir().unwrap();
    let (proxy_address, uri) = (proxy.server.to_string(), uri().to_string());
    let program = tokio::task::spawn_blocking(move || {
        std::process::Command::new(env!("CARGO_BIN_EXE_smp"))
            .env("XDG_STATE_HOME", folder.path())
            .args(["send", "--wait", "20", "--via", &proxy_address, &uri, "text"])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap()
    });
    let output = program.await.unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{errors}");
    assert!(errors.contains("not the one its address names"), "{errors}");
    assert_eq!(proxy.log(), "P", "nothing was sent, and it was not tried again");
}
