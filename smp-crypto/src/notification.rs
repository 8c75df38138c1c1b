//! Encryption of notifications from a relay to the recipient of a queue: the metadata in NMSG, which the notification
//! server passes on and cannot read (wire reference, section 10.6).
//!
//! The key is agreed between the relay's key from NID or IDS and the recipient's key from NKEY or NEW.

use smp_proto::{
    smp::message::{NOTIFICATION_PADDED_LENGTH, NotificationMetadata},
    wire::{Decode, Encode},
};

use crate::{
    Error,
    secret_box::{BoxKey, Nonce, TAG_LENGTH},
};

/// Length of the encrypted metadata in bytes.
pub const SEALED_LENGTH: usize = NOTIFICATION_PADDED_LENGTH + TAG_LENGTH;

/// Encrypts the metadata with a nonce that NMSG carries.
///
/// Fails with [`Error::Length`] when the message id is longer than 117 bytes; relays make them 24 bytes long.
pub fn seal(key: &BoxKey, nonce: &Nonce, metadata: &NotificationMetadata<'_>) -> Result<[u8; SEALED_LENGTH], Error> {
    let mut sealed = [0; SEALED_LENGTH];
    key.seal_content(nonce, &mut sealed, |writer| metadata.encode(writer))?;
    Ok(sealed)
}

/// Decrypts the metadata where it stands.
pub fn open<'b>(key: &BoxKey, nonce: &Nonce, sealed: &'b mut [u8]) -> Result<NotificationMetadata<'b>, Error> {
    Ok(NotificationMetadata::from_bytes(key.open_content(nonce, sealed)?)?)
}

#[cfg(test)]
mod tests {
    use smp_proto::{id::MessageId, wire::Time};

    use super::*;
    use crate::{
        key::SharedSecret,
        test::{bytes, numbers},
    };

    /// The values of the wire reference, Appendix A.
    #[test]
    fn appendix_a_vectors() {
        let secret = bytes("a84dc7c3c8f058b1b2dc4cd1e9b5dc0a7987f88b6a9564cde3391fc421159e77");
        let key = BoxKey::from(&SharedSecret::from_bytes(secret));
        let nonce = Nonce(numbers(0x40));
        let id = numbers(0xc0);
        let metadata = NotificationMetadata { message_id: MessageId::from_array(&id), time: Time(1_700_000_000) };
        let mut sealed = seal(&key, &nonce, &metadata).unwrap();
        let expected = concat!(
            "45c96f7ecbb4a00a211c3f02837c9598cbde9584734a3ce10065bbd7c623e404",
            "1398a99eab4ba61c0f653d032e98e7bd7eef2a042e3777e6796dcbebc5d8e5ab",
            "e50647cf520f4f425ed2eef8bf7fc81a01956b0ff4673376c49b239a7bd4f08a",
            "f4326dc5d649b6f8e6eb06b120ac994ee271a0cb06323770c705c1524e7338d2",
            "9a9df87f637c931d60551f57f96f1ce2",
        );
        assert_eq!(sealed, bytes(expected));

        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&key, &nonce, &mut flipped), Err(Error::Decrypt));
        }
        for length in 0..sealed.len() {
            assert_eq!(open(&key, &nonce, &mut { sealed }[..length]), Err(Error::Decrypt));
        }
        assert_eq!(open(&key, &nonce.reversed(), &mut { sealed }), Err(Error::Decrypt));
        assert_eq!(open(&BoxKey::new(&[1; 32]), &nonce, &mut { sealed }), Err(Error::Decrypt));
        assert_eq!(open(&key, &nonce, &mut sealed), Ok(metadata));
    }
}
