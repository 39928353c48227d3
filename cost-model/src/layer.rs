//! One layer in time: the steps of a lowered layer, priced and put together.
//!
//! Computation adds up; collectives of the tensor axis are exposed except for what the stack
//! hides; the ring of context parallelism hides behind attention; exchanges of experts are exposed
//! except for what the stack hides. A layer never runs faster than the host launches its kernels,
//! and waits a little for it even where it is slower.

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

/// What surrounds a layer and changes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// Whether activations are split along the sequence between tensor-parallel regions.
    pub sequence_parallel: bool,
    /// Whether stages of a pipeline on different nodes exchange messages beside it.
    pub staged: bool,
}

/// Prices a lowered layer. Checked by `parts_of_a_layer_add_up`.
#[must_use]
pub fn layer_time(layer: &LoweredLayer, around: Surroundings, profile: &Profile) -> LayerTime {
    let time = |steps: &[Step], pass| pass_time(steps, pass, around, profile);
    LayerTime {
        forward: time(&layer.forward, Pass::Forward),
        backward: time(&layer.backward, Pass::Backward),
        recompute: time(&layer.recompute, Pass::Forward),
    }
}

/// Prices the steps of one pass of a layer, or of a half of one. Checked by
/// `parts_of_a_layer_add_up`.
#[must_use]
pub fn pass_time(steps: &[Step], pass: Pass, around: Surroundings, profile: &Profile) -> PassTime {
    let mut time = PassTime::zero();
    let mut launches = Seconds::ZERO;
    let mut blocked = Estimate::exact(Seconds::ZERO);
    let mut attention = Seconds::ZERO;
    for step in steps {
        let priced = price(&step.work, profile);
        launches += host::occupied(step, around.staged, profile);
        blocked = blocked + host::wait(&step.work, profile);
        if matches!(step.work, Work::Attention(_)) {
            attention += priced.value;
        }
        match step.role {
            StepRole::Compute | StepRole::Communication(Axis::Data) => {
                time.compute = time.compute + priced;
            }
            StepRole::Communication(Axis::Tensor) => {
                time.tensor_total += priced.value;
                let shown = exposed_tensor(pass, around.sequence_parallel, profile);
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
    let device = time.compute.value + time.tensor.value + time.context.value + time.expert.value;
    let waits = Estimate::spread(waiting(launches, device), 0.0, 0.0, Grade::Derived);
    time.launch = waits + blocked;
    time
}

/// Share of the tensor axis' collectives that a pass waits for.
#[must_use]
pub fn exposed_tensor(pass: Pass, sequence_parallel: bool, profile: &Profile) -> f64 {
    let overlap = &profile.stack().overlap;
    let hidden = match (pass, sequence_parallel) {
        (Pass::Forward, false) => overlap.tensor_forward.value,
        (Pass::Forward, true) => overlap.tensor_forward_sequence.value,
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

/// How long the device waits for the host: `∛(device³ + host³) − device`.
///
/// Neither hides all of the other: some kernels of a layer are shorter than their launch while
/// others are longer. Source: 1,440 plans of small models on one node (VIA-Research/vTrain@f8dda84
/// `data/ground_truth_single.csv`), where a plain maximum leaves 8.0 % and powers of 2, 3, 4 and 8
/// leave 7.2, 6.3, 6.4 and 7.5 %. Checked by `host_and_device_hide_most_of_each_other`.
#[must_use]
pub fn waiting(host: Seconds, device: Seconds) -> Seconds {
    let (host, device) = (host.get(), device.get());
    if host <= 0.0 {
        return Seconds::ZERO;
    }
    // The longer one is taken out, so that no cube over- or underflows.
    let longer = host.max(device);
    let ratio = host.min(device) / longer;
    Seconds::new((longer * (1.0 + ratio * ratio * ratio).cbrt() - device).max(0.0))
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

    /// ∛(1 + 1) = 1.25992; ∛(8 + 27) = 3.27107, so 1.27107 beyond 2; far apart, the sum of cubes is
    /// the longer one: 1/3·(1/10)³ of it beyond.
    #[test]
    fn host_and_device_hide_most_of_each_other() {
        let wait = |host, device| waiting(Seconds::new(host), Seconds::new(device)).get();
        assert!((wait(1.0, 1.0) - 0.259_921).abs() < 1e-6);
        assert!((wait(3.0, 2.0) - 1.271_066).abs() < 1e-6);
        assert!((wait(1.0, 10.0) - 0.003_332).abs() < 1e-6);
        assert_eq!(wait(0.0, 1.0), 0.0);
        assert_eq!(wait(2.0, 0.0), 2.0);
    }
}
