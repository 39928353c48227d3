//! A frame, a key, and a question, at the sizes of real plans. `cargo bench -p tui`.
//!
//! Budgets: a key and its frame 16 ms; another question 100 ms for 192 devices and 1 s for 16,384.

#[expect(dead_code, reason = "tests use more of it")]
#[path = "../tests/explorer/canned.rs"]
mod canned;
#[path = "../tests/explorer/world.rs"]
mod world;

use canned::Canned;
use divan::{Bencher, black_box};
use tui::capture::buffer;
use tui::key::Key;
use tui::message::{Job, Part, Task};
use tui::solver::perform;
use tui::theme::Look;
use tui::{Ask, Message, Model, update};
use world::World;

fn main() {
    divan::main();
}

/// 64 stages with 512 micro-batches: 65,536 passes.
fn largest() -> (Canned, Model) {
    let mut canned = Canned::llama();
    canned.in_time = canned::in_time(&canned.report, 64, 512);
    let mut model = canned.model((160, 50), Look { has_colour: true, ..Look::default() });
    model.screen = tui::Screen::Timeline;
    (canned, model)
}

#[divan::bench(args = ['1', '2', '3', '4', '5', '6'])]
fn key_and_frame(bencher: Bencher<'_, '_>, screen: char) {
    let (canned, mut model) = largest();
    let effects = update(&mut model, Message::Key(Key::Char(screen)));
    canned.settle(&mut model, effects);
    bencher.bench_local(|| {
        update(&mut model, Message::Key(Key::Down));
        update(&mut model, Message::Key(Key::Up));
        black_box(buffer(&model))
    });
}

/// Until the plan is there; what comes behind it does not count.
fn until_plan(world: &World, ask: &Ask) {
    let job = Job { generation: 1, ask: ask.clone(), task: Task::Answer };
    let is_there = std::cell::Cell::new(false);
    perform(world, &job, &|| is_there.get(), &mut |part| {
        is_there.set(is_there.get() || matches!(part, Part::Plan(_)));
    });
}

#[divan::bench(args = [
    ("mlstm4096", "dgx1v", 192),
    ("llama2-70b", "hgx-h100", 192),
    ("llama3-405b", "hgx-h100", 16_384),
])]
fn another_question(bencher: Bencher<'_, '_>, (model, cluster, gpus): (&str, &str, u32)) {
    let world = World::new(model, cluster);
    let mut ask = Ask::new(gpus, cluster);
    ask.max_memory = Some(0.85);
    bencher.bench_local(|| until_plan(&world, &ask));
}

#[divan::bench]
fn first_frame(bencher: Bencher<'_, '_>) {
    let canned = Canned::mlstm();
    bencher.bench_local(|| {
        let look = Look::default();
        let (model, _) = Model::new(canned.ask(), canned.menu(), look, (100, 30), None);
        black_box(buffer(&model))
    });
}
