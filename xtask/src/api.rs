//! The public interface of each library crate, one line for each item, in `docs/api`. A change of it shows in the diff of
//! a commit and not only in the code of those who use the crate.
//!
//! The compiler's own description of a crate (rustdoc's JSON) is what `public-api` reads. It is unstable: another release of
//! the compiler may describe it otherwise. The lists are those of the oldest compiler that is promised, and with a later
//! one the step says that nobody has looked.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::features;
use crate::process::{Failure, Run};
use crate::supply::rust_version;
use crate::workspace::{Package, Workspace};

const FOLDER: &str = "docs/api";

/// How many lines of a difference are shown.
const SHOWN: usize = 60;

/// Set for [`as_rustdoc`].
const AS_RUSTDOC: &str = "XTASK_AS_RUSTDOC";

/// The step of `cargo xtask test`.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let compiler = Run::new("rustc").arg("--version").output()?;
    if rust_version::tried(&compiler, &workspace.rust_version) != Some(true) {
        let (promised, compiler) = (&workspace.rust_version, compiler.trim());
        println!("SKIPPED: {FOLDER} is as Rust {promised} describes it, and this is {compiler}");
        return Ok(());
    }
    let mut different = Vec::new();
    for package in libraries(workspace) {
        let now = describe(workspace, package)?;
        let file = file(package);
        let then = fs::read_to_string(workspace.root.join(&file)).unwrap_or_default();
        let (gone, new) = difference(&then, &now);
        println!("{file}: {} lines", now.lines().count());
        if then != now {
            different.push(shown(&file, &gone, &new));
        }
    }
    let known: BTreeSet<PathBuf> = libraries(workspace).map(|package| workspace.root.join(file(package))).collect();
    let folder = fs::read_dir(workspace.root.join(FOLDER)).map_err(|error| Failure::because(FOLDER, error))?;
    let stray = folder.flatten().map(|entry| entry.path()).filter(|path| !known.contains(path));
    different.extend(stray.map(|path| format!("{} is of no crate", workspace.relative(&path).display())));
    if different.is_empty() {
        return Ok(());
    }
    let remedy = "if that is meant, run `cargo xtask api --bless` and say in CHANGELOG.md what users have to change";
    Err(Failure::new(format!("{}\n{remedy}", different.join("\n"))))
}

/// `cargo xtask api`.
pub(crate) fn chore(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    match arguments {
        [] => check(workspace),
        [one] if one == "--bless" => {
            let written = |error| Failure::because(FOLDER, error);
            fs::create_dir_all(workspace.root.join(FOLDER)).map_err(written)?;
            for package in libraries(workspace) {
                fs::write(workspace.root.join(file(package)), describe(workspace, package)?).map_err(written)?;
            }
            Ok(())
        }
        _ => Err(Failure::new("`cargo xtask api` knows --bless only")),
    }
}

