//! The envelope that clients put around what they send: the body of SEND, from sender to recipient, opaque to relays
//! (wire reference, section 10.2).
//!
//! The key is agreed between the sender's key and the one in the queue's address. The sender's public key travels in
//! the first messages, the confirmations, whose content is padded to [`CONFIRMATION_PADDED_LENGTH`] bytes; that of all
//! others to [`MESSAGE_PADDED_LENGTH`].

use smp_proto::{
    key::X25519PublicKey,
    smp::message::{CONFIRMATION_PADDED_LENGTH, ClientEnvelope, ClientMessage, MESSAGE_PADDED_LENGTH},
    version::ClientVersion,
    wire::{Decode, Encode, Writer},
};

use crate::{
    Error,
    secret_box::{BoxKey, NONCE_LENGTH, Nonce, TAG_LENGTH},
};

/// Length of a sealed confirmation in bytes.
pub const CONFIRMATION_LENGTH: usize = 2 + 46 + NONCE_LENGTH + TAG_LENGTH + CONFIRMATION_PADDED_LENGTH;
/// Length of any other sealed message in bytes, the longest there is.
pub const MESSAGE_LENGTH: usize = 2 + 1 + NONCE_LENGTH + TAG_LENGTH + MESSAGE_PADDED_LENGTH;

/// What stands in front of the encrypted content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvelopeHeader {
    /// The sender's version.
    pub version: ClientVersion,
    /// The sender's key, in confirmations.
    pub key: Option<X25519PublicKey>,
    /// The nonce of the content.
    pub nonce: Nonce,
}

/// Makes an envelope at the front of `buffer`, which must hold [`CONFIRMATION_LENGTH`] bytes for a header with a key
/// and [`MESSAGE_LENGTH`] for one without, and returns it.
///
/// Fails with [`Error::Length`] when the message or the envelope does not fit.
pub fn seal<'b>(
    key: &BoxKey,
    header: &EnvelopeHeader,
    message: &ClientMessage<'_>,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], Error> {
    let EnvelopeHeader { version, key: dh_key, nonce } = *header;
    let envelope = ClientEnvelope { version, dh_key, nonce: &nonce.0, ciphertext: &[] };
    let mut writer = Writer::new(buffer);
    writer.value(&envelope).map_err(|_| Error::Length)?;
    let sealed = writer.reserve(envelope.padded_length().saturating_add(TAG_LENGTH)).map_err(|_| Error::Length)?;
    key.seal_content(&header.nonce, sealed, |writer| message.encode(writer))?;
    Ok(writer.into_written())
}

/// An envelope whose header was read, so that the key can be found: agreed with the key in the header, or known.
pub struct SealedEnvelope<'b> {
    header: EnvelopeHeader,
    sealed: &'b mut [u8],
}

impl core::fmt::Debug for SealedEnvelope<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SealedEnvelope").field("header", &self.header).finish_non_exhaustive()
    }
}

impl<'b> SealedEnvelope<'b> {
    /// Reads the header.
    pub fn new(envelope: &'b mut [u8]) -> Result<Self, Error> {
        let ClientEnvelope { version, dh_key, nonce, ciphertext } = ClientEnvelope::from_bytes(envelope)?;
        let header = EnvelopeHeader { version, key: dh_key, nonce: Nonce(*nonce) };
        let start = envelope.len().saturating_sub(ciphertext.len());
        let sealed = envelope.get_mut(start..).ok_or(Error::Length)?;
        Ok(Self { header, sealed })
    }

    /// The header. Only after [`open`](Self::open) succeeded is it known to come from the sender.
    #[must_use]
    pub const fn header(&self) -> &EnvelopeHeader {
        &self.header
    }

    /// Decrypts the message where it stands.
    pub fn open(self, key: &BoxKey) -> Result<ClientMessage<'b>, Error> {
        Ok(ClientMessage::from_bytes(key.open_content(&self.header.nonce, self.sealed)?)?)
    }
}

#[cfg(test)]
mod tests {
    use smp_proto::key::AuthorizationKey;

    use super::*;
    use crate::{key::X25519SecretKey, test::random};

    #[test]
    fn a_sender_introduces_itself_and_then_writes() {
        let random = &mut random(1);
        let recipient = X25519SecretKey::generate(random);
        let sender = X25519SecretKey::generate(random);
        let sender_key = AuthorizationKey::X25519(X25519SecretKey::generate(random).public_key());
        let key = BoxKey::from(&sender.diffie_hellman(&recipient.public_key()).unwrap());
        let mut buffer = [0; MESSAGE_LENGTH];

        let header = EnvelopeHeader {
            version: ClientVersion::MAX,
            key: Some(sender.public_key()),
            nonce: Nonce::generate(random),
        };
        let confirmation = ClientMessage { sender_key: Some(sender_key), body: b"it is me" };
        let length = seal(&key, &header, &confirmation, &mut buffer).unwrap().len();
        assert_eq!(length, CONFIRMATION_LENGTH);
        let envelope = SealedEnvelope::new(&mut buffer[..length]).unwrap();
        assert_eq!(*envelope.header(), header);
        // The recipient finds the key in the header.
        let agreed = recipient.diffie_hellman(&envelope.header().key.unwrap()).unwrap();
        let agreed = BoxKey::from(&agreed);
        assert!(envelope.open(&agreed) == Ok(confirmation));

        let header = EnvelopeHeader { key: None, nonce: Nonce::generate(random), ..header };
        let message = ClientMessage { sender_key: None, body: &[5; 15_997] };
        let length = seal(&key, &header, &message, &mut buffer).unwrap().len();
        assert_eq!(length, MESSAGE_LENGTH);
        assert!(SealedEnvelope::new(&mut { buffer }).unwrap().open(&agreed) == Ok(message));
        for position in (27..MESSAGE_LENGTH).step_by(101) {
            let mut changed = buffer;
            changed[position] ^= 1;
            assert_eq!(SealedEnvelope::new(&mut changed).unwrap().open(&agreed), Err(Error::Decrypt));
            let mut shorter = buffer;
            assert_eq!(SealedEnvelope::new(&mut shorter[..position]).unwrap().open(&agreed), Err(Error::Decrypt));
        }
        for position in 0..27 {
            assert!(SealedEnvelope::new(&mut { buffer }[..position]).is_err());
        }

        let message = ClientMessage { sender_key: None, body: &[5; 15_998] };
        assert_eq!(seal(&key, &header, &message, &mut buffer), Err(Error::Length));
        let message = ClientMessage { sender_key: None, body: b"" };
        assert_eq!(seal(&key, &header, &message, &mut buffer[1..]), Err(Error::Length));
    }
}
