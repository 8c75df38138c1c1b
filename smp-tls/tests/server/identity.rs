//! Certificate chains and the keys behind them.

use smp_crypto::certificate::{
    Certificate, CertificateKey, CertificateParameters, CertificateSigner, MAX_CERTIFICATE_LENGTH, Validity,
    fingerprint, write_authority, write_leaf,
};
use smp_crypto::key::{Ed448SecretKey, Ed25519SecretKey};

use super::wire::{ED448, ED25519};

/// The moment at which chains are checked: a test has no clock.
pub const NOW: i64 = 1_800_000_000;

/// A key that signs handshakes.
pub enum SigningKey {
    Ed25519(Box<Ed25519SecretKey>),
    Ed448(Box<Ed448SecretKey>),
}

impl SigningKey {
    fn signer(&self) -> CertificateSigner<'_> {
        match self {
            Self::Ed25519(key) => CertificateSigner::Ed25519(key),
            Self::Ed448(key) => CertificateSigner::Ed448(key),
        }
    }

    pub fn scheme(&self) -> u16 {
        match self {
            Self::Ed25519(_) => ED25519,
            Self::Ed448(_) => ED448,
        }
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.sign(message).to_vec(),
            Self::Ed448(key) => key.sign(message).to_vec(),
        }
    }

    pub fn pkcs8(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.to_pkcs8().as_bytes().to_vec(),
            Self::Ed448(key) => key.to_pkcs8().as_bytes().to_vec(),
        }
    }

    pub fn public_key(&self) -> CertificateKey {
        self.signer().public_key()
    }
}

/// A server's chain and the key of its leaf, the same each time it is made.
pub struct Identity {
    /// DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    pub key: SigningKey,
    pub fingerprint: [u8; 32],
}

impl Identity {
    pub fn ed25519() -> Self {
        Self::new(
            SigningKey::Ed25519(Box::new(Ed25519SecretKey::from_bytes(&[1; 32]))),
            SigningKey::Ed25519(Box::new(Ed25519SecretKey::from_bytes(&[2; 32]))),
        )
    }

    pub fn ed448() -> Self {
        Self::new(
            SigningKey::Ed448(Box::new(Ed448SecretKey::from_bytes(&[1; 57]))),
            SigningKey::Ed448(Box::new(Ed448SecretKey::from_bytes(&[2; 57]))),
        )
    }

    pub fn both() -> [Self; 2] {
        [Self::ed25519(), Self::ed448()]
    }

    /// Another server of the same algorithm.
    pub fn stranger() -> Self {
        Self::new(
            SigningKey::Ed25519(Box::new(Ed25519SecretKey::from_bytes(&[3; 32]))),
            SigningKey::Ed25519(Box::new(Ed25519SecretKey::from_bytes(&[4; 32]))),
        )
    }

    fn new(authority_key: SigningKey, key: SigningKey) -> Self {
        let parameters = |serial| CertificateParameters {
            serial: [serial; 20],
            validity: Validity::from_days(1_600_000_000, 36_500),
        };
        let mut buffer = [0; MAX_CERTIFICATE_LENGTH];
        let authority = write_authority(&mut buffer, &parameters(5), authority_key.signer()).unwrap().to_vec();
        let view = Certificate::from_der(&authority).unwrap();
        let mut buffer = [0; MAX_CERTIFICATE_LENGTH];
        let signer = authority_key.signer();
        let leaf = write_leaf(&mut buffer, &parameters(6), "relay.example", &key.public_key(), &view, signer).unwrap();
        Self { fingerprint: fingerprint(&authority), chain: vec![leaf.to_vec(), authority], key }
    }
}
