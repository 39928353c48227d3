//! Properties that hold without knowing the optimum.

use super::close;
use super::generate::Instance;
use plan::units::Seconds;
use planner::pipeline::{Backend, Outcome, ProblemError, SyncModel, solve};

fn makespan(instance: &Instance) -> f64 {
    match instance.ask(|problem| solve(problem, None, Backend::Microlp)).unwrap() {
        Outcome::Optimal { assignment, .. } => assignment.makespan.get(),
        Outcome::Infeasible(_) => f64::INFINITY,
        other => panic!("{other:?}"),
    }
}

#[test]
fn more_memory_is_never_slower() {
    let mut became_faster = 0;
    for seed in 10_000..10_200 {
        let instance = Instance::generate(seed);
        let steps: Vec<f64> =
            [0.8, 1.0, 1.3, 2.0].iter().map(|x| makespan(&instance.with_memory(*x))).collect();
        assert!(steps.windows(2).all(|w| w[1] <= w[0] * (1.0 + 1e-9)), "seed {seed}: {steps:?}");
        became_faster += u32::from(steps[3] < steps[0]);
    }
    assert!(became_faster >= 20, "only {became_faster} instances notice their memory");
}

#[test]
fn splitting_a_segment_changes_nothing() {
    let mut split = 0;
    for seed in 20_000..20_200 {
        let instance = Instance::generate(seed);
        let Some(k) = instance.segments.iter().position(|s| s.layers > 1) else { continue };
        let mut halves = instance.clone();
        let layers = halves.segments[k].layers;
        halves.segments[k].layers = layers / 2;
        let mut second = halves.segments[k].clone();
        second.layers = layers - layers / 2;
        halves.segments.insert(k + 1, second);
        let (a, b) = (makespan(&instance), makespan(&halves));
        assert!(a == b || close(a, b), "seed {seed}: {a} whole, {b} in halves");
        split += 1;
    }
    assert!(split >= 100);
}

#[test]
fn faster_messages_are_never_slower() {
    for seed in 30_000..30_100 {
        let instance = Instance::generate(seed);
        let slower = Instance { send: instance.send + 7.0, ..instance.clone() };
        assert!(makespan(&instance) <= makespan(&slower) * (1.0 + 1e-9), "seed {seed}");
    }
}

#[test]
fn contradictions_are_errors_with_names() {
    let good = Instance::generate(1);
    let error = |change: fn(&mut Instance)| {
        let mut bad = good.clone();
        change(&mut bad);
        bad.ask(|problem| solve(problem, None, Backend::Microlp)).unwrap_err()
    };
    let nan = error(|i| i.segments[0].columns[0][0].backward = Seconds::new(f64::NAN));
    assert!(nan.to_string().contains("backward time of column 0 of segment 0"), "{nan}");
    let short = error(|i| i.capacity.truncate(1));
    assert!(matches!(short, ProblemError::Length { found: 1, .. }), "{short}");
    assert!(matches!(error(|i| i.micro_batches = 0), ProblemError::Empty { .. }));
    assert!(matches!(error(|i| i.segments.clear()), ProblemError::Empty { .. }));
    assert!(matches!(error(|i| i.segments[0].columns[0].clear()), ProblemError::Empty { .. }));
    let kind = error(|i| i.schedule = plan::schedule::ScheduleKind::Interleaved);
    assert!(matches!(kind, ProblemError::Schedule { .. }), "{kind}");
    assert!(good.sync.settings() > 0);
}
