//! OpenSSL's command line as the other end of a connection: an implementation of TLS that shares no code with this one.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Runs `openssl` with `arguments` in `directory` and wants it to succeed.
pub(crate) fn openssl(directory: &Path, arguments: &str) -> Output {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output();
    let output = output.expect("the program `openssl` is missing: on Debian, apt-get install openssl");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// `openssl` running in the background.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(directory: &Path, arguments: &str) -> Self {
        let child = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.expect("the program `openssl` is missing: on Debian, apt-get install openssl"))
    }

    /// Writes `text` to its input.
    pub(crate) fn say(&mut self, text: &str) {
        self.0.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Closes its input, which ends it, and returns all it has printed.
    pub(crate) fn finish(mut self) -> String {
        drop(self.0.stdin.take());
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        self.0.wait().unwrap();
        text
    }

    /// Ends it and returns all it has printed.
    pub(crate) fn kill(mut self) -> String {
        self.0.kill().unwrap();
        self.finish()
    }
}

/// The contents of the handshake messages that `openssl -msg` printed after lines with `title`, header included.
pub(crate) fn messages(log: &str, title: &str) -> Vec<Vec<u8>> {
    let mut lines = log.lines().peekable();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if line.contains("Handshake") && line.ends_with(title) {
            let mut bytes = Vec::new();
            while let Some(line) = lines.next_if(|line| line.starts_with("    ")) {
                bytes.extend(line.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()));
            }
            found.push(bytes);
        }
    }
    found
}

/// A new directory that is removed at the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("smp-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