/// The rustdoc that cargo calls: the usual one, which this lets use what is unstable. If cargo itself were allowed to, the
/// build scripts of some dependencies would notice, and all would be compiled again.
pub(crate) fn as_rustdoc() -> Option<ExitCode> {
    std::env::var_os(AS_RUSTDOC)?;
    let arguments = std::env::args_os().skip(1);
    let status = Command::new("rustdoc").args(arguments).env("RUSTC_BOOTSTRAP", "1").status();
    Some(if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn libraries(workspace: &Workspace) -> impl Iterator<Item = &Package> {
    workspace.packages.iter().filter(|package| package.published_library)
}

fn file(package: &Package) -> String {
    format!("{FOLDER}/{}.txt", package.name)
}

/// The interface of a crate with all features that go together.
fn describe(workspace: &Workspace, package: &Package) -> Result<String, Failure> {
    let features = features::sets(package).pop().unwrap_or_default().join(",");
    let this = std::env::current_exe().map_err(|error| Failure::because("finding xtask", error))?;
    let run = workspace.cargo().env("RUSTDOC", this).env(AS_RUSTDOC, "1");
    let run = run.arg("rustdoc").arg("--target-dir").arg(workspace.root.join("target"));
    let run = run.args(["--quiet", "--lib", "--package", &package.name, "--no-default-features"]);
    let run =
        run.args(["--features", &features, "--", "-Zunstable-options", "--output-format=json", "--cap-lints=allow"]);
    run.output()?;
    let described = workspace.root.join(format!("target/doc/{}.json", package.name.replace('-', "_")));
    list(&described)
}

fn list(described: &Path) -> Result<String, Failure> {
    let api = public_api::Builder::from_rustdoc_json(described).omit_blanket_impls(true).build();
    let api = api.map_err(|error| Failure::because(&format!("reading {}", described.display()), error))?;
    let lines: Vec<String> = api.items().map(ToString::to_string).collect();
    Ok(reduced(&lines))
}

/// Without what follows from other lines: the functions of a trait's implementation, whose form is the trait's, and that a
/// type may be sent to and shared between threads. That it may not is kept.
fn reduced(lines: &[String]) -> String {
    let mut text = String::new();
    let mut implementing: Option<&str> = None;
    for line in lines {
        let header = line.strip_prefix("impl").filter(|rest| rest.starts_with([' ', '<']));
        let member = implementing.is_some_and(|this| is_function_of(line, this));
        if header.is_some() {
            implementing = line.split_once(" for ").map(|(_, this)| this.split(" where ").next().unwrap_or(this));
        }
        let automatic = ["Freeze", "Send", "Sync", "Unpin", "UnsafeUnpin", "UnwindSafe", "RefUnwindSafe"];
        let automatic = header.and(line.split_once(" for ")).is_some_and(|(before, _)| {
            let name = before.rsplit([' ', ':']).next().unwrap_or_default();
            let denied = before.contains('!') && ["Send", "Sync", "Unpin"].contains(&name);
            automatic.contains(&name) && !denied
        });
        if !member && !automatic {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// Whether a line is `pub fn Type::name(…`, with words such as `const` in it.
fn is_function_of(line: &str, this: &str) -> bool {
    let Some((before, after)) = line.split_once("fn ") else { return false };
    let words = ["pub", "const", "async", "unsafe", "extern"];
    before.split_whitespace().all(|word| words.contains(&word) || word.starts_with('"'))
        && after.strip_prefix(this).is_some_and(|rest| rest.starts_with("::"))
}

/// Lines that are gone, and lines that are new.
fn difference<'t>(then: &'t str, now: &'t str) -> (Vec<&'t str>, Vec<&'t str>) {
    let lines = |text: &'t str| text.lines().collect::<BTreeSet<_>>();
    let (old, new) = (lines(then), lines(now));
    let only = |one: &'t str, other: &BTreeSet<&str>| one.lines().filter(|line| !other.contains(line)).collect();
    (only(then, &new), only(now, &old))
}

fn shown(file: &str, gone: &[&str], new: &[&str]) -> String {
    let mut text =
        format!("{file}: {} lines are gone, which can break what others build, and {} new", gone.len(), new.len());
    let lines = gone.iter().map(|line| ('-', line)).chain(new.iter().map(|line| ('+', line)));
    lines.clone().take(SHOWN).for_each(|(sign, line)| text.push_str(&format!("\n  {sign} {line}")));
    if lines.count() > SHOWN {
        text.push_str("\n  …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reduce(lines: &[&str]) -> Vec<String> {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        reduced(&lines).lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_a_trait_says_already_is_left_out() {
        let kept = [
            "pub struct a::B<'x>",
            "impl<'x> a::B<'x>",
            "pub const fn a::B<'x>::len(&self) -> usize",
            "impl<'x> a::Read for a::B<'x>",
            "pub type a::B<'x>::Item = u8",
            "pub fn a::free(a::B<'_>)",
        ];
        let mut all = kept.to_vec();
        all.insert(5, "pub fn a::B<'x>::read(&self) -> u8");
        assert_eq!(reduce(&all), kept);
    }

    #[test]
    fn threads_are_told_of_where_they_are_refused() {
        let automatic = [
            "impl core::marker::Send for a::B",
            "impl<T> core::marker::Sync for a::C<T> where T: core::marker::Sync",
            "impl !core::marker::Freeze for a::B",
            "impl core::panic::unwind_safe::UnwindSafe for a::B",
        ];
        assert!(reduce(&automatic).is_empty());
        let refused = ["impl !core::marker::Send for a::B", "impl<T> !core::marker::Unpin for a::C<T>"];
        assert_eq!(reduce(&refused), refused);
        assert_eq!(reduce(&["impl core::clone::Clone for a::Send"]).len(), 1);
    }

    #[test]
    fn differences_are_shown_with_what_is_gone_first() {
        let (gone, new) = difference("a\nb\nc\n", "a\nc\nd\n");
        assert_eq!((gone.as_slice(), new.as_slice()), (["b"].as_slice(), ["d"].as_slice()));
        assert!(shown("x.txt", &gone, &new).ends_with("\n  - b\n  + d"));
    }
}
