//! Names that stand for links (v7, section 3).

use core::fmt::{self, Write as _};

use super::json::{Array, JsonString, Object};
use crate::wire::{Error, Reader, Writer};

/// The longest domain, in bytes.
pub const DOMAIN_LIMIT: usize = 253;
/// The longest label of a domain, in bytes.
pub const LABEL_LIMIT: usize = 63;
/// The longest record in a direct reply, in bytes of JSON.
pub const RECORD_LIMIT: usize = 16_330;
/// The longest record in a forwarded reply, in bytes of JSON.
pub const FORWARDED_RECORD_LIMIT: usize = 16_188;

/// A name to resolve, such as `alice.simplex`: two or more labels of ASCII letters, digits and single hyphens between
/// them. Case does not matter; it is written in lower case.
#[derive(Clone, Copy)]
pub struct Domain<'a>(&'a str);

/// The registries a domain can belong to, by its last label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TopLevel {
    /// `simplex`
    Simplex,
    /// `testing`
    Testing,
    /// Anything else.
    Web,
}

impl<'a> Domain<'a> {
    /// Checks a domain.
    pub fn new(text: &'a str) -> Result<Self, Error> {
        if text.len() > DOMAIN_LIMIT {
            return Err(Error::TooLong);
        }
        let label = |label: &str| {
            label.len() <= LABEL_LIMIT
                && label
                    .split('-')
                    .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        };
        if text.contains('.') && text.split('.').all(label) { Ok(Self(text)) } else { Err(Error::Invalid) }
    }

    /// The labels in the order they are written, in the case they were written in.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &'a str> {
        self.0.split('.')
    }

    /// Which registry knows the domain.
    #[must_use]
    pub fn top_level(&self) -> TopLevel {
        match self.labels().next_back() {
            Some(label) if label.eq_ignore_ascii_case("simplex") => TopLevel::Simplex,
            Some(label) if label.eq_ignore_ascii_case("testing") => TopLevel::Testing,
            _ => TopLevel::Web,
        }
    }

    /// Reads the parameter of `RSLV`: a domain up to the first white space; what follows is ignored.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let rest = reader.rest();
        let white = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
        let end = rest.iter().position(white).unwrap_or(rest.len());
        let text = rest.get(..end).unwrap_or(rest);
        Self::new(core::str::from_utf8(text).map_err(|_| Error::Invalid)?)
    }

    /// Writes the domain in lower case.
    pub fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        self.0.bytes().try_for_each(|byte| writer.u8(byte.to_ascii_lowercase()))
    }
}

impl PartialEq for Domain<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(other.0)
    }
}

impl Eq for Domain<'_> {}

impl fmt::Display for Domain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| f.write_char(c.to_ascii_lowercase()))
    }
}

impl fmt::Debug for Domain<'_> {
    /// Shows the length only: what is looked up stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({} bytes)", self.0.len())
    }
}

/// What a name stands for: the parameter of `RNAME`. Nobody but the resolver vouches for any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameRecord<'a> {
    /// The name as it was resolved.
    pub name: JsonString<'a>,
    /// How its owner wants to be called, or empty.
    pub nickname: JsonString<'a>,
    /// A web site, or empty.
    pub website: JsonString<'a>,
    /// A place, or empty.
    pub location: JsonString<'a>,
    /// Contact links, the preferred one first.
    pub contact_links: JsonStrings<'a>,
    /// Channel links, the preferred one first.
    pub channel_links: JsonStrings<'a>,
    /// An Ethereum address.
    pub eth: Option<JsonString<'a>>,
    /// A Bitcoin address.
    pub btc: Option<JsonString<'a>>,
    /// A Monero address.
    pub xmr: Option<JsonString<'a>>,
    /// A Polkadot address.
    pub dot: Option<JsonString<'a>>,
    /// Who owns the name: `0x` and 40 hexadecimal digits.
    pub owner: JsonString<'a>,
    /// The contract that answered: `0x` and 40 hexadecimal digits.
    pub resolver: JsonString<'a>,
}

