use super::*;
use petgraph::algo::bellman_ford;
use petgraph::graph::{DiGraph, NodeIndex};
use plan::schedule::{Order, ScheduleKind, Slot, Task, order};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn seconds(x: f64) -> Seconds {
    Seconds::new(x)
}

fn stage(forward: f64, backward: f64, tail: f64) -> StageTimes {
    let (forward, backward, tail) = (seconds(forward), seconds(backward), seconds(tail));
    StageTimes { forward, backward, weight: backward * 0.4, tail }
}

fn step(kind: ScheduleKind, m: u32, chunks: u32, times: &Times) -> f64 {
    let ranks = times.stages.len() as u32 / chunks;
    let order = order(kind, ranks, m, chunks).unwrap();
    Recurrence::new(&order).unwrap().run(times).makespan().get()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1.0)
}

/// The recurrence as a graph with an edge per dependency, weighted by minus the time from the
/// producer's start to the consumer's; its shortest path is the longest chain. Shares no code with
/// the recurrence.
fn longest_path(order: &Order, times: &Times) -> f64 {
    let stages = times.stages.len() as u32;
    let mut graph: DiGraph<(), f64> = DiGraph::new();
    let (source, sink) = (graph.add_node(()), graph.add_node(()));
    let mut node: BTreeMap<Slot, NodeIndex> = BTreeMap::new();
    for slot in order.iter().flatten() {
        node.insert(*slot, graph.add_node(()));
    }
    let cost = |s: &Slot| {
        let t = &times.stages[s.stage as usize];
        match s.task {
            Task::Forward => t.forward.get(),
            Task::Backward => t.backward.get(),
            Task::BackwardInput => t.backward.get() - t.weight.get(),
            Task::BackwardWeight => t.weight.get(),
        }
    };
    let back = |slot: &Slot, stage: u32| {
        let whole = node.get(&Slot { task: Task::Backward, stage, ..*slot });
        *whole.unwrap_or_else(|| &node[&Slot { task: Task::BackwardInput, stage, ..*slot }])
    };
    for (slot, at) in &node {
        graph.add_edge(source, *at, 0.0);
        let tail =
            if slot.is_forward() { 0.0 } else { times.stages[slot.stage as usize].tail.get() };
        graph.add_edge(*at, sink, -cost(slot) - tail);
        if slot.is_forward() && slot.stage + 1 < stages {
            let to = node[&Slot { stage: slot.stage + 1, ..*slot }];
            let send = times.boundaries[slot.stage as usize].forward.get();
            graph.add_edge(*at, to, -cost(slot) - send);
        } else if slot.is_forward() {
            graph.add_edge(*at, back(slot, slot.stage), -cost(slot));
        } else if slot.stage > 0 && slot.task.hands_back() {
            let to = back(slot, slot.stage - 1);
            let send = times.boundaries[slot.stage as usize - 1].backward.get();
            graph.add_edge(*at, to, -cost(slot) - send);
        }
    }
    for pair in order.iter().flat_map(|slots| slots.windows(2)) {
        graph.add_edge(node[&pair[0]], node[&pair[1]], -cost(&pair[0]));
    }
    -bellman_ford(&graph, source).unwrap().distances[sink.index()]
}

#[test]
fn equal_stages_take_m_plus_p_minus_one_rounds() {
    // F = 2, B = 5, p = 4, m = 6, no messages: (m + p − 1)(F + B) = 9 · 7 = 63, for both.
    let times = Times::with_uniform_send(vec![stage(2.0, 5.0, 0.0); 4], Seconds::ZERO);
    assert!(close(step(ScheduleKind::GPipe, 6, 1, &times), 63.0));
    assert!(close(step(ScheduleKind::OneForwardOneBackward, 6, 1, &times), 63.0));
}

