//! Memory, CPU time and writing of a process on this machine, from Linux' /proc.

use std::time::Duration;

/// The clock of /proc/PID/stat: fixed for programs, whatever the kernel's own is.
const TICKS_PER_SECOND: u64 = 100;

/// What a process uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// Resident memory in bytes.
    pub(super) memory: u64,
    /// The most it ever was.
    pub(super) peak: u64,
    /// CPU time of all its threads, user and system.
    pub(super) cpu: Duration,
    /// Bytes it gave the disk to write, in whole pages; `None` where only the process itself may know.
    pub(super) written: Option<u64>,
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
        Self::parse(&file("status")?, &file("stat")?, file("io").as_deref())
    }

    fn parse(status: &str, stat: &str, io: Option<&str>) -> Option<Self> {
        let bytes = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?;
            value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        };
        // The name in parentheses may hold anything; what follows does not.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let ticks = ticks(11)?.checked_add(ticks(12)?)?;
        let cpu = Duration::from_millis(ticks.checked_mul(1000 / TICKS_PER_SECOND)?);
        let written =
            io.and_then(|io| io.lines().find_map(|line| line.strip_prefix("write_bytes:")?.trim().parse().ok()));
        Some(Self { memory: bytes("VmRSS:")?, peak: bytes("VmHWM:")?, cpu, written })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_proc_are_read() {
        let status = "Name:\ta\nVmHWM:\t 9000 kB\nVmRSS:\t    5120 kB\nThreads:\t3\n";
        let stat = "17 (a) b) c) S 1 17 17 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 3 0 100 0 0";
        let io = "wchar: 9\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n";
        let usage = Usage::parse(status, stat, Some(io)).unwrap();
        let (memory, peak, cpu) = (5120 * 1024, 9000 * 1024, Duration::from_secs(3));
        assert_eq!(usage, Usage { memory, peak, cpu, written: Some(8192) });
        assert_eq!(Usage::parse(status, stat, None).unwrap().written, None);
        assert_eq!(Usage::parse("", stat, Some(io)), None);
        assert_eq!(Usage::parse(status, "17 (a) S 1", Some(io)), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_something() {
        assert!(Usage::own().unwrap().memory > 100_000);
        assert_eq!(Usage::of(std::process::id()).map(|usage| usage.memory > 0), Some(true));
        assert_eq!(Usage::of(u32::MAX), None);
    }
}
