//! Protocol versions: numbers, ranges, negotiation, and one constant for each feature a version brought (wire
//! reference, section 2).

use crate::text::{decimal, split_once};
use crate::wire::{Decode, Encode, Error, Reader, Writer};

/// A version of the queue protocol (SMP).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SmpVersion(pub u16);

impl SmpVersion {
    /// The lowest version still negotiated.
    pub const MIN: Self = Self(6);
    /// The highest version these codecs know.
    pub const MAX: Self = Self(20);

    /// X25519 authenticators, session id implied, session keys in both hellos.
    pub const AUTHENTICATORS: Self = Self(7);
    /// PRXY, PFWD, RFWD and their replies; a larger message.
    pub const PRIVATE_ROUTING: Self = Self(8);
    /// SKEY; the `sndSecure` flag of NEW and IDS; the password of NEW as an optional.
    pub const SENDER_SECURED: Self = Self(9);
    /// DELD; older peers receive END.
    pub const DELETED_EVENT: Self = Self(10);
    /// Encrypted transport blocks.
    pub const BLOCK_ENCRYPTION: Self = Self(11);
    /// The BLOCKED error; older peers receive AUTH.
    pub const BLOCKED: Self = Self(12);
    /// The `proxyServer` flag of the client hello.
    pub const PROXY_FLAG: Self = Self(14);
    /// Queue modes and link data.
    pub const SHORT_LINKS: Self = Self(15);
    /// Service certificates, the third hello, the service signature.
    pub const SERVICES: Self = Self(16);
    /// Notification credentials inside NEW and IDS.
    pub const NEW_NOTIFIER: Self = Self(17);
    /// The notice inside BLOCKED.
    pub const BLOCKED_NOTICE: Self = Self(18);
    /// Counts and hashes in service subscriptions, ALLS.
    pub const SERVICE_SUBSCRIPTIONS: Self = Self(19);
    /// RSLV, RNAME.
    pub const NAMES: Self = Self(20);

    /// The largest body of a SEND, in bytes (wire reference, section 9).
    #[must_use]
    pub const fn max_message_length(self) -> usize {
        match self.0 {
            0..=7 => 16_088,
            8..=10 => 16_064,
            _ => 16_048,
        }
    }
}

/// A version of the client envelope, the layer clients put around message bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ClientVersion(pub u16);

impl ClientVersion {
    /// The lowest version.
    pub const MIN: Self = Self(1);
    /// The highest version these codecs know.
    pub const MAX: Self = Self(4);
    /// Several hosts in a server address.
    pub const MULTIPLE_HOSTS: Self = Self(2);
    /// The sender may secure the queue.
    pub const SENDER_SECURED: Self = Self(3);
    /// Queue modes, short links.
    pub const SHORT_LINKS: Self = Self(4);
}

/// A version of the agent protocol, which connects two parties over queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentVersion(pub u16);

impl AgentVersion {
    /// The lowest version.
    pub const MIN: Self = Self(2);
    /// The highest version these codecs know.
    pub const MAX: Self = Self(7);
}

/// A version of the double ratchet between two parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RatchetVersion(pub u16);

impl RatchetVersion {
    /// The lowest version.
    pub const MIN: Self = Self(2);
    /// The highest version these codecs know.
    pub const MAX: Self = Self(3);
    /// The post-quantum key encapsulation inside the ratchet.
    pub const ENCAPSULATION: Self = Self(3);
}

/// A number that counts as a version somewhere.
pub trait Version: Copy + Ord {
    /// The number on the wire.
    fn number(self) -> u16;
    /// The version of this number, known or not.
    fn from_number(number: u16) -> Self;
}

macro_rules! version {
    ($name:ident) => {
        impl Version for $name {
            fn number(self) -> u16 {
                self.0
            }

            fn from_number(number: u16) -> Self {
                Self(number)
            }
        }

        impl Decode<'_> for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
                reader.u16().map(Self)
            }
        }

        impl Encode for $name {
            fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
                writer.u16(self.0)
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

version!(SmpVersion);
version!(ClientVersion);
version!(AgentVersion);
version!(RatchetVersion);

/// An inclusive range of versions; the minimum is never above the maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VersionRange<V> {
    min: V,
    max: V,
}

impl<V: Version> VersionRange<V> {
    /// The range from `min` to `max`, or [`Error::Invalid`] when they are the wrong way round.
    pub fn new(min: V, max: V) -> Result<Self, Error> {
        if min > max { Err(Error::Invalid) } else { Ok(Self { min, max }) }
    }

    /// The lowest version.
    #[must_use]
    pub fn min(&self) -> V {
        self.min
    }

    /// The highest version.
    #[must_use]
    pub fn max(&self) -> V {
        self.max
    }

    /// Whether the version is inside.
    #[must_use]
    pub fn contains(&self, version: V) -> bool {
        self.min <= version && version <= self.max
    }

    /// Reads the text form, `7` or `6-18`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let number = |digits| {
            let number = decimal(digits).and_then(|number| u16::try_from(number).ok());
            number.map(V::from_number).ok_or(Error::Invalid)
        };
        match split_once(text, b'-') {
            None => number(text).and_then(|only| Self::new(only, only)),
            Some((min, max)) => Self::new(number(min)?, number(max)?),
        }
    }

    /// The versions both ranges have.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        Self::new(self.min.max(other.min), self.max.min(other.max)).ok()
    }
}

/// Shows `7` when there is one version and `6-18` when there are several.
impl<V: Version> core::fmt::Display for VersionRange<V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (min, max) = (self.min.number(), self.max.number());
        if min == max { write!(f, "{min}") } else { write!(f, "{min}-{max}") }
    }
}

impl VersionRange<SmpVersion> {
    /// Every version of SMP these codecs know.
    pub const SMP: Self = Self { min: SmpVersion::MIN, max: SmpVersion::MAX };
    /// The versions with session keys, 7 to 20, for clients that do without the oldest.
    pub const SMP_WITH_SESSION_KEYS: Self = Self { min: SmpVersion::AUTHENTICATORS, max: SmpVersion::MAX };
    /// What a connection without ALPN is limited to.
    pub const SMP_LEGACY: Self = Self { min: SmpVersion::MIN, max: SmpVersion::MIN };
}

impl VersionRange<ClientVersion> {
    /// Every version of the client envelope these codecs know.
    pub const CLIENT: Self = Self { min: ClientVersion::MIN, max: ClientVersion::MAX };
}

impl VersionRange<AgentVersion> {
    /// Every version of the agent protocol these codecs know.
    pub const AGENT: Self = Self { min: AgentVersion::MIN, max: AgentVersion::MAX };
}

impl VersionRange<RatchetVersion> {
    /// Every version of the ratchet these codecs know.
    pub const RATCHET: Self = Self { min: RatchetVersion::MIN, max: RatchetVersion::MAX };
}

impl<V: Version> Decode<'_> for VersionRange<V> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let min = V::from_number(reader.u16()?);
        let max = V::from_number(reader.u16()?);
        Self::new(min, max)
    }
}

impl<V: Version> Encode for VersionRange<V> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.u16(self.min.number())?;
        writer.u16(self.max.number())
    }
}
