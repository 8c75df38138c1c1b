//! Agent envelopes: what agents put into the messages of a queue (wire reference of the agent, section 5).
//!
//! The last field of every kind takes the rest of the message. To seal it in place, write the envelope with that field
//! empty, reserve the bytes behind it in the same [`Writer`] and fill them; to open it in place, read the envelope with
//! [`AgentEnvelope::split`].
//!
//! ```
//! use smp_proto::agent::{AgentEnvelope, EnvelopeContent};
//! use smp_proto::version::AgentVersion;
//! use smp_proto::wire::Writer;
//!
//! let mut buffer = [0; 64];
//! let mut writer = Writer::new(&mut buffer);
//! writer.value(&AgentEnvelope { version: AgentVersion::MAX, content: EnvelopeContent::Message(&[]) })?;
//! writer.reserve(9)?.copy_from_slice(b"encrypted"); // what a ratchet would write there
//!
//! let (envelope, message) = AgentEnvelope::split(writer.into_written())?;
//! assert_eq!(envelope.content, EnvelopeContent::Message(&[]));
//! assert_eq!(message, b"encrypted");
//! # Ok::<(), smp_proto::wire::Error>(())
//! ```

use core::fmt;

use super::{AgreedParameters, ConnectionRequest};
use crate::version::AgentVersion;
use crate::wire::{Decode, Encode, Error, Hidden, Reader, Writer};

/// What an agent says to another below the encryption of the queue between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentEnvelope<'a> {
    /// The sender's version of the agent protocol. Any is read; which are to be accepted is for the agent to decide.
    pub version: AgentVersion,
    /// What the sender says.
    pub content: EnvelopeContent<'a>,
}

/// The kinds of envelopes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum EnvelopeContent<'a> {
    /// `C`: the first message of a party to a queue of the other.
    Confirmation {
        /// What the joining party agrees on the ratchet with. The inviting party has none to send.
        parameters: Option<AgreedParameters<'a>>,
        /// A message of the ratchet. In it are the connection information and, from the joining party, its queues.
        message: &'a [u8],
    },
    /// `M`: a message of the ratchet.
    Message(&'a [u8]),
    /// `I`: a request to connect, sent to an address. Only the encryption of the queue protects it.
    Invitation {
        /// The text of an invitation, which [`ConnectionRequest::parse`] reads. An envelope with another text is
        /// refused when it is read.
        request: &'a str,
        /// Information of the application about who asks.
        info: &'a [u8],
    },
    /// `R`: keys for a new ratchet, when the old one is out of step.
    RatchetKey {
        /// What the sender agrees on the ratchet with. An accepted encapsulation is refused when it is read.
        parameters: AgreedParameters<'a>,
        /// [`RATCHET_KEY_INFO`] from everybody, and ignored by everybody.
        info: &'a [u8],
    },
}

/// What agents write behind the parameters of [`EnvelopeContent::RatchetKey`]: an empty
/// [`AgentMessage::RatchetInfo`](super::AgentMessage::RatchetInfo).
pub const RATCHET_KEY_INFO: &[u8] = b"R";

/// Shows what kind it is and how long: contents stay out of logs.
impl fmt::Debug for EnvelopeContent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Confirmation { .. } => "Confirmation",
            Self::Message(_) => "Message",
            Self::Invitation { .. } => "Invitation",
            Self::RatchetKey { .. } => "RatchetKey",
        };
        f.debug_tuple(name).field(&Hidden(self.rest())).finish()
    }
}

impl<'a> EnvelopeContent<'a> {
    /// The last field, which takes the rest of the message.
    const fn rest(&self) -> &'a [u8] {
        match self {
            Self::Confirmation { message, .. } | Self::Message(message) => message,
            Self::Invitation { info, .. } | Self::RatchetKey { info, .. } => info,
        }
    }
}

impl<'a> AgentEnvelope<'a> {
    /// Reads an envelope that fills `bytes`. Its last field is empty in the envelope and given beside it, to be
    /// decrypted where it stands.
    pub fn split(bytes: &'a mut [u8]) -> Result<(Self, &'a mut [u8]), Error> {
        let rest_length = AgentEnvelope::from_bytes(bytes)?.content.rest().len();
        let front_length = bytes.len().saturating_sub(rest_length);
        let (front, rest) = bytes.split_at_mut_checked(front_length).ok_or(Error::Truncated)?;
        Ok((Self::decode_unchecked(&mut Reader::new(front))?, rest))
    }

    /// Reads an envelope without a look at the text of an invitation.
    fn decode_unchecked(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let version = reader.value()?;
        let content = match reader.u8()? {
            b'C' => EnvelopeContent::Confirmation { parameters: reader.value()?, message: reader.rest() },
            b'M' => EnvelopeContent::Message(reader.rest()),
            b'I' => EnvelopeContent::Invitation {
                request: core::str::from_utf8(reader.long()?).map_err(|_| Error::Invalid)?,
                info: reader.rest(),
            },
            b'R' => EnvelopeContent::RatchetKey {
                parameters: AgreedParameters::decode_proposal(reader)?,
                info: reader.rest(),
            },
            _ => return Err(Error::Invalid),
        };
        Ok(Self { version, content })
    }
}

/// A connection request takes some kilobytes, which only this function has on the stack.
#[inline(never)]
fn check_invitation(request: &str) -> Result<(), Error> {
    if ConnectionRequest::parse(request)?.is_invitation() { Ok(()) } else { Err(Error::Invalid) }
}

impl<'a> Decode<'a> for AgentEnvelope<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let envelope = Self::decode_unchecked(reader)?;
        if let EnvelopeContent::Invitation { request, .. } = envelope.content {
            check_invitation(request)?;
        }
        Ok(envelope)
    }
}

