//! Programs to hand out: built so that the same source and the same compilers give the same bytes in every folder of every
//! computer, with the sums by which others can tell.
//!
//! Panics name source files, and C code may name itself. What the names have before the folder of a crate is taken away
//! from them, since cargo's own switch for that (`trim-paths`) is not stable.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::process::{Failure, Run};
use crate::route::{Route, Target};
use crate::sbom;
use crate::tools::Need;
use crate::workspace::Workspace;

const PROGRAMS: [&str; 2] = ["smp-server", "smp"];

/// `cargo xtask release`: programs, bills of materials and sums in `target/dist`.
pub(crate) fn chore(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    let target = target(arguments, "release")?;
    let place = Place { root: workspace.root.clone(), home: cargo_home()?, target: workspace.root.join("target/dist") };
    let folder = place.target.join("files");
    let failed = |error| Failure::because(&folder.display().to_string(), error);
    fs::create_dir_all(&folder).map_err(failed)?;
    let mut files = Vec::new();
    for path in place.build(workspace, &target)? {
        let name = path.file_name().unwrap_or_default().to_owned();
        fs::copy(&path, folder.join(&name)).map_err(failed)?;
        files.push(name.to_string_lossy().into_owned());
    }
    files.extend(sbom::write(workspace, &target, &folder)?);
    let mut sums = String::new();
    for name in files {
        sums.push_str(&format!("{}  {name}\n", sum(&folder.join(&name))?));
    }
    fs::write(folder.join("SHA256SUMS"), &sums).map_err(failed)?;
    println!("{}\n{sums}in {}", compilers(), folder.display());
    Ok(())
}

/// `cargo xtask reproduce`: builds the last commit twice, in two folders, with two homes of cargo, and compares.
pub(crate) fn reproduce(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    let target = target(arguments, "reproduce")?;
    let base = std::env::temp_dir().join(format!("smp-reproduce-{}", std::process::id()));
    let failed = |error| Failure::because(&base.display().to_string(), error);
    fs::create_dir(&base).map_err(failed)?;
    twice(workspace, &target, &base)?;
    fs::remove_dir_all(&base).map_err(failed)
}

fn twice(workspace: &Workspace, target: &str, base: &Path) -> Result<(), Failure> {
    let home = cargo_home()?;
    // Folders of another length.
    let other = base.join("and-another-with-a-longer-name");
    let places = [
        Place { root: base.join("one"), home: home.clone(), target: base.join("one/target") },
        Place { root: other.join("source"), home: other.join("home"), target: other.join("built") },
    ];
    let mut sums: Vec<Vec<String>> = Vec::new();
    // Somebody may commit meanwhile: the second is the commit of the first.
    let mut source = &workspace.root;
    for (number, place) in places.iter().enumerate() {
        Run::new("git").args(["clone", "--quiet"]).arg(source).arg(&place.root).run()?;
        source = &place.root;
        if place.home != home {
            second_home(&home, &place.home).map_err(|error| Failure::because("making a home for cargo", error))?;
        }
        let built = place.build(workspace, target)?;
        sums.push(built.iter().map(|path| sum(path)).collect::<Result<_, _>>()?);
        for path in built {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let kept = base.join(format!("{name}.{number}"));
            fs::copy(&path, &kept).map_err(|error| Failure::because(&kept.display().to_string(), error))?;
        }
        // Room for the next.
        let _ = fs::remove_dir_all(&place.target);
    }
    println!("{}", compilers());
    let [first, second] = sums.as_slice() else { return Err(Failure::new("not two builds")) };
    for ((name, one), other) in PROGRAMS.iter().zip(first).zip(second) {
        println!("{one}  {name}");
        if one != other {
            println!("{other}  {name}, built again");
        }
    }
    if first == second {
        println!("both builds gave the same bytes");
        Ok(())
    } else {
        Err(Failure::new(format!("two builds of the same source differ; they are in {}", base.display())))
    }
}

/// Where a build takes place.
struct Place {
    /// The source.
    root: PathBuf,
    /// What `CARGO_HOME` names.
    home: PathBuf,
    target: PathBuf,
}

