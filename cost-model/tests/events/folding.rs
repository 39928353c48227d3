//! Simulating one rank of each kind is the same as simulating all.

use crate::close;
use crate::programs::{Stage, Timed, pipeline};
use cost_model::events::{Durations, Fold, Options, Prepared, Prices};
use plan::schedule::{ScheduleKind, order};
use proptest::prelude::*;

/// Makespan and simulated ranks, with one rank slower by a factor.
fn run(timed: &Timed, fold: Fold, slow: Option<(u32, f64)>) -> (f64, usize) {
    let prices = Prices::given(timed.charges.clone(), 0.4);
    let durations = Durations::Prices(&prices);
    let prepared = Prepared::new(&timed.program, durations, fold, &Options::CLUSTER).unwrap();
    let fold = prepared.fold();
    let mut factors = vec![1.0; fold.len()];
    if let Some((rank, factor)) = slow {
        factors[fold.instance(&timed.program, rank).unwrap() as usize] = factor;
    }
    let n = fold.len();
    (prepared.run_slowed(factors).unwrap().makespan().get(), n)
}

fn stages() -> impl Strategy<Value = Vec<Stage>> {
    let one = (0.5f64..2.0, 0.5f64..2.0, 0.0f64..1.5, 0.1f64..4.0);
    let one = one.prop_map(|(forward, input, send, reduce)| Stage {
        forward,
        input,
        weight: 1.0,
        send: (send, send),
        reduce,
    });
    prop::collection::vec(one, 3)
}

proptest! {
    #[test]
    fn folding_changes_nothing(stages in stages(), replicas in 1u32..5, m in 1u32..6) {
        let order = order(ScheduleKind::OneForwardOneBackward, 3, m, 1).unwrap();
        let timed = pipeline(&order, &stages, replicas);
        let (folded, n) = run(&timed, Fold::classes(&timed.program), None);
        let (whole, all) = run(&timed, Fold::nobody(&timed.program), None);
        prop_assert_eq!((n, all), (3, 3 * replicas as usize));
        prop_assert!(close(folded, whole), "{} {}", folded, whole);
    }

    #[test]
    fn a_straggler_is_folded_around(
        stages in stages(), replicas in 2u32..6, rank in 0u32..18, factor in 1.0f64..2.0
    ) {
        let order = order(ScheduleKind::OneForwardOneBackward, 3, 4, 1).unwrap();
        let timed = pipeline(&order, &stages, replicas);
        let rank = rank % timed.program.ranks;
        let fold = Fold::around(&timed.program, &[rank]);
        let (folded, n) = run(&timed, fold, Some((rank, factor)));
        let (whole, _) = run(&timed, Fold::nobody(&timed.program), Some((rank, factor)));
        // Two replicas in each stage: the one with the slow rank, and all others.
        prop_assert_eq!(n, 6);
        prop_assert!(close(folded, whole), "{} {}", folded, whole);
    }
}
