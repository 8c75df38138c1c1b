//! Two parties talk through a network that loses, delays, repeats and damages what they say, and through restarts of their
//! programs. Random schedules, each decided by its number.
//!
//! An oracle that knows no key, only the rules, says beforehand what becomes of each message and each state. Every schedule
//! checks that
//!
//! - every authentic message decrypts exactly once, to its text, however late, unless the documented limits refuse it;
//! - every replay and every damaged copy is refused, with the error the rules say, and leaves ratchet, skipped keys and the
//!   bytes of the message as they were;
//! - a lost message never blocks a later one;
//! - stored states have their bound, and go on as the ones they were made of;
//! - versions and encapsulation are where the rules want them, and both directions are encapsulated soon after both want it.
#![cfg(feature = "ratchet")]
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails should say where"
)]

mod counters;
mod keys;
mod oracle;
mod party;
mod schedule;
mod starts;
mod store;
mod tamper;

use counters::Counters;
use schedule::Schedule;
use starts::Start;

/// Tells which schedule failed.
struct Failing(u64);

impl Drop for Failing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed: schedule {}", self.0);
        }
    }
}

fn play(numbers: impl Iterator<Item = u64>) -> Counters {
    let starts = Start::all();
    let mut counters = Counters::default();
    for number in numbers {
        let failing = Failing(number);
        Schedule::new(number, &starts).play(&mut counters);
        drop(failing);
    }
    println!("{counters:#?}");
    counters
}

#[test]
fn authentic_messages_decrypt_once_and_nothing_else_does() {
    play(0..400).assert_everything_happened();
}

/// The evidence behind the short run: minutes in a release build, so only when asked for.
mod a_hundred_thousand_schedules {
    use super::play;

    macro_rules! parts {
        ($($name:ident $start:literal,)*) => {
            $(#[test]
            #[ignore = "takes minutes: cargo test --release -p smp-crypto --test ratchet_properties -- --ignored"]
            fn $name() {
                play($start..$start + 25_000).assert_everything_happened();
            })*
        };
    }

    parts! {
        first_quarter 0,
        second_quarter 25_000,
        third_quarter 50_000,
        fourth_quarter 75_000,
    }
}
