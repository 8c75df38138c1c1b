//! Encryption of messages from a relay to the recipient of a queue: the body of MSG (wire reference, section 10.1).
//!
//! The key is agreed between the relay's key for the queue and the recipient's key from NEW; the nonce is the message id.
//! Every body is [`SEALED_LENGTH`] bytes long, whatever is inside, a message or the mark that says that the queue was
//! full (section 10.4).

use smp_proto::{
    id::MessageId,
    smp::message::{DELIVERY_PADDED_LENGTH, Delivery},
    wire::{Decode, Encode},
};

use crate::{
    Error,
    secret_box::{BoxKey, Nonce, TAG_LENGTH},
};

/// Length of the body of MSG in bytes.
pub const SEALED_LENGTH: usize = DELIVERY_PADDED_LENGTH + TAG_LENGTH;

/// Encrypts what the recipient gets. Fails with [`Error::Length`] when the body is longer than 16,094 bytes, which no
/// SEND that fits a block brings.
pub fn seal(
    key: &BoxKey,
    message_id: MessageId<'_>,
    delivery: &Delivery<'_>,
    buffer: &mut [u8; SEALED_LENGTH],
) -> Result<(), Error> {
    key.seal_content(&Nonce::from_slice(message_id.as_bytes()), buffer, |writer| delivery.encode(writer))
}

/// Decrypts the body of MSG where it stands.
pub fn open<'b>(key: &BoxKey, message_id: MessageId<'_>, body: &'b mut [u8]) -> Result<Delivery<'b>, Error> {
    let content = key.open_content(&Nonce::from_slice(message_id.as_bytes()), body)?;
    Ok(Delivery::from_bytes(content)?)
}

#[cfg(test)]
mod tests {
    use smp_proto::wire::Time;

    use super::*;
    use crate::{
        hash::sha256,
        key::SharedSecret,
        test::{bytes, numbers},
    };

    fn key() -> BoxKey {
        let secret = bytes("a84dc7c3c8f058b1b2dc4cd1e9b5dc0a7987f88b6a9564cde3391fc421159e77");
        BoxKey::from(&SharedSecret::from_bytes(secret))
    }

    const TIME: Time = Time(1_700_000_000);

    /// The values of the wire reference, Appendix A.
    #[test]
    fn appendix_a_vectors() {
        let id = numbers(0xc0);
        let id = MessageId::from_array(&id);
        let mut body = [0; SEALED_LENGTH];
        assert_eq!(body.len(), 16_122);

        let message = Delivery::Message { time: TIME, notification: true, body: b"hello" };
        seal(&key(), id, &message, &mut body).unwrap();
        assert_eq!(body[..16], bytes::<16>("d484fc3bd99740842ea2150811e00f2c"));
        assert_eq!(sha256(&[&body]), bytes("82a47e4064a0e84da27ce0a0490c8e4b8eed9c2bca179dc7daa88b1624b364a8"));
        assert!(open(&key(), id, &mut body) == Ok(message));

        let mark = Delivery::Quota { time: TIME };
        seal(&key(), id, &mark, &mut body).unwrap();
        assert_eq!(body[..16], bytes::<16>("b1572774daa328fcbd30b3b922423ae5"));
        assert_eq!(sha256(&[&body]), bytes("fc94fcc211d5d8b3c319745555aeecd01f2a37f04a5a03b208a77a2071b7d4f4"));
        assert!(open(&key(), id, &mut body) == Ok(mark));
    }

    #[test]
    fn another_key_another_id_or_a_changed_body_is_refused() {
        let id = MessageId::from_array(&[1; 24]);
        let mut sealed = [0; SEALED_LENGTH];
        seal(&key(), id, &Delivery::Message { time: TIME, notification: false, body: &[7; 16_094] }, &mut sealed)
            .unwrap();
        assert_eq!(open(&BoxKey::new(&[1; 32]), id, &mut { sealed }), Err(Error::Decrypt));
        assert_eq!(open(&key(), MessageId::from_array(&[2; 24]), &mut { sealed }), Err(Error::Decrypt));
        for position in (0..SEALED_LENGTH).step_by(97) {
            let mut changed = sealed;
            changed[position] ^= 0x80;
            assert_eq!(open(&key(), id, &mut changed), Err(Error::Decrypt));
            assert_eq!(open(&key(), id, &mut { sealed }[..position]), Err(Error::Decrypt));
        }
        assert!(open(&key(), id, &mut sealed).is_ok());
        let too_long = Delivery::Message { time: TIME, notification: false, body: &[7; 16_095] };
        assert_eq!(seal(&key(), id, &too_long, &mut sealed), Err(Error::Length));
    }
}
