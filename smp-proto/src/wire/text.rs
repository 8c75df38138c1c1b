use core::fmt;

use super::Error;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Shows bytes as base64url with padding, the text form of byte strings (wire reference, section 1.1).
#[derive(Clone, Copy, Debug)]
pub struct Base64<'a>(pub &'a [u8]);

impl fmt::Display for Base64<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        encode(self.0, true, |c| fmt::Write::write_char(f, char::from(c)))
    }
}

/// Shows bytes as base64url without padding, as short links have them.
#[derive(Clone, Copy, Debug)]
pub struct Base64Unpadded<'a>(pub &'a [u8]);

impl fmt::Display for Base64Unpadded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        encode(self.0, false, |c| fmt::Write::write_char(f, char::from(c)))
    }
}

/// Writes base64url into `out`, with or without `=` padding, and returns the text.
pub fn base64_url_encode<'b>(bytes: &[u8], padded: bool, out: &'b mut [u8]) -> Result<&'b str, Error> {
    let mut length = 0usize;
    encode(bytes, padded, |c| {
        *out.get_mut(length).ok_or(Error::NoSpace)? = c;
        length = length.saturating_add(1);
        Ok(())
    })?;
    let text = out.get(..length).ok_or(Error::NoSpace)?;
    core::str::from_utf8(text).map_err(|_| Error::Invalid)
}

fn encode<E>(bytes: &[u8], padded: bool, mut put: impl FnMut(u8) -> Result<(), E>) -> Result<(), E> {
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for position in 0..4usize {
            if position <= group.len() {
                let shift = 18usize.saturating_sub(position.saturating_mul(6));
                let index = usize::try_from((bits >> shift) & 63).unwrap_or(0);
                put(ALPHABET.get(index).copied().unwrap_or(b'A'))?;
            } else if padded {
                put(b'=')?;
            }
        }
    }
    Ok(())
}

/// How many bytes a base64url text of this length can stand for at most.
#[must_use]
pub const fn base64_url_decoded_len(text: usize) -> usize {
    text.div_ceil(4).saturating_mul(3)
}

/// Reads base64url into `out`, with complete `=` padding or none at all, and returns the bytes.
///
/// Stray bits behind the last byte are refused: every value has one text.
pub fn base64_url_decode<'b>(text: &[u8], out: &'b mut [u8]) -> Result<&'b [u8], Error> {
    let digits = match text {
        [head @ .., b'=', b'='] if text.len().is_multiple_of(4) => head,
        [head @ .., b'='] if text.len().is_multiple_of(4) => head,
        _ => text,
    };
    let mut length = 0usize;
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for position in 0..4usize {
            let digit = match group.get(position) {
                Some(c) => digit(*c)?,
                None => 0,
            };
            bits = (bits << 6) | digit;
        }
        let count = match group.len() {
            4 => 3,
            3 if bits & 0xFF == 0 => 2,
            2 if bits & 0xFFFF == 0 => 1,
            _ => return Err(Error::Invalid),
        };
        let [_, bytes @ ..] = bits.to_be_bytes();
        for byte in bytes.iter().take(count) {
            *out.get_mut(length).ok_or(Error::NoSpace)? = *byte;
            length = length.saturating_add(1);
        }
    }
    out.get(..length).ok_or(Error::NoSpace)
}

fn digit(c: u8) -> Result<u32, Error> {
    let (base, offset) = match c {
        b'A'..=b'Z' => (b'A', 0u32),
        b'a'..=b'z' => (b'a', 26),
        b'0'..=b'9' => (b'0', 52),
        b'-' => return Ok(62),
        b'_' => return Ok(63),
        _ => return Err(Error::Invalid),
    };
    Ok(u32::from(c.wrapping_sub(base)).saturating_add(offset))
}
