//! The password some relays ask for before they create queues or forward (wire reference, section 1.8).

use core::fmt;

use crate::wire::{Decode, Encode, Error, Reader, Writer};

/// A relay's password as commands carry it, borrowed ([`Password`](crate::address::Password) owns one): up to 255 bytes, each a printable character of Latin-1 other than white space, `@`, `:` and `/`.
/// It may be empty.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PasswordRef<'a>(&'a [u8]);

impl<'a> PasswordRef<'a> {
    /// Wraps a password: [`Error::TooLong`] above 255 bytes, [`Error::Invalid`] for characters it must not have.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() > 255 {
            Err(Error::TooLong)
        } else if bytes.iter().all(|byte| allowed(*byte)) {
            Ok(Self(bytes))
        } else {
            Err(Error::Invalid)
        }
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

const fn allowed(byte: u8) -> bool {
    // 0xA0 is a no-break space and 0xAD a soft hyphen, which does not print.
    matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) && !matches!(byte, b'@' | b':' | b'/')
}

impl<'a> TryFrom<&'a crate::address::Password> for PasswordRef<'a> {
    type Error = Error;

    fn try_from(password: &'a crate::address::Password) -> Result<Self, Error> {
        Self::new(password.as_bytes())
    }
}

impl fmt::Debug for PasswordRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl<'a> Decode<'a> for PasswordRef<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Self::new(reader.short()?)
    }
}

impl Encode for PasswordRef<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.short(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_limited() {
        for good in [&b"secret"[..], b"", b"!~#?;,", &[0xa1, 0xff]] {
            assert_eq!(PasswordRef::new(good).unwrap().as_bytes(), good);
        }
        for bad in [&b"a b"[..], b"a@b", b"a:b", b"a/b", b"\n", b"\x00", b"\x7f", &[0x80], &[0xa0], &[0xad]] {
            assert_eq!(PasswordRef::new(bad), Err(Error::Invalid));
        }
        assert!(PasswordRef::new(&[b'x'; 255]).is_ok());
        assert_eq!(PasswordRef::new(&[b'x'; 256]), Err(Error::TooLong));
    }

    #[test]
    fn it_is_not_printed() {
        assert_eq!(std::format!("{:?}", PasswordRef::new(b"secret").unwrap()), "Password(..)");
    }
}
