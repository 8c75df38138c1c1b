//! What this program wants to know of an executable for a 32-bit Arm: sizes, functions, and who calls whom.
//!
//! The format is the System V ABI's (generic ABI, chapter 4) with Arm's supplement (document 100747); calls are the
//! encodings of BL and B in the Armv7-M Architecture Reference Manual, A7.7.12 and A7.7.18.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use crate::process::Failure;

const NO_BITS: u32 = 8;
const SYMBOL_TABLE: u32 = 2;
const WRITABLE: u32 = 1;
const LOADED: u32 = 2;
const EXECUTABLE: u32 = 4;
const FUNCTION: u8 = 2;

/// Fields of a section header that matter here.
struct Section<'a> {
    kind: u32,
    flags: u32,
    address: u32,
    size: u32,
    link: u32,
    bytes: &'a [u8],
}

/// A place in a source file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Place {
    /// The crate the file belongs to, by its folder: `smoltcp` of `.../smoltcp-0.12.0/src/wire/ipv4.rs`. The firmware's
    /// own files have no folder before `src`.
    pub(crate) fn package(&self) -> &str {
        let Some((before, _)) = self.file.rsplit_once("/src/") else { return "" };
        let folder = before.rsplit('/').next().unwrap_or_default();
        match folder.rsplit_once('-') {
            Some((name, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => name,
            _ => folder,
        }
    }
}

/// An executable, read.
pub(crate) struct Elf<'a> {
    sections: Vec<Section<'a>>,
    /// Names of functions as people write them, and the addresses of their code.
    functions: Vec<(String, Range<u32>)>,
    /// All names as the linker knows them.
    pub(crate) symbols: Vec<&'a str>,
    /// Where instructions and where data begin.
    mapping: BTreeMap<u32, bool>,
}

impl<'a> Elf<'a> {
    /// Reads the headers and the symbols.
    pub(crate) fn read(file: &'a [u8]) -> Result<Self, Failure> {
        let damaged = || Failure::new("this is no executable for a 32-bit little-endian processor");
        if file.get(..6) != Some(b"\x7fELF\x01\x01") {
            return Err(damaged());
        }
        let mut elf =
            Self { sections: Vec::new(), functions: Vec::new(), symbols: Vec::new(), mapping: BTreeMap::new() };
        elf.sections(file).and_then(|()| elf.name_functions()).ok_or_else(damaged)?;
        if elf.functions.is_empty() {
            return Err(Failure::new("this executable names no functions: it must not be stripped"));
        }
        Ok(elf)
    }

    fn sections(&mut self, file: &'a [u8]) -> Option<()> {
        let (start, length, count) = (word(file, 32)?, half(file, 46)?, half(file, 48)?);
        for index in 0..u32::from(count) {
            let at = usize::try_from(start.checked_add(index.checked_mul(length.into())?)?).ok()?;
            let header = file.get(at..at.checked_add(40)?)?;
            let (kind, size) = (word(header, 4)?, word(header, 20)?);
            let offset = usize::try_from(word(header, 16)?).ok()?;
            let bytes = match kind {
                NO_BITS => &[],
                _ => file.get(offset..offset.checked_add(usize::try_from(size).ok()?)?)?,
            };
            let (flags, address, link) = (word(header, 8)?, word(header, 12)?, word(header, 24)?);
            self.sections.push(Section { kind, flags, address, size, link, bytes });
        }
        Some(())
    }

    fn name_functions(&mut self) -> Option<()> {
        let table = self.sections.iter().find(|section| section.kind == SYMBOL_TABLE)?;
        let names = self.sections.get(usize::try_from(table.link).ok()?)?.bytes;
        for symbol in table.bytes.chunks_exact(16) {
            let name = names.get(usize::try_from(word(symbol, 0)?).ok()?..)?.split(|byte| *byte == 0).next()?;
            let name = std::str::from_utf8(name).ok()?;
            let (value, size, kind) = (word(symbol, 4)?, word(symbol, 8)?, symbol.get(12)? & 0xf);
            self.symbols.push(name);
            match name.split('.').next() {
                Some("$t") => drop(self.mapping.insert(value, true)),
                Some("$d") => drop(self.mapping.insert(value, false)),
                // The lowest bit says Thumb.
                _ if kind == FUNCTION && size > 0 => {
                    let start = value & !1;
                    self.functions.push((readable(name), start..start.checked_add(size)?));
                }
                _ => {}
            }
        }
        self.functions.sort_by_key(|(_, code)| code.start);
        Some(())
    }

