//! Properties of the source itself, as tests: sizes, words, purity, sources of data.
//!
//! A rule is a function from a file to complaints. Each has a test of its own that shows that it
//! can fail; each test here applies one rule to the whole tree. Exceptions live in `allow.rs` and
//! carry their reason.

mod allow;
mod bans;
mod data;
mod derives;
mod documents;
mod lexer;
mod sizes;
mod tree;
mod words;

use tree::{Complaint, File};

/// Fails with every complaint of `rule` about the tree that no exception covers.
fn enforce(rule: &str, check: impl Fn(&File) -> Vec<Complaint>) {
    let files = File::all();
    enforce_on(rule, &files, check);
}

fn enforce_on(rule: &str, files: &[File], check: impl Fn(&File) -> Vec<Complaint>) {
    let complaints = files.iter().flat_map(check).collect();
    let open = allow::unexcused(rule, complaints, allow::EXCEPTIONS);
    assert!(open.is_empty(), "\n{}\n", open.join("\n"));
}

/// As [`enforce`], leaving out files that only tests compile.
fn enforce_on_shipped(rule: &str, check: impl Fn(&File) -> Vec<Complaint>) {
    enforce_on(rule, &tree::drop_test_modules(File::all()), check);
}

#[test]
fn files_are_short() {
    enforce_on_shipped("files_are_short", sizes::files_are_short);
}

#[test]
fn functions_are_short() {
    enforce("functions_are_short", sizes::functions_are_short);
}

#[test]
fn lines_are_short() {
    enforce("lines_are_short", sizes::lines_are_short);
}

#[test]
fn nothing_is_unfinished_or_silenced() {
    enforce("constructs", bans::constructs);
    enforce("markers", |file| if is_tidy(file) { Vec::new() } else { bans::markers(file) });
}

#[test]
fn libraries_do_not_unwrap() {
    enforce_on_shipped("unwraps", bans::unwraps);
}

#[test]
fn pure_crates_walk_no_hash_map() {
    enforce_on_shipped("hash_maps", bans::hash_maps);
}

#[test]
fn pure_crates_see_only_their_arguments() {
    enforce_on_shipped("world", bans::world);
}

#[test]
fn no_file_names_one_machine() {
    enforce(
        "machine_paths",
        |file| {
            if is_tidy(file) { Vec::new() } else { bans::machine_paths(file) }
        },
    );
}

#[test]
fn one_word_per_concept() {
    let files = File::all();
    let glossary = files.iter().find(|file| file.path == "docs/glossary.md");
    let bans = words::bans(glossary.map_or("", |file| &file.text));
    assert!(bans.len() >= 10, "docs/glossary.md bans {} phrases only", bans.len());
    enforce_on("vocabulary", &files, |file| words::vocabulary(file, &bans));
}

#[test]
fn serde_is_derived_in_plan_only() {
    enforce_on_shipped("serde", derives::serde);
}

#[test]
fn every_data_value_has_a_source() {
    enforce("sources", data::sources);
}

#[test]
fn every_dependency_has_a_reason() {
    enforce("dependencies", data::dependencies);
}

#[test]
fn every_release_lists_its_predictions() {
    enforce("changelog", data::changelog);
}

#[test]
fn documents_keep_their_promises() {
    let files = File::all();
    enforce("lengths", documents::lengths);
    enforce("links", |file| documents::links(file, &files));
    enforce("named_tests", |file| documents::named_tests(file, &files));
    enforce("invariants", documents::invariants);
    enforce("commands", documents::commands);
}

#[test]
fn ci_builds_without_cuda() {
    let files = File::all();
    let script = files.iter().find(|file| file.path == ".ci/run").map_or("", |f| &f.text);
    for needed in ["unset CUDA_HOME CUDA_PATH", "ldd target/release/meshwright", "cargo build"] {
        assert!(script.contains(needed), ".ci/run lost `{needed}`");
    }
    let manifests = files.iter().filter(|file| file.path.ends_with("Cargo.toml"));
    let asks = manifests.filter(|file| file.text.contains("\nlinks = "));
    assert_eq!(asks.map(|file| file.path.as_str()).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn the_documents_are_there() {
    let files = File::all();
    let needed = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "docs/glossary.md",
        "docs/performance.md",
    ];
    let missing = needed.into_iter().filter(|path| !files.iter().any(|file| file.path == *path));
    assert_eq!(missing.collect::<Vec<_>>(), [""; 0]);
}

/// The rules quote what they ban.
fn is_tidy(file: &File) -> bool {
    file.is_in("tests/tidy")
}
