//! Makes the seeds of the fuzzers from the test vectors, so that a run starts from real messages.
//!
//! A seed file is named after the start of its content's hash: the same vectors make the same files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::agent_seeds as agent;
use crate::process::Failure;
use crate::ratchet_seeds as ratchet;
use crate::relay_seeds as relay;
use crate::workspace::Workspace;

/// How many seeds a target keeps. They are chosen evenly among what the vectors give.
const PER_TARGET: usize = 32;

/// Longer values are left to the fuzzer: the repository stays small.
const LONGEST: usize = 2_048;

/// The seeds of each target, by name.
type Seeds = BTreeMap<&'static str, Vec<Vec<u8>>>;

/// `cargo xtask seeds`
pub(crate) fn make(workspace: &Workspace) -> Result<(), Failure> {
    let mut seeds = Seeds::new();
    for package in &workspace.packages {
        let folder = workspace.root.join(&package.name).join("tests/vectors");
        let Ok(files) = fs::read_dir(&folder) else { continue };
        for file in files.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            for case in cases(&file.path())? {
                collect(&name, &case, &mut seeds);
            }
        }
    }
    logs(&workspace.root.join("smp-std/tests/samples"), &mut seeds)?;
    seeds.insert("agent_export", exports());
    seeds.insert("agent_peer", agent::peer());
    seeds.insert("agent_relay", agent::relay());
    seeds.insert("flash_store", flash());
    seeds.insert("relay", relay::make());
    seeds.insert("session", relay::sessions());
    seeds.insert("foreign_store", foreign(&workspace.root.join("smp-std/tests/samples"))?);
    seeds.insert("tls_client", tls());
    seeds.insert("ratchet_decrypt", ratchet::messages());
    seeds.insert("ratchet_stored", ratchet::stored());
    seeds.entry("ratchet_message").or_default().extend(ratchet::headers());
    seeds.insert("curve25519", curve());
    for (target, mut all) in seeds {
        let longest = if target == "foreign_store" { 4 * LONGEST } else { LONGEST };
        all.retain(|seed| seed.len() <= longest);
        all.sort();
        all.dedup();
        let step = all.len().div_ceil(PER_TARGET).max(1);
        let folder = workspace.fuzz().join("seeds").join(target);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|error| Failure::because("making a folder for seeds", error))?;
        let chosen: Vec<&Vec<u8>> = all.iter().step_by(step).collect();
        for seed in &chosen {
            let path = folder.join(format!("{:016x}", hash(seed)));
            fs::write(&path, seed).map_err(|error| Failure::because("writing a seed", error))?;
        }
        println!("{target}: {} of {} values", chosen.len(), all.len());
    }
    Ok(())
}

/// Exports of an agent's store, whole and damaged in each way, of one chunk and of several: see `fuzz/src/export.rs`.
fn exports() -> Vec<Vec<u8>> {
    let record = |key: &[u8], value: u16, flags: u8| {
        let [high, low] = value.to_be_bytes();
        [&[key.len().to_le_bytes()[0], high, low, 0x5a, flags], key].concat()
    };
    let short = [record(b"a", 0, 0), record(b"ab", 3, 0), record(b"b", 300, 0)].concat();
    let long = [record(b"a", 10_000, 3), record(b"", 9_000, 3), record(b"z", 4, 2)].concat();
    let one = [record(b"key", 9, 0)].concat();
    let unordered = [record(b"b", 1, 0), record(b"a", 1, 0)].concat();
    let twice = [record(b"a", 1, 0), record(b"a", 1, 0)].concat();
    let longest = [record(&[b'k'; 64], 1, 0), record(&[b'k'; 65], 1, 0)].concat();
    let mut seeds: Vec<Vec<u8>> = (0..8).map(|damage| [&[damage, 1, 7, 1][..], &long].concat()).collect();
    for records in [short, one, unordered, twice, longest] {
        seeds.push([&[0, 0, 0, 1][..], &records].concat());
    }
    // A wrong number of records; nothing; a text as it is.
    seeds.push([&[0, 0, 0, 2][..], &record(b"a", 1, 0)].concat());
    seeds.push(vec![0, 0, 0, 0]);
    seeds.push(b"\0\0\0\0\x01a\0\0\0\x02hi\0\0\0\0\0\0\0\0\x01".to_vec());
    // Exactly one full chunk, and a byte more: 65,536 less the rest of the text, of which the value is a sixteenth.
    for length in [4_094, 4_095] {
        seeds.push([&[0, 0, 0, 1][..], &record(b"aa", length, 1)].concat());
        seeds.push([&[0, 0, 0, 1][..], &record(b"aa", length, 1), &record(b"b", 2, 0)].concat());
    }
    seeds
}

