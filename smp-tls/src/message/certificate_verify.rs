//! CertificateVerify (RFC 8446, section 4.4.3): the proof that the server has the key of its certificate.

use ed25519_dalek::ed25519::signature::Verifier;

use crate::alert::Alert;
use crate::codec::Reader;
use crate::error::Error;
use crate::schedule::HASH_LENGTH;
use crate::verify::ServerKey;

const ED25519: u16 = 0x0807;
#[cfg(feature = "ed448")]
const ED448: u16 = 0x0808;

/// What is signed before the hash: 64 spaces, the purpose, a zero.
const PURPOSE: &[u8; 98] =
    b"                                                                TLS 1.3, server CertificateVerify\0";
const SIGNED_LENGTH: usize = PURPOSE.len() + HASH_LENGTH;

/// Checks the message without its header against the hash of the messages before it.
pub(crate) fn verify(message: &[u8], key: &ServerKey, transcript: &[u8; HASH_LENGTH]) -> Result<(), Error> {
    let mut reader = Reader::new(message);
    let scheme = reader.u16()?;
    let signature = reader.vector16()?;
    reader.end()?;

    let mut signed = [0; SIGNED_LENGTH];
    signed.iter_mut().zip(PURPOSE.iter().chain(transcript)).for_each(|(signed, byte)| *signed = *byte);
    let verified = match (scheme, key) {
        (ED25519, ServerKey::Ed25519(key)) => verify_ed25519(key, &signed, signature),
        #[cfg(feature = "ed448")]
        (ED448, ServerKey::Ed448(key)) => verify_ed448(key, &signed, signature),
        // Not offered, or not the certificate's kind of key.
        _ => return Err(Alert::ILLEGAL_PARAMETER.into()),
    };
    verified.ok_or(Alert::DECRYPT_ERROR.into())
}

/// A key of small order verifies nothing: with it one signature fits many messages.
fn verify_ed25519(key: &[u8; 32], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(key).ok().filter(|key| !key.is_weak())?;
    let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
    key.verify(message, &signature).ok()
}

#[cfg(feature = "ed448")]
fn verify_ed448(key: &[u8; 57], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = ed448_goldilocks::VerifyingKey::from_bytes(key).ok()?;
    let signature = ed448_goldilocks::Signature::from_slice(signature).ok()?;
    key.verify_raw(&signature, message).ok()
}
