//! Addresses of queues: what a sender must know to send to a queue (wire reference, section 13.1).
//!
//! [`QueueAddress`] is the address itself; messages carry it with one version, as [`QueueInfo`]. What is handed to a
//! person, or written into a connection request, is a [`QueueUri`]: an address with a range of versions, which owns its
//! parts and reads and writes both text and bytes.
//!
//! ```
//! use smp_proto::uri::{QueueMode, QueueUri};
//!
//! let text = "smp://-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@smp.example.com/Az_4nIa_sT1YdHFSCYePrS-oGN2_x_bd#/\
//!             ?v=1-4&dh=MCowBQYDK2VuAyEAPczoNHJA2y1_oVECI0rKexDkpp6dLAjWC_Jz2grsoig%3D&q=m&k=s";
//! let uri = QueueUri::parse(text)?;
//! assert_eq!(uri.mode(), Some(QueueMode::Messaging));
//! assert_eq!(uri.server().port.number(5223)?, 5223);
//! assert!(uri.sender_can_secure());
//! assert_eq!(uri.to_string(), text);
//! # Ok::<(), smp_proto::wire::Error>(())
//! ```

use core::fmt;
use core::str::FromStr;

use crate::address::{Hosted, Scheme, ServerAddress, ServerBuf, ServerUri};
use crate::id::QueueId;
use crate::key::X25519PublicKey;
use crate::query::{Percent, Query, decode_base64, split_base64};
pub use crate::smp::recipient::QueueMode;
use crate::version::{ClientVersion, VersionRange};
use crate::wire::{Base64, Decode, Encode, Error, Reader, Writer};

/// How many bytes the sender id of a [`QueueUri`] may have; relays make them 24 long.
pub const SENDER_ID_CAPACITY: usize = 64;

/// A queue as its sender sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueAddress<'a> {
    /// The relay that keeps the queue.
    pub server: ServerAddress<'a>,
    /// The sender's name of the queue.
    pub sender_id: QueueId<'a>,
    /// The recipient's key of the encryption between sender and recipient.
    pub dh_key: X25519PublicKey,
    /// What the queue is for, if the address tells.
    pub mode: Option<QueueMode>,
}

impl<'a> QueueAddress<'a> {
    /// Whether the sender may secure the queue.
    #[must_use]
    pub fn sender_can_secure(&self) -> bool {
        self.mode == Some(QueueMode::Messaging)
    }

    /// Whether both name the same queue. Fingerprint, key and mode do not count.
    #[must_use]
    pub fn same_queue(&self, other: &QueueAddress<'_>) -> bool {
        self.server.same_server(&other.server) && self.sender_id == other.sender_id
    }

    /// Reads everything behind the versions. The mode may be left out: what follows the address then must not begin
    /// with a letter of a mode.
    fn decode(reader: &mut Reader<'a>, legacy: bool) -> Result<Self, Error> {
        let server = if legacy { ServerAddress::decode_legacy(reader)? } else { reader.value()? };
        let (sender_id, dh_key) = (reader.value()?, reader.value()?);
        let mode = match reader.peek() {
            Some(b'M' | b'T') => Some(QueueMode::Messaging),
            Some(b'C' | b'F') => Some(QueueMode::Contact),
            _ => None,
        };
        if mode.is_some() {
            reader.u8()?;
        }
        Ok(Self { server, sender_id, dh_key, mode })
    }

    /// Writes everything behind the versions but the mode, whose form depends on them.
    fn encode(&self, writer: &mut Writer<'_>, legacy: bool) -> Result<(), Error> {
        if legacy {
            self.server.encode_legacy(writer)?
        } else {
            writer.value(&self.server)?
        }
        writer.value(&self.sender_id)?;
        writer.value(&self.dh_key)
    }

    /// Writes the mode as versions from 4 on do.
    fn encode_mode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        self.mode.map_or(Ok(()), |mode| writer.value(&mode))
    }
}

/// A queue address at one version of the client envelope, as messages carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueInfo<'a> {
    /// The version the recipient will use.
    pub version: ClientVersion,
    /// The queue.
    pub queue: QueueAddress<'a>,
}

impl<'a> Decode<'a> for QueueInfo<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let version = reader.value()?;
        let queue = QueueAddress::decode(reader, version < ClientVersion::MULTIPLE_HOSTS)?;
        Ok(Self { version, queue })
    }
}

impl Encode for QueueInfo<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.version)?;
        self.queue.encode(writer, self.version < ClientVersion::MULTIPLE_HOSTS)?;
        if self.version >= ClientVersion::SHORT_LINKS {
            self.queue.encode_mode(writer)
        } else if self.version >= ClientVersion::SENDER_SECURED && self.queue.sender_can_secure() {
            writer.value(&true)
        } else {
            Ok(())
        }
    }
}

