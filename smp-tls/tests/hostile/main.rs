//! Servers that break the rules, each with the alert it must be told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#[path = "../peers/mod.rs"]
mod peers;
#[path = "../server/mod.rs"]
mod server;

mod certificates;
mod damage;
mod ends;
mod flight;
mod hello;
mod order;
mod records;

use peers::ALPN;
use peers::core::CoreClient;
use server::{Identity, Protection, Server, State};
use smp_tls::Error;

/// One misdeed.
pub(crate) struct Row {
    name: &'static str,
    /// Under which of the client's keys the alert must come.
    protection: Protection,
    alert: u8,
    script: fn(&mut Server<'_>),
}

impl Row {
    pub(crate) const fn new(
        name: &'static str,
        protection: Protection,
        alert: u8,
        script: fn(&mut Server<'_>),
    ) -> Self {
        Self { name, protection, alert, script }
    }

    /// Plays the row and tells what went wrong.
    fn play(&self) -> Result<(), String> {
        for piece in [usize::MAX, 1] {
            let identity = Identity::ed25519();
            let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
            let mut server = Server::new(&mut client, &identity);
            server.layout.piece = piece;
            (self.script)(&mut server);
            server.deliver();
            let expected = Some((self.protection, 2, self.alert));
            let (alert, state) = (server.alert(), server.client.state());
            if alert != expected {
                return Err(format!("{}: {alert:?}, not {expected:?}; {state:?}", self.name));
            }
            if !matches!(state, State::Failed(_)) {
                return Err(format!("{}: {state:?}", self.name));
            }
            // It stays so, and says nothing more.
            server.raw(&[22, 3, 3, 0, 1, 2]);
            server.deliver();
            server.client.end();
            if server.client.state() != state || !server.client.output().is_empty() {
                return Err(format!("{}: not at its end", self.name));
            }
            if !server.client.take().is_empty() {
                return Err(format!("{}: data came out of it", self.name));
            }
            if !matches!(client.error, Some(Error::Refused(_) | Error::Limit)) {
                return Err(format!("{}: {:?}", self.name, client.error));
            }
        }
        Ok(())
    }
}

/// Plays all rows before it complains.
pub(crate) fn play(rows: &[Row]) {
    let failures: Vec<String> = rows.iter().filter_map(|row| row.play().err()).collect();
    assert!(failures.is_empty(), "{} of {} rows:\n{}", failures.len(), rows.len(), failures.join("\n"));
}

#[test]
fn bad_records_before_encryption() {
    play(records::PLAIN);
}

#[test]
fn bad_records_under_the_keys_of_the_handshake() {
    play(records::PROTECTED);
}

#[test]
fn bad_records_after_the_handshake() {
    play(records::DATA);
}

#[test]
fn bad_hellos() {
    play(hello::HELLO);
}

#[test]
fn bad_retry_requests() {
    play(hello::RETRY);
}

#[test]
fn bad_encrypted_extensions() {
    play(flight::EXTENSIONS);
}

#[test]
fn bad_certificates_and_requests() {
    play(certificates::CERTIFICATES);
}

#[test]
fn bad_signatures() {
    play(flight::SIGNATURES);
}

#[test]
fn bad_finishes() {
    play(flight::FINISHES);
}

#[test]
fn bad_messages_after_the_handshake() {
    play(flight::AFTER);
}
