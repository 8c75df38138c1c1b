//! Services: clients that receive or get notified for many queues at once (wire reference, section 4.2; v7, section 2).

use crate::version::SmpVersion;
use crate::wire::{Decode, Encode, Error, Reader, Writer};

/// What a session does; parties of commands have one of these roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServiceRole {
    /// `M`: creates queues, sends and receives.
    Messaging,
    /// `N`: subscribes to notifications.
    Notifier,
    /// `P`: forwards for clients.
    Proxy,
}

impl Decode<'_> for ServiceRole {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.u8()? {
            b'M' => Ok(Self::Messaging),
            b'N' => Ok(Self::Notifier),
            b'P' => Ok(Self::Proxy),
            _ => Err(Error::Invalid),
        }
    }
}

impl Encode for ServiceRole {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.u8(match self {
            Self::Messaging => b'M',
            Self::Notifier => b'N',
            Self::Proxy => b'P',
        })
    }
}

/// The exclusive or of the MD5 hashes of queue ids: tells whether two sets drifted apart and protects nothing. Peers write
/// 16 bytes and read any length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdsHash<'a>(&'a [u8]);

impl<'a> IdsHash<'a> {
    /// The hash of no queues.
    pub const ZERO: IdsHash<'static> = IdsHash(&[0; 16]);

    /// Wraps a hash.
    #[must_use]
    pub const fn new(hash: &'a [u8; 16]) -> Self {
        Self(hash)
    }

    /// The bytes, if they are a hash and not of another length.
    #[must_use]
    pub fn to_array(&self) -> Option<[u8; 16]> {
        self.0.try_into().ok()
    }
}

/// How many queues a service has, and which: parameters of `SUBS`, `NSUBS`, `SOKS` and `ENDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceQueues<'a> {
    /// Their number; -1 where the version has none.
    pub count: i64,
    /// The hash of their ids, from version 19 on.
    pub hash: IdsHash<'a>,
}

impl<'a> ServiceQueues<'a> {
    /// What commands without parameters stand for, those below version 19.
    pub const UNKNOWN: ServiceQueues<'static> = ServiceQueues { count: -1, hash: IdsHash::ZERO };

    /// Reads the parameters of `SOKS` and `ENDS`, and from version 19 on those of `SUBS` and `NSUBS`.
    pub fn decode(reader: &mut Reader<'a>, version: SmpVersion) -> Result<Self, Error> {
        let count = reader.i64()?;
        let hash = if version >= SmpVersion::SERVICE_SUBSCRIPTIONS { IdsHash(reader.short()?) } else { IdsHash::ZERO };
        Ok(Self { count, hash })
    }

    /// Writes them; the hash only from version 19 on.
    pub fn encode(&self, writer: &mut Writer<'_>, version: SmpVersion) -> Result<(), Error> {
        writer.i64(self.count)?;
        if version >= SmpVersion::SERVICE_SUBSCRIPTIONS { writer.short(self.hash.0) } else { Ok(()) }
    }
}
