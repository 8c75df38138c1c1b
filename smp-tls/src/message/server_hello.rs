//! ServerHello and HelloRetryRequest (RFC 8446, sections 4.1.3 and 4.1.4).

use super::extension::{self, Extensions};
use super::{CIPHER_SUITE, GROUP, LEGACY_VERSION, VERSION};
use crate::alert::Alert;
use crate::codec::{Reader, not_empty};
use crate::error::Error;

/// The longest cookie that is sent back, in bytes.
pub(crate) const MAX_COOKIE: usize = 512;

/// The random value by which a HelloRetryRequest is known: SHA-256 of "HelloRetryRequest".
const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// The last eight bytes of the random value of a server that speaks TLS 1.3 and was made to choose 1.2, or less.
const DOWNGRADE: [[u8; 8]; 2] = [*b"DOWNGRD\x01", *b"DOWNGRD\x00"];

/// What the server answers to a ClientHello.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ServerHello<'a> {
    /// It goes on, with this key share.
    Hello([u8; 32]),
    /// It wants the ClientHello again, with this cookie.
    Retry(&'a [u8]),
}

/// Reads the message without its header.
pub(crate) fn decode<'a>(message: &'a [u8], session_id: &[u8; 32]) -> Result<ServerHello<'a>, Error> {
    let mut reader = Reader::new(message);
    let legacy_version = reader.u16()?;
    let random = reader.array::<32>()?;
    let echo = reader.vector8()?;
    if echo.len() > session_id.len() {
        return Err(Alert::DECODE_ERROR.into());
    }
    let cipher_suite = reader.u16()?;
    let compression = reader.u8()?;
    let extensions = if reader.is_empty() { &[] } else { reader.vector16()? };
    reader.end()?;
    let extensions = Extensions::new(extensions)?;

    let Some(version) = extensions.find(extension::SUPPORTED_VERSIONS) else {
        // An older version. A sentinel tells that the server did not want it, so somebody between the sides did.
        let sentinel = random.last_chunk().is_some_and(|last| DOWNGRADE.contains(last));
        return Err(if sentinel { Alert::ILLEGAL_PARAMETER } else { Alert::PROTOCOL_VERSION }.into());
    };
    if only_u16(version)? != VERSION
        || legacy_version != LEGACY_VERSION
        || echo != session_id
        || cipher_suite != CIPHER_SUITE
        || compression != 0
    {
        return Err(Alert::ILLEGAL_PARAMETER.into());
    }
    if *random == RETRY_RANDOM {
        return retry(&extensions);
    }
    extensions.only(&[extension::SUPPORTED_VERSIONS, extension::KEY_SHARE], true)?;
    let mut share = extensions.find(extension::KEY_SHARE).ok_or(Alert::MISSING_EXTENSION)?;
    let group = share.u16()?;
    let key = not_empty(share.vector16()?)?;
    share.end()?;
    let key = <[u8; 32]>::try_from(key).ok().filter(|_| group == GROUP).ok_or(Alert::ILLEGAL_PARAMETER)?;
    Ok(ServerHello::Hello(key))
}

/// There is one group and its share was in the ClientHello, so all that can be asked for is a cookie.
fn retry<'a>(extensions: &Extensions<'a>) -> Result<ServerHello<'a>, Error> {
    extensions.only(&[extension::SUPPORTED_VERSIONS, extension::COOKIE], true)?;
    let mut cookie = extensions.find(extension::COOKIE).ok_or(Alert::ILLEGAL_PARAMETER)?;
    let content = not_empty(cookie.vector16()?)?;
    cookie.end()?;
    if content.len() > MAX_COOKIE { Err(Error::Limit) } else { Ok(ServerHello::Retry(content)) }
}

fn only_u16(mut reader: Reader<'_>) -> Result<u16, Error> {
    let number = reader.u16()?;
    reader.end()?;
    Ok(number)
}
