use super::csv::{CsvError, read, write};
use super::timetable::{Stuck, Timetable, Units, timetable};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Schedules with micro-batches that they exist for.
fn shapes() -> impl Strategy<Value = Shape> {
    (0..ScheduleKind::ALL.len(), 2u32..7, 1u32..6, 1u32..4).prop_map(|(kind, ranks, k, v)| {
        let kind = ScheduleKind::ALL[kind];
        let (micro_batches, chunks) = match kind {
            ScheduleKind::Interleaved => (ranks * k, v),
            ScheduleKind::BreadthFirst => (k, v),
            ScheduleKind::ZeroBubbleV => (k, 2),
            _ => (k, 1),
        };
        Shape { kind, ranks, micro_batches, chunks }
    })
}

fn run(kind: ScheduleKind, ranks: u32, micro_batches: u32, chunks: u32) -> (Order, Timetable) {
    let shape = Shape { kind, ranks, micro_batches, chunks };
    let order = shape.order().unwrap();
    let table = timetable(&shape, &order, Units::EVEN).unwrap();
    (order, table)
}

proptest! {
    #[test]
    fn every_pass_runs_exactly_once_at_home_in_order(shape in shapes()) {
        let order = shape.order().unwrap();
        let stages = shape.stages();
        for (rank, slots) in (0..).zip(&order) {
            let unique: BTreeSet<Slot> = slots.iter().copied().collect();
            prop_assert_eq!(unique.len(), slots.len());
            prop_assert!(slots.iter().all(|s| shape.home(s.stage) == rank && s.stage < stages));
            let at = |x: Slot| slots.iter().position(|y| *y == x);
            for s in slots.iter().filter(|s| !s.is_forward()) {
                let forward = at(Slot::forward(s.stage, s.micro_batch));
                prop_assert!(forward.is_some() && forward < at(*s));
            }
        }
        let count = |of: fn(Task) -> bool| order.iter().flatten().filter(|s| of(s.task)).count();
        let all = (stages * shape.micro_batches) as usize;
        prop_assert_eq!(count(|t| t == Task::Forward), all);
        prop_assert_eq!(count(Task::releases), all);
        prop_assert_eq!(count(Task::hands_back), all);
        prop_assert!(timetable(&shape, &order, Units::EVEN).is_ok());
    }

    #[test]
    fn csv_reads_back(shape in shapes()) {
        let order = shape.order().unwrap();
        prop_assert_eq!(read(&write(&order)), Ok(order));
    }

    #[test]
    fn one_f_one_b_holds_ranks_minus_stage(ranks in 1u32..9, m in 1u32..20) {
        let order = order(ScheduleKind::OneForwardOneBackward, ranks, m, 1).unwrap();
        for (rank, slots) in order.iter().enumerate() {
            prop_assert_eq!(in_flight(slots), (ranks - rank as u32).min(m));
        }
    }

    #[test]
    fn short_orders_show_the_same_peaks(gpipe: bool, ranks in 1u32..9, m in 1u32..30) {
        let kind = match gpipe {
            true => ScheduleKind::GPipe,
            false => ScheduleKind::OneForwardOneBackward,
        };
        let whole: Vec<u32> =
            order(kind, ranks, m, 1).unwrap().iter().map(|s| in_flight(s)).collect();
        prop_assert_eq!(in_flight_per_rank(kind, ranks, m), Some(whole));
    }

    /// In units of F = I = W = 1, so that T = 3 is one micro-batch on one rank:
    /// GPipe and 1F1B `(m + p − 1)·T` (Huang et al. 2018; Narayanan et al. 2021);
    /// interleaved `m·T + (p − 1)·T/v`, counted here in chunks of T;
    /// breadth-first the same where `m ≥ p`;
    /// H1 `m·T + (p − 1)·(F + I − W)` (Qi et al. 2023, table 2).
    #[test]
    fn makespans_are_the_closed_forms(p in 2u64..8, k in 1u64..5, v in 1u64..4) {
        let m = p * k;
        let makespan = |kind, chunks| run(kind, p as u32, m as u32, chunks).1.makespan;
        prop_assert_eq!(makespan(ScheduleKind::GPipe, 1), (m + p - 1) * 3);
        prop_assert_eq!(makespan(ScheduleKind::OneForwardOneBackward, 1), (m + p - 1) * 3);
        prop_assert_eq!(makespan(ScheduleKind::Interleaved, v as u32), (m * v + p - 1) * 3);
        prop_assert_eq!(makespan(ScheduleKind::BreadthFirst, v as u32), (m * v + p - 1) * 3);
        prop_assert_eq!(makespan(ScheduleKind::ZeroBubbleH1, 1), m * 3 + p - 1);
    }

    /// With enough micro-batches no rank of H2 and V waits between its first and its last pass.
    #[test]
    fn zero_bubble_has_none(p in 2u32..8, more in 0u32..6) {
        let m = 2 * p - 1 + more;
        for (kind, chunks) in [(ScheduleKind::ZeroBubbleH2, 1), (ScheduleKind::ZeroBubbleV, 2)] {
            let (_, table) = run(kind, p, m, chunks);
            for rank in 0..p as usize {
                prop_assert_eq!(table.gaps(rank), 0, "{:?} rank {}", kind, rank);
            }
        }
    }

    /// Activations held, counted until the gradients of the weights: GPipe and breadth-first all,
    /// H1 `p` on every rank, H2 `2p − 1`, V `2p` chunks (Qi et al. 2023, table 2 and section 6);
    /// interleaved `2(p − 1 − r) + (v − 1)p + 1` on rank `r` (Narayanan et al. 2021).
    #[test]
    fn peaks_are_the_closed_forms(p in 2u32..8, k in 2u32..5, v in 2u32..4) {
        let m = p * k;
        let peak = |kind, chunks| -> Vec<u32> {
            order(kind, p, m, chunks).unwrap().iter().map(|slots| in_flight(slots)).collect()
        };
        let all = |x: u32| vec![x; p as usize];
        prop_assert_eq!(peak(ScheduleKind::GPipe, 1), all(m));
        prop_assert_eq!(peak(ScheduleKind::BreadthFirst, v), all(m * v));
        prop_assert_eq!(peak(ScheduleKind::ZeroBubbleH1, 1), all(p));
        prop_assert_eq!(peak(ScheduleKind::ZeroBubbleH2, 1), all(2 * p - 1));
        prop_assert_eq!(peak(ScheduleKind::ZeroBubbleV, 2), all(2 * p));
        let interleaved = (0..p).map(|r| 2 * (p - 1 - r) + (v - 1) * p + 1);
        let interleaved: Vec<u32> = interleaved.map(|x| x.min(m * v)).collect();
        prop_assert_eq!(peak(ScheduleKind::Interleaved, v), interleaved);
    }
}

