//! KeyUpdate (RFC 8446, section 4.6.3).

use super::Kind;
use crate::alert::Alert;
use crate::error::Error;

/// This client's answer to a request, with its header: it asks for nothing itself.
pub(crate) const ANSWER: [u8; 5] = [Kind::KeyUpdate as u8, 0, 0, 1, 0];

/// Reads the message without its header: whether the server asks for new keys of this side too.
pub(crate) const fn decode(message: &[u8]) -> Result<bool, Error> {
    match message {
        [0] => Ok(false),
        [1] => Ok(true),
        [_] => Err(Error::Refused(Alert::ILLEGAL_PARAMETER)),
        _ => Err(Error::Refused(Alert::DECODE_ERROR)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_or_does_not() {
        assert_eq!(decode(&[0]), Ok(false));
        assert_eq!(decode(&[1]), Ok(true));
        assert_eq!(decode(&[2]), Err(Alert::ILLEGAL_PARAMETER.into()));
        crate::test::refuses_other_lengths(&[1], decode);
        assert_eq!(ANSWER, [24, 0, 0, 1, 0]);
    }
}
