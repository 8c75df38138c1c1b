//! A relay with a store on disk, which can be stopped and started again.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use smp_agent::policy::server::Server;
use smp_proto::address::{Host, Port, ServerBuf};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::identity::{Identity, KeyAlgorithm};
use crate::net::Listener;
use crate::relay::config::Config;
use crate::relay::store::{FjallOptions, Store, StoreOptions};
use crate::relay::{Relay, RelayError, Wakeups};

type Running = (Arc<Relay>, JoinHandle<Result<(), RelayError>>);

pub(super) struct TestRelay {
    pub(super) server: Server,
    address: SocketAddr,
    identity: Identity,
    directory: tempfile::TempDir,
    running: Option<Running>,
}

impl TestRelay {
    pub(super) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity::create(directory.path(), KeyAlgorithm::Ed25519, "localhost").unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_address().unwrap();
        let server = server(address, identity.fingerprint());
        let mut relay = Self { server, address, identity, directory, running: None };
        relay.serve(listener);
        relay
    }

    fn serve(&mut self, listener: Listener) {
        let wakeups = Wakeups::default();
        let options = StoreOptions {
            budget: NonZeroU32::new(16 << 20).unwrap(),
            observer: Some(Arc::new(wakeups.clone())),
            ..StoreOptions::default()
        };
        let folder = self.directory.path().join("store");
        let store = Store::fjall(&folder, &FjallOptions::default(), options).unwrap();
        let mut config = Config::default();
        config.proxy.allow_private_addresses = true;
        config.proxy.failure_memory_seconds = 0;
        let relay = Relay::new(config, &self.identity, store, &wakeups).unwrap();
        let serving = Arc::clone(&relay);
        self.running = Some((relay, tokio::spawn(async move { serving.serve(vec![listener]).await })));
    }

    /// At the same address, with the same queues.
    pub(super) async fn start_again(&mut self) {
        self.serve(Listener::bind(self.address).unwrap());
    }

    pub(super) async fn stop(&mut self) {
        let (relay, task) = self.running.take().unwrap();
        relay.stop();
        timeout(Duration::from_secs(20), task).await.unwrap().unwrap().unwrap();
    }

    /// The address of somebody else at the same place.
    pub(super) fn server_with(&self, fingerprint: &[u8; 32]) -> Server {
        server(self.address, fingerprint)
    }
}

fn server(address: SocketAddr, fingerprint: &[u8; 32]) -> Server {
    let host = Host::parse("127.0.0.1").unwrap();
    Server::from(&ServerBuf::new(host, Port::new(address.port()), fingerprint).unwrap())
}
