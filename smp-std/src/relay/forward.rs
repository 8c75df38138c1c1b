//! The destination of private routing: commands that a proxy passes on (wire reference, sections 12.3 and 12.4).
//!
//! The command inside is executed like one of the connection itself, under the version that its envelope names, and
//! answered inside, whatever comes of it. Only what is wrong with the envelope is told to the proxy.

use std::sync::Arc;

use smp_crypto::Error as CryptoError;
use smp_crypto::routing::{CommandLayer, ProxyLayer, SEALED_LENGTH};
use smp_crypto::secret_box::PADDED_MESSAGE_START;
use smp_crypto::secret_box::TAG_LENGTH;
use smp_crypto::session::SessionContext;
use smp_proto::id::{CorrelationId, SessionId};
use smp_proto::smp::error::{BrokerError, CommandError, ProxyError, SmpError, TransportError};
use smp_proto::smp::proxy::ForwardedResponse;
use smp_proto::transport::block::{Batch, BatchWriter};
use smp_proto::version::SmpVersion;
use smp_proto::wire::{Error, Writer};

use super::reply::{Body, Reply, ShortBytes};

/// What a response to a forwarded command is sealed with.
#[derive(Debug)]
pub(crate) struct Envelope {
    proxy: Arc<ProxyLayer>,
    /// The correlation id of RFWD.
    forward_id: ShortBytes,
    client: CommandLayer,
    /// The correlation id of the client's PFWD.
    correlation_id: ShortBytes,
    /// The version of the command and its response.
    pub(crate) version: SmpVersion,
}

/// A response to a forwarded command, sealed when it is written.
#[derive(Debug)]
pub(crate) struct ForwardedReply {
    pub(crate) envelope: Envelope,
    pub(crate) reply: Reply,
}

/// A forwarded command out of its envelope.
pub(super) enum Opened<'b> {
    /// The transmission inside.
    Transmission(Envelope, &'b [u8]),
    /// What is inside is no transmission: the client is told.
    Malformed(Envelope),
}

/// The secret of proxy and relay, or the error when the proxy has sent no key.
pub(super) fn proxy_layer(session: &SessionContext) -> Result<Arc<ProxyLayer>, SmpError<'static>> {
    let no_key = SmpError::Proxy(ProxyError::Broker(BrokerError::Transport(TransportError::NoServerKey)));
    session.session_secret().map(|secret| Arc::new(ProxyLayer::new(&secret))).ok_or(no_key)
}

/// Opens both layers of a forwarded command, in place. Errors are for the proxy.
pub(super) fn open<'b>(
    proxy: &Arc<ProxyLayer>,
    session: &SessionContext,
    forward_id: &ShortBytes,
    parameter: &'b mut [u8],
) -> Result<Opened<'b>, SmpError<'static>> {
    let id = CorrelationId::new(forward_id).map_err(|_| SmpError::Block)?;
    let forwarded = proxy.open_forward(id, parameter).map_err(|error| match error {
        CryptoError::Format(_) => SmpError::Command(CommandError::Syntax),
        _ => SmpError::Crypto,
    })?;
    let key = session.own_secret_key().ok_or(SmpError::Crypto)?;
    let secret = key.diffie_hellman(&forwarded.key).map_err(|_| SmpError::Crypto)?;
    let client = CommandLayer::new(&secret, forwarded.correlation_id);
    let envelope = Envelope {
        proxy: Arc::clone(proxy),
        forward_id: forward_id.clone(),
        correlation_id: ShortBytes::from_slice(forwarded.correlation_id.as_bytes()),
        // Whatever the envelope says, transmissions inside never name their session, as version 6 would.
        version: forwarded.version.max(SmpVersion::AUTHENTICATORS),
        client,
    };
    let content = envelope.client.open_command(forwarded.encrypted).map_err(|_| SmpError::Crypto)?;
    match Batch::decode(content) {
        Ok(batch) if batch.len() > 1 => Err(SmpError::Block),
        Ok(batch) => Ok(match batch.iter().next() {
            Some(transmission) => Opened::Transmission(envelope, transmission),
            None => Opened::Malformed(envelope),
        }),
        Err(_) => Ok(Opened::Malformed(envelope)),
    }
}

impl Envelope {
    /// The response to go back in this envelope.
    pub(crate) fn answer(self, reply: Reply) -> Body {
        Body::Forwarded(Box::new(ForwardedReply { envelope: self, reply }))
    }
}

impl ForwardedReply {
    /// Writes `RRES`, or an error for the proxy when the response has no room inside.
    pub(crate) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        let mut sealed = [0; SEALED_LENGTH];
        let Ok(length) = self.write_inner(&mut sealed) else {
            return writer.bytes(b"ERR BLOCK");
        };
        let Envelope { proxy, forward_id, client, correlation_id, .. } = &self.envelope;
        // First of all: a block that is full already must not cost two encryptions.
        writer.bytes(b"RRES ")?;
        let id_length = correlation_id.len().saturating_add(1);
        let room = writer.reserve(TAG_LENGTH.saturating_add(id_length).saturating_add(SEALED_LENGTH))?;
        client.seal_response(&mut sealed, length).map_err(|_| Error::TooLong)?;
        let response = ForwardedResponse { correlation_id: CorrelationId::new(correlation_id)?, encrypted: &sealed };
        proxy.seal_response(CorrelationId::new(forward_id)?, &response, room).map_err(|_| Error::TooLong)?;
        Ok(())
    }

    /// Writes the batch of one response where it will be sealed, and tells its length.
    fn write_inner(&self, sealed: &mut [u8; SEALED_LENGTH]) -> Result<usize, ()> {
        let content = sealed.get_mut(PADDED_MESSAGE_START..).unwrap_or_default();
        let mut batch = BatchWriter::new(content).map_err(|_| ())?;
        let version = self.envelope.version;
        batch.push(|writer| self.reply.encode(writer, version, SessionId::EMPTY)).map_err(|_| ())?;
        batch.finish().map(<[u8]>::len).ok_or(())
    }
}
