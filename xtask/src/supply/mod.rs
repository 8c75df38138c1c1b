//! What the project is made of: the licences, versions and sources of all dependencies, the compiler they need, and where
//! `unsafe` is.
//!
//! [`check`] judges every lock file of the tree by `deny.toml`, and does so itself, so that it says the same on every
//! machine. Where cargo-deny is installed it has to agree.

mod audit;
mod policy;
pub(crate) mod rust_version;
mod unsafe_code;

use serde_json::Value;

use crate::outside;
use crate::process::{Failure, Run};
use crate::workspace::Workspace;
use audit::{Audit, Dependency};
use policy::Policy;

const POLICY: &str = "deny.toml";
const DENY: &str = "cargo-deny";

/// The step of `cargo xtask test`.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let policy = Policy::parse(&read(workspace, POLICY)?)?;
    let mut audit = Audit::new(&policy);
    let mut all = Vec::new();
    for manifest in manifests(workspace) {
        let packages = metadata(workspace, &manifest)?;
        let folder = manifest.trim_end_matches("Cargo.toml");
        let dependencies = packages.iter().map(Dependency::read).collect::<Result<Vec<_>, _>>()?;
        println!("{folder}Cargo.lock: {} packages", dependencies.len());
        audit.lock_file(&format!("{folder}Cargo.lock"), &dependencies);
        all.extend(packages);
    }
    audit.verdict()?;
    rust_version::check(workspace, &all)?;
    all.retain(|package| package["source"].is_null());
    unsafe_code::check(workspace, &all)?;
    confirm(workspace)
}

/// The manifests of everything in the tree that has a lock file, from the root.
fn manifests(workspace: &Workspace) -> impl Iterator<Item = String> {
    std::iter::once("Cargo.toml".to_owned()).chain(outside::all(workspace).map(|package| package.file("Cargo.toml")))
}

/// A file, by its path from the root.
pub(crate) fn read(workspace: &Workspace, file: &str) -> Result<String, Failure> {
    std::fs::read_to_string(workspace.root.join(file))
        .map_err(|error| Failure::because(&format!("reading {file}"), error))
}

/// What cargo says of every package in a lock file, whatever the platform and the features.
pub(crate) fn metadata(workspace: &Workspace, manifest: &str) -> Result<Vec<Value>, Failure> {
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
    if !installed() {
        println!("cargo-deny is not installed: nobody else has looked");
        return Ok(());
    }
    deny(workspace, &[], &["licenses", "bans", "sources"])
}

/// `cargo xtask advisories`: whether something that a lock file holds has a known hole, is given up or was withdrawn. That
/// changes while the tree does not, so that it is no step of `cargo xtask test`.
pub(crate) fn advisories(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    let offline = match arguments {
        [] => &[][..],
        [one] if one == "--offline" => &["--offline"][..],
        _ => return Err(Failure::new("`cargo xtask advisories` knows --offline only")),
    };
    // The policy is read first: cargo-deny alone would take a rule that `test supply` refuses.
    Policy::parse(&read(workspace, POLICY)?)?;
    if !installed() {
        return Err(Failure::new("this needs cargo-deny 0.20 or later: `cargo install --locked cargo-deny`"));
    }
    deny(workspace, offline, &["advisories"])
}

fn installed() -> bool {
    Run::new(DENY).arg("--version").succeeds()
}

/// Runs checks of cargo-deny on every lock file.
fn deny(workspace: &Workspace, options: &[&str], checks: &[&str]) -> Result<(), Failure> {
    let policy = workspace.root.join(POLICY);
    manifests(workspace).try_for_each(|manifest| {
        let run = Run::new(DENY).args(["--locked", "--log-level", "error"]).args(options).arg("--config").arg(&policy);
        run.arg("--manifest-path").arg(workspace.root.join(manifest)).arg("check").args(checks).run()
    })
}
