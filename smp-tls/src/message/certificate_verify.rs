//! CertificateVerify (RFC 8446, section 4.4.3): the proof that the server has the key of its certificate.

use crate::alert::Alert;
use crate::codec::Reader;
use crate::curve;
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

fn verify_ed25519(key: &[u8; 32], message: &[u8], signature: &[u8]) -> Option<()> {
    curve::verify(key, message, signature.try_into().ok()?).then_some(())
}

#[cfg(feature = "ed448")]
fn verify_ed448(key: &[u8; 57], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = ed448_goldilocks::VerifyingKey::from_bytes(key).ok()?;
    let signature = ed448_goldilocks::Signature::from_slice(signature).ok()?;
    key.verify_raw(&signature, message).ok()
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use ed25519_dalek::Signer;

    use super::*;
    use crate::test::vector16;

    const HASH: [u8; 32] = [9; 32];

    fn message(scheme: u16, signature: &[u8]) -> Vec<u8> {
        [&scheme.to_be_bytes()[..], &vector16(signature)].concat()
    }

    /// What the RFC says is signed.
    fn signed(hash: &[u8]) -> Vec<u8> {
        [&[0x20; 64][..], b"TLS 1.3, server CertificateVerify", &[0], hash].concat()
    }

    #[test]
    fn proves_an_ed25519_key() {
        let signer = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
        let key = ServerKey::Ed25519(signer.verifying_key().to_bytes());
        let signature = signer.sign(&signed(&HASH)).to_bytes();
        let right = message(ED25519, &signature);
        assert_eq!(verify(&right, &key, &HASH), Ok(()));
        crate::test::refuses_other_lengths(&right, |message| verify(message, &key, &HASH));

        let wrong = Err(Alert::DECRYPT_ERROR.into());
        assert_eq!(verify(&right, &key, &[8; 32]), wrong);
        let other = ed25519_dalek::SigningKey::from_bytes(&[2; 32]).verifying_key().to_bytes();
        assert_eq!(verify(&right, &ServerKey::Ed25519(other), &HASH), wrong);
        assert_eq!(verify(&message(ED25519, &signature[1..]), &key, &HASH), wrong);
        assert_eq!(verify(&message(ED25519, &[]), &key, &HASH), wrong);
        let client = signer.sign(&[&[0x20; 64][..], b"TLS 1.3, client CertificateVerify\0", &HASH].concat());
        assert_eq!(verify(&message(ED25519, &client.to_bytes()), &key, &HASH), wrong);
        for scheme in [0x0403, 0x0804, 0x0808] {
            assert_eq!(verify(&message(scheme, &signature), &key, &HASH), Err(Alert::ILLEGAL_PARAMETER.into()));
        }
    }

    /// With the neutral element as key, its double as R and zero as s verify any message.
    #[test]
    fn a_key_of_small_order_proves_nothing() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let signature = [neutral, [0; 32]].concat();
        let wrong = Err(Alert::DECRYPT_ERROR.into());
        assert_eq!(verify(&message(ED25519, &signature), &ServerKey::Ed25519(neutral), &HASH), wrong);
    }

    #[cfg(feature = "ed448")]
    #[test]
    fn proves_an_ed448_key() {
        let signer = ed448_goldilocks::SigningKey::try_from(&[1; 57][..]).unwrap();
        let key = ServerKey::Ed448(signer.verifying_key().to_bytes());
        let signature = signer.sign_raw(&signed(&HASH)).to_bytes();
        assert_eq!(verify(&message(ED448, &signature), &key, &HASH), Ok(()));
        assert_eq!(verify(&message(ED448, &signature), &key, &[8; 32]), Err(Alert::DECRYPT_ERROR.into()));
        assert_eq!(verify(&message(ED448, &signature[1..]), &key, &HASH), Err(Alert::DECRYPT_ERROR.into()));
        assert_eq!(verify(&message(ED25519, &signature), &key, &HASH), Err(Alert::ILLEGAL_PARAMETER.into()));
    }
}
