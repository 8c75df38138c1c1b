//! Link data: what a relay keeps for a short link, opaque to it (wire reference, sections 7.2, 7.3 and 13.2).

use crate::id::{LinkId, QueueId};
use crate::wire::{Decode, Encode, Error, LongString, Reader, Writer};

/// The two encrypted parts of link data. A relay limits neither; together they must fit a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkData<'a> {
    /// The part that never changes; its hash is in the link.
    pub fixed: LongString<'a>,
    /// The part its owner may replace.
    pub user: LongString<'a>,
}

impl<'a> Decode<'a> for LinkData<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { fixed: reader.value()?, user: reader.value()? })
    }
}

impl Encode for LinkData<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.fixed)?;
        writer.value(&self.user)
    }
}

/// Parameters of `LSET`: stores or replaces link data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetLink<'a> {
    /// The link.
    pub link_id: LinkId<'a>,
    /// Its data.
    pub data: LinkData<'a>,
}

impl<'a> Decode<'a> for SetLink<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { link_id: reader.value()?, data: reader.value()? })
    }
}

impl Encode for SetLink<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.link_id)?;
        writer.value(&self.data)
    }
}

/// Parameters of `LNK`: the data of a link and the queue behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkContent<'a> {
    /// The sender id of the queue.
    pub sender_id: QueueId<'a>,
    /// The link's data.
    pub data: LinkData<'a>,
}

impl<'a> Decode<'a> for LinkContent<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { sender_id: reader.value()?, data: reader.value()? })
    }
}

impl Encode for LinkContent<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.sender_id)?;
        writer.value(&self.data)
    }
}
