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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_have_a_longest_length_and_depend_on_everything() {
        let mut longest = std::vec![0; MAX_OUTPUT + 1];
        assert_eq!(hkdf(b"salt", b"key", b"info", &mut longest), Err(Error::Length));
        assert_eq!(hkdf(b"salt", b"key", b"info", &mut longest[..MAX_OUTPUT]), Ok(()));

        let derive = |salt: &[u8], key: &[u8], info: &[u8]| {
            let mut output = [0; 40];
            hkdf(salt, key, info, &mut output).unwrap();
            output
        };
        let output = derive(b"salt", b"key", b"info");
        assert_eq!(output, longest[..40]);
        assert_ne!(output, derive(b"Salt", b"key", b"info"));
        assert_ne!(output, derive(b"salt", b"Key", b"info"));
        assert_ne!(output, derive(b"salt", b"key", b"Info"));
        assert_eq!(derive(b"", b"key", b"info"), derive(&[0; 64], b"key", b"info"));
    }
}
