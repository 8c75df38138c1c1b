use core::fmt;

use sha2::{Digest, Sha512};

use crate::edwards::{Point, double_multiple};
use crate::scalar::Scalar;

/// Why a signature was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The public key is no point of the curve, or one of small order, with which one signature fits many messages.
    Key,
    /// The signature is not one of this key over this message.
    Signature,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "the public key cannot verify signatures",
            Self::Signature => "the signature is wrong",
        })
    }
}

impl core::error::Error for Error {}

/// Checks an Ed25519 signature (RFC 8032, section 5.1.7) over a message in parts, which count as if they stood one after the
/// other.
///
/// See the [crate's front page](crate#which-signatures-are-accepted) for what exactly is accepted. All inputs are public:
/// the time taken depends on them.
pub fn verify(key: &[u8; 32], message: &[&[u8]], signature: &[u8; 64]) -> Result<(), Error> {
    let point = Point::decode(key).filter(|point| !point.has_small_order()).ok_or(Error::Key)?;
    let ([r, s], []) = signature.as_chunks::<32>() else { return Err(Error::Signature) };
    let s = Scalar::from_canonical(s).ok_or(Error::Signature)?;
    let mut hash = Sha512::new().chain_update(r).chain_update(key);
    message.iter().for_each(|part| hash.update(part));
    let k = Scalar::reduce(&hash.finalize().into());
    let expected = double_multiple(&k, &point.negate(), &s);
    if expected.encode() == *r { Ok(()) } else { Err(Error::Signature) }
}
