//! The same server for two clients, smp-tls and rustls: both accept it or both refuse it.
//!
//! A seed decides how the server behaves: how it divides its messages, and what it does to them. It signs and hashes what
//! it says, so that a change is not merely noticed by its hash. Where the clients may differ is listed in [`ALLOWED`].

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
mod peers;
mod server;

use peers::ALPN;
use peers::core::CoreClient;
use peers::rustls_client::RustlsClient;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use server::messages::{key_update, ticket};
use server::wire::{APPLICATION_DATA, extension, list16, list24, record};
use server::{Client, Identity, Layout, Server, State};

/// A difference that is meant: one client accepts what the other refuses.
struct Allowed {
    /// What smp-tls says; empty when it accepts.
    core: &'static str,
    /// What the message of rustls begins with; empty when it accepts.
    rustls: &'static str,
    /// What the server must have done.
    when: fn(usize, &Change) -> bool,
    why: &'static str,
}

const ALLOWED: &[Allowed] = &[
    Allowed {
        core: "Refused(Alert(47))",
        rustls: "",
        when: |number, change| number == 0 && change.touches(38..71),
        why: "rustls does not look at the echo of the session, which must be right (RFC 8446, section 4.1.3)",
    },
    Allowed {
        core: "Refused(Alert(50))",
        rustls: "",
        when: |number, change| number == 0 && change.touches(38..39),
        why: "as above: an echo of another length",
    },
    Allowed {
        core: "Refused(Alert(47))",
        rustls: "",
        when: |number, change| matches!(change, Change::Extend { bytes } if number < 4 && matches!(bytes[..2], [0, 10 | 13 | 16 | 43 | 44 | 51])),
        why: "rustls ignores some known extensions in messages that do not have them (section 4.2 wants an alert)",
    },
    Allowed {
        core: "Refused(Alert(110))",
        rustls: "",
        when: |_, change| matches!(change, Change::Extend { bytes } if bytes.starts_with(&[0, 45])),
        why: "rustls offers psk_key_exchange_modes even without resumption, and so lets it be answered",
    },
    Allowed {
        core: "Refused(Alert(10))",
        rustls: "",
        when: |_, change| matches!(change, Change::Before { kind: 22, content } if content.is_empty()),
        why: "rustls takes empty records of the handshake once messages are protected (section 5.1 forbids them)",
    },
    Allowed {
        core: "",
        rustls: "received corrupt message of type UnknownProtocolVersion",
        when: |_, change| matches!(change, Change::BeforePlain { version: 0, .. }),
        why: "rustls wants to know the version of records, which is to be ignored for all purposes (section 5.1)",
    },
    Allowed {
        core: "",
        rustls: "received unexpected message: got ChangeCipherSpec",
        when: |number, change| number == 0 && matches!(change, Change::BeforePlain { kind: 20, .. }),
        why: "rustls takes change_cipher_spec from the first hello of the server on, not before (section 5 allows both)",
    },
    Allowed {
        core: "",
        rustls: "received corrupt message of type",
        when: |number, change| number >= 6 && matches!(change, Change::Extend { .. } | Change::Insert { .. }),
        why: "smp-tls does not read the extensions of tickets, because it does not use tickets",
    },
];

/// What happens to one message.
#[derive(Clone, Debug)]
enum Change {
    /// A bit of it is another, header included.
    Flip {
        place: usize,
    },
    /// A byte of it is another, header included.
    Set {
        place: usize,
        value: u8,
    },
    /// Bytes are cut out, and the message's length says so.
    Cut {
        place: usize,
        length: usize,
    },
    /// Bytes are put in, and the message's length says so.
    Insert {
        place: usize,
        bytes: Vec<u8>,
    },
    /// The same with all lengths around an extension at the end.
    Extend {
        bytes: Vec<u8>,
    },
    Drop,
    Double,
    /// Its type is another.
    Kind {
        kind: u8,
    },
    /// It comes after the next one.
    Later,
    /// Something else comes before it, protected as it is.
    Before {
        kind: u8,
        content: Vec<u8>,
    },
    /// The same, never protected.
    BeforePlain {
        kind: u8,
        version: u16,
        content: Vec<u8>,
    },
    /// The record before it has other inner bytes.
    BeforeInner {
        inner: Vec<u8>,
    },
}

impl Change {
    /// Whether it may have changed these bytes of a ServerHello.
    fn touches(&self, bytes: std::ops::Range<usize>) -> bool {
        const LENGTH: usize = 122;
        match self {
            Self::Flip { place } => bytes.contains(&(place / 8 % LENGTH)),
            Self::Set { place, .. } => bytes.contains(&(place % LENGTH)),
            Self::Cut { .. } | Self::Insert { .. } => true,
            _ => false,
        }
    }
}

/// A server's behaviour.
#[derive(Clone, Debug)]
struct Plan {
    layout: Layout,
    retry: bool,
    ask: bool,
    /// By the number of the message.
    changes: Vec<(usize, Change)>,
}

