//! Messages to ratchets whose keys are known: every part of a message can be wrong while the others are right, so that what
//! stands behind the encryption of headers and bodies is reached.
//!
//! A refusal changes nothing. A message that is taken is the one that was made, leaves a state that can be stored, goes on
//! and is not taken again. A message in which nothing is wrong is taken.
//!
//! The first 16 bytes say what is made; the others are what is changed, and the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_crypto::ratchet::{Changed, DecryptError, Error, Ratchet};
use smp_fuzz::ratchet::{Key, PEER, State, Store, WAITING, Waiting, encrypt, message_key, random, stored, stored_keys};
use smp_proto::agent::{Encapsulation, RatchetHeader};
use smp_proto::version::RatchetVersion;
use smp_proto::wire::{Reader, Writer, unpad};

/// What is wrong with a message.
#[derive(Clone, Copy, PartialEq)]
enum Wrong {
    Nothing,
    /// Bits of the header, before it is encrypted.
    HeaderBits,
    /// The whole header, before it is encrypted.
    Header,
    /// The padded body, before it is encrypted.
    Body,
    /// Bits on the way.
    Bits,
    /// It is cut off.
    Cut,
    /// Something is appended.
    Longer,
    /// The key of the body.
    BodyKey,
}

const WRONG: [Wrong; 8] = [
    Wrong::Nothing,
    Wrong::HeaderBits,
    Wrong::Header,
    Wrong::Body,
    Wrong::Bits,
    Wrong::Cut,
    Wrong::Longer,
    Wrong::BodyKey,
];

struct Made {
    bytes: Vec<u8>,
    text: Vec<u8>,
    number: Option<u32>,
    /// Whether nothing is wrong with it.
    authentic: bool,
}

/// A number near one that is right, or anywhere.
fn number(near: u32, [how, low]: [u8; 2]) -> u32 {
    match how {
        0..160 => near.wrapping_add(u32::from(low % 6)),
        160..192 => near.wrapping_sub(u32::from(low % 4)),
        192..224 => near.wrapping_add(512 + u32::from(low % 3)),
        224..240 => u32::from(low) * 300,
        _ => u32::MAX - u32::from(low % 8),
    }
}

fn xor(bytes: &mut [u8], at: usize, changes: &[u8]) {
    let start = at % bytes.len().max(1);
    bytes.iter_mut().skip(start).zip(changes).for_each(|(byte, change)| *byte ^= change);
}

