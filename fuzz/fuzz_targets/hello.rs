//! The hellos and the service reply. The first byte chooses one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::{again, canonical, choice, stable};
use smp_proto::transport::hello::{CertificateChain, ClientHello, ServerHello, ServiceReply};

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = choice(data, 4) else { return };
    match choice {
        0 => canonical(data, again!(ServerHello<'_>)),
        1 => stable(data, again!(ClientHello<'_>)),
        2 => canonical(data, again!(ServiceReply<'_>)),
        _ => canonical(data, again!(CertificateChain<'_>)),
    }
});
