//! Constants of a machine whose processors are the devices: what can be measured on it or fitted to
//! its runs, by name. The same table sets them in a profile, bounds a fit and names them in files.

use super::Free;
use crate::stack::{Passes, PointwiseCost, Stack};
use plan::machine::{LatencyLaw, NodeGroup, RecurrentLaw};
use plan::units::{BytesPerSecond, Seconds};
use plan::work::{OptimizerRule, Pass, PointwiseKind};
use plan::{Grade, Sourced};

/// A machine and the software on it: what a profile is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalMachine {
    /// Its devices and what joins them.
    pub group: NodeGroup,
    /// The software.
    pub stack: Stack,
}

/// A constant of a machine.
#[derive(Clone, Copy, Debug)]
pub struct LocalConstant {
    /// Its name in files.
    pub name: &'static str,
    /// Least and largest value, SI units.
    range: (f64, f64),
    /// How far its logarithm may plausibly be from where it starts.
    spread: f64,
    field: Field,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Number(fn(&mut LocalMachine) -> &mut Sourced<f64>),
    Time(fn(&mut LocalMachine) -> &mut Sourced<Seconds>),
    Rate(fn(&mut LocalMachine) -> &mut Sourced<BytesPerSecond>),
    Hop,
    RecurrentStep,
    Pointwise(PointwiseKind, Pass),
    Optimizer(OptimizerRule),
    Softmax(Pass),
}

const fn number(
    name: &'static str,
    range: (f64, f64),
    spread: f64,
    field: fn(&mut LocalMachine) -> &mut Sourced<f64>,
) -> LocalConstant {
    LocalConstant { name, range, spread, field: Field::Number(field) }
}

const fn time(
    name: &'static str,
    spread: f64,
    field: fn(&mut LocalMachine) -> &mut Sourced<Seconds>,
) -> LocalConstant {
    LocalConstant { name, range: (1e-8, 1.0), spread, field: Field::Time(field) }
}

const fn pointwise(name: &'static str, kind: PointwiseKind, pass: Pass) -> LocalConstant {
    LocalConstant { name, range: (0.01, 2000.0), spread: 1.5, field: Field::Pointwise(kind, pass) }
}

const fn optimizer(name: &'static str, rule: OptimizerRule) -> LocalConstant {
    LocalConstant { name, range: (1.0, 2000.0), spread: 1.0, field: Field::Optimizer(rule) }
}

const F: Pass = Pass::Forward;
const B: Pass = Pass::Backward;

use PointwiseKind as K;

