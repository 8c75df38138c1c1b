//! From a byte stream that somebody opened to a connection that is served.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use smp_crypto::session::Session;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::Relay;
use super::connection::Connection;
use super::hub::Peer;
use super::limits::{Admitted, HandshakeSlot, Refused};
use super::receivers::Connected;
use super::web::{Greeted, Web};
use crate::net::{Listener, TlsStream};

impl Relay {
    pub(super) async fn accept(self: Arc<Self>, listener: Listener) {
        let web = self.shared_web(&listener);
        let mut told: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                () = self.stopping.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((tcp, address)) => self.admit(tcp, address.ip(), web.clone()),
                Err(error) => {
                    // It comes again at once until others leave: once a minute is enough to know.
                    if told.is_none_or(|told| told.elapsed() > Duration::from_secs(60)) {
                        tracing::warn!(%error, "connections cannot be accepted");
                        told = Some(Instant::now());
                    }
                }
            }
        }
    }

    /// Serves an SMP client over a byte stream that the caller brings, as if it had come to a listener, from its TLS
    /// handshake to its end: for tunnels, and for tests without sockets. `address` says among whose connections it
    /// counts. Ends at once when there are too many.
    ///
    /// Must be polled within a tokio runtime with time, and to its end, which comes when the other end of the stream is
    /// dropped or the relay stops.
    pub async fn serve_stream<S: AsyncRead + AsyncWrite + Unpin>(self: Arc<Self>, stream: S, address: IpAddr) {
        let Some((admitted, slot)) = self.admit_address(address) else { return };
        let greeter = Arc::clone(&self.greeter.read());
        let greeted = self.shake_hands(slot, Box::pin(self.greet_client(&greeter, stream, Vec::new()))).await;
        drop(greeter);
        if let Some((tls, session, service)) = greeted {
            let (connection, introduced) = self.introduce(address, tls, session, service);
            connection.serve().await;
            drop(introduced);
        }
        drop(admitted);
    }

    fn admit(self: &Arc<Self>, tcp: TcpStream, address: IpAddr, web: Option<Arc<Web>>) {
        if let Some((admitted, slot)) = self.admit_address(address) {
            self.tasks.spawn(Arc::clone(self).connect(tcp, address, web, admitted, slot));
        }
    }

    fn admit_address(&self, address: IpAddr) -> Option<(Admitted, HandshakeSlot)> {
        match self.admission.admit(address) {
            Ok(admitted) => {
                self.stats.connections.accepted.one();
                Some(admitted)
            }
            Err(reason) => {
                match reason {
                    Refused::Total => self.stats.limits.connections_total.one(),
                    Refused::Address => self.stats.limits.connections_address.one(),
                }
                tracing::debug!(?reason, "a connection was refused");
                None
            }
        }
    }

    /// Waits for handshakes as long as the relay goes on and has room for them. They come in a box: what a handshake needs
    /// is much more than what a connection needs afterwards.
    async fn shake_hands<T>(
        &self,
        mut slot: HandshakeSlot,
        handshakes: Pin<Box<impl Future<Output = Option<T>>>>,
    ) -> Option<T> {
        tokio::select! {
            () = self.stopping.cancelled() => None,
            () = slot.evicted() => {
                self.stats.limits.handshakes_evicted.one();
                None
            }
            greeted = handshakes => greeted,
        }
    }

    async fn connect(
        self: Arc<Self>,
        tcp: TcpStream,
        address: IpAddr,
        web: Option<Arc<Web>>,
        admitted: Admitted,
        slot: HandshakeSlot,
    ) {
        let greeter = Arc::clone(&self.greeter.read());
        let greeted = self.shake_hands(slot, Box::pin(self.greet(&greeter, tcp, web))).await;
        drop(greeter);
        // What is held from here on is held for every idle connection: it is in boxes, or small.
        match greeted {
            Some(Greeted::Browser(web, tls)) => Box::pin(self.serve_browser(&web, address, tls)).await,
            Some(Greeted::Client(client)) => {
                let (tls, session, service) = *client;
                let (connection, introduced) = self.introduce(address, tls, session, service);
                connection.serve().await;
                drop(introduced);
            }
            None => {}
        }
        drop(admitted);
    }

    /// Makes the connection of an SMP client after the handshakes one among all, until the second value is dropped.
    fn introduce<S: AsyncRead + AsyncWrite + Unpin>(
        self: &Arc<Self>,
        address: IpAddr,
        tls: TlsStream<S>,
        session: Session,
        service: Option<Connected>,
    ) -> (Box<Connection<S>>, Introduced) {
        self.stats.connections.established.one();
        let peer = Arc::new(Peer::default());
        let number = self.next_peer.fetch_add(1, Ordering::Relaxed);
        peer.connected.store(self.uptime(), Ordering::Relaxed);
        peer.last_received.store(self.uptime(), Ordering::Relaxed);
        peer.last_sent.store(self.uptime(), Ordering::Relaxed);
        self.peers.lock().insert(number, Arc::clone(&peer));
        if self.stopping.is_cancelled() {
            peer.close();
        }
        let introduced = Introduced { relay: Arc::clone(self), number, _service: service };
        (Box::new(Connection::new(Arc::clone(self), peer, address, tls, session)), introduced)
    }
}

/// A connection that others know of.
struct Introduced {
    relay: Arc<Relay>,
    number: u64,
    _service: Option<Connected>,
}

impl Drop for Introduced {
    fn drop(&mut self) {
        self.relay.peers.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The task of a connection lives as long as the connection does: what a handshake, a browser or a command needs has
    /// to be in a box that goes when it is done.
    #[test]
    fn an_idle_connection_holds_little() {
        fn size<R>(
            _: impl FnOnce(Arc<Relay>, TcpStream, IpAddr, Option<Arc<Web>>, Admitted, HandshakeSlot) -> R,
        ) -> usize {
            size_of::<R>()
        }
        let bytes = size(Relay::connect) + size_of::<Connection<TcpStream>>();
        assert!(bytes <= 3072, "{bytes}");
    }
}
