//! The little JSON that the queue protocol carries (blocking notices, queue information, name records), read where it
//! stands: RFC 8259 without allocation and without recursion.

use core::fmt::{self, Write as _};

use crate::wire::{Error, Reader, Writer};

/// How deep arrays and objects may be nested in skipped values.
pub const DEPTH_LIMIT: u32 = 64;

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

    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
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

/// A JSON value; arrays and objects are checked and kept as text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    String(JsonString<'a>),
    Array(Array<'a>),
    Object(Object<'a>),
}

impl<'a> Value<'a> {
    pub(super) fn boolean(self) -> Result<bool, Error> {
        if let Self::Bool(value) = self { Ok(value) } else { Err(Error::Invalid) }
    }

    pub(super) fn integer(self) -> Result<i64, Error> {
        if let Self::Number(text) = self { text.parse().map_err(|_| Error::Invalid) } else { Err(Error::Invalid) }
    }

    pub(super) fn string(self) -> Result<JsonString<'a>, Error> {
        if let Self::String(text) = self { Ok(text) } else { Err(Error::Invalid) }
    }

    pub(super) fn array(self) -> Result<Array<'a>, Error> {
        if let Self::Array(array) = self { Ok(array) } else { Err(Error::Invalid) }
    }

    pub(super) fn object(self) -> Result<Object<'a>, Error> {
        if let Self::Object(object) = self { Ok(object) } else { Err(Error::Invalid) }
    }

    /// `null` as nothing, and anything else read by `read`.
    pub(super) fn nullable<T>(self, read: impl FnOnce(Self) -> Result<T, Error>) -> Result<Option<T>, Error> {
        if matches!(self, Self::Null) { Ok(None) } else { read(self).map(Some) }
    }
}

/// The text of a checked array, with its brackets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Array<'a>(&'a str);

impl<'a> Array<'a> {
    /// The values in order.
    pub(super) fn values(self) -> impl Iterator<Item = Value<'a>> {
        let mut scanner = Scanner::new(self.0.as_bytes());
        core::iter::from_fn(move || {
            scanner.white();
            scanner.reader.u8().ok().filter(|byte| matches!(byte, b'[' | b','))?;
            scanner.white();
            if scanner.reader.peek() == Some(b']') { None } else { scanner.value().ok() }
        })
    }
}

/// The text of a checked object, with its braces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'a>(&'a str);

impl<'a> Object<'a> {
    /// Reads a document that is one object.
    pub(super) fn from_json(json: &'a [u8]) -> Result<Self, Error> {
        let mut scanner = Scanner::new(json);
        scanner.white();
        let value = scanner.value()?;
        scanner.white();
        scanner.reader.finish()?;
        value.object()
    }

    /// Gives every member to `member`; a key without escapes as it stands, one with escapes as nothing known.
    pub(super) fn read(self, mut member: impl FnMut(&'a str, Value<'a>) -> Result<(), Error>) -> Result<(), Error> {
        let mut scanner = Scanner::new(self.0.as_bytes());
        scanner.reader.expect(b"{")?;
        scanner.white();
        if scanner.reader.peek() == Some(b'}') {
            return Ok(());
        }
        loop {
            scanner.white();
            let key = scanner.string()?;
            scanner.white();
            scanner.reader.expect(b":")?;
            scanner.white();
            let value = scanner.value()?;
            member(key.as_str().unwrap_or_default(), value)?;
            scanner.white();
            if scanner.reader.u8()? != b',' {
                return Ok(());
            }
        }
    }
}

struct Scanner<'a> {
    reader: Reader<'a>,
}

impl<'a> Scanner<'a> {
    const fn new(json: &'a [u8]) -> Self {
        Self { reader: Reader::new(json) }
    }

    fn white(&mut self) {
        while matches!(self.reader.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            let _ = self.reader.u8();
        }
    }

