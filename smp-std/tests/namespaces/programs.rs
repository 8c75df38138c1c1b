//! The programs of a story, each in its place.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::network::{Network, Place};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const PORT: u16 = 5223;

/// A relay, killed without mercy when dropped.
pub(crate) struct Relay {
    child: Child,
    pub(crate) directory: PathBuf,
    pub(crate) address: String,
}

impl Relay {
    pub(crate) fn start(network: &Network, place: Place, name: &str) -> Self {
        Self::start_in(network, place, network.path(name))
    }

    fn start_in(network: &Network, place: Place, directory: PathBuf) -> Self {
        let host = place.address().to_string();
        // The proxy is in several networks.
        let listen = format!("0.0.0.0:{PORT}");
        let mut child = network
            .command(place, env!("CARGO_BIN_EXE_smp-server"))
            .args(["--host", &host, "--listen", &listen, "--port", &PORT.to_string(), "--dir"])
            .arg(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let address = lines.find(|line| line.starts_with("smp://")).expect("an address");
        assert!(lines.any(|line| line == "ready"));
        Self { child, directory, address }
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// kill -9, and start again on the same files.
    pub(crate) fn crash_and_restart(&mut self, network: &Network, place: Place) {
        let directory = self.directory.clone();
        self.restart_from(network, place, &directory);
    }

    /// The same on other files.
    pub(crate) fn restart_from(&mut self, network: &Network, place: Place, directory: &Path) {
        self.kill();
        *self = Self::start_in(network, place, directory.to_owned());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A running `smp receive` beside its relay.
pub(crate) struct Receiver {
    child: Child,
    lines: mpsc::Receiver<String>,
    pub(crate) uri: String,
}

impl Receiver {
    pub(crate) fn start(network: &Network, place: Place, relay: &str) -> Self {
        Self::run(network, place, &["receive", "--server", relay, "--save"])
    }

    /// Goes on with the queue of an earlier one, which must have ended.
    pub(crate) fn resume(network: &Network, place: Place) -> Self {
        Self::run(network, place, &["receive", "--resume"])
    }

    fn run(network: &Network, place: Place, arguments: &[&str]) -> Self {
        let mut child = network
            .command(place, env!("CARGO_BIN_EXE_smp"))
            .args(arguments)
            .arg(network.path(&format!("{}.json", place.name())))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        let uri = lines.recv_timeout(PATIENCE).expect("an address");
        Self { child, lines, uri }
    }

    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a message in time")
    }

    /// Waits for the end; gives the exit code.
    pub(crate) fn wait(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How `smp send` ended.
pub(crate) struct Sent {
    pub(crate) code: i32,
    pub(crate) errors: String,
}

/// Sends a text from the sender's place, through a proxy or directly, and tries again for so many seconds.
pub(crate) fn send(network: &Network, via: Option<&str>, uri: &str, text: &str, wait: u32) -> Sent {
    let mut command = network.command(Place::Sender, env!("CARGO_BIN_EXE_smp"));
    command.args(["send", "--wait", &wait.to_string()]);
    if let Some(proxy) = via {
        command.args(["--via", proxy]);
    }
    let mut child =
        command.args([uri, text]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    Sent { code: child.wait().unwrap().code().unwrap_or(-1), errors }
}

/// Notes who is connected to a relay, again and again.
pub(crate) struct Peers {
    stop: Arc<AtomicBool>,
    watching: JoinHandle<BTreeSet<Ipv4Addr>>,
}

impl Peers {
    pub(crate) fn watch(relay: &Relay) -> Self {
        let table = format!("/proc/{}/net/tcp", relay.child.id());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let watching = std::thread::spawn(move || {
            let mut seen = BTreeSet::new();
            loop {
                let last = stopped.load(Ordering::Relaxed);
                // The relay of a story that has failed is gone.
                let Ok(table) = std::fs::read_to_string(&table) else { return seen };
                seen.extend(peers(&table));
                // What has just ended was still in the table.
                if last {
                    return seen;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { stop, watching }
    }

    /// Everybody who was connected, whatever became of the connection, since the watch began.
    pub(crate) fn seen(self) -> BTreeSet<Ipv4Addr> {
        self.stop.store(true, Ordering::Relaxed);
        self.watching.join().unwrap()
    }
}

/// The other ends of the connections to the relay's port in a table of the kernel.
fn peers(table: &str) -> Vec<Ipv4Addr> {
    let end = |text: &str| {
        let (address, port) = text.split_once(':').unwrap();
        // The address is in the machine's byte order.
        let address = Ipv4Addr::from(u32::from_str_radix(address, 16).unwrap().to_ne_bytes());
        (address, u16::from_str_radix(port, 16).unwrap())
    };
    let connections = table.lines().skip(1).map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        (end(fields.next().unwrap()), end(fields.next().unwrap()))
    });
    connections.filter(|(near, far)| near.1 == PORT && far.1 != 0).map(|(_, far)| far.0).collect()
}

#[test]
fn tables_of_the_kernel_are_read_rightly() {
    let table = "  sl  local_address rem_address   st
   0: 00000000:1467 00000000:0000 0A
   1: 020200C0:1467 010200C0:D431 01
   2: 020200C0:A001 020200C0:1467 01
   3: 020200C0:1467 027100CB:D432 06
";
    let expected = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(203, 0, 113, 2)];
    if cfg!(target_endian = "little") {
        assert_eq!(peers(table), expected);
    }
}
