use rand_core::CryptoRng;
use smp_proto::{
    transport::hello::{CertificateChain, ClientHello, ServerAuthentication, ServerHello},
    version::{SmpVersion, VersionRange},
    wire::{self, LongString},
};

use super::{
    Block, ServiceRefusal, ServiceRequest, Session, SessionContext, SessionError, SessionIdentifier, blocks::Side,
    read_message, service::verify_claim, write_message,
};
use crate::{
    certificate::{CertificateSigner, MAX_CHAIN_LENGTH, fingerprint},
    key::X25519SecretKey,
    signed_key::{ED448_LENGTH, SignedKey},
};

/// What all connections of a server have in common.
#[derive(Clone, Copy, Debug)]
pub struct ServerConfiguration<'a> {
    versions: VersionRange<SmpVersion>,
    chain: CertificateChain<'a>,
    identity: [u8; 32],
}

impl<'a> ServerConfiguration<'a> {
    /// A server that offers these versions and shows this chain, which is also the one it has in TLS.
    ///
    /// Fails with [`wire::Error::Invalid`] unless there are 2 to 4 certificates.
    pub fn new(versions: VersionRange<SmpVersion>, chain: CertificateChain<'a>) -> Result<Self, wire::Error> {
        let identity = fingerprint(chain.get(1).ok_or(wire::Error::Invalid)?);
        if chain.len() > MAX_CHAIN_LENGTH {
            return Err(wire::Error::Invalid);
        }
        Ok(Self { versions, chain, identity })
    }

    /// SHA-256 of the identity certificate: the fingerprint in the server's address.
    #[must_use]
    pub const fn identity(&self) -> &[u8; 32] {
        &self.identity
    }
}

/// The session key of one connection, certified by the server's leaf.
///
/// Making one costs an X25519 key and a signature; a server under load may make some in advance. None may be used twice.
#[derive(Debug)]
pub struct ServerSessionKey {
    secret: X25519SecretKey,
    signed: SignedKey,
}

impl ServerSessionKey {
    /// A new key. `signer` is the key of the leaf certificate.
    pub fn generate<R: CryptoRng + ?Sized>(random: &mut R, signer: CertificateSigner<'_>) -> Self {
        Self::new(X25519SecretKey::generate(random), signer)
    }

    /// Certifies a key. `signer` is the key of the leaf certificate.
    #[must_use]
    pub fn new(secret: X25519SecretKey, signer: CertificateSigner<'_>) -> Self {
        let signed = SignedKey::sign(secret.public_key(), signer);
        Self { secret, signed }
    }
}

/// The server's side of a handshake.
#[derive(Debug)]
pub struct ServerHandshake<'a> {
    configuration: &'a ServerConfiguration<'a>,
    versions: VersionRange<SmpVersion>,
    session_id: SessionIdentifier,
    key: Option<ServerSessionKey>,
}

/// What comes after the client's hello.
#[derive(Debug)]
pub enum ServerStep {
    /// The session has begun.
    Session(Session),
    /// The client is a service and waits for a reply.
    Service(ServiceRequest),
    /// The client is not the service it says it is; this must be sent before the connection is closed.
    Refused(ServiceRefusal),
}

impl<'a> ServerHandshake<'a> {
    /// Starts the handshake of a connection that agreed on an application protocol (ALPN) in TLS, whichever it is.
    #[must_use]
    pub const fn new(
        configuration: &'a ServerConfiguration<'a>,
        session_id: SessionIdentifier,
        key: ServerSessionKey,
    ) -> Self {
        Self { configuration, versions: configuration.versions, session_id, key: Some(key) }
    }

    /// Starts the handshake of a connection without ALPN. It is limited to version 6, which has no session keys.
    ///
    /// Fails with [`SessionError::Version`] when the server does not offer that version: close the connection.
    pub fn without_alpn(
        configuration: &'a ServerConfiguration<'a>,
        session_id: SessionIdentifier,
    ) -> Result<Self, SessionError> {
        let versions = configuration.versions.intersection(&VersionRange::SMP_LEGACY).ok_or(SessionError::Version)?;
        Ok(Self { configuration, versions, session_id, key: None })
    }

    /// Writes the first block to send.
    pub fn hello(&self, block: &mut Block) -> Result<(), SessionError> {
        let mut der = [0; ED448_LENGTH];
        let authentication = match &self.key {
            Some(key) => {
                let signed = key.signed.to_der(&mut der)?;
                let signed_key = LongString::new(signed).map_err(SessionError::Encode)?;
                Some(ServerAuthentication { chain: self.configuration.chain, signed_key })
            }
            None => None,
        };
        let hello = ServerHello { versions: self.versions, session_id: self.session_id.as_id(), authentication };
        write_message(block, &hello)
    }

    /// Reads the client's hello.
    ///
    /// `tls_chain` is what the client showed in TLS, leaf first, empty for ordinary clients; TLS has made sure that the
    /// client has the key of the leaf. Whether the chain is valid is checked here, when the client says it is a service,
    /// at the time `now`, in seconds since the Unix epoch.
    ///
    /// When this fails the connection is closed without a reply.
    pub fn receive(self, block: &Block, tls_chain: &[&[u8]], now: i64) -> Result<ServerStep, SessionError> {
        let hello: ClientHello<'_> = read_message(block)?;
        if hello.key_hash.as_bytes() != self.configuration.identity {
            return Err(SessionError::Identity);
        }
        if !self.versions.contains(hello.version) {
            return Err(SessionError::Version);
        }
        let context = SessionContext {
            version: hello.version,
            versions: VersionRange::new(self.versions.min(), hello.version).map_err(|_| SessionError::Version)?,
            session_id: self.session_id,
            is_proxy: hello.proxy,
            own_secret: self.key.map(|key| key.secret),
            peer_key: hello.client_key,
            service: None,
        };
        let session = Session::start(context, Side::Server)?;
        let Some(claim) = &hello.service else {
            return Ok(ServerStep::Session(session));
        };
        Ok(match verify_claim(claim, tls_chain, now) {
            Ok((fingerprint, key)) => {
                ServerStep::Service(ServiceRequest { session, role: claim.role, fingerprint, key })
            }
            Err(refusal) => ServerStep::Refused(refusal),
        })
    }
}
