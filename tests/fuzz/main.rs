//! No input makes a parser panic: mutations of good inputs, on stable Rust and reproducible.
//!
//! `cargo test` runs a fixed number of cases. `MESHWRIGHT_FUZZ_SECONDS=60 cargo test --test fuzz`
//! goes on for that long. An input that fails is printed and saved; copied into
//! `tests/fuzz/regressions/<target>/` it is checked for ever after.

mod mutate;
mod targets;

use mutate::Random;
use std::fmt::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use targets::{TARGETS, Target};

/// Cases per target where no time is given.
const CASES: u64 = 500;

/// Cases between two looks at the clock; where they begin is written to a file, for an input that
/// ends the whole process (a stack overflow) cannot be reported by it.
const BLOCK: u64 = 256;

/// A failing input.
struct Failure {
    input: String,
    why: String,
}

/// Runs one input; a panic is a failure, and so is an answer that cannot be right.
fn run(target: &Target, input: &str) -> Result<(), Failure> {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
    let why = match outcome {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(why)) => why,
        Err(payload) => format!("panic: {}", message(payload.as_ref())),
    };
    Err(Failure { input: input.to_string(), why })
}

fn message(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Case number `case` of a target: the same on every machine.
fn input(seeds: &[String], case: u64) -> String {
    let mut random = Random::new(case);
    let seed = &seeds[random.below(seeds.len())];
    let other = &seeds[random.below(seeds.len())];
    mutate::mutate(seed, other, &mut random)
}

/// Runs a block of cases.
fn block(target: &Target, seeds: &[String], first: u64, cases: u64) -> Result<(), Failure> {
    (first..first + cases).try_for_each(|case| run(target, &input(seeds, case)))
}

/// Saves a failing input and says how to keep it.
fn report(target: &Target, failure: &Failure) -> String {
    let mut text = format!("{}: {}\ninput: {:?}\n", target.name, failure.why, failure.input);
    let path = scratch(&format!("fuzz-{}.txt", target.name));
    if std::fs::write(&path, &failure.input).is_ok() {
        let folder = format!("tests/fuzz/regressions/{}/", target.name);
        let _ = write!(text, "saved as {}; fix it and copy it to {folder}", path.display());
    }
    text
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The time asked for, if any.
fn budget() -> Option<Duration> {
    let seconds = std::env::var("MESHWRIGHT_FUZZ_SECONDS").ok()?;
    let seconds = seconds.parse().expect("MESHWRIGHT_FUZZ_SECONDS is a whole number of seconds");
    Some(Duration::from_secs(seconds))
}

#[test]
fn every_seed_passes() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        for seed in seeds {
            let outcome = run(target, &seed);
            assert!(outcome.is_ok(), "{}", outcome.map_err(|f| report(target, &f)).unwrap_err());
        }
    }
}

#[test]
fn inputs_that_failed_once_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/regressions");
    for target in TARGETS {
        let Ok(entries) = std::fs::read_dir(folder.join(target.name)) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let text = std::fs::read_to_string(&path).expect("a regression is text");
            let outcome = run(target, &text);
            assert!(outcome.is_ok(), "{}: {}", path.display(), outcome.unwrap_err().why);
        }
    }
}

#[test]
fn no_mutation_panics() {
    let end = budget().map(|budget| Instant::now() + budget);
    let all: Vec<(&Target, Vec<String>)> = TARGETS.iter().map(|t| (t, (t.seeds)())).collect();
    let mut cases = 0;
    loop {
        for (target, seeds) in &all {
            let count = if end.is_some() { BLOCK } else { CASES };
            let _ = std::fs::write(scratch("fuzz-last-block"), format!("{} {cases}", target.name));
            let outcome = block(target, seeds, cases, count);
            assert!(outcome.is_ok(), "{}", report(target, &outcome.unwrap_err()));
        }
        cases += if end.is_some() { BLOCK } else { CASES };
        if end.is_none_or(|end| Instant::now() >= end) {
            break;
        }
    }
    println!("fuzz: {cases} cases for each of {} parsers, no panic", all.len());
}

#[test]
fn the_harness_sees_panics_and_wrong_answers() {
    // Unwinds without the message that a panic would print into the log.
    let panics = |text: &str| match text.contains("GiB") {
        true => panic::resume_unwind(Box::new(format!("seen {text}"))),
        false => Ok(()),
    };
    let target = Target { name: "x", seeds: Vec::new, check: panics };
    let failure = block(&target, &["80 GB".into(), "1 GiB".into()], 0, 100);
    assert!(failure.is_err_and(|f| f.why.starts_with("panic: seen") && f.input.contains("GiB")));
    let target = Target { name: "x", seeds: Vec::new, check: |_| Err("wrong".into()) };
    assert!(run(&target, "").is_err_and(|f| f.why == "wrong"));
}
