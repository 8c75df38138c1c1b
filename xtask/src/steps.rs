//! The steps of `cargo xtask test`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::console::{Console, Line, Outcome};
use crate::process::Failure;
use crate::route::Target;
use crate::tools::Need;
use crate::workspace::Workspace;
use crate::{api, bare, features, firmware, fuzz, locks, outside, pi, programs, size, supply, tools};

struct Step {
    name: &'static str,
    about: &'static str,
    /// Left out by `--quick`.
    slow: bool,
    needs: &'static [Need],
    run: fn(&Workspace) -> Result<(), Failure>,
}

const STEPS: [Step; 15] = [
    Step { name: "fmt", about: "formatting", slow: false, needs: &[Need::Rustfmt], run: format },
    Step { name: "locks", about: "all lock files agree", slow: false, needs: &[], run: locks::check },
    Step {
        name: "supply",
        about: "licences, versions and sources of dependencies, their compiler, where unsafe is",
        slow: false,
        needs: &[],
        run: supply::check,
    },
    Step { name: "clippy", about: "lints, warnings denied", slow: false, needs: &[Need::Clippy, Need::C], run: clippy },
    Step {
        name: "test",
        about: "unit tests, vectors and stories",
        slow: false,
        needs: &[Need::C, Need::OpenSsl, Need::Networks],
        run: tests,
    },
    Step { name: "doctest", about: "examples in the documentation", slow: false, needs: &[Need::C], run: doctests },
    Step { name: "doc", about: "documentation, warnings denied", slow: true, needs: &[Need::C], run: doc },
    Step {
        name: "web",
        about: "the relay's web pages in a browser",
        slow: true,
        needs: &[Need::C, Need::Chromium],
        run: web,
    },
    Step {
        name: "features",
        about: "each feature alone, none, and all",
        slow: true,
        needs: &[Need::Clippy, Need::C],
        run: features::check,
    },
    Step {
        name: "api",
        about: "the public interface of each library crate",
        slow: true,
        needs: &[Need::C],
        run: api::check,
    },
    Step {
        name: "bare",
        about: "no_std crates on a microcontroller",
        slow: true,
        needs: &[Need::BareMetal(bare::TARGET)],
        run: bare::build,
    },
    Step {
        name: "firmware",
        about: "firmware for its boards, and in an emulator",
        slow: true,
        needs: &[
            Need::C,
            Need::BareMetal(Target::CortexM4),
            Need::BareMetal(Target::CortexM33),
            Need::Qemu,
            Need::Networks,
        ],
        run: firmware::run,
    },
    Step {
        name: "size",
        about: "what firmware costs, against its limits",
        slow: true,
        needs: &[Need::C, Need::BareMetal(bare::TARGET), Need::Qemu],
        run: size::check,
    },
    Step {
        name: "pi",
        about: "the relay for 64-bit ARM, through a power cut in an emulator",
        slow: true,
        needs: &[Need::C, Need::Aarch64, Need::QemuUser],
        run: pi::step,
    },
    Step {
        name: "fuzz",
        about: "replay of the seeds, then a few seconds each",
        slow: true,
        needs: &[Need::C, Need::Cxx],
        run: fuzz::short,
    },
];

fn format(workspace: &Workspace) -> Result<(), Failure> {
    workspace.cargo().args(["fmt", "--all", "--check"]).run()?;
    outside::format(workspace)
}

fn clippy(workspace: &Workspace) -> Result<(), Failure> {
    workspace.cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).run()?;
    outside::clippy(workspace)
}

fn tests(workspace: &Workspace) -> Result<(), Failure> {
    // Firmware has another arithmetic under its keys, which has to give the same results.
    let firmware = ["--features", "smp-crypto/small-curve,smp-tls/small-curve"];
    let packages = ["--package", "smp-crypto", "--package", "smp-tls"];
    let small = workspace.cargo().arg("test").args(packages).args(firmware).args(["--lib", "--tests"]);
    programs::run(workspace, vec![small])
}

