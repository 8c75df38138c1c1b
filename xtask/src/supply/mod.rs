//! What the project is made of: the licences, versions and sources of all dependencies, and where `unsafe` is.
//!
//! [`check`] judges every lock file of the tree by `deny.toml`, and does so itself, so that it says the same on every
//! machine. Where cargo-deny is installed it has to agree.

mod audit;
mod policy;
mod unsafe_code;

use std::path::PathBuf;

use serde_json::Value;

use crate::outside;
use crate::process::{Failure, Run};
use crate::workspace::Workspace;
use audit::{Audit, Dependency};
use policy::Policy;

const POLICY: &str = "deny.toml";

/// The step of `cargo xtask test`.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let policy = Policy::parse(&read(workspace, POLICY)?)?;
    let mut audit = Audit::new(&policy);
    let mut ours = Vec::new();
    for manifest in manifests(workspace) {
        let packages = metadata(workspace, &manifest)?;
        let folder = manifest.trim_end_matches("Cargo.toml");
        let dependencies = packages.iter().map(Dependency::read).collect::<Result<Vec<_>, _>>()?;
        println!("{folder}Cargo.lock: {} packages", dependencies.len());
        audit.lock_file(&format!("{folder}Cargo.lock"), &dependencies);
        ours.extend(packages.into_iter().filter(|package| package["source"].is_null()));
    }
    audit.verdict()?;
    unsafe_code::check(workspace, &ours)?;
    confirm(workspace)
}

/// The manifests of everything in the tree that has a lock file, from the root.
fn manifests(workspace: &Workspace) -> impl Iterator<Item = String> {
    std::iter::once("Cargo.toml".to_owned()).chain(outside::all(workspace).map(|package| package.file("Cargo.toml")))
}

fn read(workspace: &Workspace, file: &str) -> Result<String, Failure> {
    std::fs::read_to_string(workspace.root.join(file))
        .map_err(|error| Failure::because(&format!("reading {file}"), error))
}

/// What cargo says of every package in a lock file, whatever the platform and the features.
fn metadata(workspace: &Workspace, manifest: &str) -> Result<Vec<Value>, Failure> {
    let run = workspace.cargo().args(["metadata", "--format-version=1", "--locked", "--all-features"]);
    let said = run.args(["--manifest-path", manifest]).output()?;
    let mut said: Value =
        serde_json::from_str(&said).map_err(|error| Failure::because("reading `cargo metadata`", error))?;
    match said["packages"].take() {
        Value::Array(packages) if !packages.is_empty() => Ok(packages),
        _ => Err(Failure::new(format!("cargo knows no packages of {manifest}"))),
    }
}

/// Lets cargo-deny judge the same, where it is installed.
fn confirm(workspace: &Workspace) -> Result<(), Failure> {
    let program = PathBuf::from("cargo-deny");
    if !Run::new(&program).arg("--version").succeeds() {
        println!("cargo-deny is not installed: nobody else has looked");
        return Ok(());
    }
    let policy = workspace.root.join(POLICY);
    manifests(workspace).try_for_each(|manifest| {
        let run = Run::new(&program).args(["--locked", "--log-level", "error", "--config"]).arg(&policy);
        let run = run.arg("--manifest-path").arg(workspace.root.join(manifest)).arg("check");
        run.args(["licenses", "bans", "sources"]).run()
    })
}
