//! What the steps need on the machine, and how it gets there.

use std::path::Path;

use crate::process::{Failure, Run};
use crate::route::{AARCH64_GCC, Route, Target};
use crate::workspace::Workspace;

/// Something a step cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// `cargo fmt`.
    Rustfmt,
    /// `cargo clippy`.
    Clippy,
    /// A C compiler: some cryptography is C and assembly, and SQLite is C.
    C,
    /// A C++ compiler: libFuzzer is C++.
    Cxx,
    /// The `openssl` program: tests talk TLS with it.
    OpenSsl,
    /// The browser `chromium`: tests look at web pages with it, where it can be had.
    Chromium,
    /// The `ip` program: stories take place in networks of their own. Only root can make those, so that nobody else needs
    /// it.
    Networks,
    /// The core library for a microcontroller.
    BareMetal(Target),
    /// The library, a C compiler and a C library for 64-bit ARM with Linux.
    Aarch64,
    /// `qemu-aarch64`: runs programs for 64-bit ARM with Linux.
    QemuUser,
    /// `qemu-system-arm`: an emulator of microcontrollers.
    Qemu,
}

impl Need {
    /// Makes sure of it, installing it where that is possible, and says what was found.
    pub(crate) fn ensure(self, workspace: &Workspace) -> Result<String, Failure> {
        match self {
            Self::Rustfmt => component("rustfmt", "fmt"),
            Self::Clippy => component("clippy", "clippy"),
            Self::C => compiler("CC", "cc", &["gcc", "libc6-dev"]),
            Self::Cxx => compiler("CXX", "c++", &["g++"]),
            Self::OpenSsl => program("openssl", "version", "openssl"),
            Self::Chromium => Ok(chromium()),
            Self::Networks => networks(),
            Self::BareMetal(target) => Route::find(workspace, target).map(|route| route.to_string()),
            Self::Aarch64 => aarch64(workspace),
            Self::QemuUser => qemu_user().map(|program| program.to_owned()),
            Self::Qemu => program("qemu-system-arm", "--version", "qemu-system-arm"),
        }
    }
}

fn component(name: &str, subcommand: &str) -> Result<String, Failure> {
    let version = || Run::cargo().args([subcommand, "--version"]).output().map(|text| text.trim().to_owned());
    if let Ok(version) = version() {
        return Ok(version);
    }
    Run::new("rustup").args(["component", "add", name]).run()?;
    version()
}

fn compiler(variable: &str, usual: &str, packages: &[&str]) -> Result<String, Failure> {
    let program = std::env::var(variable).unwrap_or_else(|_| usual.to_owned());
    let version = || Run::new(&program).arg("--version").output();
    let text = match version() {
        Ok(text) => text,
        Err(_) => {
            install(packages)?;
            version()?
        }
    };
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// A program that says its version, and the package it comes in.
fn program(name: &str, question: &str, package: &str) -> Result<String, Failure> {
    let version = || Run::new(name).arg(question).output();
    let said = version().or_else(|_| {
        install(&[package])?;
        version()
    })?;
    Ok(said.lines().next().unwrap_or_default().trim().to_owned())
}

fn aarch64(workspace: &Workspace) -> Result<String, Failure> {
    if !Run::new(AARCH64_GCC).arg("--version").succeeds() {
        install(&["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"])?;
    }
    Route::find(workspace, Target::Aarch64Linux).map(|route| route.to_string())
}

/// The name of the program that runs programs for 64-bit ARM: Debian has it in two packages.
pub(crate) fn qemu_user() -> Result<&'static str, Failure> {
    let found =
        || ["qemu-aarch64-static", "qemu-aarch64"].into_iter().find(|name| Run::new(name).arg("--version").succeeds());
    if let Some(name) = found() {
        return Ok(name);
    }
    install(&["qemu-user-static"])?;
    found().ok_or_else(|| Failure::new("the package qemu-user-static brought no program qemu-aarch64-static"))
}

/// Whether the browser is there.
pub(crate) fn chromium_found() -> bool {
    Run::new("chromium").arg("--version").succeeds()
}

fn chromium() -> String {
    let failure = if chromium_found() { None } else { install(&["chromium", "fonts-dejavu-core"]).err() };
    match (Run::new("chromium").arg("--version").output(), failure) {
        (Ok(version), _) => version.trim().to_owned(),
        (Err(_), Some(failure)) => format!("no chromium, its step will be skipped: {failure}"),
        (Err(failure), None) => format!("no chromium, its step will be skipped: {failure}"),
    }
}

/// Without root there are no networks to be made, and the stories say that they are left out.
fn networks() -> Result<String, Failure> {
    let version = || Run::new("ip").arg("-V").output().map(|text| text.trim().to_owned());
    if !is_root() {
        return Ok("not root: the stories in network namespaces are left out".to_owned());
    }
    version().or_else(|_| {
        install(&["iproute2"])?;
        version()
    })
}

fn is_root() -> bool {
    Run::new("id").arg("-u").output().is_ok_and(|id| id.trim() == "0")
}

/// Installs Debian packages, as root or by a sudo that asks no password.
pub(crate) fn install(packages: &[&str]) -> Result<(), Failure> {
    let names = packages.join(" ");
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(Failure::new(format!(
            "missing, by the names of Debian's packages: {names}. Install them by the means of your system and run this \
             again"
        )));
    }
    let root = is_root();
    if !root && !Run::new("sudo").args(["-n", "true"]).succeeds() {
        return Err(Failure::new(format!(
            "missing packages. Run this, then try again:\n  \
             sudo apt-get update && sudo apt-get install -y --no-install-recommends {names}"
        )));
    }
    // A minute and a half for another package manager, such as the unattended upgrades, to finish.
    let options = ["-o", "DPkg::Lock::Timeout=90", "-o", "Dpkg::Use-Pty=0", "-qq"];
    let apt = |run: Run| run.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(options);
    let start = || if root { Run::new("env") } else { Run::new("sudo").args(["-n", "env"]) };
    apt(start()).args(["update"]).run()?;
    apt(start()).args(["install", "-y", "--no-install-recommends"]).args(packages).run()
}
