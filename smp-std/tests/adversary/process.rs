//! The relay as users run it: the program, in a process of its own, so that its memory can be measured.

use std::net::{SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use smp_proto::version::{SmpVersion, VersionRange};
use smp_std::identity::Identity;
use smp_std::net::{ClientAlpn, ClientTls, NetError, TlsStream, connect_tcp};

use crate::harness::{PATIENCE, RawClient};
use crate::program;

const PROGRAM: &str = env!("CARGO_BIN_EXE_smp-server");

/// The two relays every attack is made on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Signs with Ed25519, keeps everything on disk.
    Disk,
    /// Signs with Ed448, keeps everything in memory.
    Memory,
}

impl Kind {
    pub(crate) const BOTH: [Self; 2] = [Self::Disk, Self::Memory];
}

/// A running `smp-server`; killed when dropped.
pub(crate) struct RelayProcess {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) fingerprint: [u8; 32],
    /// The port of the web site, if the option `http` asked for one.
    pub(crate) http: u16,
    directory: tempfile::TempDir,
}

impl RelayProcess {
    /// Starts a relay whose configuration has other values for the options given as `name`, `value`.
    pub(crate) fn start(kind: Kind, options: &[(&str, u64)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("relay");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let (algorithm, store) = match kind {
            Kind::Disk => ("ed25519", "fjall"),
            Kind::Memory => ("ed448", "memory"),
        };
        let initialised = Command::new(PROGRAM)
            .arg("init")
            .arg("--dir")
            .arg(&home)
            .args(["--listen", &address.to_string(), "--sign-algorithm", algorithm, "--store", store])
            .output()
            .unwrap();
        assert!(initialised.status.success(), "{initialised:?}");
        let configuration = home.join("smp-server.toml");
        let mut text = std::fs::read_to_string(&configuration).unwrap();
        let http = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        for (name, value) in options {
            let value = if *name == "http" { u64::from(http) } else { *value };
            text = replace_option(&text, name, value);
        }
        std::fs::write(&configuration, text).unwrap();
        let mut child = Command::new(PROGRAM)
            .arg("--dir")
            .arg(&home)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(directory.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut lines = program::lines(&mut child);
        assert!(lines.next().unwrap().starts_with("smp://"));
        assert_eq!(lines.next().unwrap(), "ready");
        let fingerprint = *Identity::load(&home).unwrap().fingerprint();
        Self { child, address, fingerprint, http, directory }
    }

    pub(crate) async fn tls(&self) -> TlsStream {
        self.try_tls(ClientAlpn::Smp).await.unwrap()
    }

    pub(crate) async fn try_tls(&self, alpn: ClientAlpn) -> Result<TlsStream, NetError> {
        let tcp = connect_tcp("127.0.0.1", self.address.port(), PATIENCE).await?;
        ClientTls::new(alpn).connect(tcp, &self.fingerprint, PATIENCE).await
    }

    pub(crate) async fn client(&self) -> RawClient {
        self.client_of(VersionRange::SMP).await
    }

    pub(crate) async fn client_at(&self, version: u16) -> RawClient {
        self.client_of(VersionRange::new(SmpVersion(version), SmpVersion(version)).unwrap()).await
    }

    async fn client_of(&self, versions: VersionRange<SmpVersion>) -> RawClient {
        RawClient::greet(self.tls().await, self.fingerprint, versions).await
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most resident memory since [`Self::forget_peak`], in bytes, as the kernel counts it.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    pub(crate) fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Processor time that the relay took so far.
    pub(crate) fn processor(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // In the kernel's unit for user space: hundredths of a second.
        let [user, system] = [11, 12].map(|place| fields[place].parse::<u64>().unwrap());
        Duration::from_millis((user + system) * 10)
    }

    /// Sockets the relay has open.
    pub(crate) fn sockets(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        files
            .filter(|file| {
                let target: Option<PathBuf> = file.as_ref().ok().and_then(|file| std::fs::read_link(file.path()).ok());
                target.is_some_and(|target| target.to_string_lossy().starts_with("socket:"))
            })
            .count()
    }

    /// Waits until the relay has as many sockets as `wanted`, and gives how many it has.
    pub(crate) async fn wait_for_sockets(&self, wanted: RangeInclusive<usize>, patience: Duration) -> usize {
        let start = Instant::now();
        loop {
            let sockets = self.sockets();
            if wanted.contains(&sockets) || start.elapsed() > patience {
                return sockets;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the relay has at most `wanted` bytes resident, and gives how many it has.
    pub(crate) async fn wait_for_memory(&self, wanted: u64, patience: Duration) -> u64 {
        let start = Instant::now();
        loop {
            let memory = self.memory();
            if memory <= wanted || start.elapsed() > patience {
                return memory;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops the relay as an operator does: it must end well, and must not have panicked on the way.
    pub(crate) fn stop(mut self) {
        let stopped = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(stopped.success());
        let status = program::end(&mut self.child);
        let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap();
        assert!(status.success(), "{status}: {log}");
        assert!(!log.contains("panicked"), "{log}");
        assert!(!log.contains("ERROR"), "{log}");
    }
}

impl Drop for RelayProcess {
    fn drop(&mut self) {
        let status = self.child.try_wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            eprintln!("the relay (exit status {status:?}) wrote:\n{log}");
        }
    }
}

/// Gives an option of the configuration file another value: 0 and 1 where it is `false` or `true`; a port of this machine
/// for `resolver` and `http`, of which the latter is chosen here.
fn replace_option(text: &str, name: &str, value: u64) -> String {
    match name {
        "resolver" => {
            let comment = "# resolver = \"http://127.0.0.1:8000\"";
            assert!(text.contains(comment));
            return text.replace(comment, &format!("resolver = \"http://127.0.0.1:{value}\""));
        }
        // Everything the machine can be reached by, not loopback alone.
        "any_address" => {
            assert!(text.contains("listen = [\"127.0.0.1:"));
            return text.replace("listen = [\"127.0.0.1:", "listen = [\"0.0.0.0:");
        }
        "http" => {
            assert!(text.contains("\nhttp = []\n"));
            return text.replace("\nhttp = []\n", &format!("\nhttp = [\"127.0.0.1:{value}\"]\n"));
        }
        _ => {}
    }
    // In one section, where the same name stands in several.
    let (section, name) = name.split_once('.').map_or((None, name), |(section, name)| (Some(section), name));
    let prefix = format!("{name} = ");
    let (mut inside, mut replaced, mut out) = (section.is_none(), 0, String::new());
    for line in text.lines() {
        if let Some(section) = section
            && line.starts_with('[')
        {
            inside = line == format!("[{section}]");
        }
        match line.strip_prefix(&prefix).filter(|_| inside) {
            Some(before) => {
                let flag = matches!(before, "true" | "false");
                let value = if flag { (value == 1).to_string() } else { value.to_string() };
                out.push_str(&prefix);
                out.push_str(&value);
                replaced += 1;
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    assert_eq!(replaced, 1, "{name}");
    out
}
