//! The arithmetic of Curve25519. It is dalek's, or with the feature `small-curve` the one of `smp-curve25519`, which takes
//! less of a microcontroller. Results are the same.

#[cfg(not(feature = "small-curve"))]
mod arithmetic {
    use ed25519_dalek::ed25519::signature::MultipartVerifier;
    use ed25519_dalek::{Signature, VerifyingKey};
    use x25519_dalek::{PublicKey, StaticSecret};

    use crate::Error;

    pub(crate) fn x25519(secret: &[u8; 32], point: &[u8; 32]) -> [u8; 32] {
        StaticSecret::from(*secret).diffie_hellman(&(*point).into()).to_bytes()
    }

    pub(crate) fn x25519_public_key(secret: &[u8; 32]) -> [u8; 32] {
        PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
    }

    pub(crate) fn verify_ed25519(key: &[u8; 32], message: &[&[u8]], signature: &[u8; 64]) -> Result<(), Error> {
        let key = VerifyingKey::from_bytes(key).map_err(|_| Error::InvalidKey)?;
        if key.is_weak() {
            return Err(Error::InvalidKey);
        }
        key.multipart_verify(message, &Signature::from_bytes(signature)).map_err(|_| Error::Signature)
    }
}

#[cfg(feature = "small-curve")]
mod arithmetic {
    pub(crate) use smp_curve25519::{x25519, x25519_public_key};

    use crate::Error;

    pub(crate) fn verify_ed25519(key: &[u8; 32], message: &[&[u8]], signature: &[u8; 64]) -> Result<(), Error> {
        smp_curve25519::verify(key, message, signature).map_err(|error| match error {
            smp_curve25519::Error::Key => Error::InvalidKey,
            _ => Error::Signature,
        })
    }
}

pub(super) use arithmetic::{verify_ed25519, x25519, x25519_public_key};
