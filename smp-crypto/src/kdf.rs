//! Key derivation: HKDF with SHA-512 (RFC 5869; wire reference, section 1.5).

use hkdf::Hkdf;
use sha2::Sha512;

use crate::Error;

/// The longest output in bytes.
pub const MAX_OUTPUT: usize = 255 * 64;

/// Fills `output` with bytes derived from `key_material`. An empty salt stands for the standard one of zeros.
///
/// Fails with [`Error::Length`] when more than [`MAX_OUTPUT`] bytes are asked for.
pub fn hkdf(salt: &[u8], key_material: &[u8], info: &[u8], output: &mut [u8]) -> Result<(), Error> {
    Hkdf::<Sha512>::new(Some(salt), key_material).expand(info, output).map_err(|_| Error::Length)
}
