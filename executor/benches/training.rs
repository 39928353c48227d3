//! Steps of training on one rank, for the comparison with PyTorch.
//!
//! `cargo bench -p executor --bench training` prints a line per model. With the name of a model,
//! of a file and a number of threads, the initial weights are written to the file, and then each
//! line of standard input is a number of steps to take; every step answers with its seconds on the
//! clock, its seconds of processor time, and its loss. `executor/bench/compare.py` talks to it like
//! that.

#[path = "../tests/common/replicas.rs"]
mod replicas;

use executor::data::{Batches, Source};
use executor::optimizer::{Adam, LossScale, Rule, Schedule};
use executor::train::{Job, Recipe, StepReport, run_threads};
use plan::exchange::{Exchange, SamplingSeeds};
use plan::lower::Traits;
use plan::model::Model;
use plan::program::Facts;
use plan::scenario::parse_model;
use plan::work::AttentionKernel;
use rustix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

type Failed = Box<dyn Error + Send + Sync>;

/// What is trained.
struct Case {
    name: &'static str,
    file: &'static str,
    sequences: u64,
    tokens: u64,
}

const CASES: [Case; 4] = [
    Case { name: "mlstm", file: "executor/bench/mlstm.toml", sequences: 32, tokens: 64 },
    Case { name: "lstm", file: "executor/bench/lstm.toml", sequences: 20, tokens: 35 },
    Case { name: "projected", file: "executor/bench/projected.toml", sequences: 64, tokens: 20 },
    Case { name: "gpt2", file: "scenarios/models/gpt2.toml", sequences: 1, tokens: 512 },
];

/// Windows of text per sequence before it starts again.
const WINDOWS: u64 = 8;
/// Threads without standard input.
const THREADS: usize = 2;
/// Steps without standard input: the first ones warm up.
const STEPS: u64 = 9;

fn main() -> Result<(), Failed> {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let find = |name: &String| CASES.iter().find(|case| case.name == name);
    match &words[..] {
        [name, weights, threads] => {
            let case = find(name).ok_or("models are mlstm, lstm, projected and gpt2")?;
            answer(case, Path::new(weights), threads.parse()?)
        }
        [] => CASES.iter().try_for_each(medians),
        names => names.iter().filter_map(find).try_for_each(medians),
    }
}

/// Takes as many steps as each line of standard input says.
fn answer(case: &Case, weights: &Path, threads: usize) -> Result<(), Failed> {
    let job = case.job(threads)?;
    let start = run_threads(&job, 0, None, &|_| {})?;
    start.checkpoint.ok_or("there is no checkpoint")?.save(weights)?;
    say("ready")?;
    let left = Mutex::new((next()?, processor_time()));
    let note = |step: &StepReport| {
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        let busy = processor_time().saturating_sub(left.1);
        let [wall, busy] = [step.time, busy].map(|t| t.as_secs_f64());
        // Nobody listens any more: the comparison is over.
        let heard = say(&format!("{wall} {busy} {}", step.loss));
        left.0 -= 1;
        if left.0 == 0 {
            match (heard, next()) {
                (Ok(()), Ok(more @ 1..)) => left.0 = more,
                _ => std::process::exit(0),
            }
        }
        left.1 = processor_time();
    };
    run_threads(&job, u64::MAX, None, &note)?;
    Ok(())
}

/// How many steps are asked for; 0 at the end.
fn next() -> Result<u64, Failed> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(if line.trim().is_empty() { 0 } else { line.trim().parse()? })
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn medians(case: &Case) -> Result<(), Failed> {
    let outcome = run_threads(&case.job(THREADS)?, STEPS, None, &|_| {})?;
    let mut times: Vec<Duration> = outcome.steps.iter().skip(2).map(|step| step.time).collect();
    times.sort();
    let [middle, most] = [times.len() / 2, times.len() - 1].map(|at| times[at].as_secs_f64());
    let loss = outcome.steps.last().map_or(f64::NAN, |step| step.loss);
    let name = case.name;
    say(&format!("{name}: {middle:.3} s per step, at most {most:.3} s; loss {loss:.4}"))?;
    Ok(())
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanoseconds.unwrap_or(0))
}

impl Case {
    fn job(&self, threads: usize) -> Result<Job, Failed> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(self.file);
        let text = std::fs::read_to_string(path)?;
        let spec = parse_model(&text).map_err(|e| format!("{}: {e:?}", self.file))?;
        let model = Model::build(&spec).map_err(|e| format!("{}: {e:?}", self.file))?;
        let vocab = model.table.map_or(257, |table| table.vocab);
        let length = self.sequences * (self.tokens * WINDOWS + 1);
        let source = Source::Memory(Arc::new(tokens(length, vocab)));
        let batches = Batches::new(source, self.sequences, self.tokens as usize, 1)?;
        let traits = Traits::fused(AttentionKernel::Flash2);
        let facts = Facts { per_node: 1, traits, different: None, capacity: None };
        let shape = (1, self.sequences);
        let decision = replicas::decision(&model, shape, self.tokens, Exchange::Dense);
        Ok(Job::new(model, decision, &facts, batches, recipe(threads))?)
    }
}

fn recipe(threads: usize) -> Recipe {
    Recipe {
        rule: Rule::Adam(Adam::default()),
        schedule: Schedule::Constant { rate: 1e-3 },
        ramp: None,
        clip: Some(1.0),
        scale: LossScale::NONE,
        seed: 1,
        seeds: SamplingSeeds::Shared,
        limit: Duration::from_secs(600),
        threads,
    }
}

/// Text in which some words are likelier than others: squares of uniform numbers, drawn by Knuth's
/// linear congruential generator, so that the other side can draw the same.
fn tokens(count: u64, vocab: u64) -> Vec<u32> {
    let mut state = 1u64;
    let mut draw = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let uniform = (state >> 40) as f64 / (1u64 << 24) as f64;
        (uniform * uniform * vocab as f64) as u32
    };
    (0..count).map(|_| draw()).collect()
}
