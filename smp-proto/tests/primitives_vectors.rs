//! Primitive encodings, padding and public keys against values made by the reference implementation.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use serde_json::Value;
use smp_proto::key::{AuthorizationKey, Ed448PublicKey, Ed25519PublicKey, X448PublicKey, X25519PublicKey};
use smp_proto::wire::{
    Base64, Decode, Encode, Error, List, LongString, ShortString, Time, base64_url_decode, pad, unpad,
};
use support::{bytes, for_each_case, number, sha256, truth};

/// Operations on ciphers, hashes and private keys, which the crate with the cryptography tests.
const OF_THE_CRYPTO_CRATE: [&str; 15] = [
    "hkdf",
    "box",
    "open_box",
    "open_box_unpad",
    "secret_box",
    "sign",
    "dh",
    "hash",
    "cb_nonce",
    "aes256gcm_iv16",
    "aes256gcm_iv12",
    "block_chain",
    "sender_id",
    "link_key",
    "authenticator",
];

/// Keys that other readers accept and this one does not: a key has one encoding, and whatever is hashed or compared in
/// its encoded form must not come in seven others.
const REFUSED_KEYS: [&str; 1] = ["non-zero unused bits byte"];

#[test]
fn primitives_vectors() {
    for_each_case("primitives.json", |case| match case["op"].as_str().unwrap() {
        "encode" => encode(case),
        "decode" => decode(case),
        "pad" => padding(case),
        "unpad" => unpadding(case),
        "key" => public_key(case),
        "decode_key" => decode_key(case),
        op => assert!(OF_THE_CRYPTO_CRATE.contains(&op), "unknown operation {op}"),
    });
}

fn both_ways<'a, T: Encode + Decode<'a> + PartialEq + core::fmt::Debug>(value: T, encoded: &'a [u8]) {
    let mut buffer = [0; 70_000];
    assert_eq!(value.to_slice(&mut buffer).unwrap(), encoded);
    assert_eq!(T::from_bytes(encoded).unwrap(), value);
    for end in 0..encoded.len() {
        assert!(T::from_bytes(&encoded[..end]).is_err(), "truncated to {end}");
    }
}