/// Shares of the step that a rank waits, p stages and m micro-batches, in per cent:
/// (p − 1)/(m + p − 1) and (p − 1)/(3m + p − 1).
#[test]
fn bubbles_in_per_cent() {
    for (p, m, plain, split) in [(4, 8, 27.27, 11.11), (8, 32, 17.95, 6.80), (2, 8, 11.11, 4.0)] {
        let bubble = |kind| {
            let (_, table) = run(kind, p, m, 1);
            100.0 * (1.0 - table.busy(0) as f64 / table.makespan as f64)
        };
        assert!((bubble(ScheduleKind::GPipe) - plain).abs() < 0.005);
        assert!((bubble(ScheduleKind::OneForwardOneBackward) - plain).abs() < 0.005);
        assert!((bubble(ScheduleKind::ZeroBubbleH1) - split).abs() < 0.005);
    }
}

/// Four modules on three ranks, one micro-batch, F = 1 and B = 2. Rank 0: F₁ 0–1, B₁ 1–3; F₂ 1–2,
/// F₃ 2–3, so F₄ 3–4 without waiting and B₄ 4–6. The busiest rank, 2·3 units, is the step.
#[test]
fn ouroboros_takes_as_long_as_its_busiest_rank() {
    let shape = Shape { kind: ScheduleKind::Ouroboros, ranks: 3, micro_batches: 1, chunks: 1 };
    let (order, table) = run(shape.kind, 3, 1, 1);
    assert_eq!(write(&order), "0F0,0B0,3F0,3B0\n1F0,1B0\n2F0,2B0\n");
    assert_eq!(table.makespan, 6);
    assert_eq!([0, 1, 2, 3].map(|stage| shape.age(stage)), [3, 2, 1, 0]);
    assert_eq!([0, 1, 2, 3].map(|stage| shape.home(stage)), [0, 1, 2, 0]);
}

