//! OpenSSL's command line as the other end of a connection: an implementation of TLS that shares no code with this one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::server::Identity;

/// `openssl` running in the background.
pub struct OpenSsl {
    child: Child,
    /// Reads all it prints, so that it never has to wait for that.
    readers: [JoinHandle<String>; 2],
}

const MISSING: &str = "the program `openssl` is missing: on Debian, apt-get install openssl";

impl OpenSsl {
    pub fn start(directory: &Path, arguments: &str) -> Self {
        let child = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect(MISSING);
        let readers = [read(child.stdout.take().unwrap()), read(child.stderr.take().unwrap())];
        Self { child, readers }
    }

    /// Writes `text` to its input.
    pub fn say(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Closes its input, which ends it, and returns all it has printed.
    pub fn finish(mut self) -> String {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
        self.readers.map(|reader| reader.join().unwrap()).concat()
    }

    /// Ends it and returns all it has printed.
    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.finish()
    }
}

fn read(mut output: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        output.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The contents of the handshake messages that `openssl -msg` printed after lines with `title`, header included.
pub fn messages(log: &str, title: &str) -> Vec<Vec<u8>> {
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

/// The `verify_data` of the client's Finished in a log: the second, after the server's.
pub fn client_finished(log: &str) -> Vec<u8> {
    let finished = messages(log, "Finished");
    assert_eq!(finished.len(), 2, "{log}");
    assert_eq!(finished[1][..4], [20, 0, 0, 32]);
    finished[1][4..].to_vec()
}

/// A port nobody listens on at the moment.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Connects to a server that is being started.
pub fn connect_when_up(port: u16) -> TcpStream {
    for _ in 0..500 {
        if let Ok(socket) = TcpStream::connect(("127.0.0.1", port)) {
            socket.set_nodelay(true).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            return socket;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("openssl s_server did not start on port {port}");
}

/// A new directory that is removed at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    /// With the files of `identity`: leaf.pem, ca.pem, key.pem.
    pub fn new(identity: &Identity) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("smp-tls-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let [leaf, authority] = identity.chain.as_slice() else { panic!("two certificates") };
        let key = identity.key.pkcs8();
        for (name, label, der) in
            [("leaf", "CERTIFICATE", leaf), ("ca", "CERTIFICATE", authority), ("key", "PRIVATE KEY", &key)]
        {
            std::fs::write(path.join(format!("{name}.pem")), pem(label, der)).unwrap();
        }
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in der.chunks(3) {
        let number = chunk.iter().chain([0; 2].iter()).take(3).fold(0, |number, byte| number << 8 | u32::from(*byte));
        for place in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * place)) as usize & 63];
            text.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
