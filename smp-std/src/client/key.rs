//! Keys that authorize commands, ready to be used often.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use smp_crypto::Error as CryptoError;
use smp_crypto::authorization::{AUTHENTICATOR_LENGTH, MadeAuthorization, authenticator, authorize};
use smp_crypto::key::{AuthorizationKey, AuthorizationSecretKey, Pkcs8, X25519PublicKey};
use smp_crypto::secret_box::BoxKey;
use smp_proto::id::CorrelationId;
use smp_proto::version::SmpVersion;

use super::ClientError;

/// The secret key that authorizes the commands of one side of a queue. Clones share it.
///
/// An X25519 key has to be agreed upon with the session key of each connection; the last agreement is kept, so that only
/// the first command of a connection pays for it.
#[derive(Clone)]
pub struct CommandKey(Arc<Inner>);

struct Inner {
    secret: AuthorizationSecretKey,
    public: AuthorizationKey,
    agreed: Mutex<Option<(X25519PublicKey, BoxKey)>>,
}

impl CommandKey {
    /// The kind of key that suits a session: X25519, whose authenticators nobody but the relay can check and which
    /// therefore prove nothing to others; Ed25519 at version 6, which has no authenticators.
    #[must_use]
    pub fn generate(version: SmpVersion) -> Self {
        let random = &mut rand::rng();
        Self::new(if version >= SmpVersion::AUTHENTICATORS {
            AuthorizationSecretKey::generate_x25519(random)
        } else {
            AuthorizationSecretKey::generate_ed25519(random)
        })
    }

    /// Wraps a key of any of the three algorithms.
    #[must_use]
    pub fn new(secret: AuthorizationSecretKey) -> Self {
        let public = secret.public_key();
        Self(Arc::new(Inner { secret, public, agreed: Mutex::new(None) }))
    }

    /// Reads a PKCS#8 key.
    ///
    /// # Errors
    /// [`CryptoError::InvalidKey`] if it is none of Ed25519, Ed448 or X25519.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, CryptoError> {
        AuthorizationSecretKey::from_pkcs8(der).map(Self::new)
    }

    /// The PKCS#8 form, to be kept.
    #[must_use]
    pub fn to_pkcs8(&self) -> Pkcs8 {
        self.0.secret.to_pkcs8()
    }

    /// The half that relays know.
    #[must_use]
    pub fn public(&self) -> AuthorizationKey {
        self.0.public
    }

    /// Authorizes a transmission in a session with this server key.
    pub(super) fn authorize(
        &self,
        server_key: Option<&X25519PublicKey>,
        correlation_id: CorrelationId<'_>,
        authorized: &[u8],
    ) -> Result<MadeAuthorization, ClientError> {
        let AuthorizationSecretKey::X25519(secret) = &self.0.secret else {
            return authorize(&self.0.secret, server_key, correlation_id, authorized)
                .map_err(|_| ClientError::UnusableKey);
        };
        let server_key = server_key.ok_or(ClientError::UnusableKey)?;
        let mut agreed = self.0.agreed.lock().unwrap_or_else(PoisonError::into_inner);
        let made: [u8; AUTHENTICATOR_LENGTH] = match &*agreed {
            Some((with, key)) if with == server_key => authenticator(key, correlation_id, authorized),
            _ => {
                let secret = secret.diffie_hellman(server_key).map_err(|_| ClientError::UnusableKey)?;
                let key = BoxKey::from(&secret);
                let made = authenticator(&key, correlation_id, authorized);
                *agreed = Some((*server_key, key));
                made
            }
        };
        Ok(MadeAuthorization::Authenticator(made))
    }
}

impl fmt::Debug for CommandKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smp_crypto::authorization::{Decoy, verify};
    use smp_crypto::key::X25519SecretKey;

    const ID: CorrelationId<'static> = CorrelationId::from_array(&[7; 24]);

    #[test]
    fn every_session_gets_an_agreement_of_its_own() {
        let random = &mut rand::rng();
        let decoy = Decoy::generate(random);
        let key = CommandKey::generate(SmpVersion::MAX);
        for _ in 0..3 {
            let session = X25519SecretKey::generate(random);
            let server_key = session.public_key();
            for message in [&b"first"[..], b"second"] {
                let made = key.authorize(Some(&server_key), ID, message).unwrap();
                let made = made.as_authorization();
                assert!(verify(&made, ID, &[message], &[key.public()], Some(&session), &decoy));
                assert!(!verify(
                    &made,
                    CorrelationId::from_array(&[8; 24]),
                    &[message],
                    &[key.public()],
                    Some(&session),
                    &decoy
                ));
            }
        }
    }

    #[test]
    fn deniable_keys_need_a_server_key_and_signatures_do_not() {
        let deniable = CommandKey::generate(SmpVersion::AUTHENTICATORS);
        assert!(matches!(deniable.authorize(None, ID, b"m"), Err(ClientError::UnusableKey)));
        let signing = CommandKey::generate(SmpVersion::MIN);
        assert!(matches!(signing.public(), AuthorizationKey::Ed25519(_)));
        let made = signing.authorize(None, ID, b"m").unwrap();
        assert!(verify(
            &made.as_authorization(),
            ID,
            &[b"m"],
            &[signing.public()],
            None,
            &Decoy::generate(&mut rand::rng())
        ));
    }

    #[test]
    fn a_weak_server_key_is_refused() {
        let key = CommandKey::generate(SmpVersion::MAX);
        let weak = X25519PublicKey([0; 32]);
        assert!(matches!(key.authorize(Some(&weak), ID, b"m"), Err(ClientError::UnusableKey)));
    }

    #[test]
    fn keys_are_kept_as_pkcs8_and_never_printed() {
        for version in [SmpVersion::MIN, SmpVersion::MAX] {
            let key = CommandKey::generate(version);
            let kept = CommandKey::from_pkcs8(key.to_pkcs8().as_bytes()).unwrap();
            assert_eq!(kept.public(), key.public());
            assert_eq!(format!("{key:?}"), "Secret(..)");
        }
    }
}
