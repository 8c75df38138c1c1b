//! Messages of the double ratchet and their headers (wire reference of the ratchet, section 9).

use core::fmt;

use super::ratchet_agreement::Encapsulation;
use crate::key::X448PublicKey;
use crate::version::RatchetVersion;
use crate::wire::{Decode, Error, Hidden, Reader, Writer};

/// Length of an initialisation vector and of an authentication tag in bytes.
pub const TAG_LENGTH: usize = 16;

/// Lengths from here on fit into one byte without being taken for the first of two.
const FIRST_SHORT_LENGTH: u8 = 32;

/// Reads a length in two bytes when the first is below 32, and in one otherwise. It does not depend on the version.
fn read_length(reader: &mut Reader<'_>) -> Result<usize, Error> {
    match reader.peek() {
        None => Err(Error::Truncated),
        Some(byte) if byte < FIRST_SHORT_LENGTH => reader.u16().map(usize::from),
        Some(_) => reader.u8().map(usize::from),
    }
}

/// Writes a length as `version` does: in two bytes from 3 on, and in one before.
///
/// Lengths that would be read back as other ones, below 32 and above 8191, are refused.
fn write_length(writer: &mut Writer<'_>, version: RatchetVersion, length: usize) -> Result<(), Error> {
    if length < usize::from(FIRST_SHORT_LENGTH) {
        return Err(Error::Invalid);
    }
    if version >= RatchetVersion::ENCAPSULATION {
        let length = u16::try_from(length).map_err(|_| Error::TooLong)?;
        if length >= u16::from_be_bytes([FIRST_SHORT_LENGTH, 0]) {
            return Err(Error::TooLong);
        }
        writer.u16(length)
    } else {
        writer.u8(u8::try_from(length).map_err(|_| Error::TooLong)?)
    }
}

/// How many bytes such a length takes.
const fn length_of_length(version: RatchetVersion) -> usize {
    if version.0 >= RatchetVersion::ENCAPSULATION.0 { 2 } else { 1 }
}

/// An encrypted message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RatchetMessage<'a> {
    /// The encoded [`EncryptedHeader`]. These exact bytes are authenticated together with the body.
    pub header: &'a [u8],
    /// The tag of the body.
    pub tag: &'a [u8; TAG_LENGTH],
    /// The encrypted body.
    pub body: &'a [u8],
}

impl fmt::Debug for RatchetMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RatchetMessage").field("body", &Hidden(self.body)).finish_non_exhaustive()
    }
}

impl RatchetMessage<'_> {
    /// How many bytes stand in front of the body when the encoded header has `header_length` bytes.
    #[must_use]
    pub const fn front_length(version: RatchetVersion, header_length: usize) -> usize {
        length_of_length(version).saturating_add(header_length).saturating_add(TAG_LENGTH)
    }

    /// Writes what stands in front of the body, in the form of `version`.
    pub fn encode_front(
        writer: &mut Writer<'_>,
        version: RatchetVersion,
        header: &[u8],
        tag: &[u8; TAG_LENGTH],
    ) -> Result<(), Error> {
        write_length(writer, version, header.len())?;
        writer.bytes(header)?;
        writer.bytes(tag)
    }
}

impl<'a> Decode<'a> for RatchetMessage<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let length = read_length(reader)?;
        Ok(Self { header: reader.take(length)?, tag: reader.array()?, body: reader.rest() })
    }
}

/// The header of a message before it is decrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EncryptedHeader<'a> {
    /// The version whose form the header has. It is authenticated with the body only.
    pub version: RatchetVersion,
    /// The initialisation vector.
    pub iv: &'a [u8; TAG_LENGTH],
    /// The tag.
    pub tag: &'a [u8; TAG_LENGTH],
    /// The padded, encrypted [`RatchetHeader`].
    pub ciphertext: &'a [u8],
}

impl fmt::Debug for EncryptedHeader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedHeader").field("version", &self.version).finish_non_exhaustive()
    }
}

