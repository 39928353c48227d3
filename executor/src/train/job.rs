//! What is trained, and how: a lowered plan with a text and a recipe.

use super::network::Network;
use super::outer::Outer;
use super::rows::moves_rows;
use super::watchdog::Watchdog;
use crate::data::{Batches, DataError, Objective};
use crate::model::{Unsupported, check, runs_in_time};
use crate::optimizer::{BatchRamp, LossScale, Rule, Schedule};
use crate::record::Recording;
use plan::Dtype;
use plan::document::Decision;
use plan::exchange::SamplingSeeds;
use plan::model::{Family, Model, Positions, Stacks, Transformer};
use plan::program::{Facts, Granularity, LowerError, Program, Settings, lower};
use plan::record::RecordMode;
use plan::schedule::ScheduleKind;
use std::ops::Range;
use std::time::Duration;
use thiserror::Error;

/// How weights are updated, and what a run may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Update rule.
    pub rule: Rule,
    /// Learning rate.
    pub schedule: Schedule,
    /// How the batch grows to the plan's, where it does: replicas leave out their last
    /// micro-batches.
    pub ramp: Option<BatchRamp>,
    /// Largest norm of all gradients; larger ones are scaled down.
    pub clip: Option<f64>,
    /// Loss scale at the start.
    pub scale: LossScale,
    /// Seed of initial values and draws.
    pub seed: u64,
    /// How many seeds draw the words of a sampled softmax.
    pub seeds: SamplingSeeds,
    /// How long an action may wait for other ranks, unless a [`Watchdog`] knows better.
    pub limit: Duration,
    /// Threads per rank.
    pub threads: usize,
}

/// A lowered plan with a text and a recipe: the same on every rank.
#[derive(Clone, Debug)]
pub struct Job {
    /// Model.
    pub model: Model,
    /// What the plan decided.
    pub decision: Decision,
    /// The plan, lowered.
    pub program: Program,
    /// Text.
    pub batches: Batches,
    /// Recipe.
    pub recipe: Recipe,
    /// What is measured.
    pub recording: Recording,
    /// How long each action may wait for other ranks.
    pub watchdog: Watchdog,
    /// What replicas that train apart do when they meet.
    pub outer: Outer,
    /// The network that ranks pretend to have, where it is not their own.
    pub network: Option<Network>,
}

/// Why a plan cannot be run.
#[derive(Debug, Error)]
pub enum JobError {
    /// It has no program.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// Something in it is not executed yet.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The text does not do.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl Job {
    /// Lowers a plan, checks that all of it can be run, and fits the text to it.
    ///
    /// # Errors
    /// What is in the way, and what would work.
    pub fn new(
        model: Model,
        decision: Decision,
        facts: &Facts,
        mut batches: Batches,
        recipe: Recipe,
    ) -> Result<Self, JobError> {
        check(&model, decision.degrees.tp as usize)?;
        check_decision(&model, &decision)?;
        check_batch(&model, &decision, &batches)?;
        if let Some(table) = model.table {
            batches.check_vocabulary(table.vocab)?;
        }
        check_apart(&decision)?;
        check_ramp(&decision, recipe.ramp)?;
        batches.ramp = recipe.ramp;
        let settings = Settings { granularity: Granularity::Layer, ..Settings::default() };
        // Hosts may differ in the memory that they have left; their programs must not.
        let facts = Facts { capacity: None, ..*facts };
        let program = lower(&model, &decision, &facts, &settings)?;
        check_program(&model, &decision, &program)?;
        batches.in_time = runs_in_time(&model);
        match &model.spec.family {
            Family::Transformer(t) if t.stacks == Stacks::Encoder => {
                let mask = u32::try_from(t.vocab.saturating_sub(1)).unwrap_or(u32::MAX);
                batches.objective = Objective::Hidden { share: t.loss_fraction, mask };
            }
            _ => {}
        }
        let table = model.table.and_then(|table| Some((table.vocab, table.sampled?)));
        batches.sampled = table;
        let watchdog = Watchdog::flat(recipe.limit);
        let (outer, network) = (Outer::default(), None);
        let recording = Recording::default();
        Ok(Self { model, decision, program, batches, recipe, recording, watchdog, outer, network })
    }

