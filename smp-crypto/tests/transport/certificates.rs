use serde_json::Value;
use smp_crypto::{
    Error,
    certificate::{Certificate, ChainError, fingerprint, validate_server_chain, validate_service_chain},
    signed_key::SignedKey,
};

use crate::{
    NOW, certificates_of,
    common::{array, text},
    hexadecimal, slices,
};

pub(crate) fn certificate_chain(case: &Value) {
    let chain = certificates_of(&case["chain"]);
    let chain = slices(&chain);
    for (certificate, expected) in chain.iter().zip(case["fingerprints"].as_array().unwrap()) {
        assert_eq!(fingerprint(certificate).as_slice(), hexadecimal(expected));
    }

    let server = validate_server_chain(&chain, &array::<32>(case, "key_hash"), NOW);
    let verdict = match server {
        Ok(_) => Value::from("ok"),
        Err(error) => vec![reason(error)].into(),
    };
    assert_eq!(verdict, case["server_chain_verdict"]);

    let service = validate_service_chain(&chain, NOW);
    let verdict = match service {
        // The reference lets a connection without client certificates pass; it has no service then.
        Ok(_) | Err(ChainError::EmptyChain) => "accept".into(),
        Err(ChainError::Expired | ChainError::NotYetValid) => "reject: expired".into(),
        Err(ChainError::UnknownCa) => "reject: unknown CA".into(),
        Err(ChainError::TooDeep) => "reject: chain too long".into(),
        Err(other) => format!("reject: [{}]", reason(other)),
    };
    assert_eq!(verdict, text(case, "service_chain_verdict"));

    if let (Ok(server), Ok(service)) = (server, service) {
        assert_eq!(server, service);
        assert_eq!(server.identity, array(case, "key_hash"));
    }

    let (Some(signed), Some(leaf)) = (case["skey"].as_str(), chain.first()) else { return };
    let leaf = Certificate::from_der(leaf).unwrap();
    let key = SignedKey::from_der(&hex::decode(signed).unwrap()).and_then(|signed| signed.verify(leaf.public_key()));
    let result = match key {
        Ok(key) => hex::encode(key.0),
        Err(Error::Signature) => "error: bad signature".into(),
        Err(Error::InvalidKey) => "error: bad algorithm".into(),
        Err(other) => panic!("the reference has no {other:?}"),
    };
    assert_eq!(result, text(case, "skey_result"));
}

fn reason(error: ChainError) -> &'static str {
    match error {
        ChainError::EmptyChain => "EmptyChain",
        ChainError::TooDeep => "AuthorityTooDeep",
        ChainError::UnknownCa => "UnknownCA",
        ChainError::InvalidSignature => "InvalidSignature SignatureInvalid",
        ChainError::Expired => "Expired",
        ChainError::NotYetValid => "InFuture",
        ChainError::NotAnAuthority => "NotAnAuthority",
        ChainError::NotAllowedToSign => "NotAllowedToSign",
        ChainError::LeafVersion => "LeafNotV3",
        ChainError::SelfSigned => "SelfSigned",
        other => panic!("the reference has no {other:?}"),
    }
}
