//! Runs files of test values: the crate's own and, of the same name, those in the folder `SMP_VECTORS` names.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that panics has failed")]
#![allow(dead_code, reason = "each test binary uses a part")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Every case of every file of this name.
pub(crate) fn for_each_case(file: &str, mut run: impl FnMut(&Value)) {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    run_file(&own, &mut run);
    if let Some(folder) = std::env::var_os("SMP_VECTORS") {
        let other = PathBuf::from(folder).join(file);
        if other.exists() {
            run_file(&other, &mut run);
        }
    }
}

fn run_file(path: &Path, run: &mut impl FnMut(&Value)) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let document: Value = serde_json::from_str(&text).unwrap();
    let cases = document["cases"].as_array().unwrap();
    assert!(!cases.is_empty(), "{}: no cases", path.display());
    let mut failed = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        if catch_unwind(AssertUnwindSafe(|| run(case))).is_err() {
            let name = ["name", "what", "tag", "error", "type"].iter().find_map(|key| case[*key].as_str());
            failed.push(format!("case {index}: {} {}", case["op"], name.unwrap_or_default()));
        }
    }
    assert!(failed.is_empty(), "{}: {} failed:\n{}", path.display(), failed.len(), failed.join("\n"));
}

/// The bytes of a hexadecimal string.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap_or_else(|| panic!("no hexadecimal string: {value}"))).unwrap()
}

/// The bytes of a hexadecimal string, or nothing for null.
pub(crate) fn optional_bytes(value: &Value) -> Option<Vec<u8>> {
    if value.is_null() { None } else { Some(bytes(value)) }
}

/// The bytes of a hexadecimal string of a known length.
pub(crate) fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap_or_else(|_| panic!("not {N} bytes: {value}"))
}

/// A string.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no string: {value}"))
}

/// Booleans are written as strings.
pub(crate) fn truth(value: &Value) -> bool {
    match value.as_str() {
        Some("True") => true,
        Some("False") => false,
        _ => value.as_bool().unwrap_or_else(|| panic!("no boolean: {value}")),
    }
}

/// Numbers are written as numbers or, when large, as strings.
pub(crate) fn number(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("no number: {value}"))
}

/// A length in bytes.
pub(crate) fn length(value: &Value) -> usize {
    number(value).try_into().unwrap()
}

/// Whether the result of a case is an error.
pub(crate) fn wants_error(case: &Value) -> bool {
    case["result"] == "error"
}

/// The encoding of a value.
pub(crate) fn encoded(value: &impl smp_proto::wire::Encode) -> Vec<u8> {
    value.to_slice(&mut [0; 32_768]).unwrap().to_vec()
}

/// The SHA-256 of bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}
