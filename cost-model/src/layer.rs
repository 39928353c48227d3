//! One layer in time: the steps of a lowered layer, priced and put together.
//!
//! Computation adds up; collectives of the tensor axis are exposed except for what the stack
//! hides; the ring of context parallelism hides behind attention; exchanges of
//! experts are exposed except for what the stack hides. A layer never runs faster than the host launches its kernels.

use crate::host;
use crate::overlap;
use crate::price::price;
use crate::profile::Profile;
use plan::lower::{LoweredLayer, Step, StepRole};
use plan::mesh::Axis;
use plan::units::Seconds;
use plan::work::{Pass, Work};
use plan::{Estimate, Grade};

/// Where the time of one pass goes; the parts add up to [`PassTime::total`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassTime {
    /// Arithmetic and memory traffic.
    pub compute: Estimate<Seconds>,
    /// Exposed collectives of the tensor axis.
    pub tensor: Estimate<Seconds>,
    /// Exposed ring of the context axis.
    pub context: Estimate<Seconds>,
    /// Exposed all-to-alls of the expert axis.
    pub expert: Estimate<Seconds>,
    /// Waiting for the host to launch kernels.
    pub launch: Estimate<Seconds>,
    /// All tensor-axis communication, hidden or not.
    pub tensor_total: Seconds,
}

impl PassTime {
    /// Nothing.
    #[must_use]
    pub fn zero() -> Self {
        let zero = Estimate::exact(Seconds::ZERO);
        Self {
            compute: zero,
            tensor: zero,
            context: zero,
            expert: zero,
            launch: zero,
            tensor_total: Seconds::ZERO,
        }
    }

    /// Sum of the parts.
    #[must_use]
    pub fn total(&self) -> Estimate<Seconds> {
        self.compute + self.tensor + self.context + self.expert + self.launch
    }

    /// Part by part.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            compute: self.compute + other.compute,
            tensor: self.tensor + other.tensor,
            context: self.context + other.context,
            expert: self.expert + other.expert,
            launch: self.launch + other.launch,
            tensor_total: self.tensor_total + other.tensor_total,
        }
    }

    /// Every part `factor` times.
    #[must_use]
    pub fn times(&self, factor: f64) -> Self {
        Self {
            compute: self.compute * factor,
            tensor: self.tensor * factor,
            context: self.context * factor,
            expert: self.expert * factor,
            launch: self.launch * factor,
            tensor_total: self.tensor_total * factor,
        }
    }
}

/// A layer in time, one micro-batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerTime {
    /// Forward pass.
    pub forward: PassTime,
    /// Backward pass.
    pub backward: PassTime,
    /// What is computed again before the backward pass.
    pub recompute: PassTime,
}

impl LayerTime {
    /// Backward pass with its recomputation.
    #[must_use]
    pub fn backward_total(&self) -> Estimate<Seconds> {
        self.backward.total() + self.recompute.total()
    }
}

/// Prices a lowered layer. Checked by `parts_of_a_layer_add_up`.
#[must_use]
pub fn layer_time(layer: &LoweredLayer, sequence_parallel: bool, profile: &Profile) -> LayerTime {
    let time = |steps: &[Step], pass| pass_time(steps, pass, sequence_parallel, profile);
    LayerTime {
        forward: time(&layer.forward, Pass::Forward),
        backward: time(&layer.backward, Pass::Backward),
        recompute: time(&layer.recompute, Pass::Forward),
    }
}

pub(crate) fn pass_time(
    steps: &[Step],
    pass: Pass,
    sequence_parallel: bool,
    profile: &Profile,
) -> PassTime {
    let mut time = PassTime::zero();
    let mut launches = Seconds::ZERO;
    let (mut blocked, mut routing) = (Estimate::exact(Seconds::ZERO), Seconds::ZERO);
    let mut attention = Seconds::ZERO;
    for step in steps {
        let priced = price(&step.work, profile);
        launches += host::launch(&step.work, profile).value;
        blocked = blocked + host::wait(&step.work, profile);
        routing += host::routing(&step.work, profile).value;
        if matches!(step.work, Work::Attention(_)) {
            attention += priced.value;
        }
        match step.role {
            StepRole::Compute | StepRole::Communication(Axis::Data) => {
                time.compute = time.compute + priced;
            }
            StepRole::Communication(Axis::Tensor) => {
                time.tensor_total += priced.value;
                let shown = exposed_tensor(pass, sequence_parallel, profile);
                time.tensor = time.tensor + priced * shown;
            }
            StepRole::Communication(Axis::Context) => time.context = time.context + priced,
            StepRole::Communication(Axis::Expert) => {
                let shown = 1.0 - profile.stack().overlap.expert.value;
                time.expert = time.expert + priced * shown;
            }
        }
    }
    time.context = beyond(time.context, attention);
    time.launch = waiting(launches, routing, &time, profile) + blocked;
    time
}

