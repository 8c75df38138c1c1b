//! A button that sends a numbered alarm each time it is pressed.

use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Timer};
use smp_embassy::store::NumberStore;

use crate::text::{append, append_number};
use crate::{Input, Text, Texts};

/// An input without the bounces of its contact.
#[derive(Debug)]
pub struct Debounced<I> {
    input: I,
    settle: Duration,
}

impl<I: Input> Debounced<I> {
    /// An input counts as changed when it has been still for as long as `settle`; what is shorter is a disturbance.
    pub const fn new(input: I, settle: Duration) -> Self {
        Self { input, settle }
    }

    /// Waits until the input has been active, or inactive, for long enough. An input that is so already takes that long,
    /// too. Dropping the future starts the wait anew.
    pub async fn wait_until(&mut self, active: bool) {
        loop {
            self.input.wait_until(active).await;
            if let Either::Second(()) = select(self.input.wait_until(!active), Timer::after(self.settle)).await {
                return;
            }
        }
    }
}

/// How an alarm button behaves.
#[derive(Clone, Copy, Debug)]
pub struct AlarmButton<'a> {
    /// What the alarm is called in its text.
    pub name: &'a str,
    /// How long the contact must be still.
    pub settle: Duration,
    /// The least time between two alarms. Presses in between count as part of the first: somebody who presses ten times
    /// in fear sends one alarm, and the relay's quota is left for the next.
    pub spacing: Duration,
}

impl AlarmButton<'static> {
    /// A push button: 20 ms to settle, five seconds between alarms.
    pub const DEFAULT: Self =
        Self { name: "alarm", settle: Duration::from_millis(20), spacing: Duration::from_secs(5) };
}

/// The counter of the store that numbers messages.
pub const MESSAGE_COUNTER: u8 = 0;

/// Puts a text into the outbox for each press: the alarm's number and its name, as "17: front door". An input that is
/// active when the device starts is an alarm. Never ends.
///
/// An alarm for which there is no number, because the store is broken, is sent with "?" in place of it.
pub async fn alarm_button(
    input: impl Input,
    mut numbers: impl NumberStore,
    mut texts: impl Texts,
    settings: &AlarmButton<'_>,
) -> ! {
    let mut input = Debounced::new(input, settings.settle);
    loop {
        input.wait_until(true).await;
        texts.put(numbered(&mut numbers, settings.name).await).await;
        Timer::after(settings.spacing).await;
        input.wait_until(false).await;
    }
}

/// A text with the next number in front. Numbers grow; after a loss of power some are left out.
pub(crate) async fn numbered(numbers: &mut impl NumberStore, rest: &str) -> Text {
    let mut text = Text::new();
    match numbers.next_number(MESSAGE_COUNTER).await {
        Ok(number) => append_number(&mut text, number),
        Err(_) => append(&mut text, "?"),
    }
    append(&mut text, ": ");
    append(&mut text, rest);
    text
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::cell::Cell;

    use super::*;
    use crate::testing::{Counter, Sent, run};

    const SETTINGS: AlarmButton<'_> = AlarmButton { name: "front door", ..AlarmButton::DEFAULT };

    #[test]
    fn each_press_is_one_alarm_with_a_number_of_its_own() {
        let (pin, numbers, sent) = (Cell::new(false), Counter::from(7), Sent::default());
        run(alarm_button(&pin, &numbers, &sent, &SETTINGS), |run| {
            run.pass(1000);
            assert!(sent.take().is_empty());
            for expected in ["7: front door", "8: front door"] {
                pin.set(true);
                run.pass(100);
                assert_eq!(sent.take(), [expected]);
                // Held for hours, then released.
                run.pass(10_000);
                pin.set(false);
                run.pass(10_000);
                assert!(sent.take().is_empty());
            }
        });
    }

    #[test]
    fn bounces_and_disturbances_are_no_alarms() {
        let (pin, numbers, sent) = (Cell::new(false), Counter::from(0), Sent::default());
        run(alarm_button(&pin, &numbers, &sent, &SETTINGS), |run| {
            for _ in 0..20 {
                pin.set(true);
                run.pass(19);
                pin.set(false);
                run.pass(1);
            }
            assert!(sent.take().is_empty());
            // The contact bounces while it closes and while it opens.
            for level in [true, false] {
                for milliseconds in 0..10 {
                    pin.set(level == (milliseconds % 2 == 0));
                    run.pass(1);
                }
                pin.set(level);
                run.pass(10_000);
            }
            assert_eq!(sent.take(), ["0: front door"]);
        });
    }

    #[test]
    fn presses_close_together_are_one_alarm() {
        let (pin, numbers, sent) = (Cell::new(false), Counter::from(0), Sent::default());
        run(alarm_button(&pin, &numbers, &sent, &SETTINGS), |run| {
            for _ in 0..10 {
                pin.set(true);
                run.pass(200);
                pin.set(false);
                run.pass(200);
            }
            assert_eq!(sent.take(), ["0: front door"]);
            run.pass(5000);
            pin.set(true);
            run.pass(200);
            assert_eq!(sent.take(), ["1: front door"]);
        });
    }

    #[test]
    fn an_alarm_without_a_number_is_sent_all_the_same() {
        let (pin, numbers, sent) = (Cell::new(true), Counter::broken(), Sent::default());
        run(alarm_button(&pin, &numbers, &sent, &SETTINGS), |run| {
            run.pass(20);
            assert_eq!(sent.take(), ["?: front door"]);
        });
    }
}
