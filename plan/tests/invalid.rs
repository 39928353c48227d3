//! What people read when a file is wrong: one mistake per file, one message each.
//!
//! `tests/invalid/KIND-MISTAKE.toml` has its message beside it in a `.txt`. To accept changed
//! messages, run the test with `BLESS=1` and read the difference.

use plan::machine::Device;
use plan::scenario::reader::Problems;
use plan::scenario::{self, Kind, template};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn device() -> Device {
    let text = template(Kind::Device);
    Device { name: "lab".into(), ..scenario::parse_device(text).unwrap() }
}

fn read(kind: &str, text: &str) -> Result<(), Problems> {
    let find = |name: &str| (name == "lab").then(device);
    match kind {
        "device" => scenario::parse_device(text).map(drop),
        "cluster" => scenario::parse_cluster(text, &find).map(drop),
        "model" => scenario::parse_model(text).map(drop),
        "corpus" => scenario::parse_corpus(text).map(drop),
        other => panic!("no kind of file is called {other}"),
    }
}

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    paths.sort();
    paths
}

#[test]
fn each_mistake_has_its_message() {
    let bless = env::var_os("BLESS").is_some();
    let mut wrong = String::new();
    for path in examples() {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let kind = stem.split('-').next().unwrap();
        let Err(problems) = read(kind, &text) else {
            wrong.push_str(&format!("{stem}: accepted\n"));
            continue;
        };
        let found = problems.render(&text);
        if problems.list.len() != 1 {
            wrong.push_str(&format!("{stem}: {} problems\n{found}", problems.list.len()));
        }
        let expected = path.with_extension("txt");
        if bless {
            fs::write(&expected, &found).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push_str(&format!("{stem}: the message is now\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(examples().len() >= 50);
}

#[test]
fn every_span_lies_on_character_boundaries_of_the_text() {
    for path in examples() {
        let text = fs::read_to_string(&path).unwrap();
        for kind in ["device", "cluster", "model", "corpus"] {
            let Err(problems) = read(kind, &text) else { continue };
            for problem in problems.list {
                assert!(text.get(problem.span.clone()).is_some(), "{problem:?}");
                assert!(!problem.label.is_empty() && !problem.message.ends_with('.'));
            }
        }
    }
}

/// Shipped files and templates as seeds.
fn seeds() -> Vec<String> {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let some =
        ["devices/a100-sxm-80gb", "clusters/dgx1v", "models/mesh-ffn", "models/mixtral-8x7b"];
    let read =
        |name: &str| fs::read_to_string(scenarios.join(name).with_extension("toml")).unwrap();
    let templates = Kind::ALL.iter().map(|(_, kind)| template(*kind).to_string());
    some.iter().map(|name| read(name)).chain(templates).collect()
}

proptest! {
    /// Whatever the text, the answer is a value or problems with a place in the text.
    #[test]
    fn no_text_makes_a_parser_panic(
        seed in 0usize..8,
        from in 0usize..3000,
        length in 0usize..40,
        inserted in "[\\[\\]{}=\"'.,#\n 0-9a-zµ-]{0,12}",
    ) {
        let seeds = seeds();
        let characters: Vec<char> = seeds[seed % seeds.len()].chars().collect();
        let from = from % characters.len();
        let mut text: String = characters[..from].iter().collect();
        text.push_str(&inserted);
        text.extend(&characters[(from + length).min(characters.len())..]);
        for kind in ["device", "cluster", "model", "corpus"] {
            if let Err(problems) = read(kind, &text) {
                prop_assert!(!problems.list.is_empty());
                for problem in &problems.list {
                    prop_assert!(text.get(problem.span.clone()).is_some(), "{:?}", problem);
                }
            }
        }
        let _ = scenario::names(&text);
    }
}
