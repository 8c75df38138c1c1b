//! A client of SMP relays: commands of many queues over one connection, events, and a connection that comes back.
//!
//! [`Client`] is one connection. It can be cloned and used from many tasks: commands that wait at the same time travel in
//! one block, and responses find their way back by correlation id. What the relay says unasked comes out of [`Events`].
//! [`ReconnectingClient`] keeps a connection and its subscriptions up. [`ReceiveQueue`] and [`SendQueue`] are the two
//! ends of a queue with the encryption between them.
//!
//! ```no_run
//! use smp_std::client::{Client, Event, Options, QueueOptions, ReceiveQueue, Received, SendQueue};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = "smp://-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@smp.example.com".parse()?;
//!
//! // The recipient creates a queue and hands out its address.
//! let (client, mut events) = Client::connect(&server, &Options::interactive()).await?;
//! let created = client.create_queue(&QueueOptions::default()).await?;
//! let mut queue = ReceiveQueue::new(server.server(), created)?;
//! let uri = queue.uri()?;
//!
//! // The sender secures the queue, so that nobody else can send, and sends.
//! let (sender, _events) = Client::connect(&server, &Options::interactive()).await?;
//! let mut outgoing = SendQueue::new(&uri, sender.session().version)?;
//! outgoing.send(&sender, b"hello").await?;
//!
//! // The recipient opens what arrives, keeps it, and only then acknowledges it.
//! while let Some(event) = events.next().await {
//!     if let Event::Message(delivery) = event {
//!         if let Received::Message(message) = queue.open(&delivery)? {
//!             println!("{}", String::from_utf8_lossy(&message.body));
//!         }
//!         client.acknowledge(queue.credentials(), &delivery.message_id).await?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Limits
//!
//! Everything is bounded by [`Options`]: commands in flight, events that wait, every wait for the relay. An idle
//! connection holds no buffers for blocks, so that one process can have many thousands of them.
//!
//! # Stricter than other clients
//!
//! Sessions of version 7 and later without a session key of the relay are refused, as are keys of small order, hellos
//! for other sessions, and blocks that cannot be read; responses that fit no command are counted ([`Anomalies`]) and
//! never acted on.

mod carrier;
mod commands;
mod connection;
mod encode;
mod error;
mod event;
mod key;
mod multiplex;
mod options;
mod proxy;
mod queue;
mod reconnect;
mod router;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use smp_proto::address::{Scheme, ServerAddress};
use smp_proto::version::{SmpVersion, VersionRange};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::net::{ClientAlpn, ClientTls, TlsStream, share};

pub use carrier::{LinkParts, ResolvedName, SenderCommands};
pub use commands::{
    CreatedQueue, Credentials, NewLink, Notification, NotifierAccess, QueueOptions, QueueStatus, RegisteredQueue,
    ReservedId,
};
pub use error::{ClientError, HandshakeFailure, RelayError};
pub use event::{Delivery, Event, Id};
pub use key::CommandKey;
pub use multiplex::Anomalies;
pub use options::Options;
pub use proxy::{ProxyFailure, ProxySession};
pub use queue::{
    MAX_BODY_LENGTH, QueueError, ReceiveQueue, ReceiveQueueParts, Received, ReceivedMessage, SendQueue, SendQueueParts,
    SendStage,
};
pub use reconnect::{Backoff, ReconnectingClient};
pub use router::{ProxyMode, Route, Router, RoutingPolicy};
pub use session::SessionInfo;
pub use smp_proto::address::ServerUri;
pub use smp_proto::uri::QueueUri;

use multiplex::Request;

/// How many commands may wait in front of the connection's task. More of them wait in their own tasks.
const REQUEST_CAPACITY: usize = 32;

/// A connection to a relay. Clones share it; when the last one is dropped, the connection is closed.
#[derive(Clone, Debug)]
pub struct Client {
    requests: mpsc::Sender<Request>,
    session: Arc<SessionInfo>,
    response_time_out: Duration,
    /// What a proxy may need to connect to a relay.
    connect_time_out: Duration,
    /// The versions known here.
    versions: VersionRange<SmpVersion>,
    /// How many queues the connection receives from.
    subscriptions: Arc<AtomicUsize>,
}

/// What a relay says unasked, in order. It must be read or dropped: when events wait and nobody takes them, nothing more is
/// read from the relay. Dropping it is fine for clients that only send.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Event>);

impl Events {
    /// The next event; [`Event::Disconnected`] is the last one, then there is `None`. Can be dropped and called again.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

/// A TLS connection to a relay, before the hellos.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened {
    /// The connection.
    pub stream: TlsStream,
    /// How long name resolution and the TCP handshake took; through a SOCKS5 proxy, all that it did.
    pub tcp_time: Duration,
    /// How long the TLS handshake took.
    pub tls_time: Duration,
}