    /// The same, measured.
    #[must_use]
    pub fn recorded(self, mode: RecordMode) -> Self {
        Self { recording: Recording::new(mode), ..self }
    }

    /// Whether weights and what goes from layer to layer are kept in bfloat16. Sums, gradients of
    /// weights and optimizer states are in single precision all the same.
    #[must_use]
    pub fn is_rounded(&self) -> bool {
        self.decision.precision.compute == Dtype::Bf16
    }

    /// Micro-batches of sequences per replica; each is cut into pieces along time.
    #[must_use]
    pub fn batches_per_replica(&self) -> u32 {
        self.program.micro_batches / self.program.time_chunks.max(1)
    }

    /// Micro-batches of sequences per replica that a step runs: fewer than there are while the
    /// batch grows.
    #[must_use]
    pub fn batches_at(&self, step: u64) -> u32 {
        let all = self.batches_per_replica();
        let Some(ramp) = self.recipe.ramp else { return all };
        let each = self.decision.batch.micro_sequences * u64::from(self.decision.degrees.dp);
        u32::try_from(ramp.at(step) / each.max(1)).unwrap_or(all).min(all)
    }

    /// Sequences of a micro-batch of sequences of a replica, among those of a step. Where the batch
    /// grows, the first micro-batches of all replicas come first, so that a step that leaves the
    /// others out is about the first sequences, under every plan.
    #[must_use]
    pub fn sequences(&self, replica: u32, number: u32) -> Range<u64> {
        let each = self.decision.batch.micro_sequences;
        let number = match self.recipe.ramp {
            None => replica * self.batches_per_replica() + number,
            Some(_) => number * self.decision.degrees.dp + replica,
        };
        u64::from(number) * each..u64::from(number + 1) * each
    }

    /// A number that ranks compare before they start: it differs where program, text or recipe do.
    #[must_use]
    pub fn digest(&self) -> u64 {
        // Hosts may differ in what they can do at once, and in how long they wait.
        let recipe = Recipe { threads: 1, limit: Duration::ZERO, ..self.recipe.clone() };
        let text = format!("{recipe:?}{:?}{}", self.outer, self.batches.steps_per_epoch());
        let program = format!("{}", self.program.digest());
        let halves = [program, text].map(|part| u64::from(crc32fast::hash(part.as_bytes())));
        halves[0] << 32 | halves[1]
    }
}

fn refuse(what: impl Into<String>, instead: &'static str) -> Result<(), Unsupported> {
    Err(Unsupported::Decision { what: what.into(), instead })
}

/// Replicas that train apart share no experts.
fn check_apart(d: &Decision) -> Result<(), Unsupported> {
    if d.local_steps.is_some() && d.degrees.ep > 1 {
        return refuse("experts over replicas that train apart", "plan with --ep 1");
    }
    Ok(())
}

/// A batch that grows: whole micro-batches of all replicas join, up to the plan's batch.
fn check_ramp(d: &Decision, ramp: Option<BatchRamp>) -> Result<(), Unsupported> {
    let Some(ramp) = ramp else { return Ok(()) };
    let least = d.batch.micro_sequences * u64::from(d.degrees.dp);
    if ramp.to != d.batch.global_sequences {
        let what = format!("a batch that grows to {} sequences", ramp.to);
        return refuse(what, "let it grow to the plan's global batch");
    }
    if ramp.from == 0 || ramp.from > ramp.to || !ramp.from.is_multiple_of(least) {
        let what = format!(
            "a batch that grows from {} sequences, with {} replicas and micro-batches of {}",
            ramp.from, d.degrees.dp, d.batch.micro_sequences
        );
        return refuse(what, "start with a multiple of replicas times micro-batch");
    }
    if d.schedule == ScheduleKind::Ouroboros {
        return refuse("a batch that grows under Ouroboros", "keep the batch, or plan with 1f1b");
    }
    Ok(())
}

