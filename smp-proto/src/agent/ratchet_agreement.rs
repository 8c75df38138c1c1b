//! What two parties send each other to agree on a ratchet after an invitation: in the confirmation and when they
//! re-synchronise (wire reference of the ratchet, section 4.1).

use core::fmt;

use super::ratchet_parameters::{ENCAPSULATED_SECRET_LENGTH, ENCAPSULATION_KEY_LENGTH};
use crate::key::X448PublicKey;
use crate::version::RatchetVersion;
use crate::wire::{Decode, Encode, Error, Reader, Writer};

/// Where the post-quantum encapsulation stands, as parameters and message headers tell it.
///
/// Peers read keys and ciphertexts of any length here and then use them as if they had the right one; other lengths are
/// refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Encapsulation<'a> {
    /// The sender proposes that the other party encapsulates a secret to its key.
    Proposed {
        /// The sender's public key.
        key: &'a [u8; ENCAPSULATION_KEY_LENGTH],
    },
    /// The sender encapsulated a secret to the other party's key and gives its own for the next one.
    Accepted {
        /// What was encapsulated to the other party's key.
        ciphertext: &'a [u8; ENCAPSULATED_SECRET_LENGTH],
        /// The sender's public key.
        key: &'a [u8; ENCAPSULATION_KEY_LENGTH],
    },
}

impl<'a> Encapsulation<'a> {
    /// The sender's public key.
    #[must_use]
    pub const fn key(&self) -> &'a [u8; ENCAPSULATION_KEY_LENGTH] {
        match self {
            Self::Proposed { key } | Self::Accepted { key, .. } => key,
        }
    }
}

impl fmt::Debug for Encapsulation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proposed { .. } => "Proposed(..)",
            Self::Accepted { .. } => "Accepted(..)",
        })
    }
}

fn exact<'a, const N: usize>(reader: &mut Reader<'a>) -> Result<&'a [u8; N], Error> {
    reader.long()?.try_into().map_err(|_| Error::Invalid)
}

impl<'a> Decode<'a> for Encapsulation<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        match reader.u8()? {
            b'P' => Ok(Self::Proposed { key: exact(reader)? }),
            b'A' => Ok(Self::Accepted { ciphertext: exact(reader)?, key: exact(reader)? }),
            _ => Err(Error::Invalid),
        }
    }
}

impl Encode for Encapsulation<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Proposed { key } => {
                writer.u8(b'P')?;
                writer.long(*key)
            }
            Self::Accepted { ciphertext, key } => {
                writer.u8(b'A')?;
                writer.long(*ciphertext)?;
                writer.long(*key)
            }
        }
    }
}

/// The public keys of one party for one version of the ratchet.
///
/// Whether the version is one to use is for the caller to decide: any version from 3 on is read in the form of 3, any
/// lower one in the form of 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgreedParameters<'a> {
    /// The version that was chosen.
    pub version: RatchetVersion,
    /// The first key of the agreement, `k1`.
    pub first_key: X448PublicKey,
    /// The second key of the agreement, `k2`.
    pub second_key: X448PublicKey,
    /// The state of encapsulation. Versions without encapsulation have no room for it: nothing is written there.
    pub encapsulation: Option<Encapsulation<'a>>,
}

impl<'a> AgreedParameters<'a> {
    /// The longest encoding, of an accepted encapsulation, in bytes.
    pub const MAX_LENGTH: usize = 2343;

    /// Reads the parameters of a party that cannot have accepted anything: the one that invites, and both when they
    /// re-synchronise. An accepted encapsulation is refused.
    pub fn decode_proposal(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let parameters = Self::decode(reader)?;
        match parameters.encapsulation {
            Some(Encapsulation::Accepted { .. }) => Err(Error::Invalid),
            _ => Ok(parameters),
        }
    }
}

impl<'a> Decode<'a> for AgreedParameters<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let version = reader.value()?;
        Ok(Self {
            version,
            first_key: reader.value()?,
            second_key: reader.value()?,
            encapsulation: if version >= RatchetVersion::ENCAPSULATION { reader.value()? } else { None },
        })
    }
}

impl Encode for AgreedParameters<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.version)?;
        writer.value(&self.first_key)?;
        writer.value(&self.second_key)?;
        if self.version >= RatchetVersion::ENCAPSULATION { writer.value(&self.encapsulation) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(encapsulation: Option<Encapsulation<'_>>) -> AgreedParameters<'_> {
        AgreedParameters {
            version: RatchetVersion(3),
            first_key: X448PublicKey([1; 56]),
            second_key: X448PublicKey([2; 56]),
            encapsulation,
        }
    }

    #[test]
    fn every_form_has_its_length_and_no_truncation_is_read() {
        let (key, ciphertext) = (&[7; 1158], &[8; 1039]);
        let accepted = Encapsulation::Accepted { ciphertext, key };
        for (encapsulation, length) in
            [(None, 141), (Some(Encapsulation::Proposed { key }), 1302), (Some(accepted), AgreedParameters::MAX_LENGTH)]
        {
            let mut buffer = [0; AgreedParameters::MAX_LENGTH];
            let bytes = parameters(encapsulation).to_slice(&mut buffer).unwrap();
            assert_eq!(bytes.len(), length);
            assert_eq!(AgreedParameters::from_bytes(bytes), Ok(parameters(encapsulation)));
            let proposal = AgreedParameters::decode_proposal(&mut Reader::new(bytes));
            assert_eq!(proposal.is_ok(), encapsulation != Some(accepted));
            for end in 0..length {
                assert!(AgreedParameters::from_bytes(&bytes[..end]).is_err());
            }
        }
        let old = AgreedParameters { version: RatchetVersion(2), ..parameters(Some(accepted)) };
        let mut buffer = [0; 200];
        let bytes = old.to_slice(&mut buffer).unwrap();
        assert_eq!(bytes.len(), 140);
        assert_eq!(AgreedParameters::from_bytes(bytes).unwrap().encapsulation, None);
    }

    #[test]
    fn keys_are_not_printed() {
        let key = &[7; 1158];
        assert_eq!(std::format!("{:?}", Encapsulation::Proposed { key }), "Proposed(..)");
        assert_eq!(std::format!("{:?}", Encapsulation::Accepted { ciphertext: &[8; 1039], key }), "Accepted(..)");
    }

    #[test]
    fn other_lengths_of_keys_and_ciphertexts_are_refused() {
        for (first, second) in [(1158, None), (1157, None), (1039, Some(1157)), (1040, Some(1158)), (0, Some(0))] {
            let mut bytes = std::vec::Vec::new();
            bytes.push(if second.is_some() { b'A' } else { b'P' });
            for length in [Some(first), second].into_iter().flatten() {
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
                bytes.extend(std::iter::repeat_n(1, length));
            }
            assert_eq!(Encapsulation::from_bytes(&bytes).is_ok(), first == 1158);
        }
    }
}
