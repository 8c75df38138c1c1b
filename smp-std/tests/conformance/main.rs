//! Every command of the wire reference (smp.md, section 7.1; versions 19 and 20: v7.md) in the form of every version, and
//! every error (section 11), over real TLS against a relay.
//!
//! The bytes are written by hand from the reference, not by the codecs under test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../relay/harness.rs"]
mod harness;

mod commands;
mod creation;
mod errors;
mod hand;
mod rows;
mod subject;

/// All versions there are.
pub(crate) const VERSIONS: std::ops::RangeInclusive<u16> = 6..=20;

/// A relay that slows nobody down: a whole table of commands comes from each connection.
pub(crate) fn unhurried() -> smp_std::relay::config::Config {
    let mut config = smp_std::relay::config::Config::default();
    (config.rates.commands_per_second, config.rates.commands_burst) = (1_000_000, 1_000_000);
    config
}
