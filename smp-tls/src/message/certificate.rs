//! Certificate (RFC 8446, section 4.4.2).

use super::Kind;
use super::extension::Extensions;
use crate::alert::Alert;
use crate::codec::{Reader, not_empty};
use crate::error::Error;
use crate::verify::CertificateChain;

/// This client's answer to a CertificateRequest, with its header: no certificate.
pub(crate) const NONE: [u8; 8] = [Kind::Certificate as u8, 0, 0, 4, 0, 0, 0, 0];

/// Reads the server's message without its header, and checks the form of the list.
pub(crate) fn decode(message: &[u8]) -> Result<CertificateChain<'_>, Error> {
    let mut reader = Reader::new(message);
    let context = reader.vector8()?;
    let list = not_empty(reader.vector24()?)?;
    reader.end()?;
    if !context.is_empty() {
        return Err(Alert::ILLEGAL_PARAMETER.into());
    }
    let mut entries = Reader::new(list);
    let mut count = 0_usize;
    while !entries.is_empty() {
        not_empty(entries.vector24()?)?;
        // No extension of certificates was offered.
        Extensions::new(entries.vector16()?)?.only(&[], true)?;
        count = count.saturating_add(1);
        if count > CertificateChain::MAX_LENGTH {
            return Err(Error::Limit);
        }
    }
    Ok(CertificateChain::new(list))
}
