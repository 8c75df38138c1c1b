//! Complete handshakes and the blocks after them.

use serde_json::Value;
use smp_crypto::{
    Error,
    block_chain::{BlockChain, chain_keys},
    certificate::CertificateSigner,
    key::{Ed448SecretKey, Ed25519SecretKey, X25519SecretKey},
    session::{
        Block, ClientConfiguration, ClientHandshake, ClientStep, Opener, Sealer, ServerConfiguration, ServerHandshake,
        ServerLeaf, ServerSessionKey, ServerStep, ServiceCredentials, Session, SessionError, SessionIdentifier,
    },
};
use smp_proto::{
    smp::service::ServiceRole,
    transport::{BLOCK_LENGTH, hello::CertificateChain},
    wire::Decode,
};

use crate::{
    NOW, assert_message, block_of, certificates_of,
    common::{array, assert_bytes, bytes, number, text},
    flag,
    hellos::words,
    range, slices, strings, version,
};

/// Calls `run` with the signing key that a field holds.
fn with_signer<T>(case: &Value, field: &str, run: impl FnOnce(CertificateSigner<'_>) -> T) -> T {
    let der = bytes(case, field);
    if let Ok(key) = Ed25519SecretKey::from_pkcs8(&der) {
        run(CertificateSigner::Ed25519(&key))
    } else {
        run(CertificateSigner::Ed448(&Ed448SecretKey::from_pkcs8(&der).unwrap()))
    }
}

pub(crate) fn handshake(case: &Value) {
    let server = server_session(case);
    let client = client_session(case);
    chains(case);
    if let (Some(mut server), Some(mut client)) = (server, client) {
        assert_eq!(server.context.session_id(), client.context.session_id());
        assert_eq!(server.context.service(), client.context.service());
        assert_eq!(server.context.is_proxy(), client.context.is_proxy());
        for message in case["blocks"].as_array().unwrap() {
            match text(message, "direction") {
                "server_to_client" => transfer(message, &mut server.sealer, &mut client.opener),
                "client_to_server" => transfer(message, &mut client.sealer, &mut server.opener),
                other => panic!("{other}"),
            }
        }
        too_long(case, &mut client.sealer);
        too_long(case, &mut server.sealer);
    } else if case["client_private"].is_string() {
        assert_eq!(text(case, "result"), "error");
    }
}

fn server_session(case: &Value) -> Option<Session> {
    let chain = certificates_of(&case["server_chain"]);
    let chain = strings(&chain);
    let chain = CertificateChain::new(&chain).unwrap();
    let Ok(configuration) = ServerConfiguration::new(range(&case["server_range_configured"]), chain) else {
        assert_eq!(text(case, "name"), "server chain of 5", "this server does not even start with it");
        return None;
    };
    assert_eq!(*configuration.identity(), array(case, "key_hash"));
    let session_id = SessionIdentifier::new(&bytes(case, "session_id")).unwrap();
    let secret = X25519SecretKey::from_pkcs8(&bytes(case, "server_session_private")).unwrap();
    assert_eq!(secret.public_key().0, array(case, "server_session_public"));
    let server = if case["alpn"].is_string() {
        let key = with_signer(case, "leaf_private", |signer| ServerSessionKey::new(secret, signer));
        ServerHandshake::new(&configuration, session_id, key)
    } else {
        ServerHandshake::without_alpn(&configuration, session_id).unwrap()
    };
    let mut block = [0; BLOCK_LENGTH];
    server.hello(&mut block).unwrap();
    assert_message(&block, &case["server_hello"]);

    let Some(hello) = case["client_hello"]["content"].as_str() else {
        assert_eq!(text(case, "server_result"), "nothing received");
        return None;
    };
    let service = &case["service"];
    let tls_chain = if service.is_object() { certificates_of(&service["chain"]) } else { Vec::new() };
    let mut session = match server.receive(&block_of(&hex::decode(hello).unwrap()), &slices(&tls_chain), NOW).unwrap() {
        ServerStep::Session(session) => {
            assert!(case["third_message"].is_null());
            session
        }
        ServerStep::Service(request) => {
            assert_eq!(*request.fingerprint(), array(service, "cert_hash"));
            assert_eq!(request.role(), role(service));
            if text(case, "result") != "ok" {
                let refusal = request.refuse_role();
                assert_eq!(words(SessionError::Service(refusal.error())), text(case, "server_result"));
                refusal.write(&mut block).unwrap();
                assert_message(&block, &case["third_message"]);
                return None;
            }
            let session = request.accept(array(service, "service_id"), &mut block).unwrap();
            assert_message(&block, &case["third_message"]);
            let granted = session.context.service().unwrap();
            assert_eq!(granted.key().0, array(service, "session_public"));
            assert_eq!(granted.fingerprint(), &array::<32>(service, "cert_hash"));
            session
        }
        ServerStep::Refused(refusal) => panic!("{refusal:?}"),
    };
    if let (Some(secret), true) = (session.context.session_secret(), case["session_secret"].is_string()) {
        assert_eq!(*secret.as_bytes(), array(case, "session_secret"));
    }
    agreed(case, &session);
    if case["client_private"].is_null() {
        // There is no client to go with: it would have no key. Without encryption both directions are the same.
        for message in case["blocks"].as_array().unwrap() {
            transfer(message, &mut session.sealer, &mut session.opener);
        }
        too_long(case, &mut session.sealer);
    }
    Some(session)
}

fn role(service: &Value) -> ServiceRole {
    ServiceRole::from_bytes(text(service, "role").as_bytes()).unwrap()
}

fn client_session(case: &Value) -> Option<Session> {
    // Two recorded clients have no session key. This client always has one; the server's side of these is run.
    let secret = X25519SecretKey::from_pkcs8(&hex::decode(case["client_private"].as_str()?).unwrap()).unwrap();
    assert_eq!(secret.public_key().0, array(case, "client_public"));
    let service = &case["service"];
    let service_chain = if service.is_object() { certificates_of(&service["chain"]) } else { Vec::new() };
    let service_chain = strings(&service_chain);
    let service = service.is_object().then(|| {
        let chain = CertificateChain::new(&service_chain).unwrap();
        let session_key = Ed25519SecretKey::from_pkcs8(&bytes(service, "session_private")).unwrap();
        with_signer(service, "leaf_private", |signer| {
            ServiceCredentials::new(role(service), chain, session_key.public_key(), signer)
        })
    });
    let configuration = ClientConfiguration {
        versions: range(&case["client_range"]),
        identity: array(case, "client_expects_key_hash"),
        is_proxy: flag(case, "proxy_server"),
        service,
    };
    let chain = certificates_of(&case["server_chain"]);
    let session_id = SessionIdentifier::new(&bytes(case, "client_session_id")).unwrap();
    let client = ClientHandshake::new(configuration, session_id, ServerLeaf::from_der(&chain[0]).unwrap(), secret);

    let mut block = block_of(&bytes(&case["server_hello"], "content"));
    let session = client.receive(&mut block).and_then(|step| {
        assert_message(&block, &case["client_hello"]);
        match step {
            ClientStep::Session(session) => Ok(session),
            ClientStep::Service(awaiting) => awaiting.receive(&block_of(&bytes(&case["third_message"], "content"))),
        }
    });
    match session {
        Ok(session) => {
            agreed(case, &session);
            if let Some(service) = session.context.service() {
                assert_eq!(service.id().as_bytes(), bytes(&case["service"], "service_id"));
            }
            Some(session)
        }
        Err(error) => {
            assert_eq!(words(error), text(case, "client_result"));
            None
        }
    }
}

fn agreed(case: &Value, session: &Session) {
    assert_eq!(text(case, "result"), "ok");
    assert_eq!(session.context.version(), version(&case["agreed_version"]));
    assert_eq!(session.is_encrypted(), flag(case, "block_encryption"));
}

fn transfer(message: &Value, sealer: &mut Sealer, opener: &mut Opener) {
    let content = match &message["content"] {
        repeated @ Value::Object(_) => bytes(repeated, "repeat").repeat(number(repeated, "count")),
        _ => bytes(message, "content"),
    };
    let mut block: Block = [0xa5; BLOCK_LENGTH];
    sealer.content_mut(&mut block)[..content.len()].copy_from_slice(&content);
    sealer.seal(&mut block, content.len()).unwrap();
    assert_bytes(&block, &message["block"]);
    let range = opener.open(&mut block).unwrap();
    assert_eq!(block[range], content);
}

fn too_long(case: &Value, sealer: &mut Sealer) {
    let result = match sealer.seal(&mut [0; BLOCK_LENGTH], 16_367) {
        Ok(()) => "ok",
        Err(Error::Length) => "TELargeMsg",
        Err(other) => panic!("{other:?}"),
    };
    assert_eq!(result, text(case, "content_16367_bytes"));
}

/// The keys of the blocks, one by one.
fn chains(case: &Value) {
    let recorded = &case["chains"];
    if !recorded.is_object() {
        return;
    }
    let server = X25519SecretKey::from_pkcs8(&bytes(case, "server_session_private")).unwrap();
    let client = X25519SecretKey::from_pkcs8(&bytes(case, "client_private")).unwrap();
    let secret = client.diffie_hellman(&server.public_key()).unwrap();
    assert_eq!(*secret.as_bytes(), array(case, "session_secret"));
    let (server, client) = chain_keys(&secret, &bytes(case, "session_id")).unwrap();
    for (mut chain, first, steps) in [(server, "ck1", "server_to_client"), (client, "ck2", "client_to_server")] {
        let mut restored = BlockChain::from_bytes(array(recorded, first));
        for step in recorded[steps].as_array().unwrap() {
            for key in [chain.advance().unwrap(), restored.advance().unwrap()] {
                assert_eq!(*key.key(), array(step, "key"));
                assert_eq!(key.nonce().0, array(step, "nonce"));
            }
            restored = BlockChain::from_bytes(array(step, "next_chain_key"));
        }
    }
}
