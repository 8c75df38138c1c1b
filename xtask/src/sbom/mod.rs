//! What is in a program: a bill of materials in CycloneDX's form for the relay, for `smp`, and for each board's firmware.
//!
//! Written by this program and not by a tool, because it is the same for the same source: no time, no random number. The
//! serial number is that of the contents.

mod graph;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::graph::{Graph, Package};
use crate::outside::{self, Kind};
use crate::process::{Failure, Run};
use crate::workspace::Workspace;

const HELP: &str = "`cargo xtask sbom [--target TRIPLE] [FOLDER]`";

/// A program, or the firmware of a board.
struct Product {
    name: String,
    kind: &'static str,
    package: &'static str,
    /// The manifest whose lock file counts, from the root.
    manifest: String,
    target: String,
}

/// `cargo xtask sbom`: writes one file for each program into a folder, `target/sbom` if none is named.
pub(crate) fn chore(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    let (mut target, mut folder) = (None, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--target" => target = words.next().cloned(),
            word if !word.starts_with('-') && folder.is_none() => folder = Some(PathBuf::from(word)),
            _ => return Err(Failure::new(format!("this is {HELP}"))),
        }
    }
    let target = target.map_or_else(host, Ok)?;
    let folder = folder.unwrap_or_else(|| workspace.root.join("target/sbom"));
    write(workspace, &target, &folder).map(drop)
}

/// Writes the files, and says how they are called.
pub(crate) fn write(workspace: &Workspace, target: &str, folder: &Path) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    let failed = |error| Failure::because(&folder.display().to_string(), error);
    fs::create_dir_all(folder).map_err(failed)?;
    for product in products(workspace, target) {
        let graph = Graph::read(workspace, &product.manifest, product.package, &product.target)?;
        let bill = bill(&product, &graph)?;
        let name = format!("{}.cdx.json", product.name);
        let path = folder.join(&name);
        let text = serde_json::to_string_pretty(&bill).map_err(|error| Failure::because("writing JSON", error))?;
        fs::write(&path, text + "\n").map_err(failed)?;
        let inside = graph.packages.values().filter(|package| package.inside).count();
        let outside = graph.packages.len().saturating_sub(inside);
        println!("{}: {inside} packages in it, {outside} that helped to build it", path.display());
        names.push(name);
    }
    Ok(names)
}

fn products(workspace: &Workspace, target: &str) -> Vec<Product> {
    let program = |name: &str| Product {
        name: name.to_owned(),
        kind: "application",
        package: "smp-std",
        manifest: "Cargo.toml".to_owned(),
        target: target.to_owned(),
    };
    let mut products = vec![program("smp-server"), program("smp")];
    for package in outside::all(workspace) {
        if let Kind::Firmware(target) = package.kind {
            let (name, target) = (package.name().to_owned(), target.triple().to_owned());
            let manifest = package.file("Cargo.toml");
            products.push(Product { package: package.name(), name, kind: "firmware", manifest, target });
        }
    }
    products
}

/// The triple of this computer.
pub(crate) fn host() -> Result<String, Failure> {
    let said = Run::new("rustc").arg("-vV").output()?;
    let line = said.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).ok_or_else(|| Failure::new("rustc does not say for what it compiles"))
}

/// The document of one product.
fn bill(product: &Product, graph: &Graph) -> Result<Value, Failure> {
    let root = graph.packages.get(&graph.root).ok_or_else(|| Failure::new("a graph without a root"))?;
    let reference = format!("{}@{}", product.name, root.version);
    let components = graph.packages.values().map(component).collect::<Result<Vec<_>, _>>()?;
    let references: BTreeMap<_, _> = graph.packages.iter().map(|(key, package)| (key, package.purl())).collect();
    let mut dependencies = vec![json!({ "ref": &reference, "dependsOn": [root.purl()] })];
    for (key, package) in &graph.packages {
        let mut on: Vec<&String> =
            graph.edges.get(key).into_iter().flatten().filter_map(|key| references.get(key)).collect();
        on.sort();
        dependencies.push(json!({ "ref": package.purl(), "dependsOn": on }));
    }
    let mut bill = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": product.kind,
                "bom-ref": reference,
                "name": product.name,
                "version": root.version,
                "licenses": [{ "expression": licence(root)? }],
                "properties": [{ "name": "cargo:target", "value": product.target }],
            },
        },
        "components": components,
        "dependencies": dependencies,
    });
    let serial = serial(&bill.to_string());
    bill["serialNumber"] = Value::String(serial);
    Ok(bill)
}

