//! What the fuzz targets share: reading a value, writing it again, and comparing.
//!
//! A target is a short file in `fuzz_targets/`. It must never panic on any input; the checks here panic when a codec
//! does not keep its promise, which is how the fuzzer learns of it.

pub mod agent;
pub mod export;
pub mod foreign;
#[allow(dead_code, reason = "only a part of it is needed here")]
#[path = "../../smp-std/tests/histories/history.rs"]
mod history;
pub mod input;
#[allow(dead_code, reason = "only a part of it is needed here")]
#[path = "../../smp-std/tests/histories/judge.rs"]
mod judge;
#[allow(dead_code, reason = "only a part of it is needed here")]
#[path = "../../smp-std/tests/histories/model.rs"]
mod model;
pub mod party;
pub mod peers;
pub mod ratchet;
pub mod relay;
#[path = "../../smp-tls/tests/server/mod.rs"]
pub mod server;
#[path = "../../smp-std/tests/histories/services.rs"]
mod services;
pub mod session;
pub mod tls;

use std::fmt::Display;

use smp_proto::id::SessionId;
use smp_proto::version::SmpVersion;
use smp_proto::wire::{Error, Writer};

/// Larger than a transport block, so that running out of space is a finding too.
const BUFFER: usize = 20_000;

/// What a value became when it was read and written again.
#[derive(Debug, PartialEq, Eq)]
pub struct Again {
    /// What was written.
    pub bytes: Vec<u8>,
    /// How many bytes had been read.
    pub read: usize,
}

/// A function from bytes to [`Again`], for a codec given as two expressions: how to read a value, how to write it. What
/// was read is also shown by `Debug`, which must not panic either.
#[macro_export]
macro_rules! again {
    (|$reader:ident| $decode:expr, |$value:ident, $writer:ident| $encode:expr) => {
        |data: &[u8]| -> Option<$crate::Again> {
            let mut reader = smp_proto::wire::Reader::new(data);
            let $value = {
                let $reader = &mut reader;
                $decode.ok()?
            };
            let read = data.len() - reader.len();
            let _ = format!("{:?}", $value);
            $crate::write(|$writer| $encode).map(|bytes| $crate::Again { bytes, read })
        }
    };
    ($type:ty) => {
        $crate::again!(|reader| reader.value::<$type>(), |value, writer| writer.value(&value))
    };
}

/// Writes into a buffer that everything fits.
pub fn write(encode: impl FnOnce(&mut Writer<'_>) -> Result<(), Error>) -> Option<Vec<u8>> {
    let mut buffer = vec![0; BUFFER];
    let mut writer = Writer::new(&mut buffer);
    match encode(&mut writer) {
        Ok(()) => Some(writer.written().to_vec()),
        Err(error) => panic!("what was read cannot be written: {error}"),
    }
}

/// Checks a codec in which every value has one form: what is written is what was read.
pub fn canonical(data: &[u8], again: impl Fn(&[u8]) -> Option<Again>) {
    if let Some(again) = again(data) {
        assert_eq!(again.bytes, data[..again.read], "written differently than read");
    }
}

/// Checks a codec that reads several forms of a value and writes one: what is written is read completely, as a value
/// that is written the same.
pub fn stable(data: &[u8], again: impl Fn(&[u8]) -> Option<Again>) {
    if let Some(first) = again(data) {
        let second = again(&first.bytes);
        let read = first.bytes.len();
        assert_eq!(second, Some(Again { bytes: first.bytes, read }), "what was written reads as something else");
    }
}

/// Splits a choice among `count` off the front of the input. The choice is its first byte.
pub fn choice(data: &[u8], count: u8) -> Option<(u8, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((first % count, rest))
}

/// Splits a version of SMP, known to the codecs, off the front of the input.
pub fn version(data: &[u8]) -> Option<(SmpVersion, &[u8])> {
    let count = SmpVersion::MAX.0 - SmpVersion::MIN.0 + 1;
    let (choice, rest) = choice(data, u8::try_from(count).ok()?)?;
    Some((SmpVersion(SmpVersion::MIN.0 + u16::from(choice)), rest))
}

/// The session that transmissions belong to; the test vectors have the same.
pub const SESSION: SessionId<'static> = match SessionId::new(&[b's'; 32]) {
    Ok(id) => id,
    Err(_) => panic!("32 bytes make an identifier"),
};

/// Checks a value that is read from text: its own text is read as the same.
pub fn same_text<T: Display>(data: &[u8], parse: impl Fn(&str) -> Option<T>, same: impl Fn(&T, &T) -> bool) {
    let Some(value) = std::str::from_utf8(data).ok().and_then(&parse) else { return };
    let shown = value.to_string();
    let again = parse(&shown).unwrap_or_else(|| panic!("the text {shown:?} cannot be read"));
    assert!(same(&value, &again), "the text {shown:?} reads as something else");
    assert_eq!(again.to_string(), shown);
}
