//! The parameters of the ratchet's key agreement, in all three forms, against values made by the reference
//! implementation.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that panics has failed")]

mod support;

use serde_json::Value;
use smp_proto::agent::ratchet_parameters::EncapsulationKey;
use smp_proto::agent::{AgreedParameters, Encapsulation, RatchetParameters};
use smp_proto::key::X448PublicKey;
use smp_proto::version::{RatchetVersion, VersionRange};
use smp_proto::wire::{Decode, Encode, Error, Reader};
use support::{array, bytes, encoded, for_each_case, number, text};

#[test]
fn parameters_are_read_and_written_as_the_reference_does() {
    let mut counts = [0; 2];
    for_each_case("ratchet-x3dh.json", |case| match text(&case["op"]) {
        "encode_params" => {
            counts[0] += 1;
            encode(case);
        }
        "decode_params" => {
            counts[1] += 1;
            decode(case);
        }
        _ => {}
    });
    assert!(counts[0] >= 18 && counts[1] >= 70, "{counts:?}");
}

fn key(value: &Value) -> X448PublicKey {
    X448PublicKey(array(value))
}

fn version(value: &Value) -> RatchetVersion {
    RatchetVersion(u16::try_from(value.as_u64().unwrap()).unwrap())
}

/// The parameters of an invitation, unless these could not be of one: it accepts nothing.
fn range(case: &Value) -> Option<RatchetParameters> {
    if case["kem"]["type"] == "accepted" {
        return None;
    }
    Some(RatchetParameters {
        versions: VersionRange::new(version(&case["min"]), version(&case["max"])).unwrap(),
        first_key: key(&case["k1"]),
        second_key: key(&case["k2"]),
        encapsulation_key: case["kem"].get("key").map(|key| EncapsulationKey(array(key))),
    })
}

fn encode(case: &Value) {
    match text(&case["form"]) {
        "e2eParams" => {
            let kem = &case["kem"];
            let own: Option<[u8; 1158]> = kem.get("key").map(array);
            let ciphertext: Option<[u8; 1039]> = kem.get("ciphertext").map(array);
            let parameters = AgreedParameters {
                version: version(&case["version"]),
                first_key: key(&case["k1"]),
                second_key: key(&case["k2"]),
                encapsulation: own.as_ref().map(|key| match &ciphertext {
                    None => Encapsulation::Proposed { key },
                    Some(ciphertext) => Encapsulation::Accepted { ciphertext, key },
                }),
            };
            let mut buffer = [0; AgreedParameters::MAX_LENGTH];
            assert_eq!(parameters.to_slice(&mut buffer).unwrap(), bytes(&case["bytes"]));
        }
        "e2eParamsRange" => range(case).iter().for_each(|range| assert_eq!(encoded(range), bytes(&case["bytes"]))),
        "e2eUri" => range(case).iter().for_each(|range| assert_eq!(range.to_string(), text(&case["text"]))),
        other => panic!("unknown form {other}"),
    }
}

fn decode(case: &Value) {
    let input = case.get("bytes").map(bytes).unwrap_or_default();
    let expected = &case["result"];
    // Keys of other lengths than the right one are refused here.
    let refused = expected.get("error").is_some() || case["lenient"] == true;
    match text(&case["form"]) {
        "e2eParams" => {
            let mut reader = Reader::new(&input);
            let read = match text(&case["from"]) {
                "initiator" => AgreedParameters::decode_proposal(&mut reader),
                _ => AgreedParameters::decode(&mut reader),
            };
            let read = read.and_then(|read| reader.finish().map(|()| read));
            assert_eq!(read.is_err(), refused);
            let Ok(read) = read else { return };
            assert_eq!(i64::from(read.version.0), number(&expected["version"]));
            assert_eq!((read.first_key, read.second_key), (key(&expected["k1"]), key(&expected["k2"])));
            assert_eq!(VersionRange::RATCHET.contains(read.version), expected["supported"] == true);
            let kem = read.encapsulation.map(|kem| match kem {
                Encapsulation::Proposed { key } => (None, *key),
                Encapsulation::Accepted { ciphertext, key } => (Some(*ciphertext), *key),
            });
            let kem_expected = &expected["kem"];
            assert_eq!(kem, kem_expected.get("key").map(|key| (kem_expected.get("ciphertext").map(array), array(key))));
            let mut buffer = [0; AgreedParameters::MAX_LENGTH];
            assert_eq!(read.to_slice(&mut buffer).unwrap(), input);
        }
        form => {
            let read = match form {
                "e2eUri" => RatchetParameters::parse(text(&case["text"])),
                _ => RatchetParameters::from_bytes(&input),
            };
            assert_eq!(read.is_err(), refused, "{read:?}");
            assert_ne!(read, Err(Error::NoSpace));
            let Ok(read) = read else { return };
            assert_eq!((read.first_key, read.second_key), (key(&expected["k1"]), key(&expected["k2"])));
            assert_eq!(i64::from(read.versions.min().0), number(&expected["min"]));
            assert_eq!(i64::from(read.versions.max().0), number(&expected["max"]));
            let key = read.encapsulation_key.as_ref().map(|key| key.0);
            assert_eq!(key, expected["kem"].get("key").map(array));
            let chosen = read.versions.intersection(&VersionRange::RATCHET).map(|range| u64::from(range.max().0));
            assert_eq!(chosen, expected["chosen"].as_u64());
        }
    }
}