/// A queue address for a range of versions, as links carry it. Owns its parts, in about half a kilobyte.
#[derive(Clone, PartialEq, Eq)]
pub struct QueueUri {
    versions: VersionRange<ClientVersion>,
    server: ServerBuf,
    sender_id: heapless::Vec<u8, SENDER_ID_CAPACITY>,
    dh_key: X25519PublicKey,
    mode: Option<QueueMode>,
}

impl QueueUri {
    /// Copies an address; [`Error::TooLong`] when it does not fit the fixed buffers.
    pub fn new(versions: VersionRange<ClientVersion>, queue: &QueueAddress<'_>) -> Result<Self, Error> {
        let sender_id = heapless::Vec::from_slice(queue.sender_id.as_bytes()).map_err(|_| Error::TooLong)?;
        let server = ServerBuf::try_from(&queue.server)?;
        Ok(Self { versions, server, sender_id, dh_key: queue.dh_key, mode: queue.mode })
    }

    /// Reads the text form. Accepts every form that is or was written: a slash before `#`, the key before the query,
    /// more hosts in `srv`, the key alone.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (mut server, rest) = ServerUri::parse_server_prefix(Scheme::Smp, text)?;
        let (sender_id, rest) = split_base64(rest.strip_prefix('/').ok_or(Error::Invalid)?);
        let sender_id = decode_base64(sender_id)?;
        let fragment = rest.strip_prefix('/').unwrap_or(rest).strip_prefix('#').ok_or(Error::Invalid)?;
        let (key, rest) = split_base64(fragment);
        let dh_key = if key.is_empty() { None } else { Some(parse_key(key)?) };
        if let (Some(dh_key), "") = (dh_key, rest) {
            let server = ServerBuf::try_from(&server.address().with_legacy_onion())?;
            let versions = VersionRange::new(ClientVersion::MIN, ClientVersion::MIN)?;
            return Ok(Self { versions, server, sender_id, dh_key, mode: None });
        }
        let query = rest.strip_prefix('/').unwrap_or(rest).strip_prefix('?').ok_or(Error::Invalid)?;
        let query = Query::new(query)?;
        let versions = VersionRange::parse(query.require("v")?.text(&mut [0; 16])?)?;
        let dh_key = match dh_key {
            Some(key) => key,
            None => parse_key(query.require("dh")?.text(&mut [0; 128])?)?,
        };
        if let Some(hosts) = query.get("srv") {
            let mut buffer = [0; crate::address::HOSTS_CAPACITY];
            server.push_hosts(hosts.text(&mut buffer)?)?;
        }
        if versions.max() < ClientVersion::MULTIPLE_HOSTS {
            server = ServerBuf::try_from(&server.address().with_legacy_onion())?;
        }
        let is = |name: &str, value: &str| query.get(name).is_some_and(|found| found.bytes().eq(value.bytes().map(Ok)));
        let mode = if is("q", "m") {
            Some(QueueMode::Messaging)
        } else if is("q", "c") {
            Some(QueueMode::Contact)
        } else if is("k", "s") {
            Some(QueueMode::Messaging)
        } else {
            None
        };
        Ok(Self { versions, server, sender_id, dh_key, mode })
    }

    /// The versions of the client envelope the recipient reads.
    #[must_use]
    pub const fn versions(&self) -> VersionRange<ClientVersion> {
        self.versions
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> QueueAddress<'_> {
        QueueAddress { server: self.server(), sender_id: self.sender_id(), dh_key: self.dh_key, mode: self.mode }
    }

    /// The relay that keeps the queue.
    #[must_use]
    pub fn server(&self) -> ServerAddress<'_> {
        self.server.address()
    }

    /// The sender's name of the queue.
    #[must_use]
    pub fn sender_id(&self) -> QueueId<'_> {
        // The capacity is below the limit of `new`.
        QueueId::new(&self.sender_id).unwrap_or(QueueId::EMPTY)
    }

    /// The recipient's key of the encryption between sender and recipient.
    #[must_use]
    pub const fn dh_key(&self) -> X25519PublicKey {
        self.dh_key
    }

    /// What the queue is for, if the address tells.
    #[must_use]
    pub const fn mode(&self) -> Option<QueueMode> {
        self.mode
    }

    /// The same queue with another mode.
    #[must_use]
    pub fn with_mode(self, mode: Option<QueueMode>) -> Self {
        Self { mode, ..self }
    }

    /// Names another address of the relay that keeps the queue; [`Error::TooLong`] when it does not fit the fixed
    /// buffers.
    pub fn set_server(&mut self, server: &ServerAddress<'_>) -> Result<(), Error> {
        self.server = ServerBuf::try_from(server)?;
        Ok(())
    }

    /// Whether the sender may secure the queue.
    #[must_use]
    pub fn sender_can_secure(&self) -> bool {
        self.queue().sender_can_secure()
    }
}

