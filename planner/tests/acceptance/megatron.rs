//! Published runs of Megatron-LM on Selene (DGX A100).

use crate::world::{World, at_most, fastest, model};
use plan::lower::Recompute;
use plan::model::{Batch, Family, ModelSpec};
use plan::schedule::ScheduleKind;
use planner::label::label;
use planner::request::Pins;

/// Narayanan et al. 2021 (arXiv:2104.04473), table 1. Micro-batches and chunks:
/// NVIDIA/Megatron-LM@d98e8a6 `examples/academic_paper_scripts/sc21/run_table_1.sh`. Seconds:
/// `96·B·s·l·h²·(1 + s/6h + V/16lh)` FLOPs over the published FLOP/s per GPU.
struct Row {
    model: &'static str,
    gpus: u32,
    batch: u64,
    tp: u32,
    pp: u32,
    micro: u64,
    chunks: u32,
    seconds: f64,
}

/// Degrees: tensor and pipeline parallel; micro: sequences per micro-batch and chunks per rank.
const fn row(
    model: &'static str,
    gpus: u32,
    batch: u64,
    (tp, pp): (u32, u32),
    (micro, chunks): (u64, u32),
    seconds: f64,
) -> Row {
    Row { model, gpus, batch, tp, pp, micro, chunks, seconds }
}

const TABLE_1: [Row; 10] = [
    row("megatron-1.7b", 32, 512, (1, 1), (16, 1), 3.528),
    row("megatron-3.6b", 64, 512, (2, 1), (16, 1), 3.697),
    row("megatron-7.5b", 128, 512, (4, 1), (16, 1), 3.696),
    row("megatron-18b", 256, 1024, (8, 1), (8, 1), 9.399),
    row("megatron-39b", 512, 1536, (8, 2), (4, 1), 14.453),
    row("megatron-76b", 1024, 1792, (8, 4), (2, 3), 16.058),
    row("megatron-145b", 1536, 2304, (8, 8), (2, 2), 24.817),
    row("megatron-310b", 1920, 2160, (8, 16), (1, 2), 37.614),
    row("megatron-530b", 2520, 2520, (8, 35), (1, 3), 54.085),
    row("megatron-1t", 3072, 3072, (8, 64), (1, 1), 102.63),
];

/// Error beyond which a published run counts as not understood.
const UNDERSTOOD: f64 = 0.15;

fn as_published(row: &Row) -> Pins {
    let schedule = match (row.pp, row.chunks) {
        (1, _) => None,
        (_, 1) => Some(ScheduleKind::OneForwardOneBackward),
        _ => Some(ScheduleKind::Interleaved),
    };
    Pins {
        tp: Some(row.tp),
        pp: Some(row.pp),
        dp: Some(row.gpus / row.tp / row.pp),
        micro_sequences: Some(row.micro),
        recompute: Some(Recompute::Full),
        sequence_parallel: Some(false),
        schedule,
        chunks: Some(row.chunks),
        zero: Some(cost_model::memory::Zero::Off),
        ..Pins::default()
    }
}

#[test]
fn table_1_is_met_or_beaten() {
    let mut errors = Vec::new();
    for row in &TABLE_1 {
        let world = World::shipped(row.model, "dgx-a100");
        let full = Pins { recompute: Some(Recompute::Full), ..Pins::default() };
        let mesh = Pins { tp: Some(row.tp), pp: Some(row.pp), ..full };
        let ask = |pins| {
            let request = world.request(row.gpus, pins);
            assert_eq!(request.global_sequences, row.batch, "{}", row.model);
            let planned = fastest(&request).unwrap_or_else(|| panic!("{}: nothing", row.model));
            (label(&request, &planned.solution), planned.solution.step.get())
        };
        let free = ask(full);
        let own = ask(mesh);
        let run = ask(as_published(row));
        let no_pins = ask(Pins::default());
        let error = run.1 / row.seconds - 1.0;
        println!(
            "{}, {} GPUs, batch {}: published TP {} PP {} micro-batch {}: {:.2} s",
            row.model, row.gpus, row.batch, row.tp, row.pp, row.micro, row.seconds
        );
        println!("  as published       {:7.2} s ({:+.1} %)  {}", run.1, error * 100.0, run.0);
        println!("  its TP and PP      {:7.2} s  {}", own.1, own.0);
        println!("  full recomputation {:7.2} s  {}", free.1, free.0);
        println!("  nothing pinned     {:7.2} s  {}", no_pins.1, no_pins.0);
        assert!(at_most(free.1, own.1), "{}: {} against {}", row.model, free.1, own.1);
        assert!(at_most(own.1, run.1), "{}: {} against {}", row.model, own.1, run.1);
        assert!(at_most(no_pins.1, free.1), "{}: {} against {}", row.model, no_pins.1, free.1);
        assert!(error.abs() < UNDERSTOOD, "{}: {error}", row.model);
        errors.push(error.abs());
    }
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    println!("mean absolute error of the published runs: {:.1} %", mean * 100.0);
    assert!(mean < 0.05, "{mean}");
}

