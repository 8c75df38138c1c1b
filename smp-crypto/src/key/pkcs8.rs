use smp_proto::wire::Reader;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::{Error, key::secret_debug};

pub(super) const ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
pub(super) const X25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20];
#[cfg(feature = "ed448")]
pub(super) const ED448: [u8; 16] =
    [0x30, 0x47, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x71, 0x04, 0x3b, 0x04, 0x39];
#[cfg(feature = "x448")]
pub(super) const X448: [u8; 16] =
    [0x30, 0x46, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6f, 0x04, 0x3a, 0x04, 0x38];

/// The longest form, that of an Ed448 key.
const MAX_LENGTH: usize = 16 + 57;

/// A secret key in PKCS#8 DER: 48 bytes for Ed25519 and X25519, 72 for X448, 73 for Ed448. Wiped when dropped.
pub struct Pkcs8 {
    bytes: Zeroizing<[u8; MAX_LENGTH]>,
    length: usize,
}

secret_debug!(Pkcs8);

impl ZeroizeOnDrop for Pkcs8 {}

impl Pkcs8 {
    pub(super) fn new(prefix: &[u8; 16], raw: &[u8]) -> Self {
        let mut bytes = Zeroizing::new([0; MAX_LENGTH]);
        let source = prefix.iter().chain(raw);
        bytes.iter_mut().zip(source).for_each(|(to, from)| *to = *from);
        Self { bytes, length: prefix.len().saturating_add(raw.len()).min(MAX_LENGTH) }
    }

    /// The DER bytes. They are as secret as the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}

/// The raw key behind an exact prefix. Other forms of PKCS#8 (version 2 with a public key, attributes) are refused: no
/// peer sends them.
pub(super) fn read<'a, const N: usize>(der: &'a [u8], prefix: &[u8; 16]) -> Result<&'a [u8; N], Error> {
    let mut reader = Reader::new(der);
    reader.expect(prefix).map_err(|_| Error::InvalidKey)?;
    let raw = reader.array().map_err(|_| Error::InvalidKey)?;
    reader.finish().map_err(|_| Error::InvalidKey)?;
    Ok(raw)
}
