//! Regimes in which predictions are known to be weak.

use crate::answer::Planned;
use crate::even::shape;
use crate::prices::{compute, traits};
use crate::request::Request;
use plan::model::{Batch, Family};
use plan::work::AttentionKernel;

/// Published runs slow down by 5 to 20 % above this share of the memory (llm-foundry's tables).
const CROWDED: f64 = 0.95;
/// Beyond this share of waiting for launches, the host decides the speed.
const LAUNCH_BOUND: f64 = 0.2;
/// Below this many tokens per expert, kernels are too small for the device.
const FEW_TOKENS: f64 = 256.0;

pub(super) fn warnings(request: &Request<'_>, planned: &Planned) -> Vec<String> {
    [
        crowded(request, planned),
        launch_bound(planned),
        odd_heads(request),
        few_tokens_per_expert(request, planned),
        batch(request),
        mixed(request),
        apart(request),
        stale(planned),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn crowded(request: &Request<'_>, planned: &Planned) -> Option<String> {
    let share = request.occupied(planned.tensors()) / request.profile.memory();
    (share > CROWDED).then(|| {
        format!(
            "memory is {:.0} % full: one in seven published runs above 95 % was 8 to 26 % slower \
             than predicted",
            share * 100.0
        )
    })
}

fn launch_bound(planned: &Planned) -> Option<String> {
    let rank = &planned.detail.ranks[planned.detail.busiest];
    let share = rank.layers.launch.value / planned.detail.step.value;
    (share > LAUNCH_BOUND).then(|| {
        format!(
            "{:.0} % of the step waits for the host to launch kernels: CUDA graphs or a compiler \
             would change it",
            share * 100.0
        )
    })
}

fn odd_heads(request: &Request<'_>) -> Option<String> {
    let Family::Transformer(t) = &request.model.spec.family else { return None };
    let unfused = traits(request.profile, compute(request)).attention == AttentionKernel::Unfused;
    (unfused && !t.head_dim.is_multiple_of(8)).then(|| {
        format!(
            "head width {} is not a multiple of 8: unfused attention falls off the tensor cores",
            t.head_dim
        )
    })
}

fn few_tokens_per_expert(request: &Request<'_>, planned: &Planned) -> Option<String> {
    let Family::Transformer(t) = &request.model.spec.family else { return None };
    let experts = t.experts.as_ref()?;
    let c = &planned.solution.configuration;
    let d = c.degrees;
    let tokens = c.micro_sequences * u64::from(d.ep) * request.sequence() / u64::from(d.cp);
    let each = (tokens * experts.top_k) as f64 / experts.count as f64;
    (each < FEW_TOKENS).then(|| {
        format!(
            "{each:.0} tokens per expert and micro-batch: kernels this small are slower than \
             modelled"
        )
    })
}

/// A batch other than the published one changes convergence, which is not modelled.
fn batch(request: &Request<'_>) -> Option<String> {
    let Batch::Global(published) = request.model.spec.training.batch else { return None };
    (published != request.global_sequences).then(|| {
        let ratio = request.global_sequences as f64 / published as f64;
        format!(
            "global batch {} is {ratio:.2} × the published {published}: convergence is not \
             modelled",
            request.global_sequences
        )
    })
}

fn apart(request: &Request<'_>) -> Option<String> {
    let local = request.pins.local_steps?;
    Some(format!(
        "replicas train apart for {} steps at a time: that learns something else than training in \
         step, and how much worse or better is not modelled; the step is the mean of a period",
        local.every
    ))
}

fn stale(planned: &Planned) -> Option<String> {
    let shape = shape(&planned.solution.configuration);
    let oldest = (0..shape.stages()).map(|stage| shape.age(stage)).max().unwrap_or(0);
    (oldest > 0).then(|| {
        format!(
            "gradients are up to {oldest} steps old: that learns something else than training in \
             step, and how much worse is not modelled"
        )
    })
}

fn mixed(request: &Request<'_>) -> Option<String> {
    (!request.cluster.is_homogeneous()).then(|| {
        "the cluster mixes devices: the plan takes all of them to be like the first group of its \
         file, which should be the slowest"
            .into()
    })
}
