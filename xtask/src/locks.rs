//! The fuzz package has a lock file of its own. It must name the same versions as the workspace's, or the fuzzers would
//! exercise other code than the one that ships.

use std::collections::BTreeSet;
use std::fs;

use crate::process::Failure;
use crate::workspace::Workspace;

/// Fails when the fuzz lock file is out of date or has another version of something the workspace uses.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let remedy = "run `cargo xtask locks` and commit fuzz/Cargo.lock";
    workspace
        .cargo()
        .args(["metadata", "--locked", "--format-version=1", "--manifest-path", "fuzz/Cargo.toml"])
        .output()
        .map_err(|failure| Failure::new(format!("{failure}\n{remedy}")))?;
    let (ours, fuzz) = (read(workspace, "Cargo.lock")?, read(workspace, "fuzz/Cargo.lock")?);
    let (ours, fuzz) = (packages(&ours), packages(&fuzz));
    let differing: Vec<String> = fuzz
        .iter()
        .filter(|package| !ours.contains(*package) && ours.iter().any(|(name, _)| *name == package.0))
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    if !differing.is_empty() {
        return Err(Failure::new(format!(
            "fuzz/Cargo.lock differs from Cargo.lock in {}: {remedy}",
            differing.join(", ")
        )));
    }
    println!("{} packages in Cargo.lock, {} in fuzz/Cargo.lock, none differs", ours.len(), fuzz.len());
    Ok(())
}

/// Starts the fuzz lock file over from the workspace's; cargo drops what it does not need and adds what is missing.
pub(crate) fn refresh(workspace: &Workspace) -> Result<(), Failure> {
    fs::copy(workspace.root.join("Cargo.lock"), workspace.fuzz().join("Cargo.lock"))
        .map_err(|error| Failure::because("copying Cargo.lock to fuzz/Cargo.lock", error))?;
    let arguments = ["metadata", "--format-version=1", "--manifest-path", "fuzz/Cargo.toml"];
    workspace.cargo().args(arguments).output()?;
    check(workspace)
}

fn read(workspace: &Workspace, file: &str) -> Result<String, Failure> {
    fs::read_to_string(workspace.root.join(file)).map_err(|error| Failure::because(&format!("reading {file}"), error))
}

/// Names and versions of the packages in a lock file.
fn packages(lock: &str) -> BTreeSet<(&str, &str)> {
    let mut found = BTreeSet::new();
    let mut name = None;
    for line in lock.lines() {
        if let Some(value) = value(line, "name") {
            name = Some(value);
        } else if let (Some(version), Some(name)) = (value(line, "version"), name.take()) {
            found.insert((name, version));
        }
    }
    found
}

/// The text behind `key = `, without its quotes.
fn value<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_files_are_read() {
        let lock = "version = 4\n\n[[package]]\nname = \"hex\"\nversion = \"0.4.3\"\nchecksum = \"00\"\n";
        assert_eq!(packages(lock), BTreeSet::from([("hex", "0.4.3")]));
    }
}
