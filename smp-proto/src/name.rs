//! Names that people type instead of links: `#channel`, `@alice.simplex` (v7, section 3.2).

use core::fmt;

use crate::smp::names::{DOMAIN_LIMIT, Domain, LABEL_LIMIT, TopLevel};
use crate::wire::{Error, Writer};

/// What a name is a name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameKind {
    /// `#`: a public group or channel.
    PublicGroup,
    /// `@`: a contact.
    Contact,
}

impl NameKind {
    const fn sign(self) -> char {
        match self {
            Self::PublicGroup => '#',
            Self::Contact => '@',
        }
    }
}

/// A name, borrowed from the text it was read from. Case does not matter; it is written in lower case.
#[derive(Clone, Copy)]
pub struct Name<'a> {
    kind: NameKind,
    labels: Labels<'a>,
}

#[derive(Clone, Copy)]
enum Labels<'a> {
    /// A label that stands for itself under `simplex`.
    Bare(&'a str),
    Domain(Domain<'a>),
}

impl<'a> Name<'a> {
    /// Reads a name, with or without the `simplex:/name` that older writers put before it. Without a sign it is that
    /// of a public group.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let text = text.strip_prefix("simplex:/name").unwrap_or(text);
        let (kind, text) = match text.strip_prefix('@') {
            Some(domain) => (NameKind::Contact, domain),
            None => (NameKind::PublicGroup, text.strip_prefix('#').unwrap_or(text)),
        };
        let labels = if kind == NameKind::Contact || text.contains('.') {
            Labels::Domain(Domain::new(text)?)
        } else {
            Labels::Bare(bare_label(text)?)
        };
        Ok(Self { kind, labels })
    }

    /// What it is a name of.
    #[must_use]
    pub const fn kind(&self) -> NameKind {
        self.kind
    }

    /// Which registry knows the name.
    #[must_use]
    pub fn top_level(&self) -> TopLevel {
        match &self.labels {
            Labels::Bare(_) => TopLevel::Simplex,
            Labels::Domain(domain) => domain.top_level(),
        }
    }

    /// The whole domain, written into `buffer`, to be resolved.
    pub fn domain<'b>(&self, buffer: &'b mut [u8; DOMAIN_LIMIT]) -> Result<Domain<'b>, Error> {
        let mut writer = Writer::new(buffer);
        match &self.labels {
            Labels::Bare(label) => {
                label.bytes().try_for_each(|byte| writer.u8(byte.to_ascii_lowercase()))?;
                writer.bytes(b".simplex")?;
            }
            Labels::Domain(domain) => domain.encode(&mut writer)?,
        }
        Domain::new(core::str::from_utf8(writer.into_written()).map_err(|_| Error::Invalid)?)
    }

    /// The text to show where space is short: a public group directly under `simplex` goes without it.
    pub fn short(&self) -> impl fmt::Display + use<'a> {
        Short(*self)
    }
}

/// A label as [`Domain`] has them, with the room for `.simplex` behind it that its length always leaves.
fn bare_label(text: &str) -> Result<&str, Error> {
    let groups =
        text.split('-').all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    match groups {
        true if text.len() <= LABEL_LIMIT => Ok(text),
        true => Err(Error::TooLong),
        false => Err(Error::Invalid),
    }
}

/// Writes the sign and the whole domain, without the prefix of older writers.
impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; DOMAIN_LIMIT];
        let domain = self.domain(&mut buffer).map_err(|_| fmt::Error)?;
        write!(f, "{}{domain}", self.kind.sign())
    }
}

struct Short<'a>(Name<'a>);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; DOMAIN_LIMIT];
        let domain = self.0.domain(&mut buffer).map_err(|_| fmt::Error)?;
        let mut labels = domain.labels();
        match (self.0.kind, domain.top_level(), labels.next(), labels.next(), labels.next()) {
            (NameKind::PublicGroup, TopLevel::Simplex, Some(label), Some(_), None) => write!(f, "#{label}"),
            _ => self.0.fmt(f),
        }
    }
}

/// Shows the kind only: whom somebody looks for stays out of logs.
impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Name").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        let (mut left, mut right) = ([0; DOMAIN_LIMIT], [0; DOMAIN_LIMIT]);
        self.kind == other.kind && self.domain(&mut left).ok() == other.domain(&mut right).ok()
    }
}

impl Eq for Name<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    #[test]
    fn bare_labels_are_public_groups_under_simplex() {
        let name = Name::parse("Group-1").unwrap();
        assert_eq!(name.kind(), NameKind::PublicGroup);
        assert_eq!(name.top_level(), TopLevel::Simplex);
        assert_eq!(name.to_string(), "#group-1.simplex");
        assert_eq!(name.short().to_string(), "#group-1");
        assert_eq!(name, Name::parse("simplex:/name#group-1.SIMPLEX").unwrap());
        assert_ne!(name, Name::parse("@group-1.simplex").unwrap());
        assert_eq!(Name::parse("@group-1.simplex").unwrap().short().to_string(), "@group-1.simplex");
        assert!(!format!("{name:?}").contains("group"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(64);
        for text in ["", "#", "@", "@a", "##a", "#@a", "a b", "a-", "-a", "a--b", "a.", ".a", "a_b", "\u{e9}", &long] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
        assert!(Name::parse(&long[..63]).is_ok());
    }
}
