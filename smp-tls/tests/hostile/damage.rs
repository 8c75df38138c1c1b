//! Correct servers whose messages were damaged on their way, or made wrong by the server itself.

use crate::peers::ALPN;
use crate::peers::core::CoreClient;
use crate::server::wire::{HANDSHAKE, message};
use crate::server::{Client, Identity, Layout, Server, State};

/// The bytes that a server delivers up to the end of its first flight.
fn recorded(identity: &Identity, layout: Layout, retry: bool) -> Vec<u8> {
    let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
    let mut server = Server::new(&mut client, identity).with_layout(layout);
    if retry {
        server.retry(b"cookie").unwrap();
    }
    server.accept().unwrap();
    server.delivered
}

/// Whether a client connects that gets `bytes`, which were recorded.
fn connects(identity: &Identity, bytes: &[u8]) -> bool {
    let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
    client.input(bytes);
    client.state() == State::Connected
}

/// What of recorded bytes the protocol protects: all but the version in the header of records before encryption, and
/// records for compatibility.
fn protected(bytes: &[u8]) -> Vec<bool> {
    let mut protected = Vec::new();
    while let Some([kind, _, _, high, low]) = bytes.get(protected.len()..).and_then(|rest| rest.first_chunk()) {
        let length = 5 + usize::from(u16::from_be_bytes([*high, *low]));
        protected.extend((0..length).map(|place| match kind {
            20 => !(1..3).contains(&place),
            22 => !(1..3).contains(&place),
            _ => true,
        }));
    }
    assert_eq!(protected.len(), bytes.len());
    protected
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    let identity = Identity::ed25519();
    for (layout, retry, step) in [
        (Layout::default(), false, 1),
        (Layout { merge: true, compatibility: true, ..Layout::default() }, true, 7),
        (Layout { fragment: 50, padding: 9, ..Layout::default() }, false, 11),
    ] {
        let bytes = recorded(&identity, layout, retry);
        assert!(connects(&identity, &bytes));
        let protected = protected(&bytes);
        for bit in (0..bytes.len() * 8).step_by(step) {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(connects(&identity, &damaged), !protected[bit / 8], "bit {bit} of {}", bytes.len() * 8);
        }
    }
}

#[test]
fn nothing_can_be_cut_off() {
    for identity in Identity::both() {
        let bytes = recorded(&identity, Layout { merge: true, ..Layout::default() }, true);
        for length in 0..bytes.len() {
            let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
            client.input(&bytes[..length]);
            assert_eq!(client.state(), State::Handshaking, "{length}");
            client.end();
            assert!(matches!(client.state(), State::Failed(_)), "{length}");
        }
    }
}

/// The messages of a correct flight, each with a number.
fn say(server: &mut Server<'_>, bent: usize, bend: &dyn Fn(&mut Vec<u8>)) {
    for number in 0..5 {
        let mut message = match number {
            0 => server.server_hello().to_message(),
            1 => server.encrypted_extensions(),
            2 => server.certificate(),
            3 => server.certificate_verify(),
            _ => server.finished(),
        };
        if number == bent {
            bend(&mut message);
        }
        server.say(&message);
        match number {
            0 => server.handshake_keys(),
            4 => server.application_keys(),
            _ => {}
        }
    }
    server.deliver();
}

/// Unlike damage on the way, the server signs and hashes what it says.
#[test]
fn a_server_may_not_leave_out_the_end_of_any_message() {
    let identity = Identity::ed25519();
    for number in 0..5 {
        for (corrected, from_end) in [(true, false), (false, false), (true, true)] {
            let mut length = 0;
            loop {
                let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
                let mut server = Server::new(&mut client, &identity);
                let whole = std::cell::Cell::new(0);
                say(&mut server, number, &|message| {
                    whole.set(message.len() - 4);
                    let kind = message[0];
                    let keep = length.min(message.len() - 4);
                    *message = match (corrected, from_end) {
                        (true, false) => crate::server::wire::message(kind, &message[4..4 + keep]),
                        (true, true) => crate::server::wire::message(kind, &message[message.len() - keep..]),
                        (false, _) => message[..4 + keep].to_vec(),
                    };
                });
                if length >= whole.get() {
                    assert_eq!(client.state(), State::Connected, "message {number}");
                    break;
                }
                // Where a message is shorter than it says, the next is taken for its end or waited for.
                assert_ne!(client.state(), State::Connected, "message {number}, {length} bytes");
                client.end();
                assert!(matches!(client.state(), State::Failed(_)));
                length += 1;
            }
        }
    }
}

#[test]
fn a_server_may_not_add_to_any_message() {
    let identity = Identity::ed25519();
    for number in 0..5 {
        for more in [1, 2, 4, 100, 1000] {
            let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
            let mut server = Server::new(&mut client, &identity);
            say(&mut server, number, &|bytes| {
                let body = [&bytes[4..], &vec![0; more]].concat();
                *bytes = message(bytes[0], &body);
            });
            assert!(matches!(server.client.state(), State::Failed(_)), "message {number}, {more} bytes");
            assert!(server.alert().is_some());
        }
    }
}

/// A bit changed by a server that means it: most are refused. Those that are not are without meaning to this client.
#[test]
fn a_server_that_says_a_wrong_bit_is_refused() {
    let identity = Identity::ed25519();
    for number in 0..5 {
        let mut bit = 0;
        let mut accepted = Vec::new();
        loop {
            let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
            let mut server = Server::new(&mut client, &identity);
            let length = std::cell::Cell::new(0);
            say(&mut server, number, &|message| {
                length.set(message.len() * 8);
                if bit < message.len() * 8 {
                    message[bit / 8] ^= 1 << (bit % 8);
                }
            });
            if bit >= length.get() {
                break;
            }
            if client.state() == State::Connected {
                accepted.push(bit);
            }
            bit += 1;
        }
        // The random value may be anything. The highest bit of the key, at the end, is ignored by X25519.
        let free: Vec<usize> = if number == 0 { (6 * 8..38 * 8).chain([bit - 1]).collect() } else { Vec::new() };
        assert_eq!(accepted, free, "message {number}");
    }
}

#[test]
fn messages_may_be_divided_and_joined_in_any_way() {
    for identity in Identity::both() {
        for fragment in [1, 2, 3, 4, 5, 36, 300, 16_384] {
            for merge in [false, true] {
                for (padding, compatibility, piece) in [(0, true, 1), (255, false, 17), (12_000, true, usize::MAX)] {
                    // Records with as much padding as fits are many bytes: a few of them show it.
                    let fragment = if padding > 255 { fragment.max(100) } else { fragment };
                    let layout = Layout { fragment, merge, padding, compatibility, piece };
                    let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
                    let mut server = Server::new(&mut client, &identity).with_layout(layout);
                    let finished = server.accept().unwrap_or_else(|error| panic!("{layout:?}: {error}"));
                    server.send(b"data");
                    assert_eq!(server.client.take(), b"data");
                    server.layout.padding = 0;
                    server.record(HANDSHAKE, &crate::server::messages::ticket(1, &[1], &[]));
                    server.deliver();
                    assert_eq!(server.failure(), None);
                    assert_eq!(client.result(), Some((finished, Some(0))));
                }
            }
        }
    }
}
