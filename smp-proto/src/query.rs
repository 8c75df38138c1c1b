//! Query strings and percent-encoding of links (wire reference, section 1.1 and 13).

use core::fmt;

use crate::text::{split_once, split_where};
use crate::wire::{Error, base64_url_decode};

/// The parameters behind the `?` of a link, still percent-encoded.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// Takes the text behind `?`. White space ends a link, so it is refused.
    pub(crate) fn new(text: &'a str) -> Result<Self, Error> {
        if text.bytes().any(|byte| byte == b' ' || byte.is_ascii_control()) {
            Err(Error::Trailing)
        } else {
            Ok(Self(text))
        }
    }

    /// The value of the first parameter of this name, percent-encoded.
    pub(crate) fn get(&self, name: &str) -> Option<Encoded<'a>> {
        let mut rest = self.0;
        loop {
            let (pair, others) = split_where(rest, |byte| byte == b'&' || byte == b';');
            let (found, value) = split_once(pair, b'=').unwrap_or((pair, ""));
            if found == name {
                return Some(Encoded(value));
            }
            rest = others.get(1..)?;
        }
    }

    /// The value of a parameter that must be there.
    pub(crate) fn require(&self, name: &str) -> Result<Encoded<'a>, Error> {
        self.get(name).ok_or(Error::Invalid)
    }
}

/// Percent-encoded text.
#[derive(Clone, Copy)]
pub(crate) struct Encoded<'a>(&'a str);

impl<'a> Encoded<'a> {
    /// The text, if nothing in it is encoded.
    pub(crate) fn plain(self) -> Result<&'a str, Error> {
        if self.0.contains(['%', '+']) { Err(Error::Invalid) } else { Ok(self.0) }
    }

    /// The bytes it stands for, one by one; `+` is a space.
    pub(crate) fn bytes(self) -> impl Iterator<Item = Result<u8, Error>> + use<'a> {
        let mut left = self.0.bytes();
        core::iter::from_fn(move || {
            Some(match left.next()? {
                b'+' => Ok(b' '),
                b'%' => {
                    let mut digit = || left.next().and_then(|digit| char::from(digit).to_digit(16));
                    match (digit(), digit()) {
                        (Some(high), Some(low)) => u8::try_from((high << 4) | low).map_err(|_| Error::Invalid),
                        _ => Err(Error::Invalid),
                    }
                }
                byte => Ok(byte),
            })
        })
    }

    /// The text it stands for; [`Error::TooLong`] when it does not fit the buffer.
    pub(crate) fn text(self, buffer: &mut [u8]) -> Result<&str, Error> {
        let mut free = buffer.iter_mut();
        let mut length = 0usize;
        for byte in self.bytes() {
            *free.next().ok_or(Error::TooLong)? = byte?;
            length = length.saturating_add(1);
        }
        let text = buffer.get(..length).ok_or(Error::TooLong)?;
        core::str::from_utf8(text).map_err(|_| Error::Invalid)
    }
}

/// Shows a value percent-encoded: all but letters, digits and `- _ . ~` escaped.
pub(crate) struct Percent<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Percent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Escape<'f, 'g>(&'f mut fmt::Formatter<'g>);
        impl fmt::Write for Escape<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                text.bytes().try_for_each(|byte| match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                        self.0.write_str(char::from(byte).encode_utf8(&mut [0; 4]))
                    }
                    _ => write!(self.0, "%{byte:02X}"),
                })
            }
        }
        fmt::Write::write_fmt(&mut Escape(f), format_args!("{}", self.0))
    }
}

/// Splits base64url with its padding off the front of a text.
pub(crate) fn split_base64(text: &str) -> (&str, &str) {
    let (_, padded) = split_where(text, |byte| !byte.is_ascii_alphanumeric() && byte != b'-' && byte != b'_');
    let (_, rest) = split_where(padded, |byte| byte != b'=');
    text.split_at_checked(text.len().saturating_sub(rest.len())).unwrap_or((text, ""))
}

/// Decodes base64url of at least one and at most `N` bytes.
pub(crate) fn decode_base64<const N: usize>(text: &str) -> Result<heapless::Vec<u8, N>, Error> {
    let mut bytes = heapless::Vec::new();
    bytes.resize_default(N).map_err(|_| Error::TooLong)?;
    let length = base64_url_decode(text.as_bytes(), &mut bytes)
        .map_err(|error| if error == Error::NoSpace { Error::TooLong } else { error })?
        .len();
    bytes.truncate(length);
    if bytes.is_empty() { Err(Error::Invalid) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn first_of_equal_names_counts() {
        let query = Query::new("a=1&b&a=2;c=%3b&%=").unwrap();
        let get = |name| query.get(name).map(|value| value.text(&mut [0; 8]).unwrap().to_string());
        assert_eq!(get("a").as_deref(), Some("1"));
        assert_eq!(get("b").as_deref(), Some(""));
        assert_eq!(get("c").as_deref(), Some(";"));
        assert_eq!(get("d"), None);
        assert!(Query::new("a=1 b").is_err());
    }

    #[test]
    fn percent_encoding_round_trips() {
        let text = "aZ0-_.~ =&%/\u{e9}";
        let encoded = Percent(text).to_string();
        assert_eq!(encoded, "aZ0-_.~%20%3D%26%25%2F%C3%A9");
        assert_eq!(Encoded(&encoded).text(&mut [0; 32]), Ok(text));
        assert_eq!(Percent(Percent("=")).to_string(), "%253D");
        for broken in ["%", "%1", "%g1", "%ff"] {
            assert_eq!(Encoded(broken).text(&mut [0; 8]), Err(Error::Invalid));
        }
        assert_eq!(Encoded("abc").text(&mut [0; 2]), Err(Error::TooLong));
    }

    #[test]
    fn base64_is_bounded() {
        assert_eq!(split_base64("ab-_==/x"), ("ab-_==", "/x"));
        assert_eq!(decode_base64::<3>("AAAA").unwrap(), [0, 0, 0]);
        assert_eq!(decode_base64::<2>("AAAA"), Err(Error::TooLong));
        assert_eq!(decode_base64::<2>(""), Err(Error::Invalid));
    }
}
