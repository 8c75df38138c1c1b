//! A relay's process, with its store on disk, that can be killed and started again.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use smp_agent::policy::server::{ConfiguredServer, Server};
use smp_std::identity::Identity;

use crate::program;

const PROGRAM: &str = env!("CARGO_BIN_EXE_smp-server");

pub(crate) struct Relay {
    directory: tempfile::TempDir,
    address: SocketAddr,
    child: Option<Child>,
}

impl Relay {
    /// A relay that also forwards to relays on this machine, at 127.0.0.`host`: relays at the same host are taken for the
    /// same by whoever chooses a proxy.
    pub(crate) fn start(host: u8) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = TcpListener::bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap().local_addr().unwrap();
        let mut relay = Self { directory, address, child: None };
        let initialised = Command::new(PROGRAM)
            .args(["init".as_ref(), "--dir".as_ref(), relay.home().as_os_str()])
            .args(["--listen", &relay.address.to_string(), "--sign-algorithm", "ed25519"])
            .output()
            .unwrap();
        assert!(initialised.status.success(), "{initialised:?}");
        let configuration = relay.home().join("smp-server.toml");
        let text = std::fs::read_to_string(&configuration).unwrap();
        let (public, private) = ("allow_private_addresses = false", "allow_private_addresses = true");
        assert!(text.contains(public));
        let (slow, quick) = ("failure_memory_seconds = 30", "failure_memory_seconds = 0");
        assert!(text.contains(slow));
        std::fs::write(&configuration, text.replace(public, private).replace(slow, quick)).unwrap();
        relay.start_again();
        relay
    }

    fn home(&self) -> PathBuf {
        self.directory.path().join("relay")
    }

    pub(crate) fn start_again(&mut self) {
        assert!(self.child.is_none());
        let mut child = Command::new(PROGRAM)
            .args(["--dir".as_ref(), self.home().as_os_str()])
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = program::lines(&mut child);
        assert!(lines.any(|line| line == "ready"));
        self.child = Some(child);
    }

    /// Without a warning.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// The relay's address as users know it.
    pub(crate) fn server(&self) -> Server {
        self.server_as(&self.address.ip().to_string())
    }

    /// The same with other hosts, which nobody but a proxy may know the way to.
    pub(crate) fn server_as(&self, hosts: &str) -> Server {
        let identity = Identity::load(&self.home()).unwrap();
        ConfiguredServer::parse(&identity.address(hosts, self.address.port())).unwrap().server
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.kill();
    }
}
