//! Alerts (RFC 8446, section 6): how one side tells the other why the connection ends.

use core::fmt;

use crate::error::Error;

/// The description of an alert: its number in RFC 8446, section 6, or in IANA's registry.
///
/// [`fmt::Debug`] and [`fmt::Display`] print the number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Alert(u8);

impl Alert {
    /// The sender sends nothing any more. No error.
    pub const CLOSE_NOTIFY: Self = Self(0);
    /// A message that is well formed, and not to be sent at this moment.
    pub const UNEXPECTED_MESSAGE: Self = Self(10);
    /// A record that was not made with the connection's key.
    pub const BAD_RECORD_MAC: Self = Self(20);
    /// A record that is too long.
    pub const RECORD_OVERFLOW: Self = Self(22);
    /// The sides have no parameters in common.
    pub const HANDSHAKE_FAILURE: Self = Self(40);
    /// A certificate that is corrupt, or whose signature does not verify.
    pub const BAD_CERTIFICATE: Self = Self(42);
    /// A certificate of a kind that is not supported.
    pub const UNSUPPORTED_CERTIFICATE: Self = Self(43);
    /// A certificate that is not valid at this time.
    pub const CERTIFICATE_EXPIRED: Self = Self(45);
    /// A certificate that is not accepted for another reason.
    pub const CERTIFICATE_UNKNOWN: Self = Self(46);
    /// A field that contradicts what was said before, or is out of its range.
    pub const ILLEGAL_PARAMETER: Self = Self(47);
    /// A chain that does not lead to a trusted certificate.
    pub const UNKNOWN_CA: Self = Self(48);
    /// A message that cannot be read.
    pub const DECODE_ERROR: Self = Self(50);
    /// A signature or a Finished value that is wrong.
    pub const DECRYPT_ERROR: Self = Self(51);
    /// The other side speaks no version in common.
    pub const PROTOCOL_VERSION: Self = Self(70);
    /// A failure that has to do neither with the other side nor with the protocol, such as a lack of memory.
    pub const INTERNAL_ERROR: Self = Self(80);
    /// The sender gave up for a reason of its own; [`Alert::CLOSE_NOTIFY`] follows.
    pub const USER_CANCELED: Self = Self(90);
    /// An extension without which the message means nothing is not there.
    pub const MISSING_EXTENSION: Self = Self(109);
    /// An answer to an extension that was not offered.
    pub const UNSUPPORTED_EXTENSION: Self = Self(110);
    /// The server wants a certificate of the client.
    pub const CERTIFICATE_REQUIRED: Self = Self(116);
    /// The server knows none of the offered application protocols.
    pub const NO_APPLICATION_PROTOCOL: Self = Self(120);

    /// The alert of this number.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The two bytes of an alert message. The level means nothing in TLS 1.3; it is 1 (warning) where connections end
    /// in peace and 2 (fatal) elsewhere.
    pub(crate) const fn encode(self) -> [u8; 2] {
        let level = if self.0 == Self::CLOSE_NOTIFY.0 || self.0 == Self::USER_CANCELED.0 { 1 } else { 2 };
        [level, self.0]
    }

    /// Reads an alert message, which is one record and nothing else.
    pub(crate) const fn decode(message: &[u8]) -> Result<Self, Error> {
        match message {
            [] => Err(Error::Refused(Self::UNEXPECTED_MESSAGE)),
            [_, number] => Ok(Self(*number)),
            _ => Err(Error::Refused(Self::DECODE_ERROR)),
        }
    }
}

impl From<Alert> for Error {
    fn from(alert: Alert) -> Self {
        Self::Refused(alert)
    }
}

impl fmt::Debug for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Alert({})", self.0)
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_two_bytes_whatever_the_level() {
        assert_eq!(Alert::decode(&[2, 48]), Ok(Alert::UNKNOWN_CA));
        assert_eq!(Alert::decode(&[77, 200]), Ok(Alert::new(200)));
        assert_eq!(Alert::decode(&[]), Err(Error::Refused(Alert::UNEXPECTED_MESSAGE)));
        assert_eq!(Alert::decode(&[2]), Err(Error::Refused(Alert::DECODE_ERROR)));
        assert_eq!(Alert::decode(&[2, 48, 2]), Err(Error::Refused(Alert::DECODE_ERROR)));
        assert_eq!(Alert::UNKNOWN_CA.encode(), [2, 48]);
        assert_eq!(Alert::CLOSE_NOTIFY.encode(), [1, 0]);
    }
}
