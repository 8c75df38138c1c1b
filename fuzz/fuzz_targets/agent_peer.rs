//! An agent and a hostile peer, which has all keys of its side of a connection. The first byte says in which state they
//! begin; then come deeds of the peer and of the application, time and restarts: see `smp_fuzz::agent`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::agent::deeds::{Hostile, play};

fuzz_target!(|data: &[u8]| play(data, Hostile::Peer));