/// All of them.
pub const LOCAL_CONSTANTS: &[LocalConstant] = &[
    number("gemm.efficiency", (0.02, 1.0), 0.5, |m| &mut m.group.device.gemm.efficiency),
    number("gemm.tile_penalty", (1e-4, 8.0), 1.5, |m| &mut m.group.device.gemm.tile_penalty),
    number("gemm.prologue", (0.01, 4096.0), 1.5, |m| &mut m.group.device.gemm.prologue),
    time("gemm.kernel_gap", 0.7, |m| &mut m.group.device.gemm.kernel_gap),
    LocalConstant {
        name: "memory.bandwidth",
        range: (1e8, 1e12),
        spread: 0.5,
        field: Field::Rate(|m| &mut m.group.device.memory_bandwidth),
    },
    number("memory.stream", (0.05, 1.0), 0.3, |m| &mut m.group.device.stream_efficiency),
    LocalConstant {
        name: "link.bandwidth",
        range: (1e6, 1e12),
        spread: 1.0,
        field: Field::Rate(|m| &mut m.group.intra.bandwidth),
    },
    LocalConstant { name: "link.hop", range: (1e-7, 1e-1), spread: 1.0, field: Field::Hop },
    time("send.base", 1.5, |m| &mut m.stack.collective.send_base),
    LocalConstant {
        name: "recurrent.step",
        range: (1e-8, 1e-2),
        spread: 1.5,
        field: Field::RecurrentStep,
    },
    pointwise("gate.forward", K::Gate, F),
    pointwise("gate.backward", K::Gate, B),
    pointwise("embedding.forward", K::Embedding, F),
    pointwise("embedding.backward", K::Embedding, B),
    pointwise("cross_entropy.forward", K::CrossEntropy, F),
    pointwise("cross_entropy.backward", K::CrossEntropy, B),
    pointwise("layer_norm.forward", K::LayerNorm, F),
    pointwise("layer_norm.backward", K::LayerNorm, B),
    pointwise("rms_norm.forward", K::RmsNorm, F),
    pointwise("rms_norm.backward", K::RmsNorm, B),
    pointwise("activation.forward", K::Activation { gated: false }, F),
    pointwise("activation.backward", K::Activation { gated: false }, B),
    pointwise("gated_activation.forward", K::Activation { gated: true }, F),
    pointwise("gated_activation.backward", K::Activation { gated: true }, B),
    pointwise("residual.forward", K::Residual { dropout: false }, F),
    pointwise("residual.backward", K::Residual { dropout: false }, B),
    pointwise("relayout.forward", K::Relayout, F),
    pointwise("relayout.backward", K::Relayout, B),
    pointwise("rope.forward", K::Rope, F),
    pointwise("rope.backward", K::Rope, B),
    pointwise("bias.backward", K::Bias, B),
    pointwise("copy.forward", K::Copy, F),
    pointwise("copy.backward", K::Copy, B),
    LocalConstant {
        name: "softmax.forward",
        range: (0.1, 500.0),
        spread: 1.5,
        field: Field::Softmax(F),
    },
    LocalConstant {
        name: "softmax.backward",
        range: (0.1, 500.0),
        spread: 1.5,
        field: Field::Softmax(B),
    },
    optimizer("optimizer.sgd", OptimizerRule::Sgd),
    optimizer("optimizer.momentum", OptimizerRule::Momentum),
    optimizer("optimizer.adagrad", OptimizerRule::Adagrad),
    optimizer("optimizer.adam", OptimizerRule::Adam),
    optimizer("optimizer.lamb", OptimizerRule::Lamb),
    time("optimizer.fixed", 1.5, |m| &mut m.stack.optimizer.fixed),
    number("optimizer.accumulation", (0.01, 200.0), 1.5, |m| {
        &mut m.stack.optimizer.accumulation_bytes
    }),
    time("step.fixed", 1.5, |m| &mut m.stack.host.step),
];

