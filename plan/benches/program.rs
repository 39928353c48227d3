//! Programs at the sizes of real plans. `cargo bench -p plan`.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use plan::document::{
    BatchDecision, Decision, LayerRange, PrecisionDecision, RecomputeCount, StageDecision,
};
use plan::lower::{Recompute, Traits};
use plan::mesh::Degrees;
use plan::model::{LayerRole, Model};
use plan::program::{Facts, Granularity, Program, Settings, lower, validate};
use plan::scenario;
use plan::schedule::ScheduleKind;
use plan::work::AttentionKernel;

fn main() {
    divan::main();
}

/// Llama 3 of 405 B parameters on 16,384 ranks: DP 128, TP 8, PP 16, sequence parallel, ZeRO 1.
struct Question {
    model: Model,
    decision: Decision,
    facts: Facts,
}

const LLAMA: &str = include_str!("../../scenarios/models/llama3-405b.toml");

fn question(micro_batches: u32) -> Question {
    let Ok(spec) = scenario::parse_model(LLAMA) else { unreachable!("a shipped model reads") };
    let Ok(model) = Model::build(&spec) else { unreachable!("a shipped model builds") };
    let degrees = Degrees { dp: 128, tp: 8, pp: 16, cp: 1, ep: 1 };
    let kinds: Vec<usize> =
        model.chain.iter().flat_map(|run| (0..run.layers).map(|_| run.kind)).collect();
    let each = model.layers().div_ceil(degrees.pp);
    let stage = |s: u32| {
        let first = s * each;
        let last = (first + each).min(model.layers()) - 1;
        let level = |kind: usize| match model.kinds[kind].role {
            LayerRole::Body => Recompute::Selective,
            _ => Recompute::None,
        };
        let count = |&kind: &usize| RecomputeCount {
            kind: model.kinds[kind].name.into(),
            level: level(kind),
            layers: 1,
        };
        let recompute = kinds[first as usize..=last as usize].iter().map(count).collect();
        StageDecision { layers: LayerRange { first, last }, pipeline_rank: s, zero: 1, recompute }
    };
    let p = spec.training.precision;
    let decision = Decision {
        local_steps: None,
        offload: false,
        world_size: degrees.world_size(),
        degrees,
        sequence_parallel: true,
        batch: BatchDecision {
            global_sequences: u64::from(degrees.dp * micro_batches),
            tokens_per_sequence: spec.training.sequence,
            micro_sequences: 1,
            micro_batches,
            time_chunks: 1,
        },
        schedule: ScheduleKind::OneForwardOneBackward,
        chunks: 1,
        stages: (0..degrees.pp).map(stage).collect(),
        embedding: None,
        precision: PrecisionDecision {
            compute: p.compute,
            weight_bytes: p.weight_bytes,
            gradient_bytes: p.gradient_bytes,
            optimizer_bytes: p.optimizer_bytes,
            wire_bytes: p.wire_bytes,
            optimizer: spec.training.optimizer,
        },
    };
    let traits = Traits::fused(AttentionKernel::Flash2);
    let facts = Facts { per_node: 8, traits, different: None, capacity: None };
    Question { model, decision, facts }
}

impl Question {
    fn lower(&self, granularity: Granularity) -> Program {
        let settings = Settings { granularity, ..Settings::default() };
        match lower(&self.model, &self.decision, &self.facts, &settings) {
            Ok(program) => program,
            Err(error) => unreachable!("{error}"),
        }
    }
}

const GRAINS: [Granularity; 3] = [Granularity::Stage, Granularity::Layer, Granularity::Operator];

/// Micro-batches double and the time per action stays: lowering is linear.
#[divan::bench(args = [16, 32, 64, 128, 256])]
fn lowered_per_layer(bencher: Bencher, micro_batches: u32) {
    let question = question(micro_batches);
    let actions = question.lower(Granularity::Layer).listed_actions();
    bencher
        .counter(ItemsCount::new(actions))
        .bench_local(|| black_box(&question).lower(Granularity::Layer));
}

#[divan::bench(args = GRAINS)]
fn lowered(bencher: Bencher, granularity: Granularity) {
    let question = question(32);
    let actions = question.lower(granularity).listed_actions();
    bencher
        .counter(ItemsCount::new(actions))
        .bench_local(|| black_box(&question).lower(granularity));
}

#[divan::bench(args = GRAINS)]
fn validated(bencher: Bencher, granularity: Granularity) {
    let program = question(32).lower(granularity);
    bencher
        .counter(ItemsCount::new(program.listed_actions()))
        .bench_local(|| validate(black_box(&program)));
}

#[divan::bench(args = GRAINS)]
fn digested(bencher: Bencher, granularity: Granularity) {
    let program = question(32).lower(granularity);
    bencher
        .counter(ItemsCount::new(program.listed_actions()))
        .bench_local(|| black_box(&program).digest());
}
