//! Who the peer is: the rules for certificate chains inside the TLS handshake (section 3.2).

use super::NetError;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme};
use smp_crypto::certificate::{Certificate, CertificateKey, ChainError, fingerprint};
use smp_crypto::certificate::{validate_server_chain, validate_service_chain};
use smp_crypto::key::Verify;
use std::sync::OnceLock;

/// The signature schemes asked of peers, in the order of the reference.
const SCHEMES: [SignatureScheme; 2] = [SignatureScheme::ED448, SignatureScheme::ED25519];

/// Why a server's chain was refused.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    /// The identity certificate is not the one of the address.
    Identity,
    /// Another rule of section 3.2 is broken.
    Chain(ChainError),
}

/// The error that makes rustls send the alert for `error`.
fn tls_error(error: ChainError) -> Error {
    Error::InvalidCertificate(match error {
        ChainError::UnknownCa | ChainError::SelfSigned => CertificateError::UnknownIssuer,
        ChainError::Expired => CertificateError::Expired,
        ChainError::NotYetValid => CertificateError::NotValidYet,
        ChainError::InvalidSignature => CertificateError::BadSignature,
        ChainError::Malformed(_) | ChainError::LeafVersion => CertificateError::BadEncoding,
        _ => CertificateError::ApplicationVerificationFailure,
    })
}

fn der_chain<'a>(leaf: &'a CertificateDer<'_>, issuers: &'a [CertificateDer<'_>]) -> Vec<&'a [u8]> {
    std::iter::once(leaf).chain(issuers).map(AsRef::as_ref).collect()
}

fn seconds(now: UnixTime) -> i64 {
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// Checks that the key of `leaf` has signed the handshake.
fn check_signature(
    message: &[u8],
    leaf: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let leaf = Certificate::from_der(leaf).map_err(|_| Error::from(CertificateError::BadEncoding))?;
    let key = leaf.public_key();
    match (key, signature.scheme) {
        (CertificateKey::Ed25519(_), SignatureScheme::ED25519) | (CertificateKey::Ed448(_), SignatureScheme::ED448) => {
            key.verify(message, signature.signature()).map_err(|_| Error::from(CertificateError::BadSignature))?;
            Ok(HandshakeSignatureValid::assertion())
        }
        _ => Err(CertificateError::BadSignature.into()),
    }
}

/// Checks the server's chain against the fingerprint of its address. One per connection: it remembers its verdict, which
/// rustls would pass on only as one of its own errors.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    fingerprint: [u8; 32],
    refusal: OnceLock<Refusal>,
}

impl ServerVerifier {
    pub(super) fn new(fingerprint: [u8; 32]) -> Self {
        Self { fingerprint, refusal: OnceLock::new() }
    }

    /// The error to report instead of the TLS error that this verifier has caused, if it has.
    pub(super) fn error(&self) -> Option<NetError> {
        self.refusal.get().map(|refusal| match refusal {
            Refusal::Identity => NetError::ServerIdentity,
            Refusal::Chain(error) => NetError::ServerCertificate(*error),
        })
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let other_identity = issuers.first().is_some_and(|identity| fingerprint(identity) != self.fingerprint);
        match validate_server_chain(&der_chain(leaf, issuers), &self.fingerprint, seconds(now)) {
            Ok(_) => Ok(ServerCertVerified::assertion()),
            Err(error) => {
                let refusal = if other_identity { Refusal::Identity } else { Refusal::Chain(error) };
                // Asked once per handshake; a second answer could not differ.
                let _ = self.refusal.set(refusal);
                Err(tls_error(error))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

/// Asks clients for a certificate: ordinary ones show none, services a chain that is checked by the rules for services.
#[derive(Debug)]
pub(super) struct ClientVerifier;

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        validate_service_chain(&der_chain(leaf, issuers), seconds(now)).map_err(tls_error)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}
