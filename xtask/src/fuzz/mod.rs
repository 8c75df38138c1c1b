//! Fuzzing with the stable compiler and nothing but libFuzzer: no nightly, no other program.
//!
//! `build.rs` says how. `cargo fuzz run TARGET` works as well in the same folder.

mod build;
mod keep;
mod options;
mod report;

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::console::Console;
use crate::process::{Failure, Run};
use crate::tools::Need;
use crate::workspace::Workspace;

use self::build::build;
pub(crate) use self::build::compile;
use self::options::Options;
use self::report::{Figures, table};

/// How long a step of `test` runs each target.
const SECONDS: u64 = 2;

/// Inputs kept of one target in the tree, at most, and their length.
const KEPT: usize = 32;
const KEPT_LENGTH: u64 = 1_024;

/// A step of `test`: replays what is in the tree, then looks further for a few seconds.
pub(crate) fn short(workspace: &Workspace) -> Result<(), Failure> {
    let wanted = std::env::var("FUZZ_SECONDS").ok();
    let seconds = match wanted.as_deref().map(str::parse) {
        None => SECONDS,
        Some(Ok(seconds)) => seconds,
        Some(Err(error)) => return Err(Failure::because("FUZZ_SECONDS", error)),
    };
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let options = Options { profile: "short", seconds, jobs, keep: false, targets: targets(workspace)? };
    fuzz(workspace, &options, false).map(drop)
}

/// `cargo xtask fuzz [--minutes N] [--jobs N] [--keep] [TARGET...]`
pub(crate) fn chore(workspace: &Workspace, console: &Console, arguments: &[String]) -> Result<(), Failure> {
    let all = targets(workspace)?;
    let mut options = Options::parse(arguments)?;
    if let Some(unknown) = options.targets.iter().find(|name| !all.contains(name)) {
        return Err(Failure::new(format!("there is no fuzz target {unknown:?}; there are: {}", all.join(", "))));
    }
    if options.targets.is_empty() {
        options.targets = all;
    }
    Need::Cxx.ensure(workspace)?;
    let start = Instant::now();
    let result = fuzz(workspace, &options, options.jobs == 1);
    if let Ok(figures) = &result {
        println!("\n{}", table(figures));
    }
    console.closing("fuzz", result.is_ok(), start.elapsed());
    result.map(drop)
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

/// Runs targets, as many at a time as wanted, and gives their figures in the order of their names.
fn fuzz(workspace: &Workspace, options: &Options, watched: bool) -> Result<Vec<Figures>, Failure> {
    let programs = build(workspace, options.profile, &options.targets)?;
    let figures = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(target) = options.targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            let fuzzer = Fuzzer::new(workspace, &programs, target, watched);
            let result = fuzzer
                .run(options.seconds)
                .and_then(|figures| if options.keep { fuzzer.keep().map(|()| figures) } else { Ok(figures) });
            match result {
                Ok(found) => figures.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(found),
                Err(failure) => {
                    next.store(options.targets.len(), Ordering::Relaxed);
                    return Err(failure);
                }
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..options.jobs).map(|_| scope.spawn(work)).collect();
        let died = |_| Err(Failure::new("a thread that ran fuzzers died"));
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(died))
    })?;
    let mut figures = figures.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    figures.sort_by(|a: &Figures, b| a.target.cmp(&b.target));
    Ok(figures)
}

/// One target with its folders.
struct Fuzzer<'a> {
    workspace: &'a Workspace,
    program: PathBuf,
    target: &'a str,
    /// Made from the test vectors.
    seeds: PathBuf,
    /// Found by earlier runs, and kept in the tree.
    found: PathBuf,
    corpus: PathBuf,
    artifacts: PathBuf,
    dictionary: PathBuf,
    watched: bool,
}

