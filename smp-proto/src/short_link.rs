//! Short links: where link data is kept, and the key to it (wire reference, section 13.2).
//!
//! ```
//! use smp_proto::short_link::{LinkKind, ShortLink};
//!
//! let text = "https://smp.example.com/a#a56Hf12GxkwGlhhPTVbrY73y07cLSRCiUrRcGZkwje8";
//! let link = ShortLink::parse(text)?;
//! assert_eq!(link.kind(), LinkKind::Contact);
//! assert_eq!(link.to_string(), text);
//! # Ok::<(), smp_proto::wire::Error>(())
//! ```

use core::fmt;
use core::str::FromStr;

use crate::address::{HOSTS_CAPACITY, Host, KEY_HASH_CAPACITY, Port, ServerAddress, ServerBuf};
use crate::id::LinkId;
use crate::query::{Percent, Query, decode_base64, split_base64};
use crate::wire::{Base64Unpadded, Decode, Encode, Error, Reader, Writer};

/// How many bytes the id of a link may have; relays and clients make them 24 long.
pub const LINK_ID_CAPACITY: usize = 64;
/// How many bytes the key of a link may have; a usable one has 32.
pub const LINK_KEY_CAPACITY: usize = 64;

/// How the text of a link begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkForm {
    /// `https://` and the first host of the relay, which may show a page there.
    Https,
    /// `simplex:`, which only applications open.
    Simplex,
}

/// What a short link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// `i`: one connection, for whoever comes first.
    Invitation,
    /// `a`: an address that takes requests.
    Contact,
    /// `c`: a channel.
    Channel,
    /// `g`: a group.
    Group,
    /// `r`: a relay of chats.
    Relay,
}

impl LinkKind {
    const fn letter(self) -> char {
        match self {
            Self::Invitation => 'i',
            Self::Contact => 'a',
            Self::Channel => 'c',
            Self::Group => 'g',
            Self::Relay => 'r',
        }
    }

    /// The kind of a lower-case letter, invitations left out.
    const fn contact_from(letter: u8) -> Option<Self> {
        match letter {
            b'a' => Some(Self::Contact),
            b'c' => Some(Self::Channel),
            b'g' => Some(Self::Group),
            b'r' => Some(Self::Relay),
            _ => None,
        }
    }
}

/// A short link. It owns its parts, in about half a kilobyte.
///
/// Printing it with `Debug` hides the id and the key.
#[derive(Clone, PartialEq, Eq)]
pub struct ShortLink {
    form: LinkForm,
    kind: LinkKind,
    server: ServerBuf,
    /// Empty unless the link is an invitation.
    id: heapless::Vec<u8, LINK_ID_CAPACITY>,
    key: heapless::Vec<u8, LINK_KEY_CAPACITY>,
}

impl ShortLink {
    /// A one-time invitation, whose id the relay has assigned.
    pub fn invitation(form: LinkForm, server: ServerBuf, id: LinkId<'_>, key: &[u8; 32]) -> Result<Self, Error> {
        Self::from_parts(form, LinkKind::Invitation, server, id.as_bytes(), key)
    }

    /// A link of any kind but [`LinkKind::Invitation`]; its id follows from its key.
    pub fn contact(form: LinkForm, kind: LinkKind, server: ServerBuf, key: &[u8; 32]) -> Result<Self, Error> {
        Self::from_parts(form, kind, server, &[], key)
    }

    fn from_parts(form: LinkForm, kind: LinkKind, server: ServerBuf, id: &[u8], key: &[u8]) -> Result<Self, Error> {
        if key.is_empty() || id.is_empty() != (kind != LinkKind::Invitation) {
            return Err(Error::Invalid);
        }
        let id = heapless::Vec::from_slice(id).map_err(|_| Error::TooLong)?;
        let key = heapless::Vec::from_slice(key).map_err(|_| Error::TooLong)?;
        Ok(Self { form, kind, server, id, key })
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (form, host, rest) = if let Some(rest) = text.strip_prefix("simplex:") {
            (LinkForm::Simplex, None, rest)
        } else {
            let (host, rest) = Host::parse_prefix(text.strip_prefix("https://").ok_or(Error::Invalid)?)?;
            (LinkForm::Https, Some(host), rest)
        };
        let rest = rest.strip_prefix('/').ok_or(Error::Invalid)?;
        let (kind, rest) = match rest.strip_prefix('i') {
            Some(rest) => (LinkKind::Invitation, rest),
            None => {
                let (letter, rest) = rest.split_at_checked(1).ok_or(Error::Invalid)?;
                let letter = letter.bytes().next().ok_or(Error::Invalid)?;
                (LinkKind::contact_from(letter.to_ascii_lowercase()).ok_or(Error::Invalid)?, rest)
            }
        };
        let fragment = rest.strip_prefix('/').unwrap_or(rest).strip_prefix('#').ok_or(Error::Invalid)?;
        let mut id = heapless::Vec::<u8, LINK_ID_CAPACITY>::new();
        let (mut key, mut rest) = split_base64(fragment);
        if kind == LinkKind::Invitation {
            id = decode_base64(key)?;
            (key, rest) = split_base64(rest.strip_prefix('/').ok_or(Error::Invalid)?);
        }
        let key = decode_base64::<LINK_KEY_CAPACITY>(key)?;
        let query = match rest.strip_prefix('?') {
            Some(query) => Query::new(query)?,
            None if rest.is_empty() => Query::new("")?,
            None => return Err(Error::Trailing),
        };
        Self::from_parts(form, kind, parse_server(host, query)?, &id, &key)
    }

