//! What is kept behind a short link, once decrypted (wire reference, section 13.2).
//!
//! Two parts, each a [`Signed`] value: [`FixedLinkData`], whose hash is the link's key and which never changes, and
//! [`UserLinkData`], which its owners may replace. Both ignore what follows what they know, so that later versions may
//! add to them; a value that was read therefore need not encode to the bytes it was read from, and hashes and
//! signatures are to be checked against the bytes.

use core::fmt;

use super::ConnectionRequest;
use crate::key::Ed25519PublicKey;
use crate::short_link::{LinkKind, ShortLink};
use crate::version::{AgentVersion, VersionRange};
use crate::wire::{Decode, Encode, Error, List, Reader, ShortString, Writer};

/// The length of encrypted fixed data in bytes, without the nonce and the tag before it: its padded length.
pub const FIXED_DATA_PADDED_LENGTH: usize = 2008;
/// The padded length of user data in bytes.
pub const USER_DATA_PADDED_LENGTH: usize = 13_784;

/// Data with the Ed25519 signature over it in front.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The signature over `data`.
    pub signature: &'a [u8; 64],
    /// What is signed.
    pub data: &'a [u8],
}

impl fmt::Debug for Signed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed({} bytes)", self.data.len())
    }
}

impl<'a> Decode<'a> for Signed<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { signature: signature(reader)?, data: reader.rest() })
    }
}

impl Encode for Signed<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.short(self.signature)?;
        writer.bytes(self.data)
    }
}

fn signature<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8; 64], Error> {
    reader.short()?.try_into().map_err(|_| Error::Invalid)
}

/// The part of link data that never changes. Its SHA3-256 hash is the key of the link.
#[derive(Clone, PartialEq, Eq)]
pub struct FixedLinkData<'a> {
    /// The versions of the agent protocol its maker speaks.
    pub agent_versions: VersionRange<AgentVersion>,
    /// The key that signs this part, and may sign the other.
    pub root_key: Ed25519PublicKey,
    /// The full link.
    pub connection_request: ConnectionRequest,
    /// What the link is about, such as a group; a matter of the application.
    pub entity_id: Option<ShortString<'a>>,
}

impl fmt::Debug for FixedLinkData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedLinkData").field("connection_request", &self.connection_request).finish_non_exhaustive()
    }
}

impl<'a> Decode<'a> for FixedLinkData<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        // Built where it is returned, because of the size of the request.
        let (agent_versions, root_key) = (reader.value()?, reader.value()?);
        match ConnectionRequest::decode(reader) {
            Ok(connection_request) => {
                // Nothing tells whether it is there but that it can be read; the rest is for later versions.
                let entity_id = reader.value().ok();
                reader.rest();
                Ok(Self { agent_versions, root_key, connection_request, entity_id })
            }
            Err(error) => Err(error),
        }
    }

    fn from_bytes(bytes: &'a [u8]) -> Result<Self, Error> {
        // Nothing is left over, and the value is not passed on once more.
        Self::decode(&mut Reader::new(bytes))
    }
}

impl Encode for FixedLinkData<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.agent_versions)?;
        writer.value(&self.root_key)?;
        writer.value(&self.connection_request)?;
        self.entity_id.map_or(Ok(()), |id| writer.value(&id))
    }
}

/// The part of link data that may be replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum UserLinkData<'a> {
    /// Behind an invitation.
    Invitation {
        /// The versions of the agent protocol its maker speaks.
        agent_versions: VersionRange<AgentVersion>,
        /// Data of the application.
        user_data: UserData<'a>,
    },
    /// Behind any other link.
    Contact {
        /// The versions of the agent protocol its maker speaks.
        agent_versions: VersionRange<AgentVersion>,
        /// Everything else.
        contact: ContactData<'a>,
    },
}

/// User data of an address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ContactData<'a> {
    /// Whether requests may go to the queue of the fixed data.
    pub direct: bool,
    /// Who may replace this data besides the holder of the root key. Not verified yet.
    pub owners: List<'a, OwnerAuthorization<'a>>,
    /// Other addresses that take requests for this one. No invitations.
    pub relays: List<'a, RelayLink>,
    /// Data of the application.
    pub user_data: UserData<'a>,
}

impl UserLinkData<'_> {
    /// Data of the application.
    #[must_use]
    pub const fn user_data(&self) -> &UserData<'_> {
        match self {
            Self::Invitation { user_data, .. } => user_data,
            Self::Contact { contact, .. } => &contact.user_data,
        }
    }
}

impl fmt::Debug for UserLinkData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invitation { .. } => "Invitation(..)",
            Self::Contact { .. } => "Contact(..)",
        })
    }
}

