//! What an exporter states, the importer of the same trainer reads back.

use super::megatron::MegatronLm;
use super::nanotron::Nanotron;
use super::recipe::{Recipe, Repeated};
use super::said::{Trainer, tell};
use super::topic::Topic;
use super::torchtitan::Torchtitan;
use crate::catalog::Catalog;
use crate::layout::{self, Layout};
use plan::Dtype;
use plan::document::{
    BatchDecision, Decision, EmbeddingDecision, LayerRange, PrecisionDecision, RecomputeCount,
    StageDecision,
};
use plan::exchange::Exchange;
use plan::lower::Recompute;
use plan::mesh::Degrees;
use plan::schedule::ScheduleKind;
use plan::work::OptimizerRule;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

/// Layers of the model that is exported: those of llama3-8b.
const LAYERS: u32 = 32;

fn degrees() -> impl Strategy<Value = Degrees> {
    let power = |most: u32| (0..=most).prop_map(|n| 1u32 << n);
    (power(3), power(2), power(2), power(1)).prop_map(|(dp, tp, pp, cp)| Degrees {
        dp,
        tp,
        pp,
        cp,
        ep: 1,
    })
}

/// A schedule that exists on this many ranks, with its chunks.
fn schedule(pp: u32) -> impl Strategy<Value = (ScheduleKind, u32)> {
    use ScheduleKind as K;
    let all = match pp {
        1 => vec![(K::OneForwardOneBackward, 1)],
        _ => vec![
            (K::GPipe, 1),
            (K::OneForwardOneBackward, 1),
            (K::Interleaved, 2),
            (K::Interleaved, 4),
            (K::BreadthFirst, 2),
            (K::ZeroBubbleH1, 1),
            (K::ZeroBubbleV, 2),
        ],
    };
    prop::sample::select(all)
}

/// Equal stages; embedding and head are layers of their own.
pub fn stages(pp: u32, chunks: u32, zero: u8, level: Recompute) -> Vec<StageDecision> {
    let all = pp * chunks;
    let each = LAYERS / all;
    let stage = |s: u32| StageDecision {
        layers: LayerRange {
            first: if s == 0 { 0 } else { s * each + 1 },
            last: (s + 1) * each + u32::from(s + 1 == all),
        },
        pipeline_rank: s % pp,
        zero,
        recompute: vec![RecomputeCount { kind: "decoder layer".into(), level, layers: each }],
    };
    (0..all).map(stage).collect()
}

fn decision() -> impl Strategy<Value = Decision> {
    let levels = prop::sample::select(Recompute::ALL.to_vec());
    let formats = prop::sample::select(vec![Dtype::Bf16, Dtype::Fp8, Dtype::Fp32]);
    let schedules = degrees().prop_flat_map(|d| (Just(d), schedule(d.pp)));
    (schedules, 0u8..=3, levels, formats, any::<bool>(), 1u64..=4, 1u32..=4).prop_map(
        |((degrees, (schedule, chunks)), zero, level, compute, is_sequence, micro, passes)| {
            let micro_batches = passes * degrees.pp;
            Decision {
                world_size: degrees.world_size(),
                degrees,
                sequence_parallel: is_sequence && degrees.tp > 1,
                batch: BatchDecision {
                    global_sequences: micro * u64::from(micro_batches) * u64::from(degrees.dp),
                    tokens_per_sequence: 4096,
                    micro_sequences: micro,
                    micro_batches,
                    time_chunks: 1,
                },
                schedule,
                chunks,
                stages: stages(degrees.pp, chunks, zero, level),
                embedding: Some(EmbeddingDecision {
                    exchange: Exchange::Dense,
                    wire_bytes: 4,
                    pieces: 1,
                }),
                precision: PrecisionDecision {
                    compute,
                    weight_bytes: 2,
                    gradient_bytes: 4,
                    optimizer_bytes: 12,
                    wire_bytes: 4,
                    optimizer: OptimizerRule::Adam,
                },
                local_steps: None,
                offload: false,
            }
        },
    )
}

/// One such decision, always the same.
pub fn drawn() -> Decision {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    decision().new_tree(&mut runner).unwrap().current()
}

