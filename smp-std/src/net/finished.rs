//! The Finished values of a TLS 1.3 handshake, which rustls keeps to itself.
//!
//! The session identifier of SMP is the `verify_data` of the client's Finished message (section 3.1). In a handshake
//! without resumption rustls computes exactly two plain HMACs with the key derivation of the cipher suite: first for the
//! server's Finished, then for the client's. It does so synchronously inside the call that processes records. The cipher
//! suite of this project notes every HMAC for the connection that is being driven on this thread at that moment.

use super::SESSION_IDENTIFIER_SIZE;
use std::cell::Cell;

thread_local! {
    static DRIVEN: Cell<FinishedValues> = const { Cell::new(FinishedValues::NONE) };
}

/// The HMACs noted for one connection so far: how many, and the last.
#[derive(Clone, Copy)]
pub(super) struct FinishedValues {
    count: u8,
    last: [u8; SESSION_IDENTIFIER_SIZE],
}

impl FinishedValues {
    /// A connection whose handshake has not begun.
    pub(super) const NONE: Self = Self { count: 0, last: [0; SESSION_IDENTIFIER_SIZE] };

    /// Runs `drive`, which processes records of one connection, and adds the HMACs computed meanwhile to `self`.
    pub(super) fn note_while<T>(&mut self, drive: impl FnOnce() -> T) -> T {
        let outer = DRIVEN.replace(*self);
        let result = drive();
        *self = DRIVEN.replace(outer);
        result
    }

    /// The client's Finished value, once the handshake is complete.
    ///
    /// `None` unless exactly two values were noted: a handshake that took another course has no known identifier.
    pub(super) fn session_identifier(&self) -> Option<[u8; SESSION_IDENTIFIER_SIZE]> {
        (self.count == 2).then_some(self.last)
    }
}

/// Notes `tag` for the connection driven on this thread. Called by the cipher suite.
pub(super) fn note(tag: &[u8]) {
    let mut values = DRIVEN.get();
    values.count = values.count.saturating_add(1);
    match tag.try_into() {
        Ok(tag) => values.last = tag,
        // No hash other than SHA-256 is offered; a tag of another length must never become an identifier.
        Err(_) => values.count = u8::MAX,
    }
    DRIVEN.set(values);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_second_of_two_values_is_the_identifier() {
        let mut values = FinishedValues::NONE;
        assert_eq!(values.session_identifier(), None);
        values.note_while(|| note(&[1; 32]));
        assert_eq!(values.session_identifier(), None);
        values.note_while(|| note(&[2; 32]));
        assert_eq!(values.session_identifier(), Some([2; 32]));
        values.note_while(|| note(&[3; 32]));
        assert_eq!(values.session_identifier(), None);
    }

    #[test]
    fn connections_driven_in_turn_or_nested_keep_their_own_values() {
        let (mut one, mut two) = (FinishedValues::NONE, FinishedValues::NONE);
        one.note_while(|| {
            note(&[1; 32]);
            two.note_while(|| note(&[8; 32]));
        });
        two.note_while(|| note(&[9; 32]));
        one.note_while(|| note(&[2; 32]));
        assert_eq!(one.session_identifier(), Some([2; 32]));
        assert_eq!(two.session_identifier(), Some([9; 32]));
    }

    #[test]
    fn a_tag_of_another_hash_gives_no_identifier() {
        let mut values = FinishedValues::NONE;
        values.note_while(|| note(&[1; 48]));
        values.note_while(|| note(&[1; 32]));
        assert_eq!(values.session_identifier(), None);
    }
}
