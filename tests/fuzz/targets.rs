//! What is fuzzed: one line per parser.

use cost_model::stack::parse_stack;
use meshwright::Gpus;
use plan::machine::Device;
use plan::scenario::{
    Kind, Problems, names, parse_cluster, parse_corpus, parse_device, parse_model, template,
};
use plan::suggest::closest;
use plan::units::{
    Bytes, BytesPerSecond, Dollars, DollarsPerHour, Flops, FlopsPerSecond, Quantity, Seconds, Watts,
};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A parser with the inputs that its mutations start from.
pub struct Target {
    /// Its name, also of its folder in `regressions/`.
    pub name: &'static str,
    /// Inputs that are valid, or nearly.
    pub seeds: fn() -> Vec<String>,
    /// Runs the parser. An input may be refused; `Err` is for an answer that cannot be right.
    pub check: fn(&str) -> Result<(), String>,
}

/// All parsers that read what people or other programs write.
pub const TARGETS: &[Target] = &[
    Target { name: "bytes", seeds: quantities, check: reads_back::<Bytes> },
    Target { name: "bandwidth", seeds: quantities, check: reads_back::<BytesPerSecond> },
    Target { name: "seconds", seeds: quantities, check: reads_back::<Seconds> },
    Target { name: "flops", seeds: quantities, check: reads_back::<Flops> },
    Target { name: "flops-per-second", seeds: quantities, check: reads_back::<FlopsPerSecond> },
    Target { name: "watts", seeds: quantities, check: reads_back::<Watts> },
    Target { name: "dollars", seeds: quantities, check: reads_back::<Dollars> },
    Target { name: "dollars-per-hour", seeds: quantities, check: reads_back::<DollarsPerHour> },
    Target { name: "device", seeds: devices, check: |text| told(text, parse_device(text)) },
    Target {
        name: "cluster",
        seeds: clusters,
        check: |text| told(text, parse_cluster(text, &any_device)),
    },
    Target { name: "model", seeds: models, check: |text| told(text, parse_model(text)) },
    Target { name: "corpus", seeds: corpora, check: |text| told(text, parse_corpus(text)) },
    Target { name: "names", seeds: models, check: |text| told(text, names(text)) },
    Target { name: "suggestion", seeds: models, check: suggests },
    Target { name: "stack", seeds: stacks, check: |text| told(text, parse_stack(text, None)) },
    Target { name: "gpus", seeds: gpus, check: counts },
    Target { name: "plan", seeds: plans, check: plan },
];

fn quantities() -> Vec<String> {
    let texts = [
        "80 GiB",
        "12.5 GB/s",
        "100 Gbit/s",
        "5 us",
        "9 µs",
        "312 TFLOP/s",
        "12.6 PFLOP",
        "700 W",
        "$2.50/h",
        "$100",
        "1,024 MiB",
        "1e3 B",
        "2.5 h",
        "15 min",
        "1.2e-6 s",
    ];
    texts.map(str::to_string).to_vec()
}

fn devices() -> Vec<String> {
    scenarios("devices", Kind::Device)
}

fn clusters() -> Vec<String> {
    scenarios("clusters", Kind::Cluster)
}

fn models() -> Vec<String> {
    scenarios("models", Kind::Model)
}

fn corpora() -> Vec<String> {
    scenarios("corpora", Kind::Corpus)
}

fn stacks() -> Vec<String> {
    files("scenarios/profiles", ".toml")
}

fn gpus() -> Vec<String> {
    ["192", "8..64:8", "8,64,192", "1..16", " 8 , 16"].map(str::to_string).to_vec()
}

fn plans() -> Vec<String> {
    files("tests/fuzz/seeds", ".json")
}

/// A refusal of a plan says what is wrong; an accepted plan reads back as itself.
fn plan(text: &str) -> Result<(), String> {
    match meshwright::planfile::parse("plan.json", text) {
        Ok(plan) => {
            let written = serde_json::to_string(&plan).map_err(|e| e.to_string())?;
            match meshwright::planfile::parse("plan.json", &written) {
                Ok(again) if again == plan => Ok(()),
                _ => Err("an accepted plan does not read back".into()),
            }
        }
        Err(failure) => {
            let said = failure.render(&meshwright::style::Canvas::PLAIN);
            if said.starts_with("error: ") { Ok(()) } else { Err(format!("refused with: {said}")) }
        }
    }
}

/// Counts are positive, rise, and are few enough to be read.
fn counts(text: &str) -> Result<(), String> {
    let Ok(gpus) = text.parse::<Gpus>() else { return Ok(()) };
    let counts = gpus.counts();
    let rises = counts.windows(2).all(|pair| pair[0] < pair[1]);
    let is_right = rises && counts.first().is_some_and(|&n| n > 0) && counts.len() <= 1024;
    if is_right { Ok(()) } else { Err(format!("reads {counts:?}")) }
}

/// The shipped files of a folder and the template that `scenarios new` prints.
fn scenarios(folder: &str, kind: Kind) -> Vec<String> {
    let mut texts = files(&format!("scenarios/{folder}"), ".toml");
    texts.push(template(kind).to_string());
    texts
}

/// Every device name is known, so that mutations of clusters get past it.
fn any_device(_: &str) -> Option<Device> {
    static DEVICE: OnceLock<Option<Device>> = OnceLock::new();
    DEVICE.get_or_init(|| parse_device(template(Kind::Device)).ok()).clone()
}

/// A refusal has a reason, points into the text, and can be shown.
fn told<T>(text: &str, outcome: Result<T, Problems>) -> Result<(), String> {
    let Err(problems) = outcome else { return Ok(()) };
    if problems.list.is_empty() || problems.render(text).trim().is_empty() {
        return Err("refused without a reason".into());
    }
    let lost = problems.list.iter().find(|problem| text.get(problem.span.clone()).is_none());
    lost.map_or(Ok(()), |problem| Err(format!("points outside of the text: {problem:?}")))
}

/// What is suggested is one of the candidates.
fn suggests(text: &str) -> Result<(), String> {
    let words: Vec<&str> = text.split_whitespace().take(20).collect();
    let typed = words.first().copied().unwrap_or_default();
    match closest(typed, words.iter().skip(1).copied()) {
        Some(found) if !words.contains(&found) => Err(format!("suggests {found}")),
        _ => Ok(()),
    }
}

/// What is accepted is finite and not negative, and what is printed can be read again.
fn reads_back<Q: Quantity>(text: &str) -> Result<(), String> {
    let Ok(value) = Q::parse(text) else { return Ok(()) };
    let shown = value.to_string();
    if shown.starts_with('-') || shown.contains("inf") || shown.contains("NaN") {
        return Err(format!("accepted, and prints as {shown}"));
    }
    Q::parse(&shown).map(drop).map_err(|error| format!("prints as {shown}, which fails: {error}"))
}

/// The texts of all files with this ending in a folder of the repository and below, by path.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), ending, &mut found);
    found.sort();
    found.into_iter().map(|(_, text)| text).collect()
}

fn collect(folder: &Path, ending: &str, found: &mut Vec<(PathBuf, String)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending)
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            found.push((path, text));
        }
    }
}
