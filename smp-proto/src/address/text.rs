use core::fmt;
use core::str::FromStr;

use super::{Host, Hosts, Port, ServerAddress};
use crate::id::Fingerprint;
use crate::text::{split_once, split_where};
use crate::wire::{Base64, Decode, Encode, Error, Reader, Writer, base64_url_decode};

/// How many bytes the hosts of an owned address may take, each with a length byte: the longest name there can be, and an
/// onion name beside it.
pub const HOSTS_CAPACITY: usize = 320;
/// How many bytes the fingerprint of an owned address may have; a usable one has 32.
pub const KEY_HASH_CAPACITY: usize = 64;
/// How many bytes the password of a server may have.
pub const PASSWORD_CAPACITY: usize = 255;

/// An address of a server that owns what it is made of.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerBuf {
    count: u8,
    hosts: heapless::Vec<u8, HOSTS_CAPACITY>,
    port: Port,
    key_hash: heapless::Vec<u8, KEY_HASH_CAPACITY>,
}

impl ServerBuf {
    /// An address with one host.
    pub fn new(host: Host<'_>, port: Port, key_hash: &[u8]) -> Result<Self, Error> {
        let key_hash = heapless::Vec::from_slice(key_hash).map_err(|_| Error::TooLong)?;
        let mut address = Self { count: 0, hosts: heapless::Vec::new(), port, key_hash };
        address.push_host(host)?;
        Ok(address)
    }

    /// Adds another name of the same server.
    pub fn push_host(&mut self, host: Host<'_>) -> Result<(), Error> {
        let mut buffer = [0; 256];
        let mut writer = Writer::new(&mut buffer);
        host.encode(&mut writer)?;
        let count = self.count.checked_add(1).ok_or(Error::TooLong)?;
        self.hosts.extend_from_slice(writer.written()).map_err(|_| Error::TooLong)?;
        self.count = count;
        Ok(())
    }

    /// Adds the hosts of a list joined by commas, which may be empty.
    pub(crate) fn push_hosts(&mut self, text: &str) -> Result<(), Error> {
        if text.is_empty() {
            return Ok(());
        }
        let mut rest = text;
        while let Some((host, others)) = split_once(rest, b',') {
            self.push_host(Host::parse(host)?)?;
            rest = others;
        }
        self.push_host(Host::parse(rest)?)
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> ServerAddress<'_> {
        ServerAddress {
            hosts: Hosts { count: self.count, encoded: &self.hosts },
            port: self.port,
            // The capacity is below the limit of `new`.
            key_hash: Fingerprint::new(&self.key_hash).unwrap_or(Fingerprint::EMPTY),
        }
    }
}

impl TryFrom<&ServerAddress<'_>> for ServerBuf {
    type Error = Error;

    fn try_from(address: &ServerAddress<'_>) -> Result<Self, Error> {
        let mut hosts = address.hosts.iter();
        let first = hosts.next().ok_or(Error::Invalid)?;
        let mut owned = Self::new(first, address.port, address.key_hash.as_bytes())?;
        hosts.try_for_each(|host| owned.push_host(host))?;
        Ok(owned)
    }
}

impl fmt::Debug for ServerBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(f)
    }
}

impl Decode<'_> for ServerBuf {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Self::try_from(&ServerAddress::decode(reader)?)
    }
}

impl Encode for ServerBuf {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.address())
    }
}

/// A protocol that servers speak, as the scheme of their addresses names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Message queues.
    Smp,
    /// Files.
    Xftp,
    /// Push notifications.
    Ntf,
}

impl Scheme {
    /// The port of addresses without one. SMP servers listen on 443 in addition.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Smp => 5223,
            Self::Xftp | Self::Ntf => 443,
        }
    }

    /// The scheme as addresses begin with it, without `://`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Smp => "smp",
            Self::Xftp => "xftp",
            Self::Ntf => "ntf",
        }
    }
}

/// What a server asks from those who want to create queues. Printing it with `Debug` hides it.
#[derive(Clone)]
pub struct Password(heapless::Vec<u8, PASSWORD_CAPACITY>);

impl Password {
    /// Checks the characters: printable, no white space, none of `@ : /`.
    pub fn new(bytes: &[u8]) -> Result<Self, Error> {
        // Characters above ASCII count as Latin-1, byte by byte, because that is what peers check; written back they
        // are the same bytes.
        let allowed = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..) && !b"@:/".contains(byte);
        if bytes.is_empty() || !bytes.iter().all(allowed) || core::str::from_utf8(bytes).is_err() {
            return Err(Error::Invalid);
        }
        heapless::Vec::from_slice(bytes).map(Self).map_err(|_| Error::TooLong)
    }

    /// The password itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// The text form of an address, `smp://fingerprint[:password]@host[,host…][:port]`.
