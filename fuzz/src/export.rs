//! The export of an agent's store, as it is behind the header and its passphrase.
//!
//! An input is a byte that says what is done to the sealed text, two that say where, one that says what the text is, and
//! then the text itself (0), or records of which it is made: the length of a key, the length of a value (2 bytes), a byte
//! of which the value consists, a byte of which bit 0 makes it sixteen times as long and bit 1 puts the record's number
//! before the key, so that it is in order; and the key.
//!
//! What is not an export is refused and leaves nothing behind; what is one becomes a store with just these records, whose
//! export is the same.

use std::path::Path;

use smp_agent::storage::{MAX_KEY_LENGTH, MAX_VALUE_LENGTH};
use smp_std::agent::store::fuzzing::{export, import, seal};

/// A sealed chunk that is not the last.
const CHUNK: usize = 65_536 + 16;
/// A text has no more, so that an input takes no seconds.
const LONGEST: usize = 1 << 20;

/// Plays an input.
pub fn play(data: &[u8]) {
    let Some(([damage, high, low, form], rest)) = data.split_first_chunk::<4>() else { return };
    let text = if *form == 0 { rest.to_vec() } else { records(rest, *form) };
    let sound = seal(&text).expect("a short text can be sealed");
    let at = usize::from(u16::from_be_bytes([*high, *low]));
    let sealed = damaged(&sound, *damage, at);
    let expected = if sealed == sound { read(&text) } else { None };

    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let folder = folder.expect("there is room for a folder");
    match (import(&sealed, &folder.path().join("store")), expected) {
        (Ok(store), Some(expected)) => {
            let all = store.scan(&[], None, usize::MAX).expect("the store can be read");
            assert!(all == expected, "other records");
            assert!(export(&store).expect("the store can be exported") == sound, "another export");
        }
        (Err(_), None) => {
            let left = std::fs::read_dir(folder.path()).expect("the folder is there").count();
            assert_eq!(left, 0, "something is left behind");
        }
        (Ok(_), None) => panic!("taken for an export"),
        (Err(error), Some(_)) => panic!("not taken: {error}"),
    }
}

/// A text made of records. Where `form` is 1 their number is right.
fn records(mut rest: &[u8], form: u8) -> Vec<u8> {
    let mut text = Vec::new();
    let mut count = 0_u64;
    while let Some(([length, high, low, byte, flags], more)) = rest.split_first_chunk::<5>() {
        let (key, more) = more.split_at(usize::from(*length).min(more.len()));
        rest = more;
        let mut whole = if flags & 2 != 0 { (count as u16).to_be_bytes().to_vec() } else { Vec::new() };
        whole.extend_from_slice(key);
        let times = if flags & 1 != 0 { 16 } else { 1 };
        let value = vec![*byte; usize::from(u16::from_be_bytes([*high, *low])) * times];
        if text.len() + value.len() > LONGEST {
            break;
        }
        text.push(whole.len() as u8);
        text.extend_from_slice(&whole);
        text.extend_from_slice(&(value.len() as u32).to_be_bytes());
        text.extend_from_slice(&value);
        count += 1;
    }
    text.push(0);
    text.extend_from_slice(&(count + u64::from(form - 1)).to_be_bytes());
    text
}

/// What was sealed, with something done to it.
fn damaged(sealed: &[u8], damage: u8, at: usize) -> Vec<u8> {
    let mut sealed = sealed.to_vec();
    let at = at % sealed.len();
    let second = CHUNK.min(sealed.len());
    match damage % 8 {
        1 => sealed[at] ^= 1 << (damage >> 5),
        2 => sealed.truncate(at),
        3 => sealed.push(damage),
        // Without the first chunk, the first once more, the last once more, the first two in the other order.
        4 => drop(sealed.drain(..second)),
        5 => sealed = [&sealed[..second], &sealed].concat(),
        6 => sealed.extend_from_within((sealed.len() - 1) / CHUNK * CHUNK..),
        7 => {
            let third = (2 * CHUNK).min(sealed.len());
            sealed = [&sealed[second..third], &sealed[..second], &sealed[third..]].concat();
        }
        _ => {}
    }
    sealed
}

/// The records of a text that is a whole export, as the documentation says it.
fn read(mut text: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    loop {
        let (length, rest) = text.split_first()?;
        if *length == 0 {
            return (rest == (records.len() as u64).to_be_bytes()).then_some(records);
        }
        let (key, rest) = rest.split_at_checked(usize::from(*length))?;
        let (value, rest) = rest.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*value) as usize)?;
        let in_order = records.last().is_none_or(|(last, _)| last.as_slice() < key);
        if key.len() > MAX_KEY_LENGTH || value.len() > MAX_VALUE_LENGTH || !in_order {
            return None;
        }
        records.push((key.to_vec(), value.to_vec()));
        text = rest;
    }
}
