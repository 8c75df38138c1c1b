//! Lists of extensions (RFC 8446, section 4.2).

use crate::alert::Alert;
use crate::codec::Reader;
use crate::error::Error;

pub(crate) const SUPPORTED_GROUPS: u16 = 10;
pub(crate) const SIGNATURE_ALGORITHMS: u16 = 13;
pub(crate) const ALPN: u16 = 16;
pub(crate) const SUPPORTED_VERSIONS: u16 = 43;
pub(crate) const COOKIE: u16 = 44;
pub(crate) const KEY_SHARE: u16 = 51;

/// The most extensions that are taken in one message.
pub(crate) const MAX_EXTENSIONS: usize = 24;

/// A list of extensions that can be read to its end, in which no type is twice.
#[derive(Clone, Copy)]
pub(crate) struct Extensions<'a>(Reader<'a>);

impl<'a> Extensions<'a> {
    /// Checks the content of an extension list. No list at all is read as an empty one.
    pub(crate) fn new(list: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(list);
        let mut seen = [0_u16; MAX_EXTENSIONS];
        let mut count = 0_usize;
        while !reader.is_empty() {
            let kind = reader.u16()?;
            reader.vector16()?;
            if seen.iter().take(count).any(|seen| *seen == kind) {
                return Err(Alert::ILLEGAL_PARAMETER.into());
            }
            *seen.get_mut(count).ok_or(Error::Limit)? = kind;
            count = count.saturating_add(1);
        }
        Ok(Self(Reader::new(list)))
    }

    /// The content of the extension of this type.
    pub(crate) fn find(&self, kind: u16) -> Option<Reader<'a>> {
        self.into_iter().find(|(found, _)| *found == kind).map(|(_, content)| Reader::new(content))
    }

    /// Refuses what does not belong into an answer: `allowed` names what does. Of the rest, what this client knows and
    /// offers may not be in this message; what it did not offer may be in none.
    pub(crate) fn only(&self, allowed: &[u16], alpn_offered: bool) -> Result<(), Error> {
        for (kind, _) in *self {
            match kind {
                ALPN if !alpn_offered => return Err(Alert::UNSUPPORTED_EXTENSION.into()),
                _ if allowed.contains(&kind) => {}
                SUPPORTED_GROUPS | SIGNATURE_ALGORITHMS | ALPN | SUPPORTED_VERSIONS | COOKIE | KEY_SHARE => {
                    return Err(Alert::ILLEGAL_PARAMETER.into());
                }
                _ => return Err(Alert::UNSUPPORTED_EXTENSION.into()),
            }
        }
        Ok(())
    }
}

impl<'a> IntoIterator for Extensions<'a> {
    type Item = (u16, &'a [u8]);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        Iter(self.0)
    }
}

/// The types and contents of extensions.
pub(crate) struct Iter<'a>(Reader<'a>);

impl<'a> Iterator for Iter<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.u16().ok()?, self.0.vector16().ok()?))
    }
}
