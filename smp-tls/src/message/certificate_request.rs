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

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::test::{extension, refuses_other_lengths, vector16};

    fn message(context: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
        [&[context.len() as u8][..], context, &vector16(&extensions.concat())].concat()
    }

    fn algorithms(content: &[u8]) -> Vec<u8> {
        extension(extension::SIGNATURE_ALGORITHMS, &vector16(content))
    }

    #[test]
    fn may_ask_for_anything() {
        let unknown = extension(0xfafa, b"anything");
        let message = message(&[], &[unknown, algorithms(&[8, 7])]);
        refuses_other_lengths(&message, decode);
    }

    #[test]
    fn has_its_rules_still() {
        let alert = |message: Vec<u8>| match decode(&message) {
            Err(Error::Refused(alert)) => alert,
            outcome => panic!("{outcome:?}"),
        };
        assert_eq!(alert(message(b"x", &[algorithms(&[8, 7])])), Alert::ILLEGAL_PARAMETER);
        assert_eq!(alert(message(b"", &[])), Alert::MISSING_EXTENSION);
        assert_eq!(alert(message(b"", &[algorithms(&[])])), Alert::DECODE_ERROR);
        assert_eq!(alert(message(b"", &[algorithms(&[8, 7, 8])])), Alert::DECODE_ERROR);
        let twice = [algorithms(&[8, 7]), algorithms(&[8, 7])];
        assert_eq!(alert(message(b"", &twice)), Alert::ILLEGAL_PARAMETER);
    }
}
