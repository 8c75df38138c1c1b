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

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::test::extension;

    #[test]
    fn are_found_by_type() {
        let list = [extension(ALPN, b"a"), extension(0xfafa, b""), extension(COOKIE, b"bc")].concat();
        let extensions = Extensions::new(&list).unwrap();
        assert_eq!(extensions.find(COOKIE).unwrap().bytes(2), Ok(&b"bc"[..]));
        assert!(extensions.find(0xfafa).unwrap().is_empty());
        assert!(extensions.find(KEY_SHARE).is_none());
        assert_eq!(extensions.into_iter().count(), 3);
    }

    #[test]
    fn are_not_cut() {
        let list = [extension(ALPN, b"a"), extension(COOKIE, b"bc")].concat();
        for length in (1..list.len()).filter(|length| *length != 5) {
            assert_eq!(Extensions::new(&list[..length]).err(), Some(Error::Refused(Alert::DECODE_ERROR)));
        }
        assert!(Extensions::new(&[]).is_ok());
    }

    #[test]
    fn are_of_different_types() {
        let list = [extension(9, b"a"), extension(0xfafa, b""), extension(9, b"a")].concat();
        assert_eq!(Extensions::new(&list).err(), Some(Error::Refused(Alert::ILLEGAL_PARAMETER)));
    }

    #[test]
    fn are_few() {
        let list = |count: u16| (0..count).flat_map(|kind| extension(kind, b"")).collect::<Vec<_>>();
        assert!(Extensions::new(&list(24)).is_ok());
        assert_eq!(Extensions::new(&list(25)).err(), Some(Error::Limit));
    }

    #[test]
    fn are_answers_to_what_was_offered_and_where_they_belong() {
        let only = |kind, alpn_offered| {
            let list = extension(kind, b"");
            Extensions::new(&list).unwrap().only(&[ALPN, KEY_SHARE], alpn_offered).err()
        };
        assert_eq!(only(KEY_SHARE, false), None);
        assert_eq!(only(ALPN, true), None);
        assert_eq!(only(ALPN, false), Some(Error::Refused(Alert::UNSUPPORTED_EXTENSION)));
        assert_eq!(only(0, true), Some(Error::Refused(Alert::UNSUPPORTED_EXTENSION)));
        assert_eq!(only(0xfafa, true), Some(Error::Refused(Alert::UNSUPPORTED_EXTENSION)));
        assert_eq!(only(SIGNATURE_ALGORITHMS, true), Some(Error::Refused(Alert::ILLEGAL_PARAMETER)));
        assert_eq!(only(COOKIE, true), Some(Error::Refused(Alert::ILLEGAL_PARAMETER)));
    }
}
