//! The button is the Enter key, the lamp a line on standard output.

use std::io::BufRead;

use apps::{Input, Output};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_time::{Duration, Instant, Timer};

/// How long the Enter key counts as held down.
const HELD: Duration = Duration::from_millis(100);

/// Presses that were not looked at yet.
static PRESSES: Channel<CriticalSectionRawMutex, (), 16> = Channel::new();

/// The Enter key as a button. When standard input ends, it is not pressed any more.
pub(crate) struct EnterKey {
    released: Option<Instant>,
}

impl EnterKey {
    /// Begins to read standard input. There is one.
    pub(crate) fn listen() -> Self {
        std::thread::spawn(|| {
            for line in std::io::stdin().lock().lines() {
                // When somebody types faster than that, a press is lost, as with a button.
                if line.is_err() || PRESSES.try_send(()).is_err() {
                    continue;
                }
            }
        });
        Self { released: None }
    }
}

impl Input for EnterKey {
    async fn wait_until(&mut self, active: bool) {
        match (active, self.released) {
            (true, Some(released)) if Instant::now() < released => {}
            (true, _) => {
                PRESSES.receive().await;
                self.released = Instant::now().checked_add(HELD);
            }
            (false, Some(released)) => Timer::at(released).await,
            (false, None) => {}
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
