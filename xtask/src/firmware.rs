//! The firmware: built for its boards, and run in an emulator against the project's own relay.

use std::path::{Path, PathBuf};

use crate::outside::{self, EMULATED, Kind};
use crate::process::{Failure, Run};
use crate::workspace::Workspace;

/// Builds all firmware, then runs the stories of the one that QEMU runs.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    for package in outside::all(workspace) {
        package.build(workspace)?.map_or(Ok(()), Run::run)?;
    }
    stories(workspace, &["--skip", "figures"], None).run()
}

/// The command that runs the stories of firmware, which must have been built, that `filter` lets through. What they
/// measure they write into the folder `figures`.
pub(crate) fn stories(workspace: &Workspace, filter: &[&str], figures: Option<&Path>) -> Run {
    let mut run = workspace.cargo_test().env("SMP_FIRMWARE", directory(workspace));
    run = run.env("SMP_HOST_TAP", outside::target_directory(workspace).join("debug/host-tap"));
    if let Some(figures) = figures {
        run = run.env("SMP_FIRMWARE_FIGURES", figures);
    }
    run = run.args(["--test", "firmware", "--", "--ignored"]);
    // The emulated boards mostly wait for somebody.
    run.args(["--test-threads=4"]).args(filter)
}

/// Where the executables of the emulated board are.
pub(crate) fn directory(workspace: &Workspace) -> PathBuf {
    let Kind::Firmware(target) = EMULATED.kind else { return PathBuf::new() };
    outside::target_directory(workspace).join(target.triple()).join("release")
}
