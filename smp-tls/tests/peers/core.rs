//! The client under test without a transport, behind the interface of the scripted server.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use smp_crypto::certificate::{Certificate, CertificateKey, ChainError, validate_server_chain};
use smp_tls::{
    Alert, BUFFER_LENGTH, CertificateChain, Config, Connection, Ephemeral, Error, Handshake, Progress, ServerKey,
    Verifier,
};

use crate::server::identity::NOW;
use crate::server::{Client, State};

/// Trusts one chain, by the rules of the network.
#[derive(Clone, Copy)]
pub struct Fingerprint(pub [u8; 32]);

impl Verifier for Fingerprint {
    fn verify(&mut self, chain: &CertificateChain<'_>) -> Result<ServerKey, Alert> {
        let refused = |error: ChainError| Alert::new(error.tls_alert());
        let mut slices = [&[][..]; CertificateChain::MAX_LENGTH];
        let chain = chain.collect(&mut slices).ok_or(Alert::INTERNAL_ERROR)?;
        validate_server_chain(chain, &self.0, NOW).map_err(refused)?;
        match Certificate::from_der(chain[0]).map_err(|_| Alert::BAD_CERTIFICATE)?.public_key() {
            CertificateKey::Ed25519(key) => Ok(ServerKey::Ed25519(key.0)),
            CertificateKey::Ed448(key) => Ok(ServerKey::Ed448(key.0)),
            _ => Err(Alert::UNSUPPORTED_CERTIFICATE),
        }
    }
}

/// The same one every time.
pub fn ephemeral() -> Ephemeral {
    let Ok(ephemeral) = Ephemeral::generate(&mut ChaCha20Rng::seed_from_u64(1));
    ephemeral
}

enum Stage {
    Handshake(Box<Handshake<'static>>),
    Connected(Box<Connection>),
    Gone,
}

/// A handshake, then a connection.
pub struct CoreClient {
    buffer: Vec<u8>,
    stage: Stage,
    verifier: Fingerprint,
    out: Vec<u8>,
    received: Vec<u8>,
    pub error: Option<Error>,
}

impl CoreClient {
    pub fn new(fingerprint: [u8; 32], alpn: &'static [&'static [u8]]) -> Self {
        Self::with_buffer(fingerprint, alpn, BUFFER_LENGTH)
    }

    pub fn with_buffer(fingerprint: [u8; 32], alpn: &'static [&'static [u8]], length: usize) -> Self {
        let mut buffer = vec![0; length];
        let handshake = Handshake::new(&Config { alpn }, ephemeral(), &mut buffer).unwrap();
        let stage = Stage::Handshake(Box::new(handshake));
        let (out, received) = (Vec::new(), Vec::new());
        let mut client = Self { buffer, stage, verifier: Fingerprint(fingerprint), out, received, error: None };
        client.send();
        client
    }

    pub fn connection(&mut self) -> Option<&mut Connection> {
        match &mut self.stage {
            Stage::Connected(connection) => Some(connection),
            _ => None,
        }
    }

    /// The client's Finished value and the protocol agreed on.
    pub fn result(&mut self) -> Option<([u8; 32], Option<usize>)> {
        self.connection().map(|connection| (*connection.finished(), connection.alpn()))
    }

    pub fn close(&mut self) {
        self.connection().unwrap().close().unwrap();
        self.send();
    }

    /// Moves the output to what the server will get.
    fn send(&mut self) {
        let output = match &self.stage {
            Stage::Handshake(handshake) => handshake.output(&self.buffer),
            Stage::Connected(connection) => connection.output(&self.buffer),
            Stage::Gone => return,
        };
        // In pieces, to see that the rest remains.
        let mut output = output;
        while !output.is_empty() {
            let length = output.len().div_ceil(2);
            self.out.extend_from_slice(&output[..length]);
            match &mut self.stage {
                Stage::Handshake(handshake) => handshake.sent(length),
                Stage::Connected(connection) => connection.sent(length),
                Stage::Gone => return,
            }
            output = match &self.stage {
                Stage::Handshake(handshake) => handshake.output(&self.buffer),
                Stage::Connected(connection) => connection.output(&self.buffer),
                Stage::Gone => return,
            };
        }
    }

    /// Lets the client receive the first of `bytes`; how many it took.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let Self { buffer, stage, verifier, received, .. } = self;
        match stage {
            Stage::Handshake(handshake) => {
                let space = handshake.space(buffer)?;
                let length = space.len().min(bytes.len());
                assert!(length > 0, "there is no space");
                space[..length].copy_from_slice(&bytes[..length]);
                if handshake.received(buffer, length, verifier)? == Progress::Complete {
                    let Stage::Handshake(handshake) = std::mem::replace(stage, Stage::Gone) else { unreachable!() };
                    let connection = handshake.into_connection().expect("a complete handshake gives a connection");
                    let leaf = connection.chain(buffer).expect("the chain is there").leaf().to_vec();
                    assert!(Certificate::from_der(&leaf).is_ok());
                    *stage = Stage::Connected(Box::new(connection));
                }
                Ok(length)
            }
            Stage::Connected(connection) => {
                let space = connection.space(buffer)?;
                let length = space.len().min(bytes.len());
                assert!(length > 0, "there is no space");
                space[..length].copy_from_slice(&bytes[..length]);
                let result = connection.received(buffer, length);
                let content = connection.content();
                received.extend_from_slice(&buffer[content.clone()]);
                connection.consume(content.len());
                result.map(|()| length)
            }
            Stage::Gone => unreachable!(),
        }
    }
}

impl Client for CoreClient {
    fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn input(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.step(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) => {
                    if let Some(first) = self.error.filter(|first| *first != Error::Closed) {
                        assert_eq!(first, error, "an error that changes");
                    }
                    assert!(error.is_final(), "{error:?}");
                    self.error = Some(error);
                    self.send();
                    return;
                }
            }
            self.send();
        }
    }

    fn end(&mut self) {
        let error = match &mut self.stage {
            Stage::Handshake(handshake) => handshake.ended(),
            Stage::Connected(connection) => connection.ended(),
            Stage::Gone => return,
        };
        self.error = Some(error);
        self.send();
    }

    fn can_write(&self) -> bool {
        let open = matches!(self.error, None | Some(Error::Closed));
        matches!(&self.stage, Stage::Connected(connection) if open && connection.is_free())
    }

    fn write(&mut self, data: &[u8]) {
        for data in data.chunks(smp_tls::CONTENT_LENGTH) {
            let Self { buffer, stage: Stage::Connected(connection), .. } = self else { panic!("not connected") };
            assert!(connection.is_free());
            connection.content_mut(buffer).unwrap()[..data.len()].copy_from_slice(data);
            connection.seal(buffer, data.len()).unwrap();
            self.send();
        }
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }

    fn state(&self) -> State {
        match (self.error, &self.stage) {
            (Some(Error::Closed), Stage::Connected(_)) => State::Closed,
            (Some(error), _) => State::Failed(format!("{error:?}")),
            (None, Stage::Handshake(_)) => State::Handshaking,
            (None, _) => State::Connected,
        }
    }
}
