//! The primitive encodings, identifiers, keys and versions. The first byte chooses the type.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::{again, canonical, choice};
use smp_proto::id::{EntityId, Fingerprint};
use smp_proto::key::{AuthorizationKey, Ed448PublicKey, Ed25519PublicKey, X448PublicKey, X25519PublicKey};
use smp_proto::version::{ClientVersion, SmpVersion, VersionRange};
use smp_proto::wire::{List, LongString, NonEmptyList, Rest, ShortString, Time};

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = choice(data, 20) else { return };
    match choice {
        0 => canonical(data, again!(bool)),
        1 => canonical(data, again!(u16)),
        2 => canonical(data, again!(u32)),
        3 => canonical(data, again!(i64)),
        4 => canonical(data, again!(Time)),
        5 => canonical(data, again!(ShortString<'_>)),
        6 => canonical(data, again!(LongString<'_>)),
        7 => canonical(data, again!(Rest<'_>)),
        8 => canonical(data, again!(Option<ShortString<'_>>)),
        9 => canonical(data, again!(List<'_, ShortString<'_>>)),
        10 => canonical(data, again!(NonEmptyList<'_, Option<LongString<'_>>>)),
        11 => canonical(data, again!(EntityId<'_>)),
        12 => canonical(data, again!(Fingerprint<'_>)),
        13 => canonical(data, again!(AuthorizationKey)),
        14 => canonical(data, again!(Ed25519PublicKey)),
        15 => canonical(data, again!(X25519PublicKey)),
        16 => canonical(data, again!(Ed448PublicKey)),
        17 => canonical(data, again!(X448PublicKey)),
        18 => canonical(data, again!(VersionRange<SmpVersion>)),
        _ => canonical(data, again!(VersionRange<ClientVersion>)),
    }
});
