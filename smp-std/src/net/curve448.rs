//! Curve448 for rustls: the X448 group and certificates with Ed448 keys, which ring does not have.

use rustls::crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, NamedGroup, PeerMisbehaved, SignatureAlgorithm, SignatureScheme};
use smp_crypto::key::{Ed448SecretKey, X448PublicKey, X448SecretKey};
use std::{fmt, sync::Arc};
use zeroize::Zeroizing;

/// Key agreement over Curve448 (RFC 7748), the first group of the reference's clients.
pub(super) static X448: &dyn SupportedKxGroup = &X448Group;

#[derive(Debug)]
struct X448Group;

impl SupportedKxGroup for X448Group {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut raw = Zeroizing::new([0; X448PublicKey::LENGTH]);
        super::provider::provider().secure_random.fill(raw.as_mut()).map_err(|_| Error::FailedToGetRandomBytes)?;
        let secret = X448SecretKey::from_bytes(&raw);
        let public = secret.public_key();
        Ok(Box::new(X448Exchange { secret, public }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X448
    }
}

struct X448Exchange {
    secret: X448SecretKey,
    public: X448PublicKey,
}

impl ActiveKeyExchange for X448Exchange {
    /// Fails for public keys of another length and for those of low order, whose shared secret would be all zero.
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let invalid = || Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);
        let peer = X448PublicKey(peer.try_into().map_err(|_| invalid())?);
        let shared = self.secret.diffie_hellman(&peer).map_err(|_| invalid())?;
        Ok(SharedSecret::from(shared.as_bytes().as_slice()))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public.0
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X448
    }
}

/// The private key of an Ed448 certificate.
#[derive(Clone)]
pub(super) struct Ed448Signer(Arc<Ed448SecretKey>);

impl Ed448Signer {
    /// The key in `der`, or `None` if that is not PKCS#8 of an Ed448 key.
    pub(super) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        Ed448SecretKey::from_pkcs8(der).ok().map(|key| Self(Arc::new(key)))
    }
}

impl fmt::Debug for Ed448Signer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(..)")
    }
}

impl SigningKey for Ed448Signer {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ED448).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.0.public_key().to_spki().to_vec().into())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED448
    }
}

impl Signer for Ed448Signer {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED448
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sides_agree_and_bad_shares_are_refused() {
        let (one, two) = (X448.start().unwrap(), X448.start().unwrap());
        let (one_public, two_public) = (one.pub_key().to_vec(), two.pub_key().to_vec());
        let shared = one.complete(&two_public).unwrap();
        assert_eq!(shared.secret_bytes(), two.complete(&one_public).unwrap().secret_bytes());
        for share in [vec![0; 56], [vec![1], vec![0; 55]].concat(), vec![5; 55], vec![5; 57], Vec::new()] {
            assert!(X448.start().unwrap().complete(&share).is_err(), "{share:?}");
        }
    }
}