impl<'a> NameRecord<'a> {
    /// Reads a record, one JSON object. Unknown members are ignored; only the four coins may be missing.
    pub fn from_json(json: &'a [u8]) -> Result<Self, Error> {
        let (mut name, mut nickname, mut website, mut location) = (None, None, None, None);
        let (mut contact_links, mut channel_links, mut owner, mut resolver) = (None, None, None, None);
        let (mut eth, mut btc, mut xmr, mut dot) = (None, None, None, None);
        Object::from_json(json)?.read(|key, value| {
            match key {
                "name" => name = Some(value.string()?),
                "nickname" => nickname = Some(value.string()?),
                "website" => website = Some(value.string()?),
                "location" => location = Some(value.string()?),
                "simplexContact" => contact_links = Some(JsonStrings::from_array(value.array()?)?),
                "simplexChannel" => channel_links = Some(JsonStrings::from_array(value.array()?)?),
                "eth" => eth = value.nullable(|coin| coin.string())?,
                "btc" => btc = value.nullable(|coin| coin.string())?,
                "xmr" => xmr = value.nullable(|coin| coin.string())?,
                "dot" => dot = value.nullable(|coin| coin.string())?,
                "owner" => owner = Some(value.string()?),
                "resolver" => resolver = Some(value.string()?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self {
            name: name.ok_or(Error::Invalid)?,
            nickname: nickname.ok_or(Error::Invalid)?,
            website: website.ok_or(Error::Invalid)?,
            location: location.ok_or(Error::Invalid)?,
            contact_links: contact_links.ok_or(Error::Invalid)?,
            channel_links: channel_links.ok_or(Error::Invalid)?,
            eth,
            btc,
            xmr,
            dot,
            owner: owner.ok_or(Error::Invalid)?,
            resolver: resolver.ok_or(Error::Invalid)?,
        })
    }

    /// Reads a record that fills everything the reader has left.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Self::from_json(reader.rest())
    }

    /// Writes the record as compact JSON.
    pub fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        let strings = [
            (&b"{\"name\":"[..], self.name),
            (b",\"nickname\":", self.nickname),
            (b",\"website\":", self.website),
            (b",\"location\":", self.location),
        ];
        for (key, value) in strings {
            writer.bytes(key)?;
            value.encode(writer)?;
        }
        writer.bytes(b",\"simplexContact\":")?;
        self.contact_links.encode(writer)?;
        writer.bytes(b",\"simplexChannel\":")?;
        self.channel_links.encode(writer)?;
        let coins = [
            (&b",\"eth\":"[..], self.eth),
            (b",\"btc\":", self.btc),
            (b",\"xmr\":", self.xmr),
            (b",\"dot\":", self.dot),
        ];
        for (key, value) in coins {
            writer.bytes(key)?;
            match value {
                Some(value) => value.encode(writer)?,
                None => writer.bytes(b"null")?,
            }
        }
        writer.bytes(b",\"owner\":")?;
        self.owner.encode(writer)?;
        writer.bytes(b",\"resolver\":")?;
        self.resolver.encode(writer)?;
        writer.u8(b'}')
    }
}

/// A JSON array of strings.
#[derive(Clone, Copy)]
pub struct JsonStrings<'a>(Strings<'a>);

#[derive(Clone, Copy)]
enum Strings<'a> {
    /// Checked to hold strings only.
    Read(Array<'a>),
    Made(&'a [JsonString<'a>]),
}

impl<'a> JsonStrings<'a> {
    /// Strings to be written.
    #[must_use]
    pub const fn new(strings: &'a [JsonString<'a>]) -> Self {
        Self(Strings::Made(strings))
    }

    fn from_array(array: Array<'a>) -> Result<Self, Error> {
        array.values().try_for_each(|value| value.string().map(drop))?;
        Ok(Self(Strings::Read(array)))
    }

    /// The strings in order.
    pub fn iter(&self) -> impl Iterator<Item = JsonString<'a>> {
        let (read, made) = match self.0 {
            Strings::Read(array) => (Some(array), &[][..]),
            Strings::Made(strings) => (None, strings),
        };
        let read = read.into_iter().flat_map(Array::values).filter_map(|value| value.string().ok());
        read.chain(made.iter().copied())
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.u8(b'[')?;
        for (index, string) in self.iter().enumerate() {
            if index > 0 {
                writer.u8(b',')?;
            }
            string.encode(writer)?;
        }
        writer.u8(b']')
    }
}