    /// Bytes in flash: code, constants, and what the statics begin with.
    pub(crate) fn flash(&self) -> u64 {
        let stored = |section: &&Section<'_>| section.flags & LOADED != 0 && section.kind != NO_BITS;
        self.sections.iter().filter(stored).map(|section| u64::from(section.size)).sum()
    }

    /// Bytes of RAM taken by statics.
    pub(crate) fn statics(&self) -> u64 {
        let written = |section: &&Section<'_>| section.flags & (LOADED | WRITABLE) == LOADED | WRITABLE;
        self.sections.iter().filter(written).map(|section| u64::from(section.size)).sum()
    }

    /// The places in the source that a panic would name: a constant for each one the compiler could not rule out and the
    /// linker did not drop, whatever function it was inlined into.
    pub(crate) fn panics(&self) -> BTreeSet<Place> {
        let constant = |section: &&Section<'_>| section.flags & (LOADED | WRITABLE) == LOADED;
        self.sections
            .iter()
            .filter(constant)
            .flat_map(|section| (0..section.bytes.len()).step_by(4).filter_map(|at| section.bytes.get(at..)))
            .filter_map(|bytes| self.place(bytes))
            .collect()
    }

    /// Reads a `core::panic::Location`: the file's name and its length, line, column.
    fn place(&self, bytes: &[u8]) -> Option<Place> {
        let (line, column) = (word(bytes, 8)?, word(bytes, 12)?);
        if !(1..100_000).contains(&line) || !(1..1_000).contains(&column) {
            return None;
        }
        let name = std::str::from_utf8(self.constant(word(bytes, 0)?, word(bytes, 4)?)?).ok()?;
        let file = name.strip_suffix('\0').unwrap_or(name);
        let plain = file.len() > 3 && !file.contains(char::is_control);
        (plain && file.ends_with(".rs")).then(|| Place { file: file.to_owned(), line, column })
    }

    /// Bytes in flash by their address.
    fn constant(&self, address: u32, length: u32) -> Option<&'a [u8]> {
        self.sections.iter().filter(|section| section.flags & LOADED != 0).find_map(|section| {
            let start = usize::try_from(address.checked_sub(section.address)?).ok()?;
            section.bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
        })
    }

    /// Every function with those it calls by name, directly or as its last act. Functions that are called through a
    /// pointer only are in nobody's list.
    pub(crate) fn calls(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut calls: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, code) in &self.functions {
            let called = calls.entry(name).or_default();
            for target in self.branches(code) {
                // The linker folds equal functions into one with several names: all of them are called.
                let first = self.functions.partition_point(|(_, code)| code.start < target);
                let here = self.functions.get(first..).unwrap_or_default();
                called.extend(here.iter().take_while(|(_, code)| code.start == target).map(|(name, _)| name.as_str()));
            }
            called.remove(name.as_str());
        }
        calls
    }

    /// The addresses that a function's branches lead to.
    fn branches(&self, code: &Range<u32>) -> Vec<u32> {
        let section = self.sections.iter().find(|section| {
            section.flags & EXECUTABLE != 0
                && code.start >= section.address
                && code.end <= section.address.saturating_add(section.size)
        });
        let Some(section) = section else { return Vec::new() };
        let mut found = Vec::new();
        let mut at = code.start;
        while at < code.end {
            let offset = usize::try_from(at.saturating_sub(section.address)).unwrap_or(usize::MAX);
            // Constants between functions are not instructions.
            let instructions = self.mapping.range(..=at).next_back().is_none_or(|(_, instructions)| *instructions);
            let Some(first) = half(section.bytes, offset) else { break };
            if !instructions {
                at = at.saturating_add(2);
            } else if first >> 11 < 0b11101 {
                found.extend(short_branch(at, first));
                at = at.saturating_add(2);
            } else {
                let second = half(section.bytes, offset.saturating_add(2));
                found.extend(second.and_then(|second| long_branch(at, first, second)));
                at = at.saturating_add(4);
            }
        }
        found
    }
}

