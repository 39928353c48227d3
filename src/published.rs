//! Published measurements as questions to the cost model.
//!
//! A table of measurements ([`read`](read())) is data; [`rules`] say what its words mean;
//! [`machine`], [`mod@model`] and [`split`] turn a row into model, machine and plan;
//! [`predict`] prices that plan with what the planner prices its own plans with. What cannot be
//! expressed says why ([`skip`]), and what had to be assumed is listed.

#[cfg(test)]
mod fixtures;
mod intervals;
mod machine;
mod model;
mod particular;
mod predict;
mod provenance;
mod read;
mod row;
mod rules;
mod skip;
mod split;
mod words;

pub use intervals::{
    Entry, Intervals, Kind, Knowledge, MemoryEntry, Regime, write as write_intervals,
};
pub use machine::Workshop;
pub use particular::Fitted;
pub use predict::{Parts, Prediction};
pub use provenance::{Provenance, provenance};
pub use read::read;
pub use row::Row;
pub use rules::{MemoryKind, Rules};
pub use skip::{Assumptions, Skip};

use crate::catalog::Catalog;
use crate::diagnostics::Failure;
use cost_model::Stack;
use plan::model::Model;
use predict::{Batch, Question, measured_step};
use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

/// Measured steps that are shipped.
pub const RUNS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/published/published_runs.csv"));
/// Measured steps of the papers that the models are from, shipped.
pub const SEEDS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/published/seeds_runs.csv"));
/// Measured steps that were read after the constants had been fitted, shipped.
pub const FURTHER: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/published/further_runs.csv"));
/// Shipped configurations that did not run, or just about.
pub const FIT_LIMITS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/published/fit_limits.csv"));
/// Peak memory of small models, shipped.
pub const SMALL_MEMORY: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/scenarios/published/megatron_ci_memory.csv"
));

/// A row with its prediction.
#[derive(Clone, Debug)]
pub struct Scored {
    /// The row.
    pub row: Row,
    /// Its device; empty where it is not known.
    pub device: String,
    /// The profile that priced it; empty where none did.
    pub stack: String,
    /// Whether words of the row named the stack.
    pub is_named: bool,
    /// Measured seconds per step.
    pub measured: Option<f64>,
    /// Published memory, bytes, and what it is.
    pub memory: Option<(f64, MemoryKind)>,
    /// Width of a head; 0 for models without.
    pub head_dim: u64,
    /// The prediction, or why there is none.
    pub prediction: Result<Prediction, Skip>,
}

impl Scored {
    /// Predicted over measured time, where both are known.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        let measured = self.measured?;
        self.prediction.as_ref().ok().map(|p| p.step.get() / measured)
    }
}

/// The shipped rules.
///
/// # Errors
/// All problems of the file: a bug, as it is shipped.
pub fn shipped_rules() -> Result<Rules, Failure> {
    let text = crate::catalog::shipped("published", "rules").unwrap_or_default();
    rules::parse(text).map_err(|p| Failure::scenario("published/rules.toml", text, p))
}

/// The shipped intervals.
///
/// # Errors
/// All problems of the file: a bug, as it is shipped.
pub fn shipped_intervals() -> Result<Intervals, Failure> {
    let text = crate::catalog::shipped("published", "intervals").unwrap_or_default();
    intervals::parse(text).map_err(|p| Failure::scenario("published/intervals.toml", text, p))
}

/// Predicts every row, in order; the same whatever the number of threads.
#[must_use]
pub fn score(catalog: &Catalog, rules: &Rules, rows: Vec<Row>) -> Vec<Scored> {
    score_under(catalog, rules, rows, &BTreeMap::new())
}

/// As [`score`], with other software stacks in the place of those with their names.
#[must_use]
pub fn score_under(
    catalog: &Catalog,
    rules: &Rules,
    rows: Vec<Row>,
    stacks: &BTreeMap<String, Stack>,
) -> Vec<Scored> {
    let workshop = Workshop::with(catalog, rules, stacks);
    let mut desk = Desk { workshop, rules, models: BTreeMap::new() };
    let mut all = Vec::with_capacity(rows.len());
    let mut batches: BTreeMap<String, Vec<(usize, Question)>> = BTreeMap::new();
    for (index, row) in rows.into_iter().enumerate() {
        let mut scored = desk.unscored(row);
        match desk.question(&mut scored) {
            Ok((key, question)) => batches.entry(key).or_default().push((index, question)),
            Err(skip) => scored.prediction = Err(skip),
        }
        all.push(scored);
    }
    let batches: Vec<Vec<(usize, Question)>> = batches.into_values().collect();
    for (index, prediction) in in_parallel(&batches) {
        all[index].prediction = prediction;
    }
    all
}

