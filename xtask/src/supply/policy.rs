//! The part of `deny.toml` that concerns licences, versions and sources, in cargo-deny's words. What it does not know it
//! refuses, as a rule that nobody checks is none.

use semver::VersionReq;
use spdx::Licensee;
use toml::{Table, Value};

use crate::process::Failure;

/// What `deny.toml` wants.
pub(crate) struct Policy {
    /// Licences that any crate may have.
    pub(crate) allowed: Vec<Licensee>,
    /// Those that one crate may have.
    pub(crate) exceptions: Vec<(String, Vec<Licensee>)>,
    /// Versions that may be there beside another one.
    pub(crate) skipped: Vec<(String, VersionReq)>,
    /// Addresses of registries, as in lock files behind `registry+`.
    pub(crate) registries: Vec<String>,
}

impl Policy {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let policy: Table = text.parse().map_err(wrong)?;
        let section = |name: &str, known: &[&str]| section(&policy, name, known);
        section("graph", &["all-features"])?;
        let advisories = section("advisories", &["yanked", "unmaintained", "unsound", "ignore"])?;
        let known = ["allow", "exceptions", "unused-allowed-license", "unused-license-exception"];
        let licenses = section("licenses", &known)?;
        let bans = section("bans", &["multiple-versions", "multiple-versions-include-dev", "skip"])?;
        let sources = section("sources", &["unknown-registry", "unknown-git", "allow-registry", "allow-git"])?;
        for (table, key) in [(bans, "multiple-versions"), (sources, "unknown-registry"), (sources, "unknown-git")] {
            if table.get(key).and_then(Value::as_str) != Some("deny") {
                return Err(wrong(format!("{key} has to be \"deny\"")));
            }
        }
        for (key, wanted) in [("yanked", "deny"), ("unmaintained", "all"), ("unsound", "all")] {
            if advisories.get(key).and_then(Value::as_str) != Some(wanted) {
                return Err(wrong(format!("{key} has to be {wanted:?}")));
            }
        }
        if list(advisories, "ignore")?.iter().any(|entry| entry.get("reason").and_then(Value::as_str).is_none()) {
            return Err(wrong("ignore: an advisory is ignored with `{ id = \"…\", reason = \"…\" }` only"));
        }
        if !list(sources, "allow-git")?.is_empty() {
            return Err(wrong("allow-git: sources from git are not checked by `cargo xtask`"));
        }
        Ok(Self {
            allowed: licensees(licenses)?,
            exceptions: list(licenses, "exceptions")?
                .iter()
                .map(|entry| Ok((named(entry)?.to_owned(), licensees(table(entry)?)?)))
                .collect::<Result<_, Failure>>()?,
            skipped: list(bans, "skip")?.iter().map(skipped).collect::<Result<_, _>>()?,
            registries: strings(sources, "allow-registry")?.into_iter().map(str::to_owned).collect(),
        })
    }
}

fn wrong(why: impl std::fmt::Display) -> Failure {
    Failure::because("deny.toml", why)
}

fn section<'t>(policy: &'t Table, name: &str, known: &[&str]) -> Result<&'t Table, Failure> {
    let section = policy.get(name).and_then(Value::as_table).ok_or_else(|| wrong(format!("no [{name}]")))?;
    match section.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(wrong(format!("{key} in [{name}] is not checked by `cargo xtask`"))),
        None => Ok(section),
    }
}

fn table(value: &Value) -> Result<&Table, Failure> {
    value.as_table().ok_or_else(|| wrong(format!("{value} is no table")))
}

fn named(entry: &Value) -> Result<&str, Failure> {
    entry.get("crate").and_then(Value::as_str).ok_or_else(|| wrong(format!("{entry} names no crate")))
}

fn list<'t>(table: &'t Table, key: &str) -> Result<&'t [Value], Failure> {
    table.get(key).and_then(Value::as_array).map(Vec::as_slice).ok_or_else(|| wrong(format!("no list {key}")))
}

fn strings<'t>(table: &'t Table, key: &str) -> Result<Vec<&'t str>, Failure> {
    let text = |value: &'t Value| value.as_str().ok_or_else(|| wrong(format!("{value} in {key} is no text")));
    list(table, key)?.iter().map(text).collect()
}

fn licensees(table: &Table) -> Result<Vec<Licensee>, Failure> {
    strings(table, "allow")?.into_iter().map(|name| Licensee::parse(name).map_err(wrong)).collect()
}

/// `name:requirement`, with a reason.
fn skipped(entry: &Value) -> Result<(String, VersionReq), Failure> {
    let reason = entry.get("reason").and_then(Value::as_str).unwrap_or_default();
    let (name, requirement) = named(entry)?
        .split_once(':')
        .filter(|_| !reason.is_empty())
        .ok_or_else(|| wrong(format!("{entry} needs a version (`name:^1`) and a reason")))?;
    Ok((name.to_owned(), VersionReq::parse(requirement).map_err(wrong)?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The one that counts.
    pub(crate) const REAL: &str = include_str!("../../../deny.toml");

    fn refused(change: impl Fn(&str) -> String) -> String {
        let changed = change(REAL);
        assert_ne!(changed, REAL, "nothing was changed");
        Policy::parse(&changed).err().expect("a refusal").to_string()
    }

    #[test]
    fn our_own_is_understood() {
        let policy = Policy::parse(REAL).unwrap();
        assert!(policy.allowed.iter().any(|licence| *licence == Licensee::parse("MIT").unwrap()));
        assert_eq!(policy.registries, ["https://github.com/rust-lang/crates.io-index"]);
        assert!(policy.skipped.iter().any(|(name, version)| name == "syn" && version.to_string() == "^2"));
        assert!(policy.exceptions.iter().any(|(name, _)| name == "libfuzzer-sys"));
    }

    #[test]
    fn rules_that_nobody_would_check_are_refused() {
        assert!(
            refused(|text| text.replace("[sources]", "[sources]\nrequired-git-spec = \"rev\"")).contains("required")
        );
        assert!(refused(|text| text.replace("[bans]", "[bans]\ndeny = [\"openssl\"]")).contains("deny in [bans]"));
        assert!(
            refused(|text| text.replace("allow-git = []", "allow-git = [\"https://example.org/x\"]")).contains("git")
        );
    }

    #[test]
    fn rules_cannot_be_switched_off() {
        for rule in ["multiple-versions", "unknown-registry", "unknown-git"] {
            let denied = format!("\n{rule} = \"deny\"");
            assert!(refused(|text| text.replace(&denied, &format!("\n{rule} = \"warn\""))).contains(rule));
            assert!(refused(|text| text.replace(&denied, "")).contains(rule));
        }
        for (rule, value) in [("yanked", "deny"), ("unmaintained", "all"), ("unsound", "all")] {
            let line = format!("\n{rule} = {value:?}");
            assert!(refused(|text| text.replace(&line, &format!("\n{rule} = \"none\""))).contains(rule));
            assert!(refused(|text| text.replace(&line, "")).contains(rule));
        }
    }

    #[test]
    fn exceptions_have_a_version_and_a_reason() {
        let skip = "skip = [";
        assert!(refused(|text| text.replace(skip, "skip = [{ crate = \"a:^1\" },")).contains("reason"));
        assert!(refused(|text| text.replace(skip, "skip = [{ crate = \"a\", reason = \"so\" },")).contains("version"));
        let ignored = "ignore = [\"RUSTSEC-2020-0001\"]";
        assert!(refused(|text| text.replace("ignore = []", ignored)).contains("reason"));
        assert!(refused(|text| text.replace("\"MIT\",", "\"MTI\",")).contains("deny.toml"));
    }
}
