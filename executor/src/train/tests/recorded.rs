//! Recording changes nothing, and leaves out nothing.

use super::plans::{Plan, job};
use super::{losses, quiet, state};
use crate::comm::LinkPrice;
use crate::train::{Network, run_slice, run_threads};
use plan::record::RecordMode;
use plan::units::{BytesPerSecond, Seconds};

/// Two stages of two replicas: four ranks, messages, collectives and an optimizer.
fn plan() -> Plan {
    Plan { dp: 2, pp: 2, micro_batches: 2, ..Plan::default() }
}

#[test]
fn every_action_of_every_rank_leaves_one_sample_per_step() {
    for mode in [RecordMode::Full, RecordMode::Serial] {
        let job = job(&plan(), "mlstm").recorded(mode);
        let outcome = run_threads(&job, 2, None, &quiet).unwrap();
        assert_eq!(outcome.samples.len(), 4 * 2, "{mode:?}");
        for step in &outcome.samples {
            let (class, _) = job.program.class_of(step.rank).unwrap();
            let listed = 0..job.program.classes[class].actions.len() as u32;
            assert!(step.actions.iter().map(|a| a.a).eq(listed), "{mode:?}");
            let ordered = step.actions.windows(2).all(|two| two[0].e <= two[1].s);
            let inside = step.actions.iter().all(|a| step.start <= a.s && a.e <= step.end);
            assert!(ordered && inside && step.actions.iter().all(|a| a.w <= a.seconds()));
        }
    }
}

/// While one rank computes, no other does: what ranks worked, added up, fits into the time of all.
#[test]
fn serial_ranks_take_turns() {
    let job = job(&plan(), "mlstm").recorded(RecordMode::Serial);
    let samples = run_threads(&job, 2, None, &quiet).unwrap().samples;
    let own = samples.iter().flat_map(|s| &s.actions).map(|a| a.seconds() - a.w).sum::<f64>();
    let start = samples.iter().map(|s| s.start).fold(f64::INFINITY, f64::min);
    let end = samples.iter().map(|s| s.end).fold(0.0, f64::max);
    assert!(own <= end - start, "{own} in {}", end - start);
}

#[test]
fn a_recorded_run_trains_the_same() {
    let plain = run_threads(&job(&plan(), "lstm"), 3, None, &quiet).unwrap();
    let sampled = job(&plan(), "lstm").recorded(RecordMode::Full);
    let sampled = run_threads(&sampled, 3, None, &quiet).unwrap();
    assert_eq!(losses(&plain), losses(&sampled));
    assert!(plain.samples.is_empty() && state(plain) == state(sampled));
}

/// A rank by itself runs its whole list and sends what it would send among others.
#[test]
fn a_slice_runs_every_action_of_one_rank() {
    let bandwidth = BytesPerSecond::new(f64::INFINITY);
    let inside = LinkPrice { latency: Seconds::ZERO, bandwidth };
    let free = Network { per_node: 2, inside, between: inside };
    for plan in [plan(), Plan { dp: 3, zero: 2, ..Plan::default() }] {
        let job = job(&plan, "mlstm").recorded(RecordMode::Full);
        let together = run_threads(&job, 2, None, &quiet).unwrap();
        let slice = run_slice(&job, 0, 2, &free, &quiet).unwrap();
        assert_eq!(slice.samples.len(), 2);
        assert_eq!(slice.samples[0].actions.len(), job.program.classes[0].actions.len());
        let sent = |outcome: &crate::train::Outcome| {
            outcome.ledgers.iter().map(|(_, ledger)| ledger.sent).sum::<u64>()
        };
        let (alone, all) = (sent(&slice) as f64, sent(&together) as f64);
        // Parts of data that do not divide evenly differ by an element per member.
        assert!((alone / all - 1.0).abs() < 0.02, "{alone} {all}");
        assert!(run_slice(&job, 99, 1, &free, &quiet).is_err());
    }
}
