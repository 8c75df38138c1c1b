//! Whether a relay is the one of its address (wire reference, section 3.2).

use smp_crypto::certificate::{
    CertificateKey, ChainError, KnownChain, MAX_CHAIN_LENGTH, fingerprint, validate_server_chain_again,
};
use smp_crypto::session::ServerLeaf;
use smp_tls::{Alert, CertificateChain, ServerKey, Verifier};

/// Judges the certificates that a relay shows in TLS, and keeps what the handshake of SMP needs of them: they are gone
/// when the relay's hello comes in.
#[derive(Debug)]
pub(crate) struct RelayVerifier<'a> {
    identity: &'a [u8; 32],
    now: Option<i64>,
    /// The chain that was trusted last time, then the one that is trusted now.
    pub(crate) known: Option<KnownChain>,
    /// The leaf, once it is trusted.
    pub(crate) leaf: Option<ServerLeaf>,
    /// Why the chain is not trusted.
    pub(crate) failure: Option<ChainError>,
}

impl<'a> RelayVerifier<'a> {
    pub(crate) const fn new(identity: &'a [u8; 32], now: Option<i64>, known: Option<KnownChain>) -> Self {
        Self { identity, now, known, leaf: None, failure: None }
    }

    fn judge(&mut self, chain: &CertificateChain<'_>) -> Result<ServerKey, ChainError> {
        let mut certificates = [&[][..]; MAX_CHAIN_LENGTH];
        let certificates = chain.collect(&mut certificates).ok_or(ChainError::TooDeep)?;
        let (valid, shown) = validate_server_chain_again(certificates, self.identity, self.now, self.known.as_ref())?;
        let key = match valid.leaf_key {
            CertificateKey::Ed25519(key) => ServerKey::Ed25519(key.0),
            #[cfg(feature = "ed448")]
            CertificateKey::Ed448(key) => ServerKey::Ed448(key.0),
            _ => return Err(ChainError::UnsupportedAlgorithm),
        };
        self.known = Some(shown);
        self.leaf = Some(ServerLeaf { fingerprint: fingerprint(chain.leaf()), key: valid.leaf_key });
        Ok(key)
    }
}

impl Verifier for RelayVerifier<'_> {
    fn verify(&mut self, chain: &CertificateChain<'_>) -> Result<ServerKey, Alert> {
        self.judge(chain).map_err(|error| {
            self.failure = Some(error);
            Alert::new(error.tls_alert())
        })
    }
}
