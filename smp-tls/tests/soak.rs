//! A long connection: hundreds of blocks both ways in records of all sizes, with new keys, tickets, padding and empty
//! records in between, over a transport that delivers what it likes, with reads and writes that are dropped at random.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
mod peers;
mod server;

use std::pin::pin;
use std::task::Poll;

use peers::core::{Fingerprint, ephemeral};
use peers::stream::{Peer, Pieces, Wire, poll, run};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use server::keys::Stage;
use server::messages::{key_update, ticket};
use server::wire::{APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE};
use server::{Client, Identity, Server, State};
use smp_tls::{BUFFER_LENGTH, Config, TlsStream};

const BLOCK: usize = 16_384;

/// Both directions of bytes between the scripted server and a transport.
#[derive(Default)]
struct Mailbox {
    to_server: Vec<u8>,
    to_client: Vec<u8>,
}

impl Client for Mailbox {
    fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.to_server)
    }

    fn input(&mut self, bytes: &[u8]) {
        self.to_client.extend_from_slice(bytes);
    }

    fn end(&mut self) {}

    fn can_write(&self) -> bool {
        false
    }

    fn write(&mut self, _: &[u8]) {}

    fn take(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn state(&self) -> State {
        State::Handshaking
    }
}

/// The scripted server behind a transport.
struct Scripted {
    identity: Identity,
    mail: Mailbox,
    keys: Option<(Stage, Stage)>,
    /// Whether the client's Finished has come.
    connected: bool,
    received: Vec<u8>,
    updates: usize,
}

impl Scripted {
    fn say(&mut self, kind: u8, content: &[u8], padding: usize) {
        let (_, application) = self.keys.as_mut().unwrap();
        let record = application.server.seal(kind, content, padding);
        self.mail.to_client.extend(record);
    }

    fn update_keys(&mut self, request: bool) {
        self.say(HANDSHAKE, &key_update(request), 0);
        let (_, application) = self.keys.as_mut().unwrap();
        application.server = application.server.next();
    }

    fn record(&mut self, record: &[u8]) {
        let (handshake, application) = self.keys.as_mut().unwrap();
        if record[0] == CHANGE_CIPHER_SPEC {
            return;
        }
        if !self.connected {
            handshake.client.open(record).expect("the client's Finished");
            self.connected = true;
            return;
        }
        match application.client.open(record).expect("a record under the client's keys") {
            (APPLICATION_DATA, content) => self.received.extend(content),
            (HANDSHAKE, message) => {
                assert_eq!(message, key_update(false));
                application.client = application.client.next();
                self.updates += 1;
            }
            (kind, content) => panic!("the client sends {kind}: {content:?}"),
        }
    }
}

impl Peer for Scripted {
    fn input(&mut self, bytes: &[u8]) {
        self.mail.to_server.extend_from_slice(bytes);
        while let Some([_, _, _, high, low]) = self.mail.to_server.first_chunk() {
            let length = 5 + usize::from(u16::from_be_bytes([*high, *low]));
            if self.mail.to_server.len() < length {
                return;
            }
            if self.keys.is_some() {
                let record: Vec<u8> = self.mail.to_server.drain(..length).collect();
                self.record(&record);
            } else {
                let mut server = Server::new(&mut self.mail, &self.identity);
                server.flight();
                self.keys = server.handshake.clone().zip(server.application.clone());
            }
        }
    }

    fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.mail.to_client)
    }
}

/// Polls a future a few times. `None` if it was not done then, and was dropped.
fn now_and_then<F: Future>(random: &mut ChaCha20Rng, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..=random.next_u32() % 20 {
        if let Poll::Ready(output) = poll(future.as_mut()) {
            return Some(output);
        }
    }
    None
}

#[test]
fn a_long_connection_loses_nothing() {
    let identity = Identity::ed25519();
    let mut verifier = Fingerprint(identity.fingerprint);
    let (mail, received) = (Mailbox::default(), Vec::new());
    let peer = Scripted { identity, mail, keys: None, connected: false, received, updates: 0 };
    let wire = Wire::new(peer, Pieces::Random(7));
    let mut buffer = vec![0; BUFFER_LENGTH];
    let config = Config { alpn: &[b"smp/1"] };
    let mut stream = run(TlsStream::connect(wire, &mut buffer, &config, ephemeral(), &mut verifier)).unwrap();
    let finished = *stream.finished();
    stream.transport().hesitates = true;
    let mut random = ChaCha20Rng::seed_from_u64(8);
    let (mut requested, mut dropped) = (0, 0);
    // `SMP_TLS_BLOCKS=100000` makes it longer.
    let blocks = std::env::var("SMP_TLS_BLOCKS").ok().and_then(|count| count.parse().ok()).unwrap_or(500);
    for number in 0..blocks {
        let mut block = vec![0; BLOCK];
        ChaCha20Rng::seed_from_u64(number as u64).fill_bytes(&mut block);

        let peer = &mut stream.transport().peer;
        let mut rest = block.as_slice();
        // Room for what comes between the parts of a block is bounded: see BUFFER_LENGTH.
        while !rest.is_empty() {
            match random.next_u32() % 24 {
                0 => peer.update_keys(false),
                1 => {
                    peer.update_keys(true);
                    requested += 1;
                }
                2 => peer.say(HANDSHAKE, &ticket(60, &[4; 100], &[]), 3),
                3 => peer.say(APPLICATION_DATA, &[], 10),
                4 => {
                    let ticket = ticket(60, &[4; 30], &[]);
                    peer.say(HANDSHAKE, &ticket[..10], 0);
                    peer.say(HANDSHAKE, &[&ticket[10..], &ticket].concat(), 0);
                }
                _ => {}
            }
            let most = if random.next_u32() % 2 == 0 { BLOCK } else { 3000 };
            let (part, after) = rest.split_at(rest.len().min(1 + random.next_u32() as usize % most));
            rest = after;
            let padding = if part.len() < 200 { random.next_u32() as usize % 100 } else { 0 };
            peer.say(APPLICATION_DATA, part, padding);
        }

        while now_and_then(&mut random, async { stream.read_in_place(BLOCK).await.map(|_| ()) })
            .map(Result::unwrap)
            .is_none()
        {
            dropped += 1;
        }
        assert!(run(stream.read_in_place(BLOCK)).unwrap() == block, "block {number}");
        stream.consume(BLOCK);
        while now_and_then(&mut random, stream.send()).map(Result::unwrap).is_none() {
            dropped += 1;
        }
        stream.content_mut().unwrap().copy_from_slice(&block);
        if now_and_then(&mut random, stream.write_in_place(BLOCK)).map(Result::unwrap).is_none() {
            while now_and_then(&mut random, stream.send()).map(Result::unwrap).is_none() {
                dropped += 1;
            }
        }
        assert!(std::mem::take(&mut stream.transport().peer.received) == block, "block {number}");
    }
    assert_eq!(stream.transport().peer.updates, requested);
    assert!(requested > blocks / 20 && dropped > blocks, "{requested} requests, {dropped} dropped");
    assert_eq!(*stream.finished(), finished);
}
