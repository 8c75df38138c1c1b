use core::fmt;

use smp_proto::{
    id::SessionId,
    version::{SmpVersion, VersionRange},
    wire,
};

use super::SessionService;
use crate::key::{SharedSecret, X25519PublicKey, X25519SecretKey};

/// The shortest Finished value of TLS, in bytes: that of TLS 1.2.
pub const MIN_SESSION_ID_LENGTH: usize = 12;

/// The longest Finished value of TLS, in bytes: that of suites with SHA-384.
pub const MAX_SESSION_ID_LENGTH: usize = 48;

/// The identifier of a TLS session, kept: the client's Finished value (wire reference, section 3.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionIdentifier {
    bytes: [u8; MAX_SESSION_ID_LENGTH],
    length: u8,
}

impl SessionIdentifier {
    /// Takes the `verify_data` of the client's Finished message, of 12 to 48 bytes.
    pub fn new(finished: &[u8]) -> Result<Self, wire::Error> {
        if finished.len() < MIN_SESSION_ID_LENGTH {
            return Err(wire::Error::Invalid);
        }
        let mut bytes = [0; MAX_SESSION_ID_LENGTH];
        bytes.get_mut(..finished.len()).ok_or(wire::Error::TooLong)?.copy_from_slice(finished);
        let length = u8::try_from(finished.len()).map_err(|_| wire::Error::TooLong)?;
        Ok(Self { bytes, length })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// The identifier as it travels.
    #[must_use]
    pub fn as_id(&self) -> SessionId<'_> {
        SessionId::new(self.as_bytes()).unwrap_or(SessionId::EMPTY)
    }
}

impl fmt::Debug for SessionIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionIdentifier({} bytes)", self.length)
    }
}

/// What a session was agreed to be. It stays the same while blocks come and go.
#[derive(Debug)]
pub struct SessionContext {
    pub(super) version: SmpVersion,
    pub(super) versions: VersionRange<SmpVersion>,
    pub(super) session_id: SessionIdentifier,
    pub(super) is_proxy: bool,
    pub(super) own_secret: Option<X25519SecretKey>,
    pub(super) peer_key: Option<X25519PublicKey>,
    pub(super) service: Option<SessionService>,
}

impl SessionContext {
    /// The version both sides speak.
    #[must_use]
    pub const fn version(&self) -> SmpVersion {
        self.version
    }

    /// The versions both sides know. A forwarding proxy reports them to its clients.
    #[must_use]
    pub const fn versions(&self) -> VersionRange<SmpVersion> {
        self.versions
    }

    /// The identifier of the TLS session.
    #[must_use]
    pub fn session_id(&self) -> SessionId<'_> {
        self.session_id.as_id()
    }

    /// Whether the client said that it is a forwarding proxy. Below version 14 it cannot.
    #[must_use]
    pub const fn is_proxy(&self) -> bool {
        self.is_proxy
    }

    /// The own session key: what a server verifies authenticators with. Clients have it only while blocks are not
    /// encrypted, for private routing: with it, encrypted blocks of the past could be read.
    #[must_use]
    pub const fn own_secret_key(&self) -> Option<&X25519SecretKey> {
        self.own_secret.as_ref()
    }

    /// The peer's session key: what a client makes authenticators for. Servers may have none.
    #[must_use]
    pub const fn peer_key(&self) -> Option<&X25519PublicKey> {
        self.peer_key.as_ref()
    }

    /// The service the client is.
    #[must_use]
    pub const fn service(&self) -> Option<&SessionService> {
        self.service.as_ref()
    }

    /// The secret that both session keys agree on, for private routing (wire reference, section 12). It is computed anew
    /// by every call; there is none when one of the keys is not there.
    #[must_use]
    pub fn session_secret(&self) -> Option<SharedSecret> {
        // The handshake refused keys with which this could fail.
        self.own_secret.as_ref()?.diffie_hellman(self.peer_key.as_ref()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_identifier_is_a_finished_value() {
        for length in [12, 32, 48] {
            let finished = &[7; 48][..length];
            let id = SessionIdentifier::new(finished).unwrap();
            assert_eq!(id.as_bytes(), finished);
            assert_eq!(id.as_id().as_bytes(), finished);
        }
        assert_eq!(SessionIdentifier::new(&[7; 11]), Err(wire::Error::Invalid));
        assert_eq!(SessionIdentifier::new(&[7; 49]), Err(wire::Error::TooLong));
        let id = SessionIdentifier::new(&[7; 32]).unwrap();
        assert_eq!(std::format!("{id:?}"), "SessionIdentifier(32 bytes)");
    }
}
