//! Two relays, a proxy and a sender, each in a network of its own: what private routing is for.
//!
//! ```text
//! sender 203.0.113.2 ─── 203.0.113.1 proxy 192.0.2.1    ─── 192.0.2.2    first relay
//!                                    proxy 198.51.100.1 ─── 198.51.100.2 second relay
//! ```
//!
//! The proxy forwards no packets and the sender has no route to the relays: what arrives there can only have come through
//! the proxy. That needs Linux, root, and the `ip` program of iproute2; without them the stories are left out, and say so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![cfg(target_os = "linux")]

mod hostile;
mod network;
mod programs;
#[path = "../client/scripted.rs"]
#[allow(dead_code, reason = "shared with other stories")]
mod scripted;

use std::net::Ipv4Addr;

use hostile::HostileProxy;
use network::{Network, PROXY_ADDRESSES, Place, SENDER_ADDRESS};
use programs::{Peers, Receiver, Relay, send};

/// Exit codes of `smp`.
const UNREACHABLE: i32 = 3;
const WRONG_RELAY: i32 = 4;

/// Everything a story needs: the networks, a proxy, two relays and a recipient at each.
struct World {
    proxy: Relay,
    relays: [Relay; 2],
    recipients: [Receiver; 2],
    // The programs end before their networks do.
    network: Network,
}

const RELAYS: [Place; 2] = [Place::First, Place::Second];

impl World {
    fn new() -> Option<Self> {
        let network = Network::new()?;
        let proxy = Relay::start(&network, Place::Proxy, "proxy");
        let relays = RELAYS.map(|place| Relay::start(&network, place, place.name()));
        let recipients = [0, 1].map(|index| Receiver::start(&network, RELAYS[index], &relays[index].address));
        Some(Self { proxy, relays, recipients, network })
    }

    /// Sends a text to the recipient at a relay through the proxy, and waits until it has arrived.
    fn message(&self, relay: usize, text: &str) {
        let sent = send(&self.network, Some(&self.proxy.address), &self.recipients[relay].uri, text, 90);
        assert_eq!(sent.code, 0, "{}", sent.errors);
        assert_eq!(self.recipients[relay].line(), text);
    }
}

#[test]
fn sends_go_through_the_proxy_and_relays_never_see_the_sender() {
    let Some(world) = World::new() else { return };
    // Nothing gets there directly.
    for recipient in &world.recipients {
        let sent = send(&world.network, None, &recipient.uri, "directly", 0);
        assert_eq!(sent.code, UNREACHABLE, "{}", sent.errors);
    }
    let watched: Vec<Peers> = world.relays.iter().map(Peers::watch).collect();
    for number in 0..5 {
        for relay in 0..2 {
            world.message(relay, &format!("message {number}"));
        }
    }
    // Longer than one block, so in several commands.
    let long = "long ".repeat(10_000);
    let sent = send(&world.network, Some(&world.proxy.address), &world.recipients[0].uri, &long, 90);
    assert_eq!(sent.code, 0, "{}", sent.errors);
    assert_eq!(world.recipients[0].line(), long);
    for (index, peers) in watched.into_iter().enumerate() {
        let seen = peers.seen();
        let expected: [Ipv4Addr; 2] = [PROXY_ADDRESSES[index], RELAYS[index].address()];
        assert!(seen.contains(&expected[0]), "the proxy was not seen: {seen:?}");
        // The relay's own address is that of the recipient, who is in the same network.
        assert!(seen.iter().all(|address| expected.contains(address)), "{seen:?}");
        assert!(!seen.contains(&SENDER_ADDRESS));
    }
    // The proxy sees the sender: the peers are looked for in the right place.
    let peers = Peers::watch(&world.proxy);
    world.message(1, "watched at the proxy");
    assert!(peers.seen().contains(&SENDER_ADDRESS));
}

#[test]
fn sends_survive_a_restart_of_each() {
    let Some(mut world) = World::new() else { return };
    for relay in 0..2 {
        world.message(relay, "before");
    }
    for (index, place) in RELAYS.into_iter().enumerate() {
        world.relays[index].crash_and_restart(&world.network, place);
        world.message(index, "after the relay's restart");
        world.message(1 - index, "to the other one");
    }
    world.proxy.crash_and_restart(&world.network, Place::Proxy);
    for relay in 0..2 {
        world.message(relay, "after the proxy's restart");
    }
}

#[test]
fn another_certificate_at_the_relays_address_is_refused() {
    let Some(mut world) = World::new() else { return };
    world.message(0, "to the right one");
    let right = world.relays[0].directory.clone();
    world.relays[0].kill();
    let impostor = Relay::start(&world.network, Place::First, "impostor");
    assert_ne!(impostor.address, world.relays[0].address);
    let peers = Peers::watch(&impostor);
    // An honest proxy does not connect to it, and does not say why (wire reference, section 12.5).
    let uri = &world.recipients[0].uri;
    let sent = send(&world.network, Some(&world.proxy.address), uri, "secret", 3);
    assert_eq!(sent.code, UNREACHABLE, "{}", sent.errors);
    // With a hostile one it is up to the client to notice.
    let proxy = HostileProxy::start(&world.network, &impostor.address);
    let sent = send(&world.network, Some(&proxy.address), uri, "secret", 30);
    assert_eq!(sent.code, WRONG_RELAY, "{}", sent.errors);
    assert!(sent.errors.contains("not the one its address names"), "{}", sent.errors);
    assert!(sent.errors.contains("nothing more is sent"), "{}", sent.errors);
    assert_eq!(proxy.asked(), ["PRXY"], "nothing was sent, and it was not tried again");
    assert!(!peers.seen().contains(&SENDER_ADDRESS), "it never falls back");
    // The proxy's own certificate counts, too.
    let wrong_proxy = impostor.address.replace("192.0.2.2", "203.0.113.1");
    let sent = send(&world.network, Some(&wrong_proxy), &world.recipients[1].uri, "secret", 5);
    assert_eq!(sent.code, WRONG_RELAY, "{}", sent.errors);
    // The other relay is not concerned; and the right one is trusted again.
    world.message(1, "to the other one");
    drop(impostor);
    world.relays[0].restart_from(&world.network, Place::First, &right);
    // The recipient had met the impostor, too, and stopped there.
    assert_eq!(world.recipients[0].wait(), WRONG_RELAY);
    world.recipients[0] = Receiver::resume(&world.network, Place::First);
    world.message(0, "to the right one again");
}