/// Answers batches on all processors. Every answer knows its row, so their order does not matter.
fn in_parallel(batches: &[Vec<(usize, Question)>]) -> Vec<(usize, Result<Prediction, Skip>)> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(batch) = batches.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
        {
            let questions: Vec<&Question> = batch.iter().map(|(_, q)| q).collect();
            let answers = questions.first().map(|q| Batch::like(q).answer(&questions));
            done.extend(batch.iter().map(|(i, _)| *i).zip(answers.into_iter().flatten()));
        }
        done
    };
    thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = handles.into_iter().map(|handle| match handle.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.flatten().collect()
    })
}

/// What the tags at the head of a row's notes say: `[B LORA missing:recompute] …`.
fn marked(notes: &str, assumed: &mut Assumptions) -> Result<(), Skip> {
    let tags = notes.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let has = |tag: &str| tags.is_some_and(|(tags, _)| tags.split_whitespace().any(|t| t == tag));
    if has("LORA") {
        return Err(Skip::Part("training of adapters alone"));
    }
    if has("VARLEN") {
        return Err(Skip::Part("a batch of sequences of any length"));
    }
    // Some say that large models were, and not which.
    if has("OFFLOAD") || notes.contains("offload for large models") {
        assumed.add("offload to the host: not modelled");
    }
    Ok(())
}

/// Where rows become questions.
struct Desk<'a> {
    workshop: Workshop<'a>,
    rules: &'a Rules,
    models: BTreeMap<String, Arc<Model>>,
}

impl Desk<'_> {
    /// A row whose empty column of attention is filled by the rules.
    fn completed(&self, row: Row) -> Row {
        let word = self.rules.attention(&row.words()).filter(|_| row.attention.is_empty());
        let attention = word.map(str::to_string);
        Row { attention: attention.unwrap_or_else(|| row.attention.clone()), ..row }
    }

    fn unscored(&self, row: Row) -> Scored {
        let row = self.completed(row);
        let gpu = self.rules.gpu(&row.gpu, row.run.gpu_memory);
        Scored {
            device: gpu.map_or(String::new(), |g| g.device.clone()),
            stack: String::new(),
            is_named: false,
            measured: row.measured.step,
            memory: None,
            head_dim: 0,
            prediction: Err(Skip::Incomplete),
            row,
        }
    }

    /// The question of a row, and what it shares with others.
    fn question(&mut self, scored: &mut Scored) -> Result<(String, Question), Skip> {
        let row = &scored.row;
        if !row.is_scored() {
            return Err(Skip::Incomplete);
        }
        let mut assumed = Assumptions::default();
        marked(&row.notes, &mut assumed)?;
        let machine = self.workshop.machine(row, &mut assumed)?;
        scored.stack.clone_from(&machine.stack.stack);
        scored.is_named = machine.stack.is_named;
        let spec = model::model(row, self.rules, &machine.stack, machine.compute, &mut assumed)?;
        let key = format!("{:?} {:?}", spec.family, spec.training);
        let model = match self.models.get(&key) {
            Some(model) => Arc::clone(model),
            None => {
                let built = Model::build(&spec).map_err(|why| Skip::Shape(why.to_string()))?;
                let built = Arc::new(built);
                self.models.insert(key.clone(), Arc::clone(&built));
                built
            }
        };
        let mut split = split::split(row, model.layers(), self.rules, &mut assumed)?;
        if machine.stack.splits_stream {
            split.split_stream();
        }
        if let plan::model::Family::Transformer(shape) = &model.spec.family {
            scored.head_dim = shape.head_dim;
        }
        scored.measured = measured_step(row, &model, &mut assumed);
        let memory = self.rules.memory(&row.words()).cloned();
        scored.memory = row
            .measured
            .memory
            .zip(memory.as_ref())
            .map(|(amount, rule)| (amount * rule.unit, rule.what));
        let shared = format!("{key} {} {:?}", machine.key, split.recompute);
        Ok((shared, Question { model, machine, split, memory, assumed }))
    }
}

#[cfg(test)]
mod tests;
