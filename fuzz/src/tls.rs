//! Programs for a TLS server: the fuzzer decides what a server with fixed keys says to a client with fixed keys.
//!
//! What the input says is encrypted, signed and hashed by the server, so every state of the client is reached.

use std::sync::LazyLock;

use crate::input::Input;
use crate::peers::core::CoreClient;
use crate::server::keys::verify_data;
use crate::server::messages::{certificate, certificate_request, key_update, ticket};
use crate::server::wire::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, message};
use crate::server::{Identity, Protection, Server, State};

/// The server.
pub static IDENTITY: LazyLock<Identity> = LazyLock::new(Identity::ed25519);

const ALPN: &[&[u8]] = &[b"smp/1"];

/// A server on its way through a program.
struct Play<'c> {
    server: Server<'c>,
    /// The number of the next message of a correct handshake.
    next: u8,
    /// The transcript to which Finished values belong.
    finished: Option<Vec<u8>>,
    /// What the client may receive as data.
    sent: Vec<u8>,
    /// What the client has sent.
    written: Vec<u8>,
}

impl Play<'_> {
    /// The next message of a correct handshake, after which come tickets and updates for ever.
    fn correct(&self) -> Vec<u8> {
        match self.next {
            0 => self.server.server_hello().to_message(),
            1 => self.server.encrypted_extensions(),
            2 => self.server.certificate(),
            3 => self.server.certificate_verify(),
            4 if self.server.handshake.is_some() => self.server.finished(),
            number if number % 3 == 0 => ticket(1, &[number; 20], &[]),
            number => key_update(number % 3 == 1),
        }
    }

    /// Says it, as it is or bent, and does what belongs to it.
    fn say(&mut self, message: &[u8]) {
        if self.next > 4 {
            self.server.mutter(message)
        } else {
            self.server.say(message)
        }
        match self.next {
            0 => self.server.handshake_keys(),
            4 if self.server.handshake.is_some() => {
                self.finished = Some(self.server.transcript.clone());
                self.server.application_keys();
            }
            5.. if message == key_update(false) || message == key_update(true) => self.next_keys(),
            _ => {}
        }
        self.next = self.next.saturating_add(1);
    }

    fn next_keys(&mut self) {
        if self.server.keys().is_some() {
            self.server.next_keys();
        }
    }

    fn step(&mut self, operation: u8, input: &mut Input<'_>) {
        match operation % 16 {
            0..=2 => {
                let message = self.correct();
                self.say(&message);
            }
            3 | 4 => {
                let mut message = self.correct();
                input.change(&mut message);
                self.say(&message);
            }
            5 => {
                let kind = input.byte();
                let message = message(kind, input.bytes());
                self.say(&message);
            }
            6 => self.server.say(&message(input.byte(), input.bytes())),
            7 => self.server.mutter(input.bytes()),
            8 => {
                let kind = [ALERT, HANDSHAKE, APPLICATION_DATA, CHANGE_CIPHER_SPEC, operation];
                let kind = kind[usize::from(input.byte()) % kind.len()];
                let content = input.bytes();
                if kind == APPLICATION_DATA && self.server.protection == Protection::Application {
                    self.sent.extend_from_slice(content);
                }
                self.server.record(kind, content);
            }
            9 => self.server.plain(input.byte(), input.bytes()),
            10 => {
                let inner = input.bytes();
                if let Some(place) = inner.iter().rposition(|byte| *byte != 0)
                    && inner[place] == APPLICATION_DATA
                {
                    self.sent.extend_from_slice(&inner[..place]);
                }
                if self.server.handshake.is_some() {
                    self.server.inner(inner);
                }
            }
            11 => self.server.raw(input.bytes()),
            12 => self.next = self.next.saturating_add(1),
            13 => {
                self.server.deliver();
                if self.server.client.can_write() {
                    let data = input.bytes();
                    self.server.client.write(data);
                    self.written.extend_from_slice(data);
                }
            }
            14 if self.next == 0 => {
                let mut retry = self.server.retry_request(Some(input.bytes())).to_message();
                input.change(&mut retry);
                let _ = self.server.retry_with(&retry);
            }
            14 => self.next_keys(),
            _ => {
                let request = certificate_request(&[], &[]);
                self.server.say(&request);
            }
        }
    }

    /// What a client that has connected has sent is what it must have.
    fn check(&mut self) {
        let transcript = self.finished.clone().expect("a client has connected without a Finished of its server");
        let secret = self.server.stage().client.secret;
        let none = certificate(&[], &[]);
        let plain = message(20, &verify_data(&secret, &transcript));
        let asked = message(20, &verify_data(&secret, &[&transcript[..], &none].concat()));
        let (mut flight, mut data) = (Vec::new(), Vec::new());
        while let Some(received) = self.server.receive() {
            match (received.protection, received.kind) {
                (Protection::None, CHANGE_CIPHER_SPEC) => {}
                (Protection::Handshake, HANDSHAKE) => flight.extend(received.content),
                (Protection::Application, APPLICATION_DATA) => data.extend(received.content),
                (Protection::Application, HANDSHAKE) => {
                    assert_eq!(received.content, key_update(false));
                    let keys = self.server.client_keys();
                    *keys = keys.next();
                }
                (Protection::Application, ALERT) => assert_eq!(received.content.len(), 2),
                _ => panic!("the client has sent {received:?}"),
            }
        }
        assert!(flight == plain || flight == [none, asked].concat(), "the client's Finished is wrong");
        assert_eq!(data, self.written);
    }
}

/// Plays a program. Panics when the client connects to a server that has not said the right things, receives what was
/// not sent, or sends what it should not.
pub fn play(data: &[u8]) {
    let mut input = Input(data);
    let Some(layout) = input.next() else { return };
    let mut client = CoreClient::new(IDENTITY.fingerprint, ALPN);
    let mut server = Server::new(&mut client, &IDENTITY);
    server.layout.fragment = [16_384, 1, 7, 100][usize::from(layout & 3)];
    server.layout.merge = layout & 4 != 0;
    server.layout.compatibility = layout & 8 != 0;
    server.layout.padding = if layout & 16 != 0 { 5 } else { 0 };
    server.layout.piece = if layout & 32 != 0 { 3 } else { usize::MAX };
    let mut play = Play { server, next: 0, finished: None, sent: Vec::new(), written: Vec::new() };
    let mut connected = false;
    // Longer programs say nothing new.
    for _ in 0..64 {
        let Some(operation) = input.next() else { break };
        play.step(operation, &mut input);
        if operation & 128 != 0 {
            play.server.deliver();
        }
        connected |= play.server.client.state() == State::Connected;
    }
    play.server.deliver();
    connected |= play.server.client.state() == State::Connected;
    let received = play.server.client.take();
    assert!(play.sent.starts_with(&received), "data that was not sent");
    play.server.client.end();
    assert!(matches!(play.server.client.state(), State::Failed(_) | State::Closed));
    // A client may have come and gone while it got its bytes; data says that it was there.
    if connected || !received.is_empty() {
        play.check();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_correct_steps_connects_and_exchanges_data() {
        // Five messages, data of the server and of the client, an update of keys, data.
        play(&[0, 0, 0, 0, 0, 128, 8, 2, 3, 1, 2, 3, 13, 4, 9, 9, 9, 9, 0, 0, 8, 2, 1, 7]);
    }
}
