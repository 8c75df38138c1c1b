//! What a message costs a relay that does nothing but what it cannot do without: `cargo bench -p smp-std --bench floor`.
//!
//! Ten connections with one queue each and one message of 16,000 bytes under way, as `smp bench --connections 10` has
//! them. Each has a thread that waits in `read`, the cheapest there is: no runtime, no timers, no limits, no queue and no
//! table is looked at. Every line does what the one before does, and more:
//!
//! - `ciphers`: what `smp bench` divides by, without a connection;
//! - `protocol`: with keys of their own for all blocks, and the hash that authorizes the commands;
//! - `sockets`: with two blocks read and three written for each message;
//! - `journal`: with each body in a file, and `fdatasync` before the first answer. Who comes while another waits for the
//!   disk shares the next wait. The file was filled before, so that nothing but data is to be written.
//!
//! CPU is that of these threads alone, in user and system mode; whoever sends has threads of its own.
// A program that measures may end at the first thing that is not as it should be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use rustls::crypto::cipher::{
    InboundOpaqueMessage, MessageDecrypter, MessageEncrypter, OutboundChunks, OutboundPlainMessage,
};
use rustls::crypto::ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256;
use rustls::{ContentType, ProtocolVersion};
use smp_crypto::block_chain::{BLOCK_LENGTH, BlockChain, ENCRYPTED_CONTENT_LIMIT};
use smp_crypto::delivery::SEALED_LENGTH;
use smp_crypto::hash::sha512;
use smp_crypto::secret_box::{BoxKey, Nonce, TAG_LENGTH};

const CONNECTIONS: usize = 10;
const DURATION: Duration = Duration::from_secs(6);
const BODY: usize = 16_000;
/// Length of the content of a short command or answer in bytes, more or less.
const SHORT: usize = 160;
/// What a record has in front of its ciphertext, and behind it: the content's type and the tag.
const RECORD_HEADER: usize = 5;
const RECORD: usize = RECORD_HEADER + BLOCK_LENGTH + 1 + 16;
/// The journal is written over from its start when it is full.
const JOURNAL: u64 = 64 << 20;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        // Built and started by `cargo test --all-targets`: there is nothing to test.
        return;
    }
    println!("{:<10} {:>12} {:>12} {:>8}", "", "messages/s", "CPU us", "ratio");
    let ciphers = report("ciphers", None, || thread_alone(false));
    report("protocol", Some(ciphers), || thread_alone(true));
    report("sockets", Some(ciphers), || connections(None));
    let directory = tempfile::tempdir_in(".").unwrap();
    let journal = Journal::new(directory.path().join("journal"));
    report("journal", Some(ciphers), || connections(Some(&journal)));
}

/// Messages, and the processor time for them.
type Measured = (u64, Duration);

fn report(name: &str, ciphers: Option<f64>, measure: impl FnOnce() -> Measured) -> f64 {
    let started = Instant::now();
    let (messages, cpu) = measure();
    let rate = messages as f64 / started.elapsed().as_secs_f64();
    let each = cpu.as_secs_f64() * 1e6 / messages as f64;
    println!("{name:<10} {rate:>12.0} {each:>12.1} {:>8.2}", each / ciphers.unwrap_or(each));
    each
}

/// What this thread used so far.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

fn thread_alone(protocol: bool) -> Measured {
    let mut relay = Relay::new(protocol);
    let (send, acknowledge) = (record_of(BODY), record_of(SHORT));
    let (started, before, mut messages) = (Instant::now(), cpu(), 0);
    let mut received = [0; RECORD];
    while started.elapsed() < DURATION {
        received.copy_from_slice(&send);
        relay.open(&mut received);
        relay.authorize(&received, BODY);
        relay.deliver(&received);
        relay.seal(SHORT);
        relay.seal(ENCRYPTED_CONTENT_LIMIT);
        received.copy_from_slice(&acknowledge);
        relay.open(&mut received);
        relay.authorize(&received, SHORT);
        relay.seal(SHORT);
        messages += 1;
    }
    (messages, cpu() - before)
}

fn connections(journal: Option<&Journal>) -> Measured {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::scope(|scope| {
        let mut relays = Vec::new();
        for _ in 0..CONNECTIONS {
            let client = TcpStream::connect(address).unwrap();
            let (server, _) = listener.accept().unwrap();
            for socket in [&client, &server] {
                socket.set_nodelay(true).unwrap();
            }
            relays.push(scope.spawn(move || serve(server, journal)));
            scope.spawn(move || send(client));
        }
        let sum = |(messages, cpu): Measured, one: Measured| (messages + one.0, cpu + one.1);
        relays.into_iter().map(|relay| relay.join().unwrap()).fold((0, Duration::ZERO), sum)
    })
}

/// The other side: sends, and acknowledges what it gets, without looking at it.
fn send(mut socket: TcpStream) {
    let (send, acknowledge) = (record_of(BODY), record_of(SHORT));
    let started = Instant::now();
    let mut answer = [0; RECORD];
    while started.elapsed() < DURATION {
        socket.write_all(&send).unwrap();
        for _ in ["OK", "MSG"] {
            socket.read_exact(&mut answer).unwrap();
        }
        socket.write_all(&acknowledge).unwrap();
        socket.read_exact(&mut answer).unwrap();
    }
}