///
/// An IPv6 host is written without brackets, as the network does; followed by a port it reads back as another address.
#[derive(Clone, Debug)]
pub struct ServerUri {
    scheme: Scheme,
    password: Option<Password>,
    server: ServerBuf,
}

impl ServerUri {
    /// Puts an address together.
    #[must_use]
    pub const fn new(scheme: Scheme, server: ServerBuf, password: Option<Password>) -> Self {
        Self { scheme, password, server }
    }

    /// Reads an address that fills the text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (uri, rest) = Self::parse_prefix(text)?;
        if rest.is_empty() { Ok(uri) } else { Err(Error::Trailing) }
    }

    /// Reads an address that must not have a password, as in links.
    pub fn parse_without_password(scheme: Scheme, text: &str) -> Result<ServerBuf, Error> {
        let (server, rest) = Self::parse_server_prefix(scheme, text)?;
        if rest.is_empty() { Ok(server) } else { Err(Error::Trailing) }
    }

    /// Reads an address without a password from the front of a text.
    pub(crate) fn parse_server_prefix(scheme: Scheme, text: &str) -> Result<(ServerBuf, &str), Error> {
        let (uri, rest) = Self::parse_prefix(text)?;
        if uri.scheme == scheme && uri.password.is_none() { Ok((uri.server, rest)) } else { Err(Error::Invalid) }
    }

    fn parse_prefix(text: &str) -> Result<(Self, &str), Error> {
        let (scheme, rest) = split_once(text, b':').ok_or(Error::Invalid)?;
        let rest = rest.strip_prefix("//").ok_or(Error::Invalid)?;
        let scheme = [Scheme::Smp, Scheme::Xftp, Scheme::Ntf].into_iter().find(|known| known.as_str() == scheme);
        let scheme = scheme.ok_or(Error::Invalid)?;
        let (identity, rest) = split_once(rest, b'@').ok_or(Error::Invalid)?;
        let (hash, password) = match split_once(identity, b':') {
            None => (identity, None),
            Some((hash, password)) => (hash, Some(Password::new(password.as_bytes())?)),
        };
        let mut key_hash = [0; KEY_HASH_CAPACITY];
        let key_hash = base64_url_decode(hash.as_bytes(), &mut key_hash)?;
        if key_hash.is_empty() {
            return Err(Error::Invalid);
        }
        let (host, mut rest) = Host::parse_prefix(rest)?;
        let mut server = ServerBuf::new(host, Port::DEFAULT, key_hash)?;
        while let Some(next) = rest.strip_prefix(',') {
            let (host, tail) = Host::parse_prefix(next)?;
            server.push_host(host)?;
            rest = tail;
        }
        if let Some(port) = rest.strip_prefix(':') {
            let (digits, tail) = split_where(port, |byte| !byte.is_ascii_digit());
            server.port = Port::parse(digits)?;
            rest = tail;
        }
        Ok((Self { scheme, password, server }, rest))
    }

    /// The protocol.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// What the server asks from those who want to create queues.
    #[must_use]
    pub const fn password(&self) -> Option<&Password> {
        self.password.as_ref()
    }

    /// Hosts, port and fingerprint.
    #[must_use]
    pub fn address(&self) -> ServerAddress<'_> {
        self.server.address()
    }

    /// Hosts, port and fingerprint, to keep.
    #[must_use]
    pub const fn server(&self) -> &ServerBuf {
        &self.server
    }

    /// The port to connect to; [`Error::Invalid`] when the address has a number that is no port.
    pub fn port(&self) -> Result<u16, Error> {
        self.server.port.number(self.scheme.default_port())
    }
}

impl FromStr for ServerUri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for ServerUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.address();
        write!(f, "{}://{}", self.scheme.as_str(), Base64(server.key_hash.as_bytes()))?;
        if let Some(password) = &self.password {
            write!(f, ":{}", core::str::from_utf8(password.as_bytes()).map_err(|_| fmt::Error)?)?;
        }
        write!(f, "@{}", Hosted { address: server, hosts: usize::MAX })
    }
}

/// Shows `host[,host…][:port]` with so many hosts at most.
pub(crate) struct Hosted<'a> {
    pub(crate) address: ServerAddress<'a>,
    pub(crate) hosts: usize,
}

impl fmt::Display for Hosted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, host) in self.address.hosts.iter().take(self.hosts).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{host}")?;
        }
        if self.address.port.is_default() { Ok(()) } else { write!(f, ":{}", self.address.port) }
    }
}