impl EncryptedHeader<'_> {
    /// How many bytes stand in front of the ciphertext.
    #[must_use]
    pub const fn front_length(version: RatchetVersion) -> usize {
        TAG_LENGTH.saturating_mul(2).saturating_add(2).saturating_add(length_of_length(version))
    }

    /// Writes what stands in front of a ciphertext of `length` bytes.
    pub fn encode_front(
        writer: &mut Writer<'_>,
        version: RatchetVersion,
        iv: &[u8; TAG_LENGTH],
        tag: &[u8; TAG_LENGTH],
        length: usize,
    ) -> Result<(), Error> {
        writer.value(&version)?;
        writer.bytes(iv)?;
        writer.bytes(tag)?;
        write_length(writer, version, length)
    }
}

impl<'a> Decode<'a> for EncryptedHeader<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let (version, iv, tag) = (reader.value()?, reader.array()?, reader.array()?);
        let length = read_length(reader)?;
        Ok(Self { version, iv, tag, ciphertext: reader.take(length)? })
    }
}

/// The header of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RatchetHeader<'a> {
    /// The highest version the sender speaks.
    pub max_version: RatchetVersion,
    /// The sender's ratchet key.
    pub key: X448PublicKey,
    /// The state of encapsulation. Versions without encapsulation have no room for it.
    pub encapsulation: Option<Encapsulation<'a>>,
    /// How many messages the sender's previous chain has.
    pub previous_count: u32,
    /// The number of this message in its chain, from 0 on.
    pub number: u32,
}

/// Shows the state of encapsulation only: the rest is what header encryption hides.
impl fmt::Debug for RatchetHeader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RatchetHeader").field("encapsulation", &self.encapsulation).finish_non_exhaustive()
    }
}

impl<'a> RatchetHeader<'a> {
    /// Reads a header in the form of `version`, the one of its [`EncryptedHeader`]. What follows stays unread: later
    /// versions may have more.
    pub fn decode(reader: &mut Reader<'a>, version: RatchetVersion) -> Result<Self, Error> {
        Ok(Self {
            max_version: reader.value()?,
            key: reader.value()?,
            encapsulation: if version >= RatchetVersion::ENCAPSULATION { reader.value()? } else { None },
            previous_count: reader.u32()?,
            number: reader.u32()?,
        })
    }

