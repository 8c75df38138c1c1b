//! What reading and writing costs, next to copying the same bytes: `cargo bench -p smp-proto`.
//!
//! Values are the longest of their kind among those made by the reference implementation, and messages that fill a block.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;
use smp_proto::address::{ServerAddress, ServerUri};
use smp_proto::agent::connection_request::{ConnectionLink, ConnectionRequest};
use smp_proto::agent::ratchet_parameters::RatchetParameters;
use smp_proto::agent::{AgentEnvelope, AgentMessage, RatchetMessage};
use smp_proto::id::{CorrelationId, EntityId, SessionId};
use smp_proto::key::X25519PublicKey;
use smp_proto::short_link::ShortLink;
use smp_proto::smp::message::{ClientEnvelope, Delivery};
use smp_proto::smp::proxy::{ForwardedTransmission, ProxyForward};
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::transport::block::{BATCH_CONTENT_LIMIT, Batch, BatchWriter};
use smp_proto::transport::hello::{CertificateChain, ClientHello, ServerHello};
use smp_proto::transport::transmission::{Authorization, AuthorizedBytes, Transmission};
use smp_proto::uri::{QueueInfo, QueueUri};
use smp_proto::version::SmpVersion;
use smp_proto::wire::{Decode, Encode, LongString, Reader, Writer, pad_in_place, unpad_range};

const VERSION: SmpVersion = SmpVersion::MAX;

/// The longest bytes of the cases of an operation that the reference accepts.
fn longest(file: &str, operation: &str, field: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = document["cases"].as_array().unwrap().iter();
    let of_kind = cases.filter(|case| case["op"] == operation && case["result"] != "error");
    let bytes = of_kind.filter_map(|case| case[field].as_str()).max_by_key(|text| text.len()).unwrap();
    if field.contains("text") { bytes.as_bytes().to_vec() } else { hex::decode(bytes).unwrap() }
}

/// Three figures for one kind of value: copying its bytes, reading them, and writing what was read.
fn codec<'a, T>(
    criterion: &mut Criterion,
    name: &str,
    bytes: &'a [u8],
    decode: impl Fn(&'a [u8]) -> T,
    encode: impl Fn(&T, &mut [u8]) -> usize,
) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    let mut buffer = vec![0; 2 * bytes.len() + 64];
    group
        .bench_function("copy", |b| b.iter(|| black_box(&mut buffer[..bytes.len()]).copy_from_slice(black_box(bytes))));
    group.bench_function("read", |b| b.iter(|| black_box(decode(black_box(bytes)))));
    let value = decode(bytes);
    assert!(encode(&value, &mut buffer) > 0);
    group.bench_function("write", |b| b.iter(|| encode(black_box(&value), black_box(&mut buffer))));
    group.finish();
}

/// The same for values that need nothing but their bytes.
fn plain<'a, T: Decode<'a> + Encode>(criterion: &mut Criterion, name: &str, bytes: &'a [u8]) {
    codec(
        criterion,
        name,
        bytes,
        |bytes| T::from_bytes(bytes).unwrap(),
        |value, out| value.to_slice(out).unwrap().len(),
    );
}

/// The same for text.
fn text<'a, T: std::fmt::Display>(
    criterion: &mut Criterion,
    name: &str,
    bytes: &'a [u8],
    parse: impl Fn(&'a str) -> T,
) {
    let decode = |bytes| parse(std::str::from_utf8(bytes).unwrap());
    codec(criterion, name, bytes, decode, |value, out| {
        use std::io::Write;
        let mut rest = &mut *out;
        write!(rest, "{value}").unwrap();
        let left = rest.len();
        out.len() - left
    });
}

fn written(encode: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buffer = vec![0; 20_000];
    let mut writer = Writer::new(&mut buffer);
    encode(&mut writer);
    writer.written().to_vec()
}

fn blocks(criterion: &mut Criterion) {
    let session = SessionId::new(&[1; 32]).unwrap();
    let (correlation, entity) = ([2; 24], [3; 24]);
    let correlation_id = CorrelationId::from_array(&correlation);
    let entity_id = EntityId::new(&entity).unwrap();

    let mut body = vec![7; 16_000];
    body.splice(..0, *b"SEND T ");
    let command = |bytes| Command::decode(&mut Reader::new(bytes), VERSION).unwrap();
    codec(criterion, "SEND", &body, command, |command, out| {
        let mut writer = Writer::new(out);
        command.encode(&mut writer, VERSION).unwrap();
        writer.written().len()
    });
    let message = [b"MSG \x18", &[4; 24][..], &[5; 16_122]].concat();
    let read = |bytes| BrokerMessage::decode(&mut Reader::new(bytes), VERSION).unwrap();
    codec(criterion, "MSG", &message, read, |message, out| {
        let mut writer = Writer::new(out);
        message.encode(&mut writer, VERSION).unwrap();
        writer.written().len()
    });

    let write = |command: &[u8], out: &mut [u8]| {
        let mut authorized = vec![0; command.len() + 100];
        let bytes = |writer: &mut Writer<'_>| writer.bytes(command);
        let authorized = AuthorizedBytes::write(&mut authorized, session, correlation_id, entity_id, bytes).unwrap();
        let mut writer = Writer::new(out);
        authorized.encode(&mut writer, VERSION, &Authorization::Ed25519(&[6; 64]), None).unwrap();
        writer.written().len()
    };
    let mut buffer = vec![0; 20_000];
    let length = write(&body, &mut buffer);
    let read = |bytes| Transmission::decode(bytes, VERSION, session).unwrap();
    codec(criterion, "transmission of SEND", &buffer[..length], read, |read, out| write(read.command, out));

    // As many acknowledgements as a block holds.
    let acknowledge = |number: u8| {
        written(|writer| {
            writer.bytes(b"ACK \x18").unwrap();
            writer.bytes(&[number; 24]).unwrap();
        })
    };
    let mut entry = vec![0; 500];
    let length = write(&acknowledge(1), &mut entry);
    let fill = |out: &mut [u8]| {
        let mut batch = BatchWriter::new(&mut out[..BATCH_CONTENT_LIMIT]).unwrap();
        while batch.push(|writer| writer.bytes(&entry[..length])).is_ok() {}
        batch.finish().unwrap().len()
    };
    let mut block = vec![0; BATCH_CONTENT_LIMIT];
    let length = fill(&mut block);
    let read = |bytes| Batch::decode(bytes).unwrap().iter().map(<[u8]>::len).sum::<usize>();
    codec(criterion, "batch of small transmissions", &block[..length], read, |_, out| fill(out));

    let mut padded = vec![0; 16_384];
    pad_in_place(&mut padded, 100).unwrap();
    let read = |bytes: &[u8]| unpad_range(bytes).unwrap();
    codec(criterion, "padding of a block", &padded, read, |_, out| {
        pad_in_place(&mut out[..16_384], 100).unwrap();
        100
    });
}

