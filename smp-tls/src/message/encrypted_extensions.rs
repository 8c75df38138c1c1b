//! EncryptedExtensions (RFC 8446, section 4.3.1), with the application protocol (RFC 7301, section 3.1).

use super::extension::{self, Extensions};
use crate::alert::Alert;
use crate::codec::{Reader, not_empty};
use crate::error::Error;

/// Reads the message without its header: which of the offered protocols the server chose.
pub(crate) fn decode(message: &[u8], alpn: &[&[u8]]) -> Result<Option<usize>, Error> {
    let mut reader = Reader::new(message);
    let extensions = reader.vector16()?;
    reader.end()?;
    let extensions = Extensions::new(extensions)?;
    extensions.only(&[extension::ALPN, extension::SUPPORTED_GROUPS], !alpn.is_empty())?;
    if let Some(mut groups) = extensions.find(extension::SUPPORTED_GROUPS) {
        // What the server would have preferred. It makes no difference.
        let list = not_empty(groups.vector16()?)?;
        groups.end()?;
        if list.len() % 2 != 0 {
            return Err(Alert::DECODE_ERROR.into());
        }
    }
    let Some(mut content) = extensions.find(extension::ALPN) else { return Ok(None) };
    let mut names = Reader::new(content.vector16()?);
    content.end()?;
    let name = not_empty(names.vector8()?)?;
    names.end()?;
    let index = alpn.iter().position(|offered| *offered == name).ok_or(Alert::ILLEGAL_PARAMETER)?;
    Ok(Some(index))
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::test::{extension, refuses_other_lengths, vector16};

    const OFFERED: &[&[u8]] = &[b"h2", b"smp/1"];

    fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
        vector16(&extensions.concat())
    }

    fn alpn(names: &[u8]) -> Vec<u8> {
        extension(extension::ALPN, &vector16(names))
    }

    #[test]
    fn choose_an_offered_protocol_or_none() {
        assert_eq!(decode(&message(&[alpn(b"\x05smp/1")]), OFFERED), Ok(Some(1)));
        assert_eq!(decode(&message(&[alpn(b"\x02h2")]), OFFERED), Ok(Some(0)));
        assert_eq!(decode(&message(&[]), OFFERED), Ok(None));
        let groups = extension(extension::SUPPORTED_GROUPS, &vector16(&[0, 29, 0, 23]));
        let complete = message(&[groups, alpn(b"\x05smp/1")]);
        assert_eq!(decode(&complete, OFFERED), Ok(Some(1)));
        refuses_other_lengths(&complete, |message| decode(message, OFFERED));
    }

    #[test]
    fn choose_nothing_else() {
        let with = |extension: Vec<u8>, offered: &[&[u8]]| match decode(&message(&[extension]), offered) {
            Err(Error::Refused(alert)) => alert,
            outcome => panic!("{outcome:?}"),
        };
        assert_eq!(with(alpn(b"\x05smp/2"), OFFERED), Alert::ILLEGAL_PARAMETER);
        assert_eq!(with(alpn(b"\x05smp/1"), &[]), Alert::UNSUPPORTED_EXTENSION);
        assert_eq!(with(alpn(b""), OFFERED), Alert::DECODE_ERROR);
        assert_eq!(with(alpn(b"\0"), OFFERED), Alert::DECODE_ERROR);
        assert_eq!(with(alpn(b"\x02h2\x05smp/1"), OFFERED), Alert::DECODE_ERROR);
        assert_eq!(with(extension(extension::ALPN, b"\0\x03\x02h2\0"), OFFERED), Alert::DECODE_ERROR);
        assert_eq!(with(extension(0, b""), OFFERED), Alert::UNSUPPORTED_EXTENSION);
        assert_eq!(with(extension(extension::KEY_SHARE, b""), OFFERED), Alert::ILLEGAL_PARAMETER);
        let groups = |content: &[u8]| with(extension(extension::SUPPORTED_GROUPS, content), OFFERED);
        assert_eq!(groups(&[0, 0]), Alert::DECODE_ERROR);
        assert_eq!(groups(&[0, 3, 0, 29, 0]), Alert::DECODE_ERROR);
        assert_eq!(groups(&[0, 2, 0, 29, 0]), Alert::DECODE_ERROR);
    }
}
