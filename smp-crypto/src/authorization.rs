//! Authorization of transmissions: made by clients, verified by relays (wire reference, sections 6.3, 6.4 and 6.6).
//!
//! What is authorized are the *authorized bytes*: session id, correlation id, entity id (a length byte before each) and
//! command. When a service signature is attached, the 32 bytes of the service certificate's fingerprint come first; the
//! service signature itself, [`sign_service`], is made without them.
//!
//! # Constant work
//!
//! A relay must not tell by its answer time whether an entity exists, has a key, or has a key of another type. So
//! [`verify`] always does the work that the *supplied* authorization calls for, with dummy keys where nothing fits; how
//! long that takes in detail depends on a secret of the relay, see [`Decoy`]. What
//! it does depends on what the caller supplied, which the caller knows anyway, and on two facts only the owner of an
//! entity can bring about:
//!
//! - An entity with several keys of the supplied type (contact queues may have them) costs one verification for each.
//!   It has to: any of them may be the right one, and making every unknown entity cost as much as the longest list
//!   would let anybody slow a relay down. All keys are tried even after one fits, so the time does not tell which one
//!   did. Relays should limit the number of keys that RKEY may store.
//! - A registered key that is no usable point never verifies anything, and may do so faster.
//!
//! [`verify_again`] saves the agreement with keys that have verified on the same connection, [`Agreements`] says why that
//! tells nothing.

mod agreements;
mod decoy;

use smp_proto::{
    id::CorrelationId,
    key::{AuthorizationKey, Ed25519PublicKey, X25519PublicKey},
    transport::Authorization,
};
use subtle::{Choice, ConstantTimeEq};

use crate::{
    Error, hash,
    key::{
        AuthorizationSecretKey, ED448_SIGNATURE_LENGTH, ED25519_SIGNATURE_LENGTH, Ed25519SecretKey, Verify,
        X25519SecretKey,
    },
    secret_box::{BoxKey, Nonce, TAG_LENGTH},
};

use self::decoy::{DUMMY_ED448, DUMMY_ED25519, DUMMY_X25519, any};

pub use agreements::{Agreements, verify_again};
pub use decoy::Decoy;

/// Length of an authenticator in bytes: a box of a SHA-512 hash.
pub const AUTHENTICATOR_LENGTH: usize = TAG_LENGTH + 64;

/// An authorization that was made: a signature or an authenticator.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum MadeAuthorization {
    /// An Ed25519 signature.
    Ed25519([u8; ED25519_SIGNATURE_LENGTH]),
    /// An Ed448 signature.
    Ed448([u8; ED448_SIGNATURE_LENGTH]),
    /// An X25519 authenticator.
    Authenticator([u8; AUTHENTICATOR_LENGTH]),
}

impl MadeAuthorization {
    /// As a transmission has it.
    #[must_use]
    pub const fn as_authorization(&self) -> Authorization<'_> {
        match self {
            Self::Ed25519(signature) => Authorization::Ed25519(signature),
            Self::Ed448(signature) => Authorization::Ed448(signature),
            Self::Authenticator(authenticator) => Authorization::Authenticator(authenticator),
        }
    }
}

impl core::fmt::Debug for MadeAuthorization {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Ed25519(_) => "Ed25519(..)",
            Self::Ed448(_) => "Ed448(..)",
            Self::Authenticator(_) => "Authenticator(..)",
        })
    }
}

/// Authorizes a transmission.
///
/// `server_key` is the session key from the relay's hello, which X25519 keys need; inside forwarded commands it is the
/// one the destination relay has with the proxy. Fails with [`Error::NoServerKey`] without it, and with
/// [`Error::WeakKey`] when it has small order.
pub fn authorize(
    key: &AuthorizationSecretKey,
    server_key: Option<&X25519PublicKey>,
    correlation_id: CorrelationId<'_>,
    authorized: &[u8],
) -> Result<MadeAuthorization, Error> {
    Ok(match key {
        AuthorizationSecretKey::Ed25519(key) => MadeAuthorization::Ed25519(key.sign(authorized)),
        #[cfg(feature = "ed448")]
        AuthorizationSecretKey::Ed448(key) => MadeAuthorization::Ed448(key.sign(authorized)),
        AuthorizationSecretKey::X25519(key) => {
            let secret = key.diffie_hellman(server_key.ok_or(Error::NoServerKey)?)?;
            let authenticator = authenticator(&BoxKey::from(&secret), correlation_id, authorized);
            MadeAuthorization::Authenticator(authenticator)
        }
    })
}

/// Makes the authenticator of a transmission with an agreed key. A client that sends many commands about one queue can
/// keep the key and save the agreement each time.
#[must_use]
pub fn authenticator(key: &BoxKey, correlation_id: CorrelationId<'_>, authorized: &[u8]) -> [u8; AUTHENTICATOR_LENGTH] {
    seal_hash(key, correlation_id, &hash::sha512(&[authorized]))
}

