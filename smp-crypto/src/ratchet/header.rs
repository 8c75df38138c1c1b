//! Header keys, and how headers are encrypted (wire reference of the ratchet, sections 9 and 13).

use smp_proto::agent::ratchet_message::TAG_LENGTH;
use smp_proto::agent::{EncryptedHeader, RatchetHeader, RatchetMessage};
use smp_proto::version::RatchetVersion;
use smp_proto::wire::{Decode, Reader, Writer, pad_in_place, unpad};
use zeroize::Zeroizing;

use super::derive::secret_32;
use super::{ASSOCIATED_DATA_LENGTH, Error, aead};
use crate::key::secret_eq;

/// What headers are padded to, in bytes, when they have no room for encapsulation.
pub const HEADER_LENGTH: usize = 88;
/// What headers are padded to, in bytes, when they have.
pub const LARGE_HEADER_LENGTH: usize = 2310;
/// The longest encrypted header with all that belongs to it, in bytes.
pub(super) const MAX_ENCRYPTED_LENGTH: usize =
    EncryptedHeader::front_length(RatchetVersion::ENCAPSULATION) + LARGE_HEADER_LENGTH;
/// Associated data of the body: that of the conversation, then the encrypted header.
pub(super) const MAX_BODY_DATA_LENGTH: usize = ASSOCIATED_DATA_LENGTH + MAX_ENCRYPTED_LENGTH;

secret_32!(
    /// The key of the headers of one chain. Skipped keys are stored under it.
    pub HeaderKey
);

secret_eq!(HeaderKey);

/// The initialisation vector of one header. It is sent in clear.
pub(super) struct HeaderIv(pub(super) [u8; TAG_LENGTH]);

/// The version a header is written in, and how far it is padded.
#[derive(Clone, Copy)]
pub(super) struct HeaderForm {
    pub(super) version: RatchetVersion,
    pub(super) large: bool,
}

impl HeaderForm {
    const fn padded_length(self) -> usize {
        if self.large && self.version.0 >= RatchetVersion::ENCAPSULATION.0 {
            LARGE_HEADER_LENGTH
        } else {
            HEADER_LENGTH
        }
    }

    /// Length of the encrypted header in bytes.
    pub(super) const fn encrypted_length(self) -> usize {
        EncryptedHeader::front_length(self.version).saturating_add(self.padded_length())
    }

    /// What a message is longer than its padded body, in bytes.
    pub(super) const fn overhead(self) -> usize {
        RatchetMessage::front_length(self.version, self.encrypted_length())
    }
}

impl HeaderKey {
    /// Writes the encrypted header into `out` and gives its length.
    pub(super) fn seal(
        &self,
        iv: &HeaderIv,
        form: HeaderForm,
        associated_data: &[u8; ASSOCIATED_DATA_LENGTH],
        header: &RatchetHeader<'_>,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let length = form.encrypted_length();
        let out = out.get_mut(..length).ok_or(Error::Internal)?;
        let front_length = EncryptedHeader::front_length(form.version);
        let (front, content) = out.split_at_mut_checked(front_length).ok_or(Error::Internal)?;
        let mut writer = Writer::new(content.get_mut(2..).ok_or(Error::Internal)?);
        header.encode(&mut writer, form.version).map_err(|_| Error::Internal)?;
        let header_length = writer.len();
        pad_in_place(content, header_length).map_err(|_| Error::Internal)?;
        let tag = aead::encrypt(&self.0, &iv.0, associated_data, content)?;
        EncryptedHeader::encode_front(&mut Writer::new(front), form.version, &iv.0, &tag, content.len())
            .map_err(|_| Error::Internal)?;
        Ok(length)
    }
}

/// A copy of the header of a received message, which is tried with one key after the other.
pub(super) struct ReceivedHeader {
    version: RatchetVersion,
    iv: [u8; TAG_LENGTH],
    tag: [u8; TAG_LENGTH],
    bytes: Zeroizing<[u8; LARGE_HEADER_LENGTH]>,
    length: usize,
}

impl ReceivedHeader {
    /// Room for a header, on the stack once.
    pub(super) fn empty() -> Self {
        Self {
            version: RatchetVersion::MIN,
            iv: [0; TAG_LENGTH],
            tag: [0; TAG_LENGTH],
            bytes: Zeroizing::new([0; LARGE_HEADER_LENGTH]),
            length: 0,
        }
    }

    /// Copies a header. Longer ones than any version sends are refused.
    pub(super) fn fill(&mut self, encoded: &[u8]) -> Result<(), Error> {
        let header = EncryptedHeader::from_bytes(encoded).map_err(Error::Malformed)?;
        let length = header.ciphertext.len();
        let too_long = Error::Malformed(smp_proto::wire::Error::TooLong);
        self.bytes.get_mut(..length).ok_or(too_long)?.copy_from_slice(header.ciphertext);
        (self.version, self.iv, self.tag, self.length) = (header.version, *header.iv, *header.tag, length);
        Ok(())
    }

    /// Tells whether this key opens the header; when it does, the copy is decrypted.
    pub(super) fn open(&mut self, key: &HeaderKey, associated_data: &[u8; ASSOCIATED_DATA_LENGTH]) -> bool {
        let bytes = self.bytes.get_mut(..self.length).unwrap_or_default();
        aead::decrypt(&key.0, &self.iv, associated_data, bytes, &self.tag)
    }

    /// The header, once it was opened.
    pub(super) fn read(&self) -> Result<RatchetHeader<'_>, Error> {
        let padded = self.bytes.get(..self.length).unwrap_or_default();
        let content = unpad(padded).map_err(Error::UnparsableHeader)?;
        RatchetHeader::decode(&mut Reader::new(content), self.version).map_err(Error::UnparsableHeader)
    }
}
