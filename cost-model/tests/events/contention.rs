//! What runs beside each other slows each other down, by hand.

use crate::programs::{GATHER, Single, Stage, pipeline};
use crate::{close, makespan};
use cost_model::events::Options;
use cost_model::overlap::together;
use plan::program::{Lane, Op};
use plan::schedule::{ScheduleKind, order};
use plan::units::Seconds;
use plan::work::CollectiveOp;
use proptest::prelude::*;

/// Computation beside a gather of sharded weights.
fn pair(compute: f64, gather: f64, gamma: f64) -> f64 {
    let mut rank = Single::new(4);
    rank.add(Op::Gather, Lane::Data, gather, &[]);
    rank.last().cause = GATHER;
    rank.add(Op::Forward, Lane::Compute, compute, &[]);
    makespan(&rank.finish(), gamma, &Options::CLUSTER)
}

proptest! {
    /// `max(C, X) + γ·min(C, X)`: the law of the closed form.
    #[test]
    fn overlap_follows_the_law_of_the_closed_form(
        compute in 0.0f64..5.0, gather in 0.0f64..5.0, gamma in 0.0f64..1.0
    ) {
        let law = together(Seconds::new(compute), Seconds::new(gather), gamma).get();
        prop_assert!(close(pair(compute, gather, gamma), law));
    }
}

/// Two passes of 2 and 3 beside a gather of 3, γ = ½: all at ⅔ until the gather is done at 4.5;
/// the first pass ends at 3, the second has 2 of its 3 left at 4.5 and ends at 6.5.
#[test]
fn rates_follow_what_runs() {
    let mut rank = Single::new(4);
    rank.add(Op::Gather, Lane::Data, 3.0, &[]);
    rank.last().cause = GATHER;
    rank.add(Op::Forward, Lane::Compute, 2.0, &[]);
    rank.add(Op::Forward, Lane::Compute, 3.0, &[]);
    assert!(close(makespan(&rank.finish(), 0.5, &Options::CLUSTER), 6.5));
}

/// Reductions once per step contend with γ/2 = ¼, as in `exposed_data_parallel`: 4 beside 2 take
/// 4 + 2/4.
#[test]
fn reductions_contend_half_as_much() {
    let mut rank = Single::new(4);
    rank.add(Op::Reduce(CollectiveOp::AllReduce), Lane::Data, 2.0, &[]);
    rank.add(Op::Backward, Lane::Compute, 4.0, &[]);
    assert!(close(makespan(&rank.finish(), 0.5, &Options::CLUSTER), 4.5));
}

/// Two collectives of 2 and 3 on lanes of their own, on one link: each at ½ until the first is
/// done at 4, when the other has 1 left: 5. With links for each: 3.
#[test]
fn transfers_share_a_link_fairly() {
    let timed = || {
        let mut rank = Single::new(4);
        rank.add(Op::Gather, Lane::Data, 2.0, &[]);
        rank.add(Op::Gather, Lane::Tensor, 3.0, &[]);
        rank.finish()
    };
    assert!(close(makespan(&timed(), 0.0, &Options::CLUSTER), 5.0));
    assert!(close(makespan(&timed(), 0.0, &Options::FREE), 3.0));
}

/// Messages of 1F1B that arrive while others leave: links carry both directions at once, and the
/// two that leave the middle rank do so at different times, so sharing costs nothing.
#[test]
fn directions_do_not_meet() {
    let stage =
        Stage { forward: 1.0, input: 1.0, weight: 1.0, send: (0.1, 0.1), ..Stage::default() };
    let order = order(ScheduleKind::OneForwardOneBackward, 3, 6, 1).unwrap();
    let timed = pipeline(&order, &[stage; 3], 1);
    let (free, shared) =
        (makespan(&timed, 0.0, &Options::FREE), makespan(&timed, 0.0, &Options::CLUSTER));
    assert!(close(free, shared), "{free} {shared}");
}
