//! What the server receives: records, opened with whatever keys of the client fit.

use super::keys::{Keys, verify_data};
use super::wire::{ALERT, APPLICATION_DATA, Bytes, CERTIFICATE, CHANGE_CIPHER_SPEC, FINISHED, HANDSHAKE, KEY_UPDATE};
use super::{Server, State};

/// Under which keys of the client a record came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    None,
    Handshake,
    Application,
}

/// A record of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub protection: Protection,
    pub kind: u8,
    pub content: Vec<u8>,
}

impl Received {
    /// The level and description of an alert.
    pub fn alert(&self) -> Option<(u8, u8)> {
        match (self.kind, self.content.as_slice()) {
            (ALERT, [level, description]) => Some((*level, *description)),
            _ => None,
        }
    }
}

impl Server<'_> {
    /// The next record of the client, if there is one.
    pub fn receive(&mut self) -> Option<Received> {
        let record = self.next_record()?;
        let (kind, body) = (record[0], &record[5..]);
        if kind != APPLICATION_DATA {
            return Some(Received { protection: Protection::None, kind, content: body.to_vec() });
        }
        let keys = [
            (Protection::Application, self.application.as_mut().map(|stage| &mut stage.client)),
            (Protection::Handshake, self.handshake.as_mut().map(|stage| &mut stage.client)),
        ];
        for (protection, keys) in keys {
            if let Some((kind, content)) = keys.and_then(|keys| keys.open(&record)) {
                return Some(Received { protection, kind, content });
            }
        }
        panic!("a record of the client opens with none of its keys");
    }

    /// All records that have come.
    pub fn receive_all(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.receive()).collect()
    }

    fn next_record(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some([_, _, _, high, low]) = self.incoming.first_chunk() {
                let length = 5 + usize::from(u16::from_be_bytes([*high, *low]));
                assert!(length <= 5 + 16_384 + 256, "the client's record is too long");
                if self.incoming.len() >= length {
                    let rest = self.incoming.split_off(length);
                    return Some(std::mem::replace(&mut self.incoming, rest));
                }
            }
            let more = self.client.output();
            if more.is_empty() {
                assert!(self.incoming.is_empty(), "the client has sent half a record");
                return None;
            }
            self.received.extend_from_slice(&more);
            self.incoming.extend(more);
        }
    }

    /// A handshake message of the client, which must be alone in its record, under `protection`. Records for
    /// compatibility that may come before it are skipped.
    pub fn message(&mut self, protection: Protection) -> Result<Vec<u8>, String> {
        loop {
            let received = self.receive().ok_or_else(|| format!("nothing came: {:?}", self.client.state()))?;
            match received {
                Received { protection: Protection::None, kind: CHANGE_CIPHER_SPEC, content } if content == [1] => {}
                Received { protection: got, kind: HANDSHAKE, content } if got == protection => return Ok(content),
                other => return Err(format!("instead of a handshake message: {other:?}")),
            }
        }
    }

    /// Reads the client's last flight and checks it; returns its Finished value. Data can be sent from now on.
    pub fn client_finished(&mut self) -> Result<[u8; 32], String> {
        let secret = self.stage().client.secret;
        let mut flight = self.message(Protection::Handshake)?;
        if let Some(context) = self.requested.clone() {
            // Several messages may be in one record.
            let length = 4 + Bytes(flight.get(1..).unwrap()).number(3);
            let rest = flight.split_off(length);
            let expected = super::messages::certificate(&context, &[]);
            if flight != expected {
                return Err(format!("not an empty list of certificates: {flight:?}, but {CERTIFICATE}"));
            }
            self.transcript.extend(flight);
            flight = if rest.is_empty() { self.message(Protection::Handshake)? } else { rest };
        }
        let value = verify_data(&secret, &self.transcript);
        if flight != super::wire::message(FINISHED, &value) {
            return Err("the client's Finished is wrong".into());
        }
        self.transcript.extend(flight);
        Ok(value)
    }

    /// Reads what the client sends after the handshake: its data, following its changes of keys. Stops at an alert.
    pub fn data(&mut self) -> (Vec<u8>, Option<(u8, u8)>) {
        let mut data = Vec::new();
        while let Some(received) = self.receive() {
            assert_eq!(received.protection, Protection::Application, "{received:?}");
            match received.kind {
                APPLICATION_DATA => data.extend(&received.content),
                HANDSHAKE => {
                    assert_eq!(received.content[..4], [KEY_UPDATE, 0, 0, 1]);
                    assert!(received.content.len() == 5 && received.content[4] < 2, "{received:?}");
                    self.client_updates.push(received.content[4]);
                    let keys = &mut self.application.as_mut().unwrap().client;
                    *keys = keys.next();
                }
                _ => return (data, received.alert()),
            }
        }
        (data, None)
    }

    /// Follows the client's changes of keys up to an alert, which is left for [`Self::alert`].
    pub fn follow_updates(&mut self) {
        while let Some(received) = self.receive() {
            if received.kind != HANDSHAKE {
                self.kept.push(received);
                return;
            }
            assert_eq!(received.content[..4], [KEY_UPDATE, 0, 0, 1]);
            let keys = &mut self.application.as_mut().unwrap().client;
            *keys = keys.next();
        }
    }

    /// The alert with which the client has ended the connection, with its level, and how it was protected. `None` when
    /// it has sent none. Fails the test when anything follows the alert.
    pub fn alert(&mut self) -> Option<(Protection, u8, u8)> {
        let mut received = std::mem::take(&mut self.kept);
        received.extend(self.receive_all());
        let place = received.iter().position(|received| received.kind == ALERT)?;
        assert_eq!(place + 1, received.len(), "records after an alert: {received:?}");
        let (level, description) = received[place].alert().expect("an alert has two bytes");
        Some((received[place].protection, level, description))
    }

    /// Why the client has failed, if it has.
    pub fn failure(&self) -> Option<String> {
        match self.client.state() {
            State::Failed(why) => Some(why),
            _ => None,
        }
    }

    /// The client's keys, to try them on records.
    pub fn client_keys(&mut self) -> &mut Keys {
        &mut self.application.as_mut().or(self.handshake.as_mut()).expect("no keys yet").client
    }
}
