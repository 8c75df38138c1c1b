//! A whole store of the reference is taken over: queues, messages, notifications, statistics and journals. See
//! `smp_fuzz::foreign`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::foreign::play;

fuzz_target!(|data: &[u8]| play(data));
