//! The button is the Enter key, the lamp a line on standard output.

use std::io::BufRead;

use apps::{Input, Output};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_time::{Duration, Instant, Timer};

/// How long the Enter key counts as held down, and how long as released before it can be pressed again: longer than any
/// contact bounces.
const HELD: Duration = Duration::from_millis(100);

/// Presses that were not looked at yet.
static PRESSES: Channel<CriticalSectionRawMutex, (), 16> = Channel::new();

/// The Enter key as a button. Each line is a press, in order. When standard input ends, it is not pressed any more.
pub(crate) struct EnterKey {
    /// When the last press ends.
    down: Instant,
    /// Until when it is released at least.
    up: Instant,
}

impl EnterKey {
    /// Begins to read standard input. There is one.
    pub(crate) fn listen() -> Self {
        std::thread::spawn(|| {
            for line in std::io::stdin().lock().lines() {
                // More presses than the channel holds are too many for any alarm.
                if line.is_err() || PRESSES.try_send(()).is_err() {
                    continue;
                }
            }
        });
        Self { down: Instant::MIN, up: Instant::MIN }
    }
}

impl Input for EnterKey {
    async fn wait_until(&mut self, active: bool) {
        if !active {
            Timer::at(self.down).await;
            self.up = Instant::now() + HELD;
        } else if Instant::now() >= self.down {
            Timer::at(self.up).await;
            PRESSES.receive().await;
            self.down = Instant::now() + HELD;
        }
    }
}

/// A lamp that tells when it is switched.
#[derive(Default)]
pub(crate) struct PrintedLamp {
    on: bool,
}

impl Output for PrintedLamp {
    fn set(&mut self, on: bool) {
        if self.on != on {
            self.on = on;
            println!("lamp {}", if on { "on" } else { "off" });
        }
    }
}
