//! Addresses of servers: where a server listens and which identity it must prove (wire reference, section 1.8).
//!
//! [`ServerAddress`] is the binary form and borrows from the bytes it was read from. [`ServerBuf`] owns an address in
//! buffers of fixed size and lends it as a [`ServerAddress`]. [`ServerUri`] is the text form, with scheme and password.
//!
//! ```
//! use smp_proto::address::ServerUri;
//!
//! let text = "smp://-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@smp.example.com:5223";
//! let server: ServerUri = text.parse()?;
//! assert_eq!(server.port()?, 5223);
//! assert!(server.address().fingerprint().is_some());
//! assert_eq!(server.to_string(), text);
//! # Ok::<(), smp_proto::wire::Error>(())
//! ```

use crate::id::Fingerprint;
use crate::wire::{Decode, Encode, Error, Reader, Writer};

mod host;
mod text;

pub use host::{Host, Port};
pub(crate) use text::Hosted;
pub use text::{HOSTS_CAPACITY, KEY_HASH_CAPACITY, PASSWORD_CAPACITY, Password, Scheme, ServerBuf, ServerUri};

/// Where a server listens, and the fingerprint of the identity it must prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerAddress<'a> {
    /// The names the server is known by, the primary one first; they all lead to the same server.
    pub hosts: Hosts<'a>,
    /// The port, or the default port of the protocol.
    pub port: Port,
    /// The fingerprint, of any length: see [`ServerAddress::fingerprint`].
    pub key_hash: Fingerprint<'a>,
}

impl<'a> ServerAddress<'a> {
    /// Leads nowhere: the host `invalid`, which no DNS ever knows (RFC 6761, section 6.4), without a fingerprint.
    pub const INVALID: ServerAddress<'static> = ServerAddress {
        hosts: Hosts { count: 1, encoded: b"\x07invalid" },
        port: Port::DEFAULT,
        key_hash: Fingerprint::EMPTY,
    };

    /// The fingerprint, when it has the length of one. Without it nobody can tell whether a server is the right one,
    /// so do not connect.
    #[must_use]
    pub fn fingerprint(&self) -> Option<[u8; 32]> {
        self.key_hash.as_bytes().try_into().ok()
    }

    /// Whether both lead to the same server: the same hosts in the same order, and the same port. The fingerprint does
    /// not count.
    #[must_use]
    pub fn same_server(&self, other: &ServerAddress<'_>) -> bool {
        self.hosts == other.hosts && self.port == other.port
    }

    /// The same address with the onion host of a relay that was known by one name when addresses could hold no more.
    #[must_use]
    pub(crate) fn with_legacy_onion(self) -> Self {
        Self { hosts: self.hosts.with_legacy_onion(), ..self }
    }

    /// Reads the form of version 1 of the client envelope: one host, no count. The relays that were preset when this
    /// form was written get their onion host in addition.
    pub fn decode_legacy(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let hosts = Hosts::decode_items(1, reader)?.with_legacy_onion();
        Ok(Self { hosts, port: reader.value()?, key_hash: reader.value()? })
    }

    /// Writes the form of version 1 of the client envelope, which has room for the first host only.
    pub fn encode_legacy(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        let first = self.hosts.iter().next().ok_or(Error::Invalid)?;
        writer.value(&first)?;
        writer.value(&self.port)?;
        writer.value(&self.key_hash)
    }
}

impl<'a> Decode<'a> for ServerAddress<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { hosts: reader.value()?, port: reader.value()?, key_hash: reader.value()? })
    }
}

impl Encode for ServerAddress<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.hosts)?;
        writer.value(&self.port)?;
        writer.value(&self.key_hash)
    }
}

/// The hosts of a server, 1 to 255 of them, still encoded: iterating reads them again and copies nothing.
#[derive(Clone, Copy)]
pub struct Hosts<'a> {
    count: u8,
    encoded: &'a [u8],
}

impl<'a> Hosts<'a> {
    /// The hosts in order; there is at least one.
    pub fn iter(&self) -> impl Iterator<Item = Host<'a>> + Clone + use<'a> {
        let mut reader = Reader::new(self.encoded);
        (0..self.count).map_while(move |_| Host::decode(&mut reader).ok())
    }

    /// How many hosts there are, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    fn decode_items(count: u8, reader: &mut Reader<'a>) -> Result<Self, Error> {
        let start = reader.remaining();
        for _ in 0..count {
            Host::decode(reader)?;
        }
        let used = start.len().saturating_sub(reader.len());
        Ok(Self { count, encoded: start.get(..used).ok_or(Error::Truncated)? })
    }

    /// The same hosts with the onion host of a legacy address behind them.
    #[must_use]
    fn with_legacy_onion(self) -> Self {
        let pair = LEGACY_HOSTS.iter().find(|pair| {
            let mut pair = Reader::new(pair);
            self.count == 1 && pair.short().ok() == Reader::new(self.encoded).short().ok()
        });
        match pair {
            Some(pair) => Self { count: 2, encoded: pair },
            None => self,
        }
    }
}

