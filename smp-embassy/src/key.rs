//! Keys that authorize commands.

use rand_core::TryCryptoRng;
use smp_crypto::authorization::{MadeAuthorization, authenticator};
#[cfg(feature = "ed25519-keys")]
use smp_crypto::key::Ed25519SecretKey;
use smp_crypto::key::{AuthorizationKey, X25519PublicKey, X25519SecretKey};
use smp_crypto::secret_box::BoxKey;
use smp_proto::id::CorrelationId;
use zeroize::Zeroizing;

use crate::random::{self, RandomError};

/// The secret half of a key that authorizes commands.
///
/// Ed448 is left out even where relays may sign with it: nobody needs it for commands, and it costs much flash. Wiped
/// when dropped; prints nothing of itself.
#[derive(Debug)]
pub enum CommandKey {
    /// Authorizes by signature. About 1.1 million instructions for each command on a Cortex-M4. Feature `ed25519-keys`.
    #[cfg(feature = "ed25519-keys")]
    Ed25519(Ed25519SecretKey),
    /// Authorizes by an authenticator, deniably. About 1.3 million instructions for each command.
    X25519(X25519SecretKey),
    /// An X25519 key, agreed with the session key of one relay: the agreement is made once for all commands of a session.
    Agreed(AgreedKey),
}

/// What an X25519 key and the session key of a relay agree on. Of use in one session only.
#[derive(Debug)]
pub struct AgreedKey {
    secret: X25519SecretKey,
    server: X25519PublicKey,
    agreed: BoxKey,
}

impl AgreedKey {
    /// Agrees with the session key of a relay. About 1.5 million instructions on a Cortex-M4.
    ///
    /// Fails when the relay's key has small order.
    pub fn new(secret: &X25519SecretKey, server: &X25519PublicKey) -> Result<Self, smp_crypto::Error> {
        let agreed = BoxKey::from(&secret.diffie_hellman(server)?);
        Ok(Self { secret: X25519SecretKey::from_bytes(secret.as_bytes()), server: *server, agreed })
    }
}

impl CommandKey {
    /// A new key that signs.
    #[cfg(feature = "ed25519-keys")]
    pub fn generate_ed25519<R: TryCryptoRng + ?Sized>(random: &mut R) -> Result<Self, RandomError> {
        let seed = Zeroizing::new(random::array(random)?);
        Ok(Self::Ed25519(Ed25519SecretKey::from_bytes(&seed)))
    }

    /// A new key that makes authenticators.
    pub fn generate_x25519<R: TryCryptoRng + ?Sized>(random: &mut R) -> Result<Self, RandomError> {
        let secret = Zeroizing::new(random::array(random)?);
        Ok(Self::X25519(X25519SecretKey::from_bytes(&secret)))
    }

    /// The half that is registered with a relay.
    #[must_use]
    pub fn public_key(&self) -> AuthorizationKey {
        match self {
            #[cfg(feature = "ed25519-keys")]
            Self::Ed25519(key) => AuthorizationKey::Ed25519(key.public_key()),
            Self::X25519(key) => AuthorizationKey::X25519(key.public_key()),
            Self::Agreed(key) => AuthorizationKey::X25519(key.secret.public_key()),
        }
    }

    /// How long an authorization by this key is, in bytes.
    #[must_use]
    pub const fn authorization_length(&self) -> usize {
        match self {
            #[cfg(feature = "ed25519-keys")]
            Self::Ed25519(_) => smp_crypto::key::ED25519_SIGNATURE_LENGTH,
            Self::X25519(_) | Self::Agreed(_) => smp_crypto::authorization::AUTHENTICATOR_LENGTH,
        }
    }

    /// Authorizes a transmission. `server_key` is the relay's session key, which authenticators need: there is none at
    /// version 6.
    pub(crate) fn authorize(
        &self,
        server_key: Option<&X25519PublicKey>,
        correlation_id: CorrelationId<'_>,
        authorized: &[u8],
    ) -> Result<MadeAuthorization, smp_crypto::Error> {
        Ok(match self {
            #[cfg(feature = "ed25519-keys")]
            Self::Ed25519(key) => MadeAuthorization::Ed25519(key.sign(authorized)),
            Self::X25519(key) => {
                let secret = key.diffie_hellman(server_key.ok_or(smp_crypto::Error::NoServerKey)?)?;
                let key = BoxKey::from(&secret);
                MadeAuthorization::Authenticator(authenticator(&key, correlation_id, authorized))
            }
            Self::Agreed(key) if server_key == Some(&key.server) => {
                MadeAuthorization::Authenticator(authenticator(&key.agreed, correlation_id, authorized))
            }
            Self::Agreed(_) => return Err(smp_crypto::Error::NoServerKey),
        })
    }
}