/// Share of the tensor axis' collectives that a pass waits for.
#[must_use]
pub fn exposed_tensor(pass: Pass, sequence_parallel: bool, profile: &Profile) -> f64 {
    let overlap = &profile.stack().overlap;
    let hidden = match (pass, sequence_parallel) {
        (Pass::Forward, _) => overlap.tensor_forward.value,
        (Pass::Backward, false) => overlap.tensor_backward.value,
        (Pass::Backward, true) => overlap.tensor_backward_sequence.value,
    };
    1.0 - hidden
}

/// What of `communication` remains after hiding behind `compute`.
fn beyond(communication: Estimate<Seconds>, compute: Seconds) -> Estimate<Seconds> {
    let rest = |x: Seconds| (x - compute).max(Seconds::ZERO);
    Estimate {
        value: rest(communication.value),
        low: rest(communication.low),
        high: rest(communication.high),
        grade: communication.grade,
    }
}

/// `max(0, host − device)`: the device waits for the host. Where tokens are routed, both wait for
/// counts from each other, and `ε·min(host, device)` shows as well. Checked by
/// `experts_show_a_part_of_the_host`.
fn waiting(
    launches: Seconds,
    routing: Seconds,
    time: &PassTime,
    profile: &Profile,
) -> Estimate<Seconds> {
    let device = time.compute.value + time.tensor.value + time.context.value + time.expert.value;
    let host = launches + routing;
    let mut wait = (host - device).max(Seconds::ZERO);
    if routing > Seconds::ZERO {
        wait += host.min(device) * profile.stack().host.routing_exposed.value;
    }
    Estimate::spread(wait, 0.0, 0.0, Grade::Derived)
}

/// Times of a layer whose parameters are sharded over the replicas (ZeRO 2 and 3): each pass runs
/// beside its collectives, `max(C, X) + γ·min(C, X)`.
#[must_use]
pub fn beside(compute: Seconds, collectives: Seconds, profile: &Profile) -> Seconds {
    if collectives == Seconds::ZERO {
        return compute;
    }
    overlap::together(compute, collectives, profile.stack().overlap.contention.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use plan::work::{Gemm, Pointwise, PointwiseKind};
    use plan::{Dtype, Sourced};

    fn step(work: Work) -> Step {
        Step { op: "of this test", role: StepRole::Compute, work }
    }

    /// A permutation that keeps the host busy for 10 s, far longer than the device: the host shows,
    /// and a quarter of the device's time with it.
    #[test]
    fn experts_show_a_part_of_the_host() {
        let mut stack = fixtures::stack();
        let of = |x| Sourced::new(x, Grade::Assumed, "a round number for this test");
        stack.host.routing = Sourced::new(Seconds::new(10.0), Grade::Assumed, "this test");
        stack.host.routing_exposed = of(0.25);
        let profile = fixtures::a100_with(&stack);
        let (kind, dtype) = (PointwiseKind::Permute, Dtype::Fp16);
        let permute = Pointwise { kind, elements: 1 << 20, dtype, pass: Pass::Forward };
        let product = Gemm { batch: 1, m: 4096, n: 4096, k: 4096, dtype };
        let steps = [step(Work::Pointwise(permute)), step(Work::Gemm(product))];
        let time = pass_time(&steps, Pass::Forward, false, &profile);
        let host =
            10.0 + steps.iter().map(|s| host::launch(&s.work, &profile).value.get()).sum::<f64>();
        let device = time.compute.value.get();
        assert!((time.total().value.get() - host - 0.25 * device).abs() < 1e-9);
        let plain = pass_time(&steps[1..], Pass::Forward, false, &profile);
        assert_eq!(plain.launch.value, Seconds::ZERO);
    }
}
