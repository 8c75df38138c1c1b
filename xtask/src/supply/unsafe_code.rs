//! `unsafe` is forbidden by the compiler in every package of the tree, but for the files that SECURITY.md lists with why.
//! A package that has such a file denies `unsafe` everywhere else in it. The list is compared with what the manifests say
//! and with the words in the sources, so that it can neither be forgotten nor grow unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;
use toml::Table;

use crate::process::Failure;
use crate::workspace::Workspace;

const DOCUMENT: &str = "SECURITY.md";
const HEADING: &str = "### Where `unsafe` is";

/// Checks the packages of the tree, as `cargo metadata` shows them.
pub(crate) fn check(workspace: &Workspace, packages: &[Value]) -> Result<(), Failure> {
    let listed = listed(&super::read(workspace, DOCUMENT)?)?;
    let root: Table = super::read(workspace, "Cargo.toml")?.parse().map_err(|e| Failure::because("Cargo.toml", e))?;
    let mut levels = BTreeMap::new();
    for manifest in packages.iter().filter_map(|package| package["manifest_path"].as_str()) {
        let path = Path::new(manifest);
        let text = fs::read_to_string(path).map_err(|error| Failure::because(manifest, error))?;
        let table: Table = text.parse().map_err(|error| Failure::because(manifest, error))?;
        let folder = workspace.relative(path.parent().unwrap_or(path)).to_string_lossy().into_owned();
        levels.insert(folder, level(&table, &root));
    }
    let mut sources = Vec::new();
    walk(workspace, &workspace.root, &mut sources)?;
    let wrong = judge(&listed, &levels, &sources);
    if !wrong.is_empty() {
        return Err(Failure::new(wrong.join("\n")));
    }
    println!(
        "unsafe: {} packages, forbidden or denied in all but {} files, which {DOCUMENT} lists",
        levels.len(),
        listed.len()
    );
    Ok(())
}