struct Random(ChaCha20Rng);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0.next_u64() as usize % bound
    }

    fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        let few = self.below(2) == 0;
        (0..length)
            .map(|_| if few { self.one(&[0, 1, 2, 3, 4, 8, 11, 20, 22, 23, 255]) } else { self.below(256) as u8 })
            .collect()
    }

    /// An extension of a type that means something, or of any.
    fn extension(&mut self) -> Vec<u8> {
        let any = self.below(65_536) as u16;
        let kind =
            self.one(&[0, 1, 5, 10, 13, 16, 18, 21, 27, 28, 35, 41, 42, 43, 44, 45, 47, 49, 51, 57, 0xff01, any]);
        let content = match self.below(4) {
            0 => Vec::new(),
            1 => list16(&self.bytes(8)),
            2 => [3, 4].to_vec(),
            _ => self.bytes(40),
        };
        extension(kind, &content)
    }
}

impl Plan {
    fn new(seed: u64) -> Self {
        let mut random = Random(ChaCha20Rng::seed_from_u64(seed));
        let layout = Layout {
            fragment: random.one(&[16_384, 16_384, 300, 100, 40, 5]),
            merge: random.below(2) == 0,
            padding: random.one(&[0, 0, 1, 20]),
            compatibility: random.below(2) == 0,
            piece: random.one(&[usize::MAX, 1000, 64]),
        };
        let (retry, ask) = (random.below(4) == 0, random.below(3) == 0);
        let count = random.one(&[0, 1, 1, 1, 1, 2, 3]);
        let changes = (0..count).map(|_| (random.below(10), Self::change(&mut random))).collect();
        Self { layout, retry, ask, changes }
    }

    fn change(random: &mut Random) -> Change {
        let place = if random.below(2) == 0 { random.below(64) } else { random.below(1200) };
        match random.below(20) {
            0..=3 => Change::Flip { place: place * 8 + random.below(8) },
            4..=5 => Change::Set { place, value: random.one(&[0, 1, 2, 127, 255]) },
            6 => Change::Cut { place, length: 1 + random.below(8) },
            7 => Change::Insert { place, bytes: random.bytes(9) },
            8..=10 => Change::Extend { bytes: random.extension() },
            11 => Change::Drop,
            12 => Change::Double,
            13 => Change::Kind { kind: random.one(&[0, 1, 2, 4, 5, 8, 11, 13, 15, 20, 22, 24, 25, 254, 255]) },
            14 => Change::Later,
            15 | 16 => Change::Before { kind: random.one(&[20, 21, 22, 23, 24]), content: random.bytes(6) },
            17 | 18 => Change::BeforePlain {
                kind: random.one(&[0, 20, 20, 20, 21, 22, 23, 24]),
                version: random.one(&[0x0303, 0x0303, 0x0301, 0x0304, 0x0000]),
                content: random
                    .one(&[&[1][..], &[1, 1], &[], &[2, 40], &[1, 90], &[0, 0, 0, 0, 0, 0, 0, 0, 0]])
                    .to_vec(),
            },
            _ => Change::BeforeInner { inner: random.bytes(5) },
        }
    }
}

/// Adds an extension at the end of a message of extensions, with all lengths.
fn extend(message: &mut Vec<u8>, bytes: &[u8]) {
    // What was changed before may be too short for this.
    let add = |message: &mut [u8], place: usize| {
        if let Some(field) = message.get_mut(place..).and_then(|rest| rest.first_chunk_mut()) {
            *field = u16::from_be_bytes(*field).wrapping_add(bytes.len() as u16).to_be_bytes();
        }
    };
    match message[0] {
        2 => add(message, 4 + 2 + 32 + 1 + 32 + 3),
        8 => add(message, 4),
        13 => add(message, 5),
        11 => {
            // The last certificate's extensions, which are empty, and the list of certificates.
            let end = message.len();
            add(message, end.saturating_sub(2));
            let list = list24(&vec![0; end.saturating_sub(8) + bytes.len()]);
            if let Some(field) = message.get_mut(5..8) {
                field.copy_from_slice(&list[..3]);
            }
        }
        4 => {
            let end = message.len();
            add(message, end.saturating_sub(2));
        }
        _ => {}
    }
    message.extend_from_slice(bytes);
    fix_length(message);
}

fn fix_length(message: &mut [u8]) {
    let length = (message.len() - 4) as u32;
    message[1..4].copy_from_slice(&length.to_be_bytes()[1..]);
}

