//! Messages that are well formed and do not belong where they are.

use crate::peers::ALPN;
use crate::peers::core::CoreClient;
use crate::server::messages::{certificate_request, encrypted_extensions, key_update, ticket};
use crate::server::wire::{END_OF_EARLY_DATA, KEY_UPDATE, alert, message};
use crate::server::{Client, Identity, Protection, Server, State};

/// The points between messages, by what the client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Point {
    Hello,
    HelloAfterRetry,
    Extensions,
    Certificate,
    CertificateAfterRequest,
    Signature,
    Finished,
    Connected,
    Updated,
}

pub(crate) const POINTS: [Point; 9] = [
    Point::Hello,
    Point::HelloAfterRetry,
    Point::Extensions,
    Point::Certificate,
    Point::CertificateAfterRequest,
    Point::Signature,
    Point::Finished,
    Point::Connected,
    Point::Updated,
];

impl Point {
    /// Brings the handshake there.
    pub(crate) fn reach(self, server: &mut Server<'_>) {
        if self == Self::HelloAfterRetry {
            server.retry(b"cookie").unwrap();
        }
        if self > Self::HelloAfterRetry {
            server.hello();
        }
        if self > Self::Extensions {
            server.say(&server.encrypted_extensions());
        }
        if self == Self::CertificateAfterRequest {
            server.request_certificate();
        }
        if self > Self::CertificateAfterRequest {
            server.say(&server.certificate());
        }
        if self > Self::Signature {
            server.say(&server.certificate_verify());
        }
        if self > Self::Finished {
            server.finish();
            server.deliver();
            server.client_finished().unwrap();
        }
        if self == Self::Updated {
            server.update_keys(true);
        }
        server.deliver();
        server.follow_updates();
    }

    pub(crate) fn protection(self) -> Protection {
        match self {
            Self::Hello | Self::HelloAfterRetry => Protection::None,
            Self::Connected | Self::Updated => Protection::Application,
            _ => Protection::Handshake,
        }
    }
}

/// One message of every type, as well formed as it can be here.
fn messages(server: &mut Server<'_>) -> Vec<(u8, Vec<u8>)> {
    let hello = server.server_hello().to_message();
    let certificate = server.certificate();
    let signature = server.certificate_verify();
    let finished = if server.handshake.is_some() { server.finished() } else { message(20, &[0; 32]) };
    let known = [
        server.hello.message.clone(),
        hello,
        ticket(1, &[1], &[]),
        message(END_OF_EARLY_DATA, &[]),
        encrypted_extensions(&[]),
        certificate,
        certificate_request(&[], &[]),
        signature,
        finished,
        key_update(false),
    ];
    let mut all: Vec<(u8, Vec<u8>)> = known.into_iter().map(|message| (message[0], message)).collect();
    for kind in 0..=255 {
        if all.iter().all(|(known, _)| *known != kind) {
            all.push((kind, message(kind, &[0; 4])));
        }
    }
    all
}

#[test]
fn every_message_but_the_expected_one_is_refused_at_every_point() {
    let identity = Identity::ed25519();
    for point in POINTS {
        let count = 256;
        for number in 0..count {
            let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
            let mut server = Server::new(&mut client, &identity);
            point.reach(&mut server);
            let (kind, message) = messages(&mut server).swap_remove(number);
            server.say(&message);
            server.deliver();
            let expected: &[u8] = match point {
                Point::Hello | Point::HelloAfterRetry => &[2],
                Point::Extensions => &[8],
                Point::Certificate => &[11, 13],
                Point::CertificateAfterRequest => &[11],
                Point::Signature => &[15],
                Point::Finished => &[20],
                Point::Connected | Point::Updated => &[4, KEY_UPDATE],
            };
            if expected.contains(&kind) {
                assert_eq!(server.failure(), None, "{point:?}, {kind}");
            } else {
                let alert = server.alert();
                let refused = Some((point.protection(), 2, alert::UNEXPECTED_MESSAGE));
                assert_eq!(alert, refused, "{point:?}, {kind}: {:?}", server.client.state());
            }
        }
    }
}

/// All orders of three to five of the messages after ServerHello, and each left out: only one order is right.
#[test]
fn there_is_one_order_of_messages() {
    let identity = Identity::ed25519();
    let mut accepted = 0;
    for number in 0..4_usize.pow(4) {
        let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
        let mut server = Server::new(&mut client, &identity);
        server.hello();
        let order: Vec<usize> = (0..4).map(|place| number / 4_usize.pow(place) % 4).collect();
        for step in &order {
            let message = match step {
                0 => server.encrypted_extensions(),
                1 => server.certificate(),
                2 => server.certificate_verify(),
                _ => server.finished(),
            };
            server.say(&message);
        }
        server.application_keys();
        server.deliver();
        if order == [0, 1, 2, 3] {
            assert!(server.client_finished().is_ok());
            accepted += 1;
        } else {
            let alert = server.alert();
            assert_eq!(alert, Some((Protection::Handshake, 2, alert::UNEXPECTED_MESSAGE)), "{order:?}");
        }
    }
    assert_eq!(accepted, 1);
}

#[test]
fn a_message_may_not_span_a_change_of_keys() {
    let identity = Identity::ed25519();
    // The first bytes of the next message under the keys before it.
    for length in [1, 3, 4, 5] {
        let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
        let mut server = Server::new(&mut client, &identity);
        let hello = server.server_hello().to_message();
        server.layout.merge = true;
        server.transcript.extend(&hello);
        let next = server.encrypted_extensions();
        server.mutter(&hello);
        server.mutter(&next[..length]);
        server.handshake_keys();
        server.mutter(&next[length..]);
        server.deliver();
        assert_eq!(server.alert(), Some((Protection::None, 2, alert::UNEXPECTED_MESSAGE)), "{length}");

        let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
        let mut server = Server::new(&mut client, &identity);
        server.hello();
        server.say(&server.encrypted_extensions());
        server.authenticate();
        server.layout.merge = true;
        let finished = server.finished();
        server.say(&finished);
        let next = ticket(1, &[1], &[]);
        server.mutter(&next[..length]);
        server.application_keys();
        server.mutter(&next[length..]);
        server.deliver();
        assert_eq!(server.alert(), Some((Protection::Handshake, 2, alert::UNEXPECTED_MESSAGE)), "{length}");
    }
    let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
    let mut server = Server::new(&mut client, &identity);
    server.accept().unwrap();
    assert_eq!(client.state(), State::Connected);
}