    /// Writes the header in the form of `version`: 79 bytes in version 2; 80, 1241 (proposed) or 2282 (accepted) later.
    pub fn encode(&self, writer: &mut Writer<'_>, version: RatchetVersion) -> Result<(), Error> {
        writer.value(&self.max_version)?;
        writer.value(&self.key)?;
        if version >= RatchetVersion::ENCAPSULATION {
            writer.value(&self.encapsulation)?;
        }
        writer.u32(self.previous_count)?;
        writer.u32(self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn headers_have_the_lengths_of_the_wire_reference() {
        let (key, ciphertext) = (&[7; 1158], &[8; 1039]);
        for (version, encapsulation, length) in [
            (2, None, 79),
            (2, Some(Encapsulation::Proposed { key }), 79),
            (3, None, 80),
            (3, Some(Encapsulation::Proposed { key }), 1241),
            (3, Some(Encapsulation::Accepted { ciphertext, key }), 2282),
        ] {
            let version = RatchetVersion(version);
            let header = RatchetHeader {
                max_version: RatchetVersion(3),
                key: X448PublicKey([5; 56]),
                encapsulation,
                previous_count: 6,
                number: u32::MAX,
            };
            let mut buffer = [0; 2310];
            let mut writer = Writer::new(&mut buffer);
            header.encode(&mut writer, version).unwrap();
            assert_eq!(writer.len(), length);
            let bytes = writer.into_written();
            let read = RatchetHeader::decode(&mut Reader::new(bytes), version).unwrap();
            assert_eq!(read.number, u32::MAX);
            assert_eq!(read.encapsulation, encapsulation.filter(|_| version.0 > 2));
            for end in 0..length {
                assert!(RatchetHeader::decode(&mut Reader::new(&bytes[..end]), version).is_err());
            }
        }
    }

    #[test]
    fn what_is_printed_tells_no_more_than_what_everybody_sees() {
        let header = EncryptedHeader { version: RatchetVersion(3), iv: &[1; 16], tag: &[2; 16], ciphertext: b"header" };
        assert_eq!(std::format!("{header:?}"), "EncryptedHeader { version: RatchetVersion(3), .. }");
        let message = RatchetMessage { header: b"header", tag: &[2; 16], body: b"body" };
        assert_eq!(std::format!("{message:?}"), "RatchetMessage { body: 4 bytes, .. }");
        let header = RatchetHeader {
            max_version: RatchetVersion(3),
            key: X448PublicKey([5; 56]),
            encapsulation: Some(Encapsulation::Proposed { key: &[7; 1158] }),
            previous_count: 6,
            number: 9,
        };
        assert_eq!(std::format!("{header:?}"), "RatchetHeader { encapsulation: Some(Proposed(..)), .. }");
    }

    #[test]
    fn lengths_have_one_byte_or_two() {
        for (version, length, bytes) in
            [(2, 123, &[123][..]), (3, 124, &[0, 124]), (3, 2346, &[9, 42]), (3, 8191, &[31, 255]), (2, 32, &[32])]
        {
            let mut buffer = [0; 4];
            let mut writer = Writer::new(&mut buffer);
            write_length(&mut writer, RatchetVersion(version), length).unwrap();
            assert_eq!(writer.written(), bytes);
            assert_eq!(read_length(&mut Reader::new(bytes)), Ok(length));
        }
        for (version, length) in [(2, 31), (3, 31), (2, 256), (3, 8192), (3, 65_536)] {
            assert!(write_length(&mut Writer::new(&mut [0; 4]), RatchetVersion(version), length).is_err());
        }
        assert_eq!(read_length(&mut Reader::new(&[255])), Ok(255));
        assert_eq!(read_length(&mut Reader::new(&[31])), Err(Error::Truncated));
        assert_eq!(read_length(&mut Reader::new(&[])), Err(Error::Truncated));
    }

    #[test]
    fn messages_read_back_what_was_written() {
        for version in [2, 3].map(RatchetVersion) {
            let (iv, tag) = ([1; 16], [2; 16]);
            let mut buffer = [0; 400];
            let mut writer = Writer::new(&mut buffer);
            EncryptedHeader::encode_front(&mut writer, version, &iv, &tag, 88).unwrap();
            assert_eq!(writer.len(), EncryptedHeader::front_length(version));
            writer.bytes(&[3; 88]).unwrap();
            let header: Vec<u8> = writer.into_written().to_vec();
            let read = EncryptedHeader::from_bytes(&header).unwrap();
            assert_eq!(read, EncryptedHeader { version, iv: &iv, tag: &tag, ciphertext: &[3; 88] });

            let mut writer = Writer::new(&mut buffer);
            RatchetMessage::encode_front(&mut writer, version, &header, &tag).unwrap();
            assert_eq!(writer.len(), RatchetMessage::front_length(version, header.len()));
            writer.bytes(b"body").unwrap();
            let message = writer.into_written();
            let read = RatchetMessage::from_bytes(message).unwrap();
            assert_eq!(read, RatchetMessage { header: &header, tag: &tag, body: b"body" });
            for end in 0..message.len() - 4 {
                assert!(RatchetMessage::from_bytes(&message[..end]).is_err());
            }
            for end in 0..header.len() {
                assert!(EncryptedHeader::from_bytes(&header[..end]).is_err());
            }
            assert_eq!(EncryptedHeader::from_bytes(&[&header[..], b"x"].concat()), Err(Error::Trailing));
        }
    }
}
