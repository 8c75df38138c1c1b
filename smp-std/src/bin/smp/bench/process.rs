//! Memory and CPU time of a process on this machine, from Linux' /proc.

use std::time::Duration;

/// The clock of /proc/PID/stat: fixed for programs, whatever the kernel's own is.
const TICKS_PER_SECOND: u64 = 100;

/// What a process uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// Resident memory in bytes.
    pub(super) memory: u64,
    /// CPU time of all its threads, user and system.
    pub(super) cpu: Duration,
}

impl Usage {
    /// What the process uses; `None` if there is none, or no /proc.
    pub(super) fn of(pid: u32) -> Option<Self> {
        Self::read(&pid.to_string())
    }

    /// What this process uses.
    pub(super) fn own() -> Option<Self> {
        Self::read("self")
    }

    fn read(process: &str) -> Option<Self> {
        let file = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}")).ok();
        Self::parse(&file("status")?, &file("stat")?)
    }

    fn parse(status: &str, stat: &str) -> Option<Self> {
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = resident.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        // The name in parentheses may hold anything; what follows does not.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let ticks = ticks(11)?.checked_add(ticks(12)?)?;
        let cpu = Duration::from_millis(ticks.checked_mul(1000 / TICKS_PER_SECOND)?);
        Some(Self { memory: kilobytes.checked_mul(1024)?, cpu })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_proc_are_read() {
        let status = "Name:\ta\nVmHWM:\t 9000 kB\nVmRSS:\t    5120 kB\nThreads:\t3\n";
        let stat = "17 (a) b) c) S 1 17 17 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 3 0 100 0 0";
        let usage = Usage::parse(status, stat).unwrap();
        assert_eq!(usage, Usage { memory: 5120 * 1024, cpu: Duration::from_secs(3) });
        assert_eq!(Usage::parse("", stat), None);
        assert_eq!(Usage::parse(status, "17 (a) S 1"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_something() {
        assert!(Usage::own().unwrap().memory > 100_000);
        assert_eq!(Usage::of(std::process::id()).map(|usage| usage.memory > 0), Some(true));
        assert_eq!(Usage::of(u32::MAX), None);
    }
}