fn seal_hash(key: &BoxKey, correlation_id: CorrelationId<'_>, hash: &[u8; 64]) -> [u8; AUTHENTICATOR_LENGTH] {
    let mut sealed = [0; AUTHENTICATOR_LENGTH];
    let (tag, ciphertext) = sealed.split_at_mut(TAG_LENGTH);
    ciphertext.copy_from_slice(hash);
    tag.copy_from_slice(&key.seal_in_place(&Nonce::from_slice(correlation_id.as_bytes()), ciphertext));
    sealed
}

/// Also with a key of small order, which is refused only after the same work as any other.
fn agree(session_key: &X25519SecretKey, key: &X25519PublicKey) -> (BoxKey, Choice) {
    let (secret, contributory) = session_key.diffie_hellman_unchecked(key);
    (BoxKey::from(&secret), contributory)
}

fn x25519(key: &AuthorizationKey) -> Option<&X25519PublicKey> {
    if let AuthorizationKey::X25519(key) = key { Some(key) } else { None }
}

/// Verifies the authorization of a transmission in constant work (see the [module documentation](self)).
///
/// `authorized` are the authorized bytes in any number of parts: a relay does not need to copy a command to put the
/// session id in front of it. `keys` are those of the entity, none when there is no such entity or it has no key. `session_key` is the relay's own
/// key of this connection; for a forwarded command, of its connection with the proxy. Without one, as on connections
/// without ALPN, no authenticator verifies, whatever the entity. `decoy` is the relay's, the same for all connections.
///
/// No authorization never verifies, and neither does an Ed448 signature in a build without the `ed448` feature.
#[must_use]
pub fn verify<'k>(
    authorization: &Authorization<'_>,
    correlation_id: CorrelationId<'_>,
    authorized: &[&[u8]],
    keys: impl IntoIterator<Item = &'k AuthorizationKey>,
    session_key: Option<&X25519SecretKey>,
    decoy: &Decoy,
) -> bool {
    let keys = keys.into_iter();
    match authorization {
        Authorization::Ed25519(signature) => {
            let blinded = decoy.blind(signature);
            let keys = keys.filter_map(|key| match key {
                AuthorizationKey::Ed25519(key) => Some((key, *signature)),
                _ => None,
            });
            any(keys, (&DUMMY_ED25519, &blinded), |(key, signature)| key.verify_parts(authorized, signature).is_ok())
        }
        Authorization::Ed448(signature) => {
            let keys = keys.filter_map(|key| if let AuthorizationKey::Ed448(key) = key { Some(key) } else { None });
            any(keys, &DUMMY_ED448, |key| key.verify_parts(authorized, *signature).is_ok())
        }
        Authorization::Authenticator(authenticator) => {
            let Some(session_key) = session_key else { return false };
            let hash = hash::sha512(authorized);
            any(keys.filter_map(x25519), &DUMMY_X25519, |key| {
                let (agreed, contributory) = agree(session_key, key);
                (seal_hash(&agreed, correlation_id, &hash).ct_eq(*authenticator) & contributory).into()
            })
        }
        Authorization::None => false,
    }
}

/// Makes the service signature of NEW, SUB and NSUB, which is also the main authorization of SUBS and NSUBS.
///
/// `signed` are the authorized bytes without a fingerprint.
#[must_use]
pub fn sign_service(key: &Ed25519SecretKey, signed: &[u8]) -> [u8; ED25519_SIGNATURE_LENGTH] {
    key.sign(signed)
}

