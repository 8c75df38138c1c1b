//! CertificateRequest (RFC 8446, section 4.3.2).

use super::extension::{self, Extensions};
use crate::alert::Alert;
use crate::codec::{Reader, not_empty};
use crate::error::Error;

/// Checks the message without its header. There is nothing to choose: this client has no certificate.
pub(crate) fn decode(message: &[u8]) -> Result<(), Error> {
    let mut reader = Reader::new(message);
    let context = reader.vector8()?;
    let extensions = reader.vector16()?;
    reader.end()?;
    if !context.is_empty() {
        // Contexts are for requests after the handshake.
        return Err(Alert::ILLEGAL_PARAMETER.into());
    }
    let extensions = Extensions::new(extensions)?;
    let mut algorithms = extensions.find(extension::SIGNATURE_ALGORITHMS).ok_or(Alert::MISSING_EXTENSION)?;
    let list = not_empty(algorithms.vector16()?)?;
    algorithms.end()?;
    if list.len() % 2 != 0 { Err(Alert::DECODE_ERROR.into()) } else { Ok(()) }
}