/// Whether the layout says of one decision what the plan does.
fn agrees(topic: Topic, r: &Recipe<'_>, read: &Layout) -> bool {
    let (d, pins) = (r.decision, &read.pins);
    match topic {
        Topic::Data => pins.dp == Some(d.degrees.dp),
        Topic::Tensor => pins.tp == Some(d.degrees.tp),
        Topic::Context => pins.cp == Some(d.degrees.cp),
        Topic::Pipeline => pins.pp == Some(d.degrees.pp),
        Topic::Expert => pins.ep == Some(d.degrees.ep),
        Topic::Sequence => pins.sequence_parallel == Some(d.sequence_parallel),
        // A table of passes is a file of its own, which is not read.
        Topic::Schedule if read.remarks.iter().any(|r| r.text.contains(".csv is not read")) => {
            pins.schedule.is_none()
        }
        Topic::Schedule => pins.schedule == Some(d.schedule) && pins.chunks == Some(d.chunks),
        // One replica shards nothing.
        Topic::Zero => d.degrees.dp == 1 || pins.zero.map(|zero| zero.stage()) == Some(r.zero().0),
        Topic::Recompute => {
            let level = match r.repeated() {
                Repeated::Nothing => Recompute::None,
                Repeated::Selective => Recompute::Selective,
                _ => Recompute::Full,
            };
            pins.recompute == Some(level)
        }
        Topic::Batch => {
            let global = read.global_sequences == Some(d.batch.global_sequences);
            global && pins.micro_sequences == Some(d.batch.micro_sequences)
        }
        Topic::Length => read.tokens == Some(d.batch.tokens_per_sequence),
        Topic::Compute => read.compute == Some(d.precision.compute),
        Topic::Exchange => pins.exchange == Some(Exchange::Dense),
        Topic::Offload => pins.offload == Some(false),
        // Pins do not have them; equal stages follow from the virtual stages.
        Topic::Stages
        | Topic::TimeChunks
        | Topic::Pieces
        | Topic::Formats
        | Topic::Optimizer
        | Topic::LocalSteps => true,
    }
}

/// Decisions that the exporter states and the importer reads as others.
fn lost(trainer: &dyn Trainer, decision: &Decision, alternates: bool) -> Option<Vec<String>> {
    let spec = Catalog::default().model("llama3-8b").unwrap();
    let recipe = Recipe::drawn(decision, &spec, alternates);
    let told = tell(trainer, &recipe).ok()?;
    let read = layout::read("drawn", &told.text, Some(decision.world_size)).unwrap();
    let is_stated = |topic: &Topic| {
        let words = topic.words(&recipe);
        !told.unsaid.iter().any(|line| line.starts_with(&words))
    };
    let stated = Topic::ALL.into_iter().filter(is_stated).filter(|t| !t.is_plain(&recipe));
    let lost = stated.filter(|topic| !agrees(*topic, &recipe, &read));
    let mut lost: Vec<String> = lost.map(|topic| topic.words(&recipe)).collect();
    let unread = read.remarks.iter().filter(|r| r.text.ends_with("not understood"));
    lost.extend(unread.map(|r| format!("{:?} {}", r.line, r.text)));
    lost.extend((read.ranks != Some(decision.world_size)).then(|| "ranks".to_string()));
    Some(lost)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn importers_read_what_exporters_state(decision in decision(), alternates in any::<bool>()) {
        for trainer in [&MegatronLm as &dyn Trainer, &Torchtitan, &Nanotron] {
            let lost = lost(trainer, &decision, alternates).unwrap_or_default();
            prop_assert_eq!(lost, Vec::<String>::new(), "{}", trainer.name());
        }
    }
}

/// The property above is about something: each of the three takes such a plan.
#[test]
fn each_trainer_takes_a_plan_of_two_stages() {
    let degrees = Degrees { dp: 2, tp: 2, pp: 2, cp: 1, ep: 1 };
    let mut drawn = drawn();
    drawn.degrees = degrees;
    drawn.world_size = 8;
    drawn.schedule = ScheduleKind::OneForwardOneBackward;
    drawn.chunks = 1;
    drawn.stages = stages(2, 1, 1, Recompute::None);
    drawn.precision.compute = Dtype::Bf16;
    drawn.batch.global_sequences =
        2 * u64::from(drawn.batch.micro_batches) * drawn.batch.micro_sequences;
    for trainer in [&MegatronLm as &dyn Trainer, &Torchtitan, &Nanotron] {
        assert_eq!(lost(trainer, &drawn, false), Some(Vec::new()), "{}", trainer.name());
    }
}
