//! How many queues are used: distinct queues that messages were sent to or acknowledged from, in a day, a week, a month.
//!
//! Not kept as a list of queues but as a HyperLogLog sketch of 16,384 registers for each period: 16 KiB whatever the
//! number of queues, within one percent of the true number nearly always (standard error 0.8 %, and much better up to some
//! thousand queues). Which queues were used can not be read from it.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use smp_proto::wire::{base64_url_decode, base64_url_encode};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::relay::store::Id;

/// Registers of a sketch. A power of two; the standard error is 1.04 by its square root.
const REGISTERS: usize = 1 << REGISTER_BITS;

const REGISTER_BITS: u32 = 14;

/// Length of a sketch as text.
const TEXT_LENGTH: usize = REGISTERS.div_ceil(3) * 4;

/// A sketch of one period.
struct Sketch(Box<[AtomicU8]>);

impl Default for Sketch {
    fn default() -> Self {
        Self((0..REGISTERS).map(|_| AtomicU8::new(0)).collect())
    }
}

impl Sketch {
    fn add(&self, hash: u64) {
        let (register, rest) = (hash >> (u64::BITS - REGISTER_BITS), hash << REGISTER_BITS);
        // The position of the first one bit, counted from 1; at most 51.
        let rank = u8::try_from(rest.leading_zeros().min(u64::BITS - REGISTER_BITS) + 1).unwrap_or(u8::MAX);
        if let Some(register) = usize::try_from(register).ok().and_then(|register| self.0.get(register)) {
            register.fetch_max(rank, Ordering::Relaxed);
        }
    }

    /// The estimate of O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), algorithm 6:
    /// without bias at any size, and without tables.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
    fn count(&self) -> u64 {
        const RANKS: usize = (u64::BITS - REGISTER_BITS) as usize + 2;
        let mut histogram = [0u32; RANKS];
        for register in &self.0 {
            if let Some(count) = histogram.get_mut(usize::from(register.load(Ordering::Relaxed))) {
                *count += 1;
            }
        }
        let registers = f64::from(1u32 << REGISTER_BITS);
        let [empty, ranks @ .., full] = histogram;
        let mut z = registers * tau(1.0 - f64::from(full) / registers);
        for count in ranks.into_iter().rev() {
            z = 0.5 * (z + f64::from(count));
        }
        z += registers * sigma(f64::from(empty) / registers);
        (registers * registers / (2.0 * std::f64::consts::LN_2 * z)).round() as u64
    }

    fn clear(&self) {
        for register in &self.0 {
            register.store(0, Ordering::Relaxed);
        }
    }

    fn to_text(&self) -> String {
        let bytes: Vec<u8> = self.0.iter().map(|register| register.load(Ordering::Relaxed)).collect();
        let mut text = vec![0; TEXT_LENGTH];
        base64_url_encode(&bytes, true, &mut text).map(str::to_owned).unwrap_or_default()
    }

    /// Adds what a text tells of. Whether it is the text of a sketch.
    fn merge(&self, text: &str) -> bool {
        let mut bytes = vec![0; REGISTERS];
        let Ok(bytes) = base64_url_decode(text.as_bytes(), &mut bytes) else { return false };
        if bytes.len() != REGISTERS {
            return false;
        }
        for (register, rank) in self.0.iter().zip(bytes) {
            register.fetch_max((*rank).min(51), Ordering::Relaxed);
        }
        true
    }
}

/// x + the sum of x^(2^k) 2^(k-1), infinite at 1.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

/// A third of 1 - x - the sum of (1 - x^(2^-k))^2 2^-k.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

/// The periods that queues are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// From midnight to midnight, UTC.
    Day,
    /// From Monday to Sunday.
    Week,
    /// A calendar month.
    Month,
}

/// Distinct queues used in the day, week and month.
pub struct ActiveQueues {
    periods: [Sketch; 3],
    /// Chosen at random, so that nobody can make queues that are counted as one.
    seed: AtomicU64,
}

