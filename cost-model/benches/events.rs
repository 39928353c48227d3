//! The event simulator at the sizes of real programs. `cargo bench -p cost-model`.
//!
//! Items are actions, so divan's items per second are actions per second on one core.

use cost_model::events::{Durations, Fold, Options, Prepared, Prices};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use plan::schedule::{ScheduleKind, order};
use programs::{Stage, Timed, pipeline};

#[path = "../tests/events/programs.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod programs;

fn main() {
    divan::main();
}

/// Pipeline ranks, micro-batches, chunks per rank, replicas.
#[derive(Clone, Copy)]
struct Shape {
    kind: ScheduleKind,
    ranks: u32,
    micro_batches: u32,
    chunks: u32,
    replicas: u32,
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, ranks, micro_batches, chunks, replicas } = self;
        let kind = kind.name();
        write!(f, "{kind}, {ranks} × {chunks} stages, m = {micro_batches}, {replicas} replicas")
    }
}

const SHAPES: [Shape; 4] = [
    Shape {
        kind: ScheduleKind::OneForwardOneBackward,
        ranks: 4,
        micro_batches: 96,
        chunks: 1,
        replicas: 48,
    },
    // 405B on 16,384 devices: 16 stages of 8 chunks, 8-way tensor parallel, 128 replicas.
    Shape {
        kind: ScheduleKind::Interleaved,
        ranks: 16,
        micro_batches: 128,
        chunks: 8,
        replicas: 1024,
    },
    Shape {
        kind: ScheduleKind::ZeroBubbleV,
        ranks: 16,
        micro_batches: 256,
        chunks: 2,
        replicas: 8,
    },
    Shape {
        kind: ScheduleKind::OneForwardOneBackward,
        ranks: 64,
        micro_batches: 1024,
        chunks: 1,
        replicas: 8,
    },
];

fn timed(shape: Shape) -> Timed {
    let order = order(shape.kind, shape.ranks, shape.micro_batches, shape.chunks);
    let order = order.unwrap_or_else(|| panic!("{shape} is no schedule"));
    let stage = Stage { forward: 1.0, input: 1.1, weight: 0.9, send: (0.11, 0.13), reduce: 7.0 };
    pipeline(&order, &vec![stage; (shape.ranks * shape.chunks) as usize], shape.replicas)
}

fn prepare<T>(timed: &Timed, options: &Options, see: impl FnOnce(&Prepared<'_>) -> T) -> T {
    let prices = Prices::given(timed.charges.clone(), 0.3);
    let fold = Fold::classes(&timed.program);
    let durations = Durations::Prices(&prices);
    match Prepared::new(&timed.program, durations, fold, options) {
        Ok(prepared) => see(&prepared),
        Err(error) => panic!("{error}"),
    }
}

/// Running alone, with contention and shared links.
#[divan::bench(args = SHAPES, max_time = 4)]
fn run(bencher: Bencher, shape: Shape) {
    let timed = timed(shape);
    let actions = ItemsCount::new(timed.program.listed_actions());
    prepare(&timed, &Options::CLUSTER, |prepared| {
        bencher.counter(actions).bench_local(|| black_box(prepared).run());
    });
}

/// From the program to its makespan: compiling and running.
#[divan::bench(args = SHAPES, max_time = 4)]
fn compile_and_run(bencher: Bencher, shape: Shape) {
    let timed = timed(shape);
    let actions = ItemsCount::new(timed.program.listed_actions());
    bencher.counter(actions).bench_local(|| {
        prepare(black_box(&timed), &Options::CLUSTER, |p| p.run().map(|run| run.makespan()))
    });
}

/// Every rank for itself: 8 replicas of 16 stages, one of which is slow.
#[divan::bench(max_time = 4)]
fn straggler_unfolded(bencher: Bencher) {
    let timed = timed(SHAPES[2]);
    let prices = Prices::given(timed.charges.clone(), 0.3);
    let fold = Fold::nobody(&timed.program);
    let durations = Durations::Prices(&prices);
    let prepared = Prepared::new(&timed.program, durations, fold, &Options::CLUSTER);
    let prepared = prepared.unwrap_or_else(|error| panic!("{error}"));
    let mut slow = vec![1.0; prepared.fold().len()];
    slow[5] = 1.2;
    let actions = ItemsCount::new(timed.program.actions());
    bencher.counter(actions).bench_local(|| prepared.run_slowed(slow.clone()));
}
