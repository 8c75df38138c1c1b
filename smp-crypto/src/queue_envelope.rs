//! The envelope that clients put around what they send: the body of SEND, from sender to recipient, opaque to relays
//! (wire reference, section 10.2).
//!
//! The key is agreed between the sender's key and the one in the queue's address. The sender's public key travels in
//! the first messages, the confirmations, whose content is padded to [`CONFIRMATION_PADDED_LENGTH`] bytes; that of all
//! others to [`MESSAGE_PADDED_LENGTH`].

use smp_proto::{
    key::{AuthorizationKey, X25519PublicKey},
    smp::message::{CONFIRMATION_PADDED_LENGTH, ClientEnvelope, ClientMessage, MESSAGE_PADDED_LENGTH},
    version::ClientVersion,
    wire::{self, Decode, Writer},
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
    seal_with(key, header, message.sender_key, buffer, |writer| writer.bytes(message.body))
}

/// Like [`seal`], of a message whose body is written where it is sealed: an
/// [`AgentEnvelope`](smp_proto::agent::AgentEnvelope) and behind it, in bytes that were reserved, a message of the
/// ratchet.
///
/// Whatever error `body` returns comes back as [`Error::Length`].
pub fn seal_with<'b>(
    key: &BoxKey,
    header: &EnvelopeHeader,
    sender_key: Option<AuthorizationKey>,
    buffer: &'b mut [u8],
    body: impl FnOnce(&mut Writer<'_>) -> Result<(), wire::Error>,
) -> Result<&'b [u8], Error> {
    let EnvelopeHeader { version, key: dh_key, nonce } = *header;
    let envelope = ClientEnvelope { version, dh_key, nonce: &nonce.0, ciphertext: &[] };
    let mut writer = Writer::new(buffer);
    writer.value(&envelope).map_err(|_| Error::Length)?;
    let sealed = writer.reserve(envelope.padded_length().saturating_add(TAG_LENGTH)).map_err(|_| Error::Length)?;
    key.seal_content(&header.nonce, sealed, |writer| {
        writer.value(&ClientMessage { sender_key, body: &[] })?;
        body(writer)
    })?;
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

    /// Like [`open`](Self::open), for a body that is decrypted once more where it stands. Gives the key the recipient is
    /// asked to secure the queue with, and the body.
    pub fn open_in_place(self, key: &BoxKey) -> Result<(Option<AuthorizationKey>, &'b mut [u8]), Error> {
        let range = key.open_padded(&self.header.nonce, self.sealed)?;
        let message = self.sealed.get_mut(range).ok_or(Error::Length)?;
        let ClientMessage { sender_key, body } = ClientMessage::from_bytes(message)?;
        let start = message.len().saturating_sub(body.len());
        Ok((sender_key, message.get_mut(start..).ok_or(Error::Length)?))
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(*SealedEnvelope::new(&mut buffer[..length]).unwrap().header(), header);
        // What is written in place is sealed as what is given.
        let mut same = [0; MESSAGE_LENGTH];
        let body = |writer: &mut Writer<'_>| writer.bytes(confirmation.body);
        let same = seal_with(&key, &header, confirmation.sender_key, &mut same, body).unwrap();
        assert_eq!(same, &buffer[..length]);
        let failing = |_: &mut Writer<'_>| Err(wire::Error::TooLong);
        assert_eq!(seal_with(&key, &header, None, &mut [0; MESSAGE_LENGTH], failing).err(), Some(Error::Length));

        let envelope = SealedEnvelope::new(&mut buffer[..length]).unwrap();
        // The recipient finds the key in the header.
        let agreed = recipient.diffie_hellman(&envelope.header().key.unwrap()).unwrap();
        let agreed = BoxKey::from(&agreed);
        assert!(envelope.open(&agreed) == Ok(confirmation));
        let mut same = same.to_vec();
        let opened = SealedEnvelope::new(&mut same).unwrap().open_in_place(&agreed).unwrap();
        assert_eq!(opened, (Some(sender_key), &mut { *b"it is me" }[..]));

        let header = EnvelopeHeader { key: None, nonce: Nonce::generate(random), ..header };
        let message = ClientMessage { sender_key: None, body: &[5; 15_997] };
        let length = seal(&key, &header, &message, &mut buffer).unwrap().len();
        assert_eq!(length, MESSAGE_LENGTH);
        assert!(SealedEnvelope::new(&mut { buffer }).unwrap().open(&agreed) == Ok(message));
        for position in (27..MESSAGE_LENGTH).step_by(101) {
            let mut changed = buffer;
            changed[position] ^= 1;
            assert_eq!(SealedEnvelope::new(&mut { changed }).unwrap().open(&agreed), Err(Error::Decrypt));
            assert_eq!(SealedEnvelope::new(&mut changed).unwrap().open_in_place(&agreed), Err(Error::Decrypt));
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
