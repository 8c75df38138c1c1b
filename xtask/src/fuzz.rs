//! Fuzzing with the stable compiler and nothing but libFuzzer: no nightly, no other program.
//!
//! The compiler instruments the code when told so by stable code generation flags; these are the ones `cargo fuzz` passes,
//! less AddressSanitizer. That one needs a nightly compiler and looks for memory errors, and the crates under test
//! forbid `unsafe`. `cargo fuzz run TARGET` works as well in the same folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::console::Console;
use crate::process::{Failure, Run};
use crate::tools::Need;
use crate::workspace::Workspace;

const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// A step of `test`: replays what is in the tree, then looks further for a few seconds.
pub(crate) fn short(workspace: &Workspace) -> Result<(), Failure> {
    let wanted = std::env::var("FUZZ_SECONDS").ok();
    let time = match wanted.as_deref().map(str::parse) {
        None => 5,
        Some(Ok(time)) => time,
        Some(Err(error)) => return Err(Failure::because("FUZZ_SECONDS", error)),
    };
    fuzz(workspace, &targets(workspace)?, time, false)
}

/// `cargo xtask fuzz [--minutes N] [TARGET...]`
pub(crate) fn chore(workspace: &Workspace, console: &Console, arguments: &[String]) -> Result<(), Failure> {
    let all = targets(workspace)?;
    let (minutes, named) = parse(arguments)?;
    if let Some(unknown) = named.iter().find(|name| !all.contains(name)) {
        return Err(Failure::new(format!("there is no fuzz target {unknown:?}; there are: {}", all.join(", "))));
    }
    let chosen = if named.is_empty() { all } else { named };
    Need::Cxx.ensure(workspace)?;
    let start = Instant::now();
    let result = fuzz(workspace, &chosen, minutes.saturating_mul(60), true);
    console.closing("fuzz", result.is_ok(), start.elapsed());
    result
}

fn parse(arguments: &[String]) -> Result<(u64, Vec<String>), Failure> {
    let mut minutes = 1;
    let mut named = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--minutes" {
            minutes = match arguments.next().map(|value| value.parse()) {
                Some(Ok(value)) => value,
                _ => return Err(Failure::new("--minutes wants a whole number")),
            };
        } else if argument.starts_with('-') {
            return Err(Failure::new(format!("there is no option {argument}; `cargo xtask help` lists them")));
        } else {
            named.push(argument.clone());
        }
    }
    Ok((minutes, named))
}

/// The names of all targets, in order.
pub(crate) fn targets(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let folder = workspace.fuzz().join("fuzz_targets");
    let entries = fs::read_dir(&folder).map_err(|error| Failure::because("reading fuzz/fuzz_targets", error))?;
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// Runs targets one by one for somebody who watches, else as many at a time as there are processors.
fn fuzz(workspace: &Workspace, targets: &[String], time: u64, watched: bool) -> Result<(), Failure> {
    let programs = build(workspace, targets)?;
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(failure) = one(workspace, &programs, target, time, watched) {
                next.store(targets.len(), Ordering::Relaxed);
                return Err(failure);
            }
        }
        Ok(())
    };
    let workers = if watched { 1 } else { thread::available_parallelism().map_or(1, usize::from) };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let died = |_| Err(Failure::new("a thread that ran fuzzers died"));
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(died))
    })
}

fn build(workspace: &Workspace, targets: &[String]) -> Result<PathBuf, Failure> {
    let host = Run::new("rustc").args(["--version", "--verbose"]).output()?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or_else(|| Failure::new("rustc names no host"))?.to_owned();
    // Naming the target keeps the flags away from build scripts and procedural macros.
    let mut run = workspace
        .cargo()
        .env("RUSTFLAGS", FLAGS)
        .args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target-dir", "fuzz/target"])
        .args(["--target", &host]);
    for target in targets {
        run = run.args(["--bin", target]);
    }
    run.run()?;
    Ok(workspace.fuzz().join("target").join(host).join("release"))
}

/// Replays what is known of a target, then looks further for `time` seconds. libFuzzer's own output is passed on when
/// somebody watches, else it is shown when it found something.
fn one(workspace: &Workspace, programs: &Path, target: &str, time: u64, watched: bool) -> Result<(), Failure> {
    let folder = |name: &str| workspace.fuzz().join(name).join(target);
    let (seeds, corpus, artifacts) = (folder("seeds"), folder("corpus"), folder("artifacts"));
    for directory in [&corpus, &artifacts] {
        fs::create_dir_all(directory).map_err(|error| Failure::because("making a folder for the fuzzer", error))?;
    }
    let count = |directory: &Path| fs::read_dir(directory).map_or(0, Iterator::count);
    let known = count(&seeds).saturating_add(count(&corpus));
    if count(&seeds) == 0 {
        return Err(Failure::new(format!("{} holds no seeds: `cargo xtask seeds` makes them", seeds.display())));
    }
    let start = |arguments: &[&str]| {
        let prefix = format!("-artifact_prefix={}/", workspace.relative(&artifacts).display());
        Run::new(workspace.relative(&programs.join(target)))
            .dir(&workspace.root)
            .args([&prefix, "-timeout=10", "-rss_limit_mb=2048"])
            .args(arguments)
            .arg(workspace.relative(&corpus))
            .arg(workspace.relative(&seeds))
    };
    let run = |run: Run| if watched { run.run().map(|()| String::new()) } else { run.said() };
    run(start(&["-runs=0"]))?;
    if time == 0 {
        println!("{target}: {known} inputs replayed");
        return Ok(());
    }
    let said = run(start(&[&format!("-max_total_time={time}"), "-print_final_stats=1"]))?;
    let runs = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    if let Some(runs) = runs {
        println!("{target}: {known} inputs replayed, then {} runs in {time} s", runs.trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        let read = |words: &[&str]| parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&["pad", "--minutes", "3"]).unwrap(), (3, vec!["pad".to_owned()]));
        assert_eq!(read(&[]).unwrap(), (1, vec![]));
        for wrong in [&["--minutes"][..], &["--minutes", "x"], &["--hours", "1"]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