impl Encode for AgentEnvelope<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.version)?;
        match &self.content {
            EnvelopeContent::Confirmation { parameters, .. } => {
                writer.u8(b'C')?;
                writer.value(parameters)?;
            }
            EnvelopeContent::Message(_) => writer.u8(b'M')?,
            EnvelopeContent::Invitation { request, .. } => {
                writer.u8(b'I')?;
                writer.long(request.as_bytes())?;
            }
            EnvelopeContent::RatchetKey { parameters, .. } => {
                writer.u8(b'R')?;
                writer.value(parameters)?;
            }
        }
        writer.bytes(self.content.rest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Encapsulation;
    use crate::key::X448PublicKey;
    use crate::version::RatchetVersion;
    use std::format;
    use std::vec::Vec;

    const KEY: &[u8; 1158] = &[7; 1158];
    const REQUEST: &str = "simplex:/invitation#/?v=2-7&smp=smp%3A%2F%2FAAAA%40a.example%2FAAAA%23%2F%3Fv%3D1-4%26dh%3D\
        MCowBQYDK2VuAyEAPczoNHJA2y1_oVECI0rKexDkpp6dLAjWC_Jz2grsoig%253D&e2e=v%3D2-3%26x3dh%3D\
        MEIwBQYDK2VvAzkAAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE%2C\
        MEIwBQYDK2VvAzkAAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

    fn parameters(encapsulation: Option<Encapsulation<'static>>) -> AgreedParameters<'static> {
        AgreedParameters {
            version: RatchetVersion(3),
            first_key: X448PublicKey([1; 56]),
            second_key: X448PublicKey([2; 56]),
            encapsulation,
        }
    }

    fn contents(rest: &[u8]) -> [EnvelopeContent<'_>; 6] {
        let proposed = Encapsulation::Proposed { key: KEY };
        let accepted = Encapsulation::Accepted { ciphertext: &[8; 1039], key: KEY };
        [
            EnvelopeContent::Confirmation { parameters: None, message: rest },
            EnvelopeContent::Confirmation { parameters: Some(parameters(Some(accepted))), message: rest },
            EnvelopeContent::Message(rest),
            EnvelopeContent::Invitation { request: REQUEST, info: rest },
            EnvelopeContent::RatchetKey { parameters: parameters(None), info: rest },
            EnvelopeContent::RatchetKey { parameters: parameters(Some(proposed)), info: rest },
        ]
    }

    fn envelope(content: EnvelopeContent<'_>) -> AgentEnvelope<'_> {
        AgentEnvelope { version: AgentVersion(7), content }
    }

    #[test]
    fn every_kind_round_trips_and_no_truncation_of_its_front_is_read() {
        for (content, front) in contents(b"the rest").into_iter().zip(contents(b"")) {
            let mut buffer = [0; 4096];
            let bytes = envelope(content).to_slice(&mut buffer).unwrap().to_vec();
            assert_eq!(AgentEnvelope::from_bytes(&bytes), Ok(envelope(content)));
            let front_length = bytes.len() - b"the rest".len();
            assert_eq!(envelope(front).to_slice(&mut buffer).unwrap(), &bytes[..front_length]);
            for end in 0..front_length {
                assert!(AgentEnvelope::from_bytes(&bytes[..end]).is_err(), "{content:?} up to {end}");
            }
            let mut same = bytes.clone();
            let (read, rest) = AgentEnvelope::split(&mut same).unwrap();
            assert_eq!(read, envelope(front));
            assert_eq!(rest, b"the rest");
            // Whatever arrives is read as a value that is written the same, or refused.
            let mut refused = 0;
            for position in 0..bytes.len() {
                for bit in 0..8 {
                    let mut changed = bytes.clone();
                    changed[position] ^= 1 << bit;
                    match AgentEnvelope::from_bytes(&changed) {
                        Ok(read) => assert_eq!(read.to_slice(&mut buffer).unwrap(), changed),
                        Err(_) => refused += 1,
                    }
                }
            }
            assert!(refused > 0, "the kind, at least");
        }
    }

    #[test]
    fn only_what_belongs_there_is_read() {
        let refused = |bytes: &[u8]| {
            assert!(AgentEnvelope::from_bytes(bytes).is_err());
            assert!(AgentEnvelope::split(&mut bytes.to_vec()).is_err());
        };
        let accepted = Encapsulation::Accepted { ciphertext: &[8; 1039], key: KEY };
        let content = EnvelopeContent::RatchetKey { parameters: parameters(Some(accepted)), info: RATCHET_KEY_INFO };
        refused(envelope(content).to_slice(&mut [0; 4096]).unwrap());
        let contact = REQUEST.replace("/invitation", "/contact");
        for request in ["", "abc", contact.as_str(), "https://a.example/i#AAAA/AAAA"] {
            refused(envelope(EnvelopeContent::Invitation { request, info: b"" }).to_slice(&mut [0; 1024]).unwrap());
        }
        refused(b"\x00\x07I\x00\x01\xff");
        refused(b"\x00\x07Z");
    }

    #[test]
    fn contents_are_not_printed() {
        let shown = contents(b"secret").map(|content| format!("{:?}", envelope(content)));
        let expected = ["Confirmation", "Confirmation", "Message", "Invitation", "RatchetKey", "RatchetKey"];
        let expected =
            expected.map(|kind| format!("AgentEnvelope {{ version: AgentVersion(7), content: {kind}(6 bytes) }}"));
        assert_eq!(Vec::from(shown), expected);
    }
}
