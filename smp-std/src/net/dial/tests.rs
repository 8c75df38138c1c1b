use super::*;
use crate::net::Listener;
use smp_proto::address::ServerUri;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::task::JoinHandle;

const TIME_OUT: Duration = Duration::from_secs(5);
const PROXY: ([u8; 4], u16) = ([127, 0, 0, 1], 9050);

fn server(hosts: &str) -> ServerUri {
    format!("smp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=@{hosts}").parse().unwrap()
}

/// The ways a policy allows, as `host:port` with `via` in front of those through SOCKS.
fn ways(policy: &NetworkPolicy, hosts: &str) -> Vec<String> {
    let server = server(hosts);
    let Ok(routes) = policy.routes(&server.address(), 5223) else { return Vec::new() };
    assert!(!routes.is_empty());
    let text = |route: &Route| {
        let host = match &route.host {
            RouteHost::Address(address) => address.to_string(),
            RouteHost::Name(name) => name.clone(),
        };
        format!("{}{host}:{}", if route.is_through_socks() { "via " } else { "" }, route.port)
    };
    routes.iter().map(text).collect()
}

#[test]
fn the_web_port_is_for_relays_that_name_none() {
    let domains = |names: &[&str]| WebPort::Domains(names.iter().map(|name| (*name).to_owned()).collect());
    let two = domains(&["example.com", ".Example.net"]);
    for (web_port, hosts, expected) in [
        (&WebPort::Off, "a.example", false),
        (&WebPort::All, "a.example", true),
        (&WebPort::All, "10.0.0.1", true),
        (&WebPort::All, "abc.onion", true),
        (&WebPort::All, "a.example:5223", false),
        (&WebPort::All, "a.example:443", false),
        (&two, "example.com", true),
        (&two, "smp1.EXAMPLE.com,abc.onion", true),
        (&two, "smp1.example.com:5223", false),
        (&two, "a.b.example.net", true),
        (&two, "badexample.com", false),
        (&two, "example.com.evil.example", false),
        (&two, "abc.onion,smp1.example.com", false),
        (&two, "com", false),
        (&domains(&["", "."]), "example.com", false),
    ] {
        assert_eq!(web_port.covers(&server(hosts).address()), expected, "{web_port:?} {hosts}");
    }
    for (text, web_port) in
        [(r#""off""#, WebPort::Off), (r#""all""#, WebPort::All), (r#"{"domains":["a"]}"#, domains(&["a"]))]
    {
        assert_eq!(serde_json::from_str::<WebPort>(text).unwrap(), web_port);
    }
}

fn policy(host_mode: HostMode, required: bool, socks: Option<SocksMode>) -> NetworkPolicy {
    NetworkPolicy {
        host_mode,
        required_host_mode: required,
        socks_proxy: socks.map(|_| PROXY.into()),
        socks_mode: socks.unwrap_or_default(),
        ..NetworkPolicy::default()
    }
}

#[test]
fn hosts_of_the_preferred_kind_come_alone_and_others_only_instead() {
    use {HostMode::*, SocksMode as Mode};
    const BOTH: &str = "a.example,abc.onion,1.2.3.4:443";
    let public = ["a.example:443", "1.2.3.4:443"];
    for required in [false, true] {
        assert_eq!(ways(&policy(Public, required, None), BOTH), public);
        assert_eq!(ways(&policy(Public, required, Some(Mode::Onion)), BOTH), public);
        let all = ["via a.example:443", "via 1.2.3.4:443"];
        assert_eq!(ways(&policy(Public, required, Some(Mode::Always)), BOTH), all);
        for mode in [Mode::Onion, Mode::Always] {
            assert_eq!(ways(&policy(Onion, required, Some(mode)), BOTH), ["via abc.onion:443"]);
            assert_eq!(ways(&policy(Onion, required, Some(mode)), "abc.onion"), ["via abc.onion:5223"]);
        }
        // Nobody reaches onion names without a proxy.
        assert!(ways(&policy(Onion, required, None), "abc.onion").is_empty());
        assert!(ways(&policy(Public, required, None), "abc.onion").is_empty());
    }
    assert_eq!(ways(&policy(Onion, false, None), BOTH), public);
    assert!(ways(&policy(Onion, true, None), BOTH).is_empty());
    assert_eq!(ways(&policy(Onion, false, Some(Mode::Onion)), "a.example"), ["a.example:5223"]);
    assert_eq!(ways(&policy(Onion, false, Some(Mode::Always)), "a.example"), ["via a.example:5223"]);
    assert!(ways(&policy(Onion, true, Some(Mode::Onion)), "a.example").is_empty());
    assert_eq!(ways(&policy(Public, false, Some(Mode::Onion)), "abc.onion"), ["via abc.onion:5223"]);
    assert!(ways(&policy(Public, true, Some(Mode::Onion)), "abc.onion").is_empty());
    assert!(ways(&policy(Public, false, None), "a.example:99999").is_empty(), "no port");
}

#[test]
fn private_addresses_are_no_way_for_strangers() {
    for socks in [None, Some(SocksMode::Always)] {
        let strict = NetworkPolicy { allow_private_addresses: false, ..policy(HostMode::Public, false, socks) };
        assert!(ways(&strict, "10.0.0.1").is_empty());
        assert!(ways(&strict, "[::1]").is_empty());
        assert_eq!(ways(&strict, "127.0.0.1,1.2.3.4").len(), 1);
    }
}

#[tokio::test]
async fn a_name_that_leads_home_is_refused_after_it_is_resolved() {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let server = server(&format!("localhost:{}", listener.local_address().unwrap().port()));
    let mut policy = NetworkPolicy::default();
    let routes = policy.routes(&server.address(), 5223).unwrap();
    assert!(policy.connect(&routes[0], TIME_OUT).await.is_ok());
    policy.allow_private_addresses = false;
    let routes = policy.routes(&server.address(), 5223).unwrap();
    assert!(matches!(policy.connect(&routes[0], TIME_OUT).await, Err(NetError::AddressRefused)));
}

/// What a client asked of the proxy: name, password, kind of address, address, port.
type Asked = (Vec<u8>, Vec<u8>, u8, Vec<u8>, u16);

/// A SOCKS5 proxy that leads every connection to `target`, whatever was asked for.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    fn start(target: SocketAddr) -> Self {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_address().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, target, Arc::clone(&log)));
            }
        });
        Self { address, asked, task }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, target: SocketAddr, log: Arc<Mutex<Vec<Asked>>>) {
    async fn short(stream: &mut TcpStream) -> Vec<u8> {
        let mut text = vec![0; usize::from(stream.read_u8().await.unwrap())];
        stream.read_exact(&mut text).await.unwrap();
        text
    }
    assert_eq!(stream.read_u8().await.unwrap(), 5);
    let methods = short(&mut stream).await;
    stream.write_all(&[5, methods[0]]).await.unwrap();
    let (mut user, mut password) = (Vec::new(), Vec::new());
    if methods[0] == 2 {
        assert_eq!(stream.read_u8().await.unwrap(), 1);
        user = short(&mut stream).await;
        password = short(&mut stream).await;
        stream.write_all(&[1, 0]).await.unwrap();
    }
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[..3], [5, 1, 0]);
    let host = match head[3] {
        3 => short(&mut stream).await,
        kind => {
            let mut octets = vec![0; if kind == 1 { 4 } else { 16 }];
            stream.read_exact(&mut octets).await.unwrap();
            octets
        }
    };
    let port = stream.read_u16().await.unwrap();
    log.lock().unwrap().push((user, password, head[3], host, port));
    match TcpStream::connect(target).await {
        Ok(mut onward) => {
            stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut onward).await;
        }
        Err(_) => stream.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap(),
    }
}

