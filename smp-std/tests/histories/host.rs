//! The relay under test: in this process, or a program that can be killed.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
#[cfg(target_os = "linux")]
use rustix::process::Signal;
use smp_crypto::key::AuthorizationSecretKey;
use smp_crypto::session::ClientConfiguration;
use smp_proto::version::VersionRange;
use smp_std::identity::{Identity, KeyAlgorithm};
use smp_std::net::{ClientAlpn, ClientTls, connect_tcp};
use smp_std::relay::config::{Config, FILE_NAME};
use smp_std::relay::store::{
    AppendMessage, Backend, FjallBackend, FjallOptions, Operation, QueueRecord, SharedSecret, Store,
};

use crate::harness::{PATIENCE, RawClient, TestRelay};
use crate::model::QUOTA;
use crate::program;

pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.messages.quota = QUOTA as u32;
    config.notifications.interval_milliseconds = 20;
    // A test is no flood.
    (config.rates.commands_per_second, config.rates.commands_burst) = (1_000_000, 1_000_000);
    config
}

/// With so little memory that tables are written, merged and cleaned all the time.
pub(crate) fn small_store() -> FjallOptions {
    FjallOptions { body_memory_bytes: 2 << 10, row_memory_bytes: 1 << 10, cache_bytes: 1 << 20, ..Default::default() }
}

pub(crate) enum Host {
    Here { relay: TestRelay, _store: tempfile::TempDir },
    Program(Program),
}

/// Fills a new store's journal up to where a new one is due soon, and deletes again what that was.
pub(crate) fn fill(folder: &Path) {
    let store = FjallBackend::open(folder, &small_store()).unwrap();
    let key = AuthorizationSecretKey::generate_ed25519(&mut rand::rng()).public_key();
    let recipient_id = [1; 24];
    let record = QueueRecord::new(recipient_id, FILLING_SENDER, key, SharedSecret::new([3; 32]));
    store.apply(&[Operation::CreateQueue { record: Arc::new(record), link: None }]).unwrap();
    let mut room = LONG as usize - (50 << 10);
    for number in 0_u8.. {
        let body = Bytes::from(vec![4; room.min(1 << 20)]);
        room -= body.len();
        if body.is_empty() {
            break;
        }
        let mut message_id = [5; 24];
        message_id[0] = number;
        let message = AppendMessage {
            recipient_id,
            message_id,
            time: 0,
            notification: false,
            notify: None,
            secured: false,
            body,
            quota: 1_000,
            expire: None,
        };
        store.apply(&[Operation::AppendMessage(message)]).unwrap();
    }
    store.apply(&[Operation::DeleteQueue { recipient_id, today: 0 }]).unwrap();
}

impl Host {
    pub(crate) async fn memory() -> Self {
        Self::Here { relay: TestRelay::start(config()).await, _store: tempfile::tempdir().unwrap() }
    }

    pub(crate) async fn fjall() -> Self {
        let (directory, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let identity = Identity::create(directory.path(), KeyAlgorithm::Ed25519, "localhost").unwrap();
        let open = |options| Store::fjall(folder.path(), &small_store(), options).unwrap();
        let relay = TestRelay::start_with(config(), identity, directory, open).await;
        Self::Here { relay, _store: folder }
    }

    /// The relay's store, if it is in this process.
    pub(crate) fn store(&self) -> Option<&Store> {
        match self {
            Self::Here { relay, .. } => Some(relay.store()),
            Self::Program(_) => None,
        }
    }

    pub(crate) fn address(&self) -> (SocketAddr, [u8; 32]) {
        match self {
            Self::Here { relay, .. } => (relay.address, relay.fingerprint),
            Self::Program(program) => (program.address, program.fingerprint),
        }
    }

    pub(crate) async fn connect(&self) -> RawClient {
        let (address, identity) = self.address();
        let tcp = connect_tcp("127.0.0.1", address.port(), PATIENCE).await.unwrap();
        let tls = ClientTls::new(ClientAlpn::Smp).connect(tcp, &identity, PATIENCE).await.unwrap();
        let versions = VersionRange::SMP;
        RawClient::greet_as(tls, ClientConfiguration { versions, identity, is_proxy: false, service: None }).await
    }

    pub(crate) fn kill(&mut self) {
        match self {
            Self::Here { .. } => panic!("only programs are killed"),
            Self::Program(program) => program.kill(),
        }
    }

    pub(crate) fn start_again(&mut self) {
        if let Self::Program(program) = self {
            program.start();
        }
    }

    pub(crate) async fn stop(self) {
        match self {
            Self::Here { relay, .. } => relay.stop().await,
            Self::Program(mut program) => program.kill(),
        }
    }
}

/// Where the relay that is recorded has its files.
pub(crate) const HOME: &str = "HISTORIES_HOME";

/// When the engine begins a new journal. It does so when one is longer than 64 MB, which no history fills.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Journals {
    /// Never.
    Long,
    /// After [`SHORT`] bytes, because it is told that they are longer.
    Short,
    /// Soon, because the store had one that was almost full before the history.
    Full,
}

