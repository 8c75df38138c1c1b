//! AES-256-GCM with an initialisation vector of 16 bytes (wire reference of the ratchet, section 2).

use aes_gcm::aead::consts::U16;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{AesGcm, aes::Aes256};

use super::Error;

type Aes256Gcm = AesGcm<Aes256, U16>;

/// Encrypts in place and gives the tag.
// Not inlined: the key schedule would take its stack in every caller.
#[inline(never)]
pub(super) fn encrypt(
    key: &[u8; 32],
    iv: &[u8; 16],
    associated_data: &[u8],
    bytes: &mut [u8],
) -> Result<[u8; 16], Error> {
    let tag = Aes256Gcm::new(key.into()).encrypt_inout_detached(iv.into(), associated_data, bytes.into());
    tag.map(Into::into).map_err(|_| Error::Internal)
}

/// Decrypts in place and tells whether the tag is right. When it is not the bytes are as they were.
#[inline(never)]
pub(super) fn decrypt(key: &[u8; 32], iv: &[u8; 16], associated_data: &[u8], bytes: &mut [u8], tag: &[u8; 16]) -> bool {
    Aes256Gcm::new(key.into()).decrypt_inout_detached(iv.into(), associated_data, bytes.into(), tag.into()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::{bytes, numbers};

    /// The value of the wire reference, section 16.
    #[test]
    fn the_wire_reference_is_reproduced_and_failures_change_nothing() {
        let (key, iv) = (numbers(0), numbers(0));
        let mut message = *b"\0\x03abc###########";
        assert_eq!(encrypt(&key, &iv, b"ad", &mut message), Ok(bytes("ee0febdc04128dcad403e913682e6318")));
        assert_eq!(message, bytes("676fc1145ac7690bbedcf80a76870f90"));
        let mut tag: [u8; 16] = bytes("ee0febdc04128dcad403e913682e6318");
        for bit in 0..128 {
            tag[bit / 8] ^= 1 << (bit % 8);
            assert!(!decrypt(&key, &iv, b"ad", &mut message, &tag));
            assert_eq!(message, bytes("676fc1145ac7690bbedcf80a76870f90"));
            tag[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(!decrypt(&key, &iv, b"aD", &mut message, &tag));
        assert!(decrypt(&key, &iv, b"ad", &mut message, &tag));
        assert_eq!(message, *b"\0\x03abc###########");
    }
}