/// Korthikanti et al. 2022 (arXiv:2205.05198), table 5, as listed in calculon-ai/calculon@caa4b11
/// `calculon/llm/validation.py`; the last row is section 6's 530B run on 2,240 GPUs.
struct Korthikanti {
    layers: u32,
    width: u64,
    heads: u64,
    pp: u32,
    dp: u32,
    batch: u64,
    micro: u64,
    chunks: u32,
    full: Option<f64>,
    selective: f64,
}

/// Shape: layers, width, heads; degrees: pipeline and data parallel; batch: sequences, sequences
/// per micro-batch, chunks per rank; seconds with full and with selective recomputation.
const fn run(
    (layers, width, heads): (u32, u64, u64),
    (pp, dp): (u32, u32),
    (batch, micro, chunks): (u64, u64, u32),
    full: Option<f64>,
    selective: f64,
) -> Korthikanti {
    Korthikanti { layers, width, heads, pp, dp, batch, micro, chunks, full, selective }
}

const TABLE_5: [Korthikanti; 5] = [
    run((48, 6144, 64), (1, 1), (4, 4, 1), Some(1.42), 1.10),
    run((96, 12288, 96), (8, 1), (64, 1, 3), Some(18.13), 13.75),
    run((105, 20480, 128), (35, 1), (280, 1, 3), Some(49.05), 37.83),
    run((128, 25600, 160), (64, 1), (512, 1, 1), Some(94.42), 71.49),
    run((105, 20480, 128), (35, 8), (2240, 1, 3), None, 39.15),
];

impl Korthikanti {
    fn spec(&self) -> ModelSpec {
        let mut spec = model("megatron-1t");
        let Family::Transformer(shape) = &mut spec.family else { panic!("not a transformer") };
        shape.layers = self.layers;
        shape.d_model = self.width;
        shape.d_ff = 4 * self.width;
        shape.heads = self.heads;
        shape.kv_heads = self.heads;
        shape.head_dim = self.width / self.heads;
        spec.training.batch = Batch::Global(self.batch);
        spec
    }

    fn pins(&self, recompute: Recompute) -> Pins {
        let schedule = match self.chunks {
            1 => ScheduleKind::OneForwardOneBackward,
            _ => ScheduleKind::Interleaved,
        };
        Pins {
            tp: Some(8),
            pp: Some(self.pp),
            dp: Some(self.dp),
            zero: Some(cost_model::memory::Zero::Off),
            micro_sequences: Some(self.micro),
            recompute: Some(recompute),
            schedule: (self.pp > 1).then_some(schedule),
            chunks: Some(self.chunks),
            sequence_parallel: Some(recompute == Recompute::Selective),
            ..Pins::default()
        }
    }
}

#[test]
fn table_5_of_the_recomputation_paper() {
    let mut errors = Vec::new();
    for row in &TABLE_5 {
        let world = World::new(&row.spec(), "dgx-a100", Some("megatron-2022"));
        let runs = [(Recompute::Full, row.full), (Recompute::Selective, Some(row.selective))];
        for (recompute, published) in runs {
            let Some(published) = published else { continue };
            let request = world.request(8 * row.pp * row.dp, row.pins(recompute));
            let Some(planned) = fastest(&request) else {
                panic!("{} layers, {recompute:?}", row.layers)
            };
            let step = planned.solution.step.get();
            let error = step / published - 1.0;
            println!(
                "{} layers of {}, {} GPUs, {}: {step:.2} s, published {published:.2} ({:+.1} %)",
                row.layers,
                row.width,
                request.gpus,
                recompute.name(),
                error * 100.0
            );
            errors.push(error.abs());
        }
    }
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    println!("mean absolute error: {:.1} %", mean * 100.0);
    assert!(mean < 0.05 && errors.iter().all(|e| *e < UNDERSTOOD), "{errors:?}");
}
