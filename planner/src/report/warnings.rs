//! Regimes in which predictions are known to be weak.

use crate::answer::{Answer, Planned, plan};
use crate::even::shape;
use crate::prices::{compute, traits};
use crate::request::{Effort, Objective, Request};
use plan::model::{Batch, Family};
use plan::work::AttentionKernel;

/// Published runs slow down by 5 to 20 % above this share of the memory (llm-foundry's tables).
const CROWDED: f64 = 0.95;
/// Beyond this share of waiting for launches, the host decides the speed.
const LAUNCH_BOUND: f64 = 0.2;
/// Below this many tokens per expert, kernels are too small for the device.
const FEW_TOKENS: f64 = 256.0;
/// A batch that shares less than this part of what it could share with the number of devices may
/// waste them.
const SHARED: f64 = 0.25;
/// Sequences per second that another batch has to gain to be worth a word.
const WORTH_A_WORD: f64 = 1.1;

pub(super) fn warnings(request: &Request<'_>, planned: &Planned) -> Vec<String> {
    [
        crowded(request, planned),
        launch_bound(planned),
        odd_heads(request),
        few_tokens_per_expert(request, planned),
        batch(request),
        uneven_batch(request, planned),
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

/// A batch that divides over few replicas makes devices share what they would better do apart.
/// The batches next to it are planned, and named where they do more sequences per second.
fn uneven_batch(request: &Request<'_>, planned: &Planned) -> Option<String> {
    let (gpus, batch) = (u64::from(request.gpus), request.global_sequences);
    let shared = gcd(gpus, batch);
    if shared as f64 >= SHARED * gpus.min(batch) as f64 {
        return None;
    }
    let rate = |batch: u64, planned: &Planned| batch as f64 / planned.detail.step.value.get();
    let now = rate(batch, planned);
    let gains = neighbours(gpus, batch).into_iter().filter_map(|other| {
        let effort = Effort::Labels;
        let asked = Request { global_sequences: other, effort, ..*request };
        let Answer::Plan(planned) = plan(&asked, Objective::StepTime) else { return None };
        let gain = rate(other, &planned) / now;
        (gain > WORTH_A_WORD).then(|| format!("{other} does {gain:.1} × the sequences per second"))
    });
    let gains: Vec<String> = gains.collect();
    (!gains.is_empty()).then(|| {
        format!(
            "global batch {batch} and {gpus} GPUs have only the divisor {shared} in common: {}",
            gains.join(", ")
        )
    })
}

/// The batches below and above that share as much as can be with a number of devices.
fn neighbours(gpus: u64, batch: u64) -> Vec<u64> {
    let below = match batch < gpus {
        true => (1..=batch).rev().find(|n| gpus.is_multiple_of(*n)),
        false => Some(batch / gpus * gpus),
    };
    let above = match batch < gpus {
        true => (batch..=gpus).find(|n| gpus.is_multiple_of(*n)),
        false => Some(batch.div_ceil(gpus) * gpus),
    };
    below.into_iter().chain(above).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_divide() {
        assert_eq!(gcd(192, 1001), 1);
        assert_eq!(neighbours(192, 1001), [960, 1152]);
        assert_eq!(neighbours(192, 101), [96, 192]);
        assert_eq!(neighbours(8, 1), [1, 1]);
    }
}