#[test]
fn interleaving_divides_the_bubble_by_the_chunks() {
    // p = 4 ranks, v = 3 chunks, m = 8, chunk F = 1, B = 2. Per micro-batch a rank computes
    // T = v(F + B) = 9; m·T + (p − 1)·T/v = 72 + 9 = 81 (arXiv:2104.04473, section 2.2).
    let times = Times::with_uniform_send(vec![stage(1.0, 2.0, 0.0); 12], Seconds::ZERO);
    assert!(close(step(ScheduleKind::Interleaved, 8, 3, &times), 81.0));
}

#[test]
fn two_stages_by_hand() {
    // GPipe, m = 2, F = (1, 3), B = (2, 4), message 0.5, tails (10, 1).
    // F0 on rank 0: 0–1, 1–2; on rank 1: 1.5–4.5, 4.5–7.5. B on rank 1: micro-batch 1 7.5–11.5,
    // micro-batch 0 11.5–15.5. On rank 0: 12–14, 16–18. Ends 15.5 + 1 and 18 + 10.
    let times =
        Times::with_uniform_send(vec![stage(1.0, 2.0, 10.0), stage(3.0, 4.0, 1.0)], seconds(0.5));
    let order = order(ScheduleKind::GPipe, 2, 2, 1).unwrap();
    let recurrence = Recurrence::new(&order).unwrap();
    let simulation = recurrence.run(&times);
    assert!(close(simulation.makespan().get(), 28.0));
    assert!(close(simulation.start(1, 1).get(), 4.5) && close(simulation.end(1, 1).get(), 7.5));
    assert!(close(simulation.start(0, 2).get(), 12.0));
    // Rank 0 computes 2·3 = 6 and syncs 10, so 28 − 16 = 12 is idle; rank 1: 28 − 14 − 1 = 13.
    assert!(close(simulation.busy(0).get(), 6.0) && close(simulation.idle(0).get(), 12.0));
    assert!(close(simulation.idle(1).get(), 13.0));
    // 1 + 0.5 + 2·3 + 2·4 + 0.5 + 2 + 10 = 28.
    let path = simulation.critical_path(Ties::SameRank);
    assert_eq!((path.forward.as_slice(), path.backward.as_slice()), (&[1, 2][..], &[1, 2][..]));
    assert_eq!((path.sends(), path.tail), (2, Some(0)));
}

#[test]
fn an_order_that_waits_in_a_circle_is_refused() {
    let rank0 = vec![Slot::forward(0, 0), Slot::backward(0, 0)];
    let rank1 = vec![Slot::backward(1, 0), Slot::forward(1, 0)];
    let error = Recurrence::new(&vec![rank0.clone(), rank1]).unwrap_err();
    assert!(matches!(error, OrderError::Deadlock { .. }), "{error}");
    let error = Recurrence::new(&vec![rank0.clone(), rank0.clone()]).unwrap_err();
    assert!(matches!(error, OrderError::Incomplete { listed: 4, needed: 2, .. }), "{error}");
    let error = Recurrence::new(&vec![vec![rank0[0]], vec![rank0[1]]]).unwrap_err();
    assert!(matches!(error, OrderError::TwoHomes { stage: 0, .. }), "{error}");
    let error = Recurrence::new(&vec![vec![rank0[0], rank0[0]]]).unwrap_err();
    assert!(matches!(error, OrderError::Repeated { rank: 0, .. }), "{error}");
    let half = |task| Slot { task, ..rank0[1] };
    let (first, second) = (half(Task::BackwardInput), half(Task::BackwardWeight));
    let error = Recurrence::new(&vec![vec![rank0[0], first]]).unwrap_err();
    assert!(matches!(error, OrderError::Incomplete { listed: 2, needed: 3, .. }), "{error}");
    let (next, whole) = (Slot::forward(0, 1), Slot::backward(0, 1));
    let swapped = Slot { micro_batch: 1, ..second };
    let error = Recurrence::new(&vec![vec![rank0[0], first, next, whole, swapped]]).unwrap_err();
    assert_eq!(error, OrderError::Halved { rank: 0, slot: swapped });
    let error = Recurrence::new(&vec![vec![rank0[0], second, first]]).unwrap_err();
    assert!(matches!(error, OrderError::Deadlock { .. }), "{error}");
    assert_eq!(Recurrence::new(&vec![vec![], vec![]]).unwrap_err(), OrderError::Empty);
}

