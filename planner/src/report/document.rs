//! plan.json from a solution.

use super::{Context, Numbers};
use crate::answer::Planned;
use crate::events::scored;
use crate::exchange::wire_bytes;
use crate::request::Request;
use crate::solution::{Solution, StageUse};
use plan::Estimate;
use plan::document::{
    BatchDecision, Certificate, Decision, EmbeddingDecision, Input, Inputs, LayerRange,
    PLAN_SCHEMA, Plan, PrecisionDecision, Prediction, ProgramScore, RecomputeCount, StageDecision,
};

pub(super) fn plan(
    request: &Request<'_>,
    planned: &Planned,
    context: &Context<'_>,
    numbers: &Numbers,
) -> Plan {
    let inputs = inputs(request, context);
    let decision = decision(request, &planned.solution);
    let id = id(&(context.hash)(&format!("{inputs:?}{decision:?}")));
    let memory = request.occupied(planned.tensors());
    let spread = request.profile.stack().memory.fragmentation.value;
    let grade = request.profile.stack().memory.fragmentation.grade;
    let prediction = Prediction {
        step: planned.detail.step.into(),
        tokens_per_second: numbers.rate(numbers.tokens, "token/s"),
        memory: Estimate::spread(memory, spread, spread, grade).into(),
        mfu: numbers.utilisation(numbers.model_flops),
    };
    Plan {
        schema: PLAN_SCHEMA.into(),
        id,
        made_by: context.made_by.into(),
        inputs,
        decision,
        prediction,
        certificate: certificate(request, planned),
    }
}

/// The proof, with how far the closed form that it is about is from the plan's program.
fn certificate(request: &Request<'_>, planned: &Planned) -> Certificate {
    let step = planned.detail.step.value;
    let scored = scored(request, &planned.solution, step).ok();
    let program = scored.map(|s| ProgramScore {
        closed_form_seconds: s.closed_form.get(),
        simulated_seconds: s.simulated.get(),
        difference: s.difference(),
    });
    Certificate { program, ..planned.certificate.clone() }
}

/// `a41c-7e09`: the first eight digits of a hash.
fn id(hash: &str) -> String {
    let digits: String = hash.chars().take(8).collect();
    let (first, second) = digits.split_at(digits.len().min(4));
    format!("{first}-{second}")
}

fn inputs(request: &Request<'_>, context: &Context<'_>) -> Inputs {
    let input = |(name, fingerprint): (&str, &str)| Input {
        name: name.into(),
        fingerprint: fingerprint.into(),
    };
    Inputs {
        model: input(context.model),
        cluster: input(context.cluster),
        stack: input(context.stack),
        corpus: context.corpus.map(input),
        max_memory: request.max_memory,
        pins: request.pins.flags(),
        objective: context.objective.name().into(),
    }
}

/// The decisions of a solution.
#[must_use]
pub fn decision(request: &Request<'_>, s: &Solution) -> Decision {
    let c = &s.configuration;
    let training = &request.model.spec.training;
    let p = &training.precision;
    Decision {
        local_steps: request.pins.local_steps,
        offload: request.pins.offload == Some(true),
        world_size: c.degrees.world_size(),
        degrees: c.degrees,
        sequence_parallel: c.sequence_parallel,
        batch: BatchDecision {
            global_sequences: request.global_sequences,
            tokens_per_sequence: training.sequence,
            micro_sequences: c.micro_sequences,
            micro_batches: c.micro_batches,
            time_chunks: c.time_chunks,
        },
        schedule: c.schedule,
        chunks: c.chunks,
        stages: stages(request, s),
        embedding: s.setting.exchange.map(|exchange| EmbeddingDecision {
            exchange,
            wire_bytes: wire_bytes(request),
            pieces: c.pieces,
        }),
        precision: PrecisionDecision {
            compute: p.compute,
            weight_bytes: p.weight_bytes,
            gradient_bytes: p.gradient_bytes,
            optimizer_bytes: p.optimizer_bytes,
            wire_bytes: p.wire_bytes,
            optimizer: training.optimizer,
        },
    }
}

fn stages(request: &Request<'_>, s: &Solution) -> Vec<StageDecision> {
    let mut next = 0;
    let mut all = Vec::new();
    for stage in &s.stages {
        let layers: u32 = stage.counts().iter().sum();
        let range = LayerRange { first: next, last: next + layers.max(1) - 1 };
        next += layers;
        all.push(StageDecision {
            layers: range,
            pipeline_rank: stage.rank,
            zero: s.setting.zero.stage(),
            recompute: recompute(request, s, stage),
        });
    }
    all
}

fn recompute(request: &Request<'_>, s: &Solution, stage: &StageUse) -> Vec<RecomputeCount> {
    let runs = request.model.chain.iter().zip(&stage.layers);
    runs.flat_map(|(run, counts)| {
        let kind = request.model.kinds[run.kind].name;
        let levels = s.levels[run.kind].iter().zip(counts).filter(|(_, n)| **n > 0);
        levels.map(move |(&level, &layers)| RecomputeCount { kind: kind.into(), level, layers })
    })
    .collect()
}