fn make(waiting: &Waiting, control: &[u8; 16], rest: &[u8]) -> Made {
    let [
        _,
        turn,
        how,
        low,
        how_before,
        low_before,
        slot,
        key,
        version,
        max_version,
        form,
        length,
        size,
        wrong,
        high,
        at,
    ] = *control;
    let state = &waiting.state;
    let wrong = WRONG[usize::from(wrong % 8)];
    let at = usize::from(u16::from_be_bytes([high, at]));
    let (header_key, is_next, known) = header_key(waiting, turn);
    let [_, received, _] = state.counts;

    // Mostly the version of the ratchet; sometimes another one.
    let version = RatchetVersion(match version {
        0..200 => state.versions.0,
        200..250 => 2 + u16::from(version % 2),
        _ => u16::from(version),
    });
    let peer = &*PEER;
    let encapsulation_key = &peer.encapsulation[usize::from(slot / 4 % 2)];
    // To nobody, or really to the party's key: which of them makes no difference to how far a message gets.
    let mut ciphertext = [slot; 1039];
    if let Some((_, Some(known))) = &state.encapsulation {
        ciphertext.copy_from_slice(known);
    }
    let encapsulation = match slot % 4 {
        0 | 1 => None,
        2 => Some(Encapsulation::Proposed { key: encapsulation_key }),
        _ => Some(Encapsulation::Accepted { ciphertext: &ciphertext, key: encapsulation_key }),
    };
    let mut public = peer.curve[usize::from(key % 3)];
    if key >= 250 {
        // Small order.
        public.0 = [0; 56];
        public.0[0] = key % 2;
    }
    let header = RatchetHeader {
        max_version: RatchetVersion(u16::from(max_version % 6)),
        key: public,
        encapsulation,
        previous_count: number(received, [how_before, low_before]),
        number: number(if is_next { 0 } else { received }, [how, low]),
    };
    let mut content = vec![0; 2310];
    let mut writer = Writer::new(&mut content);
    header.encode(&mut writer, version).expect("it fits");
    let header_length = writer.len();
    content.truncate(header_length);
    match wrong {
        Wrong::HeaderBits => xor(&mut content, at, rest),
        Wrong::Header => content = rest.iter().copied().take(2300).collect(),
        _ => {}
    }
    let mut padded = u16::try_from(content.len()).expect("it is short").to_be_bytes().to_vec();
    padded.extend(&content);
    let small = padded.len().max(if form < 100 { 88 } else { usize::from(form) });
    padded.resize(if form < 200 { small } else { 2310.max(padded.len()) }, b'#');
    if form == 255 {
        padded[0] ^= length;
    }
    // What the party will read in it.
    let read = unpad(&padded).ok().map(<[u8]>::to_vec);
    let read = read.as_deref().and_then(|content| RatchetHeader::decode(&mut Reader::new(content), version).ok());
    let chain = read.as_ref().and_then(|header| body_key(waiting, header, &header_key, is_next));

    let iv = [size; 16];
    let tag = encrypt(&header_key, &iv, &state.associated_data, &mut padded);
    let mut encoded = version.0.to_be_bytes().to_vec();
    encoded.extend([iv, tag].concat());
    encode_length(&mut encoded, version, padded.len());
    encoded.extend(&padded);

    let text: Vec<u8> = rest.iter().copied().take(usize::from(length)).collect();
    let mut body = u16::try_from(text.len()).expect("it is short").to_be_bytes().to_vec();
    body.extend(&text);
    body.resize(body.len() + usize::from(size % 32), b'#');
    if wrong == Wrong::Body {
        body = rest.to_vec();
    }
    let (mut body_key, body_iv) = chain.unwrap_or_default();
    if wrong == Wrong::BodyKey {
        body_key[at % 32] ^= 1;
    }
    let data = [&state.associated_data[..], &encoded].concat();
    let tag = encrypt(&body_key, &body_iv, &data, &mut body);
    let mut bytes = Vec::new();
    encode_length(&mut bytes, version, encoded.len());
    bytes.extend([&encoded[..], &tag, &body].concat());
    let before = bytes.clone();
    match wrong {
        Wrong::Bits => xor(&mut bytes, at, rest),
        Wrong::Cut => bytes.truncate(at % bytes.len()),
        Wrong::Longer => bytes.extend(rest),
        _ => {}
    }
    let is_unchanged = matches!(wrong, Wrong::Nothing) || (wrong as u8 >= Wrong::Bits as u8 && before == bytes);
    let authentic = is_unchanged
        && wrong != Wrong::BodyKey
        && known
        && form != 255
        && chain.is_some()
        && read.as_ref().is_some_and(|header| fits(state, header, is_next));
    Made { bytes, text, number: read.map(|header| header.number), authentic }
}

/// A header key: of the chain that goes on, of the next one, of a skipped message, or a wrong one. Tells whether the message
/// begins a chain, and whether the party knows the key.
fn header_key(waiting: &Waiting, turn: u8) -> (Key, bool, bool) {
    let exact = |bytes: &[u8]| Key::try_from(bytes).expect("it has 32 bytes");
    let next = exact(&waiting.state.next_header_keys.1);
    match (turn % 8, &waiting.state.receiving) {
        (0..3, Some((_, header_key))) => (exact(header_key), false, true),
        (3, _) => {
            let store = Store::from_bytes(&waiting.skipped).expect("it was stored");
            let oldest = store.iter().next();
            oldest.map_or(([7; 32], false, false), |skipped| (*skipped.header_key.as_bytes(), false, true))
        }
        (7, _) => ([turn; 32], false, false),
        _ => (next, true, true),
    }
}

