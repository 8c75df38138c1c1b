//! How fast: commands on one connection, and new queues from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::limits::counted;

/// Addresses that are remembered at one time. Those whose buckets have filled again are forgotten, so this many must be
/// busy at once before strangers share one bucket.
const ADDRESSES: usize = 100_000;

/// So long after those with full buckets were forgotten, they are looked for again.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// A bucket that fills with time: what is done takes from it, and who finds it empty has to wait. Debts are allowed, so
/// that something large is done whole and paid for afterwards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// When it is full again.
    full_at: Instant,
}

/// How much a bucket holds, and how fast it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Time for one.
    interval: Duration,
    /// Time from empty to full.
    capacity: Duration,
}

impl Rate {
    /// `count` in each `period`, and `burst` at once.
    pub(crate) fn new(count: u32, period: Duration, burst: u32) -> Self {
        let interval = period / count.max(1);
        Self { interval, capacity: interval.saturating_mul(burst.max(1)) }
    }
}

impl Bucket {
    /// A full one.
    pub(super) fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes `count` and says how long to wait before the next may be taken; zero when there is something left.
    pub(super) fn take(&mut self, rate: Rate, count: u32, now: Instant) -> Duration {
        self.full_at = self.full_at.max(now) + rate.interval.saturating_mul(count);
        self.wait(rate, now)
    }

    /// How long until something can be taken.
    pub(super) fn wait(&self, rate: Rate, now: Instant) -> Duration {
        // With less than one in it the bucket is empty.
        let lacking = self.full_at.saturating_duration_since(now);
        (lacking + rate.interval).saturating_sub(rate.capacity)
    }

    fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

/// A bucket for each address.
#[derive(Debug, Default)]
pub(super) struct AddressRates {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    buckets: HashMap<IpAddr, Bucket>,
    /// Of all for whom there was no room.
    others: Option<Bucket>,
    /// When those with full buckets were last forgotten.
    swept: Option<Instant>,
}

impl AddressRates {
    /// Takes one for an address if no more than `patience` passes until its turn: the time to wait then, `None` if it is
    /// too long (nothing is taken). Loopback never waits.
    pub(super) fn take(&self, address: IpAddr, rate: Rate, patience: Duration) -> Option<Duration> {
        let Some(address) = counted(address) else { return Some(Duration::ZERO) };
        let now = Instant::now();
        let mut state = self.state.lock();
        let State { buckets, others, swept } = &mut *state;
        // All of them are looked at, which must not happen for each of a crowd of strangers.
        let rested = swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP_PAUSE);
        if buckets.len() >= ADDRESSES && rested && !buckets.contains_key(&address) {
            *swept = Some(now);
            buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        let bucket = if buckets.len() < ADDRESSES || buckets.contains_key(&address) {
            buckets.entry(address).or_insert_with(|| Bucket::full(now))
        } else {
            others.get_or_insert_with(|| Bucket::full(now))
        };
        let wait = bucket.wait(rate, now);
        if wait > patience {
            return None;
        }
        bucket.take(rate, 1, now);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_bucket_gives_its_burst_and_then_its_rate() {
        let rate = Rate::new(10, SECOND, 100);
        let mut bucket = Bucket::full(Instant::now());
        for _ in 0..99 {
            assert_eq!(bucket.take(rate, 1, Instant::now()), Duration::ZERO);
        }
        assert_eq!(bucket.take(rate, 1, Instant::now()), SECOND / 10);
        advance(SECOND / 10).await;
        assert_eq!(bucket.wait(rate, Instant::now()), Duration::ZERO);
        assert_eq!(bucket.take(rate, 50, Instant::now()), 5 * SECOND, "a debt is paid before the next");
        advance(100 * SECOND).await;
        for _ in 0..99 {
            assert_eq!(bucket.take(rate, 1, Instant::now()), Duration::ZERO);
        }
        assert!(bucket.take(rate, 1, Instant::now()) > Duration::ZERO, "it holds no more than its burst");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_waits_alone() {
        let rates = AddressRates::default();
        let rate = Rate::new(60, 60 * SECOND, 5);
        let (busy, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let waits: Vec<_> = (0..9).map(|_| rates.take(busy, rate, 3 * SECOND)).collect();
        let seconds: Vec<_> = waits.iter().map(|wait| wait.map(|wait| wait.as_secs())).collect();
        assert_eq!(seconds, [Some(0), Some(0), Some(0), Some(0), Some(0), Some(1), Some(2), Some(3), None]);
        assert_eq!(rates.take(other, rate, SECOND), Some(Duration::ZERO));
        assert_eq!(rates.take("127.0.0.1".parse().unwrap(), rate, SECOND), Some(Duration::ZERO));
        advance(SECOND).await;
        assert_eq!(rates.take(busy, rate, 3 * SECOND), Some(3 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_of_addresses_takes_bounded_memory() {
        let rates = AddressRates::default();
        let rate = Rate::new(1, SECOND, 2);
        let address = |number: u32| IpAddr::from(std::net::Ipv4Addr::from(0x0100_0000 + number));
        for number in 0..u32::try_from(ADDRESSES).unwrap() {
            rates.take(address(number), rate, Duration::ZERO).unwrap();
        }
        // Strangers share one bucket now.
        let strangers = (0..4).filter(|number| rates.take(address(200_000 + number), rate, Duration::ZERO).is_some());
        assert_eq!(strangers.count(), 2);
        assert_eq!(rates.state.lock().buckets.len(), ADDRESSES);
        advance(2 * SECOND).await;
        rates.take(address(300_000), rate, Duration::ZERO).unwrap();
        assert_eq!(rates.state.lock().buckets.len(), 1, "those that are full again are forgotten");
    }
}