impl<'a> Decode<'a> for UserLinkData<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let kind = reader.u8()?;
        let agent_versions = reader.value()?;
        let data = match kind {
            b'I' => Self::Invitation { agent_versions, user_data: reader.value()? },
            b'C' => Self::Contact {
                agent_versions,
                contact: ContactData {
                    direct: reader.value()?,
                    owners: reader.value()?,
                    relays: reader.value()?,
                    user_data: reader.value()?,
                },
            },
            _ => return Err(Error::Invalid),
        };
        reader.rest();
        Ok(data)
    }
}

impl Encode for UserLinkData<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Invitation { agent_versions, user_data } => {
                writer.u8(b'I')?;
                writer.value(agent_versions)?;
                writer.value(user_data)
            }
            Self::Contact { agent_versions, contact } => {
                writer.u8(b'C')?;
                writer.value(agent_versions)?;
                writer.value(&contact.direct)?;
                writer.value(&contact.owners)?;
                writer.value(&contact.relays)?;
                writer.value(&contact.user_data)
            }
        }
    }
}

/// Data of the application, up to 65,535 bytes, of which about 13,700 fit a link.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UserData<'a>(pub &'a [u8]);

/// This length byte means that the length follows in two.
const LONG: u8 = 0xff;

impl fmt::Debug for UserData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserData({} bytes)", self.0.len())
    }
}

impl<'a> Decode<'a> for UserData<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        match reader.u8()? {
            LONG => reader.long().map(Self),
            length => reader.take(usize::from(length)).map(Self),
        }
    }
}

impl Encode for UserData<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        if self.0.len() < usize::from(LONG) {
            writer.short(self.0)
        } else {
            writer.u8(LONG)?;
            writer.long(self.0)
        }
    }
}

/// Leave to replace the user data of an address, given by the root key or by an owner listed before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OwnerAuthorization<'a> {
    /// Names the owner; a matter of the application, unique in the list.
    pub owner_id: ShortString<'a>,
    /// The key the owner signs with; not the root key, and unique in the list.
    pub owner_key: Ed25519PublicKey,
    /// The signature over [`OwnerAuthorization::signed_bytes`].
    pub signature: &'a [u8; 64],
}

impl OwnerAuthorization<'_> {
    /// What the one who gives leave signs: the owner's id and SubjectPublicKeyInfo, without lengths.
    pub fn signed_bytes<'b>(&self, buffer: &'b mut [u8; 300]) -> Result<&'b [u8], Error> {
        let mut writer = Writer::new(buffer);
        writer.bytes(self.owner_id.as_bytes())?;
        writer.bytes(&self.owner_key.to_spki())?;
        Ok(writer.into_written())
    }
}

impl fmt::Debug for OwnerAuthorization<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerAuthorization(..)")
    }
}

impl<'a> Decode<'a> for OwnerAuthorization<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        // What else is inside the wrapper is for later versions.
        let mut inside = Reader::new(reader.short()?);
        Ok(Self { owner_id: inside.value()?, owner_key: inside.value()?, signature: signature(&mut inside)? })
    }
}

impl Encode for OwnerAuthorization<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.short_with(|writer| {
            writer.value(&self.owner_id)?;
            writer.value(&self.owner_key)?;
            writer.short(self.signature)
        })
    }
}

/// A short link that is not an invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayLink(ShortLink);

impl RelayLink {
    /// Takes any link but an invitation.
    pub fn new(link: ShortLink) -> Result<Self, Error> {
        if link.kind() == LinkKind::Invitation { Err(Error::Invalid) } else { Ok(Self(link)) }
    }

    /// The link.
    #[must_use]
    pub const fn link(&self) -> &ShortLink {
        &self.0
    }
}

impl Decode<'_> for RelayLink {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Self::new(reader.value()?)
    }
}

impl Encode for RelayLink {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_changes_form_at_255_bytes() {
        for (length, head) in [(0, &[0][..]), (254, &[254]), (255, &[255, 0, 255]), (256, &[255, 1, 0])] {
            let bytes = std::vec![7; length];
            let mut buffer = [0; 512];
            let encoded = UserData(&bytes).to_slice(&mut buffer).unwrap();
            assert_eq!(encoded[..head.len()], *head);
            assert_eq!(UserData::from_bytes(encoded), Ok(UserData(&bytes)));
            for end in 0..encoded.len() {
                assert!(UserData::from_bytes(&encoded[..end]).is_err());
            }
        }
    }

    #[test]
    fn relays_are_no_invitations() {
        let invitation = ShortLink::parse("simplex:/i#AAAA/BBBB?h=a").unwrap();
        assert_eq!(RelayLink::new(invitation).unwrap_err(), Error::Invalid);
        let mut buffer = [0; 64];
        let relay = ShortLink::parse("https://a/r#BBBB").unwrap();
        assert_eq!(RelayLink::from_bytes(relay.to_slice(&mut buffer).unwrap()).unwrap().link(), &relay);
    }
}
