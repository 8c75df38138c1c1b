//! The project's relay, the program that users run, on the host's loopback interface.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use smp_std::client::ServerUri;

const PROGRAM: &str = env!("CARGO_BIN_EXE_smp-server");

/// The host itself. The board knows that it has to look for it elsewhere.
const LOOPBACK: &str = "127.0.0.1";

/// A relay with an Ed25519 identity, killed without mercy when dropped.
pub(crate) struct Relay {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
    address: String,
}

impl Relay {
    /// A new relay with a store on disk.
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind((LOOPBACK, 0)).unwrap().local_addr().unwrap().port();
        Self::start_on(port)
    }

    fn start_on(port: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("relay");
        let initialised = Command::new(PROGRAM)
            .args(["init", "--host", LOOPBACK, "--listen", &format!("{LOOPBACK}:{port}"), "--port", &port.to_string()])
            .arg("--dir")
            .arg(&home)
            .output()
            .unwrap();
        assert!(initialised.status.success(), "{initialised:?}");
        // Relays forward to each other on this computer.
        let file = home.join("smp-server.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let (private, public) = ("allow_private_addresses = true", "allow_private_addresses = false");
        assert!(text.contains(public), "{text}");
        std::fs::write(&file, text.replace(public, private)).unwrap();
        let (child, address) = run(&home);
        Self { child, port, directory, address }
    }

    /// Its address.
    pub(crate) fn uri(&self) -> ServerUri {
        self.address.parse().unwrap()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts again on the same files.
    pub(crate) fn start_again(&mut self) {
        self.kill();
        (self.child, _) = run(&self.directory.path().join("relay"));
    }

    /// Another relay, with another identity, takes the place of this one.
    pub(crate) fn impostor(mut self) -> Self {
        self.kill();
        let impostor = Self::start_on(self.port);
        assert_ne!(impostor.address, self.address);
        impostor
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(home: &Path) -> (Child, String) {
    let mut child = Command::new(PROGRAM)
        .arg("--dir")
        .arg(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .env("RUST_LOG", "error")
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find(|line| line.starts_with("smp://")).expect("an address");
    assert!(lines.any(|line| line == "ready"));
    // Whatever it says later is read, so that it never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    (child, address)
}
