//! Plans drawn at random: whatever the plan, the model that comes out is that of one rank.

use super::plans::Plan;
use super::{close, losses, near, state, train};
use plan::exchange::Exchange;
use plan::schedule::ScheduleKind as S;
use proptest::prelude::*;

const MODELS: [&str; 10] =
    ["gpt", "llama", "bert", "txl", "mixture", "experts", "lstm", "sampled", "mlstm", "rhn"];

fn is_tied(name: &str) -> bool {
    matches!(name, "gpt" | "bert" | "txl" | "lstm")
}

fn is_recurrent(name: &str) -> bool {
    matches!(name, "lstm" | "sampled" | "mlstm" | "rhn")
}

/// Layers of the chain, embedding and head counted.
fn layers(name: &str) -> u32 {
    if matches!(name, "sampled" | "mlstm" | "rhn") { 3 } else { 4 }
}

/// Turns numbers into a plan that can be run.
fn legal(name: &str, mut plan: Plan) -> Plan {
    if plan.tp > 1 && is_recurrent(name) {
        // Their states have three elements.
        plan.tp = 3;
    }
    if name == "mixture" {
        plan.tp = 1;
    }
    if !is_recurrent(name) {
        plan.time_chunks = 1;
    }
    match (name, plan.dp) {
        ("mixture", 3) => plan.ep = 3,
        ("experts", 2) => plan.ep = 2,
        _ => plan.ep = 1,
    }
    if !matches!(name, "gpt" | "llama" | "bert") {
        plan.cp = 1;
    }
    if !matches!(name, "gpt" | "llama" | "bert" | "experts" | "txl") || plan.tp == 1 {
        plan.sequence_parallel = false;
    }
    if plan.pp == 1 || plan.time_chunks > 1 {
        plan.schedule = if plan.time_chunks > 1 { S::GPipe } else { S::OneForwardOneBackward };
    }
    plan.chunks = match plan.schedule {
        S::Interleaved | S::BreadthFirst | S::ZeroBubbleV if layers(name) >= 4 => 2,
        S::Interleaved | S::BreadthFirst | S::ZeroBubbleV => {
            plan.schedule = S::GPipe;
            1
        }
        _ => 1,
    };
    if plan.schedule != S::OneForwardOneBackward && plan.schedule != S::GPipe {
        plan.micro_batches = plan.micro_batches.next_multiple_of(plan.pp);
    }
    if is_tied(name) {
        plan.exchange = plan.exchange.map(|_| Exchange::Dense);
        if plan.pp == 1 || plan.schedule == S::ZeroBubbleV {
            plan.zero = plan.zero.min(2);
        }
    }
    if name == "sampled" {
        plan.exchange = plan.exchange.or(Some(Exchange::Unique));
    }
    plan
}

/// Whether sums are taken in the same order as on one rank.
fn is_bitwise(name: &str, plan: &Plan) -> bool {
    let in_order = plan.dp == 1 || plan.micro_batches * plan.time_chunks == 1;
    let sums_once = plan.zero < 2 || plan.dp == 1 || plan.micro_batches * plan.time_chunks == 1;
    let sums_alike = plan.tp == 1 && plan.cp == 1 && plan.ep == 1;
    sums_alike && in_order && sums_once && !(is_tied(name) && plan.pp > 1)
}

fn plans() -> impl Strategy<Value = (&'static str, Plan)> {
    let schedules = prop::sample::select(vec![
        S::GPipe,
        S::OneForwardOneBackward,
        S::Interleaved,
        S::BreadthFirst,
        S::ZeroBubbleH1,
        S::ZeroBubbleH2,
        S::ZeroBubbleV,
    ]);
    let model = prop::sample::select(MODELS.to_vec());
    let degrees = (1u32..=3, 1u32..=2, 1u32..=2, 1u32..=4, 1u32..=2, any::<bool>());
    let exchanges = prop::sample::select(vec![
        None,
        Some(Exchange::Dense),
        Some(Exchange::Gather),
        Some(Exchange::DedupGather),
        Some(Exchange::Unique),
        Some(Exchange::Sharded),
    ]);
    let rest = (schedules, 0u8..=3, any::<bool>(), 1u32..=2, exchanges);
    (model, degrees, rest).prop_map(|(name, degrees, rest)| {
        let (dp, tp, pp, micro_batches, cp, sequence_parallel) = degrees;
        let (schedule, zero, recompute, time_chunks, exchange) = rest;
        let chunks = 1;
        let plan = Plan {
            dp,
            tp,
            pp,
            cp,
            sequence_parallel,
            micro_batches,
            schedule,
            chunks,
            zero,
            recompute,
            time_chunks,
            exchange,
            ..Plan::default()
        };
        (name, legal(name, plan))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(320))]

    #[test]
    fn every_plan_trains_the_model_of_one_rank((name, plan) in plans()) {
        let (single, split) = (train(&plan.single(), name), train(&plan, name));
        if is_bitwise(name, &plan) {
            prop_assert_eq!(losses(&single), losses(&split));
            prop_assert!(state(single) == state(split));
        } else if plan.tp * plan.cp * plan.ep == 1 {
            close(&state(single), &state(split), &format!("{name} {plan:?}"));
        } else {
            for (a, b) in losses(&single).into_iter().zip(losses(&split)) {
                prop_assert!((a - b).abs() < 1e-5 * a, "loss {} {}", a, b);
            }
            near(&state(single), &state(split), &format!("{name} {plan:?}"));
        }
    }
}
