//! The one derivation every key of the ratchet comes from: HKDF with SHA-512, 96 bytes in three parts.

use zeroize::Zeroizing;

use super::Error;
use crate::kdf::hkdf;

/// Three keys of 32 bytes.
pub(super) type Derived = Zeroizing<[[u8; 32]; 3]>;

/// Derives three keys. An empty salt stands for one of zeros.
#[inline(never)]
pub(super) fn derive(salt: &[u8], key_material: &[u8], info: &[u8]) -> Result<Derived, Error> {
    let mut keys = Zeroizing::new([[0; 32]; 3]);
    hkdf(salt, key_material, info, keys.as_flattened_mut())?;
    Ok(keys)
}

/// Defines a secret of 32 bytes: wiped when dropped, redacted, compared in constant time.
macro_rules! secret_32 {
    ($(#[$doc:meta])* $visibility:vis $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
        $visibility struct $name([u8; 32]);

        crate::key::secret_debug!($name);

        impl $name {
            /// Takes the raw key.
            #[must_use]
            $visibility const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The raw key.
            #[must_use]
            $visibility const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }
    };
}
pub(super) use secret_32;