    /// How the text begins.
    #[must_use]
    pub const fn form(&self) -> LinkForm {
        self.form
    }

    /// The same link with another beginning.
    #[must_use]
    pub fn with_form(self, form: LinkForm) -> Self {
        Self { form, ..self }
    }

    /// What the link leads to.
    #[must_use]
    pub const fn kind(&self) -> LinkKind {
        self.kind
    }

    /// The relay that keeps the link data. Links to preset relays may hold its first host alone: see
    /// [`ShortLink::restore`].
    #[must_use]
    pub fn server(&self) -> ServerAddress<'_> {
        self.server.address()
    }

    /// The id of an invitation; that of other links follows from the key.
    #[must_use]
    pub fn id(&self) -> Option<LinkId<'_>> {
        LinkId::new(&self.id).ok().filter(|id| !id.is_empty())
    }

    /// The key, when it has the length of one; without it the link leads nowhere.
    #[must_use]
    pub fn key(&self) -> Option<[u8; 32]> {
        self.key_bytes().try_into().ok()
    }

    /// The key as it was read, of any length.
    #[must_use]
    pub fn key_bytes(&self) -> &[u8] {
        &self.key
    }

    /// Leaves only the first host of the relay when that is enough to find it among the relays every application
    /// knows. Never pass relays a user has configured: others could not restore the link.
    pub fn shorten(&self, presets: &[ServerAddress<'_>]) -> Result<Self, Error> {
        let server = self.server();
        let Some(preset) = find(&server, presets) else { return Ok(self.clone()) };
        let hosts = server.hosts.iter().all(|host| preset.hosts.iter().any(|known| known == host));
        let default_port = [Port::new(443), Port::new(5223)].contains(&server.port);
        let port = server.port == preset.port || (preset.port.is_default() && default_port);
        match server.hosts.iter().next() {
            Some(first) if hosts && port && server.key_hash == preset.key_hash => {
                Ok(Self { server: ServerBuf::new(first, Port::DEFAULT, &[])?, ..self.clone() })
            }
            _ => Ok(self.clone()),
        }
    }

    /// Completes the relay of a shortened link from the relays every application knows.
    pub fn restore(&self, presets: &[ServerAddress<'_>]) -> Result<Self, Error> {
        let server = self.server();
        let short = server.hosts.len() == 1 && server.port.is_default() && server.key_hash.is_empty();
        match find(&server, presets) {
            Some(preset) if short => Ok(Self { server: ServerBuf::try_from(preset)?, ..self.clone() }),
            _ => Ok(self.clone()),
        }
    }
}

fn find<'p, 'a>(server: &ServerAddress<'_>, presets: &'p [ServerAddress<'a>]) -> Option<&'p ServerAddress<'a>> {
    presets.iter().find(|preset| preset.hosts.iter().next() == server.hosts.iter().next())
}

/// Puts the relay together from the host before the path, if there was one, and the parameters.
fn parse_server(host: Option<Host<'_>>, query: Query<'_>) -> Result<ServerBuf, Error> {
    let key_hash = match query.get("c") {
        Some(hash) => decode_base64(hash.text(&mut [0; 128])?)?,
        None => heapless::Vec::<u8, KEY_HASH_CAPACITY>::new(),
    };
    let port = match query.get("p") {
        Some(port) => parse_port(port.text(&mut [0; 32])?)?,
        None => Port::DEFAULT,
    };
    let mut buffer = [0; HOSTS_CAPACITY];
    let listed = query.get("h").map_or(Ok(""), |hosts| hosts.text(&mut buffer))?;
    match host {
        Some(host) => {
            let mut server = ServerBuf::new(host, port, &key_hash)?;
            server.push_hosts(listed)?;
            Ok(server)
        }
        None => {
            let mut hosts = listed.split(',').map(Host::parse);
            let mut server = ServerBuf::new(hosts.next().ok_or(Error::Invalid)??, port, &key_hash)?;
            hosts.try_for_each(|host| server.push_host(host?))?;
            Ok(server)
        }
    }
}

/// Reads a port as the network does, modulo 65,536.
fn parse_port(text: &str) -> Result<Port, Error> {
    if text.is_empty() {
        return Err(Error::Invalid);
    }
    let number = text.chars().try_fold(0u16, |number, digit| {
        let digit = digit.to_digit(10).and_then(|digit| u16::try_from(digit).ok()).ok_or(Error::Invalid)?;
        Ok(number.wrapping_mul(10).wrapping_add(digit))
    })?;
    Ok(Port::new(number))
}

impl FromStr for ShortLink {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for ShortLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.server();
        let mut hosts = server.hosts.iter();
        match (self.form, hosts.clone().next()) {
            (LinkForm::Https, Some(first)) => {
                hosts.next();
                write!(f, "https://{first}")?;
            }
            _ => f.write_str("simplex:")?,
        }
        write!(f, "/{}#", self.kind.letter())?;
        if let Some(id) = self.id() {
            write!(f, "{}/", Base64Unpadded(id.as_bytes()))?;
        }
        write!(f, "{}", Base64Unpadded(&self.key))?;
        let mut separators = core::iter::once("?").chain(core::iter::repeat("&"));
        let mut separator = || separators.next().unwrap_or_default();
        for (index, host) in hosts.enumerate() {
            if index == 0 {
                write!(f, "{}h=", separator())?;
            } else {
                f.write_str("%2C")?;
            }
            write!(f, "{}", Percent(host))?;
        }
        if !server.port.is_default() {
            write!(f, "{}p={}", separator(), server.port)?;
        }
        if !server.key_hash.is_empty() {
            write!(f, "{}c={}", separator(), Base64Unpadded(server.key_hash.as_bytes()))?;
        }
        Ok(())
    }
}

impl fmt::Debug for ShortLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShortLink").field("kind", &self.kind).field("server", &self.server()).finish_non_exhaustive()
    }
}

