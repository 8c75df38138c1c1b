//! Damage: everything somebody on the way can do to a message without its keys.

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use crate::party::Message;

/// A copy of the message that must not be taken for it.
pub fn damaged(message: &Message, other: Option<&Message>, random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = message.bytes.clone();
    let place = &message.place;
    // Where the fields of the outer form are.
    let length_of_length = if place.version >= 3 { 2 } else { 1 };
    let front = place.overhead;
    let version = length_of_length;
    let body_length = version + 2 + 16 + 16;
    let below = |random: &mut ChaCha8Rng, end: usize| random.next_u32() as usize % end;
    let mut flip = |range: std::ops::Range<usize>, random: &mut ChaCha8Rng| {
        bytes[range.start + below(random, range.len())] ^= 1 << (random.next_u32() % 8);
    };
    match random.next_u32() % 16 {
        0..=2 => flip(0..message.bytes.len(), random),
        3 => flip(0..length_of_length, random),
        4 => flip(version..version + 2, random),
        5 => flip(version + 2..body_length, random),
        6 => flip(body_length..body_length + length_of_length, random),
        7 => flip(body_length + length_of_length..front - 16, random),
        8 => flip(front - 16..front, random),
        9 => flip(front..message.bytes.len(), random),
        // The clear version: the other one, and one that is not known yet.
        10 | 11 => bytes[version + 1] = if place.version == 3 { 2 } else { 3 },
        12 => bytes[version..version + 2].fill(random.next_u32() as u8 | 4),
        13 => bytes.truncate(below(random, message.bytes.len())),
        14 => bytes.extend((0..1 + random.next_u32() % 20).map(|_| b'#')),
        // The body of another message behind this header.
        _ => match other {
            Some(other) if other.bytes.len() > other.place.overhead => {
                bytes.truncate(front - 16);
                bytes.extend(&other.bytes[other.place.overhead - 16..]);
            }
            _ => bytes[front - 1] ^= 0x80,
        },
    }
    if bytes == message.bytes {
        bytes[front - 1] ^= 1;
    }
    bytes
}

/// The same message with the length of its header in the other form that readers accept, where there is one. That length is
/// not authenticated.
pub fn other_form(message: &Message) -> Option<Vec<u8>> {
    match message.bytes.as_slice() {
        [0, length @ 32..=255, rest @ ..] if message.place.version >= 3 => Some([&[*length], rest].concat()),
        [length @ 32..=255, rest @ ..] if message.place.version < 3 => Some([&[0, *length], rest].concat()),
        _ => None,
    }
}