/// Says one message of the plan, or what becomes of it.
fn say(server: &mut Server<'_>, plan: &Plan, number: usize, mut message: Vec<u8>, later: &mut Vec<u8>) {
    let mut copies = 1;
    let mut held = false;
    for (_, change) in plan.changes.iter().filter(|(place, _)| *place == number) {
        let length = message.len();
        match change.clone() {
            Change::Flip { place } => message[place / 8 % length] ^= 1 << (place % 8),
            // What depends on keys is different for each client: there a certain value may be no change.
            Change::Set { place, value } if matches!(number, 4 | 5) => message[place % length] ^= value | 1,
            Change::Set { place, value } => message[place % length] = value,
            Change::Cut { place, length: cut } if length > 4 => {
                let start = 4 + place % (length - 4);
                message.drain(start..(start + cut).min(length));
                fix_length(&mut message);
            }
            Change::Cut { .. } => {}
            Change::Insert { place, bytes } => {
                let start = 4 + place % (length - 3);
                message.splice(start..start, bytes);
                fix_length(&mut message);
            }
            Change::Extend { bytes } => extend(&mut message, &bytes),
            Change::Drop => copies = 0,
            Change::Double => copies = 2,
            Change::Kind { kind } => message[0] = kind,
            Change::Later => held = true,
            Change::Before { kind, content } => server.record(kind, &content),
            Change::BeforePlain { kind, version, content } => server.raw(&record(kind, version, &content)),
            Change::BeforeInner { inner } => {
                if server.handshake.is_some() {
                    server.inner(&inner);
                }
            }
        }
    }
    if held {
        later.extend(message);
        return;
    }
    for _ in 0..copies {
        server.say(&message);
    }
    let later = std::mem::take(later);
    if !later.is_empty() {
        server.say(&later);
    }
}

/// Whether a client accepts the server, and what it has received in the end.
fn play(client: &mut dyn Client, identity: &Identity, plan: &Plan) -> (Result<(), String>, Vec<u8>) {
    let mut server = Server::new(client, identity).with_layout(plan.layout);
    let mut later = Vec::new();
    if plan.retry && server.retry(b"a cookie").is_err() {
        return (Err("no second hello".into()), Vec::new());
    }
    for number in 0..6 {
        let message = match number {
            0 => server.server_hello().to_message(),
            1 => server.encrypted_extensions(),
            2 if plan.ask => server::messages::certificate_request(&[], &[]),
            2 => continue,
            3 => server.certificate(),
            4 => server.certificate_verify(),
            _ => server.finished(),
        };
        let before = server.transcript.len();
        say(&mut server, plan, number, message, &mut later);
        match number {
            0 => server.handshake_keys(),
            2 => server.requested = (server.transcript.len() > before).then(Vec::new),
            5 => server.application_keys(),
            _ => {}
        }
    }
    server.deliver();
    if server.client.state() == State::Connected {
        // What is right for a client is what its own Finished says.
        if let Err(error) = server.client_finished() {
            panic!("a client that is connected to another server: {error}");
        }
        for number in 6..10 {
            match number {
                6 => say(&mut server, plan, number, ticket(7200, &[7; 40], &[]), &mut later),
                7 => {
                    say(&mut server, plan, number, key_update(false), &mut later);
                    server.next_keys();
                }
                8 => {
                    say(&mut server, plan, number, key_update(true), &mut later);
                    server.next_keys();
                }
                _ => {
                    server.record(APPLICATION_DATA, b"the end");
                    say(&mut server, plan, number, ticket(0, &[7], &[]), &mut later);
                }
            }
        }
    }
    server.deliver();
    server.client.end();
    let data = server.client.take();
    match server.client.state() {
        // Whoever came so far has got it all.
        State::Failed(why) if !data.ends_with(b"the end") || !is_end(&why) => (Err(why), data),
        State::Handshaking => (Err("waits".into()), data),
        _ => (Ok(()), data),
    }
}

/// How the clients call the end of the transport, which is no opinion of the server.
fn is_end(why: &str) -> bool {
    why == "Truncated" || why == "the transport ended"
}

fn compare(seeds: std::ops::Range<u64>) {
    let identity = Identity::ed25519();
    let (mut accepted, mut refused, mut differences) = (0, 0, Vec::new());
    let mut met = vec![0; ALLOWED.len()];
    for seed in seeds {
        let plan = Plan::new(seed);
        let (core, core_data) = play(&mut CoreClient::new(identity.fingerprint, &[ALPN]), &identity, &plan);
        let (rustls, rustls_data) = play(&mut RustlsClient::new(identity.fingerprint, &[ALPN]), &identity, &plan);
        if core.is_ok() == rustls.is_ok() {
            if core.is_ok() {
                assert_eq!(core_data, rustls_data, "{plan:?}");
                accepted += 1;
            } else {
                refused += 1;
            }
            continue;
        }
        let says = |result: &Result<(), String>| result.as_ref().err().cloned().unwrap_or_default();
        let (core, rustls) = (says(&core), says(&rustls));
        let allowed = ALLOWED.iter().position(|allowed| {
            core.is_empty() == allowed.core.is_empty()
                && core.starts_with(allowed.core)
                && rustls.is_empty() == allowed.rustls.is_empty()
                && rustls.starts_with(allowed.rustls)
                && plan.changes.iter().any(|(number, change)| (allowed.when)(*number, change))
        });
        match allowed {
            Some(number) => met[number] += 1,
            None => differences.push(format!("seed {seed}: smp-tls {core:?}, rustls {rustls:?}\n  {plan:?}")),
        }
    }
    println!("{accepted} accepted, {refused} refused by both; differences that are allowed: {met:?}");
    for (allowed, count) in ALLOWED.iter().zip(met) {
        println!("{count:5} {}", allowed.why);
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn both_accept_or_both_refuse() {
    let seeds = std::env::var("SMP_TLS_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(1500);
    compare(0..seeds);
}
