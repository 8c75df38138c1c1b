//! A SOCKS5 proxy on the way, as Tor is: what it is told, and that nothing goes beside it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use smp_agent::ConnectionId;
use smp_agent::EventKind;
use smp_agent::command::{Command, ConnectionOptions};
use smp_agent::policy::server::{Server, UserId};
use smp_agent::policy::session::{SessionKey, SessionMode};
use smp_std::agent::AgentOptions;
use smp_std::net::{HostMode, SocksMode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::lifecycle::Kept;
use crate::person::{Person, servers};
use crate::relay::Relay;

/// A name that no resolver knows.
const NAMES: [&str; 2] = ["one.invalid", "two.invalid"];
const ONION: &str = "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrstuvwx.onion";

/// What a client asked for: its user name, and the host.
type Asked = (Vec<u8>, String);

struct Socks {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Socks {
    /// Knows the way to these hosts, and to no other.
    async fn start(ways: Vec<(&'static str, SocketAddr)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, ways.clone(), Arc::clone(&log)));
            }
        });
        Self { address, asked }
    }

    /// What was asked for since the last time.
    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock())
    }
}

async fn text(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut text = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut text).await?;
    Ok(text)
}

async fn serve(
    mut stream: TcpStream,
    ways: Vec<(&str, SocketAddr)>,
    log: Arc<Mutex<Vec<Asked>>>,
) -> std::io::Result<()> {
    assert_eq!(stream.read_u8().await?, 5);
    assert_eq!(text(&mut stream).await?, [2], "a name and a password, nothing else");
    stream.write_all(&[5, 2]).await?;
    assert_eq!(stream.read_u8().await?, 1);
    let name = text(&mut stream).await?;
    text(&mut stream).await?;
    stream.write_all(&[1, 0]).await?;
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    assert_eq!(request, [5, 1, 0, 3], "to connect, to a name");
    let host = String::from_utf8(text(&mut stream).await?).unwrap();
    stream.read_u16().await?;
    log.lock().push((name, host.clone()));
    let Some((_, relay)) = ways.into_iter().find(|(name, _)| *name == host) else {
        return stream.write_all(&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]).await;
    };
    let mut relay = TcpStream::connect(relay).await?;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    copy_bidirectional(&mut stream, &mut relay).await.map(drop)
}

fn options(socks: &Socks) -> AgentOptions {
    let mut options = AgentOptions::default();
    options.client.network.socks_proxy = Some(socks.address);
    options.client.network.socks_mode = SocksMode::Always;
    options
}

impl Person {
    /// Makes an invitation at a relay, as a user.
    async fn invites(&mut self, user: UserId, relay: &Server) -> ConnectionId {
        self.agent.command(Command::SetServers { user, servers: servers(&[relay], &[]) }).await.unwrap();
        let options = ConnectionOptions::default();
        let invited = self.connection(Command::Invite { user, options, link: None }).await;
        self.until(|kind| matches!(kind, EventKind::LinkReady { .. }).then_some(())).await;
        invited
    }
}

/// The names that a run of the program uses: of a user for two relays, the second of them again, and of another user.
async fn names(socks: &Socks, storage: &Kept, mode: SessionMode, relays: &[Server; 2]) -> [Option<Vec<u8>>; 4] {
    let mut options = options(socks);
    options.configuration.session_mode = mode;
    let mut person = Person::begin(storage.clone(), options);
    let [one, two] = relays;
    let mut names = [const { None }; 4];
    for (name, (user, relay)) in names.iter_mut().zip([(1, one), (1, two), (1, two), (2, one)]) {
        person.invites(UserId(user), relay).await;
        let asked = socks.asked();
        assert!(asked.len() <= 1, "one connection for each");
        let host = relay.address().hosts.iter().next().unwrap().to_string();
        assert!(asked.iter().all(|(_, asked)| *asked == host));
        *name = asked.into_iter().next().map(|(name, _)| name);
    }
    person.agent.stop().await.unwrap();
    names
}

/// Also shows that names of hosts are left to the proxy: no resolver knows these.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_keeps_apart_what_the_session_mode_says() {
    let relays = [Relay::start(1), Relay::start(2)];
    let socks = Socks::start(NAMES.into_iter().zip(relays.each_ref().map(Relay::address)).collect()).await;
    let servers = [relays[0].server_as(NAMES[0]), relays[1].server_as(NAMES[1])];
    for mode in [SessionMode::User, SessionMode::Session, SessionMode::Server, SessionMode::Entity] {
        let storage = Kept::default();
        let mut all = Vec::new();
        for _ in 0..2 {
            let [one, two, again, other] = names(&socks, &storage, mode, &servers).await;
            let [one, two, other] = [one, two, other].map(Option::unwrap);
            assert!([&one, &two, &other].iter().all(|name| name.len() == 44));
            // The same connection is used again but where each conversation has its own.
            assert_eq!(again.is_some(), mode == SessionMode::Entity);
            let same = matches!(mode, SessionMode::User | SessionMode::Session);
            assert_eq!(one == two, same, "{mode:?}");
            let distinct: BTreeSet<_> =
                [Some(one.clone()), Some(two), again, Some(other)].into_iter().flatten().collect();
            let count = match mode {
                SessionMode::User | SessionMode::Session => 2,
                SessionMode::Server => 3,
                SessionMode::Entity => 4,
            };
            assert_eq!(distinct.len(), count, "{mode:?}");
            if mode == SessionMode::User {
                let key = SessionKey::new(mode, UserId(1), &servers[0], b"");
                assert_eq!(one, key.isolation(mode, 0).as_bytes());
            }
            all.push(distinct);
        }
        assert_eq!(all[0] == all[1], mode == SessionMode::User, "{mode:?}");
        assert!(mode == SessionMode::User || all[0].is_disjoint(&all[1]), "runs are kept apart");
    }
}

/// The relay has an ordinary address, too, which must not be connected to, whatever happens to the onion name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wants_onion_names_only_connects_to_nothing_else() {
    let relay = Relay::start(1);
    let port = relay.address().port();
    let trap = std::net::TcpListener::bind(("127.0.0.99", port)).unwrap();
    trap.set_nonblocking(true).unwrap();
    let both = relay.server_as(&format!("127.0.0.99,{ONION}"));
    let ordinary = relay.server_as("127.0.0.99");
    for known in [true, false] {
        let ways = if known { vec![(ONION, relay.address())] } else { Vec::new() };
        let socks = Socks::start(ways).await;
        for socks_mode in [SocksMode::Onion, SocksMode::Always] {
            let mut options = options(&socks);
            options.client.network.socks_mode = socks_mode;
            options.client.network.host_mode = HostMode::Onion;
            options.client.network.required_host_mode = true;
            let mut person = Person::begin(Kept::default(), options);
            // A relay without an onion name is none, and one that nobody knows the way to is not asked in another way.
            for (user, relay) in [(2, &ordinary), (3, &both)] {
                let servers = servers(&[relay], &[]);
                person.agent.command(Command::SetServers { user: UserId(user), servers }).await.unwrap();
                let (user, options) = (UserId(user), ConnectionOptions::default());
                person.connection(Command::Invite { user, options, link: None }).await;
            }
            if known {
                person.invites(UserId(1), &both).await;
            }
            let mut asked = socks.asked();
            while asked.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                asked = socks.asked();
            }
            assert!(asked.iter().all(|(_, host)| host == ONION));
            person.agent.stop().await.unwrap();
        }
    }
    assert_eq!(trap.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
