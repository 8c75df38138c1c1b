//! What a person sees: headings, times, the closing summary. Colour only on a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use crate::process::Failure;

const BOLD: &str = "1";
const GREEN: &str = "32";
const RED: &str = "31";
const DIM: &str = "2";

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    NotRun,
}

/// One line of the summary.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) time: Duration,
}

/// Writes to standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    colour: bool,
}

impl Console {
    pub(crate) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colour: wanted && std::io::stdout().is_terminal() }
    }

    fn paint(self, style: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The heading of a step.
    pub(crate) fn heading(self, position: usize, count: usize, name: &str, about: &str) {
        println!("\n{}", self.paint(BOLD, &format!("=== {position}/{count} {name}: {about}")));
    }

    /// The line under a step.
    pub(crate) fn closing(self, name: &str, passed: bool, time: Duration) {
        let (style, word) = if passed { (GREEN, "ok") } else { (RED, "FAILED") };
        println!("{} {name} {}", self.paint(style, word), self.paint(DIM, &format!("({})", seconds(time))));
    }

    /// Why the program ends with an error.
    pub(crate) fn failure(self, failure: &Failure) {
        eprintln!("\n{}: {failure}", self.paint(RED, "xtask failed"));
    }

    /// The table at the end of `test`.
    pub(crate) fn summary(self, lines: &[Line], total: Duration) {
        println!("\n{}", self.paint(BOLD, "=== summary"));
        for line in lines {
            let (style, word) = match line.outcome {
                Outcome::Passed => (GREEN, "ok"),
                Outcome::Failed => (RED, "FAILED"),
                Outcome::NotRun => (DIM, "not run"),
            };
            let time = if line.outcome == Outcome::NotRun { String::new() } else { seconds(line.time) };
            println!("{} {:<10} {time:>9}", self.paint(style, &format!("{word:<8}")), line.name);
        }
        let count = |outcome| lines.iter().filter(|line| line.outcome == outcome).count();
        println!("{:<8} {:<10} {:>9}", "", "total", seconds(total));
        println!(
            "steps: {} passed, {} failed, {} skipped",
            count(Outcome::Passed),
            count(Outcome::Failed),
            count(Outcome::NotRun)
        );
    }
}

/// A duration as people read it: `4.2 s`, `3 min 07 s`.
pub(crate) fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    if whole < 60 { format!("{:.1} s", time.as_secs_f64()) } else { format!("{} min {:02} s", whole / 60, whole % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(seconds(Duration::from_millis(4_240)), "4.2 s");
        assert_eq!(seconds(Duration::from_secs(187)), "3 min 07 s");
    }
}
