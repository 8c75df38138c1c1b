//! The session layer of the relay and of the client, in all its states: see `smp_fuzz::session`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::session::play;

fuzz_target!(|data: &[u8]| play(data));