/// What is wrong with lint levels by folder and sources by path, when the files `listed` may hold `unsafe`.
fn judge(listed: &BTreeSet<String>, levels: &BTreeMap<String, String>, sources: &[(String, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    // The innermost package that a file lies in.
    let package =
        |file: &String| levels.keys().filter(|folder| Path::new(file).starts_with(folder)).max_by_key(|f| f.len());
    let excepting: BTreeSet<&String> = listed.iter().filter_map(package).collect();
    for (folder, level) in levels {
        let excepted = excepting.contains(folder);
        let wanted = if excepted { "deny" } else { "forbid" };
        if level != wanted {
            wrong.push(format!("unsafe: the lint unsafe_code of {folder} is {level:?}, not {wanted:?}"));
        }
    }
    let found: BTreeSet<&str> =
        sources.iter().filter(|(_, text)| holds_unsafe(text)).map(|(path, _)| path.as_str()).collect();
    wrong.extend(
        found
            .iter()
            .filter(|path| !listed.contains(**path))
            .map(|path| format!("unsafe: {path} holds it, or allows it, and is not in the list of {DOCUMENT}")),
    );
    let stale = listed.iter().filter(|path| !found.contains(path.as_str()));
    wrong.extend(stale.map(|path| format!("unsafe: {path} is in the list of {DOCUMENT} and holds none")));
    wrong
}

/// The files in the first column of the table under the heading.
fn listed(document: &str) -> Result<BTreeSet<String>, Failure> {
    let missing = || Failure::new(format!("{DOCUMENT} has no list under {HEADING:?}"));
    let (_, rest) = document.split_once(HEADING).ok_or_else(missing)?;
    let rows = rest.lines().take_while(|line| !line.starts_with('#')).filter_map(|line| line.strip_prefix("| `"));
    let mut files = BTreeSet::new();
    for row in rows {
        let (file, why) = row.split_once("` |").ok_or_else(missing)?;
        if why.trim_matches([' ', '|']).is_empty() {
            return Err(Failure::new(format!("{DOCUMENT} does not say why {file} holds `unsafe`")));
        }
        files.insert(file.to_owned());
    }
    if files.is_empty() { Err(missing()) } else { Ok(files) }
}

/// The level of the lint in a manifest, which may take it from that of the workspace.
fn level(manifest: &Table, root: &Table) -> String {
    let lints = manifest.get("lints");
    let inherits = lints.and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool) == Some(true);
    let lints = if inherits { root.get("workspace").and_then(|workspace| workspace.get("lints")) } else { lints };
    let lint = lints.and_then(|lints| lints.get("rust")?.get("unsafe_code"));
    let level = lint.and_then(|lint| lint.as_str().or_else(|| lint.get("level")?.as_str()));
    level.unwrap_or("not set").to_owned()
}

/// Whether a source uses `unsafe`, or lets itself use it.
fn holds_unsafe(text: &str) -> bool {
    let code = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    let mut words = Vec::new();
    for line in code {
        // What stands between quotation marks is no code.
        let code: String = line.replace("\\\"", "").replace("'\"'", "").split('"').step_by(2).collect();
        let code = code.split(" //").next().unwrap_or_default();
        let separates = |c: char| !(c.is_alphanumeric() || "_{(".contains(c));
        words.extend(code.split(separates).filter(|word| !word.is_empty()).map(str::to_owned));
    }
    words.windows(2).any(|pair| match pair {
        // No `unsafe` has to be written for it, although it is.
        [first, next] if first == "global_asm" => next.starts_with('('),
        [first, next] if first == "unsafe" => {
            ["{", "fn", "impl", "extern", "trait"].iter().any(|word| next.starts_with(word))
        }
        [first, _] => {
            let attribute = ["allow(unsafe_code", "expect(unsafe_code", "warn(unsafe_code", "unsafe(", "unsafe{"];
            attribute.iter().any(|word| first.starts_with(word))
        }
        _ => false,
    })
}

/// All Rust sources below a folder, with their paths from the root; not what was built.
fn walk(workspace: &Workspace, folder: &Path, found: &mut Vec<(String, String)>) -> Result<(), Failure> {
    let failed = |error| Failure::because(&folder.display().to_string(), error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                walk(workspace, &path, found)?;
            }
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).map_err(failed)?;
            found.push((workspace.relative(&path).to_string_lossy().into_owned(), text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USES: &str = "fn f() {\n    unsafe { g() }\n}\n";

    fn wrong(listed: &[&str], level: &str, source: &str) -> Vec<String> {
        let listed = listed.iter().map(|file| (*file).to_owned()).collect();
        let levels = BTreeMap::from([("a".to_owned(), level.to_owned())]);
        judge(&listed, &levels, &[("a/src/lib.rs".to_owned(), source.to_owned())])
    }

    #[test]
    fn forbidden_and_absent_or_listed_and_denied() {
        assert!(wrong(&[], "forbid", "fn f() {}\n").is_empty());
        assert!(wrong(&["a/src/lib.rs"], "deny", USES).is_empty());
    }

    #[test]
    fn a_package_that_does_not_forbid_it_fails() {
        for level in ["not set", "allow", "warn", "deny"] {
            assert_eq!(wrong(&[], level, "fn f() {}\n").len(), 1, "{level}");
        }
    }

    #[test]
    fn a_file_is_of_the_innermost_package() {
        let listed = BTreeSet::from(["a/b/src/lib.rs".to_owned()]);
        let levels = [("a", "forbid"), ("a/b", "deny")].map(|(folder, level)| (folder.to_owned(), level.to_owned()));
        let sources = [("a/b/src/lib.rs".to_owned(), USES.to_owned())];
        assert!(judge(&listed, &BTreeMap::from(levels), &sources).is_empty());
    }

    #[test]
    fn files_and_list_have_to_agree() {
        assert!(wrong(&[], "forbid", USES)[0].contains("a/src/lib.rs holds it"));
        assert!(wrong(&["a/src/lib.rs"], "deny", "fn f() {}\n")[0].contains("holds none"));
        assert!(wrong(&["b/src/lib.rs"], "forbid", "fn f() {}\n")[0].contains("b/src/lib.rs"));
    }

    #[test]
    fn levels_come_from_the_manifest_or_the_workspace() {
        let root: Table = "[workspace.lints.rust]\nunsafe_code = \"forbid\"".parse().unwrap();
        let of = |manifest: &str| level(&manifest.parse().unwrap(), &root);
        assert_eq!(of("[lints]\nworkspace = true"), "forbid");
        assert_eq!(of("[lints.rust]\nunsafe_code = \"deny\""), "deny");
        assert_eq!(of("[lints.rust]\nunsafe_code = { level = \"warn\", priority = 1 }"), "warn");
        assert_eq!(of("[lints.clippy]\ntodo = \"deny\""), "not set");
        assert_eq!(of(""), "not set");
    }

    #[test]
    fn only_code_counts() {
        let uses = [
            "unsafe { f() }",
            "pub const unsafe fn new() {}",
            "unsafe impl Send for X {}",
            "#[unsafe(no_mangle)]\nfn f() {}",
            "#![allow(unsafe_code)]\nfn f() {}",
            "unsafe\n{ f() }",
            "core::arch::global_asm!(\n    \".global memcpy\",\n);",
            "let x = unsafe{ f() };",
        ];
        for text in uses {
            assert!(holds_unsafe(text), "{text}");
        }
        let does_not =
            ["// unsafe { f() }", "//! No `unsafe` fn here.", "f(); // unsafe { g() }", "let unsafe_code = 1;", ""];
        for text in does_not {
            assert!(!holds_unsafe(text), "{text}");
        }
    }

    #[test]
    fn the_list_says_why() {
        let document = |row: &str| {
            format!("# Security\n{HEADING}\n\ntext\n\n| file | why |\n|---|---|\n{row}\n\n## Next\n| `b` | x |\n")
        };
        assert_eq!(listed(&document("| `a/b.rs` | needed |")).unwrap(), BTreeSet::from(["a/b.rs".to_owned()]));
        assert!(listed(&document("| `a/b.rs` | |")).is_err_and(|failure| failure.to_string().contains("why")));
        assert!(listed(&document("")).is_err() && listed("# Security").is_err());
    }
}