impl PartialEq for Hosts<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Hosts<'_> {}

/// Shows how many there are: whom somebody talks to stays out of logs.
impl core::fmt::Debug for Hosts<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Hosts({})", self.count)
    }
}

impl<'a> Decode<'a> for Hosts<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        match reader.u8()? {
            0 => Err(Error::Invalid),
            count => Self::decode_items(count, reader),
        }
    }
}

impl Encode for Hosts<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.u8(self.count)?;
        self.iter().try_for_each(|host| host.encode(writer))
    }
}

/// Relays that were known by one name before addresses could hold several, each followed by its onion name, encoded as
/// the items of a host list.
const LEGACY_HOSTS: [&[u8]; 6] = [
    b"\x0fsmp4.simplex.im\x3eo5vmywmrnaxalvz6wi3zicyftgio6psuvyniis6gco6bp6ekl4cqj4id.onion",
    b"\x0fsmp5.simplex.im\x3ejjbyvoemxysm7qxap7m5d5m35jzv5qq6gnlv7s4rsn7tdwwmuqciwpid.onion",
    b"\x0fsmp6.simplex.im\x3ebylepyau3ty4czmn77q4fglvperknl4bi2eb2fdy2bh4jxtf32kf73yd.onion",
    b"\x0fsmp8.simplex.im\x3ebeccx4yfxxbvyhqypaavemqurytl6hozr47wfc7uuecacjqdvwpw2xid.onion",
    b"\x0fsmp9.simplex.im\x3ejssqzccmrcws6bhmn77vgmhfjmhwlyr3u7puw4erkyoosywgl67slqqd.onion",
    b"\x10smp10.simplex.im\x3erb2pbttocvnbrngnwziclp2f4ckjq65kebafws6g4hy22cdaiv5dwjqd.onion",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_hosts_are_well_formed() {
        for pair in LEGACY_HOSTS {
            let mut reader = Reader::new(pair);
            let hosts = Hosts::decode_items(2, &mut reader).unwrap();
            reader.finish().unwrap();
            let mut hosts = hosts.iter();
            assert!(matches!(hosts.next(), Some(Host::Domain(_))));
            assert!(matches!(hosts.next(), Some(Host::Onion(_))));
        }
    }

    #[test]
    fn the_invalid_address_is_well_formed() {
        let mut buffer = [0; 16];
        let encoded = ServerAddress::INVALID.to_slice(&mut buffer).unwrap();
        assert_eq!(ServerAddress::from_bytes(encoded), Ok(ServerAddress::INVALID));
        assert_eq!(ServerAddress::INVALID.fingerprint(), None);
    }

    #[test]
    fn a_host_without_room_changes_nothing() {
        let long = "a".repeat(250);
        let mut server = ServerBuf::new(Host::Domain(&long), Port::DEFAULT, &[0; 32]).unwrap();
        let before = server.clone();
        assert_eq!(server.push_host(Host::Domain(&long)), Err(Error::TooLong));
        assert_eq!(server, before);
    }

    #[test]
    fn only_single_legacy_hosts_gain_an_onion_host() {
        let single = Hosts::from_bytes(b"\x01\x0fsmp4.simplex.im").unwrap();
        assert_eq!(single.with_legacy_onion().len(), 2);
        for other in [&b"\x01\x0fsmp7.simplex.im"[..], b"\x02\x0fsmp4.simplex.im\x01a"] {
            let other = Hosts::from_bytes(other).unwrap();
            assert_eq!(other.with_legacy_onion(), other);
        }
    }

    #[test]
    fn truncations_are_refused() {
        let encoded = b"\x02\x01a\x091.2.3.401\x03443\x04hash";
        let encoded = &encoded[..];
        assert!(ServerAddress::from_bytes(encoded).is_err(), "1.2.3.401 is no address");
        let encoded = &b"\x02\x01a\x071.2.3.4\x03443\x04hash"[..];
        let address = ServerAddress::from_bytes(encoded).unwrap();
        assert_eq!(address.to_slice(&mut [0; 64]).unwrap(), encoded);
        for end in 0..encoded.len() {
            assert!(ServerAddress::from_bytes(&encoded[..end]).is_err());
        }
        assert_eq!(ServerAddress::from_bytes(b"\x00\x00\x00"), Err(Error::Invalid), "no host");
    }
}