/// How long short journals are: a few messages.
const SHORT: u64 = 2 << 10;
/// At what length the engine (fjall 3.1) begins another.
const LONG: u64 = 64_000_000;
/// The sender's id of the queue with which a journal is filled.
pub(crate) const FILLING_SENDER: [u8; 24] = [2; 24];
/// Set for a process that fills its store before it begins.
pub(crate) const FULL: &str = "HISTORIES_FULL";

/// How a relay's file operations are recorded.
pub(crate) struct Recording {
    /// `record.c`, compiled.
    pub(crate) library: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) journals: Journals,
}

impl Recording {
    /// Compiles what records into a folder.
    pub(crate) fn in_folder(folder: &Path, journals: Journals) -> Self {
        let recording = Self { library: folder.join("record.so"), log: folder.join("log"), journals };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories/record.c");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let compiled = Command::new(compiler)
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .args([&recording.library, &source])
            .status()
            .expect("a C compiler");
        assert!(compiled.success());
        recording
    }

    /// A part of this test in a process of its own, which is recorded: it has `home`, with its files in `store` there.
    pub(crate) fn process(&self, part: &str, home: &Path) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "--nocapture", part]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env(HOME, home).env("LD_PRELOAD", &self.library).env("RUST_LOG", "error");
        command.env("RECORD_FOLDER", home.join("store")).env("RECORD_LOG", &self.log);
        match self.journals {
            Journals::Long => {}
            Journals::Short => drop(command.env("RECORD_AHEAD", (LONG - SHORT).to_string())),
            Journals::Full => drop(command.env(FULL, "1")),
        }
        command
    }
}

/// `smp-server` with its directory, or, to be recorded, a relay with a small store in a process of this test.
pub(crate) struct Program {
    directory: tempfile::TempDir,
    address: SocketAddr,
    fingerprint: [u8; 32],
    recording: Option<Recording>,
    child: Option<Child>,
}

impl Program {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let home = directory.path().join("relay");
        let initialised = Command::new(env!("CARGO_BIN_EXE_smp-server"))
            .args(["init".as_ref(), "--dir".as_ref(), home.as_os_str()])
            .args(["--listen", &address.to_string(), "--sign-algorithm", "ed25519"])
            .output()
            .unwrap();
        assert!(initialised.status.success(), "{initialised:?}");
        let mut config = config();
        config.server.listen = vec![address];
        std::fs::write(home.join(FILE_NAME), config.to_toml().unwrap()).unwrap();
        let fingerprint = *Identity::load(&home).unwrap().fingerprint();
        let mut program = Self { directory, address, fingerprint, recording: None, child: None };
        program.start();
        program
    }

    /// A relay whose file operations are recorded.
    pub(crate) fn recorded(recording: Recording) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let home = directory.path().join("relay");
        std::fs::create_dir_all(home.join("store")).unwrap();
        let identity = Identity::create(&home, KeyAlgorithm::Ed25519, "localhost").unwrap();
        let fingerprint = *identity.fingerprint();
        let mut program = Self { directory, address, fingerprint, recording: Some(recording), child: None };
        program.start();
        program
    }

    fn home(&self) -> PathBuf {
        self.directory.path().join("relay")
    }

    fn start(&mut self) {
        let mut command = match &self.recording {
            None => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_smp-server"));
                command.args(["--dir".as_ref(), self.home().as_os_str()]).stdin(Stdio::null());
                command
            }
            Some(recording) => recording.process("cuts::relay_process", &self.home()),
        };
        let mut child = command.env("RUST_LOG", "error").stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = program::lines(&mut child);
        let ready = lines.find_map(|line| line.strip_prefix("ready").map(|port| port.trim().to_owned()));
        if let Ok(port) = ready.expect("the relay does not start").parse() {
            self.address.set_port(port);
        }
        self.child = Some(child);
    }

    /// SIGKILL; where it is recorded, between two operations on files.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            #[cfg(target_os = "linux")]
            if self.recording.is_some() {
                // When its standard input ends it goes by itself, and would do so within an operation.
                let input = child.stdin.take();
                rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::USR2).unwrap();
                child.wait().unwrap();
                drop(input);
                return;
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}
