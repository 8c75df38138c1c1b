//! The relay as a whole, against the model of the histories: see `smp_fuzz::relay`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::relay::play;

fuzz_target!(|data: &[u8]| play(data));
