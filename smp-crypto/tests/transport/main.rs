//! Certificate chains, hellos, sessions and blocks are made and judged as the reference implementation does it, except
//! where this crate is stricter on purpose; each such case is named where it is checked.

#![cfg(feature = "ed448")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod certificates;
#[path = "../common/mod.rs"]
mod common;
mod handshake;
mod hellos;

use common::{for_each_case, text};
use serde_json::Value;
use smp_crypto::session::Block;
use smp_proto::{
    transport::BLOCK_LENGTH,
    version::{SmpVersion, VersionRange},
    wire::{LongString, pad, unpad},
};

/// 2027-01-15, when the certificates of the vectors that should be valid are.
const NOW: i64 = 1_800_000_000;

#[test]
fn transport_vectors() {
    for_each_case("transport.json", |case| match text(case, "op") {
        "certificate_chain" => certificates::certificate_chain(case),
        "handshake" => handshake::handshake(case),
        "client_reads_server_hello" => hellos::client_reads_server_hello(case),
        "server_reads_client_hello" => hellos::server_reads_client_hello(case),
        other => panic!("no runner for {other}"),
    });
}

fn hexadecimal(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn certificates_of(value: &Value) -> Vec<Vec<u8>> {
    value.as_array().unwrap().iter().map(hexadecimal).collect()
}

fn slices(chain: &[Vec<u8>]) -> Vec<&[u8]> {
    chain.iter().map(Vec::as_slice).collect()
}

fn strings(chain: &[Vec<u8>]) -> Vec<LongString<'_>> {
    chain.iter().map(|certificate| LongString::new(certificate).unwrap()).collect()
}

/// The reference prints booleans as words.
fn flag(case: &Value, field: &str) -> bool {
    match text(case, field) {
        "True" => true,
        "False" => false,
        other => panic!("{field} is {other}"),
    }
}

fn version(value: &Value) -> SmpVersion {
    SmpVersion(value.as_u64().unwrap().try_into().unwrap())
}

fn range(value: &Value) -> VersionRange<SmpVersion> {
    VersionRange::new(version(&value[0]), version(&value[1])).unwrap()
}

fn block_of(content: &[u8]) -> Block {
    let mut block = [0; BLOCK_LENGTH];
    pad(content, &mut block).unwrap();
    block
}

/// A block of the handshake has this content, and is padded as in the reference.
#[track_caller]
fn assert_message(block: &Block, expected: &Value) {
    assert_eq!(hex::encode(unpad(block).unwrap()), text(expected, "content"));
    assert_eq!(hex::encode(smp_crypto::hash::sha256(&[block])), text(expected, "block_sha256"));
}
