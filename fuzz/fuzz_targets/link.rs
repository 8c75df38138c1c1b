//! Links that people share, and the data behind them: binary and text. The first byte chooses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::{again, choice, same_text, stable};
use smp_proto::address::{Host, ServerAddress};
use smp_proto::agent::connection_request::{ConnectionLink, ConnectionRequest};
use smp_proto::agent::link_data::{FixedLinkData, OwnerAuthorization, RelayLink, Signed, UserLinkData};
use smp_proto::agent::ratchet_parameters::RatchetParameters;
use smp_proto::name::Name;
use smp_proto::short_link::ShortLink;

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = choice(data, 11) else { return };
    match choice {
        0 => stable(data, again!(ConnectionRequest)),
        1 => stable(data, again!(ShortLink)),
        2 => stable(data, again!(FixedLinkData<'_>)),
        3 => stable(data, again!(UserLinkData<'_>)),
        4 => stable(data, again!(OwnerAuthorization<'_>)),
        5 => stable(data, again!(RelayLink)),
        6 => stable(data, again!(RatchetParameters)),
        7 => stable(data, again!(Signed<'_>)),
        8 => same_text(data, |text| RatchetParameters::parse(text).ok(), |one, other| one == other),
        9 => {
            if let Some(name) = std::str::from_utf8(data).ok().and_then(|text| Name::parse(text).ok()) {
                let _ = (name.to_string(), name.short().to_string());
            }
        }
        _ => same_text(data, unambiguous, |one, other| one == other),
    }
});

/// IPv6 hosts are written without brackets, as the network does; what follows may then be read as a part of them.
fn unambiguous(text: &str) -> Option<ConnectionLink> {
    let link = ConnectionLink::parse(text).ok()?;
    let _ = (link.to_string(), format!("{link:?}"));
    let ipv6 = |server: ServerAddress<'_>| server.hosts.iter().any(|host| matches!(host, Host::Ipv6(_)));
    let any = match &link {
        ConnectionLink::Full(request) => request.queues().any(|queue| ipv6(queue.server())),
        ConnectionLink::Short(short) => ipv6(short.server()),
    };
    if any { None } else { Some(link) }
}
