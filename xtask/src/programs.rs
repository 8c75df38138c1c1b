//! Running the workspace's test programs. Many of them mostly wait, for sockets, disks and clocks, so that two of them
//! at a time take less long than one after the other.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::process::{Failure, Run};
use crate::workspace::Workspace;

/// How many run at a time. Each has as many threads as there are processors by itself.
const AT_A_TIME: usize = 2;

/// The longest of them, which start first: the last to start should be short.
const LONG: [&str; 11] = [
    "adversary",
    "stories",
    "agent_store",
    "chat",
    "namespaces",
    "relay",
    "alarms",
    "store",
    "moving",
    "messages",
    "conversations",
];

/// So many of the others are run by one command, which asks cargo only once whether they are up to date.
const TOGETHER: usize = 8;

/// How long each may take. The longest needs a minute or two, some of which is for what the machine does besides.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// Builds all test programs, runs them, and then `also`, which are other commands that test.
pub(crate) fn run(workspace: &Workspace, also: Vec<Run>) -> Result<(), Failure> {
    let test = || workspace.cargo_test();
    test().args(["--lib", "--bins", "--tests", "--examples", "--no-run"]).run()?;
    let (long, short) = names(workspace);
    let long = long.iter().map(std::slice::from_ref);
    let mut programs = long.chain(short.chunks(TOGETHER)).map(|names| {
        let selected = names.iter().flat_map(|name| ["--test", name]);
        test().args(selected)
    });
    // The other commands compile once more, which the longest program, started before them, does not mind.
    let first = programs.next();
    let last = std::iter::once(test().args(["--lib", "--bins", "--examples"]));
    at_a_time(AT_A_TIME, first.into_iter().chain(also).chain(programs).chain(last).collect())
}

/// The names of all programs in folders `tests`, each once: the long ones, and the others. Programs of one name, which
/// different crates may have, are run by one command.
fn names(workspace: &Workspace) -> (Vec<&str>, Vec<&str>) {
    let all: BTreeSet<&str> =
        workspace.packages.iter().flat_map(|package| &package.tests).map(String::as_str).collect();
    let long = LONG.into_iter().filter(|name| all.contains(name)).collect();
    (long, all.into_iter().filter(|name| !LONG.contains(name)).collect())
}

/// Runs commands in their order, so many at a time. What one of them says is shown when it has ended; after one that
/// failed none is started any more.
fn at_a_time(count: usize, queue: VecDeque<Run>) -> Result<(), Failure> {
    let queue = Mutex::new(queue);
    let work = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(run) = next else { return Ok(()) };
            if let Err(failure) = run.heard(LIMIT) {
                queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                return Err(failure);
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        let died = |_| Err(Failure::new("a thread that ran tests died"));
        // All have ended before the first failure is told.
        let ended: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap_or_else(died)).collect();
        ended.into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn touching(folder: &std::path::Path, name: &str, then: &str) -> Run {
        Run::new("sh").args(["-c", &format!("touch {name}; {then}")]).dir(folder)
    }

    #[test]
    fn all_run_and_none_after_a_failure() {
        let folder = std::env::temp_dir().join(format!("xtask-programs-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let there = |name: &str| folder.join(name).exists();
        let good = ["a", "b", "c"].map(|name| touching(&folder, name, "true"));
        assert!(at_a_time(2, good.into()).is_ok());
        assert!(there("a") && there("b") && there("c"));
        let bad = [touching(&folder, "d", "exit 3"), touching(&folder, "e", "true")];
        let failure = at_a_time(1, bad.into()).unwrap_err().to_string();
        assert!(failure.contains("exit 3"), "{failure}");
        assert!(there("d") && !there("e"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn every_program_is_run_once() {
        let workspace = Workspace::find().unwrap();
        let (long, short) = names(&workspace);
        assert_eq!(long, LONG, "a name that there is no program of");
        let names: BTreeSet<&str> = long.iter().chain(&short).copied().collect();
        assert_eq!(names.len(), long.len() + short.len());
        let found = fs::read_dir(workspace.root.join("smp-std/tests")).unwrap().flatten();
        let programs = found.filter_map(|entry| {
            let path = entry.path();
            let is_program = path.join("main.rs").exists() || path.extension().is_some_and(|end| end == "rs");
            is_program.then(|| path.file_stem().unwrap().to_str().unwrap().to_owned())
        });
        for program in programs {
            assert!(names.contains(program.as_str()), "{program}");
        }
    }
}
