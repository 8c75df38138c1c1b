//! Reads known-answer cases: those of the crate, then those of the folder named by `SMP_VECTORS`.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use serde_json::Value;
use smp_crypto::authorization::Decoy;

/// A relay's.
pub fn decoy() -> Decoy {
    Decoy::generate(&mut ChaCha20Rng::seed_from_u64(1))
}

/// Calls `run` with every case of the files of this name. A panic inside tells which case it was.
pub fn for_each_case(name: &str, mut run: impl FnMut(&Value)) {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../smp-proto/tests/vectors/");
    let mut folders = vec![own.to_owned()];
    folders.extend(std::env::var("SMP_VECTORS"));
    for (number, folder) in folders.iter().enumerate() {
        let path = std::path::Path::new(folder).join(name);
        if number > 0 && !path.exists() {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file: Value = serde_json::from_str(&text).unwrap();
        let cases = file["cases"].as_array().unwrap();
        assert!(!cases.is_empty());
        for (index, case) in cases.iter().enumerate() {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(case)));
            if let Err(cause) = result {
                eprintln!("failed: case {index} of {}: {} {}", path.display(), case["op"], case["name"]);
                std::panic::resume_unwind(cause);
            }
        }
    }
}

/// The text of a field.
pub fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("{field} is {:?}", case[field]))
}

/// The bytes of a hexadecimal field.
pub fn bytes(case: &Value, field: &str) -> Vec<u8> {
    hex::decode(text(case, field)).unwrap()
}

/// The bytes of a hexadecimal field of a known length.
pub fn array<const N: usize>(case: &Value, field: &str) -> [u8; N] {
    bytes(case, field).try_into().unwrap_or_else(|value: Vec<u8>| panic!("{field} has {} bytes", value.len()))
}

/// A number.
pub fn number(case: &Value, field: &str) -> usize {
    case[field].as_u64().unwrap_or_else(|| panic!("{field} is {:?}", case[field])).try_into().unwrap()
}

/// Whether `actual` is what a field says, which for long values has a length, a hash and both ends.
#[track_caller]
pub fn assert_bytes(actual: &[u8], expected: &Value) {
    match expected {
        Value::String(hexadecimal) => assert_eq!(hex::encode(actual), *hexadecimal),
        expected => {
            assert_eq!(actual.len(), number(expected, "len"));
            assert_eq!(hex::encode(smp_crypto::hash::sha256(&[actual])), text(expected, "sha256"));
            assert_eq!(hex::encode(&actual[..64]), text(expected, "first64"));
            assert_eq!(hex::encode(&actual[actual.len() - 64..]), text(expected, "last64"));
            if expected.get("bytes").is_some() {
                assert_eq!(hex::encode(actual), text(expected, "bytes"));
            }
        }
    }
}

/// A random source that gives the same bytes in every run.
pub fn random(seed: u64) -> rand_chacha::ChaCha20Rng {
    rand_core::SeedableRng::seed_from_u64(seed)
}