#[tokio::test]
async fn names_go_to_the_proxy_unresolved_and_bytes_go_through() {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let target = listener.local_address().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"hello").await.unwrap();
        }
    });
    let proxy = Proxy::start(target);
    let mut policy = policy(HostMode::Public, false, Some(SocksMode::Always));
    policy.socks_proxy = Some(proxy.address);
    for host in ["no-such-name.invalid", "abc.onion", "192.0.2.1", "2001:db8::1"] {
        let server = server(host);
        let routes = policy.routes(&server.address(), 443).unwrap();
        let mut stream = policy.connect(&routes[0], TIME_OUT).await.unwrap();
        let mut text = [0; 5];
        stream.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"hello");
    }
    let asked = proxy.asked.lock().unwrap().clone();
    let v6 = "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec();
    let expected =
        [(3, b"no-such-name.invalid".to_vec()), (3, b"abc.onion".to_vec()), (1, vec![192, 0, 2, 1]), (4, v6)];
    for (asked, (kind, host)) in asked.iter().zip(expected) {
        assert_eq!(*asked, (Vec::new(), Vec::new(), kind, host, 443));
    }
}

#[tokio::test]
async fn isolated_destinations_have_names_of_their_own_that_stay() {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let proxy = Proxy::start(listener.local_address().unwrap());
    let mut policy = policy(HostMode::Onion, true, Some(SocksMode::Onion));
    policy.socks_proxy = Some(proxy.address);
    policy.socks_login = SocksLogin::isolated();
    for host in ["abc.onion", "abc.onion", "abc.onion:443", "xyz.onion"] {
        let server = server(host);
        let routes = policy.routes(&server.address(), 5223).unwrap();
        policy.clone().connect(&routes[0], TIME_OUT).await.unwrap();
    }
    policy.socks_login = SocksLogin::isolated();
    let server = server("abc.onion");
    let routes = policy.routes(&server.address(), 5223).unwrap();
    policy.connect(&routes[0], TIME_OUT).await.unwrap();
    policy.socks_login = SocksLogin::password(b"me", b"word");
    policy.connect(&routes[0], TIME_OUT).await.unwrap();
    let asked = proxy.asked.lock().unwrap().clone();
    let names: Vec<_> = asked.iter().map(|(user, password, ..)| (user.clone(), password.clone())).collect();
    assert_eq!(names[0], names[1]);
    for (one, other) in [(0, 2), (0, 3), (2, 3), (0, 4)] {
        assert!(names[one].0 != names[other].0 && names[one].1 != names[other].1);
    }
    assert!(names[..5].iter().all(|(user, password)| user.len() == 64 && user != password));
    assert_eq!(names[5], (b"me".to_vec(), b"word".to_vec()));
    for login in [&policy.socks_login, &SocksLogin::isolated(), &SocksLogin::anonymous()] {
        let shown = format!("{login:?}");
        assert!(!shown.contains("word") || shown == "SocksLogin(password)", "{shown}");
    }
}

