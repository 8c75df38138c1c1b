//! Builds every `no_std` library for a microcontroller without an operating system. A crate that merely says `no_std`
//! still links to `std` through a dependency on a computer; here it cannot.
//!
//! The core library for the target comes from rustup. Where rustup can download nothing, a distribution's compiler that
//! brings its own library source builds it (Debian: `rustc-web` and `rust-web-src`). That route is the stricter one: it
//! builds no `alloc` for crates that do not name it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::features;
use crate::process::{Failure, Run};
use crate::tools;
use crate::workspace::{Package, Workspace};

/// A Cortex-M4 or M7 with a floating point unit.
const TARGET: &str = "thumbv7em-none-eabihf";

/// Distribution packages of a compiler and of its library source.
const DISTRIBUTION: [[&str; 2]; 2] = [["rustc-web", "rust-web-src"], ["rustc", "rust-src"]];

/// Where the core library comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// It is installed beside the compiler.
    Installed,
    /// This compiler has the source of its library and builds it.
    FromSource(PathBuf),
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installed => write!(f, "library for {TARGET} installed by rustup"),
            Self::FromSource(rustc) => write!(f, "library for {TARGET} built from the source of {}", rustc.display()),
        }
    }
}

/// Finds a way to build for the target, installing what is missing.
pub(crate) fn route(workspace: &Workspace) -> Result<Route, Failure> {
    let wish = std::env::var("XTASK_BARE_METAL").unwrap_or_default();
    if !["", "rustup", "debian"].contains(&wish.as_str()) {
        return Err(Failure::new(format!("XTASK_BARE_METAL is {wish:?}, neither \"rustup\" nor \"debian\"")));
    }
    if wish != "debian" {
        if library_installed() {
            return Ok(Route::Installed);
        }
        let added = Run::new("rustup").args(["target", "add", TARGET]).run();
        if library_installed() {
            return Ok(Route::Installed);
        }
        if wish == "rustup" {
            return Err(added.err().unwrap_or_else(|| Failure::new(format!("rustup did not install {TARGET}"))));
        }
        println!("rustup cannot install {TARGET}; looking for a compiler with its library source");
    }
    if let Some(rustc) = compiler_with_source(&workspace.rust_version) {
        return Ok(Route::FromSource(rustc));
    }
    let packages = DISTRIBUTION.iter().find(|[compiler, _]| offered(compiler) >= minor(&workspace.rust_version));
    // Package lists may be older than the packages: when none is new enough, the first pair is asked for all the same.
    tools::install(packages.unwrap_or(&DISTRIBUTION[0]))?;
    compiler_with_source(&workspace.rust_version).map(Route::FromSource).ok_or_else(|| {
        Failure::new(format!(
            "no library for {TARGET}: rustup could not install it, and this system has no Rust {} with its library \
             source. Run `rustup target add {TARGET}` where there is a network, and try again",
            workspace.rust_version
        ))
    })
}

fn library_installed() -> bool {
    let directory = Run::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    let files = directory.ok().and_then(|directory| fs::read_dir(directory.trim()).ok());
    files.is_some_and(|files| files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libcore-")))
}

/// A compiler that is new enough and has the source of its library: the usual one, else the distribution's.
fn compiler_with_source(rust_version: &str) -> Option<PathBuf> {
    ["rustc", "/usr/bin/rustc"].map(PathBuf::from).into_iter().find(|rustc| {
        let ask = |question: &[&str]| Run::new(rustc).args(question).output().unwrap_or_default();
        let sysroot = ask(&["--print", "sysroot"]);
        let source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml");
        let version = ask(&["--version"]);
        source.exists() && version.split_whitespace().nth(1).and_then(minor) >= minor(rust_version)
    })
}

/// The version of a package that apt would install, if it is one of Rust.
fn offered(package: &str) -> Option<u32> {
    let policy = Run::new("apt-cache").args(["policy", package]).env("LC_ALL", "C").output().ok()?;
    minor(policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?)
}

/// The `95` of `1.95.0`.
fn minor(version: &str) -> Option<u32> {
    let digits = version.strip_prefix("1.")?.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Builds every `no_std` crate with each set of its features.
pub(crate) fn build(workspace: &Workspace) -> Result<(), Failure> {
    let route = route(workspace)?;
    println!("{route}");
    for package in workspace.packages.iter().filter(|package| package.no_std) {
        for set in features::sets(package) {
            if !set.contains(&"std") {
                command(workspace, package, &set, &route).run()?;
            }
        }
    }
    Ok(())
}

fn command(workspace: &Workspace, package: &Package, features: &[&str], route: &Route) -> Run {
    let mut run = workspace
        .cargo()
        .args(["build", "--release", "--lib", "--target", TARGET, "--target-dir", "target/bare"])
        .args(["--package", &package.name, "--no-default-features"]);
    if !features.is_empty() {
        run = run.arg("--features").arg(features.join(","));
    }
    match route {
        Route::Installed => run,
        Route::FromSource(rustc) => {
            let crates = if package.alloc { "-Zbuild-std=core,alloc" } else { "-Zbuild-std=core" };
            run.arg(crates).env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare() {
        assert_eq!(minor("1.95"), Some(95));
        assert_eq!(minor("1.96.0+dfsg1-1~deb12u2"), Some(96));
        assert_eq!(minor("(none)"), None);
        assert!(minor("1.63.0") < minor("1.95") && minor("(none)") < minor("1.95"));
    }
}
