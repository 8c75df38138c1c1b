//! How `smp send` puts texts into messages, so that `smp receive` can put long ones together again and drop those that
//! came twice.
//!
//! Inside the encryption between sender and recipient a message of `smp send` is
//!
//! | bytes | |
//! |---|---|
//! | 4 | 0x00 and `smp`: no text and no message of other programs starts like this |
//! | 1 | the version of what follows, 1 |
//! | 16 | the id of the text, random |
//! | 4 | which part of the text this is, from 0, in network byte order |
//! | 1 | `M` more parts follow, `L` this is the last one |
//! | rest | the part |
//!
//! The parts of a text are sent in order. A part that is sent again, because the answer to the first attempt was lost,
//! has the same id and number. A message that does not start like this is of another program: it is a text of its own.

use smp_std::client::MAX_BODY_LENGTH;

const MAGIC: &[u8; 4] = b"\0smp";
const VERSION: u8 = 1;
const HEADER_LENGTH: usize = 4 + 1 + ID_LENGTH + 4 + 1;

/// Length of the id of a text in bytes.
pub(crate) const ID_LENGTH: usize = 16;
/// How much of a text fits one message, in bytes.
pub(crate) const PART_LENGTH: usize = MAX_BODY_LENGTH - HEADER_LENGTH;

/// A message of `smp send`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) id: [u8; ID_LENGTH],
    pub(crate) number: u32,
    pub(crate) last: bool,
    pub(crate) content: &'a [u8],
}

impl<'a> Part<'a> {
    /// Reads a message; `None` if it is of another program, or of a version that is not known here.
    pub(crate) fn decode(body: &'a [u8]) -> Option<Self> {
        let rest = body.strip_prefix(MAGIC)?.strip_prefix(&[VERSION])?;
        let (id, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (last, content) = match rest.split_first()? {
            (b'M', content) => (false, content),
            (b'L', content) => (true, content),
            _ => return None,
        };
        Some(Self { id: *id, number: u32::from_be_bytes(*number), last, content })
    }

    /// The message.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(HEADER_LENGTH + self.content.len());
        body.extend_from_slice(MAGIC);
        body.push(VERSION);
        body.extend_from_slice(&self.id);
        body.extend_from_slice(&self.number.to_be_bytes());
        body.push(if self.last { b'L' } else { b'M' });
        body.extend_from_slice(self.content);
        body
    }

    /// What tells this part from all others.
    pub(crate) fn key(&self) -> ([u8; ID_LENGTH], u32) {
        (self.id, self.number)
    }
}

/// Divides a text into messages. An empty text is one message, too.
pub(crate) fn split(text: &[u8], id: [u8; ID_LENGTH]) -> Vec<Vec<u8>> {
    let mut chunks: Vec<&[u8]> = text.chunks(PART_LENGTH).collect();
    if chunks.is_empty() {
        chunks.push(&[]);
    }
    let count = chunks.len();
    (0..)
        .zip(chunks)
        .zip(1..)
        .map(|((number, content), nth)| Part { id, number, last: nth == count, content }.encode())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_together_again() {
        for length in [0, 1, PART_LENGTH, PART_LENGTH + 1, 3 * PART_LENGTH, 100_000] {
            let text: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let messages = split(&text, [5; 16]);
            assert_eq!(messages.len(), length.div_ceil(PART_LENGTH).max(1));
            let mut joined = Vec::new();
            for (number, message) in messages.iter().enumerate() {
                assert!(message.len() <= MAX_BODY_LENGTH);
                let part = Part::decode(message).unwrap();
                assert_eq!(part.key(), ([5; 16], number as u32));
                assert_eq!(part.last, number + 1 == messages.len());
                joined.extend_from_slice(part.content);
            }
            assert_eq!(joined, text);
        }
    }

    #[test]
    fn other_messages_are_left_alone() {
        let message = &split(b"text", [5; 16])[0];
        for end in 0..HEADER_LENGTH {
            assert_eq!(Part::decode(&message[..end]), None);
        }
        for position in [0, 1, 2, 3, 4, HEADER_LENGTH - 1] {
            let mut other = message.clone();
            other[position] ^= 1;
            // `M` and `L` differ in the lowest bit.
            let known = position == HEADER_LENGTH - 1;
            assert_eq!(Part::decode(&other).is_some(), known, "{position}");
        }
        for body in [&b"hello"[..], b"", b"\0\x07M", "sm\u{fc}p".as_bytes()] {
            assert_eq!(Part::decode(body), None);
        }
    }
}
