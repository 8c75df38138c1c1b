//! Relays, bots and people as processes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use super::program;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) const PASSPHRASE: &str = "correct horse battery staple";

/// A relay's process, killed without mercy when dropped.
pub(crate) struct Relay {
    child: Option<Child>,
    directory: PathBuf,
    pub(crate) address: String,
    _folder: tempfile::TempDir,
}

impl Relay {
    pub(crate) fn start() -> Self {
        Self::start_as("127.0.0.1")
    }

    /// Two relays that are known by different names, so that they count as different ones.
    pub(crate) fn start_two() -> [Self; 2] {
        ["localhost", "127.0.0.1"].map(Self::start_as)
    }

    fn start_as(host: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("relay");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let made = Command::new(env!("CARGO_BIN_EXE_smp-server"))
            .args(["init", "--host", host, "--port", &port.to_string(), "--listen", &listen])
            .args(["--sign-algorithm", "ed25519", "--dir"])
            .arg(&directory)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        // Its proxy reaches the other relays of this machine.
        let configuration = directory.join("smp-server.toml");
        let text = std::fs::read_to_string(&configuration).unwrap();
        let (never, always) = ("allow_private_addresses = false", "allow_private_addresses = true");
        assert!(text.contains(never));
        std::fs::write(&configuration, text.replace(never, always)).unwrap();
        let mut relay = Self { child: None, directory, address: String::new(), _folder: folder };
        relay.start_again();
        relay
    }

    pub(crate) fn start_again(&mut self) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_smp-server"))
            .arg("--dir")
            .arg(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = program::lines(&mut child);
        self.address = lines.find(|line| line.starts_with("smp://")).unwrap();
        assert!(lines.any(|line| line == "ready"));
        self.child = Some(child);
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn smp_chat(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smp"));
    command.arg("chat").args(arguments).arg("--data").arg(data);
    command.env("SMP_CHAT_PASSPHRASE", PASSPHRASE).env("TZ", "UTC");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn run(data: &Path, arguments: &[&str]) -> Output {
    smp_chat(data, arguments).output().unwrap()
}

pub(crate) fn succeed(data: &Path, arguments: &[&str]) -> String {
    let output = run(data, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A folder in which a user of these relays keeps everything.
pub(crate) fn user(folder: &Path, name: &str, relays: &[&Relay]) -> PathBuf {
    let data = folder.join(name);
    let mut arguments = vec!["init", "--name", name];
    for relay in relays {
        arguments.extend(["--server", &relay.address]);
    }
    succeed(&data, &arguments);
    data
}

/// Lines of a process, as they come.
pub(crate) fn lines(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// A running `smp chat --json`.
pub(crate) struct Bot {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    /// What came while something else was waited for.
    passed: Vec<Value>,
    commands: u64,
}

impl Bot {
    pub(crate) fn start(data: &Path, options: &[&str]) -> Self {
        let mut command = smp_chat(data, &["--json"]);
        command.args(options).stdin(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let lines = lines(child.stdout.take().unwrap());
        let stdin = child.stdin.take();
        let mut bot = Self { child, stdin, lines, passed: Vec::new(), commands: 0 };
        assert_eq!(bot.next()["version"], 1);
        bot
    }

    pub(crate) fn write(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn next(&mut self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|_| panic!("no line in time, only {:#?}", self.passed));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// The first line that is wanted, now or of before.
    pub(crate) fn wait(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(index) = self.passed.iter().position(&wanted) {
            return self.passed.remove(index);
        }
        loop {
            let line = self.next();
            if wanted(&line) {
                return line;
            }
            self.passed.push(line);
        }
    }

    pub(crate) fn event(&mut self, name: &str) -> Value {
        self.wait(|line| line["event"] == name)
    }

    /// Gives a command, and waits for its answer.
    pub(crate) fn ask(&mut self, mut command: Value) -> Value {
        self.commands += 1;
        let id = self.commands;
        command["id"] = id.into();
        self.write(&command.to_string());
        self.wait(|line| line["id"] == id)
    }

    /// Whether any such line came by now.
    pub(crate) fn has_passed(&self, wanted: impl Fn(&Value) -> bool) -> bool {
        self.passed.iter().any(wanted)
    }

    /// Ends by the end of its input.
    pub(crate) fn end(mut self) {
        drop(self.stdin.take());
        assert!(program::end(&mut self.child).success());
    }

    /// Without a warning.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
