//! Keys, boxes, derivations and hashes give what the reference implementation gives.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{array, bytes, for_each_case, number, text};
use serde_json::Value;
use smp_crypto::{
    Error, authorization,
    block_chain::{BlockChain, chain_keys},
    hash,
    kdf::hkdf,
    key::*,
    secret_box::{BoxKey, Nonce},
    short_link::LinkKey,
};
use smp_proto::id::CorrelationId;

#[test]
fn primitives_vectors() {
    for_each_case("primitives.json", |case| match text(case, "op") {
        "key" => key(case),
        "decode_key" => decode_key(case),
        "dh" => agreement(case),
        "sign" => sign(case),
        "box" => agreed_box(case),
        "secret_box" => secret_box(case),
        "open_box" => open_box(case),
        "open_box_unpad" => open_box_unpad(case),
        "cb_nonce" => nonce(case),
        "hkdf" => derive(case),
        "block_chain" => block_chain(case),
        "hash" => hashes(case),
        "sender_id" => {
            let id = hash::sender_id(CorrelationId::from_array(&array(case, "corr_id")));
            assert_eq!(id, array(case, "sender_id"));
        }
        // The runner of smp-proto has these.
        "encode" | "decode" | "pad" | "unpad" => {}
        // The ratchet and media frames are not part of this crate yet.
        "aes256gcm_iv16" | "aes256gcm_iv12" => {}
        "authenticator" => authenticator(case),
        "link_key" => link_key(case),
        other => panic!("no runner for {other}"),
    });
}

/// Without Ed448 its cases are passed over.
fn left_out(algorithm: &str) {
    assert!(matches!(algorithm, "Ed448" | "X448"), "no runner for {algorithm}");
    if cfg!(feature = "ed448") {
        panic!("no runner for {algorithm}");
    }
}

macro_rules! check_key {
    ($case:ident, $secret:ty, $public:ty) => {{
        let secret = <$secret>::from_pkcs8(&bytes($case, "private_pkcs8")).unwrap();
        assert_eq!(secret.as_bytes()[..], bytes($case, "private_raw"));
        assert_eq!(secret.to_pkcs8().as_bytes(), bytes($case, "private_pkcs8"));
        assert_eq!(<$secret>::from_bytes(&array($case, "private_raw")).public_key(), secret.public_key());
        let public = secret.public_key();
        assert_eq!(public.0[..], bytes($case, "public_raw"));
        assert_eq!(public.to_spki()[..], bytes($case, "public_spki"));
        assert_eq!(<$public>::from_spki(&bytes($case, "public_spki")).unwrap(), public);
        assert!(<$secret>::from_pkcs8(&bytes($case, "public_spki")).is_err());
    }};
}

fn key(case: &Value) {
    match text(case, "alg") {
        "Ed25519" => check_key!(case, Ed25519SecretKey, Ed25519PublicKey),
        "X25519" => check_key!(case, X25519SecretKey, X25519PublicKey),
        #[cfg(feature = "ed448")]
        "Ed448" => check_key!(case, Ed448SecretKey, Ed448PublicKey),
        #[cfg(feature = "ed448")]
        "X448" => check_key!(case, X448SecretKey, X448PublicKey),
        other => left_out(other),
    }
}

fn decode_key(case: &Value) {
    let der = bytes(case, "der");
    let ok = match text(case, "expected_type") {
        "auth" => AuthorizationKey::from_spki(&der).is_ok(),
        "X25519" => X25519PublicKey::from_spki(&der).is_ok(),
        "Ed25519" => Ed25519PublicKey::from_spki(&der).is_ok(),
        "Ed448" => Ed448PublicKey::from_spki(&der).is_ok(),
        "X448" => X448PublicKey::from_spki(&der).is_ok(),
        other => panic!("no key {other}"),
    };
    // The reference ignores the number of unused bits; a key has one form here.
    let lenient = der.get(11).is_some_and(|unused| (1..=7).contains(unused));
    assert_eq!(ok, text(case, "result") == "ok" && !lenient, "{}", case["what"]);
}

