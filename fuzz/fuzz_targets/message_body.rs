//! What is inside message bodies, once decrypted, and the envelope that clients put around it. The first byte chooses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::{again, choice, stable};
use smp_proto::smp::message::{ClientEnvelope, ClientMessage, Delivery, NotificationMetadata};

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = choice(data, 4) else { return };
    match choice {
        0 => stable(data, again!(Delivery<'_>)),
        1 => stable(data, again!(NotificationMetadata<'_>)),
        2 => stable(data, again!(ClientEnvelope<'_>)),
        _ => stable(data, again!(ClientMessage<'_>)),
    }
});
