//! ClientHello (RFC 8446, section 4.1.2).

use super::{CIPHER_SUITE, GROUP, Kind, LEGACY_VERSION, VERSION, extension};
use crate::codec::Writer;
use crate::config::{Config, Ephemeral};
use crate::error::Error;

/// Writes the message with its header. The second one of a handshake returns the server's cookie.
pub(crate) fn encode(
    writer: &mut Writer<'_>,
    config: &Config<'_>,
    ephemeral: &Ephemeral,
    cookie: Option<&[u8]>,
) -> Result<(), Error> {
    writer.bytes(&[Kind::ClientHello as u8, 0])?; // a length of three bytes, of which the first is zero
    let message = writer.open()?;
    writer.u16(LEGACY_VERSION)?;
    writer.bytes(&ephemeral.random)?;
    writer.u8(32)?;
    writer.bytes(&ephemeral.session_id)?;
    writer.u16(2)?;
    writer.u16(CIPHER_SUITE)?;
    writer.bytes(&[1, 0])?; // no compression
    let extensions = writer.open()?;

    writer.u16(extension::SUPPORTED_VERSIONS)?;
    writer.bytes(&[0, 3, 2])?;
    writer.u16(VERSION)?;

    writer.u16(extension::SUPPORTED_GROUPS)?;
    writer.bytes(&[0, 4, 0, 2])?;
    writer.u16(GROUP)?;

    writer.u16(extension::SIGNATURE_ALGORITHMS)?;
    #[cfg(feature = "ed448")]
    writer.bytes(&[0, 6, 0, 4, 8, 7, 8, 8])?;
    #[cfg(not(feature = "ed448"))]
    writer.bytes(&[0, 4, 0, 2, 8, 7])?;

    writer.u16(extension::KEY_SHARE)?;
    writer.bytes(&[0, 38, 0, 36])?;
    writer.u16(GROUP)?;
    writer.u16(32)?;
    writer.bytes(&ephemeral.public)?;

    if !config.alpn.is_empty() {
        writer.u16(extension::ALPN)?;
        let content = writer.open()?;
        let list = writer.open()?;
        for name in config.alpn {
            writer.u8(u8::try_from(name.len()).ok().filter(|length| *length > 0).ok_or(Error::TooLong)?)?;
            writer.bytes(name)?;
        }
        writer.close(list)?;
        writer.close(content)?;
    }
    if let Some(cookie) = cookie {
        writer.u16(extension::COOKIE)?;
        let content = writer.open()?;
        let list = writer.open()?;
        writer.bytes(cookie)?;
        writer.close(list)?;
        writer.close(content)?;
    }
    writer.close(extensions)?;
    writer.close(message)
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::super::extension::{ALPN, COOKIE, Extensions, KEY_SHARE, SIGNATURE_ALGORITHMS, SUPPORTED_GROUPS};
    use super::super::server_hello::MAX_COOKIE;
    use super::*;
    use crate::codec::Reader;
    use crate::test::random;

    fn message(alpn: &[&[u8]], cookie: Option<&[u8]>) -> Result<Vec<u8>, Error> {
        let mut buffer = vec![0; 1024];
        let mut writer = Writer::new(&mut buffer);
        encode(&mut writer, &Config { alpn }, &Ephemeral::generate(&mut random()).unwrap(), cookie)?;
        Ok(writer.written().to_vec())
    }

    /// The content of an extension.
    fn content(message: &[u8], kind: u16) -> Option<Vec<u8>> {
        let list = Reader::new(&message[4 + 2 + 32 + 33 + 4 + 2..]).vector16().unwrap();
        Extensions::new(list)
            .unwrap()
            .into_iter()
            .find(|(found, _)| *found == kind)
            .map(|(_, content)| content.to_vec())
    }

    #[test]
    fn offers_one_of_everything() {
        let ephemeral = Ephemeral::generate(&mut random()).unwrap();
        let message = message(&[b"h2", b"smp/1"], None).unwrap();
        let mut reader = Reader::new(&message);
        assert_eq!(reader.u8(), Ok(1));
        let mut body = Reader::new(reader.vector24().unwrap());
        assert!(reader.is_empty());
        assert_eq!(body.u16(), Ok(0x0303));
        assert_eq!(body.array(), Ok(&ephemeral.random));
        assert_eq!(body.vector8(), Ok(&ephemeral.session_id[..]));
        assert_eq!(body.vector16(), Ok(&[0x13, 0x03][..]));
        assert_eq!(body.vector8(), Ok(&[0][..]));
        body.vector16().unwrap();
        assert!(body.is_empty());

        assert_eq!(content(&message, super::super::extension::SUPPORTED_VERSIONS).unwrap(), [2, 3, 4]);
        assert_eq!(content(&message, SUPPORTED_GROUPS).unwrap(), [0, 2, 0, 29]);
        let schemes: &[u8] = if cfg!(feature = "ed448") { &[0, 4, 8, 7, 8, 8] } else { &[0, 2, 8, 7] };
        assert_eq!(content(&message, SIGNATURE_ALGORITHMS).unwrap(), schemes);
        let share = [&[0, 36, 0, 29, 0, 32][..], &ephemeral.public].concat();
        assert_eq!(content(&message, KEY_SHARE).unwrap(), share);
        assert_eq!(content(&message, ALPN).unwrap(), b"\0\x09\x02h2\x05smp/1");
        assert_eq!(content(&message, COOKIE), None);
    }

    #[test]
    fn sends_the_cookie_back() {
        let cookie = [9; MAX_COOKIE];
        let message = message(&[], Some(&cookie)).unwrap();
        assert_eq!(content(&message, COOKIE).unwrap(), [&[2, 0][..], &cookie].concat());
        assert_eq!(content(&message, ALPN), None);
    }

    #[test]
    fn has_no_protocols_without_name() {
        assert_eq!(message(&[b""], None), Err(Error::TooLong));
        assert!(message(&[&[1; 255]], None).is_ok());
        assert_eq!(message(&[&[1; 256]], None), Err(Error::TooLong));
    }

    #[test]
    fn needs_room() {
        let ephemeral = Ephemeral::generate(&mut random()).unwrap();
        let complete = message(&[b"smp/1"], None).unwrap().len();
        for length in 0..complete {
            let mut buffer = vec![0; length];
            let outcome = encode(&mut Writer::new(&mut buffer), &Config { alpn: &[b"smp/1"] }, &ephemeral, None);
            assert_eq!(outcome, Err(Error::Limit));
        }
    }
}
