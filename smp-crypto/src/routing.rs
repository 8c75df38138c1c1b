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

    /// Proxy: opens the parameter of RRES. What it gets is still encrypted for the client. `correlation_id` is that of RFWD.
    pub fn open_response<'b>(
        &self,
        correlation_id: CorrelationId<'_>,
        parameter: &'b mut [u8],
    ) -> Result<ForwardedResponse<'b>, Error> {
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

#[cfg(test)]
mod tests {
    use smp_proto::smp::proxy::ProxyForward;

    use super::*;
    use crate::{
        key::X25519SecretKey,
        secret_box::PADDED_MESSAGE_START,
        test::{numbers, random},
    };

    /// One command goes there and back; whatever anybody on the way changes is noticed.
    #[test]
    fn nothing_can_be_changed_or_swapped_on_the_way() {
        let random = &mut random(1);
        let [relay, proxy, client] = [(); 3].map(|()| X25519SecretKey::generate(random));
        let session = ProxyLayer::new(&proxy.diffie_hellman(&relay.public_key()).unwrap());
        let (n, p) = (numbers(1), numbers(2));
        let (n, p) = (CorrelationId::from_array(&n), CorrelationId::from_array(&p));
        let layer = CommandLayer::new(&client.diffie_hellman(&relay.public_key()).unwrap(), n);

        let mut command = [0; SEALED_LENGTH];
        command[PADDED_MESSAGE_START..][..7].copy_from_slice(b"command");
        layer.seal_command(&mut command, 7).unwrap();
        let forward = ProxyForward { version: SmpVersion(18), key: client.public_key(), encrypted: &command };
        let transmission = ForwardedTransmission { correlation_id: n, forward };
        let mut parameter = [0; FORWARDED_LENGTH];
        assert_eq!(session.seal_forward(p, &transmission, &mut parameter).unwrap().len(), FORWARDED_LENGTH);
        assert_eq!(session.seal_forward(p, &transmission, &mut { parameter }[1..]), Err(Error::Length));

        for position in (0..FORWARDED_LENGTH).step_by(211) {
            let mut changed = parameter;
            changed[position] ^= 1;
            assert_eq!(session.open_forward(p, &mut changed).err(), Some(Error::Decrypt));
            assert_eq!(session.open_forward(p, &mut { parameter }[..position]).err(), Some(Error::Decrypt));
        }
        assert_eq!(session.open_forward(n, &mut { parameter }).err(), Some(Error::Decrypt));
        // A command is not its own response.
        assert_eq!(session.open_response(p, &mut { parameter }).err(), Some(Error::Decrypt));
        assert_eq!(layer.open_response(&mut { command }), Err(Error::Decrypt));

        let opened = session.open_forward(p, &mut parameter).unwrap();
        let theirs = CommandLayer::new(&relay.diffie_hellman(&opened.key).unwrap(), opened.correlation_id);
        assert_eq!(theirs.open_command(&mut { command }[..SEALED_LENGTH - 1]), Err(Error::Decrypt));
        assert_eq!(theirs.open_command(opened.encrypted).unwrap(), b"command");
        let other = CommandLayer::new(&relay.diffie_hellman(&proxy.public_key()).unwrap(), n);
        assert_eq!(other.open_command(&mut { command }), Err(Error::Decrypt));
        assert_eq!(layer.seal_command(&mut command, PADDED_LENGTH - 1), Err(Error::Length));

        let mut unreadable = [0; 40];
        let sealed = session.seal(&Nonce::from_slice(p.as_bytes()), &smp_proto::wire::Rest(b"no"), &mut unreadable);
        let length = sealed.unwrap().len();
        assert!(matches!(session.open_forward(p, &mut unreadable[..length]), Err(Error::Format(_))));
    }

    #[test]
    fn layers_are_redacted() {
        let secret = SharedSecret::from_bytes([1; 32]);
        let session = ProxyLayer::new(&secret);
        assert_eq!(std::format!("{session:?}"), "ProxyLayer(Secret(..))");
        let layer = CommandLayer::new(&secret, CorrelationId::from_array(&[1; 24]));
        assert_eq!(std::format!("{layer:?}"), "CommandLayer { key: Secret(..), nonce: Nonce(..) }");
    }
}
