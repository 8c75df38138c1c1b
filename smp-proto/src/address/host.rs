use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::text::{decimal, number, split_once, split_where};
use crate::wire::{Decode, Encode, Error, Reader, Writer};

/// One name of a server.
///
/// Domain names are not checked beyond what the text forms need: they may hold any character but the white space of
/// ASCII, control characters and `: # , ; / [ ]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Host<'a> {
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
    /// A name in the Tor network, `.onion` included.
    Onion(&'a str),
    /// A name in the DNS.
    Domain(&'a str),
}

impl<'a> Host<'a> {
    /// Reads a text that is a host and nothing else.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        match Self::parse_prefix(text)? {
            (_, rest) if !rest.is_empty() => Err(Error::Trailing),
            // A length byte goes before it on the wire.
            (Self::Domain(name) | Self::Onion(name), _) if name.len() > 255 => Err(Error::TooLong),
            (host, _) => Ok(host),
        }
    }

    /// Reads a host from the front of a text. The kinds are tried in the order of the wire reference; the first that
    /// matches a prefix wins, so that a text has the same meaning here as everywhere in the network.
    pub(crate) fn parse_prefix(text: &'a str) -> Result<(Self, &'a str), Error> {
        if let Some(found) = ipv4(text)? {
            return Ok(found);
        }
        if let Some(bracketed) = text.strip_prefix('[') {
            // Brackets are reserved for IPv6.
            let (inside, rest) = split_once(bracketed, b']').ok_or(Error::Invalid)?;
            return Ok((Self::Ipv6(ipv6(inside).ok_or(Error::Invalid)?), rest));
        }
        let (bare, rest) = split_where(text, |byte| !byte.is_ascii_hexdigit() && byte != b':');
        if let Some(address) = ipv6(bare) {
            return Ok((Self::Ipv6(address), rest));
        }
        let (label, rest) = split_where(text, |byte| !byte.is_ascii_lowercase() && !byte.is_ascii_digit());
        if let Some(rest) = rest.strip_prefix(ONION)
            && !label.is_empty()
        {
            let length = text.len().saturating_sub(rest.len());
            return Ok((Self::Onion(text.get(..length).ok_or(Error::Invalid)?), rest));
        }
        let (name, rest) = split_where(text, |byte| b":#,;/ \t\n\r".contains(&byte));
        let refused = |c: char| c == '[' || c == ']' || c.is_control();
        if name.is_empty() || name.ends_with(ONION) || name.chars().any(refused) {
            return Err(Error::Invalid);
        }
        Ok((Self::Domain(name), rest))
    }
}

const ONION: &str = ".onion";

/// An IPv4 address at the front of a text, leading zeros allowed. When the first three numbers fit but not the fourth,
/// the text is refused, because peers read it as another address.
fn ipv4(text: &str) -> Result<Option<(Host<'_>, &str)>, Error> {
    let mut octets = [0u8; 4];
    let mut rest = text;
    for (index, octet) in octets.iter_mut().enumerate() {
        let (digits, tail) = split_where(rest, |byte| !byte.is_ascii_digit());
        if digits.is_empty() {
            return Ok(None);
        }
        rest = if index < 3 {
            match tail.strip_prefix('.') {
                Some(tail) => tail,
                None => return Ok(None),
            }
        } else {
            tail
        };
        *octet = match decimal(digits).and_then(|number| u8::try_from(number).ok()) {
            Some(number) => number,
            None if index < 3 => return Ok(None),
            None => return Err(Error::Invalid),
        };
    }
    Ok(Some((Host::Ipv4(Ipv4Addr::from(octets)), rest)))
}

/// An IPv6 address that can be printed bare: groups of one to four digits, and two colons once for one group of zeros or
/// more. IPv4 addresses at the end, with dots, are left out, and so are those mapped into IPv6: they print with dots, and
/// no peer reads that form back.
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    let mut groups = [0u16; 8];
    let mut count = 0usize;
    let (mut gap, mut rest) = match text.strip_prefix("::") {
        Some(rest) => (Some(0), rest),
        None => (None, text),
    };
    while !rest.is_empty() {
        let (digits, tail) = split_where(rest, |byte| !byte.is_ascii_hexdigit());
        if digits.len() > 4 {
            return None;
        }
        *groups.get_mut(count)? = u16::try_from(number(digits, 16)?).ok()?;
        count = count.saturating_add(1);
        rest = match tail.strip_prefix("::") {
            Some(tail) if gap.is_none() => {
                gap = Some(count);
                tail
            }
            _ if tail.is_empty() => tail,
            _ => tail.strip_prefix(':').filter(|tail| !tail.is_empty())?,
        };
    }
    // What stands behind the gap belongs to the end.
    if (count == groups.len()) == gap.is_some() {
        return None;
    }
    let (front, back) = groups.split_at_checked(gap.unwrap_or(count))?;
    let back = back.get(..count.saturating_sub(front.len()))?;
    let mut segments = [0u16; 8];
    segments.iter_mut().zip(front).for_each(|(to, from)| *to = *from);
    segments.iter_mut().rev().zip(back.iter().rev()).for_each(|(to, from)| *to = *from);
    let address = Ipv6Addr::from(segments);
    if address.to_ipv4_mapped().is_some() { None } else { Some(address) }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(address) => write!(f, "{address}"),
            Self::Ipv6(address) => write!(f, "{address}"),
            Self::Onion(name) | Self::Domain(name) => f.write_str(name),
        }
    }
}

