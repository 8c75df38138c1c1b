//! Many worlds, one for each seed.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Tells a story for many seeds, and only then fails with those that went wrong. `FIRST` and `COUNT` in the environment
/// choose others than 1,000 to 101,000.
pub fn each_seed(story: impl Fn(u64)) {
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let first: u64 = number("FIRST", 1_000);
    let seeds = first..first + number("COUNT", 100_000);
    let wrong: Vec<u64> = seeds.filter(|seed| catch_unwind(AssertUnwindSafe(|| story(*seed))).is_err()).collect();
    assert!(wrong.is_empty(), "went wrong: {wrong:?}");
}