fn uneven() -> impl Strategy<Value = (ScheduleKind, Times, u32, u32)> {
    uneven_of(prop_oneof![
        Just((ScheduleKind::GPipe, 1u32)),
        Just((ScheduleKind::OneForwardOneBackward, 1)),
        (1u32..4).prop_map(|v| (ScheduleKind::Interleaved, v)),
        (1u32..4).prop_map(|v| (ScheduleKind::BreadthFirst, v)),
        Just((ScheduleKind::ZeroBubbleH1, 1)),
        Just((ScheduleKind::ZeroBubbleH2, 1)),
        Just((ScheduleKind::ZeroBubbleV, 2)),
    ])
}

fn uneven_of(
    family: impl Strategy<Value = (ScheduleKind, u32)>,
) -> impl Strategy<Value = (ScheduleKind, Times, u32, u32)> {
    (family, 2u32..5, 1u32..4).prop_flat_map(|((kind, chunks), ranks, rounds)| {
        let stages = (ranks * chunks) as usize;
        let times = prop::collection::vec((0.1f64..3.0, 0.1f64..5.0, 0.0f64..4.0), stages);
        let sends = prop::collection::vec((0.0f64..0.7, 0.0f64..0.7), stages - 1);
        (times, sends).prop_map(move |(times, sends)| {
            let stages = times.into_iter().map(|(f, b, t)| stage(f, b, t)).collect();
            let boundaries = sends
                .into_iter()
                .map(|(d, u)| Boundary { forward: seconds(d), backward: seconds(u) })
                .collect();
            (kind, Times { stages, boundaries }, ranks * rounds, chunks)
        })
    })
}

proptest! {
    #[test]
    fn the_recurrence_is_the_longest_path((kind, times, m, chunks) in uneven()) {
        let order = order(kind, times.stages.len() as u32 / chunks, m, chunks).unwrap();
        let recurrence = Recurrence::new(&order).unwrap();
        let simulation = recurrence.run(&times);
        prop_assert!(close(simulation.makespan().get(), longest_path(&order, &times)));
        for ties in [Ties::SameRank, Ties::Message] {
            let path = simulation.critical_path(ties);
            prop_assert!(close(path.length(&times).get(), simulation.makespan().get()));
        }
    }

    #[test]
    fn a_critical_path_bounds_every_other_times(
        (kind, times, m, chunks) in uneven(), factors in prop::collection::vec(0.2f64..3.0, 12)
    ) {
        let order = order(kind, times.stages.len() as u32 / chunks, m, chunks).unwrap();
        let recurrence = Recurrence::new(&order).unwrap();
        let path = recurrence.run(&times).critical_path(Ties::Message);
        let mut other = times.clone();
        for (s, x) in other.stages.iter_mut().zip(factors) {
            (s.forward, s.backward) = (s.backward * x, s.forward * x);
        }
        let makespan = recurrence.run(&other).makespan();
        prop_assert!(path.length(&other).get() <= makespan.get() * (1.0 + 1e-12));
    }

    #[test]
    fn gpipe_has_a_closed_form(
        (kind, times, m, _) in uneven_of(Just((ScheduleKind::GPipe, 1))),
    ) {
        // Identical micro-batches through a chain: Σ + (m − 1)·max, once down and once up.
        let mut times = times;
        times.stages.iter_mut().for_each(|s| s.tail = Seconds::ZERO);
        let wave = |time: fn(&StageTimes) -> f64| {
            let each = || times.stages.iter().map(time);
            each().sum::<f64>() + f64::from(m - 1) * each().fold(0.0, f64::max)
        };
        let sends: f64 = times.boundaries.iter().map(|b| b.forward.get() + b.backward.get()).sum();
        let expected = wave(|s| s.forward.get()) + wave(|s| s.backward.get()) + sends;
        prop_assert!(close(step(kind, m, 1, &times), expected));
    }
}
