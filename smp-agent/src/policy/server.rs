//! The servers an agent knows: addresses that are cheap to keep, and the list of each user (wire reference of the agent,
//! section 21).
//!
//! ```
//! use smp_agent::policy::server::{ConfiguredServer, OperatorId, ServerList};
//!
//! let text = "smp://-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=:secret@smp.example.com,abc.onion";
//! let server = ConfiguredServer { operator: Some(OperatorId(1)), ..ConfiguredServer::parse(text)? };
//! let servers = ServerList::from(vec![server]);
//! let mut hosts = servers.iter().flat_map(|configured| configured.server.address().hosts.iter());
//! assert!(hosts.all(|host| servers.knows_host(&host)));
//! # Ok::<(), smp_proto::wire::Error>(())
//! ```

use alloc::sync::Arc;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use smp_proto::address::{HOSTS_CAPACITY, Host, KEY_HASH_CAPACITY, Scheme, ServerAddress, ServerBuf, ServerUri};
use smp_proto::wire::{Base64, Decode, Encode, Error};

mod list;

pub use list::{ConfiguredServer, Role, ServerList, ServerPassword};

/// The longest encoded address in bytes: its hosts and their number, its port, and the fingerprint, these two with their
/// lengths.
const MAX_LENGTH: usize = 1 + HOSTS_CAPACITY + 1 + 10 + 1 + KEY_HASH_CAPACITY;

/// The profile of a user. Users have servers and connections of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UserId(pub u32);

/// Who runs a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperatorId(pub u32);

/// The address of a server, to keep: its binary encoding, which all clones share. It takes up to 397 bytes, and
/// about 115 with an onion name beside another one; a longer one cannot be made.
///
/// Two are equal when all of it is equal, the fingerprint and the order of the hosts included; [`Server::same_server`]
/// compares as the network does. Printing it with `Debug` shows how many hosts there are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server(Arc<[u8]>);

impl Server {
    /// Reads the text form of an SMP server's address, which must not have a password.
    ///
    /// # Errors
    /// The text is no such address, or too long to keep.
    pub fn parse(text: &str) -> Result<Self, Error> {
        ServerUri::parse_without_password(Scheme::Smp, text).map(|server| Self::from(&server))
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// The bytes are no address, or too many to keep.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Self::try_from(&ServerAddress::from_bytes(bytes)?)
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> ServerAddress<'_> {
        // The bytes were read when the value was made.
        ServerAddress::from_bytes(&self.0).unwrap_or(ServerAddress::INVALID)
    }

    /// The binary form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether both lead to the same server, as [`ServerAddress::same_server`] says: the fingerprint does not count.
    #[must_use]
    pub fn same_server(&self, other: &Self) -> bool {
        self.address().same_server(&other.address())
    }

    /// Whether both have a host in common.
    #[must_use]
    pub fn shares_host(&self, other: &Self) -> bool {
        self.address().hosts.iter().any(|host| other.has_host(&host))
    }

    /// Whether the server is known by this name.
    #[must_use]
    pub fn has_host(&self, host: &Host<'_>) -> bool {
        self.address().hosts.iter().any(|own| own == *host)
    }

    /// An address that takes no more than a `ServerBuf` can hold.
    fn encode(address: &ServerAddress<'_>) -> Result<Self, Error> {
        address.to_slice(&mut [0; MAX_LENGTH]).map(|bytes| Self(Arc::from(bytes)))
    }
}

impl From<&ServerBuf> for Server {
    fn from(server: &ServerBuf) -> Self {
        // There is room for the longest `ServerBuf`; nothing at all would be lent as an address that leads nowhere.
        Self::encode(&server.address()).unwrap_or_else(|_| Self(Arc::from([])))
    }
}

impl TryFrom<&ServerAddress<'_>> for Server {
    type Error = Error;

    fn try_from(address: &ServerAddress<'_>) -> Result<Self, Error> {
        ServerBuf::try_from(address).map(|server| Self::from(&server))
    }
}

impl TryFrom<&Server> for ServerBuf {
    type Error = Error;

    /// There is always room: no [`Server`] is longer.
    fn try_from(server: &Server) -> Result<Self, Error> {
        Self::try_from(&server.address())
    }
}

/// The text form, as [`Server::parse`] reads it. An IPv6 host is written without brackets, as [`ServerUri`] does.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address();
        write!(f, "{}://{}", Scheme::Smp.as_str(), Base64(address.key_hash.as_bytes()))?;
        for (index, host) in address.hosts.iter().enumerate() {
            write!(f, "{}{host}", if index == 0 { '@' } else { ',' })?;
        }
        if address.port.is_default() { Ok(()) } else { write!(f, ":{}", address.port) }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({} hosts)", self.address().hosts.len())
    }
}