impl<'a> Decode<'a> for Host<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Self::parse(core::str::from_utf8(reader.short()?).map_err(|_| Error::Invalid)?)
    }
}

/// Writes the text that `Display` shows, without its machinery: on small devices nothing else needs that.
impl Encode for Host<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.short_with(|writer| match self {
            Self::Ipv4(address) => write_ipv4(writer, *address),
            Self::Ipv6(address) => write_ipv6(writer, *address),
            Self::Onion(name) | Self::Domain(name) => writer.bytes(name.as_bytes()),
        })
    }
}

fn write_ipv4(writer: &mut Writer<'_>, address: Ipv4Addr) -> Result<(), Error> {
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            writer.u8(b'.')?;
        }
        write_number(writer, octet.into(), 10)?;
    }
    Ok(())
}

/// The text of RFC 5952, section 4: the first of the longest runs of two zeros or more is left out.
fn write_ipv6(writer: &mut Writer<'_>, address: Ipv6Addr) -> Result<(), Error> {
    if let Some(mapped) = address.to_ipv4_mapped() {
        writer.bytes(b"::ffff:")?;
        return write_ipv4(writer, mapped);
    }
    let segments = address.segments();
    let (mut longest, mut run) = (0..0, 0..0);
    for (index, segment) in segments.iter().enumerate() {
        let start = if run.end == index { run.start } else { index };
        if *segment == 0 {
            run = start..index.saturating_add(1);
            if run.len() > longest.len().max(1) {
                longest = run.clone();
            }
        }
    }
    for (index, segment) in segments.into_iter().enumerate() {
        if index == longest.start && !longest.is_empty() {
            writer.bytes(b"::")?;
        }
        if !longest.contains(&index) {
            if index > 0 && index != longest.end {
                writer.u8(b':')?;
            }
            write_number(writer, segment.into(), 16)?;
        }
    }
    Ok(())
}

/// Appends a number without leading zeros, in small letters.
fn write_number(writer: &mut Writer<'_>, number: u32, base: u32) -> Result<(), Error> {
    let mut digits = [0; 10];
    let mut length = 0_usize;
    let mut rest = number;
    for place in digits.iter_mut().rev() {
        let digit = rest.checked_rem(base).and_then(|digit| char::from_digit(digit, base)).ok_or(Error::Invalid)?;
        *place = u8::try_from(digit).map_err(|_| Error::Invalid)?;
        length = length.saturating_add(1);
        rest = rest.checked_div(base).unwrap_or(0);
        if rest == 0 {
            break;
        }
    }
    writer.bytes(digits.get(digits.len().saturating_sub(length)..).unwrap_or_default())
}

/// The port of a server, or the default port of its protocol.
///
/// Peers write any number here; one that cannot be a port is kept and refused when it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Port(Option<u32>);

impl Port {
    /// The default port of the protocol.
    pub const DEFAULT: Self = Self(None);

    /// A port of one's own choice.
    #[must_use]
    pub fn new(number: u16) -> Self {
        Self(Some(u32::from(number)))
    }

    /// Whether no port is given.
    #[must_use]
    pub const fn is_default(self) -> bool {
        self.0.is_none()
    }

    /// The number to connect to, with `default` for an address without one; [`Error::Invalid`] when it is no port.
    pub fn number(self, default: u16) -> Result<u16, Error> {
        match self.0 {
            None => Ok(default),
            Some(0) => Err(Error::Invalid),
            Some(number) => u16::try_from(number).map_err(|_| Error::Invalid),
        }
    }

    /// Reads a decimal number; leading zeros are dropped, an empty text is an error.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        decimal(text).map(|number| Self(Some(number))).ok_or(Error::Invalid)
    }
}

/// Shows the number, and nothing for the default port.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |number| number.fmt(f))
    }
}

impl Decode<'_> for Port {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.short()? {
            [] => Ok(Self::DEFAULT),
            digits => Self::parse(core::str::from_utf8(digits).map_err(|_| Error::Invalid)?),
        }
    }
}

