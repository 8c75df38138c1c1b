//! The handshake as a state machine (RFC 8446, section 2 and appendix A.1): bytes in, bytes out.

use core::fmt;
use core::ops::Range;

use crate::alert::Alert;
use crate::codec::Writer;
use crate::config::{Config, Ephemeral};
use crate::connection::Connection;
use crate::curve;
use crate::error::Error;
use crate::keys::Keys;
use crate::message::server_hello::ServerHello;
use crate::message::{
    Kind, certificate, certificate_request, certificate_verify, client_hello, encrypted_extensions, finished,
    server_hello,
};
use crate::record::{Records, content};
use crate::schedule::{HASH_LENGTH, Secret};
use crate::transcript::Transcript;
use crate::verify::{ServerKey, Verifier};

/// What is to be done after bytes were received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Send the output, then receive more.
    Continue,
    /// Send the output; the handshake is complete.
    Complete,
}

/// What the server has to say next.
#[derive(Clone, Copy)]
enum State {
    /// The answer to the ClientHello; the second one, if `retried`.
    ServerHello {
        retried: bool,
    },
    EncryptedExtensions,
    /// Its certificate, or, unless it was `requested`, first that it wants one of the client.
    Certificate {
        requested: bool,
    },
    CertificateVerify {
        requested: bool,
        key: ServerKey,
    },
    Finished {
        requested: bool,
    },
    Complete {
        finished: [u8; HASH_LENGTH],
    },
    /// Nothing: a message was refused.
    Failed,
}

/// A handshake on its way, without input and output of its own.
///
/// It is driven like this, always with the same buffer: send all of [`Handshake::output`], let the transport put bytes
/// into [`Handshake::space`], hand their number to [`Handshake::received`], until that says [`Progress::Complete`]; then
/// send the output and go on with [`Handshake::into_connection`]. After an error that [is final](Error::is_final) there may
/// be output too: the alert that tells the server.
pub struct Handshake<'c> {
    records: Records,
    config: Config<'c>,
    ephemeral: Ephemeral,
    transcript: Transcript,
    /// The master secret, once the key exchange is done.
    master: Option<Secret>,
    state: State,
    alpn: Option<usize>,
    chain: Range<usize>,
}

impl fmt::Debug for Handshake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handshake(..)")
    }
}

impl<'c> Handshake<'c> {
    /// Composes the ClientHello at the beginning of `buffer`; it is the first output.
    ///
    /// Fails with [`Error::TooLong`] when the buffer is too short for it or a protocol's name is not of 1 to 255 bytes.
    pub fn new(config: &Config<'c>, ephemeral: Ephemeral, buffer: &mut [u8]) -> Result<Self, Error> {
        let mut handshake = Self {
            records: Records::new(),
            config: *config,
            ephemeral,
            transcript: Transcript::new(),
            master: None,
            state: State::ServerHello { retried: false },
            alpn: None,
            chain: 0..0,
        };
        let length = handshake.hello(buffer, None).map_err(|_| Error::TooLong)?;
        handshake.records.send_plain(0..length);
        Ok(handshake)
    }

    /// The bytes to send next. Empty when there are none.
    #[must_use]
    pub fn output<'s>(&'s self, buffer: &'s [u8]) -> &'s [u8] {
        self.records.output(buffer)
    }

    /// Takes the first `length` bytes off the output: they were sent.
    pub fn sent(&mut self, length: usize) {
        self.records.sent(length);
    }

    /// Where the next received bytes go; never empty. May be filled in part.
    ///
    /// Fails with [`Error::Busy`] while there is output, and with the error that ended the handshake.
    pub fn space<'s>(&'s mut self, buffer: &'s mut [u8]) -> Result<&'s mut [u8], Error> {
        self.records.prepare(buffer).map_err(|error| match error {
            // What the server said is kept, and nothing will make room.
            Error::BufferFull => self.fail(Error::Limit),
            error => self.fail(error),
        })?;
        Ok(self.records.space(buffer))
    }

    /// Goes on with `length` bytes that were put into [`Handshake::space`]. The server's certificates are shown to
    /// `verifier` when they are complete.
    pub fn received(
        &mut self,
        buffer: &mut [u8],
        length: usize,
        verifier: &mut dyn Verifier,
    ) -> Result<Progress, Error> {
        if let Some(failure) = self.records.failure() {
            return Err(failure);
        }
        self.advance(buffer, length, verifier).map_err(|error| self.fail(error))
    }

    /// The transport has ended: nothing more can be received.
    pub fn ended(&mut self) -> Error {
        self.records.ended()
    }

    /// The established connection; `None` before [`Progress::Complete`]. Output that was not sent is its output.
    #[must_use]
    pub fn into_connection(self) -> Option<Connection> {
        match self.state {
            State::Complete { finished } => Some(Connection::new(self.records, finished, self.alpn, self.chain)),
            _ => None,
        }
    }

    pub(crate) const fn records(&mut self) -> &mut Records {
        &mut self.records
    }

    fn fail(&mut self, error: Error) -> Error {
        if error.is_final() {
            self.state = State::Failed;
        }
        self.records.fail(error)
    }

    /// Writes the record of a ClientHello to the beginning of `room` and hashes the message. Returns the record's length.
    fn hello(&mut self, room: &mut [u8], cookie: Option<&[u8]>) -> Result<usize, Error> {
        let mut writer = Writer::new(room);
        // The first record of a connection says version 1.0, for the sake of old equipment between the sides.
        writer.bytes(&[content::HANDSHAKE, 3, if cookie.is_some() { 3 } else { 1 }])?;
        let record = writer.open()?;
        client_hello::encode(&mut writer, &self.config, &self.ephemeral, cookie)?;
        writer.close(record)?;
        self.transcript.add(writer.written().get(record..).unwrap_or_default());
        Ok(writer.length())
    }

