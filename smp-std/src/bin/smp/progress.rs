//! What a person who waits gets to see, on standard error.

use std::fmt::Display;
use std::time::Duration;

/// Tells what goes on, if anybody can be told.
pub(crate) fn note(what: impl Display) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "smp: {what}");
}

/// Prints a line of the result, formatted as by `println!`.
macro_rules! say {
    ($($format:tt)*) => {
        $crate::progress::result(format_args!($($format)*))
    };
}

/// Prints a line of the result. When nobody takes it there is nothing left to do.
pub(crate) fn result(line: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    if let Err(error) = writeln!(std::io::stdout().lock(), "{line}") {
        // A reader that has seen enough, as `head` has, needs no explanation.
        if error.kind() != std::io::ErrorKind::BrokenPipe {
            note(format_args!("standard output: {error}"));
        }
        std::process::exit(i32::from(crate::failure::OTHER));
    }
}

/// A duration for people: `850 µs`, `3.2 ms`, `1.5 s`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 0.001 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.1} s")
    }
}

/// Listens for Ctrl-C and for being told to terminate, from when it is made.
pub(crate) struct Interrupts {
    #[cfg(unix)]
    signals: Option<[tokio::signal::unix::Signal; 2]>,
}

impl Interrupts {
    pub(crate) fn listen() -> Self {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let interrupt = signal(SignalKind::interrupt()).ok();
            let terminate = signal(SignalKind::terminate()).ok();
            Self { signals: interrupt.zip(terminate).map(|(interrupt, terminate)| [interrupt, terminate]) }
        }
        #[cfg(not(unix))]
        Self {}
    }

    /// Ends when one of them comes.
    pub(crate) async fn wait(&mut self) {
        #[cfg(unix)]
        if let Some([interrupt, terminate]) = &mut self.signals {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_unit_that_suits() {
        assert_eq!(duration(Duration::from_micros(850)), "850 µs");
        assert_eq!(duration(Duration::from_micros(3_240)), "3.2 ms");
        assert_eq!(duration(Duration::from_millis(1_500)), "1.5 s");
    }
}
