//! The key of a store or of an export, and how it is wrapped with the passphrase. The format is in the
//! documentation of [`store`](super).

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use xxhash_rust::xxh3::xxh3_64;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::error::{Part, StorageError};
use super::passphrase::{Cost, Passphrase};

/// The format of stores and exports that is written.
const VERSION: u8 = 1;

/// Length in bytes of a nonce.
pub(super) const NONCE_LENGTH: usize = 24;
/// Length in bytes of what sealing appends.
pub(super) const TAG_LENGTH: usize = 16;

/// A key of XChaCha20-Poly1305.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct Key([u8; Key::LENGTH]);

impl Key {
    /// Length in bytes.
    pub(super) const LENGTH: usize = 32;

    pub(super) fn new(bytes: &[u8; Self::LENGTH]) -> Self {
        Self(*bytes)
    }

    pub(super) fn random() -> Result<Self, StorageError> {
        let mut key = Self([0; Self::LENGTH]);
        getrandom::fill(&mut key.0).map_err(|_| StorageError::Random)?;
        Ok(key)
    }

    /// Puts the sealed text, with its tag at the end, in the place of the text.
    pub(super) fn seal(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        associated: &[u8],
        text: &mut Vec<u8>,
    ) -> Result<(), StorageError> {
        // Fails for texts of 256 GiB.
        self.cipher().encrypt_in_place(nonce.into(), associated, text).map_err(|_| StorageError::Length)
    }

    /// Puts the text in the place of the sealed text. An error is said to be about a record.
    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        associated: &[u8],
        text: &mut Vec<u8>,
    ) -> Result<(), StorageError> {
        self.cipher().decrypt_in_place(nonce.into(), associated, text).map_err(|_| StorageError::Damaged(Part::Record))
    }

    /// The sealed value of a record: nonce, sealed text, tag.
    pub(super) fn seal_record(&self, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StorageError> {
        let nonce = random()?;
        let mut sealed = Vec::with_capacity(value.len().saturating_add(RECORD_OVERHEAD));
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(value);
        let text = sealed.get_mut(NONCE_LENGTH..).unwrap_or_default();
        let tag = self
            .cipher()
            .encrypt_inout_detached((&nonce).into(), key, text.into())
            .map_err(|_| StorageError::Length)?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// The value of a record.
    pub(super) fn open_record(&self, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StorageError> {
        let damaged = StorageError::Damaged(Part::Record);
        let Some((nonce, sealed)) = sealed.split_first_chunk::<NONCE_LENGTH>() else { return Err(damaged) };
        let mut value = sealed.to_vec();
        self.open(nonce, key, &mut value)?;
        Ok(value)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&self.0).into())
    }
}

/// How many bytes a sealed value is longer than the value.
pub(super) const RECORD_OVERHEAD: usize = NONCE_LENGTH + TAG_LENGTH;

fn random<const N: usize>() -> Result<[u8; N], StorageError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| StorageError::Random)?;
    Ok(bytes)
}

/// What a wrapped key is for: one cannot stand in the place of the other.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Store,
    Export,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Store => b"SMP_agent_store\0",
            Self::Export => b"SMP_agent_export\0",
        }
    }

    fn associated(self, parameters: &[u8]) -> Vec<u8> {
        [self.label(), parameters].concat()
    }
}

/// Length in bytes of a header.
pub(super) const HEADER_LENGTH: usize = PARAMETERS_LENGTH + NONCE_LENGTH + Key::LENGTH + TAG_LENGTH + 8;
const PARAMETERS_LENGTH: usize = 26;

/// Wraps a key.
pub(super) fn wrap_key(purpose: Purpose, key: &Key, passphrase: &Passphrase) -> Result<Vec<u8>, StorageError> {
    let (cost, salt, nonce) = (passphrase.cost(), random()?, random()?);
    let mut header = vec![VERSION];
    header.extend_from_slice(&cost.memory.to_be_bytes());
    header.extend_from_slice(&cost.passes.to_be_bytes());
    header.push(u8::try_from(cost.lanes).map_err(|_| StorageError::Cost)?);
    header.extend_from_slice(&salt);
    let mut sealed = Zeroizing::new(Vec::with_capacity(Key::LENGTH + TAG_LENGTH));
    sealed.extend_from_slice(&key.0);
    passphrase.key(cost, &salt)?.seal(&nonce, &purpose.associated(&header), &mut sealed)?;
    header.extend_from_slice(&nonce);
    header.extend_from_slice(&sealed);
    header.extend_from_slice(&xxh3_64(&header).to_be_bytes());
    Ok(header)
}

/// Takes a key out of its header.
pub(super) fn unwrap_key(purpose: Purpose, header: &[u8], passphrase: &Passphrase) -> Result<Key, StorageError> {
    let damaged = StorageError::Damaged(Part::Header);
    match header.first() {
        Some(&VERSION) => {}
        // A format before the first is none.
        None | Some(0) => return Err(damaged),
        Some(&newer) => return Err(StorageError::NewerFormat(newer)),
    }
    let Some((before, checksum)) = header.split_last_chunk::<8>() else { return Err(damaged) };
    if header.len() != HEADER_LENGTH || xxh3_64(before).to_be_bytes() != *checksum {
        return Err(damaged);
    }
    let Some((parameters, rest)) = before.split_first_chunk::<PARAMETERS_LENGTH>() else { return Err(damaged) };
    let [_, m0, m1, m2, m3, p0, p1, p2, p3, lanes, salt @ ..] = parameters;
    let cost = Cost {
        memory: u32::from_be_bytes([*m0, *m1, *m2, *m3]),
        passes: u32::from_be_bytes([*p0, *p1, *p2, *p3]),
        lanes: u32::from(*lanes),
    };
    let Some((nonce, sealed)) = rest.split_first_chunk::<NONCE_LENGTH>() else { return Err(damaged) };
    let mut key = Zeroizing::new(sealed.to_vec());
    let associated = purpose.associated(parameters);
    let opened = passphrase.key(cost, salt)?.open(nonce, &associated, &mut key);
    opened.map_err(|_| StorageError::WrongPassphrase)?;
    key.first_chunk().map(Key::new).ok_or(damaged)
}
