//! Encryption of notifications from a relay to the recipient of a queue: the metadata in NMSG, which the notification
//! server passes on and cannot read (wire reference, section 10.6).
//!
//! The key is agreed between the relay's key from NID or IDS and the recipient's key from NKEY or NEW.

use smp_proto::wire::{Decode, Encode};

use crate::{
    Error,
    secret_box::{BoxKey, Nonce, TAG_LENGTH},
};

/// Length of the padded plaintext in bytes.
pub const PADDED_LENGTH: usize = 128;
/// Length of the encrypted metadata in bytes.
pub const SEALED_LENGTH: usize = PADDED_LENGTH + TAG_LENGTH;

/// Encrypts the metadata with a nonce that NMSG carries.
pub fn seal(key: &BoxKey, nonce: &Nonce, metadata: &impl Encode) -> Result<[u8; SEALED_LENGTH], Error> {
    let mut sealed = [0; SEALED_LENGTH];
    key.seal_content(nonce, &mut sealed, |writer| metadata.encode(writer))?;
    Ok(sealed)
}

/// Decrypts the metadata where it stands.
pub fn open<'b, T: Decode<'b>>(key: &BoxKey, nonce: &Nonce, sealed: &'b mut [u8]) -> Result<T, Error> {
    Ok(T::from_bytes(key.open_content(nonce, sealed)?)?)
}
