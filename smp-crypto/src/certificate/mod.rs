//! X.509 certificates of relays and services: a strict view of their DER, the rules by which a chain is trusted, and the
//! making of a relay's own (wire reference, section 3.2).
//!
//! Nothing here asks for the time: it comes in as seconds since the Unix epoch.

mod build;
mod chain;
mod der;
mod time;
mod view;
mod writer;

pub use build::{
    AUTHORITY_COMMON_NAME, AUTHORITY_ORGANIZATION, CertificateParameters, CertificateSigner, MAX_CERTIFICATE_LENGTH,
    MAX_HOST_LENGTH, VALIDITY_DAYS, write_authority, write_leaf,
};
pub use chain::{
    ChainError, KnownChain, MAX_CHAIN_LENGTH, ValidatedChain, validate_server_chain, validate_server_chain_again,
    validate_server_chain_without_time, validate_service_chain,
};
pub use time::TIME_MAX;
pub use view::{BasicConstraints, Certificate, CertificateKey, SignatureAlgorithm, Validity};

/// SHA-256 of a complete certificate: the fingerprint in server addresses when it is the identity certificate.
#[must_use]
pub fn fingerprint(certificate: &[u8]) -> [u8; 32] {
    crate::hash::sha256(&[certificate])
}
