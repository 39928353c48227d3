//! Exported plans, read by the trainers' own parsers.
//!
//! Needs Python with their packages (`tests/trainers/requirements.txt`), named by
//! `MESHWRIGHT_TRAINERS_PYTHON`; without it the test says that it checks nothing. What is exported
//! is tested without Python in `src/export/tests.rs`.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Plans that together use every axis: arguments of `plan`.
const PLANS: [(&str, &str); 8] = [
    ("replicas", "-m gpt2-xl -g 8 -c hgx-h100 --tp 1 --pp 1 --zero 1"),
    ("sharded", "-m llama2-7b -g 16 -c hgx-h100 --tp 1 --pp 1 --zero 3 --stack pytorch-fsdp"),
    ("interleaved", "-m llama2-70b -g 64 -c hgx-h100 --tp 4 --pp 4"),
    ("context", "-m llama3-8b -g 16 -c hgx-h100 --tp 2 --cp 2 --pp 1"),
    ("experts", "-m mixtral-8x7b -g 32 -c hgx-h100 --ep 8 --pp 2"),
    ("latent", "-m deepseek-v2-lite -g 16 -c hgx-h100 --ep 8 --pp 1"),
    ("recompute", "-m llama2-13b -g 8 -c hgx-h100 --tp 4 --pp 1 --recompute full"),
    (
        "zero-bubble",
        "-m llama2-7b -g 8 -c hgx-h100 --pp 4 --schedule zero-bubble-h1 --stack torchtitan-eager",
    ),
];

/// What is exported, and how the file has to be called for its reader.
const TARGETS: [(&str, &str); 8] = [
    ("megatron", "sh"),
    ("megatron-bridge", "py"),
    ("torchtitan", "toml"),
    ("deepspeed", "json"),
    ("accelerate", "yaml"),
    ("nanotron", "yaml"),
    ("maxtext", "yml"),
    ("schedule", "csv"),
];

fn meshwright(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshwright"));
    command.arg("--no-config").args(arguments).output().expect("the binary runs")
}

fn planned(name: &str, arguments: &str, folder: &Path) -> (PathBuf, Value) {
    let path = folder.join(format!("{name}.json"));
    let _ = std::fs::remove_file(&path);
    let file = path.display().to_string();
    let mut words = vec!["plan", "-q", "-o", &file];
    words.extend(arguments.split(' '));
    let output = meshwright(&words);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&path).expect("a plan was written");
    (path, serde_json::from_str(&text).expect("a plan is JSON"))
}

/// What the trainer understood, `None` where its package is not installed.
#[expect(clippy::print_stdout, reason = "a test that checks less says so")]
fn understood(python: &str, target: &str, file: &Path, ranks: &Value) -> Option<Value> {
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trainers/check.py");
    let mut command = Command::new(python);
    command.arg(check).arg(target).arg(file).arg(ranks.to_string());
    let output = command.output().expect("Python runs");
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(3) {
        println!("{}", said.trim());
        return None;
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{target} refuses {}:\n{complaint}", file.display());
    let last = said.lines().last().expect("an answer");
    Some(serde_json::from_str(last).expect("the answer is JSON"))
}

/// Degrees and batch as the plan has them.
fn decided(plan: &Value) -> Value {
    let decision = &plan["decision"];
    let mut all = decision["degrees"].clone();
    all["global"] = decision["batch"]["global_sequences"].clone();
    all["micro"] = decision["batch"]["micro_sequences"].clone();
    all
}

#[test]
fn trainers_understand_what_the_plan_decides() {
    let Ok(python) = std::env::var("MESHWRIGHT_TRAINERS_PYTHON") else {
        println!("skipped: MESHWRIGHT_TRAINERS_PYTHON names no Python with the trainers' packages");
        return;
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trainers");
    std::fs::create_dir_all(&folder).expect("a folder for plans");
    for (name, arguments) in PLANS {
        let (path, plan) = planned(name, arguments, &folder);
        let decided = decided(&plan);
        for (target, extension) in TARGETS {
            let output = meshwright(&["export", &path.display().to_string(), "--to", target]);
            if !output.status.success() {
                let why = String::from_utf8_lossy(&output.stderr);
                println!("{name} · {target}: {}", why.lines().next().unwrap_or_default());
                assert_eq!(output.status.code(), Some(3), "{why}");
                continue;
            }
            let file = folder.join(format!("{name}-{target}.{extension}"));
            std::fs::write(&file, &output.stdout).expect("a file");
            let ranks = &plan["decision"]["world_size"];
            let Some(read) = understood(&python, target, &file, ranks) else { continue };
            println!("{name} · {target}: {read}");
            for (key, value) in read.as_object().expect("an object") {
                if let Some(own) = decided.get(key) {
                    assert_eq!(value, own, "{name} · {target}: {key}");
                }
            }
        }
    }
}