impl PartialEq for JsonStrings<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for JsonStrings<'_> {}

impl fmt::Debug for JsonStrings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    #[test]
    fn domains_have_a_syntax() {
        let label = "a".repeat(LABEL_LIMIT);
        let longest = [&label[..], &label, &label, &label[..61]].join(".");
        assert_eq!(longest.len(), DOMAIN_LIMIT);
        for good in ["alice.simplex", "a.b", "1.2", "a-b.c-d-e.f", "A.B", &longest] {
            assert_eq!(Domain::new(good).unwrap().to_string(), good.to_ascii_lowercase());
        }
        let too_long = [&longest, "a"].concat();
        let bad = [
            "", ".", "a", "a.", ".a", "a..b", "-a.b", "a-.b", "a--b.c", "a b.c", "a_b.c", "\u{e9}.c", "a.b\n",
            &too_long,
        ];
        for bad in bad {
            assert!(Domain::new(bad).is_err(), "{bad}");
        }
        assert!(Domain::new(&["a".repeat(LABEL_LIMIT + 1), "b".into()].join(".")).is_err());
    }

    #[test]
    fn what_follows_white_space_is_ignored() {
        for text in ["Alice.Simplex", "alice.simplex and more", "alice.simplex\tx", "alice.simplex\n", "alice.simplex "]
        {
            let domain = Domain::decode(&mut Reader::new(text.as_bytes())).unwrap();
            assert_eq!(domain, Domain::new("alice.simplex").unwrap());
            let mut buffer = [0; 20];
            let mut writer = Writer::new(&mut buffer);
            domain.encode(&mut writer).unwrap();
            assert_eq!(writer.written(), b"alice.simplex");
        }
        assert!(Domain::decode(&mut Reader::new(b" alice.simplex")).is_err());
    }

    #[test]
    fn the_last_label_tells_the_registry() {
        let top_level = |text| Domain::new(text).unwrap().top_level();
        assert_eq!(top_level("a.simplex"), TopLevel::Simplex);
        assert_eq!(top_level("b.a.Testing"), TopLevel::Testing);
        assert_eq!(top_level("simplex.com"), TopLevel::Web);
    }

    #[test]
    fn records_read_back_and_other_readers_agree() {
        let links = [JsonString::new("simplex:/a#x?h=\"q\""), JsonString::new("simplex:/c#y")];
        let record = NameRecord {
            name: JsonString::new("alice.simplex"),
            nickname: JsonString::new("Al \u{1f600}\n"),
            website: JsonString::default(),
            location: JsonString::default(),
            contact_links: JsonStrings::new(&links),
            channel_links: JsonStrings::new(&[]),
            eth: Some(JsonString::new("0x1")),
            btc: None,
            xmr: None,
            dot: None,
            owner: JsonString::new("0x00"),
            resolver: JsonString::new("0x01"),
        };
        let mut buffer = [0; 1000];
        let mut writer = Writer::new(&mut buffer);
        record.encode(&mut writer).unwrap();
        let json = writer.written();
        let read = NameRecord::from_json(json).unwrap();
        assert_eq!(read, record);
        assert_eq!(read.contact_links.iter().count(), 2);
        let other: serde_json::Value = serde_json::from_slice(json).unwrap();
        assert_eq!(other["simplexContact"][0], "simplex:/a#x?h=\"q\"");
        assert_eq!(other["nickname"], "Al \u{1f600}\n");
        assert!(other["btc"].is_null());
        let mut again = [0; 1000];
        let mut writer = Writer::new(&mut again);
        read.encode(&mut writer).unwrap();
        assert_eq!(writer.written(), json);

        // Each member but the coins is required.
        let members: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json).unwrap();
        for key in members.keys() {
            let mut fewer = members.clone();
            fewer.remove(key);
            fewer.insert("unknown".into(), serde_json::json!([{}]));
            let json = serde_json::to_vec(&fewer).unwrap();
            let coin = ["eth", "btc", "xmr", "dot"].contains(&key.as_str());
            assert_eq!(NameRecord::from_json(&json).is_ok(), coin, "{key}");
        }
        let numbers: Vec<u8> = String::from_utf8_lossy(json).replace("[]", "[1]").into_bytes();
        assert!(NameRecord::from_json(&numbers).is_err());
    }
}
