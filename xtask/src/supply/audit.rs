//! The dependencies of each lock file against the policy. Everything that is wrong is told at once.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use serde_json::Value;
use spdx::{Expression, LicenseReq, Licensee, ParseMode};

use super::policy::Policy;
use crate::process::Failure;

/// One package of a lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) version: Version,
    /// The expression in its manifest.
    pub(crate) licence: Option<String>,
    /// None when it is a part of the tree.
    pub(crate) source: Option<String>,
}

impl Dependency {
    /// From an entry of `cargo metadata`.
    pub(crate) fn read(package: &Value) -> Result<Self, Failure> {
        let text = |key: &str| package[key].as_str().map(str::to_owned);
        let name = text("name").ok_or_else(|| Failure::new("cargo names a package without a name"))?;
        let version = text("version").unwrap_or_default();
        let version = Version::parse(&version).map_err(|error| Failure::because(&name, error))?;
        Ok(Self { name, version, licence: text("license"), source: text("source") })
    }
}

/// What was found in the lock files so far.
pub(crate) struct Audit<'p> {
    policy: &'p Policy,
    wrong: BTreeSet<String>,
    /// Which allowances of the policy were needed, by their index.
    allowed: BTreeSet<usize>,
    exceptions: BTreeSet<usize>,
    skipped: BTreeSet<usize>,
}

impl<'p> Audit<'p> {
    pub(crate) fn new(policy: &'p Policy) -> Self {
        let (allowed, exceptions, skipped) = Default::default();
        Self { policy, wrong: BTreeSet::new(), allowed, exceptions, skipped }
    }

    /// Looks at what one lock file holds.
    pub(crate) fn lock_file(&mut self, file: &str, dependencies: &[Dependency]) {
        for dependency in dependencies {
            self.licence(dependency);
            self.source(file, dependency);
        }
        self.duplicates(file, dependencies);
    }

    /// Fails with all that is wrong, and with what the policy allows although nothing needs it.
    pub(crate) fn verdict(mut self) -> Result<(), Failure> {
        let unused = |index: &usize, used: &BTreeSet<usize>| !used.contains(index);
        for (_, licence) in self.policy.allowed.iter().enumerate().filter(|(i, _)| unused(i, &self.allowed)) {
            self.wrong.insert(format!("deny.toml allows the licence {licence}, which nothing needs"));
        }
        for (_, (name, _)) in self.policy.exceptions.iter().enumerate().filter(|(i, _)| unused(i, &self.exceptions)) {
            self.wrong.insert(format!("deny.toml makes an exception for the licence of {name}, which needs none"));
        }
        for (_, (name, version)) in self.policy.skipped.iter().enumerate().filter(|(i, _)| unused(i, &self.skipped)) {
            self.wrong.insert(format!("deny.toml skips {name}:{version}, which stands beside no other version"));
        }
        if self.wrong.is_empty() {
            println!("licences, versions and sources are as deny.toml wants them");
            return Ok(());
        }
        Err(Failure::new(self.wrong.into_iter().collect::<Vec<_>>().join("\n")))
    }

    fn licence(&mut self, dependency: &Dependency) {
        let Dependency { name, version, licence, .. } = dependency;
        let Some(licence) = licence else {
            self.wrong.insert(format!("licence: {name} {version} states none"));
            return;
        };
        // Old manifests write `MIT/Apache-2.0`.
        let Ok(expression) = Expression::parse_mode(licence, ParseMode::LAX) else {
            self.wrong.insert(format!("licence: that of {name} {version} cannot be read: {licence:?}"));
            return;
        };
        let exception = self.policy.exceptions.iter().position(|(crate_name, _)| crate_name == name);
        let more =
            exception.and_then(|index| self.policy.exceptions.get(index)).map(|(_, licences)| licences.as_slice());
        let find = |licences: &[Licensee], request: &LicenseReq| licences.iter().position(|one| one.satisfies(request));
        let (general, special) = (&mut self.allowed, &mut self.exceptions);
        let allowed = expression.evaluate(|request| {
            if let Some(index) = find(&self.policy.allowed, request) {
                general.insert(index);
                return true;
            }
            let found = find(more.unwrap_or_default(), request).is_some();
            special.extend(exception.filter(|_| found));
            found
        });
        if !allowed {
            self.wrong.insert(format!("licence: {name} {version} is under {licence}, which deny.toml does not allow"));
        }
    }

    fn source(&mut self, file: &str, dependency: &Dependency) {
        let Dependency { name, version, source: Some(source), .. } = dependency else { return };
        let known =
            source.strip_prefix("registry+").is_some_and(|at| self.policy.registries.iter().any(|one| one == at));
        if !known {
            self.wrong.insert(format!("source: {name} {version} in {file} comes from {source}"));
        }
    }