/// Link data may list links; decoded ones take the `https` form.
impl Decode<'_> for ShortLink {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let kind = match reader.u8()? {
            b'I' => LinkKind::Invitation,
            b'C' => {
                let letter = reader.u8()?;
                let known = if letter.is_ascii_uppercase() { letter.to_ascii_lowercase() } else { 0 };
                LinkKind::contact_from(known).ok_or(Error::Invalid)?
            }
            _ => return Err(Error::Invalid),
        };
        let server = reader.value::<ServerAddress<'_>>()?;
        let id = if kind == LinkKind::Invitation { reader.short()? } else { &[] };
        Self::from_parts(LinkForm::Https, kind, ServerBuf::try_from(&server)?, id, reader.short()?)
    }
}

impl Encode for ShortLink {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        match self.kind {
            LinkKind::Invitation => writer.u8(b'I')?,
            LinkKind::Contact => writer.bytes(b"CA")?,
            LinkKind::Channel => writer.bytes(b"CC")?,
            LinkKind::Group => writer.bytes(b"CG")?,
            LinkKind::Relay => writer.bytes(b"CR")?,
        }
        writer.value(&self.server())?;
        if let Some(id) = self.id() {
            writer.value(&id)?;
        }
        writer.short(&self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    #[test]
    fn every_kind_round_trips() {
        let server = ServerBuf::new(Host::Domain("a.example"), Port::new(443), &[3; 32]).unwrap();
        for form in [LinkForm::Https, LinkForm::Simplex] {
            for kind in [LinkKind::Contact, LinkKind::Channel, LinkKind::Group, LinkKind::Relay] {
                let link = ShortLink::contact(form, kind, server.clone(), &[1; 32]).unwrap();
                assert_eq!(ShortLink::parse(&link.to_string()), Ok(link.clone()));
                let mut buffer = [0; 512];
                let bytes = link.to_slice(&mut buffer).unwrap();
                assert_eq!(ShortLink::from_bytes(bytes), Ok(link.with_form(LinkForm::Https)));
                for end in 0..bytes.len() {
                    assert!(ShortLink::from_bytes(&bytes[..end]).is_err());
                }
            }
        }
        assert!(ShortLink::contact(LinkForm::Https, LinkKind::Invitation, server, &[1; 32]).is_err(), "no id");
    }

    #[test]
    fn broken_text_is_refused_without_panic() {
        let text = "simplex:/i#AAAA/AAAA?h=a.example%2Cabc.onion&p=65536&c=AAAA";
        assert_eq!(ShortLink::parse(text).unwrap().server().port.to_string(), "0");
        for end in 0..text.len() {
            let _ = ShortLink::parse(&text[..end]);
            for c in [' ', '%', '/', '#', '?', '&', '=', '\u{e9}', '\0'] {
                let _ = ShortLink::parse(&format!("{}{c}{}", &text[..end], &text[end + 1..]));
            }
        }
        for broken in ["h=", "h=a,", "h=,a", "", "h=a&p=", "h=a&p=-1", "h=a&c="] {
            assert!(ShortLink::parse(&format!("simplex:/a#AAAA?{broken}")).is_err(), "{broken}");
        }
    }

    #[test]
    fn debug_hides_the_key() {
        let link = ShortLink::parse("simplex:/i#AAAA/BBBB?h=a.example").unwrap();
        assert!(!format!("{link:?}").contains("4, 16, 65"), "{link:?}");
    }
}
