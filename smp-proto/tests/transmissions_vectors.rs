//! Commands, broker messages, errors, transmissions and batches against values made by the reference implementation.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/fields.rs"]
mod fields;
mod support;

use serde_json::Value;
use smp_proto::id::{CorrelationId, EntityId, SessionId};
use smp_proto::smp::{BrokerMessage, Command, CommandError, SmpError};
use smp_proto::transport::block::{
    BATCH_CONTENT_LIMIT, Batch, BatchError, BatchWriter, Packed, TRANSMISSION_LIMIT, decode_single, pack_batches,
};
use smp_proto::transport::transmission::{Authorization, AuthorizedBytes, Transmission, encode_unauthorized};
use smp_proto::version::SmpVersion;
use smp_proto::wire::{Reader, Writer};
use support::{bytes, for_each_case, number, optional_bytes, sha256};

/// Cases that the reference accepts and these codecs refuse on purpose, by name; none in this file so far.
const REFUSED: [&str; 0] = [];

#[test]
fn transmissions_vectors() {
    for_each_case("transmissions.json", |case| {
        let name = case["name"].as_str().unwrap_or_default();
        assert!(!case["lenient"].is_boolean() || REFUSED.contains(&name), "decide about {name}");
        match case["op"].as_str().unwrap() {
            "command" => command(case),
            "broker_message" => broker_message(case),
            "error" => error(case),
            "error_decode" => error_decode(case),
            "server_decodes_block_content" => server_decodes(case),
            "client_decodes_block_content" => client_decodes(case),
            "transmission" => transmission(case),
            "batch" => batch(case),
            op => panic!("unknown operation {op}"),
        }
    });
}

fn version(value: &Value) -> SmpVersion {
    SmpVersion(u16::try_from(number(value)).unwrap())
}

fn versions(case: &Value) -> impl Iterator<Item = SmpVersion> {
    case["versions"].as_array().unwrap().iter().map(version)
}

fn encode_command(command: &Command<'_>, version: SmpVersion) -> Vec<u8> {
    let mut buffer = [0; 20_000];
    let mut writer = Writer::new(&mut buffer);
    command.encode(&mut writer, version).unwrap();
    writer.written().to_vec()
}

fn encode_message(message: &BrokerMessage<'_>, version: SmpVersion) -> Vec<u8> {
    let mut buffer = [0; 20_000];
    let mut writer = Writer::new(&mut buffer);
    message.encode(&mut writer, version).unwrap();
    writer.written().to_vec()
}

fn encode_error(error: &SmpError<'_>, version: SmpVersion) -> Vec<u8> {
    let mut buffer = [0; 20_000];
    let mut writer = Writer::new(&mut buffer);
    error.encode(&mut writer, version).unwrap();
    writer.written().to_vec()
}

fn command(case: &Value) {
    fields::with_command(case["tag"].as_str().unwrap(), &case["fields"], |command| {
        for version in versions(case) {
            let encoded = encode_command(command, version);
            if let Some(expected) = optional_bytes(&case["bytes"]) {
                assert_eq!(encoded, expected, "{version}");
            } else {
                let hash = &case["bytes_hash"];
                assert_eq!(encoded.len(), usize::try_from(number(&hash["len"])).unwrap());
                assert_eq!(encoded[..32], bytes(&hash["first64"])[..32]);
            }
            let decoded = Command::decode(&mut Reader::new(&encoded), version).unwrap();
            assert_eq!(encode_command(&decoded, version), encoded);
            if version >= SmpVersion::NEW_NOTIFIER {
                assert_eq!(decoded, *command, "every field is carried");
            }
        }
    });
}

fn broker_message(case: &Value) {
    fields::with_message(case["tag"].as_str().unwrap(), &case["fields"], |message| {
        let expected = bytes(&case["bytes"]);
        for version in versions(case) {
            assert_eq!(encode_message(message, version), expected, "{version}");
            let decoded = BrokerMessage::decode(&mut Reader::new(&expected), version).unwrap();
            assert_eq!(encode_message(&decoded, version), expected);
            if version >= SmpVersion::NEW_NOTIFIER {
                assert_eq!(decoded, *message, "every field is carried");
            }
        }
    });
}

fn error(case: &Value) {
    let encoded = bytes(&case["bytes"]);
    let shown = case["error"].as_str().unwrap();
    let parsed = fields::error_from_shown(shown);
    for version in versions(case) {
        let message = BrokerMessage::Error(parsed.error());
        assert_eq!(encode_message(&message, version), encoded, "{version}");
        let decoded = BrokerMessage::decode(&mut Reader::new(&encoded), version).unwrap();
        assert_eq!(encode_message(&decoded, version), encoded);
    }
}

