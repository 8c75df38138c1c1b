//! Transmissions: one command or message with what ties it to a session, a request and an entity, and what authorizes it
//! (wire reference, sections 6.2 to 6.5). Authorizations are made and verified elsewhere.

use core::fmt;

use crate::id::{CorrelationId, EntityId, SessionId};
use crate::smp::error::SmpError;
use crate::version::SmpVersion;
use crate::wire::{Error, Hidden, Reader, Writer};

/// What authorizes a command; its length tells which kind it is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Authorization<'a> {
    /// Nothing.
    #[default]
    None,
    /// A deniable authenticator made with an X25519 key.
    Authenticator(&'a [u8; 80]),
    /// A signature.
    Ed25519(&'a [u8; 64]),
    /// A signature.
    Ed448(&'a [u8; 114]),
}

impl<'a> Authorization<'a> {
    /// Recognizes an authorization by its length; [`Error::Invalid`] for lengths nothing has.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.is_empty() {
            Ok(Self::None)
        } else if let Ok(authenticator) = bytes.try_into() {
            Ok(Self::Authenticator(authenticator))
        } else if let Ok(signature) = bytes.try_into() {
            Ok(Self::Ed25519(signature))
        } else if let Ok(signature) = bytes.try_into() {
            Ok(Self::Ed448(signature))
        } else {
            Err(Error::Invalid)
        }
    }

    /// The bytes without their length.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        match self {
            Self::None => &[],
            Self::Authenticator(authenticator) => *authenticator,
            Self::Ed25519(signature) => *signature,
            Self::Ed448(signature) => *signature,
        }
    }

    /// Whether there is one.
    #[must_use]
    pub const fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }
}

impl fmt::Debug for Authorization<'_> {
    /// Shows the kind only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Authenticator(_) => "Authenticator(..)",
            Self::Ed25519(_) => "Ed25519(..)",
            Self::Ed448(_) => "Ed448(..)",
        })
    }
}

/// A transmission as it was received; its command is not read yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Transmission<'a> {
    /// What authorizes the command; nothing in those of relays.
    pub authorization: Authorization<'a>,
    /// The signature of the session's service, from version 16 on.
    pub service_signature: Option<&'a [u8; 64]>,
    /// Ties a response to its request; empty in a relay's events.
    pub correlation_id: CorrelationId<'a>,
    /// What the command is about.
    pub entity_id: EntityId<'a>,
    /// The encoded [`Command`](crate::smp::Command) or [`BrokerMessage`](crate::smp::BrokerMessage).
    pub command: &'a [u8],
    /// Correlation id, entity id and command as they were encoded.
    tail: &'a [u8],
}

impl fmt::Debug for Transmission<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transmission")
            .field("authorization", &self.authorization)
            .field("correlation_id", &self.correlation_id)
            .field("entity_id", &self.entity_id)
            .field("command", &Hidden(self.command))
            .finish_non_exhaustive()
    }
}

/// Why a transmission could not be read, with what is known of it (wire reference, section 6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransmissionError<'a> {
    /// It is no transmission.
    Malformed,
    /// Its authorization has a length nothing has.
    Authorization(CorrelationId<'a>),
    /// It names another session, version 6 only.
    Session(CorrelationId<'a>),
}

impl<'a> TransmissionError<'a> {
    /// The correlation id to answer with; the entity id is always empty.
    #[must_use]
    pub const fn correlation_id(&self) -> CorrelationId<'a> {
        match self {
            Self::Malformed => CorrelationId::EMPTY,
            Self::Authorization(correlation_id) | Self::Session(correlation_id) => *correlation_id,
        }
    }

    /// The error to answer with.
    #[must_use]
    pub const fn error(&self) -> SmpError<'static> {
        match self {
            Self::Malformed | Self::Authorization(_) => SmpError::Block,
            Self::Session(_) => SmpError::Session,
        }
    }
}

impl fmt::Display for TransmissionError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the bytes are not a transmission",
            Self::Authorization(_) => "the authorization has a length no kind of authorization has",
            Self::Session(_) => "the transmission belongs to another session",
        })
    }
}

impl core::error::Error for TransmissionError<'_> {}

impl<'a> Transmission<'a> {
    /// Reads one entry of a batch. `session_id` is that of the connection; version 6 sends it along, and it must agree.
    pub fn decode(
        bytes: &'a [u8],
        version: SmpVersion,
        session_id: SessionId<'_>,
    ) -> Result<Self, TransmissionError<'a>> {
        let fields = Fields::decode(&mut Reader::new(bytes), version).map_err(|_| TransmissionError::Malformed)?;
        let Fields { correlation_id, .. } = fields;
        // Deployed relays compare sessions first; a transmission wrong in both ways is one of another session.
        if fields.session_id.is_some_and(|given| given != session_id) {
            return Err(TransmissionError::Session(correlation_id));
        }
        let authorization = Authorization::from_bytes(fields.authorization)
            .map_err(|_| TransmissionError::Authorization(correlation_id))?;
        Ok(Self {
            authorization,
            service_signature: fields.service_signature,
            correlation_id,
            entity_id: fields.entity_id,
            command: fields.command,
            tail: fields.tail,
        })
    }

    /// Writes what the authorization covers: `str` session id, `str` correlation id, `str` entity id, command.
    pub fn write_authorized(&self, writer: &mut Writer<'_>, session_id: SessionId<'_>) -> Result<(), Error> {
        writer.value(&session_id)?;
        writer.bytes(self.tail)
    }

    /// Correlation id, entity id and command as they were encoded: the authorized bytes behind the `str` session id, for
    /// those who hash them piece by piece.
    #[must_use]
    pub const fn authorized_tail(&self) -> &'a [u8] {
        self.tail
    }
}

