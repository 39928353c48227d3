//! Schedules as a decision: the search over them against pinning each, and what they gain.

use crate::world::{World, fastest, model};
use plan::model::{Batch, Family};
use plan::schedule::{ScheduleKind, in_flight, order};
use planner::events::scored;
use planner::request::{Objective, Pins, Request};
use planner::{Answer, Impossible, plan};
use std::collections::BTreeMap;

/// A GPT with `layers` blocks on a stack that runs every schedule.
fn world(layers: u32, batch: u64) -> World {
    let mut spec = model("megatron-7.5b");
    spec.training.batch = Batch::Global(batch);
    if let Family::Transformer(shape) = &mut spec.family {
        shape.layers = layers;
    }
    World::new(&spec, "dgx-a100", Some("torchtitan-eager"))
}

/// The step of every schedule that exists and fits.
fn pinned(request: &Request<'_>) -> BTreeMap<ScheduleKind, f64> {
    let step = |kind| {
        let pins = Pins { schedule: Some(kind), ..request.pins };
        Some((kind, fastest(&Request { pins, ..*request })?.solution.step.get()))
    };
    let searched = ScheduleKind::ALL.into_iter().filter(|&k| k != ScheduleKind::Ouroboros);
    searched.filter_map(step).collect()
}

#[test]
fn the_search_takes_the_best_schedule() {
    let mut wins: BTreeMap<ScheduleKind, u32> = BTreeMap::new();
    for (layers, batch, pp, dp) in
        [(7, 8, 4, 1), (8, 16, 2, 2), (15, 8, 8, 1), (12, 24, 4, 2), (6, 64, 4, 1)]
    {
        for max_memory in [0.3, 0.45, 0.6, 0.95] {
            let world = world(layers, batch);
            let pins = Pins { pp: Some(pp), dp: Some(dp), tp: Some(1), ..Pins::default() };
            let request = Request { max_memory, ..world.request(pp * dp, pins) };
            let each = pinned(&request);
            let free = fastest(&request);
            let step = free.as_ref().map_or(f64::INFINITY, |p| p.solution.step.get());
            let least = each.values().copied().fold(f64::INFINITY, f64::min);
            let same = step == least || (step / least - 1.0).abs() < 1e-9;
            assert!(same, "PP {pp} in {max_memory}: {step} found, {least} exists: {each:?}");
            if let Some(planned) = free {
                let c = planned.solution.configuration;
                *wins.entry(c.schedule).or_default() += 1;
                let all = order(c.schedule, c.degrees.pp, c.micro_batches, c.chunks).unwrap();
                let counted: Vec<u32> = all.iter().map(|slots| in_flight(slots)).collect();
                let shown: Vec<u32> = planned.detail.ranks.iter().map(|r| r.in_flight).collect();
                assert_eq!(counted, shown);
            }
        }
    }
    println!("best schedules: {wins:?}");
    assert!(wins.keys().any(|kind| kind.splits_backward()), "{wins:?}");
}

/// Qi et al. 2023 (arXiv:2401.10241): with equal stages and enough memory, splitting backward
/// passes beats 1F1B where micro-batches are few; V needs less memory than H2.
#[test]
fn splitting_backward_passes_gains_most_where_micro_batches_are_few() {
    let gain = |batch: u64| {
        let world = world(15, batch);
        let pins = Pins {
            pp: Some(8),
            dp: Some(1),
            tp: Some(1),
            micro_sequences: Some(1),
            ..Pins::default()
        };
        let each = pinned(&Request { max_memory: 1.0, ..world.request(8, pins) });
        println!("{batch} micro-batches: {each:.4?}");
        each[&ScheduleKind::OneForwardOneBackward] / each[&ScheduleKind::ZeroBubbleV] - 1.0
    };
    let (few, many) = (gain(8), gain(64));
    println!("V gains {few:.3} with 8 micro-batches, {many:.3} with 64");
    assert!(few > many && few > 0.05, "{few} {many}");
}

/// Every schedule's plan has a program that takes about as long as the search says.
#[test]
fn programs_of_all_schedules_are_near_their_closed_forms() {
    let world = world(8, 16);
    for kind in ScheduleKind::ALL.into_iter().filter(|&k| k != ScheduleKind::Ouroboros) {
        for zero in [cost_model::memory::Zero::Off, cost_model::memory::Zero::Parameters] {
            let pins = Pins {
                pp: Some(4),
                dp: Some(2),
                tp: Some(1),
                zero: Some(zero),
                schedule: Some(kind),
                ..Pins::default()
            };
            let request = world.request(8, pins);
            let planned = fastest(&request).unwrap();
            let step = planned.detail.step.value;
            let s = scored(&request, &planned.solution, step).unwrap();
            let percent = s.difference() * 100.0;
            println!(
                "{:16} {zero:?} {} {} {percent:+.2} %",
                kind.name(),
                s.closed_form,
                s.simulated
            );
            assert!(percent.abs() < 8.0, "{} {zero:?}: {percent:+.2} %", kind.name());
        }
    }
}

#[test]
fn a_schedule_that_the_stack_lacks_is_named() {
    let world = World::new(&model("gpt2-xl"), "hgx-h100", Some("megatron-core"));
    let pins = Pins { schedule: Some(ScheduleKind::ZeroBubbleV), ..Pins::default() };
    let Answer::Impossible(why) = plan(&world.request(8, pins), Objective::StepTime) else {
        panic!("planned with a schedule that the stack does not run");
    };
    assert!(matches!(why, Impossible::Schedule { .. }));
    let said = why.to_string();
    assert_eq!(
        said,
        "the stack megatron-core does not run zero-bubble-v; it runs gpipe, 1f1b, interleaved"
    );
}
