//! The TLS client. The first byte says how messages are put into records; then come steps of a server, right or wrong:
//! see `smp_fuzz::tls`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::tls::play;

fuzz_target!(|data: &[u8]| play(data));