fn encode(case: &Value) {
    let (value, encoded) = (&case["value"], bytes(&case["bytes"]));
    match case["type"].as_str().unwrap() {
        "u16" => both_ways(u16::try_from(number(value)).unwrap(), &encoded),
        "u32" => both_ways(u32::try_from(number(value)).unwrap(), &encoded),
        "i64" => both_ways(number(value), &encoded),
        "time" => both_ways(Time(number(value)), &encoded),
        "bool" => both_ways(truth(value), &encoded),
        "str" => both_ways(ShortString::new(&bytes(value)).unwrap(), &encoded),
        "lstr" => both_ways(LongString::new(&bytes(value)).unwrap(), &encoded),
        "opt(str)" if value == "absent" => both_ways(None::<ShortString<'_>>, &encoded),
        "opt(str)" => both_ways(Some(ShortString::new(&bytes(value)).unwrap()), &encoded),
        "list0(str)" => {
            let items: Vec<_> = value.as_array().unwrap().iter().map(bytes).collect();
            let items: Vec<_> = items.iter().map(|item| ShortString::new(item).unwrap()).collect();
            both_ways(List::new(&items).unwrap(), &encoded);
        }
        other => panic!("unknown type {other}"),
    }
}

fn decode(case: &Value) {
    let encoded = bytes(&case["bytes"]);
    let expected = case["result"].as_str().unwrap();
    let result = match case["type"].as_str().unwrap() {
        "u16" => u16::from_bytes(&encoded).map(|_| String::new()),
        "u32" => u32::from_bytes(&encoded).map(|_| String::new()),
        "i64" => i64::from_bytes(&encoded).map(|_| String::new()),
        "time" => Time::from_bytes(&encoded).map(|_| String::new()),
        "bool" => bool::from_bytes(&encoded).map(|_| String::new()),
        "str" => ShortString::from_bytes(&encoded).map(|value| hex::encode(value.as_bytes())),
        "lstr" => LongString::from_bytes(&encoded).map(|value| hex::encode(value.as_bytes())),
        "opt(str)" => Option::<ShortString<'_>>::from_bytes(&encoded)
            .map(|value| value.map_or("Nothing".into(), |value| hex::encode(value.as_bytes()))),
        other => panic!("unknown type {other}"),
    };
    match result {
        Ok(value) => assert_eq!(value, expected),
        Err(_) => assert_eq!(expected, "error"),
    }
}

/// A message, written out or as a repetition.
fn message(value: &Value) -> Vec<u8> {
    match value["repeat"].as_str() {
        Some(unit) => hex::decode(unit).unwrap().repeat(usize::try_from(number(&value["count"])).unwrap()),
        None => bytes(value),
    }
}

fn padding(case: &Value) {
    let mut out = vec![0; usize::try_from(number(&case["n"])).unwrap()];
    let result = pad(&message(&case["message"]), &mut out);
    let expected = &case["result"];
    if expected["error"].is_string() {
        assert_eq!(result, Err(Error::TooLong));
        return;
    }
    result.unwrap();
    match expected["sha256"].as_str() {
        Some(hash) => assert_eq!(sha256(&out), hash),
        None => assert_eq!(out, bytes(expected)),
    }
    assert_eq!(unpad(&out).unwrap(), message(&case["message"]));
}

fn unpadding(case: &Value) {
    let padded = bytes(&case["padded"]);
    match unpad(&padded) {
        Ok(message) => assert_eq!(message, bytes(&case["result"])),
        Err(_) => assert!(case["result"]["error"].is_string()),
    }
}

fn public_key(case: &Value) {
    let (raw, spki, wire) = (bytes(&case["public_raw"]), bytes(&case["public_spki"]), bytes(&case["wire_key"]));
    match case["alg"].as_str().unwrap() {
        "Ed25519" => {
            both_ways(Ed25519PublicKey(raw[..].try_into().unwrap()), &wire);
            let key = Ed25519PublicKey::from_spki(&spki).unwrap();
            both_ways(AuthorizationKey::Ed25519(key), &wire);
        }
        "Ed448" => {
            both_ways(Ed448PublicKey(raw[..].try_into().unwrap()), &wire);
            let key = Ed448PublicKey::from_spki(&spki).unwrap();
            both_ways(AuthorizationKey::Ed448(key), &wire);
        }
        "X25519" => {
            both_ways(X25519PublicKey(raw[..].try_into().unwrap()), &wire);
            let key = X25519PublicKey::from_spki(&spki).unwrap();
            both_ways(AuthorizationKey::X25519(key), &wire);
        }
        "X448" => {
            both_ways(X448PublicKey(raw[..].try_into().unwrap()), &wire);
            assert!(AuthorizationKey::from_spki(&spki).is_err());
        }
        other => panic!("unknown algorithm {other}"),
    }
    let text = case["text"].as_str().unwrap();
    assert_eq!(Base64(&spki).to_string(), text);
    assert_eq!(base64_url_decode(text.as_bytes(), &mut [0; 128]).unwrap(), spki);
}

fn decode_key(case: &Value) {
    let der = bytes(&case["der"]);
    let result = match case["expected_type"].as_str().unwrap() {
        "auth" => AuthorizationKey::from_spki(&der).map(drop),
        "X25519" => X25519PublicKey::from_spki(&der).map(drop),
        "Ed25519" => Ed25519PublicKey::from_spki(&der).map(drop),
        other => panic!("unknown key type {other}"),
    };
    let refused = case["lenient"].is_boolean() || REFUSED_KEYS.contains(&case["what"].as_str().unwrap());
    assert_eq!(result.is_ok(), case["result"] == "ok" && !refused, "{}", case["what"]);
}
