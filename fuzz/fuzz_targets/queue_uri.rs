//! Addresses of queues: binary, and as the links that people share. The first byte chooses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::{again, choice, same_text, stable};
use smp_proto::address::Host;
use smp_proto::uri::{QueueInfo, QueueUri};

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = choice(data, 3) else { return };
    match choice {
        0 => stable(data, again!(QueueInfo<'_>)),
        1 => stable(data, again!(QueueUri)),
        _ => same_text(data, unambiguous, |one, other| one == other),
    }
});

/// IPv6 hosts are written without brackets, as the network does; what follows may then be read as a part of them.
fn unambiguous(text: &str) -> Option<QueueUri> {
    let uri = QueueUri::parse(text).ok()?;
    let _ = (uri.to_string(), format!("{uri:?}"));
    let ipv6 = uri.server().hosts.iter().any(|host| matches!(host, Host::Ipv6(_)));
    if ipv6 { None } else { Some(uri) }
}
