//! The primitives of the TLS profile of SMP (section 3): one cipher suite, two groups, two signature schemes.
//!
//! ring does everything it can; Curve448 comes from [`super::curve448`]. The cipher suite is ring's with one difference:
//! its HMACs are noted for the session identifier, see [`super::finished`].

use super::{curve448, finished};
use rustls::crypto::ring::{cipher_suite::TLS13_CHACHA20_POLY1305_SHA256, default_provider, kx_group::X25519, sign};
use rustls::crypto::tls13::{Hkdf, HkdfExpander, OkmBlock};
use rustls::crypto::{ActiveKeyExchange, CryptoProvider, KeyProvider, WebPkiSupportedAlgorithms, hmac};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::{CipherSuiteCommon, Error, SupportedCipherSuite, Tls13CipherSuite};
use std::sync::{Arc, LazyLock};

/// The provider of every connection of this project, client and server.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        Arc::new(CryptoProvider {
            cipher_suites: SUITE.iter().map(SupportedCipherSuite::Tls13).collect(),
            // A client's first key share is of the first group; like the reference's it is X448. A server takes the
            // first group of the client's list that it knows, so the order means nothing there.
            kx_groups: vec![curve448::X448, X25519],
            // Signatures are checked by `super::verify`, which does not ask the provider.
            signature_verification_algorithms: WebPkiSupportedAlgorithms { all: &[], mapping: &[] },
            key_provider: &IdentityKeys,
            ..default_provider()
        })
    });
    Arc::clone(&PROVIDER)
}

/// TLS_CHACHA20_POLY1305_SHA256 of ring with its HMACs noted.
static SUITE: LazyLock<Option<Tls13CipherSuite>> = LazyLock::new(|| {
    let ring = TLS13_CHACHA20_POLY1305_SHA256.tls13()?;
    Some(Tls13CipherSuite {
        common: CipherSuiteCommon {
            suite: ring.common.suite,
            hash_provider: ring.common.hash_provider,
            confidentiality_limit: ring.common.confidentiality_limit,
        },
        // Leaked once per process: rustls wants a reference that lives as long.
        hkdf_provider: Box::leak(Box::new(NotingHkdf(ring.hkdf_provider))),
        aead_alg: ring.aead_alg,
        quic: None,
    })
});

/// The key derivation of another suite, with its plain HMACs noted.
struct NotingHkdf(&'static dyn Hkdf);

impl Hkdf for NotingHkdf {
    fn extract_from_zero_ikm(&self, salt: Option<&[u8]>) -> Box<dyn HkdfExpander> {
        self.0.extract_from_zero_ikm(salt)
    }

    fn extract_from_secret(&self, salt: Option<&[u8]>, secret: &[u8]) -> Box<dyn HkdfExpander> {
        self.0.extract_from_secret(salt, secret)
    }

    fn extract_from_kx_shared_secret(
        &self,
        salt: Option<&[u8]>,
        exchange: Box<dyn ActiveKeyExchange>,
        peer: &[u8],
    ) -> Result<Box<dyn HkdfExpander>, Error> {
        self.0.extract_from_kx_shared_secret(salt, exchange, peer)
    }

    fn expander_for_okm(&self, okm: &OkmBlock) -> Box<dyn HkdfExpander> {
        self.0.expander_for_okm(okm)
    }

    fn hmac_sign(&self, key: &OkmBlock, message: &[u8]) -> hmac::Tag {
        let tag = self.0.hmac_sign(key, message);
        finished::note(tag.as_ref());
        tag
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

/// Loads the private keys of certificates: PKCS#8 with Ed25519 or Ed448.
#[derive(Debug)]
struct IdentityKeys;

impl KeyProvider for IdentityKeys {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        let PrivateKeyDer::Pkcs8(key) = key else {
            return Err(Error::General("a certificate's private key must be PKCS#8".into()));
        };
        if let Some(key) = curve448::Ed448Signer::from_pkcs8(key.secret_pkcs8_der()) {
            return Ok(Arc::new(key));
        }
        sign::any_eddsa_type(&key)
    }
}
