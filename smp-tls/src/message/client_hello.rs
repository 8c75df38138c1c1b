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
    writer.bytes(ephemeral.public.as_bytes())?;

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