struct Fields<'a> {
    authorization: &'a [u8],
    service_signature: Option<&'a [u8; 64]>,
    session_id: Option<SessionId<'a>>,
    correlation_id: CorrelationId<'a>,
    entity_id: EntityId<'a>,
    command: &'a [u8],
    tail: &'a [u8],
}

impl<'a> Fields<'a> {
    fn decode(reader: &mut Reader<'a>, version: SmpVersion) -> Result<Self, Error> {
        let authorization = reader.short()?;
        let service_signature = if version >= SmpVersion::SERVICES && !authorization.is_empty() {
            match reader.u8()? {
                b'0' => None,
                b'1' => Some(reader.short()?.try_into().map_err(|_| Error::Invalid)?),
                _ => return Err(Error::Invalid),
            }
        } else {
            None
        };
        let session_id = if version < SmpVersion::AUTHENTICATORS { Some(reader.value()?) } else { None };
        let tail = reader.remaining();
        Ok(Self {
            authorization,
            service_signature,
            session_id,
            correlation_id: reader.value()?,
            entity_id: reader.value()?,
            command: reader.rest(),
            tail,
        })
    }
}

/// The bytes an authorization covers, in a buffer of the caller's: made first, then signed, then sent.
#[derive(Clone, Copy)]
pub struct AuthorizedBytes<'b> {
    bytes: &'b [u8],
    tail: &'b [u8],
}

impl fmt::Debug for AuthorizedBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuthorizedBytes").field(&Hidden(self.bytes)).finish()
    }
}

