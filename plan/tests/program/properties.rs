//! What holds for the program of every plan.

use crate::support::{Case, degrees, model};
use plan::exchange::Exchange;
use plan::lower::Recompute;
use plan::program::{Action, Cause, DifferentTokens, Granularity, Op, Peers, Program, validate};
use plan::schedule::{LocalSteps, ScheduleKind};
use proptest::prelude::*;

/// Plans over everything that has a lowering.
pub fn cases() -> impl Strategy<Value = Case> {
    let shape = (0..ScheduleKind::ALL.len(), 1u32..4, 1u32..4, 1u32..3);
    let split = (1u32..4, prop_oneof![Just(1u32), Just(2)], any::<bool>());
    let rest = (0u8..4, 0usize..3, 0usize..6, 0usize..3, any::<bool>());
    (shape, split, rest).prop_map(|((kind, pp, k, v), (dp, tp, sp), rest)| {
        let (zero, level, exchange, grain, offload) = rest;
        let schedule = ScheduleKind::ALL[kind];
        let pp = if schedule == ScheduleKind::Interleaved { pp.max(2) } else { pp };
        let chunks = match schedule {
            ScheduleKind::Interleaved | ScheduleKind::BreadthFirst => v,
            ScheduleKind::ZeroBubbleV => 2,
            _ => 1,
        };
        let mut case = Case::new(model("gpt2", 6), degrees(dp, tp, pp));
        case.schedule = schedule;
        case.chunks = chunks;
        case.micro_batches = if schedule == ScheduleKind::Interleaved { pp * k } else { k };
        case.sequence_parallel = sp && tp > 1;
        case.zero = zero;
        case.recompute = Recompute::ALL[level];
        case.exchange = Exchange::ALL.get(exchange).copied();
        case.facts.different = Some(DifferentTokens { own: 700.0, all: 1300.5 });
        case.settings.offload = offload;
        case.settings.send_budget = 1 + k;
        case.settings.granularity =
            [Granularity::Stage, Granularity::Layer, Granularity::Operator][grain];
        case
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn programs_are_valid(case in cases()) {
        let program = case.lower().unwrap();
        prop_assert_eq!(validate(&program), Ok(()));
    }

    #[test]
    fn lowering_is_a_function(case in cases()) {
        let (a, b) = (case.lower().unwrap(), case.lower().unwrap());
        prop_assert_eq!(a.digest(), b.digest());
        prop_assert_eq!(a, b);
    }

    #[test]
    fn every_rank_can_be_read(case in cases()) {
        let program = case.lower().unwrap();
        for rank in 0..program.ranks {
            prop_assert!(program.text(rank).unwrap().lines().count() > 10);
        }
        prop_assert_eq!(program.text(program.ranks), None);
    }
}

fn valid(case: &Case) -> Program {
    let program = case.lower().unwrap();
    assert_eq!(validate(&program), Ok(()), "{case:?}");
    program
}

#[test]
fn experts_contexts_and_time_have_programs() {
    let mut experts = Case::new(model("mixtral-8x7b", 4), degrees(4, 2, 2));
    experts.degrees.ep = 2;
    for grain in [Granularity::Stage, Granularity::Layer, Granularity::Operator] {
        experts.settings.granularity = grain;
        for zero in 0..4 {
            experts.zero = zero;
            valid(&experts);
        }
    }
    let mut contexts = Case::new(model("llama3-8b", 4), degrees(2, 2, 2));
    contexts.degrees.cp = 2;
    contexts.settings.granularity = Granularity::Operator;
    valid(&contexts);
    let mut time = Case::new(model("biglstm", 2), degrees(2, 1, 2));
    time.schedule = ScheduleKind::GPipe;
    (time.micro_batches, time.time_chunks) = (8, 4);
    for exchange in Exchange::ALL {
        time.exchange = Some(exchange);
        valid(&time);
    }
}

#[test]
fn replicas_that_train_apart_have_programs() {
    let mut case = Case::new(model("gpt2", 6), degrees(4, 1, 2));
    for (every, fragments, delay) in [(1, 1, 0), (10, 1, 0), (10, 4, 0), (10, 4, 3), (3, 3, 2)] {
        case.settings.local = Some(LocalSteps { every, fragments, delay });
        valid(&case);
    }
}

/// Rows of a table in pieces travel to the embedding and their gradients back, once per
/// micro-batch: `K·D·s` values of two bytes for each other stage's share `s`. 20 tokens of width
/// 1,024, stages with a half, three eighths and an eighth: half of it comes from elsewhere.
#[test]
fn tables_in_pieces_have_programs() {
    let mut case = Case::new(model("biglstm", 2), degrees(2, 1, 4));
    (case.exchange, case.pieces) = (Some(Exchange::Dense), 3);
    case.settings.shares = vec![0.5, 0.375, 0.125];
    let spec = case.model.spec.clone();
    for (schedule, time_chunks, zero) in [
        (ScheduleKind::OneForwardOneBackward, 1, 0),
        (ScheduleKind::OneForwardOneBackward, 1, 1),
        (ScheduleKind::GPipe, 4, 0),
    ] {
        (case.schedule, case.time_chunks, case.zero) = (schedule, time_chunks, zero);
        let program = valid(&case);
        let table = case.model.table.unwrap();
        let compute = spec.training.precision.compute.between_products().size();
        let tokens =
            spec.training.sequence / u64::from(time_chunks) * u64::from(case.micro_batches);
        let all = (tokens * table.width * compute) as f64;
        let rows: f64 =
            program.classes.iter().flat_map(|class| &class.actions).filter_map(rows_sent).sum();
        let share = 2.0 * all * 0.5;
        assert!((rows / share - 1.0).abs() < 1e-5, "{rows} for {share}");
    }
}

/// Bytes of a message of rows.
fn rows_sent(action: &Action) -> Option<f64> {
    let Peers::Channel { payload, .. } = action.peers else { return None };
    let is_rows = matches!(action.op, Op::Send(_)) && matches!(action.cause, Cause::Exchange(_));
    is_rows.then(|| payload.size.expected.get())
}

/// What has no lowering says so, and what has.
#[test]
fn pieces_that_cannot_be_lowered_are_named() {
    let mut case = Case::new(model("biglstm", 2), degrees(2, 1, 2));
    (case.exchange, case.pieces) = (Some(Exchange::Unique), 2);
    let said = case.lower().unwrap_err().to_string();
    assert!(said.contains("table in pieces") && said.contains("dense exchange"), "{said}");
    (case.exchange, case.pieces) = (Some(Exchange::Dense), 3);
    let said = case.lower().unwrap_err().to_string();
    assert!(said.contains("a stage for each piece"), "{said}");
}
