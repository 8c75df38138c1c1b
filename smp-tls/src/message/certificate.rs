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

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::test::{extension, refuses_other_lengths, vector16};

    fn vector24(content: &[u8]) -> Vec<u8> {
        [&u32::try_from(content.len()).unwrap().to_be_bytes()[1..], content].concat()
    }

    fn entry(certificate: &[u8], extensions: &[u8]) -> Vec<u8> {
        [vector24(certificate), vector16(extensions)].concat()
    }

    fn message(context: &[u8], entries: &[Vec<u8>]) -> Vec<u8> {
        [&[context.len() as u8][..], context, &vector24(&entries.concat())].concat()
    }

    fn error(message: &[u8]) -> Error {
        decode(message).unwrap_err()
    }

    #[test]
    fn brings_a_chain() {
        let message = message(b"", &[entry(b"leaf", b""), entry(b"identity", b"")]);
        let chain = decode(&message).unwrap();
        assert_eq!(chain.leaf(), b"leaf");
        assert_eq!(chain.iter().collect::<Vec<_>>(), [&b"leaf"[..], b"identity"]);
        assert_eq!(chain.collect(&mut [&[][..]; 2]), Some(&[&b"leaf"[..], b"identity"][..]));
        assert_eq!(chain.collect(&mut [&[][..]; 3]).map(<[_]>::len), Some(2));
        assert_eq!(chain.collect(&mut [&[][..]; 1]), None);
        refuses_other_lengths(&message, |message| decode(message).map(drop));
    }

    #[test]
    fn has_one_to_eight_certificates_and_no_extensions() {
        assert_eq!(error(&message(b"", &[])), Alert::DECODE_ERROR.into());
        assert_eq!(error(&message(b"", &[entry(b"", b"")])), Alert::DECODE_ERROR.into());
        assert_eq!(error(&message(b"x", &[entry(b"leaf", b"")])), Alert::ILLEGAL_PARAMETER.into());
        let status = extension(5, b"status");
        assert_eq!(error(&message(b"", &[entry(b"leaf", &status)])), Alert::UNSUPPORTED_EXTENSION.into());
        let mut entries = Vec::from([(); 8].map(|()| entry(b"certificate", b"")));
        assert_eq!(decode(&message(b"", &entries)).unwrap().iter().count(), CertificateChain::MAX_LENGTH);
        entries.push(entry(b"certificate", b""));
        assert_eq!(error(&message(b"", &entries)), Error::Limit);
    }

    #[test]
    fn of_this_side_is_empty() {
        assert_eq!(NONE, [11, 0, 0, 4, 0, 0, 0, 0]);
    }
}
