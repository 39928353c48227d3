//! Bubbles and makespans of schedules.

use crate::programs::{Stage, pipeline};
use crate::{close, makespan};
use cost_model::events::{Durations, Fold, Messages, Options, Prepared, Prices};
use cost_model::simulate::{Boundary, Recurrence, StageTimes, Times};
use plan::program::Lane;
use plan::schedule::{ScheduleKind, order};
use plan::timeline::Span;
use plan::units::Seconds;
use proptest::prelude::*;

const EVEN: Stage = Stage { forward: 1.0, input: 1.0, weight: 1.0, send: (0.0, 0.0), reduce: 0.0 };

/// Makespan of a schedule with equal stages and free messages.
fn even(kind: ScheduleKind, ranks: u32, m: u32, chunks: u32) -> f64 {
    let order = order(kind, ranks, m, chunks).unwrap();
    let stages = vec![EVEN; (ranks * chunks) as usize];
    makespan(&pipeline(&order, &stages, 1), 0.0, &Options::FREE)
}

/// Part of the makespan in which a rank waits, when it works for `work`.
fn bubble(makespan: f64, work: f64) -> f64 {
    1.0 - work / makespan
}

/// (p − 1)/(m + p − 1): 3/11 = 27.27 % for p = 4, m = 8; 7/39 = 17.95 % for p = 8, m = 32; 1/9 for
/// p = 2, m = 8.
#[test]
fn gpipe_and_1f1b_have_the_bubble_of_the_closed_form() {
    for kind in [ScheduleKind::GPipe, ScheduleKind::OneForwardOneBackward] {
        for (p, m) in [(4, 8), (8, 32), (2, 8), (1, 3)] {
            let expected = f64::from(p - 1) / f64::from(m + p - 1);
            assert!(close(bubble(even(kind, p, m, 1), f64::from(3 * m)), expected));
        }
    }
}

/// m·T + (p − 1)·T/v with T = 3 per micro-batch and rank: chunks divide the bubble.
#[test]
fn interleaving_divides_the_bubble_by_the_chunks() {
    for (p, m, v) in [(4, 8, 2), (4, 16, 4), (8, 32, 3), (2, 6, 5)] {
        let whole = even(ScheduleKind::Interleaved, p, m, v);
        let per_chunk = 3.0;
        let expected = f64::from(m * v) * per_chunk + f64::from(p - 1) * per_chunk;
        assert!(close(whole, expected), "{p} {m} {v}: {whole} {expected}");
    }
}

/// H1 waits (p − 1)·(F + B − W): with unit costs a third of 1F1B, 3/27 = 11.11 % for p = 4, m = 8,
/// 6.80 % for p = 8, m = 32, 4.00 % for p = 2, m = 8 (Qi et al. 2023, arXiv:2401.10241, table 2).
#[test]
fn zero_bubble_h1_waits_a_third() {
    for (p, m, percent) in [(4, 8, 11.11), (8, 32, 6.80), (2, 8, 4.00)] {
        let whole = even(ScheduleKind::ZeroBubbleH1, p, m, 1);
        assert!(close(whole, f64::from(3 * m + p - 1)), "{whole}");
        let waits = 100.0 * bubble(whole, f64::from(3 * m));
        assert!((waits - percent).abs() < 0.01, "{waits}");
    }
}

/// H2 waits (p − 1)·(F + B − 2W) = 0 on every rank between its first and its last pass; what the
/// makespan has beyond m·T is the stagger of the ranks, (p − 1)·F, which the update of the next
/// step fills (ibid., section 2.2).
#[test]
fn zero_bubble_h2_only_staggers() {
    for (p, m) in [(4, 12), (8, 32)] {
        let whole = even(ScheduleKind::ZeroBubbleH2, p, m, 1);
        assert!(close(whole, f64::from(3 * m + p - 1)), "{whole}");
    }
}

/// No rank of H2 and V waits between its first and its last pass (ibid., sections 2.2 and 6).
#[test]
fn zero_bubble_h2_and_v_never_wait() {
    for (kind, chunks) in [(ScheduleKind::ZeroBubbleH2, 1), (ScheduleKind::ZeroBubbleV, 2)] {
        let (p, m) = (4, 12);
        let order = order(kind, p, m, chunks).unwrap();
        let timed = pipeline(&order, &vec![EVEN; (p * chunks) as usize], 1);
        let prices = Prices::given(timed.charges.clone(), 0.0);
        let (fold, durations) = (Fold::classes(&timed.program), Durations::Prices(&prices));
        let prepared = Prepared::new(&timed.program, durations, fold, &Options::FREE).unwrap();
        let timeline = prepared.run().unwrap().timeline("");
        for rank in &timeline.ranks {
            let actions = &timed.program.classes[rank.class as usize].actions;
            let computes = |s: &&Span| actions[s.action as usize].lane == Lane::Compute;
            let passes: Vec<&Span> = rank.spans.iter().filter(computes).collect();
            for (a, b) in passes.iter().zip(&passes[1..]) {
                assert_eq!(a.end_seconds, b.start_seconds, "{kind:?}, rank {}", rank.rank);
            }
        }
    }
}

