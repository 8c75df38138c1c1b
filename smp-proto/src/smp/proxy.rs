//! Private routing: a proxy passes encrypted transmissions on, so that relays do not see who sends (wire reference,
//! section 12). The layers of encryption are made elsewhere; here are their containers.

use core::fmt;

use super::password::PasswordRef;
use crate::address::ServerAddress;
use crate::id::{CorrelationId, SessionId};
use crate::key::X25519PublicKey;
use crate::transport::hello::CertificateChain;
use crate::version::{SmpVersion, VersionRange};
use crate::wire::{Decode, Encode, Error, Hidden, LongString, Reader, Writer};

/// Parameters of `PRXY`: asks a proxy for a session with a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxySession<'a> {
    /// The relay.
    pub server: ServerAddress<'a>,
    /// The proxy's password.
    pub password: Option<PasswordRef<'a>>,
}

impl<'a> Decode<'a> for ProxySession<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { server: reader.value()?, password: reader.value()? })
    }
}

impl Encode for ProxySession<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.server)?;
        writer.value(&self.password)
    }
}

/// Parameters of `PKEY`: the session a proxy has with a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyKey<'a> {
    /// The session identifier of the connection between proxy and relay, the entity of `PFWD`.
    pub session_id: SessionId<'a>,
    /// The versions the relay can be spoken to through this proxy.
    pub versions: VersionRange<SmpVersion>,
    /// The relay's certificates; the client checks them against the relay's address.
    pub chain: CertificateChain<'a>,
    /// The relay's session key, a signed session key object (wire reference, section 1.6).
    pub signed_key: LongString<'a>,
}

impl<'a> Decode<'a> for ProxyKey<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self {
            session_id: reader.value()?,
            versions: reader.value()?,
            chain: reader.value()?,
            signed_key: reader.value()?,
        })
    }
}

impl Encode for ProxyKey<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.session_id)?;
        writer.value(&self.versions)?;
        writer.value(&self.chain)?;
        writer.value(&self.signed_key)
    }
}

/// Parameters of `PFWD`: a transmission only the relay can read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ProxyForward<'a> {
    /// The version the inner transmission is encoded for.
    pub version: SmpVersion,
    /// The client's key, made for this command.
    pub key: X25519PublicKey,
    /// The encrypted transmission, 16,242 bytes.
    pub encrypted: &'a [u8],
}

impl fmt::Debug for ProxyForward<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyForward")
            .field("version", &self.version)
            .field("key", &self.key)
            .field("encrypted", &Hidden(self.encrypted))
            .finish()
    }
}

impl<'a> Decode<'a> for ProxyForward<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { version: reader.value()?, key: reader.value()?, encrypted: reader.rest() })
    }
}

impl Encode for ProxyForward<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.version)?;
        writer.value(&self.key)?;
        writer.bytes(self.encrypted)
    }
}

/// What a proxy encrypts in `RFWD`: a client's `PFWD` without its entity (wire reference, section 12.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardedTransmission<'a> {
    /// The correlation id of the client's `PFWD`, also the nonce of the client's encryption.
    pub correlation_id: CorrelationId<'a>,
    /// The client's parameters.
    pub forward: ProxyForward<'a>,
}

impl<'a> Decode<'a> for ForwardedTransmission<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { correlation_id: reader.value()?, forward: reader.value()? })
    }
}

impl Encode for ForwardedTransmission<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.correlation_id)?;
        writer.value(&self.forward)
    }
}

/// What a relay encrypts in `RRES`: the answer to a [`ForwardedTransmission`] (wire reference, section 12.4).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ForwardedResponse<'a> {
    /// The correlation id of the client's `PFWD`.
    pub correlation_id: CorrelationId<'a>,
    /// The response, encrypted for the client; the rest of `PRES`.
    pub encrypted: &'a [u8],
}

impl fmt::Debug for ForwardedResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardedResponse")
            .field("correlation_id", &self.correlation_id)
            .field("encrypted", &Hidden(self.encrypted))
            .finish()
    }
}

impl<'a> Decode<'a> for ForwardedResponse<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { correlation_id: reader.value()?, encrypted: reader.rest() })
    }
}

impl Encode for ForwardedResponse<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.correlation_id)?;
        writer.bytes(self.encrypted)
    }
}