impl Serialize for Server {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Server {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Bytes("the binary address of a server", Self::from_bytes))
    }
}

/// Reads a value from its bytes, which are what it is stored as.
struct Bytes<T>(&'static str, fn(&[u8]) -> Result<T, Error>);

impl<T> de::Visitor<'_> for Bytes<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<T, E> {
        (self.1)(bytes).map_err(|_| E::custom(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use smp_proto::address::Port;

    const HASH: &str = "-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=";

    fn text(rest: &str) -> String {
        format!("smp://{HASH}{rest}")
    }

    #[test]
    fn all_forms_of_an_address_are_one() {
        let text = text("@smp.example.com,abc.onion,10.0.0.01,::1:443");
        let server = Server::parse(&text).unwrap();
        let uri: ServerUri = text.parse().unwrap();
        assert_eq!(server, Server::from(uri.server()));
        assert_eq!(server, Server::try_from(&uri.address()).unwrap());
        assert_eq!(server, Server::from_bytes(server.as_bytes()).unwrap());
        assert_eq!(&ServerBuf::try_from(&server).unwrap(), uri.server());
        assert_eq!(server.address(), uri.address());
        assert_eq!(format!("{server}"), format!("{uri}"));
        assert!(server.address().hosts.iter().all(|host| server.has_host(&host)));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for rest in [":password@a", "@", "", "@a:b", "@a b", "@a/"] {
            assert!(Server::parse(&text(rest)).is_err(), "{rest}");
        }
        assert!(Server::parse(&format!("xftp://{HASH}@a")).is_err());
        let bytes = Server::parse(&text("@a,b:443")).unwrap();
        let bytes = bytes.as_bytes();
        for end in 0..bytes.len() {
            assert!(Server::from_bytes(&bytes[..end]).is_err());
        }
        assert!(Server::from_bytes(&[bytes, b"+"].concat()).is_err());
    }

    #[test]
    fn the_longest_address_has_room_and_no_longer_one() {
        let [long, rest] = [250, HOSTS_CAPACITY - 252].map(|length| "a".repeat(length));
        let port = Port::DEFAULT;
        let mut longest = ServerBuf::new(Host::Domain(&long), port, &[1; KEY_HASH_CAPACITY]).unwrap();
        longest.push_host(Host::Domain(&rest)).unwrap();
        let server = Server::from(&longest);
        assert_eq!(server.as_bytes().len(), MAX_LENGTH - 10, "all but the digits of a port");
        assert_eq!(ServerBuf::try_from(&server).unwrap(), longest);
        let mut bytes = server.as_bytes().to_vec();
        let port = bytes.len() - 2 - KEY_HASH_CAPACITY;
        bytes.splice(port..=port, *b"\x0a4294967295");
        assert_eq!(Server::from_bytes(&bytes).unwrap().as_bytes(), bytes);
        bytes[0] = 3;
        bytes.splice(1..1, *b"\x01a");
        assert_eq!(Server::from_bytes(&bytes), Err(Error::TooLong));
    }

    #[test]
    fn bytes_that_mean_the_same_are_the_same() {
        let one = Server::from_bytes(b"\x01\x0810.0.0.1\x03443\x04hash").unwrap();
        let other = Server::from_bytes(b"\x01\x0a010.0.0.01\x040443\x04hash").unwrap();
        assert_eq!(one, other);
        assert_eq!(other.as_bytes(), b"\x01\x0810.0.0.1\x03443\x04hash");
    }

    #[test]
    fn the_same_server_need_not_be_equal() {
        let server = |bytes: &[u8]| Server::from_bytes(bytes).unwrap();
        let one = server(b"\x02\x01a\x01b\x03443\x04hash");
        assert!(one.same_server(&server(b"\x02\x01a\x01b\x03443\x04HASH")));
        assert_ne!(one, server(b"\x02\x01a\x01b\x03443\x04HASH"));
        for other in [&b"\x02\x01b\x01a\x03443\x04hash"[..], b"\x01\x01a\x03443\x04hash", b"\x02\x01a\x01b\x00\x04hash"]
        {
            let other = server(other);
            assert!(!one.same_server(&other) && one.shares_host(&other) && other.shares_host(&one));
        }
        assert!(!one.shares_host(&server(b"\x01\x01c\x03443\x04hash")));
    }

    #[test]
    fn stored_forms_are_checked_when_they_are_read() {
        let server = Server::parse(&text("@smp.example.com,abc.onion:5223")).unwrap();
        let stored = postcard::to_allocvec(&server).unwrap();
        assert_eq!(stored.len(), server.as_bytes().len() + 1);
        assert_eq!(postcard::from_bytes::<Server>(&stored), Ok(server));
        assert!(postcard::from_bytes::<Server>(b"\x03\x00\x00\x00").is_err());
    }
}
