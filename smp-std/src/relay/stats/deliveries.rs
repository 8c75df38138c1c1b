//! How long recipients take to acknowledge what was delivered to them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Upper ends of the ranges of times, in tenths of a second; longer ones are in a range of their own.
pub(crate) const RANGES: [u32; 11] = [1, 5, 10, 20, 50, 100, 300, 600, 3_000, 12_000, 36_000];

/// What was delivered and how long its acknowledgement took, of all connections.
#[derive(Debug)]
pub(crate) struct Deliveries {
    started: Instant,
    /// Messages that wait for their acknowledgement.
    outstanding: AtomicU64,
    /// Connections with such messages.
    connections: AtomicU64,
    /// How many took so long, by range.
    ranges: [AtomicU64; RANGES.len() + 1],
    /// Tenths of a second in all.
    total: AtomicU64,
}

impl Default for Deliveries {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            outstanding: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            ranges: std::array::from_fn(|_| AtomicU64::new(0)),
            total: AtomicU64::new(0),
        }
    }
}

/// [`Deliveries`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeliveryFacts {
    pub(crate) outstanding: u64,
    pub(crate) connections: u64,
    /// How many acknowledgements took no longer than each range, then all.
    pub(crate) within: [u64; RANGES.len() + 1],
    /// Tenths of a second in all.
    pub(crate) total: u64,
}

impl Deliveries {
    /// Tenths of a second since this began: 13 years.
    pub(crate) fn now(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_millis() / 100).unwrap_or(u32::MAX)
    }

    /// A message is on its way to its recipient, whose connection had `others` outstanding.
    pub(crate) fn delivered(&self, others: usize) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
        if others == 0 {
            self.connections.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Messages are not waited for any more, by a connection that has `others` outstanding still.
    pub(crate) fn settled(&self, messages: usize, others: usize) {
        if messages > 0 {
            self.outstanding.fetch_sub(messages as u64, Ordering::Relaxed);
            if others == 0 {
                self.connections.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// An acknowledgement came now of what was delivered at the time `since`.
    pub(crate) fn acknowledged(&self, since: u32) {
        let took = self.now().saturating_sub(since);
        let range = RANGES.iter().position(|end| took <= *end).unwrap_or(RANGES.len());
        if let Some(range) = self.ranges.get(range) {
            range.fetch_add(1, Ordering::Relaxed);
        }
        self.total.fetch_add(u64::from(took), Ordering::Relaxed);
    }

    pub(crate) fn facts(&self) -> DeliveryFacts {
        let mut sum = 0u64;
        let within = self.ranges.each_ref().map(|range| {
            sum = sum.saturating_add(range.load(Ordering::Relaxed));
            sum
        });
        DeliveryFacts {
            outstanding: self.outstanding.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            within,
            total: self.total.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_are_counted_by_the_time_they_took() {
        let deliveries = Deliveries {
            started: Instant::now().checked_sub(std::time::Duration::from_secs(5_000)).unwrap(),
            ..Deliveries::default()
        };
        let now = deliveries.now();
        assert!((50_000..50_050).contains(&now));
        // At once, after 2 minutes, after more than an hour.
        for since in [now, now - 1_200, 0] {
            deliveries.acknowledged(since);
        }
        let facts = deliveries.facts();
        assert_eq!(facts.within[..2], [1, 1]);
        assert_eq!(facts.within[7..], [1, 2, 2, 2, 3]);
        assert!((51_200..51_250).contains(&facts.total), "{facts:?}");
    }
}
