//! Features add, never change: each crate must build without any, with each alone, and with all that go together.

use crate::process::Failure;
use crate::workspace::{Package, Workspace};

/// The sets of features to try, each on top of none.
pub(crate) fn sets(package: &Package) -> Vec<Vec<&str>> {
    let mut sets = vec![Vec::new()];
    sets.extend(package.features.iter().map(|feature| vec![feature.as_str()]));
    let together: Vec<&str> =
        package.features.iter().filter(|feature| !package.alone.contains(feature)).map(String::as_str).collect();
    if together.len() > 1 {
        sets.push(together);
    }
    sets
}

/// Runs clippy, warnings denied, on the library and programs of every crate that has features, with each set.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let mut tried = 0usize;
    for package in workspace.packages.iter().filter(|package| !package.features.is_empty()) {
        for set in sets(package) {
            let mut run =
                workspace.cargo().args(["clippy", "--quiet", "--package", &package.name, "--no-default-features"]);
            if !set.is_empty() {
                run = run.arg("--features").arg(set.join(","));
            }
            run.args(["--", "-D", "warnings"]).run()?;
            tried = tried.saturating_add(1);
        }
    }
    println!("{tried} sets of features tried");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alone_then_those_that_go_together() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let package = Package {
            name: "p".into(),
            features: names(&["defmt", "fjall", "log", "std"]),
            alone: names(&["defmt", "log"]),
            no_std: false,
            alloc: false,
            published_library: true,
            tests: Vec::new(),
        };
        let sets = sets(&package);
        let expected: [&[&str]; 6] = [&[], &["defmt"], &["fjall"], &["log"], &["std"], &["fjall", "std"]];
        assert_eq!(sets, expected);
    }
}