/// The key of the body, for what a header says.
fn body_key(waiting: &Waiting, header: &RatchetHeader<'_>, header_key: &Key, is_next: bool) -> Option<(Key, [u8; 16])> {
    let store = Store::from_bytes(&waiting.skipped).expect("it was stored");
    let found = store.iter().find(|key| key.header_key.as_bytes() == header_key && key.number == header.number);
    if let Some(skipped) = found {
        return Some((*skipped.key.key(), *skipped.key.iv()));
    }
    let [_, received, _] = waiting.state.counts;
    if is_next {
        let chain = waiting.state.next_chain(header)?;
        return (header.number <= 513).then(|| message_key(&chain, header.number));
    }
    let (chain, _) = waiting.state.receiving.as_ref().filter(|(_, key)| key.as_slice() == header_key)?;
    let chain = Key::try_from(chain.as_slice()).ok()?;
    let count = header.number.checked_sub(received).filter(|count| *count <= 513)?;
    Some(message_key(&chain, count))
}

/// The rules for missing messages and for encapsulation.
fn fits(state: &State, header: &RatchetHeader<'_>, is_next: bool) -> bool {
    let [_, received, _] = state.counts;
    let gap = |number: u32, next: u32| number.checked_sub(next).is_some_and(|missing| missing <= 512);
    let accepts = matches!(header.encapsulation, Some(Encapsulation::Accepted { .. }));
    if !is_next {
        // What is late was looked up, or is not there.
        return header.number < received || gap(header.number, received);
    }
    (state.receiving.is_none() || gap(header.previous_count, received))
        && gap(header.number, 0)
        && (!accepts || state.encapsulation.is_some())
}

fn encode_length(bytes: &mut Vec<u8>, version: RatchetVersion, length: usize) {
    if version >= RatchetVersion::ENCAPSULATION || length > 255 {
        bytes.extend(u16::try_from(length).expect("it is short").to_be_bytes());
    } else {
        bytes.push(u8::try_from(length).expect("it is short"));
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((control, rest)) = data.split_first_chunk::<16>() else { return };
    let waiting = &WAITING[usize::from(control[0]) % WAITING.len()];
    let made = make(waiting, control, rest);
    let mut ratchet = Ratchet::from_bytes(&waiting.ratchet).expect("it was stored");
    let mut store = Store::from_bytes(&waiting.skipped).expect("it was stored");
    let mut random = random(5);
    let mut bytes = made.bytes.clone();
    match ratchet.decrypt(&mut store, &mut random, &mut bytes) {
        Err(DecryptError::Ratchet(error)) => {
            assert!(!made.authentic, "an authentic message is refused: {error}");
            assert!(!matches!(error, Error::Internal | Error::NotReady | Error::Stored), "{error}");
            assert!(bytes == made.bytes, "a refused message was changed itself");
            assert!(stored(&ratchet) == waiting.ratchet, "a refused message changed the ratchet");
            assert!(stored_keys(&store) == waiting.skipped, "a refused message changed the skipped keys");
        }
        Err(DecryptError::Store(never)) => match never {},
        Ok(decrypted) => {
            let wrong = WRONG[usize::from(control[13] % 8)];
            assert!(wrong == Wrong::Body || decrypted.message == made.text, "it is another message");
            assert_eq!(Some(decrypted.number), made.number);
            let changed = decrypted.changed;
            let after = (stored(&ratchet), stored_keys(&store));
            assert_eq!(after.0 != waiting.ratchet, changed != Changed::SkippedKeys);
            assert_eq!(after.1 != waiting.skipped, changed != Changed::Ratchet);
            let mut again = Ratchet::from_bytes(&after.0).expect("it was stored");
            assert!(ratchet.version() <= RatchetVersion::MAX && stored(&again) == after.0);
            let mut replay = made.bytes.clone();
            assert!(again.decrypt(&mut store, &mut random, &mut replay).is_err(), "it is taken twice");
            assert!(replay == made.bytes && (stored(&again), stored_keys(&store)) == after);
            if changed != Changed::SkippedKeys || again.can_send() {
                assert!(again.encrypt(smp_crypto::ratchet::Sending::default(), b"hello", 20, &mut [0; 4096]).is_ok());
            }
        }
    }
});
