use core::fmt;

use super::{Decode, Encode, Error, Reader, Writer};

/// Prints how many bytes there are and none of them: contents and identifiers stay out of logs.
pub(crate) struct Hidden<'a>(pub(crate) &'a [u8]);

impl fmt::Debug for Hidden<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

macro_rules! hide_contents {
    ($($name:ident),*) => {
        $(impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&Hidden(self.0)).finish()
            }
        })*
    };
}

hide_contents!(ShortString, LongString, Rest);

/// `str`: up to 255 bytes behind one length byte.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ShortString<'a>(&'a [u8]);

impl<'a> ShortString<'a> {
    /// Wraps up to 255 bytes.
    pub const fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() > 255 { Err(Error::TooLong) } else { Ok(Self(bytes)) }
    }

    /// The bytes without their length.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Decode<'a> for ShortString<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.short().map(Self)
    }
}

impl Encode for ShortString<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.short(self.0)
    }
}

/// `lstr`: up to 65,535 bytes behind two length bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct LongString<'a>(&'a [u8]);

impl<'a> LongString<'a> {
    /// Wraps up to 65,535 bytes.
    pub const fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() > 65_535 { Err(Error::TooLong) } else { Ok(Self(bytes)) }
    }

    /// The bytes without their length.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Decode<'a> for LongString<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.long().map(Self)
    }
}

impl Encode for LongString<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.long(self.0)
    }
}

/// `rest`: every byte left in the enclosing unit.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rest<'a>(pub &'a [u8]);

impl<'a> Decode<'a> for Rest<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self(reader.rest()))
    }
}

impl Encode for Rest<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.bytes(self.0)
    }
}

/// `time`: whole seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Decode<'_> for Time {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.i64().map(Self)
    }
}

impl Encode for Time {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.i64(self.0)
    }
}

/// `bool`: `T` or `F`.
impl Decode<'_> for bool {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.u8()? {
            b'T' => Ok(true),
            b'F' => Ok(false),
            _ => Err(Error::Invalid),
        }
    }
}

impl Encode for bool {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.u8(if *self { b'T' } else { b'F' })
    }
}

impl Decode<'_> for u16 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.u16()
    }
}

impl Encode for u16 {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.u16(*self)
    }
}

impl Decode<'_> for u32 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.u32()
    }
}

impl Encode for u32 {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.u32(*self)
    }
}

impl Decode<'_> for i64 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.i64()
    }
}

impl Encode for i64 {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.i64(*self)
    }
}

/// `opt(X)`: `0`, or `1` and the value.
impl<'a, T: Decode<'a>> Decode<'a> for Option<T> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        match reader.u8()? {
            b'0' => Ok(None),
            b'1' => T::decode(reader).map(Some),
            _ => Err(Error::Invalid),
        }
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            None => writer.u8(b'0'),
            Some(value) => {
                writer.u8(b'1')?;
                value.encode(writer)
            }
        }
    }
}