    fn advance(&mut self, buffer: &mut [u8], length: usize, verifier: &mut dyn Verifier) -> Result<Progress, Error> {
        match self.records.received(buffer, length)? {
            None => return Ok(Progress::Continue),
            Some((content::HANDSHAKE, _)) => {}
            Some(_) => return Err(Alert::UNEXPECTED_MESSAGE.into()),
        }
        while let Some((kind, range)) = self.records.message(buffer, |kind| self.state.expects(kind))? {
            self.message(buffer, kind, &range, verifier)?;
        }
        Ok(if matches!(self.state, State::Complete { .. }) { Progress::Complete } else { Progress::Continue })
    }

    /// Deals with a complete message of a type that the state expects.
    fn message(
        &mut self,
        buffer: &mut [u8],
        kind: u8,
        range: &Range<usize>,
        verifier: &mut dyn Verifier,
    ) -> Result<(), Error> {
        let (received, room) = buffer.split_at_mut_checked(range.end).unwrap_or_default();
        let message = received.get(range.clone()).unwrap_or_default();
        let body = message.get(4..).unwrap_or_default();
        match self.state {
            State::ServerHello { retried } => {
                self.records.check_boundary(range)?;
                match server_hello::decode(body, &self.ephemeral.session_id)? {
                    ServerHello::Hello(share) => {
                        self.transcript.add(message);
                        self.agree(share)?;
                        self.state = State::EncryptedExtensions;
                    }
                    ServerHello::Retry(_) if retried => return Err(Alert::UNEXPECTED_MESSAGE.into()),
                    ServerHello::Retry(cookie) => {
                        self.transcript.retry();
                        self.transcript.add(message);
                        self.records.send_change_cipher_spec()?;
                        let length = self.hello(room, Some(cookie))?;
                        self.records.send_plain(range.end..range.end.saturating_add(length));
                        self.state = State::ServerHello { retried: true };
                    }
                }
            }
            State::EncryptedExtensions => {
                self.alpn = encrypted_extensions::decode(body, self.config.alpn)?;
                self.transcript.add(message);
                self.state = State::Certificate { requested: false };
            }
            State::Certificate { .. } if kind == Kind::CertificateRequest as u8 => {
                certificate_request::decode(body)?;
                self.transcript.add(message);
                self.state = State::Certificate { requested: true };
            }
            State::Certificate { requested } => {
                let key = verifier.verify(&certificate::decode(body)?)?;
                self.transcript.add(message);
                self.chain = range.clone();
                self.state = State::CertificateVerify { requested, key };
                self.records.keep_message(range);
                return Ok(());
            }
            State::CertificateVerify { requested, ref key } => {
                certificate_verify::verify(body, key, &self.transcript.hash())?;
                self.transcript.add(message);
                self.state = State::Finished { requested };
            }
            State::Finished { requested } => {
                self.records.check_boundary(range)?;
                let secret = self.records.read().ok_or(Alert::INTERNAL_ERROR)?.secret();
                finished::verify(body, &secret.finished(&self.transcript.hash()))?;
                self.transcript.add(message);
                self.state = State::Complete { finished: self.finish(requested)? };
            }
            State::Complete { .. } | State::Failed => return Err(Alert::UNEXPECTED_MESSAGE.into()),
        }
        self.records.drop_message(buffer, range);
        Ok(())
    }

    /// Agrees on the secrets of the handshake, and changes to its keys.
    fn agree(&mut self, share: [u8; 32]) -> Result<(), Error> {
        let shared = curve::agree(&self.ephemeral.secret, &share).ok_or(Alert::ILLEGAL_PARAMETER)?;
        let secret = Secret::handshake(&shared);
        let hash = self.transcript.hash();
        self.records.set_read(Keys::new(secret.derive(b"s hs traffic", &hash)));
        self.records.set_write(Keys::new(secret.derive(b"c hs traffic", &hash)));
        self.master = Some(secret.master());
        Ok(())
    }

    /// Answers the server's Finished, and changes to the keys of the connection.
    fn finish(&mut self, requested: bool) -> Result<[u8; HASH_LENGTH], Error> {
        let master = self.master.take().ok_or(Alert::INTERNAL_ERROR)?;
        let hash = self.transcript.hash();
        let read = Keys::new(master.derive(b"s ap traffic", &hash));
        let write = Keys::new(master.derive(b"c ap traffic", &hash));
        let mut flight = [0; certificate::NONE.len() + finished::LENGTH];
        let mut writer = Writer::new(&mut flight);
        if requested {
            writer.bytes(&certificate::NONE)?;
            self.transcript.add(&certificate::NONE);
        }
        let value = self.records.write().ok_or(Alert::INTERNAL_ERROR)?.secret().finished(&self.transcript.hash());
        writer.bytes(&finished::encode(&value))?;
        self.records.send_change_cipher_spec()?;
        self.records.send_small(content::HANDSHAKE, writer.written())?;
        self.records.set_read(read);
        self.records.set_write(write);
        self.records.end_handshake();
        Ok(value)
    }
}

impl State {
    /// Whether a message of this type may come now.
    fn expects(&self, kind: u8) -> bool {
        let expected = match self {
            Self::ServerHello { .. } => Kind::ServerHello,
            Self::EncryptedExtensions { .. } => Kind::EncryptedExtensions,
            Self::Certificate { requested: false, .. } if kind == Kind::CertificateRequest as u8 => return true,
            Self::Certificate { .. } => Kind::Certificate,
            Self::CertificateVerify { .. } => Kind::CertificateVerify,
            Self::Finished { .. } => Kind::Finished,
            Self::Complete { .. } | Self::Failed => return false,
        };
        kind == expected as u8
    }
}
