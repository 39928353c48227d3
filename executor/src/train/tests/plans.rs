//! Plans for small models.

use crate::data::{Batches, Source};
use crate::model::tests::small::{model, words};
use crate::optimizer::{Adam, LossScale, Rule, Schedule};
use crate::train::{Job, Recipe};
use plan::document::{
    BatchDecision, Decision, EmbeddingDecision, LayerRange, PrecisionDecision, RecomputeCount,
    StageDecision,
};
use plan::exchange::{Exchange, SamplingSeeds};
use plan::lower::{Recompute, Traits};
use plan::mesh::Degrees;
use plan::model::Model;
use plan::program::{DifferentTokens, Facts};
use plan::schedule::{ScheduleKind, Shape};
use plan::work::OptimizerRule;
use std::sync::Arc;
use std::time::Duration;

/// What a test decides.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub dp: u32,
    pub tp: u32,
    pub pp: u32,
    pub cp: u32,
    pub ep: u32,
    pub sequence_parallel: bool,
    pub micro_batches: u32,
    pub schedule: ScheduleKind,
    pub chunks: u32,
    pub zero: u8,
    pub recompute: bool,
    pub time_chunks: u32,
    pub exchange: Option<Exchange>,
    pub wire_bytes: u64,
    pub is_rounded: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            dp: 1,
            tp: 1,
            pp: 1,
            cp: 1,
            ep: 1,
            sequence_parallel: false,
            micro_batches: 1,
            schedule: ScheduleKind::OneForwardOneBackward,
            chunks: 1,
            zero: 0,
            recompute: false,
            time_chunks: 1,
            exchange: None,
            wire_bytes: 4,
            is_rounded: false,
        }
    }
}

impl Plan {
    /// One rank with the same micro-batches, in the same order.
    pub fn single(&self) -> Self {
        let micro_batches = self.dp * self.micro_batches;
        let schedule = match self.time_chunks {
            1 => ScheduleKind::OneForwardOneBackward,
            _ => ScheduleKind::GPipe,
        };
        let (time_chunks, is_rounded) = (self.time_chunks, self.is_rounded);
        Self { micro_batches, schedule, time_chunks, is_rounded, ..Self::default() }
    }

    fn decision(&self, model: &Model) -> Decision {
        let Self { dp, tp, pp, cp, ep, .. } = *self;
        let degrees = Degrees { dp, tp, pp, cp, ep };
        let global_sequences = u64::from(self.dp * self.micro_batches) * 2;
        let batch = BatchDecision {
            global_sequences,
            tokens_per_sequence: 4,
            micro_sequences: 2,
            micro_batches: self.micro_batches * self.time_chunks,
            time_chunks: self.time_chunks,
        };
        let precision = PrecisionDecision {
            compute: if self.is_rounded { plan::Dtype::Bf16 } else { plan::Dtype::Fp32 },
            weight_bytes: 4,
            gradient_bytes: 4,
            optimizer_bytes: 8,
            wire_bytes: 4,
            optimizer: OptimizerRule::Adam,
        };
        Decision {
            local_steps: None,
            offload: false,
            world_size: degrees.world_size(),
            degrees,
            sequence_parallel: self.sequence_parallel,
            batch,
            schedule: self.schedule,
            chunks: self.chunks,
            stages: self.stages(model),
            embedding: self.exchange.map(|exchange| EmbeddingDecision {
                exchange,
                wire_bytes: self.wire_bytes,
                pieces: 1,
            }),
            precision,
        }
    }

    /// A job whose decision was changed.
    pub fn job_but(&self, name: &str, change: impl Fn(&mut Decision)) -> Job {
        let Job { model, batches, recipe, .. } = job(self, name);
        let mut decision = self.decision(&model);
        change(&mut decision);
        Job::new(model, decision, &facts(), batches, recipe)
            .unwrap_or_else(|e| panic!("{name} {self:?}: {e}"))
    }

    fn stages(&self, model: &Model) -> Vec<StageDecision> {
        let kinds: Vec<&str> = model
            .chain
            .iter()
            .flat_map(|run| (0..run.layers).map(|_| model.kinds[run.kind].name))
            .collect();
        let (kind, micro_batches) = (self.schedule, self.micro_batches * self.time_chunks);
        let shape = Shape { kind, ranks: self.pp, micro_batches, chunks: self.chunks };
        let count = shape.stages();
        let stage = |i: u32| {
            let range = crate::comm::part(kinds.len(), count as usize, i as usize);
            let level = if self.recompute { Recompute::Full } else { Recompute::None };
            let mut recompute: Vec<RecomputeCount> = Vec::new();
            for kind in &kinds[range.clone()] {
                match recompute.iter_mut().find(|r| r.kind == *kind) {
                    Some(known) => known.layers += 1,
                    None => {
                        recompute.push(RecomputeCount { kind: kind.to_string(), level, layers: 1 });
                    }
                }
            }
            StageDecision {
                layers: LayerRange { first: range.start as u32, last: range.end as u32 - 1 },
                pipeline_rank: shape.home(i),
                zero: self.zero,
                recompute,
            }
        };
        (0..count).map(stage).collect()
    }
}

/// The text that ships.
pub const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/text/alice.txt");

/// An LSTM of 3000 words of width 16, over 4 replicas with the unique exchange.
pub fn word_job(
    batches: &Batches,
    (micro_sequences, length): (u64, usize),
    different: DifferentTokens,
) -> Job {
    let plan = Plan { dp: 4, exchange: Some(Exchange::Unique), ..Plan::default() };
    let model = words();
    let mut decision = plan.decision(&model);
    decision.batch.micro_sequences = micro_sequences;
    decision.batch.tokens_per_sequence = length as u64;
    decision.batch.global_sequences = micro_sequences * 4;
    let recipe = job(&Plan::default(), "lstm").recipe;
    let facts = Facts { different: Some(different), ..facts() };
    Job::new(model, decision, &facts, batches.clone(), recipe).unwrap()
}

/// A job on the shipped text, its bytes folded into six words.
pub fn job_with(plan: &Plan, name: &str, rate: f64) -> Job {
    let text = std::fs::read(TEXT).unwrap();
    let tokens = text[1000..4000].iter().map(|&byte| u32::from(byte) % 6).collect();
    let model = model(name);
    let decision = plan.decision(&model);
    let sequences = decision.batch.global_sequences;
    let batches = Batches::new(Source::Memory(Arc::new(tokens)), sequences, 4, 11).unwrap();
    let recipe = Recipe {
        rule: Rule::Adam(Adam { decay: 0.01, ..Adam::default() }),
        schedule: Schedule::Constant { rate },
        ramp: None,
        clip: Some(0.5),
        scale: LossScale::NONE,
        seed: 11,
        seeds: SamplingSeeds::Shared,
        limit: Duration::from_secs(60),
        threads: 1,
    };
    let facts = facts();
    let made = Job::new(model, decision, &facts, batches, recipe);
    made.unwrap_or_else(|e| panic!("{name} {plan:?}: {e}"))
}

pub fn job(plan: &Plan, name: &str) -> Job {
    job_with(plan, name, 0.003)
}

/// What lowering knows besides the plan.
pub fn facts() -> Facts {
    let attention = plan::work::AttentionKernel::Flash2;
    let traits = Traits::fused(attention);
    Facts { per_node: 8, traits, different: None, capacity: None }
}
