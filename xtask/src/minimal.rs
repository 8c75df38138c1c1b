//! Whether the requirements of our manifests are true: everything is compiled with the oldest versions that they allow.

use std::fs;

use crate::process::{Failure, Run};
use crate::workspace::Workspace;

/// `cargo xtask minimal`: the last commit, with the oldest direct dependencies and all that these need at its newest, and
/// with its tests. What dependencies ask for themselves is not always true, so that theirs are not the oldest.
pub(crate) fn chore(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    if !arguments.is_empty() {
        return Err(Failure::new("`cargo xtask minimal` takes no arguments"));
    }
    let folder = workspace.root.join("target/minimal");
    let source = folder.join("source");
    let failed = |error| Failure::because(&folder.display().to_string(), error);
    if source.exists() {
        fs::remove_dir_all(&source).map_err(failed)?;
    }
    fs::create_dir_all(&folder).map_err(failed)?;
    Run::new("git").args(["clone", "--quiet"]).arg(&workspace.root).arg(&source).run()?;
    fs::remove_file(source.join("Cargo.lock")).map_err(failed)?;
    // Only cargo's resolver has to know the switch. What is compiled afterwards is compiled as usual.
    let resolve = Run::cargo().dir(&source).env("RUSTC_BOOTSTRAP", "1");
    resolve.args(["-Zdirect-minimal-versions", "generate-lockfile"]).run()?;
    let check = Run::cargo().dir(&source).env("CARGO_INCREMENTAL", "0").args(["check", "--workspace", "--all-targets"]);
    check.args(["--locked", "--target-dir"]).arg(folder.join("built")).run()?;
    println!("everything compiles with the oldest versions that the manifests allow");
    Ok(())
}