fn parse_key(text: &str) -> Result<X25519PublicKey, Error> {
    X25519PublicKey::from_spki(&decode_base64::<{ X25519PublicKey::SPKI_LENGTH }>(text)?)
}

impl fmt::Debug for QueueUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueUri").field("versions", &self.versions).field("queue", &self.queue()).finish()
    }
}

impl FromStr for QueueUri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for QueueUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.server();
        // Version 1 knew one host for each server; it finds the others where it does not look.
        let one_host = self.versions.min() < ClientVersion::MULTIPLE_HOSTS;
        let hosts = Hosted { address: server, hosts: if one_host { 1 } else { usize::MAX } };
        write!(f, "smp://{}@{hosts}/{}#/", Base64(server.key_hash.as_bytes()), Base64(&self.sender_id))?;
        write!(f, "?v={}&dh={}", self.versions, Percent(Base64(&self.dh_key.to_spki())))?;
        match self.mode {
            Some(QueueMode::Messaging) => f.write_str("&q=m")?,
            Some(QueueMode::Contact) => f.write_str("&q=c")?,
            None => {}
        }
        if self.sender_can_secure() && self.versions.min() < ClientVersion::SHORT_LINKS {
            f.write_str("&k=s")?;
        }
        if one_host && server.hosts.len() > 1 {
            f.write_str("&srv=")?;
            for (index, host) in server.hosts.iter().skip(1).enumerate() {
                let comma = if index == 0 { "" } else { "%2C" };
                write!(f, "{comma}{}", Percent(host))?;
            }
        }
        Ok(())
    }
}

impl Decode<'_> for QueueUri {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let versions = reader.value()?;
        Self::new(versions, &QueueAddress::decode(reader, false)?)
    }
}

impl Encode for QueueUri {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.versions)?;
        let (queue, min) = (self.queue(), self.versions.min());
        queue.encode(writer, false)?;
        // Older readers stop behind the key, so the flag is left out where they may not need it.
        let flag = min >= ClientVersion::SENDER_SECURED
            || (self.versions.max() >= ClientVersion::SENDER_SECURED && queue.sender_can_secure());
        if min >= ClientVersion::SHORT_LINKS {
            queue.encode_mode(writer)
        } else if flag {
            writer.value(&queue.sender_can_secure())
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Host, Port};
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn uri(mode: Option<QueueMode>, versions: (u16, u16)) -> QueueUri {
        let mut server = ServerBuf::new(Host::Domain("a.example"), Port::new(443), &[7; 32]).unwrap();
        server.push_host(Host::Onion("abc.onion")).unwrap();
        let versions = VersionRange::new(ClientVersion(versions.0), ClientVersion(versions.1)).unwrap();
        let sender_id = QueueId::from_array(&[9; 24]);
        let dh_key = X25519PublicKey([5; 32]);
        QueueUri::new(versions, &QueueAddress { server: server.address(), sender_id, dh_key, mode }).unwrap()
    }

    #[test]
    fn text_round_trips() {
        for mode in [None, Some(QueueMode::Messaging), Some(QueueMode::Contact)] {
            for versions in [(1, 4), (2, 2), (3, 4), (4, 5)] {
                let uri = uri(mode, versions);
                assert_eq!(QueueUri::parse(&uri.to_string()), Ok(uri));
            }
        }
    }

    #[test]
    fn truncated_bytes_are_refused() {
        let uri = uri(Some(QueueMode::Contact), (4, 4));
        let mut buffer = [0; 512];
        let bytes = uri.to_slice(&mut buffer).unwrap();
        assert_eq!(QueueUri::from_bytes(bytes), Ok(uri.clone()));
        for end in 0..bytes.len() {
            // Without its last byte the address is one without a mode.
            let expected = if end == bytes.len() - 1 { Ok(uri.clone().with_mode(None)) } else { Err(()) };
            assert_eq!(QueueUri::from_bytes(&bytes[..end]).map_err(|_| ()), expected);
        }
    }

    #[test]
    fn broken_text_is_refused_without_panic() {
        let text = uri(Some(QueueMode::Messaging), (1, 4)).to_string();
        for end in 0..text.len() {
            let _ = QueueUri::parse(&text[..end]);
            for c in [' ', '%', '/', '#', '?', '&', '=', '\u{e9}', '\0'] {
                let changed: String =
                    text.chars().enumerate().map(|(at, old)| if at == end { c } else { old }).collect();
                let _ = QueueUri::parse(&changed);
            }
        }
        let shortest = (0..text.len()).filter(|end| QueueUri::parse(&text[..*end]).is_ok()).collect::<Vec<_>>();
        let dh_end = text.find("&q").unwrap();
        assert!(shortest.iter().all(|end| *end + "%3D".len() >= dh_end), "{shortest:?}");
    }
}
