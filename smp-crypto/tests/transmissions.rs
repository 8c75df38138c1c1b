//! Transmissions are authorized and verified as the reference implementation does it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{array, bytes, for_each_case, text};
use serde_json::Value;
use smp_crypto::{
    authorization::{authorize, sign_service, verify, verify_service},
    key::{AuthorizationKey, AuthorizationSecretKey, Ed25519PublicKey, Ed25519SecretKey, X25519SecretKey},
};
use smp_proto::{id::CorrelationId, transport::Authorization};

#[test]
fn transmissions_vectors() {
    for_each_case("transmissions.json", |case| match text(case, "op") {
        "transmission" => transmission(case),
        // The runner of smp-proto has these.
        "command"
        | "broker_message"
        | "error"
        | "error_decode"
        | "batch"
        | "server_decodes_block_content"
        | "client_decodes_block_content" => {}
        other => panic!("no runner for {other}"),
    });
}

fn transmission(case: &Value) {
    let authorization = bytes(case, "authorization");
    let algorithm = text(case, "algorithm");
    if algorithm == "none" {
        return assert!(authorization.is_empty());
    }
    if algorithm == "Ed448" && !cfg!(feature = "ed448") {
        return;
    }
    let signed = bytes(case, "signed");
    let mut authorized = signed.clone();
    // Only some commands carry a service signature, also in a service session.
    if !case["service_signature"].is_null() {
        authorized.splice(0..0, bytes(case, "service_cert_hash"));
        let service = Ed25519SecretKey::from_pkcs8(&bytes(case, "service_session_private")).unwrap();
        assert_eq!(service.public_key().0, array(case, "service_session_public"));
        let signature = sign_service(&service, &signed);
        assert_eq!(signature[..], bytes(case, "service_signature"));
        assert!(verify_service(&service.public_key(), &signed, &signature));
        assert!(!verify_service(&service.public_key(), &authorized, &signature));
        assert!(!verify_service(&Ed25519PublicKey([9; 32]), &signed, &signature));
    }
    if case.get("authorized_with_hash").is_some() {
        assert_eq!(authorized, bytes(case, "authorized_with_hash"));
    }

    let key = AuthorizationSecretKey::from_pkcs8(&bytes(case, "private_key")).unwrap();
    assert_eq!(key.public_key(), AuthorizationKey::from_spki(&bytes(case, "public_key")).unwrap());
    let server = case.get("server_session_private").map(|_| {
        let server = X25519SecretKey::from_pkcs8(&bytes(case, "server_session_private")).unwrap();
        assert_eq!(server.public_key().0, array(case, "server_session_public"));
        server
    });
    let id = bytes(case, "corr_id");
    let id = CorrelationId::new(&id).unwrap();
    let server_key = server.as_ref().map(X25519SecretKey::public_key);
    let made = authorize(&key, server_key.as_ref(), id, &authorized).unwrap();
    assert_eq!(made.as_authorization().as_bytes(), authorization);

    let authorization = Authorization::from_bytes(&authorization).unwrap();
    let keys = [key.public_key()];
    let decoy = common::decoy();
    let (head, tail) = authorized.split_at(authorized.len() / 3);
    for parts in [&[&authorized[..]][..], &[head, tail]] {
        assert!(verify(&authorization, id, parts, &keys, server.as_ref(), &decoy));
        assert!(!verify(&authorization, id, &parts[1..], &keys, server.as_ref(), &decoy));
        assert!(!verify(&authorization, id, parts, &[], server.as_ref(), &decoy));
    }
}
