//! What is trained, and how: a lowered plan with a text and a recipe.

use super::rows::moves_rows;
use crate::data::{Batches, DataError, Objective};
use crate::model::{Unsupported, check, runs_in_time};
use crate::optimizer::{LossScale, Rule, Schedule};
use crate::record::Recording;
use plan::document::Decision;
use plan::exchange::SamplingSeeds;
use plan::model::{Family, Model, Positions, Stacks, Transformer};
use plan::program::{Facts, Granularity, LowerError, Op, Program, Settings, lower};
use plan::record::RecordMode;
use plan::schedule::ScheduleKind;
use std::time::Duration;
use thiserror::Error;

/// How weights are updated, and what a run may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Update rule.
    pub rule: Rule,
    /// Learning rate.
    pub schedule: Schedule,
    /// Largest norm of all gradients; larger ones are scaled down.
    pub clip: Option<f64>,
    /// Loss scale at the start.
    pub scale: LossScale,
    /// Seed of initial values and draws.
    pub seed: u64,
    /// How many seeds draw the words of a sampled softmax.
    pub seeds: SamplingSeeds,
    /// How long an action may wait for other ranks.
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
        check_decision(&decision)?;
        check_batch(&model, &decision, &batches)?;
        if let Some(table) = model.table {
            batches.check_vocabulary(table.vocab)?;
        }
        let settings = Settings { granularity: Granularity::Layer, ..Settings::default() };
        let program = lower(&model, &decision, facts, &settings)?;
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
        let recording = Recording::default();
        Ok(Self { model, decision, program, batches, recipe, recording })
    }

    /// The same, measured.
    #[must_use]
    pub fn recorded(self, mode: RecordMode) -> Self {
        Self { recording: Recording::new(mode), ..self }
    }

    /// Micro-batches of sequences per replica; each is cut into pieces along time.
    #[must_use]
    pub fn batches_per_replica(&self) -> u32 {
        self.program.micro_batches / self.program.time_chunks.max(1)
    }

    /// A number that ranks compare before they start: it differs where program, text or recipe do.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let text = format!("{:?}{}", self.recipe, self.batches.steps_per_epoch());
        let program = format!("{}", self.program.digest());
        let halves = [program, text].map(|part| u64::from(crc32fast::hash(part.as_bytes())));
        halves[0] << 32 | halves[1]
    }
}

fn refuse(what: impl Into<String>, instead: &'static str) -> Result<(), Unsupported> {
    Err(Unsupported::Decision { what: what.into(), instead })
}

fn check_decision(d: &Decision) -> Result<(), Unsupported> {
    let g = d.degrees;
    if g.cp > 1 {
        return refuse("context parallelism", "plan with --cp 1");
    }
    if g.ep > 1 {
        return refuse("expert parallelism", "plan with --ep 1");
    }
    if d.sequence_parallel && g.tp > 1 {
        return refuse("sequence parallelism", "plan without it, or with --tp 1");
    }
    if d.schedule == ScheduleKind::Ouroboros {
        return refuse("the stale schedule of Ouroboros", "plan with another schedule");
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
    let has_rows = all.clone().any(|action| moves_rows(action.op));
    if all.clone().any(|action| matches!(action.op, Op::RouteRows(_))) {
        return refuse("a table with its rows at their owners", "plan with another --exchange");
    }
    if has_rows && d.embedding.is_some_and(|e| e.wire_bytes != 4) {
        return refuse("a compressed exchange of rows", "plan with 4 bytes per element");
    }
    if has_rows && (d.degrees.tp > 1 || d.stages.iter().any(|stage| stage.zero > 1)) {
        return refuse(
            "an exchange of rows beside tensor parallelism or ZeRO 2 and 3",
            "plan with --exchange dense, or without those",
        );
    }
    let is_tied = model.table.is_some_and(|table| table.tied);
    if is_tied && has_rows {
        return refuse("an exchange of rows of a tied table", "plan with --exchange dense");
    }
    let most = d.stages.iter().map(|stage| stage.zero).max().unwrap_or(0);
    if is_tied && most == 3 {
        return refuse("ZeRO 3 of a tied table", "plan with --zero 2 at most");
    }
    if most > 0 && all.any(|action| action.op == Op::ReduceTied) {
        return refuse("ZeRO of a table that two stages share", "plan with --zero 0 or --pp 1");
    }
    Ok(())
}
