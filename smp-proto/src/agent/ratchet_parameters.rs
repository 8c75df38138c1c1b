//! What an inviting party publishes for the key agreement of the double ratchet (wire reference of the ratchet,
//! section 4).

use core::fmt;

use crate::key::X448PublicKey;
use crate::query::{Query, decode_base64};
use crate::version::{RatchetVersion, VersionRange};
use crate::wire::{Base64, Decode, Encode, Error, Reader, Writer, base64_url_decode};

/// Length of an sntrup761 public key in bytes.
pub const ENCAPSULATION_KEY_LENGTH: usize = 1158;

/// An sntrup761 public key, to which the other party encapsulates a secret.
///
/// Peers read keys of any length here and then use them as if they had the right one; other lengths are refused.
#[derive(Clone, PartialEq, Eq)]
pub struct EncapsulationKey(pub [u8; ENCAPSULATION_KEY_LENGTH]);

impl fmt::Debug for EncapsulationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncapsulationKey(..)")
    }
}

impl Decode<'_> for EncapsulationKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.long()?.try_into().map(Self).map_err(|_| Error::Invalid)
    }
}

impl Encode for EncapsulationKey {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.long(&self.0)
    }
}

/// Length of an sntrup761 ciphertext in bytes.
pub const ENCAPSULATED_SECRET_LENGTH: usize = 1039;

/// The public keys of an invitation, in the form with a range of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatchetParameters {
    /// The versions of the ratchet the inviting party speaks.
    pub versions: VersionRange<RatchetVersion>,
    /// The first key of the agreement, `k1`.
    pub first_key: X448PublicKey,
    /// The second key of the agreement, `k2`.
    pub second_key: X448PublicKey,
    /// The key the inviting party proposes for encapsulation. It has no effect where a version without encapsulation
    /// is agreed on.
    pub encapsulation_key: Option<EncapsulationKey>,
}

impl RatchetParameters {
    /// Reads the query string of the `e2e` parameter of a link.
    ///
    /// An encapsulated secret beside the key is refused: only the invited party can have one.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let query = Query::new(text)?;
        let versions = VersionRange::parse(query.require("v")?.text(&mut [0; 16])?)?;
        let mut buffer = [0; 256];
        let keys = query.require("x3dh")?.text(&mut buffer)?;
        let (first, second) = keys.split_once(',').ok_or(Error::Invalid)?;
        let mut encapsulation_key = None;
        if versions.max() >= RatchetVersion::ENCAPSULATION
            && let Some(key) = query.get("kem_key")
        {
            if query.get("kem_ct").is_some() {
                return Err(Error::Invalid);
            }
            let mut bytes = [0; ENCAPSULATION_KEY_LENGTH];
            let text = key.plain()?.as_bytes();
            if base64_url_decode(text, &mut bytes)?.len() != ENCAPSULATION_KEY_LENGTH {
                return Err(Error::Invalid);
            }
            encapsulation_key = Some(EncapsulationKey(bytes));
        }
        Ok(Self { versions, first_key: parse_key(first)?, second_key: parse_key(second)?, encapsulation_key })
    }
}

fn parse_key(text: &str) -> Result<X448PublicKey, Error> {
    X448PublicKey::from_spki(&decode_base64::<{ X448PublicKey::SPKI_LENGTH }>(text)?)
}

/// Writes the query string of the `e2e` parameter of a link.
impl fmt::Display for RatchetParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = (self.first_key.to_spki(), self.second_key.to_spki());
        write!(f, "v={}&x3dh={},{}", self.versions, Base64(&first), Base64(&second))?;
        match &self.encapsulation_key {
            Some(key) if self.versions.max() >= RatchetVersion::ENCAPSULATION => {
                write!(f, "&kem_key={}", Base64(&key.0))
            }
            _ => Ok(()),
        }
    }
}

impl Decode<'_> for RatchetParameters {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            versions: reader.value()?,
            first_key: reader.value()?,
            second_key: reader.value()?,
            encapsulation_key: reader.value::<Option<Proposed>>()?.map(|proposed| proposed.0),
        })
    }
}

impl Encode for RatchetParameters {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.versions)?;
        writer.value(&self.first_key)?;
        writer.value(&self.second_key)?;
        match &self.encapsulation_key {
            None => writer.u8(b'0'),
            Some(key) => {
                writer.bytes(b"1P")?;
                writer.value(key)
            }
        }
    }
}

/// The one state of encapsulation an invitation can be in; an accepted one, `A`, is refused.
struct Proposed(EncapsulationKey);

impl Decode<'_> for Proposed {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.expect(b"P")?;
        reader.value().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn parameters(key_length: usize) -> std::vec::Vec<u8> {
        let mut bytes = std::vec![0, 2, 0, 3];
        for key in [X448PublicKey([1; 56]), X448PublicKey([2; 56])] {
            bytes.push(68);
            bytes.extend(key.to_spki());
        }
        bytes.extend(b"1P");
        bytes.extend(u16::try_from(key_length).unwrap().to_be_bytes());
        bytes.extend(std::iter::repeat_n(7, key_length));
        bytes
    }

    #[test]
    fn keys_are_not_printed() {
        assert_eq!(std::format!("{:?}", EncapsulationKey([7; 1158])), "EncapsulationKey(..)");
    }

    #[test]
    fn only_whole_encapsulation_keys_are_read() {
        let good = parameters(1158);
        let parsed = RatchetParameters::from_bytes(&good).unwrap();
        assert_eq!(parsed.to_slice(&mut [0; 2048]).unwrap(), good);
        assert_eq!(RatchetParameters::parse(&parsed.to_string()), Ok(parsed));
        for end in 0..good.len() {
            assert!(RatchetParameters::from_bytes(&good[..end]).is_err());
        }
        for length in [0, 1157, 1159] {
            assert_eq!(RatchetParameters::from_bytes(&parameters(length)), Err(Error::Invalid));
        }
        let mut accepted = good.clone();
        accepted[4 + 69 * 2 + 1] = b'A';
        assert_eq!(RatchetParameters::from_bytes(&accepted), Err(Error::Invalid));
    }
}