/// The V of two ranks: stages 0 and 3 are on rank 0, 1 and 2 on rank 1.
#[test]
fn the_v_turns_at_the_last_rank() {
    let shape = Shape { kind: ScheduleKind::ZeroBubbleV, ranks: 2, micro_batches: 3, chunks: 2 };
    assert_eq!([0, 1, 2, 3].map(|stage| shape.home(stage)), [0, 1, 1, 0]);
}

/// The words of files are those of flags.
#[test]
fn words_are_those_of_files() {
    for kind in ScheduleKind::ALL {
        let json = serde_json::to_string(&kind).unwrap();
        assert_eq!(json, format!("\"{}\"", kind.word()));
    }
}

#[test]
fn cells_that_are_no_pass_are_refused() {
    let cell = |text: &str| CsvError::Cell { line: 1, cell: 2, text: text.into() };
    assert_eq!(read(""), Err(CsvError::Empty));
    assert_eq!(read(" \n,,\n"), Err(CsvError::Empty));
    for text in ["F0", "0F", "0G1", "0F-1", "0F+1", "0F1x", "0F99999999999"] {
        assert_eq!(read(&format!("0F0,{text}")), Err(cell(text)));
    }
    for text in ["1UNSHARD", "0SEND_F1", "1RECV_B0", "(0F1;1B0)OVERLAP_F_B"] {
        let error = read(&format!("0F0,{text}")).unwrap_err();
        assert!(error.to_string().contains("compute_only"), "{error}");
    }
    let repeated = CsvError::Repeated { line: 2, cell: 1, text: "0F0".into() };
    assert_eq!(read("0F0\n0F0"), Err(repeated));
}

#[test]
fn quotes_bubbles_and_blank_lines_are_read() {
    let order = read("\"0F0\", ,0B0\n\n1F0,1I0,,1W0\n").unwrap();
    assert_eq!(write(&order), "0F0,0B0\n1F0,1I0,1W0\n");
}

#[test]
fn an_order_that_cannot_run_names_what_is_missing() {
    let shape =
        Shape { kind: ScheduleKind::OneForwardOneBackward, ranks: 2, micro_batches: 1, chunks: 1 };
    let order = read("0F0,0B0\n1B0,1F0\n").unwrap();
    let stuck = timetable(&shape, &order, Units::EVEN).unwrap_err();
    assert!(matches!(stuck, Stuck::Waits { rank: 0, .. }), "{stuck}");
    let order = read("0F0,0B0\n1F0\n").unwrap();
    let stuck = timetable(&shape, &order, Units::EVEN).unwrap_err();
    let missing = Slot { task: Task::BackwardInput, ..Slot::backward(1, 0) };
    assert_eq!(stuck, Stuck::Waits { rank: 0, slot: Slot::backward(0, 0), needs: missing });
    let order = read("0F0,0F1,0B1,0B0\n1F0,1B0\n").unwrap();
    assert!(matches!(timetable(&shape, &order, Units::EVEN), Err(Stuck::Beyond { .. })));
}
