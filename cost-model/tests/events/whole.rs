//! What holds for every simulation.

use crate::close;
use crate::programs::{Single, Stage, Timed, access, pipeline};
use cost_model::events::{
    Durations, EventError, Fold, Link, Noise, Options, Prepared, Prices, Recorded, Simulation,
    memory,
};
use plan::program::{BufferKind, Cause, Lane, Op, Peers, Token};
use plan::schedule::{ScheduleKind, order};
use plan::units::Seconds;
use plan::work::CollectiveOp;
use proptest::prelude::*;

fn with<T>(timed: &Timed, gamma: f64, see: impl FnOnce(&Simulation<'_>) -> T) -> T {
    let prices = Prices::given(timed.charges.clone(), gamma);
    let fold = Fold::classes(&timed.program);
    let durations = Durations::Prices(&prices);
    let prepared = Prepared::new(&timed.program, durations, fold, &Options::CLUSTER).unwrap();
    see(&prepared.run().unwrap())
}

fn programs() -> impl Strategy<Value = Timed> {
    let one = (0.5f64..2.0, 0.5f64..2.0, 0.0f64..3.0, 0.0f64..4.0);
    let one = one.prop_map(|(forward, input, send, reduce)| Stage {
        forward,
        input,
        weight: 1.0,
        send: (send, send / 2.0),
        reduce,
    });
    let kinds = prop_oneof![
        Just((ScheduleKind::GPipe, 1u32)),
        Just((ScheduleKind::OneForwardOneBackward, 1)),
        Just((ScheduleKind::Interleaved, 2)),
        Just((ScheduleKind::ZeroBubbleH1, 1)),
        Just((ScheduleKind::ZeroBubbleV, 2)),
    ];
    (kinds, 2u32..5, 1u32..4).prop_flat_map(move |((kind, chunks), ranks, rounds)| {
        prop::collection::vec(one.clone(), (ranks * chunks) as usize).prop_map(move |stages| {
            pipeline(&order(kind, ranks, ranks * rounds, chunks).unwrap(), &stages, 2)
        })
    })
}

proptest! {
    #[test]
    fn the_critical_path_adds_up(timed in programs(), gamma in 0.0f64..0.6) {
        with(&timed, gamma, |simulation| {
            let path = simulation.critical_path();
            let length: f64 = path.iter().map(|p| (p.end - p.free).get()).sum();
            prop_assert!(close(length, simulation.makespan().get()));
            prop_assert_eq!(path[0].link, Link::Start);
            for (before, after) in path.iter().zip(&path[1..]) {
                prop_assert_eq!(before.end, after.start);
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_lane_is_busy_for_longer_than_the_step(timed in programs()) {
        let busiest = timed.program.classes.iter().map(|class| {
            let mine = class.actions.iter().filter(|a| a.lane == Lane::Compute);
            mine.map(|a| timed.charges[a.charge.0 as usize].get()).sum::<f64>()
        });
        let busiest = busiest.fold(0.0, f64::max);
        with(&timed, 0.0, |simulation| {
            prop_assert!(simulation.makespan().get() >= busiest * (1.0 - 1e-12));
            Ok(())
        })?;
    }

    #[test]
    fn breakdowns_add_up(timed in programs(), gamma in 0.0f64..0.6) {
        with(&timed, gamma, |simulation| {
            for instance in 0..timed.program.classes.len() {
                let breakdown = simulation.breakdown(instance);
                prop_assert!(close(breakdown.total().get(), simulation.makespan().get()));
                prop_assert!(breakdown.bubble >= Seconds::new(-1e-9));
                prop_assert!(breakdown.contention >= Seconds::new(-1e-9));
            }
            Ok(())
        })?;
    }

    #[test]
    fn lanes_run_one_thing_at_a_time(timed in programs(), gamma in 0.0f64..0.6) {
        with(&timed, gamma, |simulation| {
            let timeline = simulation.timeline("");
            for rank in &timeline.ranks {
                let actions = &timed.program.classes[rank.class as usize].actions;
                for lane in Lane::ALL {
                    let on = |s: &&plan::timeline::Span| actions[s.action as usize].lane == lane;
                    let spans: Vec<_> = rank.spans.iter().filter(on).collect();
                    for (a, b) in spans.iter().zip(spans.iter().skip(1)) {
                        prop_assert!(a.end_seconds <= b.start_seconds);
                    }
                }
            }
            Ok(())
        })?;
    }

    /// Replaying what a simulation did, without any prices, gives the same step.
    #[test]
    fn a_replay_of_itself_is_itself(timed in programs()) {
        let taken: Vec<Vec<Seconds>> = timed
            .program
            .classes
            .iter()
            .map(|c| c.actions.iter().map(|a| timed.charges[a.charge.0 as usize]).collect())
            .collect();
        let fold = || Fold::classes(&timed.program);
        let durations = Durations::Measured(&taken);
        let replay =
            Prepared::new(&timed.program, durations, fold(), &Options::FREE).unwrap();
        let prices = Prices::given(timed.charges.clone(), 0.0);
        let durations = Durations::Prices(&prices);
        let direct =
            Prepared::new(&timed.program, durations, fold(), &Options::FREE).unwrap();
        prop_assert_eq!(replay.run().unwrap().makespan(), direct.run().unwrap().makespan());
    }
}

/// Rank: F 2, B 4, reduction 3 that waits for B, optimizer 1 that waits for the reduction: 10. The
/// gap of 3 before the optimizer is exposed.
#[test]
fn a_reduction_at_the_end_is_exposed() {
    let mut rank = Single::new(8);
    rank.add(Op::Forward, Lane::Compute, 2.0, &[]);
    let backward = rank.add(Op::Backward, Lane::Compute, 4.0, &[]);
    let reduce = rank.add(Op::Reduce(CollectiveOp::AllReduce), Lane::Data, 3.0, &[backward]);
    rank.last().cause = Cause::DataParallel;
    rank.add(Op::Optimizer, Lane::Compute, 1.0, &[reduce]);
    with(&rank.finish(), 0.5, |simulation| {
        assert_eq!(simulation.makespan(), Seconds::new(10.0));
        let breakdown = simulation.breakdown(0);
        assert_eq!(breakdown.compute, Seconds::new(6.0));
        assert_eq!(breakdown.update, Seconds::new(1.0));
        assert_eq!(breakdown.exposed.len(), 1);
        assert_eq!(breakdown.exposed[0].cause, Cause::DataParallel);
        assert_eq!(breakdown.exposed[0].time, Seconds::new(3.0));
        assert_eq!(breakdown.bubble, Seconds::ZERO);
        let links: Vec<Link> = simulation.critical_path().iter().map(|p| p.link).collect();
        let expected = [Link::Start, Link::Lane, Link::Token, Link::Token, Link::Lane];
        assert_eq!(links[..4], expected[..4]);
    });
}

/// F writes 10 bytes at 0–2, B reads them at 2–6 and adds to gradients of 5 that it writes; the
/// optimizer reads the gradients at 6–7; weights of 7 stay. 17 until 2, then 22, 12 from 6 on.
#[test]
fn memory_follows_reads_and_writes() {
    let mut rank = Single::new(1);
    let weights = rank.buffer(BufferKind::Weights, 7.0, true);
    let saved = rank.buffer(BufferKind::Saved, 10.0, false);
    let gradient = rank.buffer(BufferKind::Gradient, 5.0, false);
    rank.add(Op::Forward, Lane::Compute, 2.0, &[]);
    rank.last().reads = vec![access(weights, 0)];
    rank.last().writes = vec![access(saved, 1)];
    rank.add(Op::Backward, Lane::Compute, 4.0, &[]);
    rank.last().reads = vec![access(saved, 1)];
    rank.last().writes = vec![access(gradient, 1)];
    rank.add(Op::Optimizer, Lane::Compute, 1.0, &[]);
    rank.last().reads = vec![access(gradient, 1)];
    rank.last().writes = vec![access(weights, 1)];
    with(&rank.finish(), 0.0, |simulation| {
        let curve = memory(simulation, 0);
        let points: Vec<(f64, f64)> =
            curve.points.iter().map(|(t, b)| (t.get(), b.get())).collect();
        assert_eq!(points, [(0.0, 17.0), (2.0, 22.0), (6.0, 12.0), (7.0, 0.0)]);
        assert_eq!((curve.peak.get(), curve.at.get()), (22.0, 2.0));
    });
}

/// Two steps with an averaging of 5 that begins in the first and runs beside the second: steps of
/// 3, and an end at 3 + 5.
#[test]
fn the_outer_lane_crosses_steps() {
    let mut rank = Single::new(2);
    let forward = rank.add(Op::Forward, Lane::Compute, 3.0, &[]);
    rank.add(Op::ReduceDelta, Lane::Outer, 5.0, &[forward]);
    rank.last().cadence = plan::program::Cadence { every: 2, offset: 0 };
    let timed = rank.finish();
    let prices = Prices::given(timed.charges.clone(), 0.0);
    let options = Options { steps: 0..2, ..Options::CLUSTER };
    let fold = Fold::classes(&timed.program);
    let durations = Durations::Prices(&prices);
    let prepared = Prepared::new(&timed.program, durations, fold, &options).unwrap();
    let simulation = prepared.run().unwrap();
    assert_eq!(simulation.steps(), [Seconds::new(3.0), Seconds::new(3.0)]);
    assert_eq!(simulation.makespan(), Seconds::new(8.0));
}

#[test]
fn what_cannot_run_says_why() {
    let mut rank = Single::new(2);
    rank.add(Op::Forward, Lane::Compute, 1.0, &[Token(1)]);
    rank.add(Op::Gather, Lane::Data, 1.0, &[Token(0)]);
    let timed = rank.finish();
    let prices = Prices::given(timed.charges.clone(), 0.0);
    let durations = Durations::Prices(&prices);
    let fold = || Fold::classes(&timed.program);
    let prepared = Prepared::new(&timed.program, durations, fold(), &Options::CLUSTER).unwrap();
    let error = prepared.run().unwrap_err();
    assert!(matches!(error, EventError::Deadlock { rank: 0, action: 0, .. }), "{error}");
    let few = Prices::given(vec![], 0.0);
    let error = Prepared::new(&timed.program, Durations::Prices(&few), fold(), &Options::FREE);
    assert!(matches!(error, Err(EventError::NoTime { class: 0, action: 0 })));
    let none = Options { steps: 3..3, ..Options::FREE };
    let error = Prepared::new(&timed.program, durations, fold(), &none);
    assert!(matches!(error, Err(EventError::Empty)));
}

#[test]
fn a_message_needs_two_ends() {
    let stage = Stage { forward: 1.0, send: (1.0, 1.0), ..Stage::default() };
    let order = order(ScheduleKind::GPipe, 2, 2, 1).unwrap();
    let mut timed = pipeline(&order, &[stage; 2], 1);
    let receives = |a: &plan::program::Action| {
        matches!(a.op, Op::Receive(_)) && matches!(a.peers, Peers::Channel { .. })
    };
    let actions = &mut timed.program.classes[1].actions;
    let at = actions.iter().position(receives).unwrap();
    actions.remove(at);
    let prices = Prices::given(timed.charges.clone(), 0.0);
    let fold = Fold::classes(&timed.program);
    let prepared =
        Prepared::new(&timed.program, Durations::Prices(&prices), fold, &Options::CLUSTER);
    assert!(matches!(prepared, Err(EventError::NoPeer { rank: 0, .. })));
}

/// A common factor scales the step; one slow rank costs at most its factor.
#[test]
fn jitter_is_common() {
    let stage = Stage { forward: 1.0, input: 1.0, weight: 1.0, ..Stage::default() };
    let order = order(ScheduleKind::OneForwardOneBackward, 4, 8, 1).unwrap();
    let timed = pipeline(&order, &[stage; 4], 8);
    let prices = Prices::given(timed.charges.clone(), 0.0);
    let fold = Fold::classes(&timed.program);
    let durations = Durations::Prices(&prices);
    let prepared = Prepared::new(&timed.program, durations, fold, &Options::CLUSTER).unwrap();
    let noise = Noise { common: 0.01, rank: 0.002, seed: 5 };
    let calm = prepared.run().unwrap().makespan().get();
    for step in 0..20 {
        let draw = noise.draw(step, prepared.fold());
        let slowest = draw.ranks.iter().copied().fold(0.0, f64::max);
        let quickest = draw.ranks.iter().copied().fold(f64::INFINITY, f64::min);
        let noisy = prepared.run_slowed(draw.ranks.clone()).unwrap().makespan().get();
        assert!(noisy <= calm * slowest * (1.0 + 1e-12));
        assert!(noisy >= calm * quickest * (1.0 - 1e-12));
    }
}

/// One thread: F 2, B 4, reduction 3 on another lane that waits for F only, optimizer 1. In
/// parallel 2 + max(4, 3) + 1 = 7, one after the other 10.
#[test]
fn one_thread_runs_all_lanes_in_the_order_of_issue() {
    let mut rank = Single::new(8);
    let forward = rank.add(Op::Forward, Lane::Compute, 2.0, &[]);
    rank.add(Op::Reduce(CollectiveOp::AllReduce), Lane::Data, 3.0, &[forward]);
    rank.add(Op::Backward, Lane::Compute, 4.0, &[]);
    rank.add(Op::Optimizer, Lane::Compute, 1.0, &[]);
    let timed = rank.finish();
    let prices = Prices::given(timed.charges.clone(), 0.0);
    let makespan = |options: &Options| {
        let durations = Durations::Prices(&prices);
        let fold = Fold::nobody(&timed.program);
        let prepared = Prepared::new(&timed.program, durations, fold, options).unwrap();
        prepared.run().unwrap().makespan().get()
    };
    assert!(close(makespan(&Options::FREE), 7.0));
    assert!(close(makespan(&Options::PROCESSORS), 10.0));
}

/// Two stages, one micro-batch, F 1 and I + W 2 each, messages free: 1 + 1 + 2 + 2 = 6 a step. The
/// second step of the first rank is twice as slow, so it takes 2 + 1 + 2 + 4 = 9.
#[test]
fn recorded_times_differ_by_step_and_rank() {
    let stage = Stage { forward: 1.0, input: 1.0, weight: 1.0, send: (0.0, 0.0), reduce: 0.0 };
    let order = order(ScheduleKind::GPipe, 2, 1, 1).unwrap();
    let timed = pipeline(&order, &[stage; 2], 1);
    let times = |class: usize| -> Vec<Seconds> {
        let actions = timed.program.classes[class].actions.iter();
        actions.map(|a| timed.charges[a.charge.0 as usize]).collect()
    };
    let slow = times(0).into_iter().map(|t| t * 2.0).collect();
    let first = vec![times(0), times(1)];
    let times = vec![first, vec![slow, times(1)]];
    // The first rank needs half a second more after the second step.
    let after = vec![vec![Seconds::ZERO; 2], vec![Seconds::new(0.5), Seconds::ZERO]];
    let recorded = Recorded { first: 4, times, after };
    let options = Options { steps: 4..6, ..Options::PROCESSORS };
    let fold = Fold::nobody(&timed.program);
    let durations = Durations::Recorded(&recorded);
    let prepared = Prepared::new(&timed.program, durations, fold, &options).unwrap();
    let steps: Vec<f64> = prepared.run().unwrap().steps().iter().map(|s| s.get()).collect();
    assert!(close(steps[0], 6.0) && close(steps[1], 9.5), "{steps:?}");
}
