//! What is asked of the planner.

use crate::combinations::Combination;
use crate::pipeline::Backend;
use cost_model::Profile;
use cost_model::memory::{self, Zero};
use plan::corpus::Corpus;
use plan::exchange::Exchange;
use plan::lower::Recompute;
use plan::machine::Cluster;
use plan::mesh::Degrees;
use plan::model::Model;
use plan::schedule::{LocalSteps, ScheduleKind};
use plan::units::Bytes;

/// What the person fixed; `None` leaves the choice to the planner.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pins {
    /// Tensor-parallel degree.
    pub tp: Option<u32>,
    /// Pipeline-parallel degree.
    pub pp: Option<u32>,
    /// Data-parallel degree.
    pub dp: Option<u32>,
    /// Context-parallel degree.
    pub cp: Option<u32>,
    /// Expert-parallel degree.
    pub ep: Option<u32>,
    /// ZeRO stage.
    pub zero: Option<Zero>,
    /// Sequences per micro-batch.
    pub micro_sequences: Option<u64>,
    /// Recomputation of all layers.
    pub recompute: Option<Recompute>,
    /// Schedule.
    pub schedule: Option<ScheduleKind>,
    /// Virtual stages per rank.
    pub chunks: Option<u32>,
    /// Sequence parallelism.
    pub sequence_parallel: Option<bool>,
    /// Embedding exchange.
    pub exchange: Option<Exchange>,
    /// Bytes per element of the embedding exchange.
    pub exchange_wire: Option<u64>,
    /// Replicas that train apart. Never chosen, because it changes what is learned.
    pub local_steps: Option<LocalSteps>,
    /// Whether activations wait in host memory.
    pub offload: Option<bool>,
}

impl Pins {
    /// These pins with all degrees fixed.
    #[must_use]
    pub fn on_mesh(self, d: Degrees) -> Self {
        let (tp, pp, dp) = (Some(d.tp), Some(d.pp), Some(d.dp));
        Self { tp, pp, dp, cp: Some(d.cp), ep: Some(d.ep), ..self }
    }

    /// The pins as the flags that set them.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let number = |name: &str, value: Option<u64>| value.map(|v| format!("--{name} {v}"));
        let word = |name: &str, value: Option<&str>| value.map(|v| format!("--{name} {v}"));
        let schedule = self.schedule.map(ScheduleKind::word);
        let sp = self.sequence_parallel.map(|on| if on { "on" } else { "off" });
        [
            number("tp", self.tp.map(u64::from)),
            number("pp", self.pp.map(u64::from)),
            number("dp", self.dp.map(u64::from)),
            number("cp", self.cp.map(u64::from)),
            number("ep", self.ep.map(u64::from)),
            number("zero", self.zero.map(|z| u64::from(z.stage()))),
            number("micro-batch", self.micro_sequences),
            word("recompute", self.recompute.map(Recompute::name)),
            word("schedule", schedule),
            number("chunks", self.chunks.map(u64::from)),
            word("sequence-parallel", sp),
            word("embedding", self.exchange.map(Exchange::name)),
            word(
                "embedding-wire",
                self.exchange_wire.map(|b| if b == 2 { "fp16" } else { "fp32" }),
            ),
            self.local_steps.map(|local| format!("--local-steps {local}")),
            word("offload", self.offload.map(|on| if on { "on" } else { "off" })),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// What is minimised or maximised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Shortest step.
    StepTime,
    /// Most tokens per second: the shortest step of the given batch.
    TokensPerSecond,
    /// Least memory per device, then the shortest step within it.
    Memory,
    /// Fewest device-hours.
    GpuHours,
    /// Least money.
    Dollars,
    /// Shortest run to a loss, where the batch is a decision; for a given batch the shortest step.
    TimeToLoss,
    /// Least electricity.
    KilowattHours,
}

impl Objective {
    /// All objectives.
    pub const ALL: [Self; 7] = [
        Self::StepTime,
        Self::TokensPerSecond,
        Self::Memory,
        Self::GpuHours,
        Self::Dollars,
        Self::TimeToLoss,
        Self::KilowattHours,
    ];

    /// The name used in flags and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StepTime => "step-time",
            Self::TokensPerSecond => "tokens-per-s",
            Self::Memory => "memory",
            Self::GpuHours => "gpu-hours",
            Self::Dollars => "dollars",
            Self::TimeToLoss => "time-to-loss",
            Self::KilowattHours => "kwh",
        }
    }
}

/// How far to go for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// To the proof: integer programmes where bounds and label programmes leave a gap.
    Proof,
    /// Bounds and label programmes only: a good plan, its gap known, in predictable time.
    Labels,
}

/// A question to the planner.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The model.
    pub model: &'a Model,
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Constants of its devices, links and software stack.
    pub profile: &'a Profile,
    /// Devices to use.
    pub gpus: u32,
    /// Sequences per step over all devices.
    pub global_sequences: u64,
    /// Vocabulary statistics, if known; without them every token counts as different.
    pub corpus: Option<&'a Corpus>,
    /// What is fixed.
    pub pins: Pins,
    /// Whether one thread of a rank computes and sends: a message keeps it from computing.
    pub one_thread: bool,
    /// What the software does not run together.
    pub refuses: &'a [Combination],
    /// Share of the device memory that a plan may fill.
    pub max_memory: f64,
    /// Solver of integer programmes.
    pub backend: Backend,
    /// How far to go.
    pub effort: Effort,
    /// Asked between configurations; true ends the search with what was found so far.
    pub stop: &'a dyn Fn() -> bool,
}

impl Request<'_> {
    /// Devices per node.
    #[must_use]
    pub fn per_node(&self) -> u32 {
        self.cluster.groups.first().map_or(1, |g| g.devices_per_node)
    }

    /// Nodes used.
    #[must_use]
    pub fn nodes(&self) -> u32 {
        self.gpus.div_ceil(self.per_node().max(1))
    }

    /// Device memory that a plan may fill, as the device would show it.
    #[must_use]
    pub fn limit(&self) -> Bytes {
        self.profile.memory() * self.max_memory
    }

    /// Of `capacity`, what a plan may fill with tensors.
    #[must_use]
    pub fn usable(&self, capacity: Bytes) -> Bytes {
        memory::usable(capacity, &self.profile.stack().memory, self.gpus)
    }

    /// What a device shows as used when `tensors` bytes are allocated.
    #[must_use]
    pub fn occupied(&self, tensors: Bytes) -> Bytes {
        memory::occupied(tensors, &self.profile.stack().memory, self.gpus)
    }

    /// Whether a schedule may be used: the stack runs it, and no other one is pinned. One with
    /// stale gradients has to be pinned, because it changes what is learned.
    #[must_use]
    pub fn allows(&self, kind: ScheduleKind) -> bool {
        match self.pins.schedule {
            Some(pin) if pin != kind => false,
            Some(ScheduleKind::Ouroboros) => true,
            _ => self.profile.stack().pipeline.schedules.value.contains(&kind),
        }
    }

    /// Whether any schedule that may be used has backward passes in halves.
    #[must_use]
    pub fn splits_backward(&self) -> bool {
        ScheduleKind::ALL.into_iter().any(|kind| kind.splits_backward() && self.allows(kind))
    }

    /// Tokens per sequence on the target side.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.model.spec.training.sequence
    }
}