impl Default for ActiveQueues {
    fn default() -> Self {
        Self { periods: std::array::from_fn(|_| Sketch::default()), seed: AtomicU64::new(rand::random()) }
    }
}

impl std::fmt::Debug for ActiveQueues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ActiveQueues(..)")
    }
}

impl ActiveQueues {
    /// Counts a queue.
    pub fn add(&self, recipient_id: &Id) {
        let hash = xxh3_64_with_seed(recipient_id, self.seed.load(Ordering::Relaxed));
        for sketch in &self.periods {
            sketch.add(hash);
        }
    }

    /// Counts a queue of which only a hash is known, in one period. The same queue counts once more when it is used again.
    pub(super) fn add_hash(&self, period: Period, hash: i64) {
        self.sketch(period).add(xxh3_64_with_seed(&hash.to_le_bytes(), self.seed.load(Ordering::Relaxed)));
    }

    /// About how many queues were used in a period that has begun.
    #[must_use]
    pub fn count(&self, period: Period) -> u64 {
        self.sketch(period).count()
    }

    /// Begins a period anew.
    pub(super) fn begin(&self, period: Period) {
        self.sketch(period).clear();
    }

    fn sketch(&self, period: Period) -> &Sketch {
        let [day, week, month] = &self.periods;
        match period {
            Period::Day => day,
            Period::Week => week,
            Period::Month => month,
        }
    }

    /// The sketches as text, in the order of [`Period`].
    pub(super) fn save(&self) -> SavedActive {
        let [day, week, month] = &self.periods;
        SavedActive {
            seed: self.seed.load(Ordering::Relaxed),
            day: day.to_text(),
            week: week.to_text(),
            month: month.to_text(),
        }
    }

    /// Goes on from what was saved. Whether it could be read.
    pub(super) fn restore(&self, saved: &SavedActive) -> bool {
        self.seed.store(saved.seed, Ordering::Relaxed);
        let [day, week, month] = &self.periods;
        day.merge(&saved.day) & week.merge(&saved.week) & month.merge(&saved.month)
    }
}

/// [`ActiveQueues`] in a file.
#[derive(serde::Deserialize, serde::Serialize)]
pub(super) struct SavedActive {
    seed: u64,
    day: String,
    week: String,
    month: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(number: u64) -> Id {
        let mut id = [0; 24];
        id[..8].copy_from_slice(&number.to_be_bytes());
        id
    }

    #[test]
    fn a_queue_counts_once() {
        let active = ActiveQueues::default();
        assert_eq!(active.count(Period::Day), 0);
        for _ in 0..100 {
            active.add(&queue(1));
        }
        assert_eq!(active.count(Period::Day), 1);
        active.add(&queue(2));
        assert_eq!(active.count(Period::Month), 2);
        active.begin(Period::Day);
        assert_eq!([active.count(Period::Day), active.count(Period::Week)], [0, 2]);
    }

    #[test]
    fn the_estimate_is_within_its_error_at_every_size() {
        let active = ActiveQueues::default();
        active.seed.store(1, Ordering::Relaxed);
        let mut next = 0;
        for size in [10u64, 100, 1_000, 10_000, 40_000, 60_000, 200_000, 1_000_000] {
            while next < size {
                active.add(&queue(next));
                next += 1;
            }
            let count = active.count(Period::Day);
            let off = count.abs_diff(size);
            assert!(off * 40 <= size, "{count} instead of {size}");
        }
    }

    #[test]
    fn what_was_saved_goes_on() {
        let active = ActiveQueues::default();
        (0..500).for_each(|number| active.add(&queue(number)));
        let later = ActiveQueues::default();
        assert!(later.restore(&active.save()));
        assert_eq!(later.count(Period::Week), active.count(Period::Week));
        // The same queues are known again.
        (0..500).for_each(|number| later.add(&queue(number)));
        assert_eq!(later.count(Period::Week), active.count(Period::Week));
        assert!(!later.restore(&SavedActive { seed: 1, day: "AAAA".into(), week: String::new(), month: "*".into() }));
    }
}
