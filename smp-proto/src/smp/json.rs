//! The little JSON that the queue protocol carries (blocking notices, queue information, name records), read where it
//! stands: RFC 8259 without allocation and without recursion.

use crate::wire::{Error, Reader, Writer};

mod string;

pub use string::{JsonChars, JsonString};

/// How deep arrays and objects may be nested in skipped values.
pub const DEPTH_LIMIT: u32 = 64;

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
        Ok(JsonString::raw(text))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    fn member(json: &[u8]) -> Result<Value<'_>, Error> {
        let mut found = Err(Error::Truncated);
        Object::from_json(json)?.read(|key, value| {
            if key == "a" {
                found = Ok(value);
            }
            Ok(())
        })?;
        found
    }

    #[test]
    fn strings_are_unescaped() {
        let text = member(br#" { "x":[{}] , "a" : "q\"b\\s\/n\n\u00e9\ud83d\ude00\ud83dx\udbff\udfff" } "#)
            .unwrap()
            .string()
            .unwrap();
        assert_eq!(text.to_string(), "q\"b\\s/n\n\u{e9}\u{1f600}\u{fffd}x\u{10ffff}");
        assert_eq!(text.as_str(), None);
        assert_eq!(member(br#"{"a":"plain"}"#).unwrap().string().unwrap().as_str(), Some("plain"));
    }

    #[test]
    fn written_strings_read_back() {
        for text in ["", "plain", "\"quoted\"", "back\\slash", "line\nfeed\r\t\u{0}\u{1f}", "\u{e9}\u{1f600}"] {
            let mut buffer = [0; 100];
            let mut writer = Writer::new(&mut buffer);
            writer.bytes(b"{\"a\":").unwrap();
            JsonString::new(text).encode(&mut writer).unwrap();
            writer.bytes(b"}").unwrap();
            let read = member(writer.written()).unwrap().string().unwrap();
            assert_eq!(read, JsonString::new(text));
            assert_eq!(read.to_string(), text);
            let other: serde_json::Value = serde_json::from_slice(writer.written()).unwrap();
            assert_eq!(other["a"], text, "another reader agrees");
        }
    }

    #[test]
    fn integers_are_exact() {
        for value in [0, 1, -1, 9, 10, 86_400, i64::MAX, i64::MIN] {
            let mut buffer = [0; 40];
            let mut writer = Writer::new(&mut buffer);
            writer.bytes(b"{\"a\":").unwrap();
            write_integer(&mut writer, value).unwrap();
            writer.bytes(b"}").unwrap();
            assert_eq!(member(writer.written()).unwrap().integer(), Ok(value));
        }
        for fraction in [&br#"{"a":1.5}"#[..], br#"{"a":1e3}"#, br#"{"a":9223372036854775808}"#, br#"{"a":"1"}"#] {
            assert!(member(fraction).unwrap().integer().is_err());
        }
    }

    #[test]
    fn malformed_documents_are_refused() {
        let malformed: [&[u8]; 25] = [
            b"",
            b"{",
            b"}",
            b"[]",
            b"null",
            b"{\"a\"}",
            b"{\"a\":}",
            b"{\"a\":1,}",
            b"{,}",
            b"{\"a\":1}x",
            b"{\"a\":[1,]}",
            b"{\"a\":[1}",
            b"{\"a\":{]}",
            b"{\"a\":01}",
            b"{\"a\":1.}",
            b"{\"a\":-}",
            b"{\"a\":+1}",
            b"{\"a\":1e}",
            b"{\"a\":tru}",
            b"{\"a\":\"\\x\"}",
            b"{\"a\":\"\\u12g4\"}",
            b"{\"a\":\"\n\"}",
            b"{\"a\":\"\xff\"}",
            b"{a:1}",
            b"{\"a\":\"",
        ];
        for document in malformed {
            assert!(Object::from_json(document).is_err(), "{}", std::string::String::from_utf8_lossy(document));
            assert!(serde_json::from_slice::<serde_json::Map<_, serde_json::Value>>(document).is_err());
        }
    }

    #[test]
    fn any_shape_another_reader_takes_is_taken() {
        let shapes = [
            r#"{}"#,
            r#"{"a":[]}"#,
            r#"{"a":[[],{},[{"b":[1,2,{"c":null}]}],true,false,-0.5e-3,"x"]}"#,
            r#"{ "a" : [ 1 , { } ] }"#,
            r#"{"a":{"b":{"c":{"d":[{}]}}},"e":0}"#,
            "\t{\r\n\"a\":\n1}",
        ];
        for shape in shapes {
            serde_json::from_str::<serde_json::Value>(shape).unwrap();
            Object::from_json(shape.as_bytes()).unwrap();
            for end in 0..shape.len() {
                assert!(Object::from_json(&shape.as_bytes()[..end]).is_err());
            }
        }
    }

    #[test]
    fn arrays_give_their_values() {
        let array = member(br#"{"a":[ "x" , ["no"] , "y","z" ]}"#).unwrap().array().unwrap();
        let strings: Vec<_> = array.values().filter_map(|value| value.string().ok()).map(|s| s.to_string()).collect();
        assert_eq!(strings, ["x", "y", "z"]);
        assert_eq!(member(br#"{"a":[ ]}"#).unwrap().array().unwrap().values().count(), 0);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| ["{\"a\":".repeat(depth), "1".into(), "}".repeat(depth)].concat();
        let limit = usize::try_from(DEPTH_LIMIT).unwrap();
        assert!(Object::from_json(nested(limit).as_bytes()).is_ok());
        assert!(matches!(Object::from_json(nested(limit + 1).as_bytes()), Err(Error::TooLong)));
        assert!(Object::from_json("[".repeat(100_000).as_bytes()).is_err());
    }
}
