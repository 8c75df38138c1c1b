//! XSalsa20's key stream, read from its start towards its end.
//!
//! By default it is the `salsa20` crate's, which makes one block of 64 bytes after the other. With the feature `simd`, on
//! processors that module knows, `lanes` makes 4, 8 or 16 blocks at the same time. The bytes are the same.

#[cfg(all(feature = "simd", any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little"))))]
mod lanes;
#[cfg(all(feature = "simd", any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little"))))]
pub(crate) use lanes::KeyStream;

#[cfg(not(all(
    feature = "simd",
    any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little"))
)))]
pub(crate) use plain::KeyStream;

#[cfg(not(all(
    feature = "simd",
    any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little"))
)))]
mod plain {
    use salsa20::{
        XSalsa20,
        cipher::{KeyIvInit, StreamCipher},
    };

    /// The key stream of a key and a nonce, as far as it was not used. Wiped when dropped.
    pub(crate) struct KeyStream(XSalsa20);

    impl KeyStream {
        /// The key stream from its first byte on.
        pub(crate) fn new(key: &[u8; 32], nonce: &[u8; 24]) -> Self {
            Self(XSalsa20::new(key.into(), nonce.into()))
        }

        /// Encrypts or decrypts as many bytes as there are, with the next ones of the stream.
        // The loop over whole blocks stays a function of its own: inlined into code that is compiled for size, as firmware
        // is, it would be compiled for size too.
        #[inline(never)]
        pub(crate) fn apply(&mut self, bytes: &mut [u8]) {
            self.0.apply_keystream(bytes);
        }
    }
}
