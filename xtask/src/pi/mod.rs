//! The relay and `smp` on small machines with Linux, such as a Raspberry Pi: built for them, tried in an emulator, and
//! measured on this computer with a small machine's memory.

mod group;
mod relay;
mod small;
mod smoke;
mod wear;

use std::fs;
use std::path::PathBuf;

use self::relay::Programs;
use crate::process::{Failure, Run};
use crate::route::{Route, Target};
use crate::workspace::Workspace;
use crate::{tools, tools::Need};

const PROGRAMS: [&str; 2] = ["smp-server", "smp"];

/// Where Debian keeps the C library that programs for 64-bit ARM are linked to.
const LIBRARIES: &str = "/usr/aarch64-linux-gnu";

/// `cargo xtask pi`.
pub(crate) fn chore(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    match arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        None => {
            println!("{}", Need::Aarch64.ensure(workspace)?);
            build(workspace, Build::Release)
        }
        Some(("smoke", [])) => {
            println!("{}\n{}", Need::Aarch64.ensure(workspace)?, Need::QemuUser.ensure(workspace)?);
            smoke(workspace, Build::Release)
        }
        Some(("small", rest)) => small::run(&native(workspace)?, &workspace.root, rest),
        Some(("wear", rest)) => wear::run(&native(workspace)?, rest),
        Some((other, _)) => {
            Err(Failure::new(format!("`cargo xtask pi` knows no {other:?}; `cargo xtask help` lists what there is")))
        }
    }
}

/// How well it is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Build {
    /// As an operator gets it.
    Release,
    /// As the tests of this computer are, in a part of the time: only ciphers and stores are optimised, and what helps to
    /// compile is there already.
    Tests,
}

impl Build {
    /// The name of the profile.
    fn profile(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Tests => "dev",
        }
    }

    /// The folder that cargo has for the profile.
    fn folder(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Tests => "debug",
        }
    }
}

/// A step of `test`.
pub(crate) fn step(workspace: &Workspace) -> Result<(), Failure> {
    smoke(workspace, Build::Tests)
}

/// Builds for 64-bit ARM, and lets the result run once in an emulator.
fn smoke(workspace: &Workspace, kind: Build) -> Result<(), Failure> {
    build(workspace, kind)?;
    // Tests of programs have them built.
    workspace.cargo_test().args(["--test", "cli", "--no-run", "--target-dir", "target"]).run()?;
    let here = Programs { folder: workspace.root.join("target/debug"), emulator: None, libraries: None };
    let emulated = Programs {
        folder: folder(workspace, kind),
        emulator: Some(tools::qemu_user()?),
        libraries: Some(LIBRARIES.into()),
    };
    smoke::run(&emulated, &here)
}

/// Builds the programs for 64-bit ARM, and says how large they are.
fn build(workspace: &Workspace, kind: Build) -> Result<(), Failure> {
    let route = Route::find(workspace, Target::Aarch64Linux)?;
    println!("{route}");
    let build =
        workspace.cargo().args(["build", "--profile", kind.profile(), "--locked", "--package", "smp-std", "--bins"]);
    route.of(build.arg("--target-dir").arg(workspace.root.join("target")), true).run()?;
    for program in PROGRAMS {
        let path = folder(workspace, kind).join(program);
        let size = fs::metadata(&path).map_err(|error| Failure::because(&path.display().to_string(), error))?.len();
        println!("{:<60} {size:>9} bytes", workspace.relative(&path).display());
    }
    Ok(())
}

/// The programs for this computer.
fn native(workspace: &Workspace) -> Result<Programs, Failure> {
    let target = workspace.root.join("target");
    let build = workspace.cargo().args(["build", "--release", "--locked", "--package", "smp-std", "--bins"]);
    Run::run(build.arg("--target-dir").arg(&target))?;
    Ok(Programs { folder: target.join("release"), emulator: None, libraries: None })
}

fn folder(workspace: &Workspace, kind: Build) -> PathBuf {
    workspace.root.join("target").join(Target::Aarch64Linux.triple()).join(kind.folder())
}