fn serve(mut socket: TcpStream, journal: Option<&Journal>) -> Measured {
    let mut relay = Relay::new(true);
    let (before, mut messages) = (cpu(), 0);
    let mut received = [0; RECORD];
    while socket.read_exact(&mut received).is_ok() {
        relay.open(&mut received);
        relay.authorize(&received, BODY);
        if let Some(journal) = journal {
            journal.commit(&received[RECORD_HEADER..][..BODY]);
        }
        socket.write_all(&relay.seal(SHORT)).unwrap();
        relay.deliver(&received);
        socket.write_all(&relay.seal(ENCRYPTED_CONTENT_LIMIT)).unwrap();
        socket.read_exact(&mut received).unwrap();
        relay.open(&mut received);
        relay.authorize(&received, SHORT);
        socket.write_all(&relay.seal(SHORT)).unwrap();
        messages += 1;
    }
    (messages, cpu() - before)
}

/// One connection's keys. Numbers and keys repeat where nobody sees what comes out.
struct Relay {
    encrypter: Box<dyn MessageEncrypter>,
    decrypter: Box<dyn MessageDecrypter>,
    key: BoxKey,
    /// Where blocks have keys of their own.
    chain: Option<BlockChain>,
    /// The first key of a chain, where it is not derived each time.
    first: Option<(BoxKey, Nonce)>,
    block: [u8; BLOCK_LENGTH],
    body: [u8; SEALED_LENGTH],
}

const NONCE: Nonce = Nonce([4; 24]);
const CHAIN: [u8; 32] = [5; 32];

impl Relay {
    fn new(protocol: bool) -> Self {
        let suite = TLS13_CHACHA20_POLY1305_SHA256.tls13().unwrap();
        let first = BlockChain::from_bytes(CHAIN).advance().unwrap();
        let (block, body) = ([6; BLOCK_LENGTH], [7; SEALED_LENGTH]);
        Self {
            encrypter: suite.aead_alg.encrypter([1; 32].into(), [2; 12].into()),
            decrypter: suite.aead_alg.decrypter([1; 32].into(), [2; 12].into()),
            key: BoxKey::new(&[3; 32]),
            chain: protocol.then(|| BlockChain::from_bytes(CHAIN)),
            first: (!protocol).then(|| (BoxKey::new(first.key()), Nonce(first.nonce().0))),
            block,
            body,
        }
    }

    /// Opens a record and the block in it, where it stands.
    fn open(&mut self, record: &mut [u8; RECORD]) {
        let sealed = &mut record[RECORD_HEADER..];
        let message = InboundOpaqueMessage::new(ContentType::ApplicationData, ProtocolVersion::TLSv1_2, sealed);
        self.decrypter.decrypt(message, 0).unwrap();
        let block = record[RECORD_HEADER..].first_chunk_mut().unwrap();
        // All records are made with the first key of a chain.
        match &self.first {
            Some((key, nonce)) => key.open_padded(nonce, block).unwrap(),
            None => BlockChain::from_bytes(CHAIN).open(block).unwrap(),
        };
    }

    fn authorize(&self, record: &[u8; RECORD], length: usize) {
        if self.chain.is_some() {
            std::hint::black_box(sha512(&[&record[RECORD_HEADER..][..length]]));
        }
    }

    fn deliver(&mut self, record: &[u8; RECORD]) {
        self.body[TAG_LENGTH + 2..][..BODY].copy_from_slice(&record[RECORD_HEADER..][..BODY]);
        self.key.seal_padded(&NONCE, &mut self.body, SEALED_LENGTH - TAG_LENGTH - 2).unwrap();
    }

    /// A record with a block of so much content.
    fn seal(&mut self, length: usize) -> Vec<u8> {
        match &mut self.chain {
            Some(chain) => chain.seal(&mut self.block, length).unwrap(),
            None => self.key.seal_padded(&NONCE, &mut self.block, length).unwrap(),
        }
        let message = OutboundPlainMessage {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_3,
            payload: OutboundChunks::Single(&self.block),
        };
        self.encrypter.encrypt(message, 0).unwrap().encode()
    }
}

/// What a client sends.
fn record_of(length: usize) -> [u8; RECORD] {
    Relay::new(true).seal(length).try_into().unwrap()
}

/// A file that bodies are written to, a batch at a time.
struct Journal {
    file: File,
    state: Mutex<Batches>,
    written: Condvar,
}

#[derive(Default)]
struct Batches {
    waiting: Vec<u8>,
    /// The number of the batch that waits; those before it are being written or are.
    next: u64,
    writing: bool,
    /// Batches below this number are on disk.
    done: u64,
    at: u64,
}

impl Journal {
    fn new(path: std::path::PathBuf) -> Self {
        let mut file = File::create(path).unwrap();
        let piece = vec![1; 1 << 20];
        for _ in 0..JOURNAL / piece.len() as u64 {
            file.write_all(&piece).unwrap();
        }
        file.sync_all().unwrap();
        Self { file, state: Mutex::default(), written: Condvar::new() }
    }

    /// Returns when the body is on disk.
    fn commit(&self, body: &[u8]) {
        let mut state = self.state.lock().unwrap();
        state.waiting.extend_from_slice(body);
        let own = state.next;
        while state.done <= own {
            if state.writing {
                state = self.written.wait(state).unwrap();
                continue;
            }
            let batch = std::mem::take(&mut state.waiting);
            state.next += 1;
            state.writing = true;
            if state.at + batch.len() as u64 > JOURNAL {
                state.at = 0;
            }
            let at = state.at;
            state.at += batch.len() as u64;
            drop(state);
            self.file.write_all_at(&batch, at).unwrap();
            self.file.sync_data().unwrap();
            state = self.state.lock().unwrap();
            state.writing = false;
            state.done += 1;
            self.written.notify_all();
        }
    }
}