fn hellos(criterion: &mut Criterion) {
    let certificates = [[8; 500]; 2];
    let certificates = certificates.each_ref().map(|bytes| LongString::new(bytes).unwrap());
    let chain = written(|writer| CertificateChain::new(&certificates).unwrap().encode(writer).unwrap());
    plain::<CertificateChain<'_>>(criterion, "certificate chain", &chain);
    let hello = [&[0, 6, 0, 20, 32][..], &[1; 32], &chain, &[0, 100], &[2; 100]].concat();
    plain::<ServerHello<'_>>(criterion, "hello of a relay", &hello);
    let hello = [&[0, 20, 32][..], &[1; 32], b"\x2c\x30\x2a\x30\x05\x06\x03\x2b\x65\x6e\x03\x21\x00", &[3; 32], b"F0"];
    plain::<ClientHello<'_>>(criterion, "hello of a client", &hello.concat());
}

fn envelopes(criterion: &mut Criterion) {
    let nonce = [4; 24];
    let envelope = ClientEnvelope {
        version: smp_proto::version::ClientVersion::MAX,
        dh_key: None,
        nonce: &nonce,
        ciphertext: &[5; 16_016],
    };
    let envelope = written(|writer| envelope.encode(writer).unwrap());
    plain::<ClientEnvelope<'_>>(criterion, "envelope of a sender", &envelope);
    let delivery =
        Delivery::Message { time: smp_proto::wire::Time(1_700_000_000), notification: true, body: &[6; 16_000] };
    let delivery = written(|writer| delivery.encode(writer).unwrap());
    plain::<Delivery<'_>>(criterion, "content of a delivery", &delivery);
    let correlation = [7; 24];
    let key = X25519PublicKey([9; 32]);
    let forward = ProxyForward { version: VERSION, key, encrypted: &[8; 16_242] };
    let forward = ForwardedTransmission { correlation_id: CorrelationId::from_array(&correlation), forward };
    let forward = written(|writer| forward.encode(writer).unwrap());
    plain::<ForwardedTransmission<'_>>(criterion, "forwarded command", &forward);
    let mut message = vec![1; 15_982];
    message[..2].copy_from_slice(&124_u16.to_be_bytes());
    codec(
        criterion,
        "message of the ratchet",
        &message,
        |bytes| RatchetMessage::from_bytes(bytes).unwrap(),
        |message, out| {
            // Whoever makes one encrypts it in its place: only the front is written.
            let mut writer = Writer::new(out);
            writer.u16(124).unwrap();
            writer.bytes(message.header).unwrap();
            writer.bytes(message.tag).unwrap();
            writer.written().len()
        },
    );
    plain::<AgentEnvelope<'_>>(criterion, "envelope of an agent", &longest("agent.json", "agent_envelope", "bytes"));
    plain::<AgentMessage<'_>>(criterion, "message of an agent", &longest("agent.json", "agent_message", "bytes"));
}

fn addresses(criterion: &mut Criterion) {
    let binary = |operation| longest("addresses.json", operation, "binary");
    let written = |operation| longest("addresses.json", operation, "written_text");
    plain::<ServerAddress<'_>>(criterion, "address of a relay", &binary("server"));
    plain::<QueueInfo<'_>>(criterion, "queue", &binary("queue_info_decode"));
    plain::<QueueUri>(criterion, "address of a queue", &binary("queue_uri"));
    plain::<ConnectionRequest>(criterion, "connection request", &binary("connection_request"));
    plain::<RatchetParameters>(criterion, "parameters of the ratchet", &binary("e2e_params_uri"));
    plain::<ShortLink>(criterion, "short link", &binary("short_link"));
    text(criterion, "address of a relay, text", &written("server"), |text| ServerUri::parse(text).unwrap());
    text(criterion, "address of a queue, text", &written("queue_uri"), |text| QueueUri::parse(text).unwrap());
    let full = written("connection_request");
    text(criterion, "connection request, text", &full, |text| ConnectionLink::parse(text).unwrap());
    text(criterion, "short link, text", &written("short_link"), |text| ConnectionLink::parse(text).unwrap());
}

criterion_group!(benches, blocks, hellos, envelopes, addresses);
criterion_main!(benches);