/// Stores of the reference with one queue each: see `fuzz/src/foreign.rs`.
fn foreign(samples: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let mut stores = vec![b"\0".to_vec(), b"\x02CREATE\nSECURE\0v1\0".to_vec()];
    for (folder, journal) in [("memory", 0), ("journal", 1)] {
        let read = |name: &str| fs::read_to_string(samples.join(folder).join("var").join(name)).unwrap_or_default();
        let (queues, messages) = (read("smp-server-store.log"), read("smp-server-messages.log"));
        let notifications = read("smp-server-ntfs.log");
        if queues.is_empty() {
            return Err(Failure::new(format!("there is no store log in {}", samples.join(folder).display())));
        }
        let lines = |text: &str, words: &[&str]| -> String {
            let wanted = |line: &&str| words.iter().any(|word| line.contains(word));
            text.lines().filter(wanted).map(|line| format!("{line}\n")).collect()
        };
        let created = queues.lines().filter_map(|line| line.strip_prefix("CREATE rid=")?.split(' ').next());
        for (number, queue) in created.enumerate() {
            let own = lines(&queues, &[queue]);
            let notifier = own.lines().filter_map(|line| line.strip_prefix("NOTIFIER ")?.split(' ').nth(1));
            let notifiers: Vec<&str> = notifier.collect();
            let texts = [own.clone(), lines(&messages, &[queue]), lines(&notifications, &notifiers), String::new()];
            let flags = journal | if number % 2 == 0 { 2 } else { 0 };
            stores.push([&[flags][..], texts.join("\0").as_bytes()].concat());
        }
    }
    Ok(stores)
}

/// Agreements, signatures as they come, and signatures made to fit: see `fuzz/fuzz_targets/curve25519.rs`.
fn curve() -> Vec<Vec<u8>> {
    let patterns = [0x00, 0xff, 0x55, 0x09];
    let agreements = patterns.iter().map(|byte| [&[0][..], &[*byte; 32], &[!byte; 32]].concat());
    let as_they_come = patterns.iter().map(|byte| [&[1][..], &[*byte; 32], &[0; 64], b"message"].concat());
    // Parts of small order in the key or in R or in both, with and without a change in one byte of key, R and S.
    let fitting = [0u8, 1, 8, 9, 18, 27, 36, 45, 54, 63].into_iter().enumerate().map(|(index, torsion)| {
        let change = [[0, 0], [31, 128], [32, 1], [95, 16]][index % 4];
        [&[2][..], &[torsion.wrapping_add(1); 32], &[index.to_le_bytes()[0]; 32], &[torsion], &change, b"message"]
            .concat()
    });
    agreements.chain(as_they_come).chain(fitting).collect()
}

/// Servers for a TLS client, as steps: see `fuzz/src/tls.rs`.
fn tls() -> Vec<Vec<u8>> {
    let finished = [0, 0, 0, 0, 128];
    let after: [&[u8]; 12] = [
        &[8, 2, 4, 1, 2, 3, 4, 13, 3, 5, 6, 7], // data both ways
        &[128, 128, 128, 8, 2, 1, 9],           // updates and a ticket, data
        &[8, 0, 2, 1, 0],                       // close_notify
        &[8, 0, 2, 2, 80, 8, 2, 1, 1],          // an alert, then data
        &[5, 13, 3, 0, 0, 0],                   // a request for a certificate
        &[10, 4, 7, 23, 0, 0, 8, 2, 0],         // padding, empty data
        &[14, 8, 2, 1, 1],                      // keys that nobody announced
        &[9, 20, 1, 1],                         // change_cipher_spec
        &[7, 2, 4, 0, 8, 2, 1, 1],              // half a message, data
        &[3, 3, 0, 4, 1],                       // a changed update
        &[11, 5, 23, 3, 3, 0, 40],              // the header of a record
        &[128, 13, 2, 1, 1, 128, 13, 2, 1, 1],  // updates and data of the client
    ];
    let before: [&[u8]; 8] = [
        &[14, 6, 99, 111, 111, 107, 105, 101, 0], // a retry request
        &[0, 0, 15],                              // a request for a certificate
        &[9, 20, 1, 1, 0],                        // change_cipher_spec
        &[3, 3, 0, 70, 1],                        // a changed ServerHello
        &[0, 4, 3, 0, 9, 1],                      // changed extensions
        &[0, 0, 0, 4, 3, 0, 20, 1],               // a changed signature
        &[0, 12],                                 // a message less
        &[5, 2, 4, 3, 3, 0, 0],                   // a short ServerHello
    ];
    let layouts = [0, 1, 6, 12, 31, 34];
    let after = after.iter().map(|after| [&finished[..], after].concat());
    let before = before.iter().map(|before| [before, &finished[..]].concat());
    after
        .chain(before)
        .zip(layouts.into_iter().cycle())
        .map(|(program, layout)| [&[layout][..], &program].concat())
        .collect()
}

