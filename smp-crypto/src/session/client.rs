use smp_proto::{
    id::{Fingerprint, ID_LENGTH},
    transport::hello::{ClientHello, ClientService, ServerAuthentication, ServerHello, ServiceReply},
    version::{SmpVersion, VersionRange},
    wire::{self, LongString},
};

use super::{
    Block, ServiceCredentials, Session, SessionContext, SessionError, SessionIdentifier, SessionService, blocks::Side,
    read_message, write_message,
};
use crate::{
    certificate::{Certificate, CertificateKey, MAX_CHAIN_LENGTH, fingerprint},
    key::{X25519PublicKey, X25519SecretKey},
    signed_key::{ED448_LENGTH, SignedKey},
};

/// The version that a proxy speaks at most with a relay that does not know the proxy flag yet, so that blocks are not
/// encrypted and have room for larger messages of old clients (wire reference, section 4.4).
const MAX_VERSION_WITHOUT_PROXY_FLAG: SmpVersion = SmpVersion::DELETED_EVENT;

/// What a client wants of a server.
#[derive(Clone, Copy, Debug)]
pub struct ClientConfiguration<'a> {
    /// The versions the client knows.
    pub versions: VersionRange<SmpVersion>,
    /// SHA-256 of the server's identity certificate, from its address.
    pub identity: [u8; 32],
    /// Whether the client is a forwarding proxy.
    pub is_proxy: bool,
    /// What the client proves to be a service with, from version 16 on. Only for clients that really showed these
    /// certificates in TLS: a client has them ready, but the server need not ask.
    pub service: Option<ServiceCredentials<'a>>,
}

/// The certificate of the key that the server proved in TLS to have. 90 bytes, so that who has one buffer only need not
/// keep the certificate while a hello comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLeaf {
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// The key in it.
    pub key: CertificateKey,
}

impl ServerLeaf {
    /// Reads a certificate in DER. Fails with [`SessionError::BadAuthentication`] when it is none.
    pub fn from_der(der: &[u8]) -> Result<Self, SessionError> {
        let certificate = Certificate::from_der(der).map_err(|_| SessionError::BadAuthentication)?;
        Ok(Self { fingerprint: fingerprint(der), key: *certificate.public_key() })
    }
}

/// The session key of one connection, with its public half: computed when the key is made, which may be long before the
/// connection, because it is a large part of what a handshake costs a small device.
#[derive(Debug)]
pub struct ClientSessionKey {
    secret: X25519SecretKey,
    public: X25519PublicKey,
}

impl From<X25519SecretKey> for ClientSessionKey {
    fn from(secret: X25519SecretKey) -> Self {
        let public = secret.public_key();
        Self { secret, public }
    }
}

/// The client's side of a handshake.
#[derive(Debug)]
pub struct ClientHandshake<'a> {
    configuration: ClientConfiguration<'a>,
    session_id: SessionIdentifier,
    leaf: ServerLeaf,
    key: ClientSessionKey,
}

/// What comes after the hellos.
#[derive(Debug)]
pub enum ClientStep {
    /// The session has begun.
    Session(Session),
    /// The server will answer whether it accepts the service.
    Service(AwaitingReply),
}

impl<'a> ClientHandshake<'a> {
    /// Starts a handshake.
    ///
    /// `key` is new, for this connection only.
    #[must_use]
    pub fn new(
        configuration: ClientConfiguration<'a>,
        session_id: SessionIdentifier,
        leaf: ServerLeaf,
        key: impl Into<ClientSessionKey>,
    ) -> Self {
        Self { configuration, session_id, leaf, key: key.into() }
    }

