//! Which packages a program is made of: `cargo tree` resolves features and targets as a build does, `cargo metadata` and
//! the lock file say the rest.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::process::Failure;
use crate::supply;
use crate::workspace::Workspace;

/// A name and a version.
pub(super) type Key = (String, String);

/// One package.
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) licence: Option<String>,
    pub(super) repository: Option<String>,
    /// SHA-256 of what the registry hands out; none for a part of this tree.
    pub(super) checksum: Option<String>,
    /// Its code is in the program. Otherwise it ran while the program was built.
    pub(super) inside: bool,
}

impl Package {
    /// The package's URL in the form of the package-url specification.
    pub(super) fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version.replace('+', "%2B"))
    }
}

/// All packages of a program, and which of them needs which.
pub(super) struct Graph {
    pub(super) root: Key,
    pub(super) packages: BTreeMap<Key, Package>,
    pub(super) edges: BTreeMap<Key, BTreeSet<Key>>,
}

impl Graph {
    /// That of a package's programs, built for a target with its usual features.
    pub(super) fn read(workspace: &Workspace, manifest: &str, package: &str, target: &str) -> Result<Self, Failure> {
        let tree = |edges: &str| {
            let run = workspace.cargo().args(["tree", "--locked", "--manifest-path", manifest, "--package", package]);
            run.args(["--target", target, "--edges", edges, "--prefix", "depth", "--format", " {p}"]).output()
        };
        let (_, inside) = edges(&tree("normal,no-proc-macro")?)?;
        let (root, edges) = edges(&tree("normal,build")?)?;
        let known = described(workspace, manifest)?;
        let checksums = checksums(&supply::read(workspace, &manifest.replace(".toml", ".lock"))?)?;
        let mut packages = BTreeMap::new();
        for key in edges.keys() {
            let text = |name: &str| known.get(key).and_then(|package| package[name].as_str()).map(str::to_owned);
            let package = Package {
                name: key.0.clone(),
                version: key.1.clone(),
                licence: text("license"),
                repository: text("repository"),
                checksum: checksums.get(key).cloned(),
                inside: inside.contains_key(key),
            };
            if text("source").is_some() != package.checksum.is_some() {
                return Err(Failure::new(format!("{} {} has no checksum in its lock file", key.0, key.1)));
            }
            packages.insert(key.clone(), package);
        }
        Ok(Self { root, packages, edges })
    }
}

/// The root and all edges of a tree that `cargo tree` printed: a depth, a name, a version. What was shown before is marked
/// and not shown again, so that edges are collected over all places.
fn edges(tree: &str) -> Result<(Key, BTreeMap<Key, BTreeSet<Key>>), Failure> {
    let odd = |line: &str| Failure::new(format!("`cargo tree` printed {line:?}"));
    let mut edges: BTreeMap<Key, BTreeSet<Key>> = BTreeMap::new();
    let mut above: Vec<Key> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let (depth, name, version) = (words.next(), words.next(), words.next());
        let depth: usize = depth.and_then(|depth| depth.parse().ok()).ok_or_else(|| odd(line))?;
        let version = version.and_then(|version| version.strip_prefix('v')).ok_or_else(|| odd(line))?;
        let key = (name.unwrap_or_default().to_owned(), version.to_owned());
        if depth > above.len() || (depth == 0) != above.is_empty() {
            return Err(odd(line));
        }
        above.truncate(depth);
        if let Some(parent) = above.last() {
            edges.entry(parent.clone()).or_default().insert(key.clone());
        }
        edges.entry(key.clone()).or_default();
        above.push(key);
    }
    let root = above.into_iter().next().ok_or_else(|| odd(""))?;
    Ok((root, edges))
}

/// What `cargo metadata` says of each package.
fn described(workspace: &Workspace, manifest: &str) -> Result<BTreeMap<Key, Value>, Failure> {
    let packages = supply::metadata(workspace, manifest)?;
    let text = |package: &Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    Ok(packages.into_iter().map(|package| ((text(&package, "name"), text(&package, "version")), package)).collect())
}

fn checksums(lock: &str) -> Result<BTreeMap<Key, String>, Failure> {
    let lock: toml::Table = lock.parse().map_err(|error| Failure::because("reading a lock file", error))?;
    let packages = lock.get("package").and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |package: &toml::Value, key: &str| package.get(key)?.as_str().map(str::to_owned);
    let entry = |package| Some(((text(package, "name")?, text(package, "version")?), text(package, "checksum")?));
    Ok(packages.iter().filter_map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        (name.to_owned(), "1.0.0".to_owned())
    }

    #[test]
    fn trees_are_read() {
        let tree = "0 root v1.0.0 (/a b/c)\n1 a v1.0.0\n2 b v1.0.0 (proc-macro)\n3 c v1.0.0\n1 c v1.0.0\n1 d v1.0.0\n\
                    2 a v1.0.0 (*)\n";
        let (root, edges) = edges(tree).unwrap();
        assert_eq!(root, key("root"));
        let of = |name| edges[&key(name)].iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        assert_eq!((of("root"), of("a"), of("b"), of("d")), (vec!["a", "c", "d"], vec!["b"], vec!["c"], vec!["a"]));
        assert!(of("c").is_empty());
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        for odd in ["", "root v1.0.0", "0 root", "0 root v1.0.0\n2 a v1.0.0", "0 a v1.0.0\n0 b v1.0.0", "1 a v1.0.0"] {
            assert!(edges(odd).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn checksums_are_read() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"00\"\n\n[[package]]\nname = \"ours\"\n\
                    version = \"0.1.0\"\n";
        assert_eq!(checksums(lock).unwrap(), BTreeMap::from([(key("a"), "00".to_owned())]));
    }
}
