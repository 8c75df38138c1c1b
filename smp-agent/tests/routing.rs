//! Where nothing may be sent directly and there is no proxy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod support;

use smp_agent::command::{Command, ConnectionOptions};
use smp_agent::error::Refusal;
use smp_agent::policy::routing::{Fallback, ProxyMode, Routing};
use support::party::USER;
use support::stories::{A, B, two_parties};

#[test]
fn who_has_no_way_to_the_relay_of_a_link_is_told_so_at_once() {
    for (mode, fallback, refused) in [
        (ProxyMode::Always, Fallback::No, true),
        (ProxyMode::Always, Fallback::Yes, false),
        (ProxyMode::Unknown, Fallback::No, false),
    ] {
        let mut world = two_parties(7, |party, setup| {
            // The only relay of both is no proxy for itself.
            setup.relays = vec![0];
            setup.configuration.routing = if party == B { Routing { mode, fallback } } else { Routing::default() };
        });
        let (_, links) = world.invite(A, ConnectionOptions::default(), None);
        let options = ConnectionOptions::default();
        let join = Command::Join { user: USER, link: links.full, info: b"B".to_vec(), options };
        let result = world.try_command(B, join);
        assert_eq!(result.err(), refused.then_some(Refusal::NoServer), "{mode:?} {fallback:?}");
    }
}
