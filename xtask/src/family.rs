//! Programs with all that they started.

use std::fs;
use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often it is asked whether a program has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits for a program to end. After `limit` it is killed with everything it started, and there is no status.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() >= limit {
            kill(&descendants(child.id()));
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(PAUSE);
    }
}

/// The processes that a process started, and those that they did. None where there is no `/proc` to read.
fn descendants(of: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents: Vec<(u32, u32)> = processes
        .filter_map(|entry| {
            let process = entry.file_name().to_str()?.parse().ok()?;
            Some((process, parent(&fs::read_to_string(entry.path().join("stat")).ok()?)?))
        })
        .collect();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(&process) = found.get(next) {
        found.extend(parents.iter().filter(|(_, parent)| *parent == process).map(|(child, _)| child));
        next += 1;
    }
    found.split_off(1)
}

/// The parent in what `/proc` says of a process: `1 (name) state parent`, where the name may have anything in it.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Those that are gone already do no harm.
fn kill(processes: &[u32]) {
    if processes.is_empty() {
        return;
    }
    let numbers: Vec<String> = processes.iter().map(u32::to_string).collect();
    let command = format!("kill -9 {}", numbers.join(" "));
    let _ = Command::new("sh").args(["-c", &command]).stdin(Stdio::null()).stderr(Stdio::null()).status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_read_whatever_the_name() {
        assert_eq!(parent("7 (sh) S 3 7 7 0"), Some(3));
        assert_eq!(parent("7 (a) S 1 (b)) R 4 7 7 0"), Some(4));
        assert_eq!(parent("7 (sh"), None);
    }

    #[test]
    fn what_ends_in_time_has_a_status() {
        let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn().unwrap();
        let status = wait(&mut child, Duration::from_secs(60)).unwrap().unwrap();
        assert_eq!(status.code(), Some(3));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn nothing_is_left_of_what_takes_too_long() {
        // The outer shell waits for the inner one, and that for a sleeper.
        let mut child = Command::new("sh").args(["-c", "sh -c 'sleep 600; true'; true"]).spawn().unwrap();
        let started = Instant::now();
        let mut family = Vec::new();
        while family.len() < 2 {
            assert!(started.elapsed() < Duration::from_secs(60), "{family:?}");
            family = descendants(child.id());
        }
        assert_eq!(wait(&mut child, Duration::ZERO).unwrap(), None);
        for process in family {
            // Who inherits it may take a moment to bury it.
            while is_alive(process) {
                assert!(started.elapsed() < Duration::from_secs(60), "{process}");
                thread::sleep(PAUSE);
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn is_alive(process: u32) -> bool {
        let state = |stat: String| stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with('Z'));
        fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| state(stat) == Some(false))
    }
}