/// Breadth-first with free messages waits as interleaving does with L/p chunks: p·(p − 1)/(m·L)
/// of the work (Lamy-Poirier 2021, arXiv:2106.02679).
#[test]
fn modular_pipelines_wait_p_p_minus_1_over_m_l() {
    for (p, m, chunks) in [(4u32, 8u32, 2u32), (4, 4, 4), (2, 6, 3)] {
        let layers = p * chunks;
        let work = f64::from(3 * m * chunks);
        let whole = even(ScheduleKind::BreadthFirst, p, m, chunks);
        let expected = f64::from(p * (p - 1)) / f64::from(m * layers);
        assert!(close(whole / work - 1.0, expected), "{p} {m} {chunks}: {whole}");
    }
}

fn uneven() -> impl Strategy<Value = (ScheduleKind, u32, u32, u32, Vec<Stage>)> {
    let family = prop_oneof![
        Just((ScheduleKind::GPipe, 1u32)),
        Just((ScheduleKind::OneForwardOneBackward, 1)),
        (1u32..4).prop_map(|v| (ScheduleKind::Interleaved, v)),
        (1u32..4).prop_map(|v| (ScheduleKind::BreadthFirst, v)),
        Just((ScheduleKind::ZeroBubbleH1, 1)),
        Just((ScheduleKind::ZeroBubbleH2, 1)),
        Just((ScheduleKind::ZeroBubbleV, 2)),
    ];
    (family, 2u32..5, 1u32..4).prop_flat_map(|((kind, chunks), ranks, rounds)| {
        let times = (0.5f64..3.0, 0.3f64..2.0, 0.3f64..2.0, 0.0f64..0.5, 0.0f64..0.5, 0.0f64..4.0);
        let one = times.prop_map(move |(forward, input, weight, down, up, reduce)| Stage {
            forward,
            input,
            weight,
            send: (down, up),
            reduce: if chunks == 1 { reduce } else { 0.0 },
        });
        prop::collection::vec(one, (ranks * chunks) as usize)
            .prop_map(move |stages| (kind, ranks, ranks * rounds, chunks, stages))
    })
}

/// Stages where a V turns share a rank: no message.
fn recurrence(kind: ScheduleKind, stages: &[Stage]) -> Times {
    let s = Seconds::new;
    let times = |x: &Stage| StageTimes {
        forward: s(x.forward),
        backward: s(x.input + x.weight),
        weight: s(x.weight),
        tail: s(x.reduce),
    };
    let edge = |x: &Stage| Boundary { forward: s(x.send.0), backward: s(x.send.1) };
    let mut boundaries: Vec<Boundary> = stages.iter().map(edge).collect();
    boundaries.pop();
    if kind == ScheduleKind::ZeroBubbleV {
        boundaries[stages.len() / 2 - 1] = Boundary::default();
    }
    Times { stages: stages.iter().map(times).collect(), boundaries }
}

proptest! {
    /// Messages that are shorter than every pass never queue, so both see the same paths; but for
    /// a V, on which those of both chunks share a lane in the order in which they are awaited.
    #[test]
    fn equals_the_recurrence((kind, ranks, m, chunks, mut stages) in uneven(), buffered: bool) {
        if kind == ScheduleKind::ZeroBubbleV {
            stages.iter_mut().for_each(|s| s.send = (0.0, 0.0));
        }
        let order = order(kind, ranks, m, chunks).unwrap();
        let ready = Recurrence::new(&order).unwrap();
        let expected = ready.run(&recurrence(kind, &stages)).makespan().get();
        let messages = if buffered { Messages::Buffered } else { Messages::Rendezvous };
        let options = Options { messages, ..Options::FREE };
        let whole = makespan(&pipeline(&order, &stages, 2), 0.3, &options);
        prop_assert!(close(whole, expected), "{} {}", whole, expected);
    }

    /// Long messages queue on their lanes, which the recurrence does not see.
    #[test]
    fn is_never_below_the_recurrence((kind, ranks, m, chunks, mut stages) in uneven()) {
        stages.iter_mut().for_each(|s| s.send = (s.send.0 * 20.0, s.send.1 * 20.0));
        let order = order(kind, ranks, m, chunks).unwrap();
        let ready = Recurrence::new(&order).unwrap();
        let least = ready.run(&recurrence(kind, &stages)).makespan().get();
        let whole = makespan(&pipeline(&order, &stages, 1), 0.0, &Options::FREE);
        prop_assert!(whole >= least * (1.0 - 1e-12));
    }

    /// Faster links never make a step slower, as long as nothing is shared.
    #[test]
    fn more_bandwidth_is_never_slower(
        (kind, ranks, m, chunks, stages) in uneven(), factor in 0.0f64..1.0
    ) {
        let order = order(kind, ranks, m, chunks).unwrap();
        let slow = makespan(&pipeline(&order, &stages, 2), 0.0, &Options::FREE);
        let mut faster = stages;
        for s in &mut faster {
            s.send = (s.send.0 * factor, s.send.1 * factor);
            s.reduce *= factor;
        }
        let fast = makespan(&pipeline(&order, &faster, 2), 0.0, &Options::FREE);
        prop_assert!(fast <= slow * (1.0 + 1e-12));
    }
}
