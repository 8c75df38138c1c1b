//! What `cargo metadata` says of the workspace.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::{Failure, Run};

/// One crate of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Names of its features, without `default`.
    pub(crate) features: Vec<String>,
    /// Features listed in `package.metadata.xtask.alone`: they exclude another one and are only tried alone.
    pub(crate) alone: Vec<String>,
    /// Its library declares `no_std`.
    pub(crate) no_std: bool,
    /// Its library names the `alloc` crate.
    pub(crate) alloc: bool,
    /// It has a library for others to use.
    pub(crate) published_library: bool,
    /// The names of its test programs, those in its folder `tests`.
    pub(crate) tests: Vec<String>,
}

/// The repository this program was started in.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// The oldest compiler the crates promise to build with.
    pub(crate) rust_version: String,
    pub(crate) packages: Vec<Package>,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self, Failure> {
        let metadata = Run::cargo().args(["metadata", "--format-version=1", "--no-deps"]).output()?;
        let metadata: Value =
            serde_json::from_str(&metadata).map_err(|error| Failure::because("reading `cargo metadata`", error))?;
        let root = metadata["workspace_root"].as_str().ok_or_else(|| Failure::new("cargo names no workspace root"))?;
        let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Self {
            root: root.into(),
            rust_version: packages.iter().filter_map(|p| p["rust_version"].as_str()).max().unwrap_or("1.0").to_owned(),
            packages: packages.iter().filter_map(package).collect(),
        })
    }

    /// A cargo command in the root.
    pub(crate) fn cargo(&self) -> Run {
        Run::cargo().dir(&self.root)
    }

    /// A cargo command that tests what it is told next. With the features that all packages together ask for, as
    /// everywhere: those of one package alone would have most dependencies compiled once more.
    pub(crate) fn cargo_test(&self) -> Run {
        self.cargo().args(["test", "--workspace"])
    }

    pub(crate) fn fuzz(&self) -> PathBuf {
        self.root.join("fuzz")
    }

    /// A path as seen from the root.
    pub(crate) fn relative<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

fn package(value: &Value) -> Option<Package> {
    let targets = value["targets"].as_array()?;
    let is = |target: &Value, wanted: &str| {
        target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == wanted))
    };
    let library = targets.iter().find(|target| is(target, "lib") || is(target, "rlib"));
    let tests = targets.iter().filter(|target| is(target, "test"));
    let source = library.and_then(|target| fs::read_to_string(target["src_path"].as_str()?).ok()).unwrap_or_default();
    Some(Package {
        name: value["name"].as_str()?.to_owned(),
        features: value["features"].as_object()?.keys().filter(|name| *name != "default").cloned().collect(),
        alone: value["metadata"]["xtask"]["alone"]
            .as_array()
            .map(|names| names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
            .unwrap_or_default(),
        no_std: declares_no_std(&source),
        alloc: source.lines().any(|line| line.trim_start().starts_with("extern crate alloc")),
        published_library: library.is_some() && value["publish"].is_null(),
        tests: tests.filter_map(|target| target["name"].as_str().map(str::to_owned)).collect(),
    })
}

fn declares_no_std(source: &str) -> bool {
    source.lines().any(|line| {
        let line = line.trim_end();
        line == "#![no_std]" || (line.starts_with("#![cfg_attr(") && line.ends_with("no_std)]"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_std_is_seen() {
        assert!(declares_no_std("//! Doc.\n#![no_std]\n"));
        assert!(declares_no_std("#![cfg_attr(not(feature = \"std\"), no_std)]\n"));
        assert!(!declares_no_std("// #![no_std]\n"));
    }
}