impl Place {
    /// Builds the programs, and says where they are.
    fn build(&self, workspace: &Workspace, target: &str) -> Result<Vec<PathBuf>, Failure> {
        let cargo = || Run::cargo().dir(&self.root).env("CARGO_HOME", &self.home).env("CARGO_INCREMENTAL", "0");
        // The folders of sources have to be there before they can be named.
        cargo().args(["fetch", "--quiet", "--locked"]).run()?;
        let time = Run::new("git").dir(&self.root).args(["log", "-1", "--format=%ct"]).output()?;
        let (rust, c) = flags(&self.folders());
        let build = cargo().env("CARGO_ENCODED_RUSTFLAGS", rust).env("CFLAGS", c).env("SOURCE_DATE_EPOCH", time.trim());
        let build = build.args(["build", "--release", "--locked", "--package", "smp-std"]);
        let build = PROGRAMS.iter().fold(build, |build, program| build.args(["--bin", program]));
        let build = build.arg("--target-dir").arg(&self.target);
        if target == Target::Aarch64Linux.triple() {
            println!("{}", Need::Aarch64.ensure(workspace)?);
            Route::find(workspace, Target::Aarch64Linux)?.of(build, true).run()?;
        } else {
            // Named even if it is this computer's: the flags are then for the programs alone, and not for what helps to
            // build them.
            build.args(["--target", target]).run()?;
        }
        let folder = self.target.join(target).join("release");
        Ok(PROGRAMS.iter().map(|program| folder.join(program)).collect())
    }

    /// What has to vanish from names of files. The last that fits counts, and what is built may lie in the source.
    fn folders(&self) -> Vec<PathBuf> {
        sources(&self.home).into_iter().chain([self.root.clone(), self.target.clone()]).collect()
    }
}

/// Where the home of cargo keeps sources: the folder of all registries, then one folder for each. The last that fits a name
/// counts.
pub(crate) fn sources(home: &Path) -> Vec<PathBuf> {
    let registry = home.join("registry/src");
    let folders = fs::read_dir(&registry).into_iter().flatten().flatten().map(|folder| folder.path());
    let mut folders: Vec<PathBuf> = folders.collect();
    folders.sort();
    [registry].into_iter().chain(folders).collect()
}

/// What `CARGO_HOME` names, or would.
pub(crate) fn cargo_home() -> Result<PathBuf, Failure> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = variable("CARGO_HOME").or_else(|| Some(variable("HOME")?.join(".cargo")));
    home.ok_or_else(|| Failure::new("neither CARGO_HOME nor HOME is set"))
}

/// Flags for the Rust compiler, divided as cargo wants them, and for C compilers, which are divided at spaces and so get
/// none for folders with one.
fn flags(folders: &[PathBuf]) -> (OsString, OsString) {
    let (mut rust, mut c) = (OsString::new(), OsString::new());
    for folder in folders {
        if !rust.is_empty() {
            rust.push("\x1f");
        }
        rust.push("--remap-path-prefix=");
        rust.push(folder);
        rust.push("/=");
        if !folder.to_string_lossy().contains(' ') {
            c.push(" -ffile-prefix-map=");
            c.push(folder);
            c.push("/=");
        }
    }
    (rust, c)
}

/// A home of cargo that shares what was downloaded, and unpacks it again.
fn second_home(home: &Path, second: &Path) -> std::io::Result<()> {
    fs::create_dir_all(second.join("registry"))?;
    for entry in fs::read_dir(home)?.flatten().filter(|entry| entry.file_name() != "registry") {
        symlink(entry.path(), second.join(entry.file_name()))?;
    }
    for shared in ["cache", "index"].map(|name| Path::new("registry").join(name)) {
        if home.join(&shared).exists() {
            symlink(home.join(&shared), second.join(&shared))?;
        }
    }
    Ok(())
}

/// SHA-256 of a file, as `sha256sum` prints it.
fn sum(path: &Path) -> Result<String, Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::because(&path.display().to_string(), error))?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What the bytes depend on besides the source: the versions of both compilers.
fn compilers() -> String {
    let c = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let first = |run: Run| run.output().unwrap_or_default().lines().next().unwrap_or_default().to_owned();
    format!("{}; {}", first(Run::new("rustc").arg("--version")), first(Run::new(c).arg("--version")))
}

fn target(arguments: &[String], chore: &str) -> Result<String, Failure> {
    match arguments {
        [] => sbom::host(),
        [option, target] if option == "--target" => Ok(target.clone()),
        _ => Err(Failure::new(format!("this is `cargo xtask {chore} [--target TRIPLE]`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_vanish_from_names() {
        let folders = ["/home/a/registry/src", "/b c"].map(PathBuf::from);
        let (rust, c) = flags(&folders);
        assert_eq!(rust, "--remap-path-prefix=/home/a/registry/src/=\x1f--remap-path-prefix=/b c/=");
        assert_eq!(c, " -ffile-prefix-map=/home/a/registry/src/=");
    }

    #[test]
    fn targets_are_read() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(target(&words(&["--target", "x"]), "release").unwrap(), "x");
        assert!(target(&words(&["--target"]), "release").is_err() && target(&words(&["x"]), "release").is_err());
    }
}
