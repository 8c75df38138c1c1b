//! NewSessionTicket (RFC 8446, section 4.6.1). This client resumes no sessions, so a ticket is read and forgotten.

use super::extension::Extensions;
use crate::codec::{Reader, not_empty};
use crate::error::Error;

/// Checks the form of the message without its header.
pub(crate) fn decode(message: &[u8]) -> Result<(), Error> {
    let mut reader = Reader::new(message);
    reader.bytes(8)?; // ticket_lifetime, ticket_age_add
    reader.vector8()?; // ticket_nonce
    not_empty(reader.vector16()?)?; // ticket
    Extensions::new(reader.vector16()?)?;
    reader.end()
}
