//! Packages outside the workspace have lock files of their own. They must name the same versions as the workspace's, or the
//! fuzzers would exercise, and firmware would ship, other code than what is tested. Each may have crates of its own.

use std::collections::BTreeSet;
use std::fs;

use crate::outside::{self, Outside};
use crate::process::Failure;
use crate::workspace::Workspace;

/// Fails when a lock file is out of date or has another version of something the workspace uses.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let ours = read(workspace, "Cargo.lock")?;
    let ours = packages(&ours);
    println!("Cargo.lock: {} packages", ours.len());
    for package in outside::all(workspace) {
        let file = package.file("Cargo.lock");
        let remedy = format!("run `cargo xtask locks` and commit {file}");
        metadata(workspace, package, &["--locked"]).map_err(|failure| Failure::new(format!("{failure}\n{remedy}")))?;
        let theirs = read(workspace, &file)?;
        let theirs = packages(&theirs);
        let differing: Vec<String> = theirs
            .iter()
            .filter(|theirs| !ours.contains(*theirs) && ours.iter().any(|ours| interchangeable(ours, theirs)))
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        if !differing.is_empty() {
            return Err(Failure::new(format!("{file} differs from Cargo.lock in {}: {remedy}", differing.join(", "))));
        }
        println!("{file}: {} packages, {} of them there too", theirs.len(), theirs.intersection(&ours).count());
    }
    Ok(())
}

/// Starts every lock file over from the workspace's, together with what only the other has; cargo drops what is not
/// needed and adds what is missing.
pub(crate) fn refresh(workspace: &Workspace) -> Result<(), Failure> {
    let ours = read(workspace, "Cargo.lock")?;
    for package in outside::all(workspace) {
        let file = package.file("Cargo.lock");
        let theirs = read(workspace, &file).unwrap_or_default();
        fs::write(workspace.root.join(&file), merged(&ours, &theirs))
            .map_err(|error| Failure::because(&format!("writing {file}"), error))?;
        metadata(workspace, package, &[])?;
    }
    check(workspace)
}

/// Lets cargo look at a package and its lock file.
fn metadata(workspace: &Workspace, package: Outside, options: &[&str]) -> Result<(), Failure> {
    let manifest = package.file("Cargo.toml");
    let run = workspace.cargo().args(["metadata", "--format-version=1", "--manifest-path", &manifest]).args(options);
    run.output().map(drop)
}

fn read(workspace: &Workspace, file: &str) -> Result<String, Failure> {
    fs::read_to_string(workspace.root.join(file)).map_err(|error| Failure::because(&format!("reading {file}"), error))
}

/// A lock file followed by what of another it lacks.
fn merged(ours: &str, theirs: &str) -> String {
    let known = packages(ours);
    let mut all = ours.to_owned();
    for entry in theirs.split("\n[[package]]\n").skip(1) {
        let lacking = packages(entry).iter().all(|theirs| !known.iter().any(|ours| interchangeable(ours, theirs)));
        if lacking {
            all.push_str("\n[[package]]\n");
            all.push_str(entry);
        }
    }
    all
}

/// Whether cargo takes one for the other: same name, and versions that promise to be compatible.
fn interchangeable(one: &(&str, &str), other: &(&str, &str)) -> bool {
    // Up to the first number that is not 0.
    let promise = |version: &str| {
        let release = version.split(['-', '+']).next().unwrap_or_default();
        let numbers: Vec<u64> = release.split('.').map(|number| number.parse().unwrap_or_default()).collect();
        let significant = numbers.iter().position(|number| *number != 0).unwrap_or(numbers.len());
        numbers.into_iter().take(significant.saturating_add(1)).collect::<Vec<_>>()
    };
    one.0 == other.0 && promise(one.1) == promise(other.1)
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

    #[test]
    fn only_compatible_versions_have_to_agree() {
        let agree = |one, other| interchangeable(&("p", one), &("p", other));
        assert!(agree("1.2.3", "1.9.0") && agree("0.4.1", "0.4.2") && agree("0.14.0-pre.1", "0.14.0"));
        assert!(!agree("1.2.3", "2.0.0") && !agree("0.4.1", "0.5.0") && !agree("0.0.1", "0.0.2"));
        assert!(!interchangeable(&("p", "1.0.0"), &("q", "1.0.0")));
    }

    #[test]
    fn a_lock_file_keeps_what_only_it_has() {
        let lock = |packages: &[(&str, &str)]| {
            let entry = |(name, version)| format!("\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
            format!("version = 4\n{}", packages.iter().copied().map(entry).collect::<String>())
        };
        let all =
            merged(&lock(&[("a", "1.2.0"), ("b", "0.1.0")]), &lock(&[("a", "1.1.0"), ("b", "0.2.0"), ("c", "3.0.0")]));
        assert_eq!(all, lock(&[("a", "1.2.0"), ("b", "0.1.0"), ("b", "0.2.0"), ("c", "3.0.0")]));
    }
}
