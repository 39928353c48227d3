//! The inner problem at the sizes of real models. `cargo bench -p planner`.

use cost_model::simulate::{Boundary, Recurrence, StageTimes, Times};
use divan::{Bencher, black_box};
use plan::schedule::{ScheduleKind, order};
use plan::units::{Bytes, Seconds};
use planner::pipeline::{
    Backend, Column, Problem, Segment, StageSync, SyncModel, lower_bound, solve, solve_with_ilp,
};

fn main() {
    divan::main();
}

const GIB: f64 = (1u64 << 30) as f64;

/// Two settings: states kept whole, or sharded and gathered again.
struct Sharding {
    layers: f64,
}

impl SyncModel for Sharding {
    fn settings(&self) -> usize {
        2
    }

    fn stage(&self, stage: usize, counts: &[u32], setting: usize) -> Option<StageSync> {
        let layers: u32 = counts.iter().sum();
        let share = if setting == 0 { 1.0 } else { 0.3 };
        let states = f64::from(layers) / self.layers * 560.0 * share;
        let tail = 2e-3 * f64::from(layers) * (1.0 + 0.4 * setting as f64);
        let embedding = if stage == 0 { 5e-3 } else { 0.0 };
        Some(StageSync {
            tail: Seconds::new(tail + embedding),
            resident: Bytes::new((states + 3.0) * GIB),
            update: Bytes::ZERO,
        })
    }
}

/// Shape of an instance: layers, stages, micro-batches, and memory per device in GiB.
#[derive(Clone, Copy)]
struct Shape {
    layers: u32,
    stages: usize,
    micro_batches: u32,
    memory: f64,
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { layers, stages, micro_batches, memory } = self;
        write!(f, "{layers} layers, {stages} stages, m = {micro_batches}, {memory} GiB")
    }
}

const fn shape(layers: u32, stages: usize, micro_batches: u32, memory: f64) -> Shape {
    Shape { layers, stages, micro_batches, memory }
}

/// Roomy and tight memory; even and uneven division of layers by stages.
const SHAPES: [Shape; 8] = [
    shape(32, 4, 64, 400.0),
    shape(32, 4, 64, 56.0),
    shape(80, 8, 64, 400.0),
    shape(80, 8, 64, 34.0),
    shape(126, 16, 32, 400.0),
    shape(126, 16, 32, 24.0),
    shape(126, 32, 128, 14.0),
    shape(126, 64, 256, 12.0),
];

fn column(forward: f64, backward: f64, gib: f64, transient: f64) -> Column {
    Column {
        forward: Seconds::new(forward * 1e-3),
        backward: Seconds::new(backward * 1e-3),
        weight: Seconds::ZERO,
        activation: Bytes::new(gib * GIB),
        halves: Bytes::ZERO,
        transient: Bytes::new(transient * GIB),
    }
}

fn with_problem<T>(shape: Shape, question: impl FnOnce(&Problem) -> T) -> T {
    let sync = Sharding { layers: f64::from(shape.layers + 2) };
    let layer = vec![
        column(3.1, 6.2, 0.41, 0.1),
        column(3.1, 6.9, 0.27, 0.2),
        column(3.1, 7.8, 0.13, 0.3),
        column(3.1, 9.3, 0.03, 0.5),
    ];
    let segment = |layers, columns: Vec<Column>| Segment { layers, columns: vec![columns; 2] };
    question(&Problem {
        stages: shape.stages,
        micro_batches: shape.micro_batches,
        schedule: ScheduleKind::OneForwardOneBackward,
        segments: vec![
            segment(1, vec![column(0.4, 0.6, 0.05, 0.2)]),
            segment(shape.layers, layer),
            segment(1, vec![column(2.2, 4.4, 0.3, 1.5), column(2.2, 6.6, 0.02, 1.5)]),
        ],
        send: Seconds::new(0.15e-3),
        capacity: vec![Bytes::new(shape.memory * GIB); shape.stages],
        sync: &sync,
        uniform_setting: true,
    })
}

#[divan::bench(args = SHAPES)]
fn closed_form_bound(bencher: Bencher, shape: Shape) {
    with_problem(shape, |p| bencher.bench_local(|| lower_bound(black_box(p))));
}

#[divan::bench(args = SHAPES, max_time = 3)]
fn solved(bencher: Bencher, shape: Shape) {
    with_problem(shape, |p| {
        report(shape, &solve(p, None, Backend::Microlp));
        bencher.bench_local(|| solve(black_box(p), None, Backend::Microlp));
    });
}

/// Without the label program's bound microlp does not finish [`SHAPES`]`[5]` in minutes.
#[divan::bench(args = [SHAPES[1], SHAPES[3], SHAPES[4]], max_time = 3)]
fn solved_with_ilp(bencher: Bencher, shape: Shape) {
    with_problem(shape, |p| {
        report(shape, &solve_with_ilp(p, None, Backend::Microlp));
        bencher.bench_local(|| solve_with_ilp(black_box(p), None, Backend::Microlp));
    });
}

#[cfg(feature = "highs")]
#[divan::bench(args = [SHAPES[1], SHAPES[3], SHAPES[4], SHAPES[5]], max_time = 3)]
fn solved_with_ilp_by_highs(bencher: Bencher, shape: Shape) {
    with_problem(shape, |p| {
        report(shape, &solve_with_ilp(p, None, Backend::Highs));
        bencher.bench_local(|| solve_with_ilp(black_box(p), None, Backend::Highs));
    });
}

/// What the timed call answers, once: a fast wrong answer is worth nothing.
#[expect(clippy::print_stderr, reason = "a benchmark's output is for people")]
fn report<E: std::fmt::Debug>(shape: Shape, answer: &Result<planner::pipeline::Outcome, E>) {
    use planner::pipeline::Outcome;
    match answer {
        Ok(Outcome::Optimal { assignment, proof, is_canonical }) => eprintln!(
            "{shape}: {} by {proof:?}{}",
            assignment.makespan,
            if *is_canonical { "" } else { ", ties left" }
        ),
        other => eprintln!("{shape}: {other:?}"),
    }
}

#[divan::bench(args = [(8, 64), (64, 256), (128, 4096)])]
fn prepared(bencher: Bencher, (ranks, micro_batches): (u32, u32)) {
    let order = order(ScheduleKind::OneForwardOneBackward, ranks, micro_batches, 1);
    let order = order.unwrap_or_default();
    bencher.bench_local(|| Recurrence::new(black_box(&order)));
}

#[divan::bench(args = [(8, 64), (64, 256), (128, 4096)])]
fn simulated(bencher: Bencher, (ranks, micro_batches): (u32, u32)) {
    let order = order(ScheduleKind::OneForwardOneBackward, ranks, micro_batches, 1);
    let stage = StageTimes {
        forward: Seconds::new(3e-3),
        backward: Seconds::new(6e-3),
        weight: Seconds::ZERO,
        tail: Seconds::new(1e-2),
    };
    let send = Seconds::new(1e-4);
    let times = Times {
        stages: vec![stage; ranks as usize],
        boundaries: vec![Boundary { forward: send, backward: send }; ranks as usize - 1],
    };
    if let Ok(recurrence) = Recurrence::new(&order.unwrap_or_default()) {
        bencher.bench_local(|| recurrence.run(black_box(&times)).makespan());
    }
}
