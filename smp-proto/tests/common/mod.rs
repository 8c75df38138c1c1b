//! Reads known-answer cases: those of this folder, then those of the folder named by `SMP_VECTORS`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that panics has failed")]
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use serde_json::Value;

/// Calls `run` with every case of the files of this name, and fails with the list of the cases in which it panicked.
pub fn for_each_case(name: &str, mut run: impl FnMut(&Value)) {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    let mut paths = vec![std::path::Path::new(own).join(name)];
    if let Ok(folder) = std::env::var("SMP_VECTORS") {
        paths.extend(Some(std::path::Path::new(&folder).join(name)).filter(|path| path.exists()));
    }
    let mut failed = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file: Value = serde_json::from_str(&text).unwrap();
        let cases = file["cases"].as_array().unwrap();
        assert!(!cases.is_empty());
        for (index, case) in cases.iter().enumerate() {
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(case))).is_err() {
                failed.push(format!("case {index} of {}: {} {}", path.display(), case["op"], case["name"]));
            }
        }
    }
    assert!(failed.is_empty(), "{} cases failed:\n{}", failed.len(), failed.join("\n"));
}

/// The text of a field.
#[track_caller]
pub fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("{field} is {:?}", case[field]))
}

/// The bytes of a hexadecimal field.
#[track_caller]
pub fn bytes(case: &Value, field: &str) -> Vec<u8> {
    hex::decode(text(case, field)).unwrap()
}

/// The bytes of a hexadecimal field of a known length.
#[track_caller]
pub fn array<const N: usize>(case: &Value, field: &str) -> [u8; N] {
    bytes(case, field).try_into().unwrap_or_else(|value: Vec<u8>| panic!("{field} has {} bytes", value.len()))
}

/// A number.
#[track_caller]
pub fn number(case: &Value, field: &str) -> i64 {
    case[field].as_i64().unwrap_or_else(|| panic!("{field} is {:?}", case[field]))
}

/// A length in bytes.
#[track_caller]
pub fn length(case: &Value, field: &str) -> usize {
    number(case, field).try_into().unwrap()
}

/// A truth value, which the files write as text.
#[track_caller]
pub fn boolean(case: &Value, field: &str) -> bool {
    match text(case, field) {
        "True" => true,
        "False" => false,
        other => panic!("{field} is {other}"),
    }
}

/// Whether a case wants an error.
pub fn wants_error(case: &Value) -> bool {
    case["result"] == "error"
}

/// The encoding of a value.
#[track_caller]
pub fn encoded(value: &impl smp_proto::wire::Encode) -> Vec<u8> {
    value.to_slice(&mut [0; 32_768]).unwrap().to_vec()
}
