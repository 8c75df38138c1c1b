//! Connection requests: the full link by which one party invites another (wire reference of the agent, section 8).

use core::fmt;
use core::str::FromStr;

use super::RatchetParameters;
use crate::address::{Host, ServerAddress};
use crate::query::{Encoded, Percent, Query};
use crate::short_link::ShortLink;
use crate::uri::{QueueMode, QueueUri};
use crate::version::{AgentVersion, VersionRange};
use crate::wire::{Decode, Encode, Error, LongString, Reader, Writer};

/// How many queues a request may list. Everybody writes one, and only the first is ever used.
pub const MAX_QUEUES: usize = 4;
/// How many bytes of client data a request may carry.
pub const CLIENT_DATA_CAPACITY: usize = 1024;
/// How long the text of one queue may be, in bytes.
const QUEUE_TEXT_CAPACITY: usize = 1024;
/// How long the text of the ratchet's parameters may be, in bytes.
const RATCHET_TEXT_CAPACITY: usize = 2048;

/// An invitation to connect once, or an address that takes requests to connect.
///
/// It owns its parts, in about four and a half kilobytes; reading one from text takes some 17 KiB of stack where addresses
/// have 64 bits. Printing it with `Debug` hides who invites.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionRequest {
    agent_versions: VersionRange<AgentVersion>,
    queue: QueueUri,
    more_queues: heapless::Vec<QueueUri, { MAX_QUEUES - 1 }>,
    client_data: Option<heapless::String<CLIENT_DATA_CAPACITY>>,
    /// Present in invitations, and in nothing else.
    ratchet: Option<RatchetParameters>,
}

impl ConnectionRequest {
    /// An invitation to connect once.
    #[must_use]
    pub const fn invitation(
        agent_versions: VersionRange<AgentVersion>,
        queue: QueueUri,
        ratchet: RatchetParameters,
    ) -> Self {
        Self { agent_versions, queue, more_queues: heapless::Vec::new(), client_data: None, ratchet: Some(ratchet) }
    }

    /// An address that takes requests to connect.
    #[must_use]
    pub const fn contact(agent_versions: VersionRange<AgentVersion>, queue: QueueUri) -> Self {
        Self { agent_versions, queue, more_queues: heapless::Vec::new(), client_data: None, ratchet: None }
    }

    /// Adds text of the application; [`Error::TooLong`] above [`CLIENT_DATA_CAPACITY`].
    pub fn with_client_data(mut self, text: &str) -> Result<Self, Error> {
        self.set_client_data(text)?;
        Ok(self)
    }

    /// Lists another queue; [`Error::TooLong`] above [`MAX_QUEUES`].
    pub fn with_queue(mut self, queue: QueueUri) -> Result<Self, Error> {
        self.more_queues.push(queue).map_err(|_| Error::TooLong)?;
        Ok(self)
    }

