//! The outer search against solving everything, and what holds of every answer.

use crate::world::{World, at_most, fastest, model, names};
use plan::document::{Reason, Status};
use plan::mesh::Degrees;
use plan::model::{Batch, Family, ModelSpec};
use planner::inner::Inner;
use planner::prices::{PriceBook, Split};
use planner::request::{Pins, Request};
use planner::search::search;
use planner::solution::{Solved, solve};
use planner::space::configurations;
use std::collections::BTreeMap;

/// The best step of every mesh, each configuration solved without a step to beat.
fn exhaustive(request: &Request<'_>) -> BTreeMap<Degrees, f64> {
    let mut book = PriceBook::new(request);
    let mut best = BTreeMap::new();
    for c in configurations(request) {
        let Ok(kinds) = book.get(Split::of(request, &c)) else { continue };
        let inner = Inner::new(request, c, kinds);
        match solve(request, &inner, kinds, None, request.effort) {
            Solved::Best { solution, .. } => {
                let step = best.entry(c.degrees).or_insert(f64::INFINITY);
                *step = solution.step.get().min(*step);
            }
            Solved::DoesNotFit { .. } => {}
            other => panic!("{c:?}: {other:?}"),
        }
    }
    best
}

/// Searches both ways; returns how many configurations there were.
fn compare(request: &Request<'_>) -> u64 {
    let what = format!("{} on {} GPUs", request.model.spec.name, request.gpus);
    let truth = exhaustive(request);
    let found = search(request);
    let least = truth.values().copied().fold(f64::INFINITY, f64::min);
    let step = found.best.as_ref().map_or(f64::INFINITY, |b| b.step.get());
    let same = step == least || (step / least - 1.0).abs() < 1e-9;
    assert!(same, "{what}: {step} found, {least} exists");
    assert_eq!(found.certificate.status, Status::Optimal, "{what}");
    for mesh in &found.certificate.meshes {
        let own = truth.get(&mesh.degrees).copied().unwrap_or(f64::INFINITY);
        let Some(bound) = mesh.bound_seconds else {
            assert!(own.is_infinite(), "{what}: {:?} is ruled out but takes {own}", mesh.degrees);
            continue;
        };
        assert!(
            bound <= own * (1.0 + 4e-9),
            "{what}: {:?} {:?} {bound} above {own}",
            mesh.degrees,
            mesh.reason
        );
        let wins = mesh.reason == Reason::Winner;
        assert!(!wins || (own / step - 1.0).abs() < 1e-9, "{what}: {:?} wins", mesh.degrees);
    }
    found.certificate.configurations
}

fn shrunk(name: &str, layers: u32, batch: u64) -> ModelSpec {
    let mut spec = model(name);
    spec.training.batch = Batch::Global(batch);
    match &mut spec.family {
        Family::Transformer(shape) => shape.layers = layers,
        Family::Lstm(shape) => shape.layers = layers,
        _ => {}
    }
    spec
}

#[test]
fn the_search_finds_what_solving_everything_finds() {
    let mut counts = Vec::new();
    let tiny =
        [("gpt-tiny", 4), ("gpt-tiny", 3), ("mlstm-tiny", 1), ("word-lm-tiny", 2), ("rhn-tiny", 1)];
    for (name, layers) in tiny {
        let world = World::new(&shrunk(name, layers, 24), "rtx-3090", None);
        for gpus in [2, 4, 6, 8] {
            counts.push(compare(&world.request(gpus, Pins::default())));
        }
    }
    // Memory binds, tables are large, levels mix.
    for (name, layers, cluster, memory) in [
        ("gpt2-xl", 4, "rtx-3090", [0.12, 0.2, 0.9]),
        ("megatron-18b", 2, "dgx1v", [0.3, 0.6, 0.9]),
        ("word-lm-1b", 2, "titanx-fdr", [0.12, 0.2, 0.9]),
        ("biglstm", 2, "v100-station", [0.6, 0.8, 0.95]),
    ] {
        let world = World::new(&shrunk(name, layers, 8), cluster, None);
        for max_memory in memory {
            let most = world.cluster.capacity().unwrap_or(u32::MAX);
            for gpus in [2, 4, 8].into_iter().filter(|&gpus| gpus <= most) {
                let request = world.request(gpus, Pins::default());
                counts.push(compare(&Request { max_memory, ..request }));
            }
        }
    }
    let all: u64 = counts.iter().sum();
    println!(
        "{} questions, {all} configurations solved one by one: same optimum, sound bounds",
        counts.len()
    );
    assert!(all > 1000, "{all}");
}

#[test]
fn more_memory_or_bandwidth_is_never_slower() {
    for (name, cluster, gpus) in [
        ("gpt2-xl", "rtx-3090", 8),
        ("megatron-7.5b", "dgx-a100", 16),
        ("word-lm-1b", "titanx-fdr", 16),
        ("biglstm", "v100-station", 4),
    ] {
        let world = World::shipped(name, cluster);
        let mut last = f64::INFINITY;
        for max_memory in [0.3, 0.5, 0.7, 0.8, 0.9, 1.0] {
            let request = Request { max_memory, ..world.request(gpus, Pins::default()) };
            let step = fastest(&request).map_or(f64::INFINITY, |p| p.solution.step.get());
            assert!(
                step == last || at_most(step, last),
                "{name}: {step} with {max_memory} of the memory, {last} with less"
            );
            last = step;
        }
        assert!(last.is_finite(), "{name} fits nowhere");
        let step_of = |world: &World| {
            fastest(&world.request(gpus, Pins::default())).unwrap().solution.step.get()
        };
        let before = step_of(&world);
        let inside = world.with_machine(|c| {
            let link = &mut c.groups[0].intra;
            link.bandwidth.value = link.bandwidth.value * 2.0;
            if let Some(pair) = &mut link.pair_bandwidth {
                pair.value = pair.value * 2.0;
            }
        });
        let memory = world.with_machine(|c| {
            let bandwidth = &mut c.groups[0].device.memory_bandwidth.value;
            *bandwidth = *bandwidth * 2.0;
        });
        let between = world.with_machine(|c| {
            if let Some(link) = &mut c.groups[0].inter {
                link.bandwidth.value = link.bandwidth.value * 2.0;
            }
        });
        for (what, other) in [("inside", inside), ("between", between), ("memory", memory)] {
            let after = step_of(&other);
            println!("{name} on {gpus}: 2 × bandwidth {what}: {:.2} × faster", before / after);
            assert!(at_most(after, before), "{name}: 2 × bandwidth {what}: {before} to {after}");
        }
    }
}

/// Which shipped models can be planned at all here, by family.
pub fn planned_models() -> Vec<String> {
    let chain = |name: &String| !matches!(model(name).family, Family::Einsum(_));
    names("models").into_iter().filter(chain).collect()
}
