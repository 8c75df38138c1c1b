//! Messages whose header is encrypted and whose body is not (wire reference of the ratchet, section 10).

use smp_proto::agent::RatchetMessage;
use smp_proto::version::RatchetVersion;
use smp_proto::wire::{Writer, pad_in_place};
use zeroize::ZeroizeOnDrop;

use super::header::{HeaderForm, MAX_BODY_DATA_LENGTH, MAX_ENCRYPTED_LENGTH};
use super::message_key::MessageKey;
use super::padding::MAX_MESSAGE_LENGTH;
use super::{ASSOCIATED_DATA_LENGTH, Error, stored};
use crate::key::secret_debug;

const FORMAT: u8 = 1;

/// A message whose place in the conversation is fixed: its header, and the key its body will be encrypted with.
///
/// It encrypts one body. Sealing it twice is for sending the same body again.
///
/// # Stored form
///
/// Postcard: the format, 1 (`u8`); the version (`u16`); the key (32 bytes); the initialisation vector (16 bytes); the
/// associated data of the conversation and the encrypted header, one behind the other (length first). What follows is
/// ignored.
pub struct PreparedMessage {
    key: MessageKey,
    version: RatchetVersion,
    /// The associated data of the conversation, then the encrypted header.
    data: [u8; MAX_BODY_DATA_LENGTH],
    length: usize,
}

secret_debug!(PreparedMessage);

impl ZeroizeOnDrop for PreparedMessage {}

impl PreparedMessage {
    /// The longest stored form in bytes.
    pub const MAX_SERIALIZED_LENGTH: usize = 1 + 3 + 32 + 16 + 2 + MAX_BODY_DATA_LENGTH;

    /// Room for a message, on the stack once.
    pub(super) const fn empty() -> Self {
        Self {
            key: MessageKey::new([0; 32], [0; 16]),
            version: RatchetVersion::MIN,
            data: [0; MAX_BODY_DATA_LENGTH],
            length: 0,
        }
    }

    /// Takes the key of the body, and writes the encrypted header.
    pub(super) fn fill(
        &mut self,
        key: MessageKey,
        version: RatchetVersion,
        associated_data: &[u8; ASSOCIATED_DATA_LENGTH],
        header: impl FnOnce(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<(), Error> {
        let (front, rest) = self.data.split_first_chunk_mut().ok_or(Error::Internal)?;
        *front = *associated_data;
        self.length = header(rest)?.saturating_add(ASSOCIATED_DATA_LENGTH);
        (self.key, self.version) = (key, version);
        Ok(())
    }

    /// Refuses messages that do not fit.
    pub(super) fn check_length(length: usize, padded_length: usize) -> Result<(), Error> {
        if length > MAX_MESSAGE_LENGTH || length.saturating_add(2) > padded_length {
            return Err(Error::TooLong);
        }
        Ok(())
    }

    fn data(&self) -> &[u8] {
        self.data.get(..self.length).unwrap_or_default()
    }

    fn header(&self) -> &[u8] {
        self.data().get(ASSOCIATED_DATA_LENGTH..).unwrap_or_default()
    }

    /// Where in the buffer of [`PreparedMessage::seal_in_place`] the message stands.
    #[must_use]
    pub fn message_start(&self) -> usize {
        RatchetMessage::front_length(self.version, self.header().len()).saturating_add(2)
    }

    /// Length in bytes of what is sent when the body is padded to `padded_length`.
    #[must_use]
    pub fn encrypted_length(&self, padded_length: usize) -> usize {
        RatchetMessage::front_length(self.version, self.header().len()).saturating_add(padded_length)
    }

    /// Encrypts the body and gives what is sent, the first [`PreparedMessage::encrypted_length`] bytes of `out`.
    ///
    /// Fails with [`Error::TooLong`] when the message and its two bytes of length do not fit into `padded_length`, or the
    /// result does not fit into `out`.
    pub fn seal<'b>(&self, message: &[u8], padded_length: usize, out: &'b mut [u8]) -> Result<&'b mut [u8], Error> {
        Self::check_length(message.len(), padded_length)?;
        let start = self.message_start();
        let end = start.saturating_add(message.len());
        let place = out.get_mut(start..end).ok_or(Error::TooLong)?;
        place.iter_mut().zip(message).for_each(|(to, from)| *to = *from);
        self.seal_in_place(out, message.len(), padded_length)
    }

    /// Like [`PreparedMessage::seal`], of a message of `length` bytes that stands in the buffer from
    /// [`PreparedMessage::message_start`] on.
    pub fn seal_in_place<'b>(
        &self,
        buffer: &'b mut [u8],
        length: usize,
        padded_length: usize,
    ) -> Result<&'b mut [u8], Error> {
        Self::check_length(length, padded_length)?;
        let sealed = buffer.get_mut(..self.encrypted_length(padded_length)).ok_or(Error::TooLong)?;
        let front_length = RatchetMessage::front_length(self.version, self.header().len());
        let (front, body) = sealed.split_at_mut_checked(front_length).ok_or(Error::Internal)?;
        pad_in_place(body, length).map_err(|_| Error::TooLong)?;
        let tag = self.key.seal(self.data(), body)?;
        RatchetMessage::encode_front(&mut Writer::new(front), self.version, self.header(), &tag)
            .map_err(|_| Error::Internal)?;
        Ok(sealed)
    }

    /// Writes the stored form and gives it. It is as secret as the message.
    ///
    /// Fails with [`Error::TooLong`] when `out` is too small; [`Self::MAX_SERIALIZED_LENGTH`] is always enough.
    pub fn to_bytes<'b>(&self, out: &'b mut [u8]) -> Result<&'b mut [u8], Error> {
        let mut writer = stored::Writer::new(out);
        writer.write(&(FORMAT, self.version.0, self.key.key(), self.key.iv(), self.data()))?;
        writer.finish()
    }

    /// Reads the stored form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = stored::Reader::new(bytes, FORMAT)?;
        let (version, key, iv, stored): (u16, _, _, &[u8]) = reader.read()?;
        let version = RatchetVersion(version);
        let header_length = stored.len().checked_sub(ASSOCIATED_DATA_LENGTH).ok_or(Error::Stored)?;
        let lengths = [false, true].map(|large| HeaderForm { version, large }.encrypted_length());
        if header_length > MAX_ENCRYPTED_LENGTH || !lengths.contains(&header_length) {
            return Err(Error::Stored);
        }
        let mut prepared = Self::empty();
        prepared.data.get_mut(..stored.len()).ok_or(Error::Stored)?.copy_from_slice(stored);
        (prepared.key, prepared.version, prepared.length) = (MessageKey::new(key, iv), version, stored.len());
        Ok(prepared)
    }
}
