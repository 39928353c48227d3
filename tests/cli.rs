//! Transcripts of the command line: `tests/cli/*.case` hold commands with what they answer.
//!
//! A case is `$ command`, then what stdout and stderr said, then `=> exit code`. Lines of stderr
//! are marked with `! `; `## ` starts a comment. `MESHWRIGHT_BLESS=1 cargo test --test cli`
//! rewrites the answers.
//! The commands run in `tests/cli/files`, in an empty environment, so they see no GPU, no
//! configuration of the user, and the scenarios of `tests/cli/files/own` where a command asks for
//! them with `MESHWRIGHT_SCENARIOS=own`.

#![cfg(unix)]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_meshwright");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli")
}

/// Splits at blanks; single quotes keep blanks together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (i, part) in line.split('\'').enumerate() {
        match i % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_string)),
            _ => words.push(part.to_string()),
        }
    }
    words
}

/// Runs `[NAME=value …] program arguments… [< file]`.
fn run(line: &str) -> Output {
    let (line, stdin) = match line.split_once(" < ") {
        Some((line, file)) => (line, Some(file.trim())),
        None => (line, None),
    };
    let words = words(line);
    let is_variable = |word: &&String| word.contains('=') && !word.starts_with('-');
    let variables: Vec<&String> = words.iter().take_while(is_variable).collect();
    let (name, arguments) = words[variables.len()..].split_first().expect("a program");
    let files = folder().join("files");
    let mut command = Command::new(BINARY);
    command.arg0(name).args(arguments).current_dir(&files).env_clear();
    for (name, value) in variables.iter().filter_map(|v| v.split_once('=')) {
        command.env(name, value);
    }
    match stdin {
        Some(file) => command.stdin(fs::File::open(files.join(file)).expect(file)),
        None => command.stdin(Stdio::null()),
    };
    command.output().expect("the binary runs")
}

fn transcript(line: &str) -> String {
    let output = run(line);
    let mut text = format!("$ {line}\n");
    text += &String::from_utf8(output.stdout).expect("stdout is UTF-8");
    if !text.ends_with('\n') {
        text += "\\ no line end\n";
    }
    for line in String::from_utf8(output.stderr).expect("stderr is UTF-8").lines() {
        let _infallible = writeln!(text, "{}", format!("! {line}").trim_end());
    }
    let code = output.status.code().map_or("killed".to_string(), |code| code.to_string());
    let _infallible = writeln!(text, "=> {code}");
    text
}

/// The case file with the answers of today; `## ` comments stay. What stands between a command
/// and its exit code is its answer, whatever it looks like.
fn rerun(case: &str) -> String {
    let mut text = String::new();
    let mut is_answer = false;
    for line in case.lines() {
        match line.strip_prefix("$ ") {
            Some(command) if !is_answer => {
                text += &transcript(command);
                text.push('\n');
                is_answer = true;
            }
            _ if line.starts_with("=> ") => is_answer = false,
            _ if !is_answer && line.starts_with("## ") => {
                let _infallible = writeln!(text, "{line}");
            }
            _ => {}
        }
    }
    text
}

#[test]
fn every_transcript_is_what_the_command_answers_today() {
    let bless = std::env::var_os("MESHWRIGHT_BLESS").is_some();
    let mut paths: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "case"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    let mut differences = String::new();
    for path in paths {
        let expected = fs::read_to_string(&path).unwrap();
        let actual = rerun(&expected);
        if bless {
            fs::write(&path, &actual).unwrap();
        } else if actual != expected {
            differences += &difference(&path, &expected, &actual);
        }
    }
    assert!(differences.is_empty(), "{differences}\nMESHWRIGHT_BLESS=1 accepts the answers");
}

/// The first lines that differ.
fn difference(path: &Path, expected: &str, actual: &str) -> String {
    let mut lines = expected.lines().zip(actual.lines()).enumerate();
    match lines.find(|(_, (expected, actual))| expected != actual) {
        Some((at, (expected, actual))) => {
            format!("{}:{}\n  - {expected}\n  + {actual}\n", path.display(), at + 1)
        }
        None => format!("{}: one is longer than the other\n", path.display()),
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(BINARY)
        .args(["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_failure() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(BINARY).arg("man").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: cannot write to stdout"));
}

#[test]
fn doctor_says_what_this_machine_is_and_where_settings_came_from() {
    let output = run("MESHWRIGHT_WIDTH=100 meshwright doctor --color never --json");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["schema"], "meshwright.doctor/1");
    let names: Vec<&str> =
        answer["checks"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["config", "processor", "memory", "GPUs", "local", "solver", "data"]);
    let origin = |name: &str| {
        let settings = answer["settings"].as_array().unwrap();
        let setting = settings.iter().find(|s| s["name"] == name).unwrap();
        (setting["value"].clone(), setting["origin"].clone())
    };
    assert_eq!(origin("width"), ("100".into(), "MESHWRIGHT_WIDTH".into()));
    assert_eq!(origin("color"), ("never".into(), "flag".into()));
    assert_eq!(origin("format"), ("json".into(), "flag".into()));
    assert_eq!(origin("cluster"), ("the model's".into(), "default".into()));
}

/// Words whose frequency falls with their rank, from a fixed sequence (Knuth's MMIX generator).
fn text(words: usize) -> String {
    let mut state: u64 = 1;
    let mut text = String::new();
    for _ in 0..words {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let uniform = ((state >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
        // Inverse of a distribution with a heavy tail: ranks up to about 10^5.
        let _infallible = write!(text, "w{} ", uniform.powf(-1.3) as u64);
    }
    text
}

#[test]
fn a_corpus_that_was_fitted_can_be_planned_with() {
    let folder = std::env::temp_dir().join(format!("meshwright-corpus-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (input, fitted) = (folder.join("My Words.txt"), folder.join("words.toml"));
    fs::write(&input, text(100_000)).unwrap();
    let run = |arguments: &[&str]| {
        let files = folder.join("../");
        let mut command = Command::new(BINARY);
        command.args(arguments).current_dir(files).env_clear();
        let own = self::folder().join("files/own");
        command.env("MESHWRIGHT_SCENARIOS", own).output().unwrap()
    };
    let (input, fitted) = (input.to_str().unwrap(), fitted.to_str().unwrap());
    let words = run(&["calibrate", "--corpus", input, "-o", fitted]);
    let corpus = fs::read_to_string(fitted).unwrap_or_default();
    let bytes = run(&["calibrate", "--corpus", input, "--tokens", "byte"]);
    let plan = run(&["plan", "-m", "lab-lm", "-g", "8", "--corpus", fitted, "--dry-run"]);
    fs::remove_dir_all(&folder).unwrap();
    let said = String::from_utf8_lossy(&words.stderr);
    assert!(said.contains("100,000 tokens") && said.contains("residual"), "{said}");
    assert!(corpus.contains("fit = \"measured: 100,000 word tokens of My Words.txt"), "{corpus}");
    let bytes = String::from_utf8_lossy(&bytes.stdout);
    assert!(bytes.contains("prefactor = { value = 12, source"), "w, blank, ten digits: {bytes}");
    let plan = String::from_utf8_lossy(&plan.stdout);
    assert!(plan.contains("Corpus  My Words.txt, words"), "{plan}");
}