fn agreement(case: &Value) {
    match text(case, "alg") {
        "X25519" => {
            let secret = X25519SecretKey::from_pkcs8(&bytes(case, "private_a")).unwrap();
            assert_eq!(secret.public_key().0, array(case, "public_a"));
            let agreed = secret.diffie_hellman(&X25519PublicKey(array(case, "public_b")));
            if array(case, "secret") == [0; 32] {
                return assert_eq!(agreed, Err(Error::WeakKey));
            }
            assert_eq!(agreed.unwrap().as_bytes(), &array(case, "secret"));
            let other = X25519SecretKey::from_pkcs8(&bytes(case, "private_b")).unwrap();
            assert_eq!(other.public_key().0, array(case, "public_b"));
            assert_eq!(other.diffie_hellman(&secret.public_key()).unwrap().as_bytes(), &array(case, "secret"));
        }
        #[cfg(feature = "ed448")]
        "X448" => {
            let secret = X448SecretKey::from_pkcs8(&bytes(case, "private_a")).unwrap();
            assert_eq!(secret.public_key().0, array(case, "public_a"));
            let agreed = secret.diffie_hellman(&X448PublicKey(array(case, "public_b")));
            if array(case, "secret") == [0; 56] {
                return assert_eq!(agreed, Err(Error::WeakKey));
            }
            assert_eq!(agreed.unwrap().as_bytes(), &array(case, "secret"));
            let other = X448SecretKey::from_pkcs8(&bytes(case, "private_b")).unwrap();
            assert_eq!(other.public_key().0, array(case, "public_b"));
            assert_eq!(other.diffie_hellman(&secret.public_key()).unwrap().as_bytes(), &array(case, "secret"));
        }
        other => left_out(other),
    }
}

fn sign(case: &Value) {
    let message = bytes(case, "message");
    let signature = bytes(case, "signature");
    match text(case, "alg") {
        "Ed25519" => {
            let key = Ed25519SecretKey::from_pkcs8(&bytes(case, "private_key")).unwrap();
            assert_eq!(key.public_key().0, array(case, "public_key"));
            assert_eq!(key.sign(&message)[..], signature);
            key.public_key().verify(&message, &signature).unwrap();
        }
        #[cfg(feature = "ed448")]
        "Ed448" => {
            let key = Ed448SecretKey::from_pkcs8(&bytes(case, "private_key")).unwrap();
            assert_eq!(key.public_key().0, array(case, "public_key"));
            assert_eq!(key.sign(&message)[..], signature);
            key.public_key().verify(&message, &signature).unwrap();
        }
        other => left_out(other),
    }
}

/// `boxnp` and `boxpad` of the case, made and opened again.
fn check_boxes(case: &Value, key: &BoxKey) {
    let nonce = Nonce(array(case, "nonce"));
    let message = bytes(case, "message");

    let mut sealed = [&[0; 16][..], &message].concat();
    key.seal(&nonce, &mut sealed).unwrap();
    assert_eq!(sealed, bytes(case, "boxnp"));
    assert_eq!(key.open(&nonce, &mut sealed).unwrap(), message);

    let mut sealed = vec![0; number(case, "pad_to") + 16];
    sealed[18..18 + message.len()].copy_from_slice(&message);
    key.seal_padded(&nonce, &mut sealed, message.len()).unwrap();
    assert_eq!(sealed, bytes(case, "boxpad"));
    let range = key.open_padded(&nonce, &mut sealed).unwrap();
    assert_eq!(sealed[range], message);
}

fn agreed_box(case: &Value) {
    let a = X25519SecretKey::from_pkcs8(&bytes(case, "private_a")).unwrap();
    let b = X25519SecretKey::from_pkcs8(&bytes(case, "private_b")).unwrap();
    assert_eq!(a.public_key().0, array(case, "public_a"));
    assert_eq!(b.public_key().0, array(case, "public_b"));
    let secret = a.diffie_hellman(&b.public_key()).unwrap();
    assert_eq!(secret.as_bytes(), &array(case, "dh_secret"));
    check_boxes(case, &BoxKey::from(&secret));
}