    /// Reads the server's hello from the block, and leaves the client's hello there, to be sent.
    ///
    /// A proxy that will tell its clients about the server reads the certificates from a copy of the block.
    pub fn receive(self, block: &mut Block) -> Result<ClientStep, SessionError> {
        let hello: ServerHello<'_> = read_message(block)?;
        if hello.session_id.as_bytes() != self.session_id.as_bytes() {
            return Err(SessionError::Session);
        }
        let versions = self.own_versions(&hello).and_then(|own| own.intersection(&hello.versions));
        let versions = versions.ok_or(SessionError::Version)?;
        let version = versions.max();
        let server_key = match &hello.authentication {
            Some(authentication) => Some(self.verify(authentication)?),
            None if version >= SmpVersion::AUTHENTICATORS => return Err(SessionError::BadAuthentication),
            None => None,
        };

        let is_proxy = self.configuration.is_proxy && version >= SmpVersion::PROXY_FLAG;
        let service = self.configuration.service.filter(|_| version >= SmpVersion::SERVICES);
        self.write_hello(block, version, service.as_ref())?;
        let context = SessionContext {
            version,
            versions,
            session_id: self.session_id,
            is_proxy,
            // Version 6 has no place for the client's key, so nothing is agreed there.
            own_secret: (version >= SmpVersion::AUTHENTICATORS).then_some(self.key.secret),
            peer_key: server_key,
            service: None,
        };
        let session = Session::start(context, Side::Client)?;
        match service {
            None => Ok(ClientStep::Session(session)),
            Some(service) => {
                let fingerprint = service.fingerprint().ok_or(SessionError::Encode(wire::Error::Invalid))?;
                let service = SessionService { role: service.role, id: [0; ID_LENGTH], fingerprint, key: service.key };
                Ok(ClientStep::Service(AwaitingReply { session, service }))
            }
        }
    }

    fn own_versions(&self, hello: &ServerHello<'_>) -> Option<VersionRange<SmpVersion>> {
        let own = self.configuration.versions;
        if self.configuration.is_proxy && hello.versions.max() < SmpVersion::PROXY_FLAG {
            VersionRange::new(own.min(), own.max().min(MAX_VERSION_WITHOUT_PROXY_FLAG)).ok()
        } else {
            Some(own)
        }
    }

    /// The server's session key: it is signed by the leaf of TLS, and the hello names the same leaf and identity.
    fn verify(&self, authentication: &ServerAuthentication<'_>) -> Result<X25519PublicKey, SessionError> {
        let chain = authentication.chain;
        let (Some(leaf), Some(identity)) = (chain.get(0), chain.get(1)) else {
            return Err(SessionError::BadAuthentication);
        };
        if chain.len() > MAX_CHAIN_LENGTH
            || fingerprint(leaf) != self.leaf.fingerprint
            || fingerprint(identity) != self.configuration.identity
        {
            return Err(SessionError::BadAuthentication);
        }
        let signed = SignedKey::from_der(authentication.signed_key.as_bytes())?;
        Ok(signed.verify(&self.leaf.key)?)
    }

    fn write_hello(
        &self,
        block: &mut Block,
        version: SmpVersion,
        service: Option<&ServiceCredentials<'_>>,
    ) -> Result<(), SessionError> {
        let mut der = [0; ED448_LENGTH];
        let service = match service {
            Some(service) => {
                let signed = service.signed.to_der(&mut der)?;
                let signed_key = LongString::new(signed).map_err(SessionError::Encode)?;
                Some(ClientService { role: service.role, chain: service.chain, signed_key })
            }
            None => None,
        };
        let hello = ClientHello {
            version,
            key_hash: Fingerprint::new(&self.configuration.identity).map_err(SessionError::Encode)?,
            client_key: Some(self.key.public),
            proxy: self.configuration.is_proxy,
            service,
        };
        write_message(block, &hello)
    }
}

/// A client that is a service and waits for the server's reply.
#[derive(Debug)]
pub struct AwaitingReply {
    session: Session,
    service: SessionService,
}

impl AwaitingReply {
    /// Reads the reply. Fails with [`SessionError::Service`] when the server refuses.
    pub fn receive(mut self, block: &Block) -> Result<Session, SessionError> {
        match read_message(block)? {
            ServiceReply::Accepted(id) => {
                self.service.id = id.to_array().ok_or(SessionError::Parse(wire::Error::Invalid))?;
                self.session.context.service = Some(self.service);
                Ok(self.session)
            }
            ServiceReply::Refused(error) => Err(SessionError::Service(error)),
        }
    }
}
