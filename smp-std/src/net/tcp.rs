//! TCP sockets as SMP wants them: no delay, keep-alive probes, listeners for both IP versions.

use super::NetError;
use super::resolve::resolve;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::{io, net::SocketAddr, time::Duration};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Silence before the first keep-alive probe (section 3.3).
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(30);
/// Time between two probes.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Probes without an answer after which the connection is dead.
const KEEP_ALIVE_COUNT: u32 = 4;
/// Bytes the operating system takes for a peer beyond what it can send now. Without this limit a peer that does not read
/// would occupy megabytes of the system's memory; what is under way to it, and so the speed, is not limited.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_LIMIT: u32 = 128 << 10;
/// Connections the operating system holds ready before they are accepted.
const BACKLOG: i32 = 1024;
/// Pause after the process or the system has run out of sockets: trying again at once would only burn time.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// A listening TCP socket.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Listens on `address`. The unspecified IPv6 address takes IPv4 connections too.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The operating system's, such as a port in use or one that needs privileges.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if let SocketAddr::V6(address) = address {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        // Without it, a restarted relay has to wait for the last connections of the old one to time out.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self(TcpListener::from_std(socket.into())?))
    }

    /// Listens on `port` of all local addresses, of both IP versions where the machine has both.
    ///
    /// # Errors
    /// As [`Self::bind`].
    pub fn bind_all(port: u16) -> io::Result<Self> {
        Self::bind((std::net::Ipv6Addr::UNSPECIFIED, port).into()).or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
            // A machine with IPv6 switched off.
            _ => Self::bind((std::net::Ipv4Addr::UNSPECIFIED, port).into()),
        })
    }

    /// The address and port listened on.
    ///
    /// # Errors
    /// The operating system's.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Waits for the next connection, with its socket options set. Connections that break before they are accepted are
    /// skipped. Can be dropped and called again at any time.
    ///
    /// # Errors
    /// Errors of the listening socket. Some pass, such as running out of file descriptors: a pause has been made then, and
    /// the caller may go on accepting.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            match self.0.accept().await {
                Ok((stream, peer)) => {
                    if set_options(&stream).is_ok() {
                        return Ok((stream, peer));
                    }
                }
                Err(error) if belongs_to_one_connection(&error) => {}
                Err(error) => {
                    sleep(EXHAUSTED_PAUSE).await;
                    return Err(error);
                }
            }
        }
    }
}

/// Errors of `accept` that only say that one connection is gone already.
fn belongs_to_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Connects to `port` of `host` (a name or an IP address) within `time_out`, trying each address the name has. Each may
/// take an equal share of the time that is left, so that one that does not answer leaves time for the next.
///
/// # Errors
/// [`NetError::TimedOut`], or [`NetError::Io`] with the reason the last address failed.
pub async fn connect_tcp(host: &str, port: u16, time_out: Duration) -> Result<TcpStream, NetError> {
    let begun = Instant::now();
    let deadline = begun.checked_add(time_out).unwrap_or(begun);
    let connecting = async {
        // The brackets of an IPv6 address belong to the text form of a server's address.
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        connect_to_any(&resolve(host, port).await?, deadline).await
    };
    timeout_at(deadline, connecting).await.map_err(|_| NetError::TimedOut)?
}

pub(super) async fn connect_to_any(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, NetError> {
    let mut last = NetError::Io(io::ErrorKind::NotFound.into());
    for (address, left) in addresses.iter().zip((1..=addresses.len()).rev()) {
        match timeout(share(deadline, left), TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                set_options(&stream)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error.into(),
            Err(_) => last = NetError::TimedOut,
        }
    }
    Err(last)
}

/// The time for the next of several attempts, of which so many are left, including this one.
pub(crate) fn share(deadline: Instant, left: usize) -> Duration {
    let remaining = deadline.saturating_duration_since(Instant::now());
    remaining.checked_div(u32::try_from(left).unwrap_or(u32::MAX)).unwrap_or(remaining)
}

/// Sets the options every SMP connection has.
fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_LIMIT)?;
    let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE_IDLE).with_interval(KEEP_ALIVE_INTERVAL);
    #[cfg(unix)]
    let keep_alive = keep_alive.with_retries(KEEP_ALIVE_COUNT);
    SockRef::from(stream).set_tcp_keepalive(&keep_alive)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const TIME_OUT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn connections_have_their_options_on_both_sides() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = listener.local_address().unwrap().port();
        let (near, far) = tokio::join!(connect_tcp("localhost", port, TIME_OUT), listener.accept());
        for stream in [&near.unwrap(), &far.unwrap().0] {
            assert!(stream.nodelay().unwrap());
            let socket = SockRef::from(stream);
            assert!(socket.keepalive().unwrap());
            #[cfg(target_os = "linux")]
            assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT_LIMIT);
            assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEP_ALIVE_IDLE);
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEP_ALIVE_INTERVAL);
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEP_ALIVE_COUNT);
        }
    }

    #[tokio::test]
    async fn a_listener_on_all_addresses_takes_what_the_machine_has() {
        let listener = Listener::bind_all(0).unwrap();
        let address = listener.local_address().unwrap();
        let hosts = if address.is_ipv6() { &["127.0.0.1", "[::1]"][..] } else { &["127.0.0.1"] };
        for host in hosts {
            let (near, far) = tokio::join!(connect_tcp(host, address.port(), TIME_OUT), listener.accept());
            near.unwrap().write_all(b"hello").await.unwrap();
            let mut text = String::new();
            far.unwrap().0.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "hello");
        }
    }

    /// Linux leaves attempts to connect unanswered while nobody accepts the connections that wait already.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_address_that_does_not_answer_leaves_time_for_the_next() {
        let silent = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        silent.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        silent.listen(0).unwrap();
        let silent_address = silent.local_addr().unwrap().as_socket().unwrap();
        let _waiting = TcpStream::connect(silent_address).await.unwrap();
        let good = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addresses = [silent_address, silent_address, good.local_address().unwrap()];
        let begun = Instant::now();
        let stream = connect_to_any(&addresses, begun + Duration::from_secs(3)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[2]);
        assert!(begun.elapsed() >= Duration::from_millis(1900), "the silent ones had their share");
        let result = connect_to_any(&addresses[..2], Instant::now() + Duration::from_millis(200)).await;
        assert!(matches!(result, Err(NetError::TimedOut)), "{result:?}");
    }

    #[tokio::test]
    async fn a_port_is_free_again_at_once_and_taken_only_once() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_address().unwrap();
        assert_eq!(Listener::bind(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let (near, far) = tokio::join!(connect_tcp("127.0.0.1", address.port(), TIME_OUT), listener.accept());
        // The server's side closes first, which leaves the port in TIME_WAIT.
        drop((listener, far));
        drop(near);
        Listener::bind(address).unwrap();
        let result = connect_tcp("127.0.0.1", 1, TIME_OUT).await;
        assert!(matches!(result, Err(NetError::Io(_))), "{result:?}");
    }
}
