//! What relays say, errors included, at the version that the first byte chooses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::{again, stable, version};
use smp_proto::smp::BrokerMessage;

fuzz_target!(|data: &[u8]| {
    let Some((version, data)) = version(data) else { return };
    stable(
        data,
        again!(|reader| BrokerMessage::decode(reader, version), |message, writer| message.encode(writer, version)),
    );
});
