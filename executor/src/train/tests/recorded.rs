//! Recording changes nothing, and leaves out nothing.

use super::plans::{Plan, job};
use super::{losses, quiet, state};
use crate::train::run_threads;
use plan::record::RecordMode;

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