/// The name without the hash that the compiler adds to tell versions of a crate apart.
fn readable(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Where an unconditional branch of two bytes at `at` leads (B, encoding T2).
fn short_branch(at: u32, first: u16) -> Option<u32> {
    let distance = u32::from(first & 0x7ff) << 1;
    (first >> 11 == 0b11100).then(|| destination(at, distance, 12))
}

/// Where a branch of four bytes at `at` leads (BL, encoding T1; B, encodings T3 and T4).
fn long_branch(at: u32, first: u16, second: u16) -> Option<u32> {
    if first >> 11 != 0b11110 || second & 0x8000 == 0 {
        return None;
    }
    let (first, second) = (u32::from(first), u32::from(second));
    let (sign, one, two) = (first >> 10 & 1, second >> 13 & 1, second >> 11 & 1);
    let low = (second & 0x7ff) << 1;
    match (second >> 14 & 1, second >> 12 & 1) {
        // B with a condition. Conditions 14 and 15 are other instructions.
        (0, 0) if first >> 7 & 0b111 != 0b111 => {
            Some(destination(at, sign << 20 | two << 19 | one << 18 | (first & 0x3f) << 12 | low, 21))
        }
        (0, 0) => None,
        // B and BL.
        (_, 1) => {
            let distance = sign << 24 | (one ^ sign ^ 1) << 23 | (two ^ sign ^ 1) << 22 | (first & 0x3ff) << 12 | low;
            Some(destination(at, distance, 25))
        }
        // BLX to code that is not Thumb: these processors have none.
        _ => None,
    }
}

/// `at`, seen from the instruction after the next, and a signed distance of so many bits.
fn destination(at: u32, distance: u32, bits: u32) -> u32 {
    let unused = 32 - bits;
    let distance = (distance << unused).cast_signed() >> unused;
    at.wrapping_add(4).wrapping_add_signed(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_decoded() {
        // As an assembler encodes them at address 0x1000.
        let at = 0x1000;
        assert_eq!(long_branch(at, 0xf000, 0xf800), Some(0x1004), "bl .+4");
        assert_eq!(long_branch(at, 0xf7ff, 0xfffe), Some(0x1000), "bl .");
        assert_eq!(long_branch(at, 0xf001, 0xf87e), Some(0x2100), "bl 0x2100");
        assert_eq!(long_branch(at, 0xf001, 0xb87e), Some(0x2100), "b.w 0x2100");
        assert_eq!(long_branch(at, 0xf001, 0x807e), Some(0x2100), "beq.w 0x2100");
        assert_eq!(long_branch(at, 0xf3bf, 0x8f5f), None, "dmb");
        assert_eq!(long_branch(at, 0xf8d0, 0x1004), None, "ldr.w r1, [r0, #4]");
        assert_eq!(long_branch(at, 0xf47f, 0xaffe), Some(0x1000), "bne.w .");
        assert_eq!(long_branch(at, 0xf5ff, 0xdffe), Some(0xff60_1000), "bl .-10485760");
        assert_eq!(short_branch(at, 0xe7fe), Some(0x1000), "b .");
        assert_eq!(short_branch(at, 0xe07e), Some(0x1100), "b 0x1100");
        assert_eq!(short_branch(at, 0xd07e), None, "beq 0x1100 stays in its function");
    }

    #[test]
    fn places_tell_their_crate() {
        let package = |file: &str| Place { file: file.to_owned(), line: 1, column: 1 }.package().to_owned();
        assert_eq!(package("/home/u/.cargo/registry/src/index-1/embassy-net-0.9.0/src/lib.rs"), "embassy-net");
        assert_eq!(package("smoltcp-0.13.1/src/wire/ip.rs"), "smoltcp");
        assert_eq!(package("/home/u/smp/smp-tls/src/stream/io.rs"), "smp-tls");
        assert_eq!(package("/rustc/59807/library/core/src/num/mod.rs"), "core");
        assert_eq!(package("src/bin/echo.rs"), "");
    }

    #[test]
    fn other_files_are_refused() {
        for file in [&b""[..], b"\x7fELF\x02\x01", b"\x7fELF\x01\x01", &[&b"\x7fELF\x01\x01"[..], &[0xff; 60]].concat()]
        {
            assert!(Elf::read(file).is_err(), "{file:?}");
        }
    }
}
