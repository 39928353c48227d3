//! What is asked for: names become models and machines, batches and pins are checked.

use crate::catalog::Catalog;
use crate::cli::values::{MemoryLimit, Pin};
use crate::cli::{EmbeddingPin, Objective, PlanArgs, RecomputePin};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::render::number::grouped;
use crate::settings::{Origin, Settings};
use clap::ValueEnum;
use cost_model::Stack;
use plan::corpus::Corpus;
use plan::machine::Cluster;
use plan::model::{Batch, ModelSpec};
use plan::units::percent;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// What is asked for, complete.
pub struct Request {
    /// The model, with the batch and sequence that the flags ask for.
    pub model: ModelSpec,
    /// The machine.
    pub cluster: Cluster,
    /// Where the choice of the cluster came from, in words for the first line of the answer.
    pub cluster_from: String,
    /// GPU counts, rising.
    pub gpus: Vec<u32>,
    /// Vocabulary statistics, where flag or recipe name some.
    pub corpus: Option<Corpus>,
    /// The software stack: of the flag, else of the recipe, else of the cluster.
    pub stack: Stack,
    /// What is pinned or limited, as flag and value; empty where all is left to the planner.
    pub pins: Vec<(&'static str, String)>,
}

impl Request {
    /// Finds what the flags name, and checks that it goes together.
    ///
    /// # Errors
    /// Unknown names, files with problems, more GPUs than the cluster has.
    pub fn resolve(
        catalog: &Catalog,
        flags: &PlanArgs,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let mut model = catalog.model(&flags.model)?;
        override_training(&mut model, flags);
        let (name, cluster_from) = match &settings.cluster {
            Some((name, Origin::File(path))) => (name.clone(), format!("cluster from {path}")),
            Some((name, Origin::Environment(variable))) => {
                (name.clone(), format!("cluster from {variable}"))
            }
            Some((name, _)) => (name.clone(), String::new()),
            None => {
                (model.training.default_cluster.clone(), "cluster from the model's recipe".into())
            }
        };
        let cluster = catalog.cluster(&name)?;
        let gpus = flags.gpus.counts().to_vec();
        fits_cluster(&cluster, &gpus)?;
        let corpus = model.training.corpus.as_deref().map(|name| catalog.corpus(name));
        let corpus = corpus.transpose()?;
        let stack = stack(catalog, &model, &cluster)?;
        Ok(Self { model, cluster, cluster_from, gpus, corpus, stack, pins: pins(flags) })
    }

    /// What was understood, for people.
    pub fn screen(&self) -> String {
        let counts: Vec<String> = self.gpus.iter().map(|n| grouped(u64::from(*n))).collect();
        let from = match self.cluster_from.as_str() {
            "" => String::new(),
            from => format!("; {from}"),
        };
        let batch = match self.model.training.batch {
            Batch::PerDevice(n) => format!("{} sequences per GPU", grouped(n)),
            Batch::Global(n) => format!("{} sequences", grouped(n)),
        };
        let pins: Vec<String> =
            self.pins.iter().map(|(flag, value)| format!("{flag} {value}")).collect();
        let pins = if pins.is_empty() { "none".to_string() } else { pins.join(" ") };
        format!(
            "{}, on {} GPUs of {} ({}{from})\n\n  Batch   {batch} × {} tokens per step\n  \
             Stack   {}\n  Corpus  {}\n  Pins    {pins}\n",
            self.model.name,
            counts.join(", "),
            self.cluster.name,
            self.cluster.label,
            grouped(self.model.training.sequence),
            self.stack.label,
            self.corpus.as_ref().map_or("none", |corpus| corpus.label.as_str()),
        )
    }