    /// What was read since `start`, a clone of the reader.
    fn since(&self, start: &Reader<'a>) -> Result<&'a str, Error> {
        let bytes = start.remaining();
        let bytes = bytes.get(..bytes.len().saturating_sub(self.reader.len())).ok_or(Error::Truncated)?;
        core::str::from_utf8(bytes).map_err(|_| Error::Invalid)
    }

    fn string(&mut self) -> Result<JsonString<'a>, Error> {
        self.reader.expect(b"\"")?;
        let start = self.reader.clone();
        loop {
            match self.reader.peek().ok_or(Error::Truncated)? {
                b'"' => break,
                0..=0x1f => return Err(Error::Invalid),
                b'\\' => {
                    self.reader.u8()?;
                    match self.reader.u8()? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' if self.reader.array::<4>()?.iter().all(u8::is_ascii_hexdigit) => {}
                        _ => return Err(Error::Invalid),
                    }
                }
                _ => {
                    self.reader.u8()?;
                }
            }
        }
        let text = self.since(&start)?;
        self.reader.u8()?;
        Ok(JsonString(Text::Raw(text)))
    }

    fn digits(&mut self) -> Result<(), Error> {
        if !self.reader.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(Error::Invalid);
        }
        while self.reader.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.reader.u8()?;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value<'a>, Error> {
        let start = self.reader.clone();
        let _ = self.reader.expect(b"-");
        if self.reader.peek() == Some(b'0') {
            self.reader.u8()?;
        } else {
            self.digits()?;
        }
        if self.reader.peek() == Some(b'.') {
            self.reader.u8()?;
            self.digits()?;
        }
        if matches!(self.reader.peek(), Some(b'e' | b'E')) {
            self.reader.u8()?;
            if matches!(self.reader.peek(), Some(b'+' | b'-')) {
                self.reader.u8()?;
            }
            self.digits()?;
        }
        self.since(&start).map(Value::Number)
    }

    fn scalar(&mut self) -> Result<Value<'a>, Error> {
        match self.reader.peek().ok_or(Error::Truncated)? {
            b'"' => self.string().map(Value::String),
            b'n' => self.reader.expect(b"null").map(|()| Value::Null),
            b't' => self.reader.expect(b"true").map(|()| Value::Bool(true)),
            b'f' => self.reader.expect(b"false").map(|()| Value::Bool(false)),
            _ => self.number(),
        }
    }

    fn key(&mut self) -> Result<(), Error> {
        self.white();
        self.string()?;
        self.white();
        self.reader.expect(b":")?;
        self.white();
        Ok(())
    }

    /// Reads one value, of any depth up to [`DEPTH_LIMIT`].
    fn value(&mut self) -> Result<Value<'a>, Error> {
        let start = self.reader.clone();
        let mut depth = 0u32;
        // One bit for each open bracket, the innermost lowest: 1 for an object.
        let mut kinds = 0u64;
        let mut scalar = None;
        loop {
            let closed = match self.reader.peek().ok_or(Error::Truncated)? {
                open @ (b'{' | b'[') => {
                    self.reader.u8()?;
                    depth = depth.saturating_add(1);
                    if depth > DEPTH_LIMIT {
                        return Err(Error::TooLong);
                    }
                    kinds = (kinds << 1) | u64::from(open == b'{');
                    self.white();
                    let empty = self.reader.peek() == Some(if open == b'{' { b'}' } else { b']' });
                    if !empty && open == b'{' {
                        self.key()?;
                    }
                    empty
                }
                _ => {
                    scalar = Some(self.scalar()?);
                    true
                }
            };
            if !closed {
                continue;
            }
            // A value is complete, or an empty bracket is about to be.
            loop {
                if depth == 0 {
                    return scalar.ok_or(Error::Invalid);
                }
                self.white();
                let object = kinds & 1 == 1;
                match self.reader.u8()? {
                    b',' => {
                        if object {
                            self.key()?;
                        } else {
                            self.white();
                        }
                        break;
                    }
                    b'}' if object => {}
                    b']' if !object => {}
                    _ => return Err(Error::Invalid),
                }
                depth = depth.saturating_sub(1);
                kinds >>= 1;
                if depth == 0 {
                    let text = self.since(&start)?;
                    return Ok(if object { Value::Object(Object(text)) } else { Value::Array(Array(text)) });
                }
            }
        }
    }
}

/// Writes a decimal integer.
pub(super) fn write_integer(writer: &mut Writer<'_>, value: i64) -> Result<(), Error> {
    let mut digits = [0u8; 20];
    let mut count = 0usize;
    let mut rest = value.unsigned_abs();
    loop {
        let digit = u8::try_from(rest.checked_rem(10).unwrap_or(0)).unwrap_or(0);
        *digits.get_mut(count).ok_or(Error::NoSpace)? = digit.saturating_add(b'0');
        count = count.saturating_add(1);
        rest = rest.checked_div(10).unwrap_or(0);
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        writer.u8(b'-')?;
    }
    digits.get(..count).unwrap_or_default().iter().rev().try_for_each(|digit| writer.u8(*digit))
}
