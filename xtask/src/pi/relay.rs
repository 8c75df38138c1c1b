//! A relay in a folder of its own, and programs that talk to it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::group::Group;
use crate::process::Failure;

/// Where the programs are, and what runs them.
pub(super) struct Programs {
    pub(super) folder: PathBuf,
    /// An emulator, if they are not of this computer.
    pub(super) emulator: Option<&'static str>,
    /// Where the emulator looks for the C library.
    pub(super) libraries: Option<PathBuf>,
}

impl Programs {
    /// A program with nothing on its standard input.
    pub(super) fn command(&self, program: &str, group: Option<&Group>) -> Command {
        let path = self.folder.join(program);
        let mut words = vec![path.into_os_string()];
        if let Some(emulator) = self.emulator {
            words.insert(0, emulator.into());
        }
        if let Some(group) = group {
            words.splice(0..0, group.enter());
        }
        let mut words = words.into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).stdin(Stdio::null());
        if let Some(libraries) = &self.libraries {
            command.env("QEMU_LD_PREFIX", libraries);
        }
        command
    }

    /// Runs `smp` to its end, which must be a good one, and returns what it printed.
    pub(super) fn smp(&self, arguments: &[&str]) -> Result<String, Failure> {
        let output = self.try_smp(arguments)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Failure::new(format!("smp {} ended with {}:\n{}", arguments.join(" "), output.status, said.trim_end())))
    }

    /// Runs `smp` to its end.
    pub(super) fn try_smp(&self, arguments: &[&str]) -> Result<Output, Failure> {
        self.command("smp", None).args(arguments).output().map_err(|error| Failure::because("smp", error))
    }
}

/// A folder for what a relay and its clients keep, removed when dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// A new one, where the system keeps temporary files (`TMPDIR`).
    pub(super) fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("smp-pi-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|error| Failure::because(&path.display().to_string(), error))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// As a word of a command line.
    pub(super) fn word(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running relay, killed without mercy when dropped.
pub(super) struct Relay {
    child: Child,
    port: u16,
    pub(super) address: String,
}

impl Relay {
    /// Starts a relay in `directory`, on a port that is free, and waits until it accepts connections.
    pub(super) fn start(programs: &Programs, directory: &Path, group: Option<&Group>) -> Result<Self, Failure> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        Self::start_on(programs, directory, free.map_err(|error| Failure::because("a free port", error))?.port(), group)
    }

    /// The same relay again, where it was.
    pub(super) fn again(self, programs: &Programs, directory: &Path, group: Option<&Group>) -> Result<Self, Failure> {
        let port = self.port;
        drop(self);
        Self::start_on(programs, directory, port, group)
    }

    fn start_on(programs: &Programs, directory: &Path, port: u16, group: Option<&Group>) -> Result<Self, Failure> {
        let mut command = programs.command("smp-server", group);
        command.args(["start", "--host", "127.0.0.1", "--listen", &format!("127.0.0.1:{port}")]);
        command.args(["--port", &port.to_string(), "--dir"]).arg(directory);
        command.env("RUST_LOG", "warn").stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| Failure::because("smp-server", error))?;
        let mut address = None;
        let mut ready = false;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if line.starts_with("smp://") {
                    address = Some(line);
                } else if line == "ready" {
                    ready = true;
                    break;
                }
            }
        }
        // Killed when it is dropped from here on, whatever comes.
        let relay = Self { child, port, address: address.unwrap_or_default() };
        if ready { Ok(relay) } else { Err(Failure::new("the relay did not start")) }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs.
    pub(super) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// How it ended, which it has.
    pub(super) fn end(&mut self) -> Result<std::process::ExitStatus, Failure> {
        self.child.wait().map_err(|error| Failure::because("smp-server", error))
    }

    /// A value of its /proc/PID/`file`, in the file's unit.
    pub(super) fn figure(&self, file: &str, name: &str) -> u64 {
        let mut text = String::new();
        let file = fs::File::open(format!("/proc/{}/{file}", self.id()));
        let _ = file.and_then(|mut file| file.read_to_string(&mut text));
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