impl Client {
    /// Connects to a relay, makes sure that it is the one the address names, and agrees on the highest version both know.
    ///
    /// The connection is served by a task of its own on the current tokio runtime.
    ///
    /// # Errors
    /// [`ClientError::Identity`] if it is another server; any other error before the first command.
    pub async fn connect(server: &ServerUri, options: &Options) -> Result<(Self, Events), ClientError> {
        Self::connect_to(&server.address(), options).await
    }

    /// As [`Self::connect`], to an address without scheme and password, such as that of a queue.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_to(server: &ServerAddress<'_>, options: &Options) -> Result<(Self, Events), ClientError> {
        let fingerprint = server.fingerprint().ok_or(ClientError::NoFingerprint)?;
        let opened = open(server, &fingerprint, options).await?;
        Self::over_tls(opened.stream, &fingerprint, options).await
    }

    /// Talks SMP over a TLS connection that exists already.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn over_tls<S>(
        stream: TlsStream<S>,
        fingerprint: &[u8; 32],
        options: &Options,
    ) -> Result<(Self, Events), ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (link, session) = session::establish(stream, fingerprint, options).await?;
        let session = Arc::new(session);
        let (requests, incoming) = mpsc::channel(REQUEST_CAPACITY);
        // The multiplexer holds what waits; the channel is only the last step.
        let (outgoing, events) = mpsc::channel(1);
        let connection = connection::Connection::new(link, Arc::clone(&session), options, incoming, outgoing);
        let subscriptions = connection.subscriptions();
        tokio::spawn(connection.run());
        let client = Self {
            requests,
            session,
            response_time_out: options.response_time_out,
            connect_time_out: options.connect_time_out,
            versions: options.versions,
            subscriptions,
        };
        Ok((client, Events(events)))
    }

    /// What is known of the session.
    #[must_use]
    pub fn session(&self) -> &SessionInfo {
        &self.session
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }

    /// How many queues the connection receives from.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::Relaxed)
    }

    /// The same connection with another time limit for responses.
    #[must_use]
    pub fn with_response_time_out(&self, response_time_out: Duration) -> Self {
        Self { response_time_out, ..self.clone() }
    }

    fn response_time_out(&self) -> Duration {
        self.response_time_out
    }

    async fn hand_over(&self, request: Request) -> Result<(), ClientError> {
        self.requests.send(request).await.map_err(|_| ClientError::Closed)
    }
}

/// Connects to the first host of an address that answers, of those that the options allow, and does the TLS handshake. Also tells how long both took.
/// Each host may take an equal share of the time that is left.
///
/// # Errors
/// The error of the last host that was tried.
pub async fn open(
    server: &ServerAddress<'_>,
    fingerprint: &[u8; 32],
    options: &Options,
) -> Result<Opened, ClientError> {
    let (default_port, alpn) = manner(server, options);
    let routes = options.network.routes(server, default_port)?;
    let tls = ClientTls::new(alpn);
    let started = Instant::now();
    let deadline = started.checked_add(options.connect_time_out).unwrap_or(started);
    let mut last = ClientError::NoUsableHost;
    for (route, left) in routes.iter().zip((1..=routes.len()).rev()) {
        let time_out = share(deadline, left);
        let begun = Instant::now();
        let attempt = async {
            let socket = options.network.connect(route, time_out).await?;
            let connected = Instant::now();
            let stream = tls.connect(socket, fingerprint, time_out).await?;
            Ok(Opened { stream, tcp_time: connected.duration_since(begun), tls_time: connected.elapsed() })
        };
        match timeout(time_out, attempt).await {
            Ok(Ok(opened)) => return Ok(opened),
            Ok(Err(error)) => last = ClientError::from_net(error),
            Err(_) => last = ClientError::Timeout,
        }
        // Another host of the same address has the same identity: a server with another one is not to be walked past.
        if matches!(last, ClientError::Identity) {
            break;
        }
    }
    Err(last)
}

/// Where web sites are.
const WEB_PORT: u16 = 443;

/// The port for an address without one, and what is offered in the TLS handshake.
fn manner(server: &ServerAddress<'_>, options: &Options) -> (u16, ClientAlpn) {
    match options.network.web_port.covers(server) {
        true => (WEB_PORT, ClientAlpn::Http11),
        false => (Scheme::Smp.default_port(), options.alpn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::WebPort;
    use smp_proto::address::ServerUri;

    #[test]
    fn relays_on_the_web_port_are_greeted_as_web_sites_are() {
        let server = |hosts: &str| -> ServerUri {
            format!("smp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=@{hosts}").parse().unwrap()
        };
        let mut options = Options::default();
        assert_eq!(manner(&server("a.example").address(), &options), (5223, ClientAlpn::Smp));
        options.network.web_port = WebPort::All;
        assert_eq!(manner(&server("a.example").address(), &options), (443, ClientAlpn::Http11));
        assert_eq!(manner(&server("a.example:443").address(), &options), (5223, ClientAlpn::Smp));
        options.alpn = ClientAlpn::Absent;
        assert_eq!(manner(&server("a.example:5224").address(), &options), (5223, ClientAlpn::Absent));
    }
}