    /// Reads the text form, whatever application's site it begins with.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let rest = match text.strip_prefix("simplex:") {
            Some(rest) => rest,
            None => skip_site(text.strip_prefix("https://").ok_or(Error::Invalid)?)?,
        };
        let (invitation, rest) = if let Some(rest) = rest.strip_prefix("/invitation") {
            (true, rest)
        } else {
            (false, rest.strip_prefix("/contact").ok_or(Error::Invalid)?)
        };
        let query = rest.strip_prefix('/').unwrap_or(rest).strip_prefix("#/?").ok_or(Error::Invalid)?;
        let query = Query::new(query)?;
        let mut agent_versions = VersionRange::<AgentVersion>::parse(query.require("v")?.text(&mut [0; 16])?)?;
        if !invitation {
            // Addresses stay published for years; the versions they name may be gone.
            let min = agent_versions.min().max(AgentVersion::MIN);
            agent_versions = VersionRange::new(min, agent_versions.max().max(min))?;
        }
        // Everything is read to where it stays: a request is too large to be passed on.
        let mut queues = query.require("smp")?.bytes();
        let (queue, mut more) = parse_queue(&mut queues)?;
        let mut request = Self::contact(agent_versions, queue);
        while more {
            more = request.parse_next_queue(&mut queues)?;
        }
        if invitation {
            request.parse_ratchet(query.require("e2e")?)?;
        }
        if let Some(data) = query.get("data") {
            request.parse_client_data(data)?;
        }
        Ok(request)
    }

    #[inline(never)]
    fn parse_next_queue(&mut self, bytes: &mut impl Iterator<Item = Result<u8, Error>>) -> Result<bool, Error> {
        let (queue, more) = parse_queue(bytes)?;
        self.more_queues.push(queue).map_err(|_| Error::TooLong)?;
        Ok(more)
    }

    #[inline(never)]
    fn parse_ratchet(&mut self, parameters: Encoded<'_>) -> Result<(), Error> {
        self.ratchet = Some(RatchetParameters::parse(parameters.text(&mut [0; RATCHET_TEXT_CAPACITY])?)?);
        Ok(())
    }

    #[inline(never)]
    fn parse_client_data(&mut self, data: Encoded<'_>) -> Result<(), Error> {
        self.set_client_data(data.text(&mut [0; CLIENT_DATA_CAPACITY])?)
    }

    fn set_client_data(&mut self, text: &str) -> Result<(), Error> {
        self.client_data = Some(heapless::String::try_from(text).map_err(|_| Error::TooLong)?);
        Ok(())
    }

    /// The versions of the agent protocol the inviting party speaks.
    #[must_use]
    pub const fn agent_versions(&self) -> VersionRange<AgentVersion> {
        self.agent_versions
    }

    /// The queue to connect to.
    #[must_use]
    pub const fn queue(&self) -> &QueueUri {
        &self.queue
    }

    /// Names another address of the relay that keeps the queue to connect to; [`Error::TooLong`] when it does not fit
    /// the fixed buffers.
    pub fn set_server(&mut self, server: &ServerAddress<'_>) -> Result<(), Error> {
        self.queue.set_server(server)
    }

    /// Every queue listed, the one to connect to first.
    pub fn queues(&self) -> impl ExactSizeIterator<Item = &QueueUri> {
        (0..self.more_queues.len().saturating_add(1)).map(|index| match index.checked_sub(1) {
            Some(index) => self.more_queues.get(index).unwrap_or(&self.queue),
            None => &self.queue,
        })
    }

    /// Text of the application.
    #[must_use]
    pub fn client_data(&self) -> Option<&str> {
        self.client_data.as_deref()
    }

    /// The keys of the inviting party, in an invitation; an address has none.
    #[must_use]
    pub const fn ratchet(&self) -> Option<&RatchetParameters> {
        self.ratchet.as_ref()
    }

    /// Whether this is an invitation to connect once, rather than an address.
    #[must_use]
    pub const fn is_invitation(&self) -> bool {
        self.ratchet.is_some()
    }
}

/// Skips `host[:port]`, which nothing depends on.
fn skip_site(text: &str) -> Result<&str, Error> {
    let (_, rest) = Host::parse_prefix(text)?;
    match rest.strip_prefix(':') {
        None => Ok(rest),
        Some(port) => {
            let rest = port.trim_start_matches(|c: char| c.is_ascii_digit());
            if rest.len() == port.len() { Err(Error::Invalid) } else { Ok(rest) }
        }
    }
}

/// Reads one of the queues of a link, which are joined by `;`, and tells whether another follows.
#[inline(never)]
fn parse_queue(bytes: &mut impl Iterator<Item = Result<u8, Error>>) -> Result<(QueueUri, bool), Error> {
    let mut text = heapless::Vec::<u8, QUEUE_TEXT_CAPACITY>::new();
    let more = loop {
        match bytes.next().transpose()? {
            None => break false,
            Some(b';') => break true,
            Some(byte) => text.push(byte).map_err(|_| Error::TooLong)?,
        }
    };
    Ok((QueueUri::parse(core::str::from_utf8(&text).map_err(|_| Error::Invalid)?)?, more))
}

