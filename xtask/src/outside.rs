//! The packages that are not members of the workspace, each with a lock file of its own: the fuzzers need other compiler
//! flags, firmware another target and profile, and what we are compared with other dependencies.

use std::path::PathBuf;

use crate::process::{Failure, Run};
use crate::release;
use crate::route::{Route, Target};
use crate::workspace::Workspace;

/// A package outside the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outside {
    /// Its folder, from the root.
    pub(crate) folder: &'static str,
    /// What it runs on.
    pub(crate) kind: Kind,
}

/// What a package outside the workspace runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This computer, built by [`crate::fuzz`] only.
    Fuzzers,
    /// This computer.
    Host,
    /// A microcontroller.
    Firmware(Target),
}

const ALL: [Outside; 5] = [
    Outside { folder: "fuzz", kind: Kind::Fuzzers },
    EMULATED,
    Outside { folder: "examples/stm32h563", kind: Kind::Firmware(Target::CortexM33) },
    Outside { folder: "examples/host-tap", kind: Kind::Host },
    Outside { folder: "examples/compare-ratchets", kind: Kind::Host },
];

/// The firmware that QEMU runs.
pub(crate) const EMULATED: Outside =
    Outside { folder: "examples/qemu-mps2-an386", kind: Kind::Firmware(Target::CortexM4) };

/// All that there are.
pub(crate) fn all(workspace: &Workspace) -> impl Iterator<Item = Outside> {
    ALL.into_iter().filter(|package| workspace.root.join(package.folder).join("Cargo.toml").exists())
}

impl Outside {
    /// The path of one of its files from the root.
    pub(crate) fn file(self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// What its manifest calls it, but for the fuzzers.
    pub(crate) fn name(self) -> &'static str {
        self.folder.rsplit('/').next().unwrap_or(self.folder)
    }

    /// A cargo command in its folder, so that its own configuration counts.
    pub(crate) fn cargo(self, workspace: &Workspace) -> Run {
        Run::cargo().inside(&workspace.root, self.folder)
    }

    fn check_format(self, workspace: &Workspace) -> Result<(), Failure> {
        workspace.cargo().args(["fmt", "--check", "--manifest-path", &self.file("Cargo.toml")]).run()
    }

    /// Lints, warnings denied. Clippy reads only libraries made by its own compiler: firmware for a target whose library
    /// is not installed is left out, and so is the compiler's word on it.
    fn check_lints(self, workspace: &Workspace) -> Result<(), Failure> {
        let clippy =
            self.cargo(workspace).args(["clippy", "--locked", "--target-dir"]).arg(target_directory(workspace));
        let denied = ["--", "-D", "warnings"];
        match self.kind {
            Kind::Fuzzers => Ok(()),
            Kind::Host => clippy.arg("--all-targets").args(denied).run(),
            Kind::Firmware(target) if target.is_installed() => {
                clippy.args(["--release", "--target", target.triple()]).args(denied).run()
            }
            Kind::Firmware(target) => {
                println!("{}: no lints, as rustup has not installed {}", self.folder, target.triple());
                Ok(())
            }
        }
    }

    /// The command that builds it, if it has one. Firmware is always a release: it is small and quick enough only then.
    pub(crate) fn build(self, workspace: &Workspace) -> Result<Option<Run>, Failure> {
        let build = self.cargo(workspace).args(["build", "--locked", "--target-dir"]).arg(target_directory(workspace));
        Ok(match self.kind {
            Kind::Fuzzers => None,
            Kind::Host => Some(build),
            Kind::Firmware(target) => {
                let build = build.arg("--release").arg("--config").arg(short_paths(workspace, target));
                Some(Route::find(workspace, target)?.of(build, false))
            }
        })
    }
}

/// Panics name source files, and their names are in flash: without the folders of this computer they take as much, and the
/// same, on every one.
fn short_paths(workspace: &Workspace, target: Target) -> String {
    let all = release::cargo_home().map(|home| release::sources(&home)).unwrap_or_default();
    let all = all.into_iter().chain([workspace.root.clone()]);
    let flags: Vec<String> = all.map(|folder| format!("'--remap-path-prefix={}/='", folder.display())).collect();
    // Joins the flags that the package's own configuration has for the target.
    let name = format!("target.'{}'.rustflags", target.triple());
    format!("{name}=[{}]", flags.join(", "))
}

/// One folder for all of them, so that what they share is built once.
pub(crate) fn target_directory(workspace: &Workspace) -> PathBuf {
    workspace.root.join("target/firmware")
}

/// Whether all are formatted.
pub(crate) fn format(workspace: &Workspace) -> Result<(), Failure> {
    all(workspace).try_for_each(|package| package.check_format(workspace))
}

/// Clippy on all.
pub(crate) fn clippy(workspace: &Workspace) -> Result<(), Failure> {
    all(workspace).try_for_each(|package| package.check_lints(workspace))
}
