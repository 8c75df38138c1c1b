//! What a sender says (wire reference, section 7.4).

use core::fmt;

use crate::wire::{Decode, Encode, Error, Hidden, Reader, Writer};

/// Parameters of `SEND`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Send<'a> {
    /// Whether the recipient shall be notified.
    pub notify: bool,
    /// The encrypted message, at most [`SmpVersion::max_message_length`](crate::version::SmpVersion::max_message_length)
    /// bytes; the relay checks that, not the codec.
    pub body: &'a [u8],
}

impl fmt::Debug for Send<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Send").field("notify", &self.notify).field("body", &Hidden(self.body)).finish()
    }
}

impl<'a> Decode<'a> for Send<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let notify = reader.value()?;
        // More flags may come one day; today nobody reads them and relays do not pass them on.
        reader.until(b' ');
        reader.expect(b" ")?;
        Ok(Self { notify, body: reader.rest() })
    }
}

impl Encode for Send<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.notify)?;
        writer.u8(b' ')?;
        writer.bytes(self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_the_future_are_skipped() {
        for (bytes, notify, body) in [
            (&b"T body"[..], true, &b"body"[..]),
            (b"F  body ", false, b" body "),
            (b"T ", true, b""),
            (b"Tabcdef body", true, b"body"),
            (b"Taaaaaaaaaaaaaaaaaaa body", true, b"body"),
        ] {
            assert_eq!(Send::from_bytes(bytes), Ok(Send { notify, body }));
        }
        for bad in [&b""[..], b"T", b"Tabc", b" body", b"X body", b"t body"] {
            assert!(Send::from_bytes(bad).is_err());
        }
    }
}