impl<'a> Fuzzer<'a> {
    fn new(workspace: &'a Workspace, programs: &Path, target: &'a str, watched: bool) -> Self {
        let folder = |name: &str| workspace.fuzz().join(name).join(target);
        Self {
            workspace,
            program: programs.join(target),
            target,
            seeds: folder("seeds"),
            found: folder("found"),
            corpus: folder("corpus"),
            artifacts: folder("artifacts"),
            dictionary: workspace.fuzz().join("dictionaries").join(format!("{target}.dict")),
            watched,
        }
    }

    /// The fuzzer with these arguments and folders; those that are not there are left out.
    fn start(&self, arguments: &[&str], folders: &[&Path]) -> Run {
        let relative = |path| self.workspace.relative(path);
        let mut run = Run::new(relative(&self.program))
            .dir(&self.workspace.root)
            .arg(format!("-artifact_prefix={}/", relative(&self.artifacts).display()))
            .args(["-timeout=10", "-rss_limit_mb=2048"])
            .args(arguments);
        if self.dictionary.exists() {
            run = run.arg(format!("-dict={}", relative(&self.dictionary).display()));
        }
        run.args(folders.iter().filter(|folder| folder.exists()).map(|folder| relative(folder)))
    }

    /// Replays what is known, then looks further for so many seconds. libFuzzer's own output is passed on when somebody
    /// watches, else it is shown when it found something.
    fn run(&self, seconds: u64) -> Result<Figures, Failure> {
        for directory in [&self.corpus, &self.artifacts] {
            fs::create_dir_all(directory).map_err(|error| Failure::because("making a folder for the fuzzer", error))?;
        }
        let count = |directory: &Path| fs::read_dir(directory).map_or(0, Iterator::count);
        if count(&self.seeds) == 0 {
            return Err(Failure::new(format!(
                "{} holds no seeds: `cargo xtask seeds` makes them",
                self.seeds.display()
            )));
        }
        let folders: [&Path; 3] = [&self.corpus, &self.seeds, &self.found];
        let known = folders.iter().map(|folder| count(folder)).sum();
        let time = format!("-max_total_time={seconds}");
        let arguments = match seconds {
            0 => ["-runs=0", "-print_final_stats=1"],
            _ => [time.as_str(), "-print_final_stats=1"],
        };
        // The inputs that are known are replayed first, whatever the time.
        let run = self.start(&arguments, &folders);
        let said = if self.watched { run.followed()? } else { run.said()? };
        let figures = Figures::read(self.target, known, seconds, &said);
        println!("{}", figures.line());
        Ok(figures)
    }

    /// Keeps in the tree what reaches more than the seeds do: a few short inputs, those that reach the most.
    fn keep(&self) -> Result<(), Failure> {
        let failed = |error| Failure::because("keeping what was found", error);
        let merged = self.artifacts.join("merged");
        let control = self.artifacts.join("merged.control");
        let _ = fs::remove_dir_all(&merged);
        let _ = fs::remove_file(&control);
        fs::create_dir_all(&merged).map_err(failed)?;
        let told = format!("-merge_control_file={}", self.workspace.relative(&control).display());
        let length = format!("-max_len={KEPT_LENGTH}");
        let folders: [&Path; 4] = [&merged, &self.seeds, &self.found, &self.corpus];
        self.start(&["-set_cover_merge=1", &told, &length], &folders).said()?;
        let inputs = keep::read(BufReader::new(File::open(&control).map_err(failed)?), &self.workspace.root)?;
        let best = keep::best(inputs, &self.seeds, KEPT, KEPT_LENGTH).map_err(failed)?;
        let best: Vec<Vec<u8>> = best.iter().map(fs::read).collect::<std::io::Result<_>>().map_err(failed)?;
        fs::remove_dir_all(&merged).map_err(failed)?;
        fs::remove_file(&control).map_err(failed)?;
        let _ = fs::remove_dir_all(&self.found);
        fs::create_dir_all(&self.found).map_err(failed)?;
        for input in &best {
            let path = self.found.join(format!("{:016x}", crate::seeds::hash(input)));
            fs::write(path, input).map_err(failed)?;
        }
        println!("{}: {} inputs kept", self.target, best.len());
        Ok(())
    }
}
