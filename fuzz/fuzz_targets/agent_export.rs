//! An export of an agent's store, behind its passphrase. See `smp_fuzz::export`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::export::play;

fuzz_target!(|data: &[u8]| play(data));
