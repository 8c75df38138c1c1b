//! How code for another processor is built here.
//!
//! The library for the target comes from rustup. Where rustup can download nothing, a distribution's compiler that brings
//! its own library source builds it (Debian: `rustc-web` and `rust-web-src`). For microcontrollers that route is the
//! stricter one: it builds no `alloc` for crates that do not name it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::process::{Failure, Run};
use crate::tools;
use crate::workspace::Workspace;

/// Distribution packages of a compiler and of its library source.
const DISTRIBUTION: [[&str; 2]; 2] = [["rustc-web", "rust-web-src"], ["rustc", "rust-src"]];

/// The C compiler and linker for 64-bit ARM with Linux, by the name that Debian gives it on every machine.
pub(crate) const AARCH64_GCC: &str = "aarch64-linux-gnu-gcc";

/// A processor other than this computer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// A Cortex-M4 or M7 with a floating point unit.
    CortexM4,
    /// A Cortex-M33 with a floating point unit.
    CortexM33,
    /// 64-bit ARM with Linux: a Raspberry Pi from the third on.
    Aarch64Linux,
}

impl Target {
    /// Its name to the compiler.
    pub(crate) fn triple(self) -> &'static str {
        match self {
            Self::CortexM4 => "thumbv7em-none-eabihf",
            Self::CortexM33 => "thumbv8m.main-none-eabihf",
            Self::Aarch64Linux => "aarch64-unknown-linux-gnu",
        }
    }

    /// Whether its library is installed beside the compiler.
    pub(crate) fn is_installed(self) -> bool {
        let directory = Run::new("rustc").args(["--print", "target-libdir", "--target", self.triple()]).output();
        let files = directory.ok().and_then(|directory| fs::read_dir(directory.trim()).ok());
        files
            .is_some_and(|files| files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libcore-")))
    }
}

/// Where the core library comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Library {
    /// It is installed beside the compiler.
    Installed,
    /// This compiler has the source of its library and builds it. It may have no linker: this one does.
    FromSource { rustc: PathBuf, linker: PathBuf },
}

/// A way to build for a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) target: Target,
    library: Library,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let triple = self.target.triple();
        match &self.library {
            Library::Installed => write!(f, "library for {triple} installed by rustup"),
            Library::FromSource { rustc, .. } => {
                write!(f, "library for {triple} built from the source of {}", rustc.display())
            }
        }
    }
}

impl Route {
    /// Finds a way to build for the target, installing what is missing.
    pub(crate) fn find(workspace: &Workspace, target: Target) -> Result<Self, Failure> {
        let triple = target.triple();
        let wish = std::env::var("XTASK_BARE_METAL").unwrap_or_default();
        if !["", "rustup", "debian"].contains(&wish.as_str()) {
            return Err(Failure::new(format!("XTASK_BARE_METAL is {wish:?}, neither \"rustup\" nor \"debian\"")));
        }
        let installed = || target.is_installed().then_some(Self { target, library: Library::Installed });
        if wish != "debian" {
            if let Some(route) = installed() {
                return Ok(route);
            }
            let added = Run::new("rustup").args(["target", "add", triple]).run();
            if let Some(route) = installed() {
                return Ok(route);
            }
            if wish == "rustup" {
                return Err(added.err().unwrap_or_else(|| Failure::new(format!("rustup did not install {triple}"))));
            }
            println!("rustup cannot install {triple}; looking for a compiler with its library source");
        }
        if compiler_with_source(&workspace.rust_version).is_none() {
            let enough = minor(&workspace.rust_version);
            let packages = DISTRIBUTION.iter().find(|[compiler, _]| offered(compiler) >= enough);
            // Package lists may be older than the packages: when none is new enough, the first pair is asked for all
            // the same.
            tools::install(packages.unwrap_or(&DISTRIBUTION[0]))?;
        }
        let rustc = compiler_with_source(&workspace.rust_version).ok_or_else(|| {
            Failure::new(format!(
                "no library for {triple}: rustup could not install it, and this system has no Rust {} with its library \
                 source. Run `rustup target add {triple}` where there is a network, and try again",
                workspace.rust_version
            ))
        })?;
        let linker = if target == Target::Aarch64Linux { AARCH64_GCC.into() } else { linker()? };
        Ok(Self { target, library: Library::FromSource { rustc, linker } })
    }

    /// The compiler that builds, with its version: `rustc 1.95.0 (59807616e 2026-04-14)`.
    pub(crate) fn compiler(&self) -> String {
        let rustc = match &self.library {
            Library::Installed => Path::new("rustc"),
            Library::FromSource { rustc, .. } => rustc,
        };
        Run::new(rustc).arg("--version").output().map(|text| text.trim().to_owned()).unwrap_or_default()
    }

    /// Tells a cargo command that builds to go this way. `alloc`: the code for a microcontroller names that crate.
    pub(crate) fn of(&self, run: Run, alloc: bool) -> Run {
        let triple = self.target.triple();
        let variable = format!("CARGO_TARGET_{}_LINKER", triple.to_uppercase().replace(['-', '.'], "_"));
        let run = run.args(["--target", triple]);
        match &self.library {
            // This computer's linker knows no other processor.
            Library::Installed if self.target == Target::Aarch64Linux => run.env(&variable, AARCH64_GCC),
            Library::Installed => run,
            Library::FromSource { rustc, linker } => {
                let crates = match (self.target, alloc) {
                    (Target::Aarch64Linux, _) => "-Zbuild-std=std,panic_unwind",
                    (_, true) => "-Zbuild-std=core,alloc",
                    (_, false) => "-Zbuild-std=core",
                };
                run.arg(crates).env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1").env(&variable, linker)
            }
        }
    }
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

/// LLVM's linker: the one rustup installs beside the compiler, else the system's.
fn linker() -> Result<PathBuf, Failure> {
    let libraries = Run::new("rustc").args(["--print", "target-libdir"]).output()?;
    let beside = Path::new(libraries.trim()).join("../bin/rust-lld");
    if beside.exists() {
        return beside.canonicalize().map_err(|error| Failure::because(&beside.display().to_string(), error));
    }
    let found = || Run::new("ld.lld").arg("--version").succeeds();
    if !found() {
        tools::install(&["lld"])?;
    }
    if found() { Ok("ld.lld".into()) } else { Err(Failure::new("the package lld brought no program ld.lld")) }
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

    #[test]
    fn a_compiler_without_a_linker_is_given_one() {
        let library = Library::FromSource { rustc: "/usr/bin/rustc".into(), linker: "ld.lld".into() };
        let route = Route { target: Target::CortexM33, library };
        let shown = route.of(Run::new("cargo").arg("build"), false).shown();
        assert_eq!(
            shown,
            "RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_THUMBV8M_MAIN_NONE_EABIHF_LINKER=ld.lld \
             cargo build --target thumbv8m.main-none-eabihf -Zbuild-std=core"
        );
        let route = Route { target: Target::CortexM4, library: Library::Installed };
        assert_eq!(
            route.of(Run::new("cargo").arg("build"), true).shown(),
            "cargo build --target thumbv7em-none-eabihf"
        );
        let route = Route { target: Target::Aarch64Linux, library: Library::Installed };
        assert_eq!(
            route.of(Run::new("cargo").arg("build"), false).shown(),
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
             cargo build --target aarch64-unknown-linux-gnu"
        );
    }
}