fn error_decode(case: &Value) {
    let encoded = bytes(&case["bytes"]);
    let expected = case["result"].as_str().unwrap();
    match SmpError::decode(&mut Reader::new(&encoded)) {
        Ok(error) => {
            assert_eq!(fields::shown_error(&error), expected);
            assert_eq!(encode_error(&error, SmpVersion::MAX), bytes(&case["reencoded"]));
        }
        Err(_) => assert_eq!(expected, "error"),
    }
}

/// What a side makes of an entry: the ids to answer with, and the bytes of what it read or the error.
struct Outcome {
    correlation_id: Vec<u8>,
    entity_id: Vec<u8>,
    result: Result<Vec<u8>, String>,
}

fn outcomes(
    case: &Value,
    read: impl Fn(&Transmission<'_>, SmpVersion) -> Result<Vec<u8>, CommandError>,
) -> Vec<Outcome> {
    let version = version(&case["version"]);
    let session_id = bytes(&case["session_id"]);
    let session_id = SessionId::new(&session_id).unwrap();
    let content = bytes(&case["content"]);
    let shown = |error: SmpError<'_>| String::from_utf8(encode_error(&error, version)).unwrap();
    let Ok(batch) = Batch::decode(&content) else {
        let result = Err(shown(SmpError::Block));
        return vec![Outcome { correlation_id: Vec::new(), entity_id: Vec::new(), result }];
    };
    let outcome = |entry| match Transmission::decode(entry, version, session_id) {
        Err(error) => Outcome {
            correlation_id: error.correlation_id().as_bytes().to_vec(),
            entity_id: Vec::new(),
            result: Err(shown(error.error())),
        },
        Ok(transmission) => Outcome {
            correlation_id: transmission.correlation_id.as_bytes().to_vec(),
            entity_id: transmission.entity_id.as_bytes().to_vec(),
            result: read(&transmission, version).map_err(|error| shown(error.into())),
        },
    };
    batch.iter().map(outcome).collect()
}

fn compare(outcomes: &[Outcome], expected: &Value, key: &str) {
    let expected = expected.as_array().unwrap();
    assert_eq!(outcomes.len(), expected.len());
    for (outcome, expected) in outcomes.iter().zip(expected) {
        match &outcome.result {
            Ok(read) => assert_eq!(hex::encode(read), expected[key].as_str().unwrap_or("an error"), "{expected}"),
            Err(error) => assert_eq!(error, expected["error"].as_str().unwrap_or("no error"), "{expected}"),
        }
        assert_eq!(outcome.correlation_id, bytes(&expected["corr_id"]));
        assert_eq!(outcome.entity_id, bytes(&expected["entity_id"]));
    }
}

fn server_decodes(case: &Value) {
    let outcomes = outcomes(case, |transmission, version| {
        let command = Command::decode(&mut Reader::new(transmission.command), version)?;
        command.check_credentials(transmission.authorization.is_some(), transmission.entity_id)?;
        Ok(encode_command(&command, version))
    });
    compare(&outcomes, &case["results"], "command");
}

fn client_decodes(case: &Value) {
    let outcomes = outcomes(case, |transmission, version| {
        let message = BrokerMessage::decode(&mut Reader::new(transmission.command), version)?;
        message.check_entity(transmission.entity_id)?;
        Ok(encode_message(&message, version))
    });
    compare(&outcomes, &case["results"], "message");
}

fn transmission(case: &Value) {
    let version = version(&case["version"]);
    let (session_id, correlation_id, entity_id) =
        (bytes(&case["session_id"]), bytes(&case["corr_id"]), bytes(&case["entity_id"]));
    let session_id = SessionId::new(&session_id).unwrap();
    let correlation_id = CorrelationId::new(&correlation_id).unwrap();
    let entity_id = EntityId::new(&entity_id).unwrap();
    let command = bytes(&case["command"]);
    let authorization = bytes(&case["authorization"]);
    let authorization = Authorization::from_bytes(&authorization).unwrap();
    let algorithm = match authorization {
        Authorization::None => "none",
        Authorization::Authenticator(_) => "X25519",
        Authorization::Ed25519(_) => "Ed25519",
        Authorization::Ed448(_) => "Ed448",
    };
    assert_eq!(algorithm, case["algorithm"]);
    let service_signature = optional_bytes(&case["service_signature"]);
    let service_signature: Option<&[u8; 64]> = service_signature.as_deref().map(|bytes| bytes.try_into().unwrap());

    let mut buffer = [0; 1000];
    let signed =
        AuthorizedBytes::write(&mut buffer, session_id, correlation_id, entity_id, |writer| writer.bytes(&command))
            .unwrap();
    assert_eq!(signed.as_bytes(), bytes(&case["signed"]));

    let mut buffer = [0; BATCH_CONTENT_LIMIT];
    let mut batch = BatchWriter::new(&mut buffer).unwrap();
    batch.push(|writer| signed.encode(writer, version, &authorization, service_signature)).unwrap();
    let content = batch.finish().unwrap();
    let encoded = decode_single(content).unwrap();
    assert_eq!(encoded, bytes(&case["transmission"]));
    if let Some(expected) = optional_bytes(&case["block_content"]) {
        assert_eq!(content, expected);
    }
    if !authorization.is_some() {
        let mut buffer = [0; 1000];
        let mut writer = Writer::new(&mut buffer);
        encode_unauthorized(&mut writer, version, session_id, correlation_id, entity_id, |writer| {
            writer.bytes(&command)
        })
        .unwrap();
        assert_eq!(writer.written(), encoded);
    }

    let decoded = Transmission::decode(encoded, version, session_id).unwrap();
    assert_eq!(decoded.authorization, authorization);
    assert_eq!(decoded.service_signature, service_signature);
    assert_eq!(decoded.correlation_id, correlation_id);
    assert_eq!(decoded.entity_id, entity_id);
    assert_eq!(decoded.command, command);
    let read = Command::decode(&mut Reader::new(decoded.command), version).unwrap();
    assert_eq!(read.tag(), case["tag"].as_str().unwrap().as_bytes());
    assert_eq!(read.check_credentials(authorization.is_some(), entity_id), Ok(()));
    let mut buffer = [0; 1000];
    let mut writer = Writer::new(&mut buffer);
    decoded.write_authorized(&mut writer, session_id).unwrap();
    assert_eq!(writer.written(), signed.as_bytes());
}

/// Entry `index` of a batch case, as its rule says.
fn entry(index: usize, length: usize) -> Vec<u8> {
    [&[0][..], &vec![u8::try_from(index % 256).unwrap(); length]].concat()
}

fn batch(case: &Value) {
    let lengths: Vec<_> = case["entry_lengths"].as_array().unwrap().iter().map(number).collect();
    let entries: Vec<_> =
        lengths.iter().enumerate().map(|(index, length)| entry(index, usize::try_from(*length).unwrap())).collect();
    let mut packed: Vec<_> = pack_batches(entries.iter().map(Vec::len)).collect();
    packed.reverse();
    let blocks = case["blocks"].as_array().unwrap();
    assert_eq!(packed.len(), blocks.len());
    let mut next = 0;
    for (packed, block) in packed.into_iter().zip(blocks) {
        let mut buffer = [0; BATCH_CONTENT_LIMIT];
        let mut batch = BatchWriter::new(&mut buffer).unwrap();
        match packed {
            Packed::TooLarge(index) => {
                assert!(block["error"].is_string());
                assert!(entries[index].len() > TRANSMISSION_LIMIT);
                assert_eq!(batch.push(|writer| writer.bytes(&entries[index])), Err(BatchError::TooLarge));
                assert_eq!(index, next);
                next += 1;
            }
            Packed::Batch(range) => {
                assert_eq!(range.start, next);
                next = range.end;
                for entry in &entries[range.clone()] {
                    batch.push(|writer| writer.bytes(entry)).unwrap();
                }
                if let Some(before) = range.start.checked_sub(1).map(|index| &entries[index]) {
                    let refused = batch.push(|writer| writer.bytes(before));
                    assert!(before.len() > TRANSMISSION_LIMIT || refused == Err(BatchError::Full));
                }
                let content = batch.finish().unwrap();
                assert_eq!(content.len(), usize::try_from(number(&block["len"])).unwrap());
                assert_eq!(sha256(content), block["sha256"]);
                let decoded = Batch::decode(content).unwrap();
                assert_eq!(decoded.len(), usize::try_from(number(&block["count"])).unwrap());
                assert!(decoded.iter().eq(entries[range].iter().map(Vec::as_slice)));
            }
        }
    }
    assert_eq!(next, entries.len());
}
