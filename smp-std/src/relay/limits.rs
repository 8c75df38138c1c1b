//! How many connections there may be: in total, from one address, and in their handshakes.
//!
//! A connection in its handshake has shown nothing yet. When there are too many of them the oldest is closed, so that
//! a crowd of silent connections cannot keep an honest one out: it needs milliseconds, they have to wait.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::config::Limits;

/// Counts connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
}

/// How many there may be.
#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    connections: usize,
    per_address: usize,
    handshakes: usize,
}

impl Bounds {
    fn of(limits: &Limits) -> Self {
        Self {
            connections: limits.connections,
            per_address: limits.connections_per_address,
            handshakes: limits.handshakes,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    bounds: Bounds,
    connections: usize,
    addresses: HashMap<IpAddr, usize>,
    /// Handshakes in the order they began, each with the means to end it.
    handshakes: BTreeMap<u64, oneshot::Sender<()>>,
    next: u64,
}

/// Why a connection is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There are as many connections as configured.
    Total,
    /// There are as many from this address as configured.
    Address,
}

/// One admitted connection; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Admitted {
    shared: Arc<Shared>,
    address: Option<IpAddr>,
}

/// One connection's place among those in their handshakes; dropping it makes room.
#[derive(Debug)]
pub(crate) struct HandshakeSlot {
    shared: Arc<Shared>,
    number: u64,
    evicted: oneshot::Receiver<()>,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        let state = State { bounds: Bounds::of(limits), ..State::default() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state) }) }
    }

    /// Replaces the limits. Connections that are there already stay.
    pub(crate) fn set_limits(&self, limits: &Limits) {
        self.shared.state.lock().bounds = Bounds::of(limits);
    }

    /// Counts a new connection in, or says why not. When it is admitted and there are too many handshakes, the oldest
    /// one is told to end.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<(Admitted, HandshakeSlot), Refused> {
        let address = counted(address);
        let mut state = self.shared.state.lock();
        // First: who is refused anyway must not end anybody's handshake.
        if let Some(address) = address
            && state.addresses.get(&address).is_some_and(|count| *count >= state.bounds.per_address)
        {
            return Err(Refused::Address);
        }
        if state.connections >= state.bounds.connections {
            // Connections that are still in their handshakes must not keep others out.
            match state.handshakes.pop_first() {
                Some((_, oldest)) => drop(oldest),
                None => return Err(Refused::Total),
            }
        }
        if let Some(address) = address {
            *state.addresses.entry(address).or_default() += 1;
        }
        state.connections += 1;
        if state.handshakes.len() >= state.bounds.handshakes {
            // Dropping the sender wakes the one that holds the slot.
            state.handshakes.pop_first();
        }
        let number = state.next;
        state.next += 1;
        let (sender, evicted) = oneshot::channel();
        state.handshakes.insert(number, sender);
        drop(state);
        Ok((
            Admitted { shared: Arc::clone(&self.shared), address },
            HandshakeSlot { shared: Arc::clone(&self.shared), number, evicted },
        ))
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.shared.state.lock().connections
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.connections = state.connections.saturating_sub(1);
        if let Some(address) = self.address
            && let Some(count) = state.addresses.get_mut(&address)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.addresses.remove(&address);
            }
        }
    }
}

impl HandshakeSlot {
    /// Waits until this handshake has to make room for a newer one.
    pub(crate) async fn evicted(&mut self) {
        let _ = (&mut self.evicted).await;
    }
}

impl Drop for HandshakeSlot {
    fn drop(&mut self) {
        self.shared.state.lock().handshakes.remove(&self.number);
    }
}

/// What counts as one address: an IPv4 address, an IPv6 /64 network, and nothing for loopback.
pub(super) fn counted(address: IpAddr) -> Option<IpAddr> {
    let address = address.to_canonical();
    if address.is_loopback() {
        return None;
    }
    Some(match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: usize, per_address: usize, handshakes: usize) -> Admission {
        let limits = Limits { connections, connections_per_address: per_address, handshakes, ..Limits::default() };
        Admission::new(&limits)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_does_not_take_the_place_of_others() {
        let admission = admission(10, 2, 10);
        let held: Vec<_> = (0..2).map(|_| admission.admit(address("192.0.2.1")).unwrap()).collect();
        assert_eq!(admission.admit(address("192.0.2.1")).unwrap_err(), Refused::Address);
        assert_eq!(admission.admit(address("::ffff:192.0.2.1")).unwrap_err(), Refused::Address);
        assert!(admission.admit(address("192.0.2.2")).is_ok());
        drop(held);
        assert!(admission.admit(address("192.0.2.1")).is_ok());
        assert!(admission.shared.state.lock().addresses.is_empty());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_loopback_not_at_all() {
        let admission = admission(10, 1, 10);
        let _held = admission.admit(address("2001:db8::1")).unwrap();
        assert_eq!(admission.admit(address("2001:db8::ffff:2")).unwrap_err(), Refused::Address);
        assert!(admission.admit(address("2001:db8:0:1::1")).is_ok());
        let _local: Vec<_> = (0..5).map(|_| admission.admit(address("127.0.0.1")).unwrap()).collect();
    }

    #[test]
    fn new_limits_hold_for_who_comes_next() {
        let admission = admission(10, 10, 10);
        let _held: Vec<_> = (0..3).map(|_| admission.admit(address("192.0.2.1")).unwrap()).collect();
        admission.set_limits(&Limits {
            connections: 10,
            connections_per_address: 3,
            handshakes: 10,
            ..Limits::default()
        });
        assert_eq!(admission.admit(address("192.0.2.1")).unwrap_err(), Refused::Address);
        assert!(admission.admit(address("192.0.2.2")).is_ok());
    }

    #[tokio::test]
    async fn the_oldest_handshake_makes_room() {
        let admission = admission(10, 10, 2);
        let (_first, mut first_slot) = admission.admit(address("192.0.2.1")).unwrap();
        let (_second, second_slot) = admission.admit(address("192.0.2.2")).unwrap();
        let (_third, _slot) = admission.admit(address("192.0.2.3")).unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(5), first_slot.evicted()).await.unwrap();
        drop(second_slot);
        assert_eq!(admission.shared.state.lock().handshakes.len(), 1);
    }

    #[tokio::test]
    async fn who_is_refused_ends_nobodys_handshake() {
        let admission = admission(2, 1, 10);
        let (_first, mut slot) = admission.admit(address("192.0.2.1")).unwrap();
        let (_second, _slot) = admission.admit(address("192.0.2.2")).unwrap();
        assert_eq!(admission.admit(address("192.0.2.2")).unwrap_err(), Refused::Address);
        let evicted = tokio::time::timeout(std::time::Duration::from_millis(50), slot.evicted()).await;
        assert!(evicted.is_err(), "a refused connection took somebody's place");
    }

    #[tokio::test]
    async fn handshakes_make_room_when_the_total_is_reached() {
        let admission = admission(2, 10, 10);
        let (_kept, kept_slot) = admission.admit(address("192.0.2.1")).unwrap();
        drop(kept_slot);
        let (silent, mut silent_slot) = admission.admit(address("192.0.2.2")).unwrap();
        let (_third, third_slot) = admission.admit(address("192.0.2.3")).unwrap();
        silent_slot.evicted().await;
        drop((silent, silent_slot, third_slot));
        // Two that have finished their handshakes stay, and nobody else gets in.
        assert_eq!(admission.admit(address("192.0.2.4")).unwrap_err(), Refused::Total);
    }
}
