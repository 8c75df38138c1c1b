//! The pieces lines are made of (wire reference, 1.1): a reader that walks over a line, and what writes the same forms.

use smp_proto::key::AuthorizationKey;
use smp_proto::wire::{Base64, base64_url_decode, base64_url_decoded_len};

use super::Reason;
use crate::relay::store::{Id, SharedSecret};

/// Walks over the bytes of one line.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(line: &'a [u8]) -> Self {
        Self { rest: line }
    }

    /// Takes `prefix` if it is next.
    pub(super) fn eat(&mut self, prefix: &[u8]) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Whether `text` is anywhere ahead.
    pub(super) fn has(&self, text: &[u8]) -> bool {
        self.rest.windows(text.len().max(1)).any(|window| window == text)
    }

    /// Takes `prefix`, which has to be there; `what` names the field if it is not.
    pub(super) fn expect(&mut self, prefix: &[u8], what: &'static str) -> Result<(), Reason> {
        if self.eat(prefix) { Ok(()) } else { Err(Reason::Field(what)) }
    }

    /// Takes everything up to the first byte of `ends`, or to the end of the line.
    fn until(&mut self, ends: &[u8]) -> &'a [u8] {
        let length = self.rest.iter().position(|byte| ends.contains(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    /// Takes a word: everything up to a space.
    pub(super) fn word(&mut self) -> &'a [u8] {
        self.until(b" ")
    }

    /// Takes an item of a list: everything up to a space or a comma.
    pub(super) fn item(&mut self) -> &'a [u8] {
        self.until(b" ,")
    }

    /// Takes everything that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), Reason> {
        if self.is_empty() { Ok(()) } else { Err(Reason::Trailing) }
    }

    /// A byte string in base64url.
    pub(super) fn bytes(&mut self, what: &'static str) -> Result<Vec<u8>, Reason> {
        decode(self.word(), what)
    }

    /// An identifier of 24 bytes.
    pub(super) fn id(&mut self, what: &'static str) -> Result<Id, Reason> {
        id(self.word(), what)
    }

    /// An identifier and the space behind it.
    pub(super) fn id_and_space(&mut self, what: &'static str) -> Result<Id, Reason> {
        let id = self.id(what)?;
        self.expect(b" ", what)?;
        Ok(id)
    }

    /// The raw result of a key agreement, 32 bytes.
    pub(super) fn secret(&mut self, what: &'static str) -> Result<SharedSecret, Reason> {
        let bytes = zeroize::Zeroizing::new(self.bytes(what)?);
        bytes.as_slice().try_into().map(SharedSecret::new).map_err(|_| Reason::Field(what))
    }

    /// A public key that authorizes commands.
    pub(super) fn key(&mut self, what: &'static str) -> Result<AuthorizationKey, Reason> {
        key(self.word(), what)
    }

    /// A list of keys separated by commas, at least one.
    pub(super) fn keys(&mut self, what: &'static str) -> Result<Vec<AuthorizationKey>, Reason> {
        let mut keys = Vec::new();
        loop {
            keys.push(key(self.item(), what)?);
            if !self.eat(b",") {
                return Ok(keys);
            }
        }
    }

    /// A whole number in decimal, without sign.
    pub(super) fn number(&mut self, what: &'static str) -> Result<u64, Reason> {
        let digits = self.item();
        let text = std::str::from_utf8(digits).map_err(|_| Reason::Field(what))?;
        // `parse` would take a plus sign.
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(Reason::Field(what));
        }
        text.parse().map_err(|_| Reason::Field(what))
    }

    /// Seconds since 1970-01-01, UTC.
    pub(super) fn seconds(&mut self, what: &'static str) -> Result<i64, Reason> {
        i64::try_from(self.number(what)?).map_err(|_| Reason::Field(what))
    }

    /// Whole days since 1970-01-01, UTC, from seconds.
    pub(super) fn day(&mut self, what: &'static str) -> Result<u32, Reason> {
        let days = self.number(what)?.checked_div(SECONDS_PER_DAY).unwrap_or(0);
        u32::try_from(days).map_err(|_| Reason::Field(what))
    }
}

pub(super) const SECONDS_PER_DAY: u64 = 86_400;

pub(super) fn decode(text: &[u8], what: &'static str) -> Result<Vec<u8>, Reason> {
    let mut out = vec![0; base64_url_decoded_len(text.len())];
    let length = base64_url_decode(text, &mut out).map_err(|_| Reason::Field(what))?.len();
    out.truncate(length);
    Ok(out)
}

fn id(text: &[u8], what: &'static str) -> Result<Id, Reason> {
    let mut out = [0; base64_url_decoded_len(4 * 24)];
    let bytes = base64_url_decode(text, &mut out).map_err(|_| Reason::Field(what))?;
    bytes.try_into().map_err(|_| Reason::Field(what))
}

fn key(text: &[u8], what: &'static str) -> Result<AuthorizationKey, Reason> {
    AuthorizationKey::from_spki(&decode(text, what)?).map_err(|_| Reason::Field(what))
}

/// Appends a byte string in base64url.
pub(super) fn put_bytes(out: &mut String, bytes: &[u8]) {
    use std::fmt::Write;
    // Writing to a string cannot fail.
    let _ = write!(out, "{}", Base64(bytes));
}

/// Appends a key.
pub(super) fn put_key(out: &mut String, key: &AuthorizationKey) {
    match key {
        AuthorizationKey::Ed25519(key) => put_bytes(out, &key.to_spki()),
        AuthorizationKey::Ed448(key) => put_bytes(out, &key.to_spki()),
        AuthorizationKey::X25519(key) => put_bytes(out, &key.to_spki()),
    }
}

/// Appends a number in decimal.
pub(super) fn put_number(out: &mut String, number: impl std::fmt::Display) {
    use std::fmt::Write;
    let _ = write!(out, "{number}");
}
