//! From commands to transmissions, in place (wire reference, sections 6.2 to 6.4).

use smp_crypto::key::X25519PublicKey;
use smp_proto::id::{CorrelationId, EntityId, ID_LENGTH, SessionId};
use smp_proto::transport::transmission::encode_unauthorized;
use smp_proto::version::SmpVersion;
use smp_proto::wire::{self, Writer};

use super::ComposeError;
use crate::key::CommandKey;

/// The session a transmission is for: that of the connection, or the one a proxy has with a relay.
#[derive(Clone, Copy, Debug)]
pub struct TransmissionContext<'s> {
    /// The version that both sides speak.
    pub version: SmpVersion,
    /// The session identifier, which every authorization covers.
    pub session_id: SessionId<'s>,
    /// The relay's session key, which authenticators need.
    pub server_key: Option<&'s X25519PublicKey>,
}

impl TransmissionContext<'_> {
    /// Writes a transmission to the front of a buffer and tells its length.
    ///
    /// With a key, the buffer serves twice: what is authorized stands there contiguously, the session identifier in front
    /// of the rest, before the authorization takes the identifier's place. So a message of 16 KiB is authorized where it
    /// stands. What `command` writes must be a complete command. The buffer is of no meaning after an error.
    pub fn encode(
        &self,
        buffer: &mut [u8],
        correlation_id: &[u8; ID_LENGTH],
        entity: EntityId<'_>,
        key: Option<&CommandKey>,
        command: impl FnOnce(&mut Writer<'_>) -> Result<(), wire::Error>,
    ) -> Result<usize, ComposeError> {
        let correlation_id = CorrelationId::from_array(correlation_id);
        let Some(key) = key else {
            let mut writer = Writer::new(buffer);
            encode_unauthorized(&mut writer, self.version, self.session_id, correlation_id, entity, command)?;
            return Ok(writer.len());
        };
        let sends_session_id = self.version < SmpVersion::AUTHENTICATORS;
        let session_length = self.session_id.as_bytes().len().saturating_add(1);
        let service_byte = usize::from(self.version >= SmpVersion::SERVICES);
        let prefix = key.authorization_length().saturating_add(1).saturating_add(service_byte);
        // Version 6 sends the session identifier behind the authorization; the others do without it.
        let start = if sends_session_id { Some(prefix) } else { prefix.checked_sub(session_length) };
        let start = start.ok_or(wire::Error::TooLong)?;

        let mut writer = Writer::new(buffer.get_mut(start..).ok_or(wire::Error::NoSpace)?);
        writer.value(&self.session_id)?;
        writer.value(&correlation_id)?;
        writer.value(&entity)?;
        command(&mut writer)?;
        let authorized = &*writer.into_written();
        let end = start.saturating_add(authorized.len());
        let made = key.authorize(self.server_key, correlation_id, authorized).map_err(ComposeError::Key)?;

        let mut writer = Writer::new(buffer);
        writer.short(made.as_authorization().as_bytes())?;
        if service_byte > 0 {
            writer.u8(b'0')?;
        }
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use smp_crypto::authorization;
    use smp_crypto::key::X25519SecretKey;
    use smp_proto::transport::Transmission;

    use super::*;
    use crate::test::random;

    const CORRELATION: [u8; 24] = [0xc0; 24];
    const SESSION: [u8; 32] = [0x5e; 32];
    const ENTITY: [u8; 24] = [0xe0; 24];

    fn encode(
        version: u16,
        key: Option<&CommandKey>,
        server: Option<&X25519PublicKey>,
        room: usize,
    ) -> Result<Vec<u8>, ComposeError> {
        let mut buffer = std::vec![0xaa; room];
        let session_id = SessionId::new(&SESSION).unwrap();
        let context = TransmissionContext { version: SmpVersion(version), session_id, server_key: server };
        let entity = EntityId::from_array(&ENTITY);
        let length = context.encode(&mut buffer, &CORRELATION, entity, key, |writer| writer.bytes(b"NSUB"))?;
        buffer.truncate(length);
        Ok(buffer)
    }

    #[test]
    fn relays_accept_what_is_made() {
        let random = &mut random(1);
        let relay = X25519SecretKey::from_bytes(&[9; 32]);
        let relay_key = relay.public_key();
        let decoy = authorization::Decoy::generate(random);
        let keys = [CommandKey::generate_ed25519(random).unwrap(), CommandKey::generate_x25519(random).unwrap()];
        for version in 6..=20 {
            for key in &keys {
                if version == 6 && matches!(key, CommandKey::X25519(_)) {
                    continue;
                }
                let bytes = encode(version, Some(key), Some(&relay_key), 300).unwrap();
                let session_id = SessionId::new(&SESSION).unwrap();
                let read = Transmission::decode(&bytes, SmpVersion(version), session_id).unwrap();
                assert_eq!(read.correlation_id.as_bytes(), CORRELATION);
                assert_eq!(read.entity_id.as_bytes(), ENTITY);
                assert_eq!(read.command, b"NSUB");
                let mut authorized = [0; 200];
                let mut writer = Writer::new(&mut authorized);
                read.write_authorized(&mut writer, session_id).unwrap();
                let public = [key.public_key()];
                let correlation = CorrelationId::from_array(&CORRELATION);
                let written = [writer.written()];
                assert!(authorization::verify(
                    &read.authorization,
                    correlation,
                    &written,
                    &public,
                    Some(&relay),
                    &decoy
                ));
            }
            let plain = encode(version, None, None, 300).unwrap();
            let session_id = SessionId::new(&SESSION).unwrap();
            let read = Transmission::decode(&plain, SmpVersion(version), session_id).unwrap();
            assert!(!read.authorization.is_some());
        }
    }

    #[test]
    fn lengths_are_those_of_the_reference() {
        // Wire reference, section 6.1, without the length field; NSUB is a byte longer than SUB.
        let random = &mut random(1);
        let signing = CommandKey::generate_ed25519(random).unwrap();
        let agreeing = CommandKey::generate_x25519(random).unwrap();
        let relay = X25519SecretKey::from_bytes(&[9; 32]).public_key();
        assert_eq!(encode(6, Some(&signing), None, 300).unwrap().len(), 152);
        assert_eq!(encode(16, Some(&signing), None, 300).unwrap().len(), 120);
        assert_eq!(encode(16, Some(&agreeing), Some(&relay), 300).unwrap().len(), 136);
    }

    #[test]
    fn short_buffers_and_missing_keys_are_errors() {
        let random = &mut random(1);
        let signing = CommandKey::generate_ed25519(random).unwrap();
        let whole = encode(16, Some(&signing), None, 300).unwrap();
        for room in 0..whole.len() {
            assert_eq!(
                encode(16, Some(&signing), None, room),
                Err(ComposeError::Encode(wire::Error::NoSpace)),
                "{room}"
            );
        }
        assert_eq!(encode(16, Some(&signing), None, whole.len()), Ok(whole));
        let agreeing = CommandKey::generate_x25519(random).unwrap();
        let no_key = Err(ComposeError::Key(smp_crypto::Error::NoServerKey));
        assert_eq!(encode(16, Some(&agreeing), None, 300), no_key);
    }
}
