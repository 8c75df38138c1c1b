//! Addresses of relays: binary in both forms, and as text. The first byte chooses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::{again, choice, same_text, stable};
use smp_proto::address::{Host, ServerAddress, ServerUri};

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = choice(data, 4) else { return };
    match choice {
        0 => stable(data, again!(ServerAddress<'_>)),
        1 => stable(
            data,
            again!(|reader| ServerAddress::decode_legacy(reader), |address, writer| address.encode_legacy(writer)),
        ),
        2 => stable(data, again!(Host<'_>)),
        _ => same_text(data, unambiguous, |one, other| {
            let password = |uri: &ServerUri| uri.password().map(|password| password.as_bytes().to_vec());
            one.scheme() == other.scheme() && one.address() == other.address() && password(one) == password(other)
        }),
    }
});

/// IPv6 hosts are written without brackets, as the network does; what follows may then be read as a part of them.
fn unambiguous(text: &str) -> Option<ServerUri> {
    let uri = ServerUri::parse(text).ok()?;
    let _ = (uri.to_string(), format!("{uri:?}"), uri.port());
    let ipv6 = uri.address().hosts.iter().any(|host| matches!(host, Host::Ipv6(_)));
    if ipv6 { None } else { Some(uri) }
}