fn cases(path: &Path) -> Result<Vec<Value>, Failure> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| Failure::because(&name, error))?;
    let mut file: Value = serde_json::from_str(&text).map_err(|error| Failure::because(&name, error))?;
    Ok(file["cases"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

/// The lines of sample logs, each with the choice of its parser before it.
fn logs(folder: &Path, seeds: &mut Seeds) -> Result<(), Failure> {
    let entries = fs::read_dir(folder).map_err(|error| Failure::because(&folder.display().to_string(), error))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            logs(&path, seeds)?;
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let choice = match name.as_str() {
            "smp-server-store.log" => 0,
            "smp-server-messages.log" => 1,
            "smp-server-ntfs.log" => 2,
            name if name.starts_with("messages.") => 3,
            name if name.starts_with("queue_state.") => 4,
            _ => continue,
        };
        let text = fs::read_to_string(&path).map_err(|error| Failure::because(&name, error))?;
        // Hundreds of lines of a journal differ in nothing that matters.
        let lines = text.lines().take(8).map(|line| [&[choice], line.as_bytes()].concat());
        seeds.entry("store_log").or_default().extend(lines);
    }
    Ok(())
}

/// Scripts for the store in flash: its choice of words, and deeds of four bytes. Each ends in another deed, after some that
/// fill pages.
fn flash() -> Vec<Vec<u8>> {
    let scripts = (0..3).flat_map(|words| (0..12).map(move |last| (words, last)));
    let fill = [[255, 1, 0, 200], [255, 2, 7, 250], [255, 5, 1, 0], [6, 4, 0, 0], [255, 1, 2, 255], [255, 1, 1, 99]];
    let script = |(words, last): (u8, u8)| {
        let end = [[last, 36, 0, last], [last, 0, 17, 40], [5, 0, 0, 0], [6, 0, 0, 0], [6, 3, 0, 0], [6, 1, 3, 9]];
        [&[words], fill.as_flattened(), fill.as_flattened(), end.as_flattened()].concat()
    };
    scripts.map(script).collect()
}

/// What one vector gives to which targets.
fn collect(file: &str, case: &Value, seeds: &mut Seeds) {
    let mut add = |target: &'static str, prefix: &[u8], bytes: Option<Vec<u8>>| {
        if let Some(bytes) = bytes {
            seeds.entry(target).or_default().push([prefix, &bytes].concat());
        }
    };
    match (file, case["op"].as_str().unwrap_or_default()) {
        ("primitives.json", "encode" | "decode") => add("primitives", &[primitive(&case["type"])], hex(&case["bytes"])),
        ("primitives.json", "pad") => add("padding", &[], hex(&case["result"])),
        ("primitives.json", "unpad") => add("padding", &[], hex(&case["padded"])),
        ("primitives.json", "key") => {
            add("primitives", &[13], hex(&case["wire_key"]));
            add("base64", &[], text(&case["text"]));
            add("secret_key", &[], hex(&case["private_pkcs8"]));
        }
        ("primitives.json", "decode_key") => {
            let der = hex(&case["der"]);
            let length = der.as_ref().and_then(|der| u8::try_from(der.len()).ok());
            add("primitives", &[13, length.unwrap_or(0)], der);
        }
        ("transmissions.json", "command") => add("command", &[version(&case["versions"])], hex(&case["bytes"])),
        ("transmissions.json", "broker_message" | "error") => {
            add("broker_message", &[version(&case["versions"])], hex(&case["bytes"]));
        }
        ("transmissions.json", "transmission") => {
            let version = version(&case["version"]);
            add("transmission", &[version], hex(&case["transmission"]));
            add("batch", &[version], hex(&case["block_content"]));
            add("encrypted_block", &[0, 0, version % 2], hex(&case["block_content"]));
        }
        ("transmissions.json", "server_decodes_block_content" | "client_decodes_block_content") => {
            add("batch", &[version(&case["version"])], hex(&case["content"]));
        }
        ("transport.json", "handshake") => {
            add("handshake", &[0, 0], Some(Vec::new()));
            add("handshake", &[1, 0], Some(Vec::new()));
            add("handshake", &[0, 1], hex(&case["server_hello"]["content"]));
            add("handshake", &[1, 1], hex(&case["client_hello"]["content"]));
            add("hello", &[0], hex(&case["server_hello"]["content"]));
            add("hello", &[1], hex(&case["client_hello"]["content"]));
            add("signed_key", &[], hex(&case["skey"]));
        }
        ("transport.json", "certificate_chain") => add("certificate_chain", &[], chain(&case["chain"])),
        ("envelopes.json", "client_envelope") => {
            add("message_body", &[2], hex(&case["envelope"]["first64"]));
            add("message_body", &[3], hex(&case["inner"]));
        }
        ("envelopes.json", "msg_body" | "msg_plain_parse" | "msg_quota") => {
            add("message_body", &[0], hex(&case["plain"]));
        }
        ("envelopes.json", "nmsg_meta") => add("message_body", &[1], hex(&case["meta"])),
        ("envelopes.json", "link_data") => {
            add("link", &[0], hex(&case["connection_request_binary"]));
            add("link", &[2], hex(&case["fixed"]["data"]));
            add("link", &[3], hex(&case["user"]["data"]));
            add("link", &[10], text(&case["short_link"]));
            add("link", &[10], text(&case["connection_request_uri"]));
        }
        ("addresses.json", "short_link" | "short_link_encode") => {
            add("link", &[1], hex(&case["binary"]));
            add("link", &[10], text(&case["text"]));
        }
        ("addresses.json", "connection_request" | "connection_request_encode" | "connection_link") => {
            add("link", &[0], hex(&case["binary"]));
            add("link", &[10], text(&case["text"]));
        }
        ("addresses.json", "e2e_params_uri") => add("link", &[8], text(&case["text"])),
        ("ratchet-x3dh.json", "encode_params" | "decode_params") => {
            let range = case["form"] == "e2eParamsRange";
            add("ratchet_message", &[if range { 7 } else { 4 }], hex(&case["bytes"]));
        }
        ("agent.json", "agent_message" | "agent_message_parse") => add("agent_message", &[], hex(&case["bytes"])),
        ("agent.json", "agent_envelope" | "agent_envelope_parse") => add("agent_envelope", &[], hex(&case["bytes"])),
        ("addresses.json", "name") => add("link", &[9], text(&case["text"])),
        ("addresses.json", "server") => {
            add("address", &[0], hex(&case["binary"]));
            add("address", &[3], text(&case["text"]));
        }
        ("addresses.json", "queue_info_encode" | "queue_info_decode") => {
            add("queue_uri", &[0], hex(&case["binary"]));
        }
        ("addresses.json", "queue_uri_encode" | "queue_uri") => {
            add("queue_uri", &[1], hex(&case["binary"]));
            add("queue_uri", &[2], text(&case["text"]));
        }
        ("primitives.json", "cb_nonce") => add("base64", &[], hex(&case["input"])),
        _ => {}
    }
}