impl<'b> AuthorizedBytes<'b> {
    /// Writes session id, correlation id, entity id, and what `command` writes, into `buffer`. The session id is covered
    /// in every version, also where it is not sent.
    pub fn write(
        buffer: &'b mut [u8],
        session_id: SessionId<'_>,
        correlation_id: CorrelationId<'_>,
        entity_id: EntityId<'_>,
        command: impl FnOnce(&mut Writer<'_>) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let mut writer = Writer::new(buffer);
        writer.value(&session_id)?;
        let start = writer.len();
        writer.value(&correlation_id)?;
        writer.value(&entity_id)?;
        command(&mut writer)?;
        let bytes: &'b [u8] = writer.into_written();
        Ok(Self { bytes, tail: bytes.get(start..).ok_or(Error::NoSpace)? })
    }

    /// What to authorize.
    #[must_use]
    pub const fn as_bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// Writes a client's transmission: the authorization, and what it covers. The service signature is sent from version
    /// 16 on, together with an authorization only.
    pub fn encode(
        &self,
        writer: &mut Writer<'_>,
        version: SmpVersion,
        authorization: &Authorization<'_>,
        service_signature: Option<&[u8; 64]>,
    ) -> Result<(), Error> {
        writer.short(authorization.as_bytes())?;
        if version >= SmpVersion::SERVICES && authorization.is_some() {
            match service_signature {
                None => writer.u8(b'0')?,
                Some(signature) => {
                    writer.u8(b'1')?;
                    writer.short(signature)?;
                }
            }
        }
        writer.bytes(if version < SmpVersion::AUTHENTICATORS { self.bytes } else { self.tail })
    }
}

/// Writes a transmission without authorization: all of a relay's, and those of clients that need none.
pub fn encode_unauthorized(
    writer: &mut Writer<'_>,
    version: SmpVersion,
    session_id: SessionId<'_>,
    correlation_id: CorrelationId<'_>,
    entity_id: EntityId<'_>,
    message: impl FnOnce(&mut Writer<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    writer.short(&[])?;
    if version < SmpVersion::AUTHENTICATORS {
        writer.value(&session_id)?;
    }
    writer.value(&correlation_id)?;
    writer.value(&entity_id)?;
    message(writer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const SESSION: [u8; 32] = [0x5e; 32];
    const OTHER: [u8; 32] = [0x0e; 32];
    const CORRELATION: [u8; 24] = [0xc0; 24];
    const ENTITY: [u8; 24] = [0xe0; 24];

    fn transmission(version: u16, authorization: &Authorization<'_>, service: Option<&[u8; 64]>) -> Vec<u8> {
        let mut buffer = [0; 200];
        let signed = AuthorizedBytes::write(
            &mut buffer,
            SessionId::new(&SESSION).unwrap(),
            CorrelationId::from_array(&CORRELATION),
            EntityId::from_array(&ENTITY),
            |writer| writer.bytes(b"SUB"),
        )
        .unwrap();
        let expected = [&[32][..], &SESSION, &[24], &CORRELATION, &[24], &ENTITY, b"SUB"].concat();
        assert_eq!(signed.as_bytes(), expected);
        let mut out = [0; 400];
        let mut writer = Writer::new(&mut out);
        signed.encode(&mut writer, SmpVersion(version), authorization, service).unwrap();
        writer.written().to_vec()
    }

    fn decode<'a>(bytes: &'a [u8], version: u16, session: &[u8]) -> Result<Transmission<'a>, TransmissionError<'a>> {
        Transmission::decode(bytes, SmpVersion(version), SessionId::new(session).unwrap())
    }

    #[test]
    fn every_version_and_authorization_reads_back() {
        let kinds = [
            Authorization::None,
            Authorization::Authenticator(&[1; 80]),
            Authorization::Ed25519(&[2; 64]),
            Authorization::Ed448(&[3; 114]),
        ];
        for version in 6..=20 {
            for authorization in kinds {
                for service in [None, Some(&[4; 64])] {
                    let bytes = transmission(version, &authorization, service);
                    let read = decode(&bytes, version, &SESSION).unwrap();
                    let carried = service.filter(|_| version >= 16 && authorization.is_some());
                    assert_eq!(read.authorization, authorization);
                    assert_eq!(read.service_signature, carried);
                    assert_eq!(read.correlation_id.as_bytes(), CORRELATION);
                    assert_eq!(read.entity_id.as_bytes(), ENTITY);
                    assert_eq!(read.command, b"SUB");
                    let mut buffer = [0; 200];
                    let mut writer = Writer::new(&mut buffer);
                    read.write_authorized(&mut writer, SessionId::new(&SESSION).unwrap()).unwrap();
                    assert_eq!(writer.written(), [&[32][..], &SESSION, read.authorized_tail()].concat());
                    let command = bytes.len() - 3;
                    for end in 0..command {
                        assert_eq!(decode(&bytes[..end], version, &SESSION), Err(TransmissionError::Malformed));
                    }
                    assert!(decode(&bytes[..command], version, &SESSION).unwrap().command.is_empty());
                }
            }
        }
    }

    #[test]
    fn errors_carry_what_is_known() {
        let correlation = CorrelationId::from_array(&CORRELATION);
        for length in (0..=255).filter(|length| ![0, 64, 80, 114].contains(length)) {
            let tail = [&[24][..], &CORRELATION, &[0], b"PING"].concat();
            let bytes = [&[u8::try_from(length).unwrap()][..], &[1].repeat(length), &tail].concat();
            let error = decode(&bytes, 7, &SESSION).unwrap_err();
            assert_eq!(error, TransmissionError::Authorization(correlation));
            assert_eq!((error.correlation_id(), error.error()), (correlation, SmpError::Block));
        }
        let bytes = transmission(6, &Authorization::None, None);
        let error = decode(&bytes, 6, &OTHER).unwrap_err();
        assert_eq!(error, TransmissionError::Session(correlation));
        assert_eq!((error.correlation_id(), error.error()), (correlation, SmpError::Session));
        let malformed = TransmissionError::Malformed;
        assert_eq!((malformed.correlation_id(), malformed.error()), (CorrelationId::EMPTY, SmpError::Block));
    }

    #[test]
    fn the_session_is_compared_in_version_6_only() {
        assert!(decode(&transmission(7, &Authorization::None, None), 7, &OTHER).is_ok());
        let both_wrong = [&[3, 1, 1, 1][..], &transmission(6, &Authorization::None, None)[1..]].concat();
        assert!(matches!(decode(&both_wrong, 6, &OTHER), Err(TransmissionError::Session(_))));
        assert!(matches!(decode(&both_wrong, 6, &SESSION), Err(TransmissionError::Authorization(_))));
    }

    #[test]
    fn relays_authorize_nothing() {
        let mut out = [0; 200];
        for version in 6..=20 {
            let mut writer = Writer::new(&mut out);
            encode_unauthorized(
                &mut writer,
                SmpVersion(version),
                SessionId::new(&SESSION).unwrap(),
                CorrelationId::EMPTY,
                EntityId::from_array(&ENTITY),
                |writer| writer.bytes(b"END"),
            )
            .unwrap();
            let session = if version < 7 { [&[32][..], &SESSION].concat() } else { Vec::new() };
            assert_eq!(writer.written(), [&[0][..], &session, &[0, 24], &ENTITY, b"END"].concat());
        }
    }

    #[test]
    fn nothing_that_identifies_is_printed() {
        let bytes = transmission(18, &Authorization::Ed25519(&[2; 64]), None);
        let shown = std::format!("{:?}", decode(&bytes, 18, &SESSION).unwrap());
        assert_eq!(
            shown,
            "Transmission { authorization: Ed25519(..), correlation_id: CorrelationId(24 bytes), \
             entity_id: EntityId(24 bytes), command: 3 bytes, .. }"
        );
    }
}
