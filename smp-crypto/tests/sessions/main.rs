//! Two peers agree on a session and send each other blocks; what an adversary changes is found out.

#![cfg(feature = "ed448")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod altered;
mod blocks;
mod services;
mod versions;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use smp_crypto::{
    certificate::{
        Certificate, CertificateParameters, CertificateSigner, MAX_CERTIFICATE_LENGTH, Validity, write_authority,
        write_leaf,
    },
    key::{Ed448SecretKey, Ed25519SecretKey, X25519SecretKey},
    session::{
        Block, ClientConfiguration, ClientHandshake, ClientStep, ServerConfiguration, ServerHandshake, ServerLeaf,
        ServerSessionKey, ServerStep, Session, SessionError, SessionIdentifier,
    },
};
use smp_proto::{
    transport::{BLOCK_LENGTH, hello::CertificateChain},
    version::{SmpVersion, VersionRange},
    wire::{LongString, pad, unpad},
};

const NOW: i64 = 1_800_000_000;

fn range(min: u16, max: u16) -> VersionRange<SmpVersion> {
    VersionRange::new(SmpVersion(min), SmpVersion(max)).unwrap()
}

fn session_id() -> SessionIdentifier {
    SessionIdentifier::new(&[7; 32]).unwrap()
}

fn content(block: &Block) -> &[u8] {
    unpad(block).unwrap()
}

fn block_of(content: &[u8]) -> Block {
    let mut block = [0; BLOCK_LENGTH];
    pad(content, &mut block).unwrap();
    block
}

/// A party with certificates: a relay, or a service.
struct Party {
    ed25519: Ed25519SecretKey,
    ed448: Option<Ed448SecretKey>,
    chain: Vec<Vec<u8>>,
}

impl Party {
    fn new(seed: u64) -> Self {
        Self::with(seed, None)
    }

    fn with_ed448(seed: u64) -> Self {
        Self::with(seed, Some(Ed448SecretKey::generate(&mut ChaCha20Rng::seed_from_u64(seed))))
    }

    fn with(seed: u64, ed448: Option<Ed448SecretKey>) -> Self {
        let random = &mut ChaCha20Rng::seed_from_u64(seed);
        let mut party = Self { ed25519: Ed25519SecretKey::generate(random), ed448, chain: Vec::new() };
        let parameters = CertificateParameters { serial: [1; 20], validity: Validity::from_days(NOW, 1) };
        let identity = Ed25519SecretKey::generate(random);
        let identity = CertificateSigner::Ed25519(&identity);
        let mut buffer = [0; MAX_CERTIFICATE_LENGTH];
        let authority = write_authority(&mut buffer, &parameters, identity).unwrap();
        let mut buffer = [0; MAX_CERTIFICATE_LENGTH];
        let view = Certificate::from_der(authority).unwrap();
        let key = party.signer().public_key();
        let leaf = write_leaf(&mut buffer, &parameters, "localhost", &key, &view, identity).unwrap();
        party.chain = vec![leaf.to_vec(), authority.to_vec()];
        party
    }

    fn signer(&self) -> CertificateSigner<'_> {
        match &self.ed448 {
            Some(key) => CertificateSigner::Ed448(key),
            None => CertificateSigner::Ed25519(&self.ed25519),
        }
    }

    fn chain(&self) -> Vec<LongString<'_>> {
        self.chain.iter().map(|certificate| LongString::new(certificate).unwrap()).collect()
    }

    fn slices(&self) -> Vec<&[u8]> {
        self.chain.iter().map(Vec::as_slice).collect()
    }

    fn identity(&self) -> [u8; 32] {
        Certificate::from_der(&self.chain[1]).unwrap().fingerprint()
    }

    /// Runs `run` with this relay in the middle of a handshake, and its hello.
    fn serve<T>(
        &self,
        versions: VersionRange<SmpVersion>,
        alpn: bool,
        run: impl FnOnce(ServerHandshake<'_>, Block) -> T,
    ) -> T {
        let chain = self.chain();
        let configuration = ServerConfiguration::new(versions, CertificateChain::new(&chain).unwrap()).unwrap();
        let server = if alpn {
            let key = ServerSessionKey::generate(&mut ChaCha20Rng::seed_from_u64(20), self.signer());
            ServerHandshake::new(&configuration, session_id(), key)
        } else {
            ServerHandshake::without_alpn(&configuration, session_id()).unwrap()
        };
        let mut block = [0; BLOCK_LENGTH];
        server.hello(&mut block).unwrap();
        run(server, block)
    }

    fn client_configuration(&self, versions: VersionRange<SmpVersion>) -> ClientConfiguration<'static> {
        ClientConfiguration { versions, identity: self.identity(), is_proxy: false, service: None }
    }

    /// A client of this relay.
    fn client<'a>(&'a self, configuration: ClientConfiguration<'a>) -> ClientHandshake<'a> {
        let key = X25519SecretKey::generate(&mut ChaCha20Rng::seed_from_u64(30));
        ClientHandshake::new(configuration, session_id(), ServerLeaf::from_der(&self.chain[0]).unwrap(), key)
    }
}

/// A complete handshake without service: server and client.
fn connect(
    relay: &Party,
    versions: VersionRange<SmpVersion>,
    alpn: bool,
    configuration: ClientConfiguration<'_>,
) -> Result<(Session, Session), SessionError> {
    relay.serve(versions, alpn, |server, mut block| {
        let ClientStep::Session(client) = relay.client(configuration).receive(&mut block)? else {
            panic!("there is no service")
        };
        let ServerStep::Session(server) = server.receive(&block, &[], NOW)? else { panic!("there is no service") };
        Ok((server, client))
    })
}
