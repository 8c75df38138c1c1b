//! The two layers of private routing: a client's command travels through a proxy, which learns neither the command nor
//! its answer, to a relay, which does not learn the client's address (wire reference, section 12).
//!
//! | Layer | Between | Secret | Nonces of command and response |
//! |---|---|---|---|
//! | [`CommandLayer`] | client and relay | one key pair per command, and the relay's session key | `n`, `n` reversed |
//! | [`ProxyLayer`] | proxy and relay | the session keys of their connection | `p`, `p` reversed |
//!
//! `n` is the correlation id of PFWD and of the command inside, `p` that of RFWD.

use smp_proto::{
    id::CorrelationId,
    key::X25519PublicKey,
    smp::proxy::{ForwardedResponse, ForwardedTransmission},
    version::SmpVersion,
    wire::{Decode, Encode, Writer},
};

use crate::{
    Error,
    key::SharedSecret,
    secret_box::{BoxKey, Nonce, TAG_LENGTH},
};

/// Length of the padded block with the command or the response, in bytes.
pub const PADDED_LENGTH: usize = 16_226;
/// Length of the encrypted command in PFWD, and of the encrypted response in PRES, in bytes.
pub const SEALED_LENGTH: usize = PADDED_LENGTH + TAG_LENGTH;
/// Length of the parameter of RFWD, with a correlation id of 24 bytes.
pub const FORWARDED_LENGTH: usize = TAG_LENGTH + 25 + 2 + 45 + SEALED_LENGTH;
/// Length of the parameter of RRES, with a correlation id of 24 bytes.
pub const FORWARDED_RESPONSE_LENGTH: usize = TAG_LENGTH + 25 + SEALED_LENGTH;

/// What protects one command and its response between client and relay.
#[derive(Debug)]
pub struct CommandLayer {
    key: BoxKey,
    nonce: Nonce,
}

impl CommandLayer {
    /// `secret` is agreed between the client's key for this command and the relay's session key with the proxy.
    #[must_use]
    pub fn new(secret: &SharedSecret, correlation_id: CorrelationId<'_>) -> Self {
        Self { key: secret.into(), nonce: Nonce::from_slice(correlation_id.as_bytes()) }
    }

    /// Client: encrypts a batch of one command of `length` bytes, which stands in the buffer from
    /// [`PADDED_MESSAGE_START`](crate::secret_box::PADDED_MESSAGE_START) on.
    pub fn seal_command(&self, buffer: &mut [u8; SEALED_LENGTH], length: usize) -> Result<(), Error> {
        self.key.seal_padded(&self.nonce, buffer, length)
    }

    /// Relay: decrypts the batch. Both errors are CRYPTO to the proxy.
    pub fn open_command<'b>(&self, encrypted: &'b mut [u8]) -> Result<&'b [u8], Error> {
        self.key.open_content(&self.nonce, encrypted)
    }

    /// Relay: encrypts a batch of one response, laid out as for [`seal_command`](Self::seal_command).
    pub fn seal_response(&self, buffer: &mut [u8; SEALED_LENGTH], length: usize) -> Result<(), Error> {
        self.key.seal_padded(&self.nonce.reversed(), buffer, length)
    }

    /// Client: decrypts the batch in PRES.
    pub fn open_response<'b>(&self, encrypted: &'b mut [u8]) -> Result<&'b [u8], Error> {
        self.key.open_content(&self.nonce.reversed(), encrypted)
    }
}

/// What protects forwarded commands between a proxy and a relay, for the length of their connection.
#[derive(Debug)]
pub struct ProxyLayer(BoxKey);

/// A forwarded command as a relay finds it; the command itself is still encrypted.
#[derive(Debug)]
pub struct OpenedForward<'b> {
    /// The correlation id of the client's PFWD.
    pub correlation_id: CorrelationId<'b>,
    /// The version the command is encoded for.
    pub version: SmpVersion,
    /// The client's key for this command.
    pub key: X25519PublicKey,
    /// The command, for [`CommandLayer::open_command`].
    pub encrypted: &'b mut [u8],
}

/// A response as a proxy finds it; the proxy cannot decrypt it.
pub type OpenedResponse<'b> = ForwardedResponse<'b>;

impl ProxyLayer {
    /// `secret` is agreed between the session keys of the connection of proxy and relay.
    #[must_use]
    pub fn new(secret: &SharedSecret) -> Self {
        Self(secret.into())
    }

    /// Proxy: makes the parameter of RFWD, of [`FORWARDED_LENGTH`] bytes.
    pub fn seal_forward<'b>(
        &self,
        correlation_id: CorrelationId<'_>,
        transmission: &ForwardedTransmission<'_>,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Error> {
        self.seal(&Nonce::from_slice(correlation_id.as_bytes()), transmission, buffer)
    }

    /// Relay: opens the parameter of RFWD. [`Error::Decrypt`] is CRYPTO to the proxy, [`Error::Format`] a syntax error.
    pub fn open_forward<'b>(
        &self,
        correlation_id: CorrelationId<'_>,
        parameter: &'b mut [u8],
    ) -> Result<OpenedForward<'b>, Error> {
        let content = self.0.open(&Nonce::from_slice(correlation_id.as_bytes()), parameter)?;
        let length = ForwardedTransmission::from_bytes(content)?.forward.encrypted.len();
        let (head, encrypted) =
            content.split_at_mut_checked(content.len().saturating_sub(length)).ok_or(Error::Length)?;
        let ForwardedTransmission { correlation_id, forward } = ForwardedTransmission::from_bytes(head)?;
        Ok(OpenedForward { correlation_id, version: forward.version, key: forward.key, encrypted })
    }

    /// Relay: makes the parameter of RRES, of [`FORWARDED_RESPONSE_LENGTH`] bytes. `correlation_id` is that of RFWD.
    pub fn seal_response<'b>(
        &self,
        correlation_id: CorrelationId<'_>,
        response: &ForwardedResponse<'_>,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Error> {
        self.seal(&Nonce::from_slice(correlation_id.as_bytes()).reversed(), response, buffer)
    }

    /// Proxy: opens the parameter of RRES. `correlation_id` is that of RFWD.
    pub fn open_response<'b>(
        &self,
        correlation_id: CorrelationId<'_>,
        parameter: &'b mut [u8],
    ) -> Result<OpenedResponse<'b>, Error> {
        let nonce = Nonce::from_slice(correlation_id.as_bytes()).reversed();
        let content: &'b [u8] = self.0.open(&nonce, parameter)?;
        Ok(ForwardedResponse::from_bytes(content)?)
    }

    fn seal<'b>(&self, nonce: &Nonce, content: &impl Encode, buffer: &'b mut [u8]) -> Result<&'b [u8], Error> {
        let mut writer = Writer::new(buffer);
        writer.bytes(&[0; TAG_LENGTH]).map_err(|_| Error::Length)?;
        writer.value(content).map_err(|_| Error::Length)?;
        let sealed = writer.into_written();
        self.0.seal(nonce, sealed)?;
        Ok(sealed)
    }
}