/// Verifies a service signature with the session key of the service.
#[must_use]
pub fn verify_service(key: &Ed25519PublicKey, signed: &[u8], signature: &[u8]) -> bool {
    key.verify(signed, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::{bytes, numbers, random};

    fn id(bytes: &[u8]) -> CorrelationId<'_> {
        CorrelationId::new(bytes).unwrap()
    }

    /// One secret key of each type.
    fn all_keys() -> std::vec::Vec<AuthorizationSecretKey> {
        let random = &mut random(1);
        std::vec![
            AuthorizationSecretKey::generate_ed25519(random),
            AuthorizationSecretKey::generate_x25519(random),
            #[cfg(feature = "ed448")]
            AuthorizationSecretKey::Ed448(crate::key::Ed448SecretKey::generate(random)),
        ]
    }

    /// The values of the wire reference, Appendix A.
    #[test]
    fn appendix_a_vectors() {
        let key = X25519SecretKey::from_bytes(&numbers(0x01));
        let server = X25519SecretKey::from_bytes(&numbers(0x21));
        let server_key = server.public_key();
        assert_eq!(server_key.0, bytes("5869aff450549732cbaaed5e5df9b30a6da31cb0e5742bad5ad4a1a768f1a67b"));
        let secret = key.diffie_hellman(&server_key).unwrap();
        let expected = bytes("a84dc7c3c8f058b1b2dc4cd1e9b5dc0a7987f88b6a9564cde3391fc421159e77");
        assert_eq!(*secret.as_bytes(), expected);

        let (session_id, correlation_id, entity_id) = (numbers::<32>(0), numbers::<24>(0x80), numbers::<24>(0xa0));
        let authorized = [&[32], &session_id[..], &[24], &correlation_id, &[24], &entity_id, b"SUB"].concat();
        let public = [AuthorizationKey::X25519(key.public_key())];
        let key = AuthorizationSecretKey::X25519(key);
        let made = authorize(&key, Some(&server_key), id(&correlation_id), &authorized).unwrap();
        let expected = concat!(
            "1107ccf45622cf473b8cf8662ae9fa74e3e4bacc1c3027d99d93915aa7b54074",
            "50c655d2a43fa88caefe2166ff467d6edda3236d33fa3797744777f62a8cfde9ea307c4811b196e0012117a46bd6912e",
        );
        let made = made.as_authorization();
        assert_eq!(*made.as_bytes(), bytes::<80>(expected));
        assert!(verify(&made, id(&correlation_id), &[&authorized], &public, Some(&server), &Decoy::TEST));
    }

    #[test]
    fn only_the_key_of_the_entity_verifies() {
        let server = X25519SecretKey::generate(&mut random(2));
        let keys = all_keys();
        let others: std::vec::Vec<_> = {
            let random = &mut random(3);
            [
                AuthorizationSecretKey::generate_ed25519(random).public_key(),
                AuthorizationSecretKey::generate_x25519(random).public_key(),
            ]
            .into()
        };
        for key in &keys {
            let public = key.public_key();
            let made = authorize(key, Some(&server.public_key()), id(b"correlation"), b"signed").unwrap();
            let bytes = &made.as_authorization();
            let check =
                |authorization: &Authorization<'_>, id: CorrelationId<'_>, signed: &[u8], keys: &[AuthorizationKey]| {
                    verify(authorization, id, &[signed], keys, Some(&server), &Decoy::TEST)
                };
            assert!(check(bytes, id(b"correlation"), b"signed", &[public]));
            assert!(check(bytes, id(b"correlation"), b"signed", &[others[0], others[1], public, others[0]]));
            assert!(!check(bytes, id(b"correlation"), b"signed", &[]));
            assert!(!check(bytes, id(b"correlation"), b"signed", &others));
            assert!(!check(bytes, id(b"correlation"), b"Signed", &[public]));
            for other in keys.iter().filter(|other| other.public_key() != public) {
                assert!(!check(bytes, id(b"correlation"), b"signed", &[other.public_key()]));
            }
            // The correlation id is the nonce of authenticators; signatures cover it with the signed bytes.
            let authenticator = matches!(public, AuthorizationKey::X25519(_));
            assert_eq!(check(bytes, id(b"Correlation"), b"signed", &[public]), !authenticator);
            assert_eq!(
                verify(bytes, id(b"correlation"), &[b"sig", b"ned"], &[public], None, &Decoy::TEST),
                !authenticator
            );
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let server = X25519SecretKey::generate(&mut random(4));
        for key in all_keys() {
            let public = [key.public_key()];
            let made = authorize(&key, Some(&server.public_key()), id(b"id"), b"signed").unwrap();
            let bytes = made.as_authorization().as_bytes();
            assert!(!verify(&Authorization::None, id(b"id"), &[b"signed"], &public, Some(&server), &Decoy::TEST));
            // Ed448 in an unoptimised build is slow: a sample of its bits.
            let step = if bytes.len() == ED448_SIGNATURE_LENGTH { 37 } else { 1 };
            for bit in (0..bytes.len() * 8).step_by(step) {
                let mut flipped = bytes.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let flipped = Authorization::from_bytes(&flipped).unwrap();
                assert!(!verify(&flipped, id(b"id"), &[b"signed"], &public, Some(&server), &Decoy::TEST), "bit {bit}");
            }
        }
    }

    #[test]
    fn weak_keys_authorize_nothing() {
        let server = X25519SecretKey::generate(&mut random(5));
        let weak = X25519PublicKey([0; 32]);
        // Everybody can compute this one.
        let forged = authenticator(&BoxKey::new(&[0; 32]), id(b"id"), b"signed");
        assert!(!verify(
            &Authorization::Authenticator(&forged),
            id(b"id"),
            &[b"signed"],
            &[AuthorizationKey::X25519(weak)],
            Some(&server),
            &Decoy::TEST
        ));
        let key = AuthorizationSecretKey::generate_x25519(&mut random(6));
        assert_eq!(authorize(&key, Some(&weak), id(b"id"), b"signed"), Err(Error::WeakKey));
        assert_eq!(authorize(&key, None, id(b"id"), b"signed"), Err(Error::NoServerKey));

        // The neutral element, with a signature that a lenient verifier accepts for every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let keys = [AuthorizationKey::Ed25519(Ed25519PublicKey(neutral))];
        assert!(!verify(
            &Authorization::Ed25519(&signature),
            id(b"id"),
            &[b"signed"],
            &keys,
            Some(&server),
            &Decoy::TEST
        ));
    }
}
