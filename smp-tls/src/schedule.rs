//! The key schedule (RFC 8446, section 7.1) for SHA-256, without pre-shared keys.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Length in bytes of a hash, a secret and a Finished value.
pub(crate) const HASH_LENGTH: usize = 32;

/// The hash of nothing, which is the context of "derived".
const EMPTY_HASH: [u8; HASH_LENGTH] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// What the early secret becomes when there is no pre-shared key: the same in every handshake, and no secret.
const EARLY_DERIVED: [u8; HASH_LENGTH] = [
    0x6f, 0x26, 0x15, 0xa1, 0x08, 0xc7, 0x02, 0xc5, 0x67, 0x8f, 0x54, 0xfc, 0x9d, 0xba, 0xb6, 0x97, 0x16, 0xc0, 0x76,
    0x18, 0x9c, 0x48, 0x25, 0x0c, 0xeb, 0xea, 0xc3, 0x57, 0x6c, 0x36, 0x11, 0xba,
];

/// A secret of the schedule.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secret([u8; HASH_LENGTH]);

impl Secret {
    /// The handshake secret, from what the key exchange agreed on.
    pub(crate) fn handshake(shared: &[u8; 32]) -> Self {
        Self(hmac(&EARLY_DERIVED, &[shared]))
    }

    /// The master secret, from the handshake secret.
    pub(crate) fn master(&self) -> Self {
        let derived = self.derive(b"derived", &EMPTY_HASH);
        Self(hmac(&derived.0, &[&[0; HASH_LENGTH]]))
    }

    /// A secret of this one for a label and the hash of the messages so far.
    pub(crate) fn derive(&self, label: &[u8], transcript: &[u8; HASH_LENGTH]) -> Self {
        Self(self.expand::<HASH_LENGTH>(label, transcript))
    }

    /// The traffic secret after this one (section 7.2).
    pub(crate) fn update(&self) -> Self {
        Self(self.expand::<HASH_LENGTH>(b"traffic upd", &[]))
    }

    /// The value of Finished of the side whose traffic secret this is (section 4.4.4).
    pub(crate) fn finished(&self, transcript: &[u8; HASH_LENGTH]) -> [u8; HASH_LENGTH] {
        let key = Self(self.expand::<HASH_LENGTH>(b"finished", &[]));
        hmac(&key.0, &[transcript])
    }

    /// HKDF-Expand-Label. `N` is at most 32: one block of HKDF-Expand, which is one HMAC.
    pub(crate) fn expand<const N: usize>(&self, label: &[u8], context: &[u8]) -> [u8; N] {
        const { assert!(N <= HASH_LENGTH) };
        const PREFIX: &[u8] = b"tls13 ";
        let label_length = PREFIX.len().saturating_add(label.len());
        let mut block =
            hmac(&self.0, &[&[0, N as u8, label_length as u8], PREFIX, label, &[context.len() as u8], context, &[1]]);
        let mut output = [0; N];
        output.iter_mut().zip(&block).for_each(|(output, byte)| *output = *byte);
        block.zeroize();
        output
    }
}

fn hmac(key: &[u8; HASH_LENGTH], message: &[&[u8]]) -> [u8; HASH_LENGTH] {
    let mut block = hmac::digest::common::Key::<Hmac<Sha256>>::default();
    block.iter_mut().zip(key).for_each(|(block, key)| *block = *key);
    let mut mac = Hmac::<Sha256>::new(&block);
    block.as_mut_slice().zeroize();
    message.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}
