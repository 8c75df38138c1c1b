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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Alert;
    use crate::test::{extension, refuses_other_lengths, vector16};

    #[test]
    fn is_well_formed() {
        let extensions = vector16(&extension(42, &[0, 0, 0, 0]));
        let message = [&[0; 8][..], &[2, 1, 1], &vector16(b"ticket"), &extensions].concat();
        refuses_other_lengths(&message, decode);
        let empty = [&[0; 8][..], &[0], &vector16(b""), &vector16(b"")].concat();
        assert_eq!(decode(&empty), Err(Alert::DECODE_ERROR.into()));
    }
}