    /// What was understood, for programs.
    pub fn json(&self) -> Value {
        let (per_gpu, global) = match self.model.training.batch {
            Batch::PerDevice(n) => (Some(n), None),
            Batch::Global(n) => (None, Some(n)),
        };
        json!({
            "schema": "meshwright.request/1",
            "model": self.model.name,
            "cluster": self.cluster.name,
            "stack": self.stack.name,
            "corpus": self.corpus.as_ref().map(|corpus| corpus.name.clone()),
            "gpus": self.gpus,
            "sequences_per_gpu": per_gpu,
            "sequences": global,
            "tokens_per_sequence": self.model.training.sequence,
            "pins": self.pins.iter().cloned().collect::<BTreeMap<_, _>>(),
        })
    }
}

/// No stack is used that nobody named: which software runs decides every constant.
fn stack(catalog: &Catalog, model: &ModelSpec, cluster: &Cluster) -> Result<Stack, Failure> {
    let name = model.training.default_stack.as_ref().or(cluster.default_stack.as_ref());
    match name {
        Some(name) => catalog.stack(name),
        None => Err(Failure::usage(format!(
            "neither {} nor {} says which software stack runs",
            model.name, cluster.name
        ))
        .hint("name one with --stack; `meshwright scenarios list profiles` shows all")),
    }
}

/// Flags win over the recipe.
fn override_training(model: &mut ModelSpec, flags: &PlanArgs) {
    let training = &mut model.training;
    if let Some(sequences) = flags.batch.global_batch {
        training.batch = Batch::Global(sequences.get());
    }
    if let Some(sequences) = flags.batch.local_batch {
        training.batch = Batch::PerDevice(sequences.get());
    }
    if let Some(tokens) = flags.batch.seq {
        training.sequence = tokens.get();
    }
    if let Some(corpus) = &flags.data.corpus {
        training.corpus = Some(corpus.clone());
    }
    if let Some(stack) = &flags.data.stack {
        training.default_stack = Some(stack.clone());
    }
    if let Some(dtype) = flags.batch.dtype {
        training.precision.compute = dtype;
    }
}

/// The flags that take a decision away from the planner.
fn pins(flags: &PlanArgs) -> Vec<(&'static str, String)> {
    let degree = |pin: Pin<NonZeroU32>| pin.value().map(|n| n.to_string());
    let limit = flags.search.max_memory.map(|limit| match limit {
        MemoryLimit::Fraction(share) => percent(share),
        MemoryLimit::Amount(size) => size.to_string(),
    });
    let all = [
        ("--tp", degree(flags.pins.tp)),
        ("--pp", degree(flags.pins.pp)),
        ("--dp", degree(flags.pins.dp)),
        ("--zero", flags.pins.zero.value().map(|n| n.to_string())),
        ("--micro-batch", degree(flags.pins.micro_batch)),
        ("--recompute", word(flags.pins.recompute, RecomputePin::Auto)),
        ("--embedding", word(flags.pins.embedding, EmbeddingPin::Auto)),
        ("--objective", word(flags.search.objective, Objective::StepTime)),
        ("--max-memory", limit),
        ("--reserve", flags.search.reserve.map(|size| size.to_string())),
        ("--time-limit", flags.search.time_limit.map(|time| time.to_string())),
        ("--gap", flags.search.gap.map(percent)),
        ("--top", (flags.search.top != 4).then(|| flags.search.top.to_string())),
        ("--seed", (flags.search.seed != 0).then(|| flags.search.seed.to_string())),
    ];
    all.into_iter().filter_map(|(flag, value)| Some((flag, value?))).collect()
}

/// The word of a choice, unless it is the default.
fn word<T: ValueEnum + PartialEq>(value: T, default: T) -> Option<String> {
    let given = (value != default).then_some(value)?;
    Some(given.to_possible_value()?.get_name().to_string())
}

fn fits_cluster(cluster: &Cluster, gpus: &[u32]) -> Result<(), Failure> {
    let Some(capacity) = cluster.capacity() else { return Ok(()) };
    match gpus.last() {
        Some(&most) if most > capacity => Err(Failure::new(
            Exit::Usage,
            format!(
                "{} has {} GPUs, not {}",
                cluster.name,
                grouped(capacity.into()),
                grouped(most.into())
            ),
        )
        .evidence(cluster.label.clone())
        .hint(format!("--gpus {capacity} uses all of it"))
        .hint("a cluster file without `nodes` grows to what is asked for")),
        _ => Ok(()),
    }
}
