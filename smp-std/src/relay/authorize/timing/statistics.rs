//! Do two classes of measurements come from one distribution? The method of Reparaz, Balasch and Verbauwhede, "Dude, is my
//! code constant time?" (DATE 2017): classes in random order, the slowest measurements cropped at several percentiles
//! because interruptions only add noise, Welch's t for each crop, the largest one counts.

use std::hint::black_box;
use std::time::Instant;

use rand::{RngExt, SeedableRng};

/// Above it two classes differ, says the paper; with enough measurements all do, so the size of the difference is told
/// too.
const DIFFERENT: f64 = 10.0;
/// Below it nothing was found.
const SAME: f64 = 4.5;

/// Mean and variance of a stream (Welford).
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    /// Variance of the mean.
    fn of_mean(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }

    fn welch(&self, other: &Self) -> f64 {
        (self.mean - other.mean) / (self.of_mean() + other.of_mean()).sqrt()
    }
}

/// How much two classes differ.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Difference {
    /// Welch's t at the crop where it is largest.
    pub(super) t: f64,
    /// The difference of the means without the slowest tenth, in nanoseconds: the second class less the first.
    pub(super) mean: f64,
    /// The difference of the medians, in nanoseconds.
    pub(super) median: f64,
}

impl Difference {
    /// Compares measurements in nanoseconds.
    pub(super) fn between(first: &[u32], second: &[u32]) -> Self {
        let mut pooled: Vec<u32> = first.iter().chain(second).copied().collect();
        pooled.sort_unstable();
        let mut worst = Self { median: median(second) - median(first), ..Self::default() };
        for per_mille in [500, 700, 800, 900, 950, 990, 1_000] {
            let limit = pooled[(pooled.len() * per_mille / 1_000).saturating_sub(1)];
            let moments = |values: &[u32]| {
                let mut moments = Moments::default();
                values.iter().filter(|value| **value <= limit).for_each(|value| moments.add(f64::from(*value)));
                moments
            };
            let (first, second) = (moments(first), moments(second));
            // A crop that leaves nothing of a class: they differ, and a wider one says how much.
            if first.count < 100.0 || second.count < 100.0 {
                continue;
            }
            let t = second.welch(&first);
            if t.abs() > worst.t.abs() {
                worst.t = t;
            }
            if per_mille == 900 {
                worst.mean = second.mean - first.mean;
            }
        }
        worst
    }

    pub(super) fn verdict(&self) -> &'static str {
        match self.t.abs() {
            t if t < SAME => "",
            t if t < DIFFERENT => "perhaps",
            _ => "DIFFERS",
        }
    }
}

fn median(values: &[u32]) -> f64 {
    let mut values = values.to_vec();
    let place = values.len() / 2;
    f64::from(*values.select_nth_unstable(place).1)
}

/// Measures `work` on what `prepare` makes for a class, `samples` times for each of the classes, in random order. In
/// nanoseconds.
pub(super) fn measure<I>(
    classes: usize,
    samples: usize,
    mut prepare: impl FnMut(usize) -> I,
    mut work: impl FnMut(&I) -> bool,
) -> Vec<Vec<u32>> {
    let random = &mut rand::rngs::StdRng::seed_from_u64(1);
    let mut times = vec![Vec::with_capacity(samples + samples / 4); classes];
    let warming = samples * classes / 20;
    for number in 0..samples * classes + warming {
        let class = random.random_range(0..classes);
        let input = black_box(prepare(class));
        let start = Instant::now();
        black_box(work(black_box(&input)));
        let elapsed = start.elapsed();
        if number >= warming {
            times[class].push(u32::try_from(elapsed.as_nanos()).unwrap_or(u32::MAX));
        }
    }
    times
}

/// One line for each class but the first, which the others are compared with.
pub(super) fn report(what: &str, classes: &[&str], times: &[Vec<u32>]) {
    for (class, measured) in classes.iter().zip(times).skip(1) {
        let found = Difference::between(&times[0], measured);
        println!(
            "{what:<34} {class:<24} {:>8.1} us {:>9.1} {:>+9.0} ns {:>+9.0} ns  {}",
            median(&times[0]) / 1_000.0,
            found.t,
            found.mean,
            found.median,
            found.verdict()
        );
    }
}

pub(super) fn heading(what: &str) {
    println!("\n{what}");
    println!(
        "{:<34} {:<24} {:>11} {:>9} {:>12} {:>12}",
        "supplied", "compared with unknown", "median", "t", "mean", "median"
    );
}

#[test]
fn a_shift_is_found_and_none_is_not() {
    let random = &mut rand::rngs::StdRng::seed_from_u64(2);
    // 50 us, noise of a microsecond, and an interruption now and then.
    let mut draw = |shift: u32| -> Vec<u32> {
        (0..20_000)
            .map(|_| {
                let noise: u32 = (0..4).map(|_| random.random_range(0..500)).sum();
                50_000 + shift + noise + if random.random_bool(0.01) { 400_000 } else { 0 }
            })
            .collect()
    };
    let (first, same, shifted) = (draw(0), draw(0), draw(40));
    assert!(Difference::between(&first, &same).t.abs() < SAME);
    let found = Difference::between(&first, &shifted);
    assert!(found.t > DIFFERENT && (30.0..50.0).contains(&found.mean), "{found:?}");
    assert!(Difference::between(&shifted, &first).t < -DIFFERENT);
    assert_eq!((Difference::between(&first, &same).verdict(), found.verdict()), ("", "DIFFERS"));
}
