//! The inner solver against exhaustive search, with every solver backend of the build.

mod exhaustive;
mod generate;
mod properties;

use exhaustive::Truth;
use generate::Instance;
use plan::schedule::ScheduleKind;
use plan::units::Seconds;
use planner::pipeline::{
    Assignment, Backend, Infeasible, Outcome, Proof, lower_bound, solve, solve_with_ilp,
};
use std::collections::BTreeMap;

const INSTANCES: u64 = 700;

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

#[test]
fn optimum_equals_exhaustive_search() {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..INSTANCES {
        let instance = Instance::generate(seed);
        let truth = exhaustive::search(&instance);
        let mut count = |what, holds: bool| *counts.entry(what).or_default() += u32::from(holds);
        categories(&instance, &truth, &mut count);
        check_bound(&instance, &truth, seed);
        for backend in Backend::ALL {
            check_answers(&instance, &truth, *backend, seed, &mut count);
        }
        check_agreement(&instance, seed);
    }
    let backends: Vec<&str> = Backend::ALL.iter().map(|b| b.name()).collect();
    println!("{INSTANCES} instances, each solved twice with {}", backends.join(" and "));
    for (what, n) in &counts {
        println!("{n:6} {what}");
    }
    for what in ["GPipe", "1F1B", "infeasible", "memory binds", "closed by the ILP (free choice)"] {
        assert!(counts[what] >= 20, "the family has too few instances of: {what}");
    }
}

fn categories(instance: &Instance, truth: &Truth, count: &mut impl FnMut(&'static str, bool)) {
    let gpipe = instance.schedule == ScheduleKind::GPipe;
    count("GPipe", gpipe);
    count("1F1B", !gpipe);
    count("with message time", instance.send > 0.0);
    count("several segments", instance.segments.len() > 1);
    let columns = |n: usize| instance.segments.iter().any(|s| s.columns[0].len() >= n);
    count("a choice of columns", columns(2));
    count("uneven capacities", instance.capacity.windows(2).any(|w| w[0] != w[1]));
    count("several settings", instance.sync.settings > 1);
    count("one setting for all", instance.sync.settings > 1 && instance.uniform_setting);
    count("infeasible", truth.best.is_none());
    let roomy = exhaustive::search(&instance.with_memory(1e6)).best;
    count("memory binds", matches!((truth.best, roomy), (Some(a), Some(b)) if a > b));
}

fn check_bound(instance: &Instance, truth: &Truth, seed: u64) {
    let bound = instance.ask(lower_bound).unwrap();
    match truth.best {
        Some(best) => {
            assert!(bound.seconds.get() <= best * (1.0 + 1e-12), "seed {seed}: {bound:?}")
        }
        None => assert!(bound.seconds.get() > 0.0),
    }
}

fn check_answers(
    instance: &Instance,
    truth: &Truth,
    backend: Backend,
    seed: u64,
    count: &mut impl FnMut(&'static str, bool),
) {
    let free = instance.ask(|problem| solve(problem, None, backend)).unwrap();
    let forced = instance.ask(|problem| solve_with_ilp(problem, None, backend)).unwrap();
    let Some(best) = truth.best else {
        for outcome in [&free, &forced] {
            check_infeasible(outcome, truth, seed);
        }
        return;
    };
    let (plan, proof) = check_optimal(&free, instance, truth, seed);
    let (other, other_proof) = check_optimal(&forced, instance, truth, seed);
    assert!(matches!(other_proof, Proof::Ilp { .. }));
    assert_eq!(plan, other, "seed {seed}: the same plan whatever proves it");
    match proof {
        Proof::DpBound { bound } => {
            assert!(bound.get() <= best * (1.0 + 1e-9), "seed {seed}: bound {bound:?} over {best}");
            count("closed by the label program", true);
        }
        Proof::Ilp { .. } => count("closed by the ILP (free choice)", true),
    }
    check_cutoffs(instance, best, backend, seed);
}

fn check_infeasible(outcome: &Outcome, truth: &Truth, seed: u64) {
    match outcome {
        Outcome::Infeasible(Infeasible::Memory { missing, .. }) => assert!(
            close(missing.get(), truth.overflow),
            "seed {seed}: lacks {} by {outcome:?}",
            truth.overflow
        ),
        Outcome::Infeasible(Infeasible::NoSetting) => assert!(truth.overflow.is_infinite()),
        other => panic!("seed {seed}: nothing fits, but {other:?}"),
    }
}

fn check_optimal<'a>(
    outcome: &'a Outcome,
    instance: &Instance,
    truth: &Truth,
    seed: u64,
) -> (&'a Assignment, &'a Proof) {
    let Outcome::Optimal { assignment, proof, is_canonical } = outcome else {
        panic!("seed {seed}: the optimum is {:?}, but {outcome:?}", truth.best);
    };
    let best = truth.best.unwrap_or(f64::NAN);
    assert!(close(assignment.makespan.get(), best), "seed {seed}: {assignment:?} is not {best}");
    exhaustive::validate(instance, assignment);
    assert!(is_canonical, "seed {seed}: ties are left");
    let memory: f64 = assignment.stages.iter().map(|s| s.memory.get()).sum();
    assert!(close(memory, truth.least_memory), "seed {seed}: {memory} not {}", truth.least_memory);
    (assignment, proof)
}

/// The plan does not depend on who solves the programs.
fn check_agreement(instance: &Instance, seed: u64) {
    let plan = |backend: &Backend| match instance.ask(|p| solve_with_ilp(p, None, *backend)) {
        Ok(Outcome::Optimal { assignment, .. }) => Some(assignment),
        _ => None,
    };
    let plans: Vec<Option<Assignment>> = Backend::ALL.iter().map(plan).collect();
    assert!(plans.windows(2).all(|pair| pair[0] == pair[1]), "seed {seed}: {plans:?}");
}

fn check_cutoffs(instance: &Instance, best: f64, backend: Backend, seed: u64) {
    for with in [solve, solve_with_ilp] {
        let at = |cutoff: f64| {
            instance.ask(|problem| with(problem, Some(Seconds::new(cutoff)), backend)).unwrap()
        };
        let below = at(best * (1.0 - 1e-6));
        assert!(matches!(below, Outcome::CutOff { .. }), "seed {seed}: {below:?}");
        let above = at(best * (1.0 + 1e-6));
        assert!(matches!(above, Outcome::Optimal { .. }), "seed {seed}: {above:?}");
    }
}
