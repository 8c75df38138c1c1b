//! The envelope that clients put around what they send: the body of SEND, from sender to recipient, opaque to relays
//! (wire reference, section 10.2).
//!
//! The key is agreed between the sender's key and the one in the queue's address. The sender's public key travels in
//! the first messages, the confirmations, whose content is padded to [`CONFIRMATION_PADDED_LENGTH`] bytes; that of all
//! others to [`MESSAGE_PADDED_LENGTH`].

use smp_proto::{
    key::X25519PublicKey,
    version::ClientVersion,
    wire::{self, Decode, Encode, Reader, Writer},
};

use crate::{
    Error,
    secret_box::{BoxKey, NONCE_LENGTH, Nonce, TAG_LENGTH},
};

/// Length of the padded content of a confirmation in bytes.
pub const CONFIRMATION_PADDED_LENGTH: usize = 15_904;
/// Length of the padded content of any other message in bytes.
pub const MESSAGE_PADDED_LENGTH: usize = 16_000;
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

impl Decode<'_> for EnvelopeHeader {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, wire::Error> {
        Ok(Self { version: reader.value()?, key: reader.value()?, nonce: Nonce(*reader.array()?) })
    }
}

impl Encode for EnvelopeHeader {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), wire::Error> {
        writer.value(&self.version)?;
        writer.value(&self.key)?;
        writer.bytes(&self.nonce.0)
    }
}

/// Makes an envelope at the front of `buffer`, which must hold [`CONFIRMATION_LENGTH`] bytes for a header with a key
/// and [`MESSAGE_LENGTH`] for one without, and returns it.
///
/// Fails with [`Error::Length`] when the content or the envelope does not fit.
pub fn seal<'b>(
    key: &BoxKey,
    header: &EnvelopeHeader,
    content: &impl Encode,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], Error> {
    let padded = if header.key.is_some() { CONFIRMATION_PADDED_LENGTH } else { MESSAGE_PADDED_LENGTH };
    let mut writer = Writer::new(buffer);
    writer.value(header).map_err(|_| Error::Length)?;
    let sealed = writer.reserve(padded.saturating_add(TAG_LENGTH)).map_err(|_| Error::Length)?;
    key.seal_content(&header.nonce, sealed, |writer| content.encode(writer))?;
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
        let mut reader = Reader::new(envelope);
        let header = reader.value()?;
        let start = envelope.len().saturating_sub(reader.len());
        let sealed = envelope.get_mut(start..).ok_or(Error::Length)?;
        Ok(Self { header, sealed })
    }

    /// The header. Only after [`open`](Self::open) succeeded is it known to come from the sender.
    #[must_use]
    pub const fn header(&self) -> &EnvelopeHeader {
        &self.header
    }

    /// Decrypts the content where it stands.
    pub fn open<T: Decode<'b>>(self, key: &BoxKey) -> Result<T, Error> {
        Ok(T::from_bytes(key.open_content(&self.header.nonce, self.sealed)?)?)
    }
}