/// Ranks that hold a part of the positions each: where layers know how to do with less.
fn check_positions(model: &Model, d: &Decision, apart: u64) -> Result<(), Unsupported> {
    let Family::Transformer(t) = &model.spec.family else {
        let what = "positions of a recurrent model on several ranks";
        return if apart > 1 { refuse(what, "plan with --cp 1, without SP") } else { Ok(()) };
    };
    if t.memory_length > 0 && d.degrees.cp > 1 {
        return refuse("cached positions with context parallelism", "plan with --cp 1");
    }
    if t.experts.is_some() && d.degrees.cp > 1 {
        return refuse("a mixture of experts with context parallelism", "plan with --cp 1");
    }
    let experts = t.experts.as_ref().map_or(1, |e| e.count);
    if !experts.is_multiple_of(u64::from(d.degrees.ep.max(1))) {
        let what = format!("{experts} experts over {} ranks", d.degrees.ep);
        return refuse(what, "plan with an --ep that divides the experts");
    }
    Ok(())
}

fn check_decision(model: &Model, d: &Decision) -> Result<(), Unsupported> {
    let g = d.degrees;
    let apart = u64::from(g.cp) * if d.sequence_parallel { u64::from(g.tp) } else { 1 };
    if !d.batch.tokens_per_sequence.is_multiple_of(apart.max(1)) {
        let what = format!("{} tokens over {apart} ranks", d.batch.tokens_per_sequence);
        return refuse(what, "plan with a number of tokens that divides by cp, and by tp with SP");
    }
    check_positions(model, d, apart)?;
    if d.embedding.is_some_and(|e| e.pieces > 1) {
        let what = "a token table in pieces on several stages";
        return refuse(what, "plan with the table on one stage, or sharded over replicas");
    }
    Ok(())
}

/// Whether plan, model and text mean the same sequences.
fn check_batch(model: &Model, d: &Decision, batches: &Batches) -> Result<(), Unsupported> {
    let b = d.batch;
    let per_replica = u64::from(b.micro_batches / b.time_chunks.max(1)) * b.micro_sequences;
    let all = u64::from(d.degrees.dp) * per_replica;
    if all != b.global_sequences {
        let what = format!("{all} sequences in micro-batches of {} per step", b.global_sequences);
        return refuse(what, "plan with a batch that divides into its micro-batches");
    }
    if (batches.sequences, batches.length as u64) != (b.global_sequences, b.tokens_per_sequence) {
        let text = format!("{} sequences of {} tokens", batches.sequences, batches.length);
        let what = format!("a text cut into {text}");
        return refuse(what, "cut it as the plan's batch says");
    }
    match &model.spec.family {
        Family::Transformer(Transformer { positions: Positions::Learned(n), .. })
            if *n < b.tokens_per_sequence =>
        {
            let what = format!("{} tokens with {n} learned positions", b.tokens_per_sequence);
            refuse(what, "plan with shorter sequences")
        }
        _ => Ok(()),
    }
}

/// Actions that have no meaning here yet.
fn check_program(model: &Model, d: &Decision, program: &Program) -> Result<(), Unsupported> {
    let mut all = program.classes.iter().flat_map(|class| &class.actions);
    let has_rows = all.any(|action| moves_rows(action.op));
    if has_rows && d.embedding.is_some_and(|e| !matches!(e.wire_bytes, 2 | 4)) {
        return refuse("an exchange of rows in other than 2 or 4 bytes", "plan with one of them");
    }
    let is_tied = model.table.is_some_and(|table| table.tied);
    if is_tied && has_rows {
        return refuse("an exchange of rows of a tied table", "plan with --exchange dense");
    }
    // On ranks of their own, input and output each collect their copy of the table.
    let ends = d.stages.first().zip(d.stages.last());
    let is_shared = ends.is_some_and(|(first, last)| first.pipeline_rank == last.pipeline_rank);
    let most = d.stages.iter().map(|stage| stage.zero).max().unwrap_or(0);
    if is_tied && is_shared && most == 3 {
        let what = "ZeRO 3 of a table that input and output of one rank share";
        return refuse(what, "plan with --zero 2 at most, or with a pipeline");
    }
    Ok(())
}
