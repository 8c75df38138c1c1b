//! A lamp that blinks while a message waits.

use embassy_futures::select::{Either, Either3, select, select3};
use embassy_sync::blocking_mutex::raw::{NoopRawMutex, RawMutex};
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, Timer};

use crate::{Debounced, Input, Output};

/// How the lamp behaves.
#[derive(Clone, Copy, Debug)]
pub struct Blinking {
    /// How long it is lit at a time.
    pub lit: Duration,
    /// How long it is dark in between.
    pub dark: Duration,
    /// After how long without another message it goes out by itself.
    pub patience: Duration,
    /// How long the contact of the button that puts it out must be still.
    pub settle: Duration,
}

impl Blinking {
    /// A short flash each second, for a day.
    pub const DEFAULT: Self = Self {
        lit: Duration::from_millis(100),
        dark: Duration::from_millis(900),
        patience: Duration::from_secs(24 * 3600),
        settle: Duration::from_millis(20),
    };
}

/// Nobody sees shorter ones.
const LEAST: Duration = Duration::from_millis(1);

/// What the lamp shall do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Light {
    /// Whether it is lit.
    pub on: bool,
    /// When to ask again, if nothing happens before.
    pub until: Option<Instant>,
}

/// Decides when the lamp is lit. Has no clock: the caller gives the time.
#[derive(Debug)]
pub struct Lamp {
    settings: Blinking,
    /// When the blinking began and when the last message was told, while it blinks.
    blinking: Option<(Instant, Instant)>,
}

impl Lamp {
    /// A lamp that is dark.
    #[must_use]
    pub const fn new(settings: Blinking) -> Self {
        Self { settings, blinking: None }
    }

    /// A message waits.
    pub fn message(&mut self, now: Instant) {
        let began = self.blinking.map_or(now, |(began, _)| began);
        self.blinking = Some((began, now));
    }

    /// Somebody has seen the lamp.
    pub fn acknowledge(&mut self) {
        self.blinking = None;
    }

    /// Whether it is lit now.
    pub fn light(&mut self, now: Instant) -> Light {
        let Some((began, last)) = self.blinking else { return Light { on: false, until: None } };
        if now.saturating_duration_since(last) >= self.settings.patience {
            self.blinking = None;
            return Light { on: false, until: None };
        }
        let lit = self.settings.lit.as_ticks();
        let period = lit.saturating_add(self.settings.dark.as_ticks());
        let phase = now.saturating_duration_since(began).as_ticks().checked_rem(period).unwrap_or_default();
        let on = phase < lit;
        let left = Duration::from_ticks(if on { lit } else { period }.saturating_sub(phase));
        Light { on, until: now.checked_add(left.max(LEAST)) }
    }
}

/// Blinks from each signal on until the button is pressed. A button that is held down puts it out once: a message that
/// comes then is shown. Never ends.
pub async fn notification_lamp<M: RawMutex>(
    mut lamp: impl Output,
    button: impl Input,
    message: &Signal<M, ()>,
    settings: &Blinking,
) -> ! {
    let seen = Signal::new();
    let button = watch(Debounced::new(button, settings.settle), &seen);
    match select(button, blink(&mut lamp, message, &seen, settings)).await {
        Either::First(never) | Either::Second(never) => never,
    }
}

/// Tells of each press once.
async fn watch(mut button: Debounced<impl Input>, seen: &Signal<NoopRawMutex, ()>) -> ! {
    loop {
        button.wait_until(true).await;
        seen.signal(());
        button.wait_until(false).await;
    }
}

async fn blink<M: RawMutex>(
    lamp: &mut impl Output,
    message: &Signal<M, ()>,
    seen: &Signal<NoopRawMutex, ()>,
    settings: &Blinking,
) -> ! {
    let mut state = Lamp::new(*settings);
    loop {
        let light = state.light(Instant::now());
        lamp.set(light.on);
        let until = async {
            match light.until {
                Some(until) => Timer::at(until).await,
                None => core::future::pending().await,
            }
        };
        match select3(message.wait(), seen.wait(), until).await {
            Either3::First(()) => state.message(Instant::now()),
            Either3::Second(()) => state.acknowledge(),
            Either3::Third(()) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::cell::Cell;

    use super::*;
    use crate::testing::{Switched, run};

    const SETTINGS: Blinking = Blinking { patience: Duration::from_secs(10), ..Blinking::DEFAULT };

    #[test]
    fn blinks_until_the_button_is_pressed() {
        let (switched, button, message) = (Switched::default(), Cell::new(false), Signal::<NoopRawMutex, ()>::new());
        run(notification_lamp(&switched, &button, &message, &SETTINGS), |run| {
            run.pass(500);
            assert_eq!(switched.0.take(), [(0, false)]);
            message.signal(());
            run.pass(2000);
            assert_eq!(switched.0.take(), [(501, true), (601, false), (1501, true), (1601, false)]);
            button.set(true);
            run.pass(5000);
            // The flash was due before the button had settled.
            assert_eq!(switched.0.take(), [(2501, true), (2521, false)]);
        });
    }

    #[test]
    fn a_message_while_the_button_is_held_is_shown() {
        let (switched, button, message) = (Switched::default(), Cell::new(true), Signal::<NoopRawMutex, ()>::new());
        run(notification_lamp(&switched, &button, &message, &SETTINGS), |run| {
            run.pass(1000);
            message.signal(());
            run.pass(300);
            assert_eq!(switched.0.take(), [(0, false), (1001, true), (1101, false)]);
        });
    }

    #[test]
    fn it_goes_out_by_itself_and_another_message_keeps_it_on() {
        let mut lamp = Lamp::new(SETTINGS);
        let at = Instant::from_secs;
        assert_eq!(lamp.light(at(0)), Light { on: false, until: None });
        lamp.message(at(100));
        assert!(lamp.light(at(109)).on);
        lamp.message(at(109));
        assert!(lamp.light(at(118)).on);
        assert_eq!(lamp.light(at(119)), Light { on: false, until: None });
        lamp.message(at(200));
        assert!(lamp.light(at(200)).on);
        lamp.acknowledge();
        assert!(!lamp.light(at(200)).on);
    }

    #[test]
    fn a_lamp_without_dark_is_lit_all_the_time() {
        let none = Duration::from_ticks(0);
        let mut lamp = Lamp::new(Blinking { dark: none, ..SETTINGS });
        lamp.message(Instant::from_secs(1));
        assert!((0..50).all(|tenth| lamp.light(Instant::from_millis(1000 + tenth * 100)).on));
        // Nor does a period of nothing divide by zero.
        let mut lamp = Lamp::new(Blinking { lit: none, dark: none, ..SETTINGS });
        lamp.message(Instant::from_secs(1));
        assert!(!lamp.light(Instant::from_secs(2)).on);
    }
}
