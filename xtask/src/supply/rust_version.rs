//! The oldest compiler that is promised: every package of the tree states it, the README says it, nothing that the tree
//! depends on needs a newer one, and the compiler at work is not older. Where it is that very compiler, the other steps
//! are the proof of the promise; where it is a newer one, this step says that nobody has tried.

use semver::Version;
use serde_json::Value;

use crate::process::{Failure, Run};
use crate::workspace::Workspace;

const TOOLCHAIN: &str = "rust-toolchain.toml";
const README: &str = "README.md";

/// Checks the packages of all lock files, as `cargo metadata` shows them.
pub(crate) fn check(workspace: &Workspace, packages: &[Value]) -> Result<(), Failure> {
    let promised = &workspace.rust_version;
    let mut wrong = judge(promised, packages);
    if !super::read(workspace, README)?.contains(&format!("Rust {promised} or later")) {
        wrong.push(format!("rust-version: {README} does not say \"Rust {promised} or later\""));
    }
    let channel = channel(&super::read(workspace, TOOLCHAIN)?)?;
    let older = |channel: &str| parse(channel).zip(parse(promised)).is_none_or(|(ours, least)| ours < least);
    if channel != "stable" && older(&channel) {
        wrong.push(format!("rust-version: {TOOLCHAIN} chooses {channel:?}, neither stable nor {promised} or later"));
    }
    if !wrong.is_empty() {
        return Err(Failure::new(wrong.join("\n")));
    }
    let compiler = Run::new("rustc").arg("--version").output()?;
    println!("rust-version: {promised} in every package, and nothing needs a later one");
    match tried(&compiler, promised) {
        Some(true) => println!("rust-version: the compiler is {promised} itself, so that what passes is proven for it"),
        Some(false) => println!("rust-version: nobody has tried {promised} in this run, which has {}", compiler.trim()),
        None => return Err(Failure::new(format!("{} is older than {promised}", compiler.trim()))),
    }
    Ok(())
}

/// Whether a compiler is of the promised release (`true`) or of a later one; `None` for an older one.
pub(crate) fn tried(compiler: &str, promised: &str) -> Option<bool> {
    let version = parse(compiler.split_whitespace().nth(1)?.split('-').next()?)?;
    let promised = parse(promised)?;
    (version >= promised).then_some((version.major, version.minor) == (promised.major, promised.minor))
}

/// What is wrong with what the packages state.
fn judge(promised: &str, packages: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    let least = parse(promised);
    for package in packages {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let (name, stated) = (text("name"), text("rust_version"));
        if package["source"].is_null() {
            if stated != promised {
                wrong.push(format!("rust-version: {name} states {stated:?}, not {promised:?}"));
            }
        } else if !stated.is_empty() && parse(stated).zip(least.clone()).is_none_or(|(needs, ours)| needs > ours) {
            wrong.push(format!("rust-version: {name} {} needs {stated}, later than {promised}", text("version")));
        }
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

/// A version that may leave out its last numbers.
fn parse(text: &str) -> Option<Version> {
    let missing = 2usize.checked_sub(text.matches('.').count())?;
    Version::parse(&format!("{text}{}", ".0".repeat(missing))).ok()
}

fn channel(toolchain: &str) -> Result<String, Failure> {
    let table: toml::Table = toolchain.parse().map_err(|error| Failure::because(TOOLCHAIN, error))?;
    let channel = table.get("toolchain").and_then(|toolchain| toolchain.get("channel")?.as_str());
    channel.map(str::to_owned).ok_or_else(|| Failure::new(format!("{TOOLCHAIN} chooses no channel")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(package: Value) -> Vec<String> {
        judge("1.95", &[package])
    }

    #[test]
    fn ours_state_exactly_what_is_promised() {
        let ours = |stated: Value| wrong(json!({"name": "ours", "source": null, "rust_version": stated}));
        assert!(ours(json!("1.95")).is_empty());
        assert_eq!(ours(json!("1.94")).len(), 1);
        assert_eq!(ours(json!(null)), ["rust-version: ours states \"\", not \"1.95\""]);
    }

    #[test]
    fn dependencies_need_nothing_later() {
        let other = |stated: Value| {
            wrong(json!({"name": "a", "version": "1.0.0", "source": "registry+x", "rust_version": stated}))
        };
        for fine in [json!(null), json!("1.95"), json!("1.95.0"), json!("1.60.1"), json!("1.9")] {
            assert!(other(fine.clone()).is_empty(), "{fine}");
        }
        for late in ["1.95.1", "1.96", "2.0"] {
            assert_eq!(other(json!(late)), [format!("rust-version: a 1.0.0 needs {late}, later than 1.95")]);
        }
    }

    #[test]
    fn compilers_are_told_apart() {
        let of = |compiler| tried(compiler, "1.95");
        assert_eq!(of("rustc 1.95.0 (59807616e 2026-04-14)"), Some(true));
        assert_eq!(of("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"), Some(false));
        assert_eq!(of("rustc 1.97.0-nightly (4d1f98451 2026-05-15)"), Some(false));
        assert_eq!(of("rustc 1.94.1 (abc 2026-01-01)"), None);
    }

    #[test]
    fn the_channel_is_read() {
        assert_eq!(channel("[toolchain]\nchannel = \"stable\"\n").unwrap(), "stable");
        assert!(channel("[toolchain]\n").is_err());
    }
}
