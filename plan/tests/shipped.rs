//! Every scenario that is shipped reads, names itself, and points only at things that exist.

use plan::machine::Device;
use plan::scenario::{self, Names};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// Software stacks that models and clusters may name; their files belong to the cost model.
const STACKS: [&str; 13] = [
    "megatron-2021",
    "megatron-2022",
    "megatron-core",
    "llm-foundry",
    "torchtitan-eager",
    "torchtitan-compile",
    "jax-xla",
    "deepspeed-pipe",
    "pytorch-rnn-unrolled",
    "cudnn-rnn",
    "tensorflow-rnn",
    "mesh-tensorflow",
    "roofline",
];

/// File stem and text of every file of a kind, sorted.
fn files(kind: &str) -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(kind);
    let mut files: Vec<(String, String)> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .map(|path| {
            let stem = path.file_stem().unwrap().to_str().unwrap().to_string();
            (stem, fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no files in {}", folder.display());
    files
}

fn devices() -> BTreeMap<String, Device> {
    let read = |(stem, text): (String, String)| match scenario::parse_device(&text) {
        Ok(device) => (stem, device),
        Err(problems) => panic!("devices/{stem}.toml\n{}", problems.render(&text)),
    };
    files("devices").into_iter().map(read).collect()
}

#[test]
fn every_device_reads() {
    for (stem, device) in devices() {
        assert_eq!(stem, device.name);
        let peak = device.peak.values().map(|p| p.value.get()).fold(0.0, f64::max);
        assert!((1e12..1e16).contains(&peak), "{stem}: peak {peak}");
        assert!((8.0..300.0).contains(&device.memory.value.gib()), "{stem}: memory");
        let ridge = peak / device.memory_bandwidth.value.get();
        assert!((5.0..1000.0).contains(&ridge), "{stem}: {ridge} FLOP per byte");
    }
}

#[test]
fn every_cluster_reads_and_names_its_device() {
    let devices = devices();
    let find = |name: &str| devices.get(name).cloned();
    for (stem, text) in files("clusters") {
        let cluster = scenario::parse_cluster(&text, &find)
            .unwrap_or_else(|p| panic!("clusters/{stem}.toml\n{}", p.render(&text)));
        assert_eq!(stem, cluster.name);
        let stack = cluster.default_stack.as_deref().unwrap();
        assert!(STACKS.contains(&stack), "{stem}: {stack}");
        for group in &cluster.groups {
            let (inside, outside) = (&group.intra, group.inter.as_ref());
            let slower = outside
                .is_none_or(|link| link.bandwidth.value.get() <= inside.bandwidth.value.get());
            assert!(slower, "{stem}: the network between nodes is faster than inside");
        }
    }
}

#[test]
fn every_corpus_reads() {
    for (stem, text) in files("corpora") {
        let corpus = scenario::parse_corpus(&text)
            .unwrap_or_else(|p| panic!("corpora/{stem}.toml\n{}", p.render(&text)));
        assert_eq!(stem, corpus.name);
        assert!(corpus.unique(1e6, 100_000) <= 1e5);
    }
}

#[test]
fn every_model_reads_and_points_at_things_that_exist() {
    let stems = |kind| files(kind).into_iter().map(|(stem, _)| stem).collect::<BTreeSet<_>>();
    let (mut clusters, corpora) = (stems("clusters"), stems("corpora"));
    // The machine at hand is detected, not a file.
    clusters.insert("local".into());
    for (stem, text) in files("models") {
        let model = scenario::parse_model(&text)
            .unwrap_or_else(|p| panic!("models/{stem}.toml\n{}", p.render(&text)));
        assert_eq!(stem, model.name);
        let training = &model.training;
        let cluster = &training.default_cluster;
        assert!(clusters.contains(cluster), "{stem}: {cluster}");
        let corpus = training.corpus.as_ref();
        assert!(corpus.is_none_or(|name| corpora.contains(name)), "{stem}: {corpus:?}");
        let stack = training.default_stack.as_deref();
        assert!(stack.is_none_or(|name| STACKS.contains(&name)), "{stem}: {stack:?}");
    }
}

#[test]
fn no_name_or_alias_means_two_things() {
    for kind in ["devices", "clusters", "models", "corpora"] {
        let mut taken = BTreeMap::new();
        for (stem, text) in files(kind) {
            let Names { name, aliases } = scenario::names(&text).unwrap();
            assert_eq!(stem, name);
            for word in std::iter::once(name).chain(aliases) {
                let earlier = taken.insert(word.clone(), stem.clone());
                assert_eq!(earlier, None, "{kind}: `{word}` is {stem} too");
            }
        }
    }
}

/// The text without the `n`-th source, or `None` when there are fewer.
fn without_source(text: &str, n: usize) -> Option<String> {
    let (start, _) = text.match_indices("source = \"").nth(n)?;
    let end = start + 10 + text[start + 10..].find('"')? + 1;
    let start = text[..start].strip_suffix(", ").map_or(start, str::len);
    Some(format!("{}{}", &text[..start], &text[end..]))
}

#[test]
fn a_value_without_its_source_is_refused() {
    let devices = devices();
    let find = |name: &str| devices.get(name).cloned();
    let mut removed = 0;
    for kind in ["devices", "clusters", "corpora"] {
        for (stem, text) in files(kind) {
            for n in 0.. {
                let Some(bare) = without_source(&text, n) else { break };
                let refused = match kind {
                    "devices" => scenario::parse_device(&bare).is_err(),
                    "clusters" => scenario::parse_cluster(&bare, &find).is_err(),
                    _ => scenario::parse_corpus(&bare).is_err(),
                };
                assert!(refused, "{kind}/{stem}: source {n} may be missing");
                removed += 1;
            }
        }
    }
    assert!(removed > 500, "only {removed} sources were tried");
}

#[test]
fn the_alias_of_a_source_is_used() {
    for kind in ["devices", "clusters", "corpora"] {
        for (stem, text) in files(kind) {
            let Some((_, sources)) = text.split_once("[sources]\n") else { continue };
            let lines = sources.lines().take_while(|line| !line.starts_with('['));
            for key in lines.filter_map(|line| line.split_once(" = ")).map(|(key, _)| key) {
                assert!(text.contains(&format!("source = \"{key}\"")), "{kind}/{stem}: {key}");
            }
        }
    }
}
