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
        reader.expect(b" reason=")?;
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
        writer.bytes(match self.reason {
            BlockingReason::Spam => b"BLOCKED reason=spam",
            BlockingReason::Content => b"BLOCKED reason=content",
        })?;
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