    fn duplicates(&mut self, file: &str, dependencies: &[Dependency]) {
        let mut versions: BTreeMap<&str, BTreeSet<&Version>> = BTreeMap::new();
        for dependency in dependencies {
            versions.entry(&dependency.name).or_default().insert(&dependency.version);
        }
        for (name, versions) in versions.into_iter().filter(|(_, versions)| versions.len() > 1) {
            let mut left = Vec::new();
            for version in versions {
                // cargo-deny counts pre-releases in ranges, too; no such version is there twice.
                let skips =
                    |(crate_name, range): &(String, semver::VersionReq)| crate_name == name && range.matches(version);
                match self.policy.skipped.iter().position(skips) {
                    Some(index) => drop(self.skipped.insert(index)),
                    None => left.push(version.to_string()),
                }
            }
            if left.len() > 1 {
                self.wrong.insert(format!("versions: {file} has {name} {}", left.join(" and ")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::tests::REAL;
    use super::*;

    const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn dependency(name: &str, version: &str, licence: &str, source: &str) -> Dependency {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Dependency {
            name: name.into(),
            version: version.parse().unwrap(),
            licence: text(licence),
            source: text(source),
        }
    }

    /// What is wrong with these under the real policy, without the allowances that so few do not need.
    fn wrong(dependencies: &[Dependency]) -> Vec<String> {
        let policy = Policy::parse(REAL).unwrap();
        let mut audit = Audit::new(&policy);
        audit.lock_file("Cargo.lock", dependencies);
        let said = audit.verdict().unwrap_err().to_string();
        said.lines().filter(|line| !line.starts_with("deny.toml ")).map(str::to_owned).collect()
    }

    #[test]
    fn what_is_usual_passes() {
        let usual =
            ["MIT OR Apache-2.0", "MIT/Apache-2.0", "Apache-2.0 AND ISC", "MIT OR GPL-2.0-only", "Unlicense OR MIT"];
        for licence in usual {
            assert!(wrong(&[dependency("a", "1.0.0", licence, CRATES_IO)]).is_empty(), "{licence}");
        }
        assert!(wrong(&[dependency("ours", "0.1.0", "MIT OR Apache-2.0", "")]).is_empty());
    }

    #[test]
    fn other_licences_fail() {
        for licence in ["AGPL-3.0-only", "GPL-3.0", "MIT AND MPL-2.0", "NCSA", "SSPL-1.0", "as you like", ""] {
            let said = wrong(&[dependency("a", "1.0.0", licence, CRATES_IO)]);
            assert!(said.len() == 1 && said[0].starts_with("licence: "), "{licence}: {said:?}");
        }
    }

    #[test]
    fn an_exception_is_for_one_crate_and_one_licence() {
        let fuzzer = |name, licence| wrong(&[dependency(name, "0.4.0", licence, CRATES_IO)]);
        assert!(fuzzer("libfuzzer-sys", "(MIT OR Apache-2.0) AND NCSA").is_empty());
        assert_eq!(fuzzer("libfuzzer", "(MIT OR Apache-2.0) AND NCSA").len(), 1);
        assert_eq!(fuzzer("libfuzzer-sys", "GPL-3.0-only").len(), 1);
    }

    #[test]
    fn other_sources_fail() {
        let git = "git+https://github.com/rust-lang/crates.io-index#0123456789012345678901234567890123456789";
        for source in [git, "registry+https://example.org/index", "sparse+https://example.org/index"] {
            let said = wrong(&[dependency("a", "1.0.0", "MIT", source)]);
            assert!(said.len() == 1 && said[0].starts_with("source: "), "{source}: {said:?}");
        }
    }

    #[test]
    fn two_versions_fail_unless_one_is_skipped() {
        let two = |name, one, other| {
            wrong(&[dependency(name, one, "MIT", CRATES_IO), dependency(name, other, "MIT", CRATES_IO)])
        };
        assert_eq!(two("a", "1.0.0", "2.0.0"), ["versions: Cargo.lock has a 1.0.0 and 2.0.0"]);
        assert_eq!(two("a", "1.0.0", "1.0.1").len(), 1);
        assert!(two("syn", "2.0.1", "3.0.0").is_empty());
        assert_eq!(two("syn", "3.0.0", "4.0.0").len(), 1);
    }

    #[test]
    fn allowances_that_nothing_needs_fail() {
        let policy = Policy::parse(REAL).unwrap();
        let mut audit = Audit::new(&policy);
        audit.lock_file("Cargo.lock", &[dependency("syn", "2.0.0", "MIT", CRATES_IO)]);
        let said = audit.verdict().unwrap_err().to_string();
        for expected in ["the licence ISC", "the licence of libfuzzer-sys", "skips syn:^2"] {
            assert!(said.contains(expected), "{said}");
        }
    }
}