/// Reads a queue of the binary form, which has no letter for the mode of an address in the versions everybody writes.
#[inline(never)]
fn decode_queue(reader: &mut Reader<'_>) -> Result<QueueUri, Error> {
    let queue = reader.value::<QueueUri>()?;
    let mode = queue.mode().unwrap_or(QueueMode::Contact);
    Ok(queue.with_mode(Some(mode)))
}

impl FromStr for ConnectionRequest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for ConnectionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.is_invitation() { "invitation" } else { "contact" };
        write!(f, "simplex:/{mode}#/?v={}&smp=", self.agent_versions)?;
        for (index, queue) in self.queues().enumerate() {
            let separator = if index == 0 { "" } else { "%3B" };
            write!(f, "{separator}{}", Percent(queue))?;
        }
        if let Some(ratchet) = &self.ratchet {
            write!(f, "&e2e={}", Percent(ratchet))?;
        }
        self.client_data.as_ref().map_or(Ok(()), |text| write!(f, "&data={}", Percent(text)))
    }
}

impl fmt::Debug for ConnectionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionRequest")
            .field("agent_versions", &self.agent_versions)
            .field("queue", &self.queue)
            .field("invitation", &self.is_invitation())
            .finish_non_exhaustive()
    }
}

/// The binary form, which occurs inside link data. There an address without a mode is that of a contact queue.
impl Decode<'_> for ConnectionRequest {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let invitation = match reader.u8()? {
            b'I' => true,
            b'C' => false,
            _ => return Err(Error::Invalid),
        };
        let agent_versions = reader.value()?;
        let more = reader.u8()?.checked_sub(1).ok_or(Error::Invalid)?;
        let mut request = Self::contact(agent_versions, decode_queue(reader)?);
        for _ in 0..more {
            request.more_queues.push(decode_queue(reader)?).map_err(|_| Error::TooLong)?;
        }
        if let Some(data) = reader.value::<Option<LongString<'_>>>()? {
            request.set_client_data(core::str::from_utf8(data.as_bytes()).map_err(|_| Error::Invalid)?)?;
        }
        if invitation {
            request.ratchet = Some(reader.value()?);
        }
        Ok(request)
    }
}

impl Encode for ConnectionRequest {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.u8(if self.is_invitation() { b'I' } else { b'C' })?;
        writer.value(&self.agent_versions)?;
        let mut queues = self.queues();
        writer.u8(u8::try_from(queues.len()).map_err(|_| Error::TooLong)?)?;
        queues.try_for_each(|queue| writer.value(queue))?;
        let client_data = self.client_data.as_ref().map(|text| LongString::new(text.as_bytes())).transpose()?;
        writer.value(&client_data)?;
        self.ratchet.as_ref().map_or(Ok(()), |ratchet| writer.value(ratchet))
    }
}

/// Any link that leads to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nothing here allocates")]
pub enum ConnectionLink {
    /// A link that says everything.
    Full(ConnectionRequest),
    /// A link to where the full one is kept.
    Short(ShortLink),
}

impl ConnectionLink {
    /// Reads a link of either form.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match ConnectionRequest::parse(text) {
            Ok(request) => Ok(Self::Full(request)),
            Err(error) => ShortLink::parse(text).map(Self::Short).map_err(|_| error),
        }
    }

    /// Whether the link invites to connect once, rather than being an address.
    #[must_use]
    pub fn is_invitation(&self) -> bool {
        match self {
            Self::Full(request) => request.is_invitation(),
            Self::Short(link) => link.kind() == crate::short_link::LinkKind::Invitation,
        }
    }
}

impl FromStr for ConnectionLink {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for ConnectionLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(request) => request.fmt(f),
            Self::Short(link) => link.fmt(f),
        }
    }
}
