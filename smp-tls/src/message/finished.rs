//! Finished (RFC 8446, section 4.4.4).

use subtle::ConstantTimeEq;

use super::Kind;
use crate::alert::Alert;
use crate::error::Error;
use crate::schedule::HASH_LENGTH;

/// Length in bytes of the message with its header.
pub(crate) const LENGTH: usize = 4 + HASH_LENGTH;

/// The message with its header.
pub(crate) fn encode(value: &[u8; HASH_LENGTH]) -> [u8; LENGTH] {
    let mut message = [0; LENGTH];
    let header = [Kind::Finished as u8, 0, 0, HASH_LENGTH as u8];
    message.iter_mut().zip(header.iter().chain(value)).for_each(|(message, byte)| *message = *byte);
    message
}

/// Checks the message without its header against the value it must have.
pub(crate) fn verify(message: &[u8], expected: &[u8; HASH_LENGTH]) -> Result<(), Error> {
    let value = <&[u8; HASH_LENGTH]>::try_from(message).map_err(|_| Alert::DECODE_ERROR)?;
    if bool::from(value.ct_eq(expected)) { Ok(()) } else { Err(Alert::DECRYPT_ERROR.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_expected_value() {
        let message = encode(&[7; 32]);
        assert_eq!(message[..4], [20, 0, 0, 32]);
        assert_eq!(verify(&message[4..], &[7; 32]), Ok(()));
        assert_eq!(verify(&message[4..], &[8; 32]), Err(Alert::DECRYPT_ERROR.into()));
        crate::test::refuses_other_lengths(&message[4..], |message| verify(message, &[7; 32]));
    }
}
