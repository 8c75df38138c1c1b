//! Commands, at the version that the first byte chooses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::{again, stable, version};
use smp_proto::smp::Command;

fuzz_target!(|data: &[u8]| {
    let Some((version, data)) = version(data) else { return };
    stable(data, again!(|reader| Command::decode(reader, version), |command, writer| command.encode(writer, version)));
});
