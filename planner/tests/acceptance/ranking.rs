//! The plan that is taken, where the fastest prediction is not surely faster.

use crate::world::{World, context, fastest};
use cost_model::memory::Zero;
use plan::document::{Plan, RuledOut};
use planner::Planned;
use planner::ranking::{FULL, Particular, Ranked, Risk, Rule, Traits, choose};
use planner::report::{self, Context};
use planner::request::{Pins, Request};
use planner::validate::validate;

const RULE: Rule = Rule {
    particular: Particular { tensor: 0.1, pipeline: 0.1, micro_batch: 0.1, across: 0.6, own: 0.05 },
    quantile: 0.8,
};

fn ranked(request: &Request<'_>, planned: &Planned) -> Ranked {
    let (c, d) = (&planned.solution.configuration, planned.solution.configuration.degrees);
    let room = request.usable(request.profile.memory());
    let is_full = planned.tensors() / room > FULL;
    let is_across = d.tp > request.per_node();
    let is_sharded = planned.solution.setting.zero == Zero::Parameters && d.dp > 1;
    let doubts = u8::from(is_full) + u8::from(is_across);
    let is_split = d.tp * d.pp * d.cp * d.ep > 1 || is_sharded;
    Ranked {
        step: planned.solution.step.get(),
        traits: Traits::of(c, request.per_node()),
        risk: Risk { doubts, is_split },
    }
}

/// The best plan of every mesh under every ZeRO stage.
fn all(request: &Request<'_>, meshes: &[RuledOut]) -> Vec<Ranked> {
    let mut all = Vec::new();
    for degrees in meshes.iter().map(|mesh| mesh.degrees) {
        for zero in Zero::ALL {
            let pins = Pins { zero: Some(zero), ..request.pins }.on_mesh(degrees);
            let asked = Request { pins, ..*request };
            all.extend(fastest(&asked).map(|planned| ranked(request, &planned)));
        }
    }
    all
}

/// Meshes are skipped by their bounds, and solved in the order of their risk: what is found is what
/// solving all of them finds.
#[test]
fn the_choice_is_the_choice_among_all_plans() {
    let mut preferred = 0;
    for (model, cluster, gpus) in
        [("llama2-7b", "dgx-a100", 8), ("gpt2-xl", "rtx-3090", 8), ("mlstm4096", "dgx1v", 16)]
    {
        let world = World::shipped(model, cluster);
        let request = Request { max_memory: 0.9, ..world.request(gpus, Pins::default()) };
        let best = fastest(&request).unwrap();
        let chosen = choose(&request, best.clone(), &RULE);
        let every = all(&request, &best.certificate.meshes);
        let expected = every[RULE.choose(&every).unwrap()];
        let found = chosen.solution.step.get();
        assert!((found / expected.step - 1.0).abs() < 1e-6, "{model}: {found} {expected:?}");
        assert_eq!(ranked(&request, &chosen).risk, expected.risk, "{model}");
        let is_other = chosen.solution != best.solution;
        assert_eq!(chosen.certificate.fastest.is_some(), is_other, "{model}");
        preferred += u32::from(is_other);
    }
    assert!(preferred > 0, "no question in which the rule matters");
}

fn document(request: &Request<'_>, planned: &Planned) -> Plan {
    let context = Context { rule: Some(RULE), ..context() };
    let report = report::report(request, planned, &context);
    let first = &report.runners_up[0];
    let fastest = report.plan.certificate.fastest.as_ref().unwrap();
    assert_eq!(first.seconds, fastest.seconds, "the fastest prediction leads the list");
    assert!((first.faster.unwrap() - fastest.faster).abs() < 1e-12);
    assert!(fastest.faster < RULE.quantile && fastest.worst > 0.0);
    assert!(report.why[0].starts_with(&fastest.label), "{}", report.why[0]);
    report.plan
}

/// The certificate speaks of the fastest prediction, and the plan is valid with it only. At a
/// quantile of one half the fastest prediction is taken.
#[test]
fn a_preferred_plan_names_the_fastest() {
    let world = World::shipped("llama2-7b", "dgx-a100");
    let request = Request { max_memory: 0.9, ..world.request(8, Pins::default()) };
    let best = fastest(&request).unwrap();
    let even = Rule { quantile: 0.5, ..RULE };
    assert_eq!(choose(&request, best.clone(), &even).solution, best.solution);
    let chosen = choose(&request, best.clone(), &RULE);
    assert_eq!(chosen.others[0], best.solution);
    let mut plan = document(&request, &chosen);
    let failed = |plan: &Plan| {
        let checks = validate(&request, plan).into_iter().filter(|c| !c.ok);
        checks.map(|c| c.name).collect::<Vec<_>>()
    };
    assert_eq!(failed(&plan), Vec::<&str>::new());
    plan.certificate.fastest = None;
    assert_eq!(failed(&plan), ["certificate"]);
}
