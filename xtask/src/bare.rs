//! Builds every `no_std` library for a microcontroller without an operating system. A crate that merely says `no_std`
//! still links to `std` through a dependency on a computer; here it cannot.

use crate::features;
use crate::process::{Failure, Run};
use crate::route::{Route, Target};
use crate::workspace::{Package, Workspace};

/// The processor the libraries are built for.
pub(crate) const TARGET: Target = Target::CortexM4;

/// Builds every `no_std` crate with each set of its features.
pub(crate) fn build(workspace: &Workspace) -> Result<(), Failure> {
    let route = Route::find(workspace, TARGET)?;
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
    // Code is made, because some errors show only then, but nothing runs it: it need not be good. That of firmware is.
    let run = workspace.cargo().env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
    let run = run.args(["build", "--release", "--lib", "--target-dir", "target/bare", "--package", &package.name]);
    let mut run = run.arg("--no-default-features");
    if !features.is_empty() {
        run = run.arg("--features").arg(features.join(","));
    }
    route.of(run, package.alloc)
}
