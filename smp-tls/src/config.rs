//! What the application decides, and what is random.

use core::fmt;

use rand_core::TryCryptoRng;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::curve;

/// What the application offers to servers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Config<'a> {
    /// The application protocols (ALPN, RFC 7301), the preferred one first, 1 to 255 bytes each. The server chooses one of
    /// them, or says nothing, or refuses the connection. With none the extension is not sent.
    pub alpn: &'a [&'a [u8]],
}

/// The secret and the random values of one handshake.
///
/// Made before the connection is opened, so that the time a slow processor takes is not counted by the server.
pub struct Ephemeral {
    pub(crate) secret: Zeroizing<[u8; 32]>,
    pub(crate) public: [u8; 32],
    pub(crate) random: [u8; 32],
    pub(crate) session_id: [u8; 32],
}

impl Ephemeral {
    /// Takes 96 bytes from a cryptographic random source: secret key, client random, legacy session identifier.
    ///
    /// Fails with the error of the source.
    pub fn generate<R: TryCryptoRng + ?Sized>(random: &mut R) -> Result<Self, R::Error> {
        let mut secret = Zeroizing::new([0; 32]);
        random.try_fill_bytes(secret.as_mut())?;
        let public = curve::x25519_public_key(&secret);
        let mut ephemeral = Self { secret, public, random: [0; 32], session_id: [0; 32] };
        random.try_fill_bytes(&mut ephemeral.random)?;
        random.try_fill_bytes(&mut ephemeral.session_id)?;
        Ok(ephemeral)
    }
}

// The secret key does it.
impl ZeroizeOnDrop for Ephemeral {}

impl fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ephemeral(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;
    use crate::test::{FailingSource, random};

    #[test]
    fn prints_no_secret() {
        assert_eq!(format!("{:?}", Ephemeral::generate(&mut random()).unwrap()), "Ephemeral(..)");
    }

    #[test]
    fn is_made_of_fresh_values() {
        let mut random = random();
        let [a, b] = [(); 2].map(|()| Ephemeral::generate(&mut random).unwrap());
        assert_ne!(a.secret, b.secret);
        assert_ne!(a.random, b.random);
        assert_ne!(a.session_id, b.session_id);
        assert_ne!(a.random, a.session_id);
        assert_eq!(a.public, x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from(*a.secret)).to_bytes());
    }

    /// A source that fails at its second or third answer must not leave a handshake with predictable values.
    #[test]
    fn fails_with_its_source() {
        for answers in 0..3 {
            assert!(Ephemeral::generate(&mut FailingSource { answers }).is_err());
        }
        assert!(Ephemeral::generate(&mut FailingSource { answers: 3 }).is_ok());
    }
}