fn doctests(workspace: &Workspace) -> Result<(), Failure> {
    workspace.cargo_test().arg("--doc").run()
}

fn doc(workspace: &Workspace) -> Result<(), Failure> {
    workspace.cargo().env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps"]).run()
}

/// Chromium is large and not everywhere: without it the step says so and passes.
fn web(workspace: &Workspace) -> Result<(), Failure> {
    if !tools::chromium_found() {
        println!("SKIPPED: there is no Chromium on this machine, so nobody has looked at the web pages");
        return Ok(());
    }
    workspace.cargo_test().args(["--test", "web", "--", "--ignored", "--nocapture"]).run()
}

/// The steps as `help` shows them.
pub(crate) fn list() -> String {
    let line = |step: &Step| format!("  {:<10}{} {}\n", step.name, if step.slow { '*' } else { ' ' }, step.about);
    STEPS.iter().map(line).collect()
}

/// Runs the steps that the arguments choose.
pub(crate) fn test(workspace: &Workspace, console: &Console, arguments: &[String]) -> Result<(), Failure> {
    let chosen = choose(arguments)?;
    let start = Instant::now();
    let mut lines: Vec<Line> = Vec::new();
    let mut result = prepare(workspace, console, &chosen);
    if result.is_ok() {
        for (index, step) in chosen.iter().enumerate() {
            console.heading(index.saturating_add(1), chosen.len(), step.name, step.about);
            let start = Instant::now();
            result = (step.run)(workspace);
            let (passed, time) = (result.is_ok(), start.elapsed());
            console.closing(step.name, passed, time);
            let outcome = if passed { Outcome::Passed } else { Outcome::Failed };
            lines.push(Line { name: step.name, outcome, time });
            if !passed {
                break;
            }
        }
    }
    let run: Vec<&str> = lines.iter().map(|line| line.name).collect();
    let left_out = STEPS.iter().filter(|step| !run.contains(&step.name));
    lines.extend(left_out.map(|step| Line { name: step.name, outcome: Outcome::NotRun, time: Duration::ZERO }));
    console.summary(&lines, start.elapsed());
    result
}

/// Sees to the tools of all chosen steps before the first one runs.
fn prepare(workspace: &Workspace, console: &Console, chosen: &[&Step]) -> Result<(), Failure> {
    console.heading(0, chosen.len(), "tools", "what the steps need");
    let needs: BTreeSet<Need> = chosen.iter().flat_map(|step| step.needs).copied().collect();
    let mut missing = Vec::new();
    for need in needs {
        match need.ensure(workspace) {
            Ok(found) => println!("{found}"),
            Err(failure) => missing.push(failure.to_string()),
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(Failure::new(missing.join("\n"))) }
}

fn choose(arguments: &[String]) -> Result<Vec<&'static Step>, Failure> {
    let mut quick = false;
    let mut names = Vec::new();
    for argument in arguments {
        if argument == "--quick" {
            quick = true;
        } else if STEPS.iter().any(|step| step.name == argument) {
            names.push(argument.as_str());
        } else {
            return Err(Failure::new(format!("there is no step {argument:?}. The steps are:\n{}", list())));
        }
    }
    let wanted = |step: &&Step| (names.is_empty() || names.contains(&step.name)) && !(quick && step.slow);
    Ok(STEPS.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &[&str]) -> Vec<&'static str> {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        choose(&arguments).unwrap().iter().map(|step| step.name).collect()
    }

    #[test]
    fn steps_run_in_their_own_order() {
        assert_eq!(names(&[]).len(), STEPS.len());
        assert_eq!(names(&["clippy", "fmt"]), ["fmt", "clippy"]);
    }

    #[test]
    fn quick_leaves_out_the_slow_ones() {
        assert_eq!(names(&["--quick"]), ["fmt", "locks", "supply", "clippy", "test", "doctest"]);
    }

    #[test]
    fn unknown_steps_are_refused_by_name() {
        assert!(choose(&["tset".to_owned()]).is_err_and(|failure| failure.to_string().contains("\"tset\"")));
    }
}