/// The choice that the target `primitives` reads from its first byte.
fn primitive(name: &Value) -> u8 {
    match name.as_str().unwrap_or_default() {
        "bool" => 0,
        "u16" => 1,
        "u32" => 2,
        "i64" => 3,
        "time" => 4,
        "str" => 5,
        "lstr" => 6,
        "rest" => 7,
        name if name.starts_with("opt") => 8,
        name if name.starts_with("list0") => 9,
        _ => 10,
    }
}

/// Certificates as hellos carry them: their number, then each behind its length.
fn chain(listed: &Value) -> Option<Vec<u8>> {
    let certificates = listed.as_array()?.iter().map(hex).collect::<Option<Vec<_>>>()?;
    let mut bytes = vec![u8::try_from(certificates.len()).ok()?];
    for certificate in certificates {
        bytes.extend(u16::try_from(certificate.len()).ok()?.to_be_bytes());
        bytes.extend(certificate);
    }
    Some(bytes)
}

/// The first byte from which targets read the version: the highest one listed.
fn version(listed: &Value) -> u8 {
    let highest = listed.as_array().and_then(|all| all.last()).unwrap_or(listed);
    highest.as_u64().and_then(|version| u8::try_from(version.checked_sub(6)?).ok()).unwrap_or(0)
}

fn text(value: &Value) -> Option<Vec<u8>> {
    value.as_str().map(|text| text.as_bytes().to_vec())
}

fn hex(value: &Value) -> Option<Vec<u8>> {
    let digits = value.as_str()?.as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// FNV-1a: only a name for a file, but the same one every time.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hexadecimal_is_read() {
        assert_eq!(hex(&json!("00ff7a")), Some(vec![0, 255, 0x7a]));
        assert_eq!(hex(&json!("0")), None);
        assert_eq!(hex(&json!("0g")), None);
        assert_eq!(hex(&json!(null)), None);
    }

    #[test]
    fn vectors_become_seeds() {
        let mut seeds = Seeds::new();
        collect("primitives.json", &json!({"op": "encode", "type": "str", "bytes": "0161"}), &mut seeds);
        collect("primitives.json", &json!({"op": "no such operation"}), &mut seeds);
        assert_eq!(seeds, Seeds::from([("primitives", vec![vec![5, 1, b'a']])]));
    }
}