impl LocalConstant {
    /// The constant with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        LOCAL_CONSTANTS.iter().find(|constant| constant.name == name)
    }

    /// Its value, SI units.
    #[must_use]
    pub fn of(&self, machine: &LocalMachine) -> f64 {
        let mut copy = machine.clone();
        let m = &mut copy;
        match self.field {
            Field::Number(field) => field(m).value,
            Field::Time(field) => field(m).value.get(),
            Field::Rate(field) => field(m).value.get(),
            Field::Hop => hop(m).value.get(),
            Field::RecurrentStep => law(m).step_overhead.value.get(),
            Field::Pointwise(kind, pass) => {
                let cost = m.stack.pointwise.get(&kind).map(|c| c.value);
                cost.map_or(f64::NAN, |cost| of_pass(wide(&cost), pass))
            }
            Field::Optimizer(rule) => {
                m.stack.optimizer.bytes.get(&rule).map_or(f64::NAN, |b| b.value)
            }
            Field::Softmax(pass) => of_pass(m.stack.attention.softmax_bytes.value, pass),
        }
    }

    /// Sets it, kept within its range.
    pub fn set(&self, m: &mut LocalMachine, value: f64, grade: Grade, source: &str) {
        let value = value.clamp(self.range.0, self.range.1);
        let number = || Sourced::new(value, grade, source);
        let seconds = || Sourced::new(Seconds::new(value), grade, source);
        match self.field {
            Field::Number(field) => *field(m) = number(),
            Field::Time(field) => *field(m) = seconds(),
            Field::Rate(field) => {
                *field(m) = Sourced::new(BytesPerSecond::new(value), grade, source);
            }
            Field::Hop => *hop(m) = seconds(),
            Field::RecurrentStep => law(m).step_overhead = seconds(),
            Field::Pointwise(kind, pass) => {
                if let Some(cost) = m.stack.pointwise.get_mut(&kind) {
                    let wide = with_pass(wide(&cost.value), pass, value);
                    let bytes =
                        Passes { forward: wide.forward / 2.0, backward: wide.backward / 2.0 };
                    let kernels = cost.value.kernels;
                    let changed = PointwiseCost { bytes, wide: Some(wide), kernels };
                    *cost = Sourced::new(changed, grade, source);
                }
            }
            Field::Optimizer(rule) => {
                m.stack.optimizer.bytes.insert(rule, number());
            }
            Field::Softmax(pass) => {
                let changed = with_pass(m.stack.attention.softmax_bytes.value, pass, value);
                m.stack.attention.softmax_bytes = Sourced::new(changed, grade, source);
            }
        }
    }

    /// As a free constant of a fit, by its logarithm.
    #[must_use]
    pub fn free(&self, machine: &LocalMachine) -> Free {
        let (low, high) = self.range;
        let start = self.of(machine);
        let start = if start.is_finite() { start.clamp(low, high) } else { low };
        Free { start: start.ln(), spread: self.spread, low: low.ln(), high: high.ln() }
    }
}

fn of_pass(passes: Passes, pass: Pass) -> f64 {
    match pass {
        Pass::Forward => passes.forward,
        Pass::Backward => passes.backward,
    }
}

fn with_pass(mut passes: Passes, pass: Pass, value: f64) -> Passes {
    match pass {
        Pass::Forward => passes.forward = value,
        Pass::Backward => passes.backward = value,
    }
    passes
}

/// Bytes per 32-bit element.
fn wide(cost: &PointwiseCost) -> Passes {
    let twice = Passes { forward: 2.0 * cost.bytes.forward, backward: 2.0 * cost.bytes.backward };
    cost.wide.unwrap_or(twice)
}

fn hop(m: &mut LocalMachine) -> &mut Sourced<Seconds> {
    match &mut m.group.intra.latency {
        LatencyLaw::PerHop { hop } | LatencyLaw::Saturating { hop, .. } => hop,
    }
}

/// The recurrent law of the device; made where it has none, so that it can be set.
fn law(m: &mut LocalMachine) -> &mut RecurrentLaw {
    let fallback = &m.stack.recurrent.fallback;
    m.group.device.recurrent.get_or_insert_with(|| {
        fallback.clone().unwrap_or_else(|| RecurrentLaw {
            step_overhead: Sourced::new(Seconds::ZERO, Grade::Assumed, "a loop costs nothing"),
            weight_read_efficiency: Sourced::new(1.0, Grade::Assumed, "as a stream of reads"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn every_constant_can_be_set_and_read_and_has_a_name_of_its_own() {
        let mut machine = LocalMachine { group: fixtures::a100_group(), stack: fixtures::stack() };
        let names: std::collections::BTreeSet<_> = LOCAL_CONSTANTS.iter().map(|c| c.name).collect();
        assert_eq!(names.len(), LOCAL_CONSTANTS.len());
        for constant in LOCAL_CONSTANTS {
            let free = constant.free(&machine);
            let middle = f64::midpoint(free.low, free.high).exp();
            constant.set(&mut machine, middle, Grade::Measured, "this test");
            let read = constant.of(&machine);
            assert!((read / middle - 1.0).abs() < 1e-12, "{} {read} {middle}", constant.name);
            assert_eq!(LocalConstant::named(constant.name).unwrap().name, constant.name);
        }
    }
}
