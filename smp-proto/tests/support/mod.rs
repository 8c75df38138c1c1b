//! Runs files of test values: the crate's own and, of the same name, those in the folder `SMP_VECTORS` names.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Every case of every file of this name.
pub(crate) fn for_each_case(file: &str, run: impl Fn(&Value)) {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    run_file(&own, &run);
    if let Some(folder) = std::env::var_os("SMP_VECTORS") {
        let other = PathBuf::from(folder).join(file);
        if other.exists() {
            run_file(&other, &run);
        }
    }
}

fn run_file(path: &Path, run: &impl Fn(&Value)) {
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

/// The SHA-256 of bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}