fn component(package: &Package) -> Result<Value, Failure> {
    let purl = package.purl();
    let mut component = json!({
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        // What only runs while the program is built is in no program.
        "scope": if package.inside { "required" } else { "excluded" },
        "licenses": [{ "expression": licence(package)? }],
        "purl": purl,
    });
    if let Some(checksum) = &package.checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    if let Some(address) = package.repository.as_deref().filter(|address| address.starts_with("https://")) {
        component["externalReferences"] = json!([{ "type": "vcs", "url": address }]);
    }
    Ok(component)
}

/// The licence as SPDX writes it: old manifests have `MIT/Apache-2.0`.
fn licence(package: &Package) -> Result<String, Failure> {
    let stated = package.licence.as_deref().unwrap_or_default();
    let failed = |error| Failure::because(&format!("the licence of {}", package.name), error);
    let proper = spdx::Expression::canonicalize(stated).map_err(|error| failed(error.to_string()))?;
    Ok(proper.unwrap_or_else(|| stated.to_owned()))
}

/// A UUID (version 8, RFC 9562) from the contents.
fn serial(contents: &str) -> String {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(Sha256::digest(contents)).for_each(|(byte, digest)| *byte = digest);
    let [.., seventh, _, ninth, _, _, _, _, _, _, _] = &mut bytes;
    *seventh = *seventh & 0x0f | 0x80;
    *ninth = *ninth & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default().to_owned());
    format!("urn:uuid:{}", parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product() -> Product {
        let (name, target) = ("program".to_owned(), "x86_64-unknown-linux-gnu".to_owned());
        Product { name, kind: "application", package: "program", manifest: "Cargo.toml".to_owned(), target }
    }

    fn graph() -> Graph {
        let package = |name: &str, version: &str, licence: &str, inside: bool| Package {
            name: name.into(),
            version: version.into(),
            licence: Some(licence.into()),
            repository: Some("https://example.org/a".into()),
            checksum: inside.then(|| "00".repeat(32)),
            inside,
        };
        let packages = [
            package("program", "0.1.0", "MIT OR Apache-2.0", true),
            package("a", "1.0.0+spec-1", "MIT/Apache-2.0", true),
            package("derive", "2.0.0", "MIT", false),
        ];
        let key = |package: &Package| (package.name.clone(), package.version.clone());
        let [root, a, derive] = packages.each_ref().map(key);
        Graph {
            root: root.clone(),
            edges: [(root, [a.clone(), derive.clone()].into()), (a, [derive].into())].into(),
            packages: packages.into_iter().map(|package| (key(&package), package)).collect(),
        }
    }

    #[test]
    fn a_bill_names_every_package_once_and_what_it_needs() {
        let bill = bill(&product(), &graph()).unwrap();
        let components = bill["components"].as_array().unwrap();
        let a = components.iter().find(|component| component["name"] == "a").unwrap();
        assert_eq!(a["purl"], "pkg:cargo/a@1.0.0%2Bspec-1");
        assert_eq!(a["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!((&a["scope"], &a["hashes"][0]["alg"]), (&json!("required"), &json!("SHA-256")));
        let derive = components.iter().find(|component| component["name"] == "derive").unwrap();
        assert_eq!(derive["scope"], "excluded");
        let mut references: Vec<&Value> = components.iter().map(|component| &component["bom-ref"]).collect();
        references.push(&bill["metadata"]["component"]["bom-ref"]);
        let dependencies = bill["dependencies"].as_array().unwrap();
        assert_eq!(dependencies.len(), references.len());
        for dependency in dependencies {
            let all = dependency["dependsOn"].as_array().unwrap().iter().chain([&dependency["ref"]]);
            assert!(all.into_iter().all(|reference| references.contains(&reference)), "{dependency}");
        }
        assert_eq!(dependencies[0]["dependsOn"], json!(["pkg:cargo/program@0.1.0"]));
    }

    #[test]
    fn bills_are_the_same_for_the_same_contents_only() {
        let first = bill(&product(), &graph()).unwrap();
        assert_eq!(first, bill(&product(), &graph()).unwrap());
        let mut other = graph();
        other.packages.values_mut().for_each(|package| package.checksum = None);
        assert_ne!(first["serialNumber"], bill(&product(), &other).unwrap()["serialNumber"]);
    }

    #[test]
    fn serial_numbers_are_uuids() {
        // The first half of SHA-256 of "abc", with version 8 and the variant of RFC 9562.
        assert_eq!(serial("abc"), "urn:uuid:ba7816bf-8f01-8fea-8141-40de5dae2223");
    }
}