#[tokio::test]
async fn a_proxy_that_fails_or_is_silent_is_told_apart() {
    let gone = {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        listener.local_address().unwrap()
    };
    let proxy = Proxy::start(gone);
    let mut policy = policy(HostMode::Onion, true, Some(SocksMode::Onion));
    policy.socks_proxy = Some(proxy.address);
    let server = server("abc.onion");
    let routes = policy.routes(&server.address(), 5223).unwrap();
    let refused = policy.connect(&routes[0], TIME_OUT).await;
    assert!(matches!(refused, Err(NetError::Socks(crate::net::SocksError::Refused(5)))), "{refused:?}");
    assert_eq!(format!("{:?}", routes[0]), "Route(SOCKS)");

    policy.socks_proxy = Some(gone);
    let routes = policy.routes(&server.address(), 5223).unwrap();
    assert!(matches!(policy.connect(&routes[0], TIME_OUT).await, Err(NetError::Io(_))));

    let silent = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    policy.socks_proxy = Some(silent.local_address().unwrap());
    let routes = policy.routes(&server.address(), 5223).unwrap();
    let result = policy.connect(&routes[0], Duration::from_millis(200)).await;
    assert!(matches!(result, Err(NetError::TimedOut)), "{result:?}");
}

/// A SOCKS5 proxy on this machine would take them for names of this machine and its network.
#[test]
fn local_names_do_not_go_to_the_proxy_for_strangers() {
    use {HostMode::Public, SocksMode::Always};
    let own = policy(Public, false, Some(Always));
    let strangers = NetworkPolicy { allow_private_addresses: false, ..own.clone() };
    for host in ["localhost", "router", "printer.local", "127.1"] {
        assert_eq!(ways(&own, host), [format!("via {host}:5223")]);
        assert!(ways(&strangers, host).is_empty(), "{host}");
    }
    assert_eq!(ways(&strangers, "localhost,smp.example.org"), ["via smp.example.org:5223"]);
}
