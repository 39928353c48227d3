//! Plans to lower.

use plan::document::{
    BatchDecision, Decision, EmbeddingDecision, LayerRange, PrecisionDecision, RecomputeCount,
    StageDecision,
};
use plan::exchange::Exchange;
use plan::lower::{Recompute, Traits};
use plan::mesh::Degrees;
use plan::model::{Family, LayerRole, Model};
use plan::program::{Facts, LowerError, Program, Settings, lower};
use plan::scenario;
use plan::schedule::{ScheduleKind, Shape};
use plan::work::AttentionKernel;

/// A shipped model with as many body layers as asked for.
pub fn model(name: &str, layers: u32) -> Model {
    let path = format!("{}/../scenarios/models/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut spec = scenario::parse_model(&text).unwrap();
    match &mut spec.family {
        Family::Transformer(t) => t.layers = layers,
        Family::Lstm(l) => l.layers = layers,
        _ => {}
    }
    Model::build(&spec).unwrap()
}

/// A plan in the making.
#[derive(Clone)]
pub struct Case {
    pub model: Model,
    pub degrees: Degrees,
    pub sequence_parallel: bool,
    pub schedule: ScheduleKind,
    pub chunks: u32,
    pub micro_batches: u32,
    pub time_chunks: u32,
    pub zero: u8,
    pub recompute: Recompute,
    pub exchange: Option<Exchange>,
    /// Stages that store the token table.
    pub pieces: u32,
    pub settings: Settings,
    pub facts: Facts,
}

/// Without the model's graph, which nobody wants to read.
impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { degrees: d, chunks, micro_batches: m, time_chunks: t, zero, .. } = self;
        let s = &self.settings;
        write!(
            f,
            "{} dp {} tp {} pp {} cp {} ep {} {:?} chunks {chunks} m {m} time {t} zero {zero} \
             sp {} recompute {:?} exchange {:?} pieces {} {:?} offload {} budget {} ahead {} \
             local {:?}",
            self.model.spec.name,
            d.dp,
            d.tp,
            d.pp,
            d.cp,
            d.ep,
            self.schedule,
            self.sequence_parallel,
            self.recompute,
            self.exchange,
            self.pieces,
            s.granularity,
            s.offload,
            s.send_budget,
            s.gather_ahead,
            s.local,
        )
    }
}

pub fn degrees(dp: u32, tp: u32, pp: u32) -> Degrees {
    Degrees { dp, tp, pp, cp: 1, ep: 1 }
}

pub fn facts() -> Facts {
    let traits = Traits::fused(AttentionKernel::Flash2);
    Facts { per_node: 8, traits, different: None, capacity: None }
}

impl Case {
    pub fn new(model: Model, degrees: Degrees) -> Self {
        Self {
            model,
            degrees,
            sequence_parallel: false,
            schedule: ScheduleKind::OneForwardOneBackward,
            chunks: 1,
            micro_batches: 4,
            time_chunks: 1,
            zero: 0,
            recompute: Recompute::None,
            exchange: None,
            pieces: 1,
            settings: Settings::default(),
            facts: facts(),
        }
    }

    pub fn shape(&self) -> Shape {
        Shape {
            kind: self.schedule,
            ranks: self.degrees.pp,
            micro_batches: self.micro_batches,
            chunks: self.chunks,
        }
    }

    /// Layers shared out evenly, the first stages taking what is over.
    pub fn decision(&self) -> Decision {
        let (shape, d) = (self.shape(), self.degrees);
        let training = &self.model.spec.training;
        let p = training.precision;
        let (layers, stages) = (self.model.layers(), shape.stages());
        let mut first = 0;
        let stage = |s: u32| {
            let count = layers / stages + u32::from(s < layers % stages);
            let range = LayerRange { first, last: first + count - 1 };
            first += count;
            StageDecision {
                layers: range,
                pipeline_rank: shape.home(s),
                zero: self.zero,
                recompute: self.levels(range),
            }
        };
        let stages = (0..stages).map(stage).collect();
        let sequences = u64::from(d.dp) * u64::from(self.micro_batches / self.time_chunks);
        Decision {
            local_steps: None,
            offload: false,
            world_size: d.world_size(),
            degrees: d,
            sequence_parallel: self.sequence_parallel,
            batch: BatchDecision {
                global_sequences: sequences,
                tokens_per_sequence: training.sequence,
                micro_sequences: 1,
                micro_batches: self.micro_batches,
                time_chunks: self.time_chunks,
            },
            schedule: self.schedule,
            chunks: self.chunks,
            stages,
            embedding: self.exchange.map(|exchange| EmbeddingDecision {
                exchange,
                wire_bytes: p.wire_bytes,
                pieces: self.pieces,
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

    fn levels(&self, range: LayerRange) -> Vec<RecomputeCount> {
        let chain = self.model.chain.iter();
        let kinds = chain.flat_map(|run| (0..run.layers).map(|_| run.kind));
        let mine = kinds.skip(range.first as usize).take((range.last - range.first + 1) as usize);
        let level = |kind: usize| match self.model.kinds[kind].role {
            LayerRole::Body => self.recompute,
            _ => Recompute::None,
        };
        let count = |kind: usize| RecomputeCount {
            kind: self.model.kinds[kind].name.into(),
            level: level(kind),
            layers: 1,
        };
        mine.map(count).collect()
    }

    pub fn lower(&self) -> Result<Program, LowerError> {
        lower(&self.model, &self.decision(), &self.facts, &self.settings)
    }
}
