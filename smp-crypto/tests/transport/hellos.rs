//! One side reads what the other could send.

use serde_json::Value;
use smp_crypto::{
    certificate::CertificateSigner,
    key::{Ed25519SecretKey, X25519SecretKey},
    session::{
        ClientConfiguration, ClientHandshake, ClientStep, ServerConfiguration, ServerHandshake, ServerLeaf,
        ServerSessionKey, ServerStep, SessionError, SessionIdentifier,
    },
};
use smp_proto::{
    smp::error::{HandshakeError, TransportError},
    transport::hello::CertificateChain,
    version::{SmpVersion, VersionRange},
};

use crate::{
    NOW, assert_message, block_of, certificates_of,
    common::{array, bytes, text},
    flag, strings, version,
};

/// The reference takes these hellos and goes on without the server's key, and without block encryption. This client
/// refuses them.
const REFUSED_WITHOUT_KEY: [&str; 4] =
    ["no chain and key", "garbage instead of chain and key", "chain without key", "empty chain (count 0)"];

fn versions() -> VersionRange<SmpVersion> {
    VersionRange::new(SmpVersion(6), SmpVersion(18)).unwrap()
}

/// The words the reference has for a failure.
pub(crate) fn words(error: SessionError) -> &'static str {
    match error.to_transport_error() {
        TransportError::Version => "TEVersion",
        TransportError::Session => "TEBadSession",
        TransportError::Handshake(HandshakeError::Parse) => "TEHandshake {handshakeErr = PARSE}",
        TransportError::Handshake(HandshakeError::Identity) => "TEHandshake {handshakeErr = IDENTITY}",
        TransportError::Handshake(HandshakeError::BadAuthentication) => "TEHandshake {handshakeErr = BAD_AUTH}",
        TransportError::Handshake(HandshakeError::BadService) => "TEHandshake {handshakeErr = BAD_SERVICE}",
        other => panic!("{other:?}"),
    }
}

pub(crate) fn client_reads_server_hello(case: &Value) {
    let chain = certificates_of(&case["server_chain"]);
    let configuration =
        ClientConfiguration { versions: versions(), identity: array(case, "key_hash"), is_proxy: false, service: None };
    let client = ClientHandshake::new(
        configuration,
        SessionIdentifier::new(&bytes(case, "session_id")).unwrap(),
        ServerLeaf::from_der(&chain[0]).unwrap(),
        X25519SecretKey::from_pkcs8(&bytes(case, "client_private")).unwrap(),
    );
    let mut block = block_of(&bytes(case, "server_hello"));
    let result = client.receive(&mut block);
    if REFUSED_WITHOUT_KEY.contains(&text(case, "name")) {
        assert_eq!(text(case, "client_result"), "ok");
        assert!(!flag(case, "has_server_key"));
        assert!(matches!(result, Err(SessionError::Parse(_))));
        return;
    }
    match result {
        Ok(ClientStep::Session(session)) => {
            assert_eq!("ok", text(case, "client_result"));
            assert_message(&block, &case["client_hello"]);
            assert_eq!(session.context.version(), version(&case["agreed_version"]));
            assert_eq!(session.is_encrypted(), flag(case, "block_encryption"));
            assert_eq!(session.context.peer_key().is_some(), flag(case, "has_server_key"));
        }
        Ok(ClientStep::Service(_)) => panic!("there is no service"),
        Err(error) => assert_eq!(words(error), text(case, "client_result")),
    }
}

pub(crate) fn server_reads_client_hello(case: &Value) {
    let chain = certificates_of(&case["server_chain"]);
    let chain = strings(&chain);
    let configuration = ServerConfiguration::new(versions(), CertificateChain::new(&chain).unwrap()).unwrap();
    let secret = X25519SecretKey::from_pkcs8(&bytes(case, "server_session_private")).unwrap();
    let any = Ed25519SecretKey::from_bytes(&[1; 32]);
    let key = ServerSessionKey::new(secret, CertificateSigner::Ed25519(&any));
    let session_id = SessionIdentifier::new(&bytes(case, "session_id")).unwrap();
    let server = ServerHandshake::new(&configuration, session_id, key);
    match server.receive(&block_of(&bytes(case, "client_hello")), &[], NOW) {
        Ok(ServerStep::Session(session)) => {
            assert_eq!("ok", text(case, "server_result"));
            assert_eq!(session.context.version(), version(&case["agreed_version"]));
            assert_eq!(session.is_encrypted(), flag(case, "block_encryption"));
            assert_eq!(session.context.peer_key().is_some(), flag(case, "has_client_key"));
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => assert_eq!(words(error), text(case, "server_result")),
    }
}
