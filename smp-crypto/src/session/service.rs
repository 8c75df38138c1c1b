use core::fmt;

use smp_proto::{
    id::{ID_LENGTH, ServiceId},
    key::Ed25519PublicKey,
    smp::{
        error::{HandshakeError, TransportError},
        service::ServiceRole,
    },
    transport::hello::{CertificateChain, ClientService, ServiceReply},
};

use super::{Block, Session, SessionError, write_message};
use crate::{
    certificate::{CertificateSigner, fingerprint, validate_service_chain},
    signed_key::SignedServiceKey,
};

/// The service of a session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionService {
    pub(super) role: ServiceRole,
    pub(super) id: [u8; ID_LENGTH],
    pub(super) fingerprint: [u8; 32],
    pub(super) key: Ed25519PublicKey,
}

impl SessionService {
    /// What the service does.
    #[must_use]
    pub const fn role(&self) -> ServiceRole {
        self.role
    }

    /// The name the server gave it.
    #[must_use]
    pub const fn id(&self) -> ServiceId<'_> {
        ServiceId::from_array(&self.id)
    }

    /// SHA-256 of its identity certificate; part of what its commands sign.
    #[must_use]
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The key that verifies its signatures in this session.
    #[must_use]
    pub const fn key(&self) -> &Ed25519PublicKey {
        &self.key
    }
}

impl fmt::Debug for SessionService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService").field("role", &self.role).finish_non_exhaustive()
    }
}

/// What a client shows to be a service.
#[derive(Clone, Copy, Debug)]
pub struct ServiceCredentials<'a> {
    pub(super) role: ServiceRole,
    pub(super) chain: CertificateChain<'a>,
    pub(super) key: Ed25519PublicKey,
    pub(super) signed: SignedServiceKey,
}

impl<'a> ServiceCredentials<'a> {
    /// Certifies a key for one session.
    ///
    /// `chain` is what the client showed in TLS, `signer` the key of its leaf. The secret half of `key` signs the
    /// commands of the session and stays with the caller.
    #[must_use]
    pub fn new(
        role: ServiceRole,
        chain: CertificateChain<'a>,
        key: Ed25519PublicKey,
        signer: CertificateSigner<'_>,
    ) -> Self {
        Self { role, chain, key, signed: SignedServiceKey::sign(key, signer) }
    }

    pub(super) fn fingerprint(&self) -> Option<[u8; 32]> {
        self.chain.get(1).or_else(|| self.chain.get(0)).map(fingerprint)
    }
}

/// A client proved to be a service; whether the server knows and wants it is for the caller to say.
#[derive(Debug)]
pub struct ServiceRequest {
    pub(super) session: Session,
    pub(super) role: ServiceRole,
    pub(super) fingerprint: [u8; 32],
    pub(super) key: Ed25519PublicKey,
}

impl ServiceRequest {
    /// What the service says it does. A certificate that was seen in another role must be
    /// [refused](Self::refuse_role).
    #[must_use]
    pub const fn role(&self) -> ServiceRole {
        self.role
    }

    /// SHA-256 of the identity certificate: what the server looks services up by.
    #[must_use]
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Goes on with the service under this name, which must be the same for a certificate each time. The block holds the
    /// reply to send.
    pub fn accept(mut self, id: [u8; ID_LENGTH], block: &mut Block) -> Result<Session, SessionError> {
        write_message(block, &ServiceReply::Accepted(ServiceId::from_array(&id)))?;
        let Self { role, fingerprint, key, .. } = self;
        self.session.context.service = Some(SessionService { role, id, fingerprint, key });
        Ok(self.session)
    }

    /// Refuses the service because it has another role here, or because the server has no services.
    #[must_use]
    pub fn refuse_role(self) -> ServiceRefusal {
        ServiceRefusal { error: TransportError::Handshake(HandshakeError::BadService) }
    }

    /// Refuses the service for any reason.
    #[must_use]
    pub fn refuse(self, error: TransportError) -> ServiceRefusal {
        ServiceRefusal { error }
    }
}

/// The end of a handshake: one block is sent, then the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRefusal {
    error: TransportError,
}

impl ServiceRefusal {
    /// Why.
    #[must_use]
    pub const fn error(&self) -> TransportError {
        self.error
    }

    /// Writes the block to send.
    pub fn write(&self, block: &mut Block) -> Result<(), SessionError> {
        write_message(block, &ServiceReply::Refused(self.error))
    }
}

/// What a valid claim of a client proves: the fingerprint of its identity and the key of the session.
///
/// The certificates in the hello must be those that TLS had, where the client proved to have the key of the leaf.
pub(super) fn verify_claim(
    claim: &ClientService<'_>,
    tls_chain: &[&[u8]],
    now: i64,
) -> Result<([u8; 32], Ed25519PublicKey), ServiceRefusal> {
    let refusal = ServiceRefusal { error: TransportError::Handshake(HandshakeError::BadAuthentication) };
    if !claim.chain.iter().eq(tls_chain.iter().copied()) {
        return Err(refusal);
    }
    let chain = validate_service_chain(tls_chain, now).map_err(|_| refusal)?;
    let key = SignedServiceKey::from_der(claim.signed_key.as_bytes())
        .and_then(|signed| signed.verify(&chain.leaf_key))
        .map_err(|_| refusal)?;
    Ok((chain.identity, key))
}
