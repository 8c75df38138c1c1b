use core::fmt::{self, Write as _};

use crate::wire::{Error, Writer};

/// A JSON string: the characters between its quotes as they stood in a document, or text to be written into one.
#[derive(Clone, Copy)]
pub struct JsonString<'a>(Text<'a>);

#[derive(Clone, Copy)]
enum Text<'a> {
    /// Escapes not resolved, checked.
    Raw(&'a str),
    Plain(&'a str),
}

impl<'a> JsonString<'a> {
    /// Text to be written; what needs an escape gets one.
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self(Text::Plain(text))
    }

    /// The characters, escapes resolved; unpaired surrogates read as U+FFFD.
    #[must_use]
    pub fn chars(&self) -> JsonChars<'a> {
        match self.0 {
            Text::Raw(text) => JsonChars { rest: text.chars(), escapes: true },
            Text::Plain(text) => JsonChars { rest: text.chars(), escapes: false },
        }
    }

    /// The text, when it can be shown without resolving an escape.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        match self.0 {
            Text::Raw(text) if text.contains('\\') => None,
            Text::Raw(text) | Text::Plain(text) => Some(text),
        }
    }

    /// Whether there are no characters.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        match self.0 {
            Text::Raw(text) | Text::Plain(text) => text.is_empty(),
        }
    }

    /// What stood between two quotes, checked.
    pub(super) const fn raw(text: &'a str) -> Self {
        Self(Text::Raw(text))
    }

    pub(in crate::smp) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.u8(b'"')?;
        match self.0 {
            Text::Raw(text) => writer.bytes(text.as_bytes())?,
            Text::Plain(text) => text.chars().try_for_each(|c| write_char(writer, c))?,
        }
        writer.u8(b'"')
    }
}

impl Default for JsonString<'_> {
    fn default() -> Self {
        Self::new("")
    }
}

impl PartialEq for JsonString<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.chars().eq(other.chars())
    }
}

impl Eq for JsonString<'_> {}

impl PartialEq<str> for JsonString<'_> {
    fn eq(&self, other: &str) -> bool {
        self.chars().eq(other.chars())
    }
}

impl fmt::Display for JsonString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chars().try_for_each(|c| f.write_char(c))
    }
}

impl fmt::Debug for JsonString<'_> {
    /// Shows the length only: names and identifiers stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonString({} characters)", self.chars().count())
    }
}

fn write_char(writer: &mut Writer<'_>, c: char) -> Result<(), Error> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match c {
        '"' => writer.bytes(b"\\\""),
        '\\' => writer.bytes(b"\\\\"),
        '\n' => writer.bytes(b"\\n"),
        '\r' => writer.bytes(b"\\r"),
        '\t' => writer.bytes(b"\\t"),
        '\0'..='\u{1f}' => {
            let code = usize::try_from(u32::from(c)).unwrap_or(0);
            let digit = |nibble: usize| HEX.get(nibble & 15).copied().unwrap_or(b'0');
            writer.bytes(&[b'\\', b'u', b'0', b'0', digit(code >> 4), digit(code)])
        }
        _ => writer.bytes(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Iterates the characters of a [`JsonString`].
#[derive(Clone, Debug)]
pub struct JsonChars<'a> {
    rest: core::str::Chars<'a>,
    escapes: bool,
}

impl JsonChars<'_> {
    fn code_unit(&mut self) -> Option<u32> {
        let mut unit = 0u32;
        for _ in 0..4 {
            unit = (unit << 4) | self.rest.next()?.to_digit(16)?;
        }
        Some(unit)
    }
}

impl Iterator for JsonChars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if !self.escapes || c != '\\' {
            return Some(c);
        }
        Some(match self.rest.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let unit = self.code_unit()?;
                let mut ahead = self.clone();
                let low = match (ahead.rest.next(), ahead.rest.next()) {
                    (Some('\\'), Some('u')) => ahead.code_unit(),
                    _ => None,
                };
                match (unit, low) {
                    (0xD800..0xDC00, Some(low @ 0xDC00..0xE000)) => {
                        self.rest = ahead.rest;
                        let code = (((unit & 0x3FF) << 10) | (low & 0x3FF)).saturating_add(0x1_0000);
                        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                    }
                    _ => char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER),
                }
            }
            other => other,
        })
    }
}
