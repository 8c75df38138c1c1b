use crate::smp::json::{Object, Value, write_integer};
use crate::wire::{Error, Reader, Writer};

/// Why a queue is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Blocked {
    /// The operator's reason.
    pub reason: BlockingReason,
    /// What clients shall show, from version 18 on.
    pub notice: Option<Notice>,
}

/// An operator's reason to block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockingReason {
    /// `spam`
    Spam,
    /// `content`
    Content,
}

/// A notice to the user about a blocked queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Notice {
    /// Seconds to show it; without end when absent.
    pub ttl: Option<i64>,
}

impl Blocked {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.expect(b" ")?;
        Self::decode_info(reader)
    }

    /// Reads `reason=spam` or `reason=content`, then `,notice=` and its JSON if there is any, to the end: what stands
    /// behind the word `BLOCKED`, in queue logs (wire reference, section 14.3) and in operators' commands (14.7).
    pub fn decode_info(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.expect(b"reason=")?;
        let reason = match reader.until(b',') {
            b"spam" => BlockingReason::Spam,
            b"content" => BlockingReason::Content,
            _ => return Err(Error::Invalid),
        };
        if reader.is_empty() {
            return Ok(Self { reason, notice: None });
        }
        reader.expect(b",notice=")?;
        let mut ttl = None;
        Object::from_json(reader.rest())?.read(|key, value| {
            if key == "ttl" {
                ttl = match value {
                    Value::Null => None,
                    value => Some(value.integer()?),
                };
            }
            Ok(())
        })?;
        Ok(Self { reason, notice: Some(Notice { ttl }) })
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.bytes(b"BLOCKED ")?;
        self.encode_info(writer)
    }

    /// Writes what [`Self::decode_info`] reads; 50 bytes at most.
    pub fn encode_info(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        match self.reason {
            BlockingReason::Spam => writer.bytes(b"reason=spam")?,
            BlockingReason::Content => writer.bytes(b"reason=content")?,
        }
        match self.notice {
            None => Ok(()),
            Some(Notice { ttl: None }) => writer.bytes(b",notice={}"),
            Some(Notice { ttl: Some(ttl) }) => {
                writer.bytes(b",notice={\"ttl\":")?;
                write_integer(writer, ttl)?;
                writer.u8(b'}')
            }
        }
    }
}
