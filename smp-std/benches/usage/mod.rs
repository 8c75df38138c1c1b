//! What a process used, for benchmarks.

use std::time::Duration;

/// What this process used so far; zeros where the system does not say.
pub(crate) struct Usage {
    /// Time on processors.
    pub(crate) cpu: Duration,
    /// Bytes written to disk.
    pub(crate) written: u64,
    /// Resident bytes.
    pub(crate) memory: u64,
}

impl Usage {
    /// Looks at it.
    pub(crate) fn now() -> Self {
        let read = |name| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let number = |text: &str, field: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
            line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default()
        };
        let io = read("io");
        // Fields 14 and 15, after the name in parentheses: user and system time in hundredths of a second.
        let stat = read("stat");
        let ticks: u64 = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(11)
            .take(2)
            .flat_map(str::parse::<u64>)
            .sum();
        Self {
            cpu: Duration::from_millis(ticks * 10),
            written: number(&io, "write_bytes:").saturating_sub(number(&io, "cancelled_write_bytes:")),
            memory: number(&read("status"), "VmRSS:") << 10,
        }
    }
}