fn secret_box(case: &Value) {
    let key = BoxKey::new(&array(case, "key"));
    check_boxes(case, &key);

    // Files: a length of eight bytes, and the tag in front or behind.
    let nonce = Nonce(array(case, "nonce"));
    let message = bytes(case, "message");
    let mut padded = [&i64::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat();
    padded.resize(number(case, "file_pad_to"), b'#');
    let tag = key.seal_in_place(&nonce, &mut padded);
    assert_eq!([&tag[..], &padded].concat(), bytes(case, "file_box_tag_first"));
    assert_eq!([&padded[..], &tag].concat(), bytes(case, "file_box_tag_last"));
    key.open_in_place(&nonce, &tag, &mut padded).unwrap();
    assert_eq!(padded[8..8 + message.len()], message);

    let mut plain = message.clone();
    let tag = key.seal_in_place(&nonce, &mut plain);
    assert_eq!([&plain[..], &tag].concat(), bytes(case, "tail_tag_no_pad"));

    // The first step of the box, alone: a box with its result and no such step is the same box.
    let first: [u8; 32] =
        salsa20::hsalsa::<salsa20::cipher::consts::U10>(&array(case, "key").into(), &[0; 16].into()).into();
    assert_eq!(first, array(case, "hsalsa20_key"));
    assert_ne!(bytes(case, "nacl_secretbox_with_key_is_wrong"), bytes(case, "boxnp"));
}

fn open_box(case: &Value) {
    let mut buffer = bytes(case, "box");
    let before = buffer.clone();
    match BoxKey::new(&array(case, "key")).open(&Nonce(array(case, "nonce")), &mut buffer) {
        Ok(message) => assert_eq!(hex::encode(message), text(case, "result")),
        Err(error) => {
            assert_eq!(error, Error::Decrypt);
            assert_eq!(text(&case["result"], "error"), "CBDecryptError");
            assert_eq!(buffer, before);
        }
    }
}

fn open_box_unpad(case: &Value) {
    let mut buffer = bytes(case, "box");
    match BoxKey::new(&array(case, "key")).open_padded(&Nonce(array(case, "nonce")), &mut buffer) {
        Ok(range) => assert_eq!(hex::encode(&buffer[range]), text(case, "result")),
        Err(Error::Format(_)) => assert_eq!(text(&case["result"], "error"), "CryptoInvalidMsgError"),
        Err(error) => {
            assert_eq!(error, Error::Decrypt);
            assert_eq!(text(&case["result"], "error"), "CBDecryptError");
        }
    }
}

fn nonce(case: &Value) {
    let nonce = Nonce::from_slice(&bytes(case, "input"));
    assert_eq!(nonce.0, array(case, "nonce"));
    assert_eq!(nonce.reversed().0, array(case, "reversed"));
}

fn derive(case: &Value) {
    let mut output = vec![0; number(case, "length")];
    hkdf(&bytes(case, "salt"), &bytes(case, "ikm"), text(case, "info").as_bytes(), &mut output).unwrap();
    assert_eq!(output, bytes(case, "output"));
}

fn block_chain(case: &Value) {
    let secret = SharedSecret::from_bytes(array(case, "secret"));
    let (server, client) = chain_keys(&secret, &bytes(case, "session_id")).unwrap();
    for (chain, start, field) in [(server, "ck1", "server_to_client"), (client, "ck2", "client_to_server")] {
        let steps = case[field].as_array().unwrap();
        assert!(!steps.is_empty());
        for mut chain in [chain, BlockChain::from_bytes(array(case, start))] {
            for step in steps {
                let next = chain.advance().unwrap();
                assert_eq!(next.key(), &array(step, "key"));
                assert_eq!(next.nonce().0, array(step, "nonce"));
            }
        }
    }
}

fn hashes(case: &Value) {
    let message = bytes(case, "message");
    for parts in [vec![&message[..]], message.chunks(7).collect()] {
        assert_eq!(hash::sha256(&parts), array(case, "sha256"));
        assert_eq!(hash::sha512(&parts), array(case, "sha512"));
        assert_eq!(hash::sha3_256(&parts), array(case, "sha3_256"));
        assert_eq!(hash::sha3_384(&parts), array(case, "sha3_384"));
    }
}

fn authenticator(case: &Value) {
    let key = X25519SecretKey::from_pkcs8(&bytes(case, "private_key")).unwrap();
    let server = X25519SecretKey::from_pkcs8(&bytes(case, "peer_private")).unwrap();
    assert_eq!(server.public_key().0, array(case, "peer_public"));
    let (id, message) = (bytes(case, "nonce"), bytes(case, "message"));
    let id = CorrelationId::new(&id).unwrap();
    let registered = [AuthorizationKey::X25519(key.public_key())];
    let key = AuthorizationSecretKey::X25519(key);
    let made = authorization::authorize(&key, Some(&server.public_key()), id, &message).unwrap();
    assert_eq!(made.as_authorization().as_bytes(), bytes(case, "authenticator"));
    assert!(authorization::verify(
        &made.as_authorization(),
        id,
        &[&message],
        &registered,
        Some(&server),
        &common::decoy()
    ));
}

fn link_key(case: &Value) {
    let link_key = LinkKey(array(case, "link_key"));
    let (id, key) = link_key.contact_keys().unwrap();
    assert_eq!(id, array(case, "contact_link_id"));
    assert_same_key(&key, &BoxKey::new(&array(case, "contact_key")));
    assert_same_key(&link_key.invitation_key().unwrap(), &BoxKey::new(&array(case, "invitation_key")));
}

/// Prepared keys do not show themselves; what they make does.
fn assert_same_key(one: &BoxKey, other: &BoxKey) {
    let seal = |key: &BoxKey| {
        let mut message = [7; 64];
        (key.seal_in_place(&Nonce([1; 24]), &mut message), message)
    };
    assert_eq!(seal(one), seal(other));
}