impl Encode for Port {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.short_with(|writer| self.0.map_or(Ok(()), |number| write_number(writer, number, 10)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn hosts_are_tried_in_order() {
        let domain = |text| Ok(Host::Domain(text));
        assert_eq!(Host::parse("127.0.0.01"), Ok(Host::Ipv4(Ipv4Addr::LOCALHOST)));
        assert_eq!(Host::parse("256.1.1.1"), domain("256.1.1.1"));
        assert_eq!(Host::parse("1.1.1.256"), Err(Error::Invalid));
        assert_eq!(Host::parse("1.2.3.4.com"), Err(Error::Trailing));
        assert_eq!(Host::parse("1.2.3"), domain("1.2.3"));
        assert_eq!(Host::parse("::1"), Ok(Host::Ipv6(Ipv6Addr::LOCALHOST)));
        assert_eq!(Host::parse("[0::0:1]"), Ok(Host::Ipv6(Ipv6Addr::LOCALHOST)));
        assert_eq!(Host::parse("[::ffff:1.2.3.4]"), Err(Error::Invalid));
        assert_eq!(Host::parse("::ffff:102:304"), Err(Error::Invalid));
        assert_eq!(Host::parse("[name]"), Err(Error::Invalid));
        assert_eq!(Host::parse("abc.onion"), Ok(Host::Onion("abc.onion")));
        assert_eq!(Host::parse("a\u{a0}b"), domain("a\u{a0}b"));
        for text in [".onion", "ABC.onion", "a.b.onion", "", "a b", "a\0b", "a\u{9b}b", "a\u{b}", "a]"] {
            assert!(Host::parse(text).is_err(), "{text}");
        }
        assert_eq!(Host::parse(&"a".repeat(256)), Err(Error::TooLong));
    }

    /// Compares with the standard library's reader, which takes dots, too.
    #[test]
    fn ipv6_addresses_are_read_as_everywhere() {
        let check = |text: &str| {
            let known = text.parse::<Ipv6Addr>().ok();
            let expected = known.filter(|address| !text.contains('.') && address.to_ipv4_mapped().is_none());
            assert_eq!(ipv6(text), expected, "{text}");
        };
        // Too few groups, too many, gaps everywhere.
        let pieces = ["1", ":", "::", "ffff", "02"];
        let mut seed = 7u32;
        for length in 0..=18 {
            for _ in 0..2_000 {
                let mut text = std::string::String::new();
                for _ in 0..length {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    text.push_str(pieces[(seed >> 16) as usize % pieces.len()]);
                }
                check(&text);
            }
        }
        for zeros in 0..=255u8 {
            let segments: [u16; 8] = core::array::from_fn(|index| u16::from(zeros >> index & 1) * 0xfedc);
            check(&Ipv6Addr::from(segments).to_string());
            let full = segments.map(|segment| std::format!("{segment:04X}")).join(":");
            check(&full);
            for cut in 0..full.len() {
                check(&full[..cut]);
                check(&std::format!("{}:{}", &full[..cut], &full[cut..]));
            }
        }
        for text in ["::1.2.3.4", "1::1:", ":1::", "g::", "12345::", "::%1", "[::1]", "::ffff:1:2"] {
            check(text);
        }
    }

    #[test]
    fn addresses_are_written_as_they_are_shown() {
        let mut seed = 1u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) as u16
        };
        let written = |host: Host<'_>| {
            let mut buffer = [0; 64];
            let bytes = host.to_slice(&mut buffer).unwrap();
            assert_eq!(usize::from(bytes[0]), bytes.len() - 1);
            core::str::from_utf8(&bytes[1..]).unwrap().to_string()
        };
        // Each set of zeros, between numbers of one to four digits.
        for zeros in 0..=255u8 {
            for digits in [0xf, 0xff, 0xfff, 0xffff] {
                let segments: [u16; 8] =
                    core::array::from_fn(|index| if zeros >> index & 1 == 1 { 0 } else { next() & digits | 1 });
                let host = Host::Ipv6(segments.into());
                assert_eq!(written(host), host.to_string());
            }
        }
        for address in [Ipv6Addr::UNSPECIFIED, Ipv4Addr::new(1, 2, 3, 4).to_ipv6_mapped(), Ipv6Addr::LOCALHOST] {
            assert_eq!(written(Host::Ipv6(address)), address.to_string());
        }
        for number in 0..=255u8 {
            let host = Host::Ipv4(Ipv4Addr::new(number, 0, number, 255));
            assert_eq!(written(host), host.to_string());
        }
        for port in [Port::DEFAULT, Port(Some(0)), Port(Some(u32::MAX)), Port::new(5223), Port::new(10)] {
            let mut buffer = [0; 16];
            let bytes = port.to_slice(&mut buffer).unwrap();
            assert_eq!(core::str::from_utf8(&bytes[1..]).unwrap(), port.to_string());
        }
    }

    #[test]
    fn ports_keep_what_peers_write() {
        assert_eq!(Port::parse("0443").unwrap().number(5223), Ok(443));
        assert_eq!(Port::parse("99999").unwrap().number(5223), Err(Error::Invalid));
        assert_eq!(Port::parse("99999").unwrap().to_string(), "99999");
        assert_eq!(Port::parse("0").unwrap().number(5223), Err(Error::Invalid));
        assert_eq!(Port::DEFAULT.number(5223), Ok(5223));
        for text in ["", "+1", "-1", "1x", "99999999999"] {
            assert!(Port::parse(text).is_err(), "{text}");
        }
    }
}
