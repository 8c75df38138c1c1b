//! Connections to the web site: on its own ports, and on those it shares with SMP.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use smp_crypto::session::Session;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server};

use super::tls::{Caller, finish, tell_apart};
use super::{NOTE_INTERVAL, TLS_TIME, Web};
use crate::net::{Listener, TlsStream};
use crate::relay::http::Request;
use crate::relay::http::serve_connection;
use crate::relay::receivers::Connected;
use crate::relay::session::Greeter;
use crate::relay::{Relay, RelayError};

/// The web site of a relay that serves it, and the ports of the relay that it shares.
pub(in crate::relay) struct Site {
    web: Arc<Web>,
    shared: Vec<u16>,
}

/// Who came to a port of the relay, after the handshakes.
pub(in crate::relay) enum Greeted {
    /// A client of SMP.
    Client(Box<(TlsStream, Session, Option<Connected>)>),
    /// A browser.
    Browser(Arc<Web>, Box<server::TlsStream<TcpStream>>),
}

impl Relay {
    /// Serves a web site as long as the relay serves: `http` without TLS, `https` with it, and on those of the relay's own
    /// ports that are in `shared`, where browsers are told from SMP clients by the server name they send in TLS (wire
    /// reference, section 3). The files that the configuration names, and the history of when the relay ran, are in
    /// `directory`. To be called before [`Self::serve`], once.
    ///
    /// # Errors
    /// [`RelayError::Web`] when the web certificate or its key cannot be used.
    pub fn serve_web(
        self: &Arc<Self>,
        directory: &Path,
        http: Vec<Listener>,
        https: Vec<Listener>,
        shared: Vec<u16>,
    ) -> Result<(), RelayError> {
        let web = Web::open(&self.config(), &self.fingerprint, directory).map_err(RelayError::Web)?;
        for listener in http {
            self.tasks.spawn(Arc::clone(self).accept_web(Arc::clone(&web), listener, false));
        }
        for listener in https {
            self.tasks.spawn(Arc::clone(self).accept_web(Arc::clone(&web), listener, true));
        }
        self.tasks.spawn(Arc::clone(self).note_uptime(Arc::clone(&web)));
        let _ = self.site.set(Site { web, shared });
        Ok(())
    }

    /// The web site, if the relay has one.
    pub(in crate::relay) fn web(&self) -> Option<&Arc<Web>> {
        self.site.get().map(|site| &site.web)
    }

    /// The web site, if this listener shares its port with it.
    pub(in crate::relay) fn shared_web(&self, listener: &Listener) -> Option<Arc<Web>> {
        let site = self.site.get()?;
        let port = listener.local_address().ok()?.port();
        site.shared.contains(&port).then(|| Arc::clone(&site.web))
    }

    /// Does the handshakes of a connection, which on a shared port may turn out to be a browser's.
    pub(in crate::relay) async fn greet(
        self: &Arc<Self>,
        greeter: &Greeter,
        tcp: TcpStream,
        web: Option<Arc<Web>>,
    ) -> Option<Greeted> {
        let (tcp, received) = match web {
            None => (tcp, Vec::new()),
            Some(web) => match tell_apart(tcp, self.config().limits.tls_timeout()).await {
                Ok(Caller::SmpClient(tcp, received)) => (tcp, received),
                Ok(Caller::Browser(handshake)) => {
                    let config = Arc::clone(&web.tls.read().as_ref()?.config);
                    let tls = finish(*handshake, config, TLS_TIME).await.ok()?;
                    return Some(Greeted::Browser(web, Box::new(tls)));
                }
                Err(error) => {
                    self.stats.limits.handshakes_failed.one();
                    tracing::debug!(%error, "a handshake failed");
                    return None;
                }
            },
        };
        self.greet_client(greeter, tcp, received).await.map(|client| Greeted::Client(Box::new(client)))
    }

    /// Does the handshakes of an SMP client, of which `received` has been read already.
    pub(in crate::relay) async fn greet_client<S: AsyncRead + AsyncWrite + Unpin>(
        self: &Arc<Self>,
        greeter: &Greeter,
        stream: S,
        received: Vec<u8>,
    ) -> Option<(TlsStream<S>, Session, Option<Connected>)> {
        match greeter.greet(stream, received, self).await {
            Ok(greeted) => Some(greeted),
            Err(error) => {
                self.stats.limits.handshakes_failed.one();
                tracing::debug!(%error, "a handshake failed");
                None
            }
        }
    }

    async fn accept_web(self: Arc<Self>, web: Arc<Web>, listener: Listener, secure: bool) {
        loop {
            let accepted = tokio::select! {
                () = self.stopping.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            // Errors have paused already, and pass.
            let Ok((tcp, address)) = accepted else { continue };
            let (relay, web) = (Arc::clone(&self), Arc::clone(&web));
            self.tasks.spawn(async move {
                if secure {
                    let Some(config) = web.tls.read().as_ref().map(|tls| Arc::clone(&tls.config)) else { return };
                    let handshake = tokio::time::timeout(TLS_TIME, TlsAcceptor::from(config).accept(tcp));
                    let connection = async {
                        if let Ok(Ok(tls)) = handshake.await {
                            serve_connection(tls, &|request: &Request| web.respond(request)).await;
                        }
                    };
                    relay.while_there_is_room(&web, address.ip(), connection).await;
                } else {
                    relay.serve_browser(&web, address.ip(), tcp).await;
                }
            });
        }
    }

    /// Answers a browser's requests.
    pub(in crate::relay) async fn serve_browser<S>(&self, web: &Web, address: IpAddr, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handler = |request: &Request| web.respond(request);
        self.while_there_is_room(web, address, serve_connection(stream, &handler)).await;
    }

    /// Goes on with a connection unless there are too many. When the total is reached, the oldest makes room: whoever
    /// keeps connections open does not keep others out.
    async fn while_there_is_room(&self, web: &Web, address: IpAddr, connection: impl Future<Output = ()>) {
        let Ok((_admitted, mut place)) = web.admission.admit(address) else { return };
        tokio::select! {
            () = self.stopping.cancelled() => {}
            () = place.evicted() => {}
            () = connection => {}
        }
    }

    async fn note_uptime(self: Arc<Self>, web: Arc<Web>) {
        loop {
            let stopping = tokio::select! {
                () = self.stopping.cancelled() => true,
                () = tokio::time::sleep(NOTE_INTERVAL) => false,
            };
            let noting = Arc::clone(&web);
            let _ = tokio::task::spawn_blocking(move || noting.note()).await;
            if stopping {
                return;
            }
        }
    }
}
