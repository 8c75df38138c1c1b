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
