//! Which crate may import which: the arrows of ARCHITECTURE.md.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What each crate imports of the workspace, in every kind of build: exactly this, no more and no
/// less. The executor knows neither planner nor cost model: any tool may drive it with a plan.
const ARROWS: [(&str, &[&str]); 5] = [
    ("plan", &[]),
    ("cost-model", &["plan"]),
    ("planner", &["plan", "cost-model"]),
    ("executor", &["plan"]),
    ("tui", &["plan", "cost-model", "planner"]),
];

/// The one crate that may import all others: flags, rendering, files, exit codes.
const FACE: &str = "meshwright";

type Imports = BTreeMap<String, BTreeSet<String>>;

/// Crates of the workspace and what each imports of it.
fn imports(metadata: &Value) -> Imports {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_string();
    let members: BTreeSet<String> = packages.iter().map(name).collect();
    let imported = |package: &Value| -> BTreeSet<String> {
        let all = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().map(name).filter(|dependency| members.contains(dependency)).collect()
    };
    packages.iter().map(|package| (name(package), imported(package))).collect()
}

/// What is wrong with `imports`.
fn wrong_arrows(imports: &Imports) -> Vec<String> {
    let mut wrong: Vec<String> = Vec::new();
    for (name, found) in imports.iter().filter(|(name, _)| *name != FACE) {
        let Some((_, to)) = ARROWS.iter().find(|(of, _)| of == name) else {
            wrong.push(format!("`{name}` is not in the table: add it on purpose"));
            continue;
        };
        let to: BTreeSet<String> = to.iter().map(ToString::to_string).collect();
        if to != *found {
            wrong.push(format!("`{name}` imports {found:?}; the house says {to:?}"));
        }
    }
    let missing = ARROWS.iter().filter(|(name, _)| !imports.contains_key(*name));
    wrong.extend(missing.map(|(name, _)| format!("`{name}` is not a member of the workspace")));
    wrong
}

/// What cargo itself knows about the workspace.
fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs, for it runs this test");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata failed: {error}");
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}

#[test]
fn arrows_point_one_way() {
    let wrong = wrong_arrows(&imports(&metadata()));
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn an_arrow_too_much_fails() {
    let mut imports = imports(&metadata());
    imports.entry("executor".into()).or_default().insert("planner".into());
    let wrong = wrong_arrows(&imports);
    assert!(wrong.len() == 1 && wrong[0].starts_with("`executor` imports"), "{wrong:?}");
}

#[test]
fn an_arrow_too_few_and_a_stranger_fail() {
    let mut imports = imports(&metadata());
    imports.remove("tui");
    imports.insert("stranger".into(), BTreeSet::new());
    let wrong = wrong_arrows(&imports).join("\n");
    assert!(wrong.contains("`stranger` is not in the table"), "{wrong}");
    assert!(wrong.contains("`tui` is not a member"), "{wrong}");
}
