//! Published facts about schedules, each with the assumptions that the source leaves open.

use crate::programs::Single;
use cost_model::collective::wire_bytes;
use cost_model::events::{
    Durations, Failures, Fold, Options, Prepared, Prices, checkpoint_interval, goodput,
};
use plan::program::{Cadence, Lane, Op};
use plan::units::{Bytes, Seconds};
use plan::work::{Collective, CollectiveOp, Group};

/// Decoupled DiLoCo (arXiv:2604.21428 and the announcement of its authors, 2026): 12 billion
/// parameters on 8 sites need 198 Gbit/s between sites when they train in step and 0.84 Gbit/s when
/// they meet now and then; at 2 to 5 Gbit/s they are more than 20 times faster.
///
/// Assumed: a ring over the sites, 16-bit gradients and deltas, one stream per site. The sources do
/// not say how long a step is; 198 Gbit/s on average make it 1.70 s. 0.84 Gbit/s are then a meeting
/// every 236 steps, or every 59 with 4-bit deltas.
const SITES: u32 = 8;
const STEP: f64 = 1.70;
const MEETS: u32 = 236;

/// What a site sends per reduction, in Gbit: 2·7/8 of 24 GB are 336.
fn gbit() -> f64 {
    let group = Group { size: SITES, nodes: SITES };
    let all = Collective { op: CollectiveOp::AllReduce, bytes: Bytes::new(24e9), group };
    wire_bytes(&all).get() * 8.0 / 1e9
}

/// Lengths of the steps of two periods.
fn steps(synchronous: bool, gbit_per_second: f64) -> Vec<f64> {
    let mut site = Single::new(SITES);
    let pass = site.add(Op::Backward, Lane::Compute, STEP, &[]);
    let time = gbit() / gbit_per_second;
    if synchronous {
        let reduce = site.add(Op::Reduce(CollectiveOp::AllReduce), Lane::Data, time, &[pass]);
        site.add(Op::Optimizer, Lane::Compute, 0.0, &[reduce]);
    } else {
        let reduce = site.add(Op::ReduceDelta, Lane::Outer, time, &[pass]);
        site.last().cadence = Cadence { every: MEETS, offset: 0 };
        // What was reduced is merged at the end of the period: waiting for it would show.
        site.add(Op::Merge, Lane::Compute, 0.0, &[reduce]);
        site.last().cadence = Cadence { every: MEETS, offset: MEETS - 1 };
    }
    let timed = site.finish();
    let prices = Prices::given(timed.charges.clone(), 0.0);
    let options = Options { steps: 0..2 * u64::from(MEETS), ..Options::CLUSTER };
    let fold = Fold::classes(&timed.program);
    let durations = Durations::Prices(&prices);
    let prepared = Prepared::new(&timed.program, durations, fold, &options).unwrap();
    prepared.run().unwrap().steps().iter().map(|s| s.get()).collect()
}

#[test]
fn sites_that_meet_now_and_then_need_a_236th_of_the_bandwidth() {
    assert!((gbit() / STEP - 198.0).abs() < 0.5, "{}", gbit() / STEP);
    assert!((gbit() / (STEP * f64::from(MEETS)) - 0.84).abs() < 0.005);
    // With a percent more than the average, nobody ever waits.
    let steps = steps(false, 0.84 * 1.01);
    assert!(steps.iter().all(|step| (step - STEP).abs() < 1e-9));
}

#[test]
fn training_in_step_over_a_slow_link_is_more_than_20_times_slower() {
    for rate in [2.0, 5.0] {
        let apart: f64 = steps(false, rate).iter().sum();
        let in_step: f64 = steps(true, rate).iter().sum();
        assert!(in_step > 20.0 * apart, "{rate} Gbit/s: {}", in_step / apart);
    }
}

/// The same source: 88 % goodput under failures that leave 27 % to training in step.
///
/// Assumed: 8 learners, each an eighth of the devices, fail independently; a failure stops one
/// learner instead of all; saving costs next to nothing (it is asynchronous), so what is lost is
/// restarting. A restart that leaves 27 % when everybody stops is `−ln 0.27 = 1.31` times as long
/// as the time between failures; for a learner that time is 8 times as long: `e^(−1.31/8) = 85 %`.
/// That the source says 88 % means that its learners come back a little faster than that.
#[test]
fn failures_cost_learners_that_train_apart_little() {
    let together = Failures {
        device_mtbf: Seconds::new(8000.0 * 1000.0),
        devices: 8000,
        checkpoint: Seconds::new(1e-3),
        restart: Seconds::new(1309.0),
    };
    let share = |f: &Failures| goodput(f, checkpoint_interval(f));
    assert!((share(&together) - 0.27).abs() < 0.005, "{}", share(&together));
    let learner = Failures { devices: together.devices / 8, ..together };
    assert!((share(&learner) - 0.88).abs() < 0.04, "{}", share(&learner));
}

/// Llama 3 (arXiv:2407.21783, section 3.3.4): 419 unexpected interruptions in 54 days on 16,384
/// devices, more than 90 % effective training time.
///
/// Assumed: 30 s per checkpoint, 5 min to restart; neither is published.
#[test]
fn llama_3_trained_for_nine_tenths_of_its_time() {
    let between = Seconds::new(54.0 * 86_400.0 / 419.0);
    let failures = Failures {
        device_mtbf: between * 16_384.0,
        devices: 16_384,
        checkpoint: Seconds::new(30.0),
        restart: Seconds::new(300.0),
    };
    assert!((failures.mtbf().get() / 3600.0 - 3.09).abs() < 0.01);
    assert!(goodput(&failures, checkpoint_interval(&failures)) > 0.90);
}
