//! Batches that grow: replicas leave out their last micro-batches.

use super::plans::{Plan, facts, job};
use super::{STEPS, close, losses, quiet, state};
use crate::optimizer::BatchRamp;
use crate::train::{Job, Outcome, run_threads};
use plan::exchange::Exchange;
use plan::schedule::ScheduleKind as S;

/// The job of a plan whose batch grows from 4 sequences; 2 more micro-batches of 2 per step.
fn growing(plan: &Plan, name: &str) -> Job {
    let Job { model, decision, batches, mut recipe, .. } = job(plan, name);
    let to = decision.batch.global_sequences;
    recipe.ramp = Some(BatchRamp { from: 4, to, steps: to / 4 });
    Job::new(model, decision, &facts(), batches, recipe)
        .unwrap_or_else(|e| panic!("{name} {plan:?}: {e}"))
}

fn run(job: &Job, until: u64) -> Outcome {
    run_threads(job, until, None, &quiet).unwrap()
}

/// Steps of 4, 8 and 12 sequences train what one rank trains on the same sequences, whatever is
/// sent, sharded or recomputed per micro-batch.
#[test]
fn a_growing_batch_trains_as_on_one_rank() {
    let base = Plan { dp: 2, micro_batches: 3, ..Plan::default() };
    let staged = Plan { dp: 1, pp: 2, micro_batches: 6, ..base };
    let cases = [
        ("mlstm", Plan { zero: 1, ..base }),
        ("mlstm", Plan { exchange: Some(Exchange::Unique), ..base }),
        ("mlstm", Plan { exchange: Some(Exchange::Sharded), ..base }),
        ("mlstm", Plan { time_chunks: 2, schedule: S::GPipe, ..base }),
        ("txl", Plan { zero: 2, ..base }),
        ("llama", Plan { zero: 3, recompute: true, ..base }),
        ("llama", Plan { zero: 3, schedule: S::BreadthFirst, chunks: 2, ..staged }),
        ("llama", Plan { schedule: S::ZeroBubbleV, chunks: 2, ..staged }),
        ("llama", Plan { schedule: S::Interleaved, chunks: 2, ..staged }),
        ("gpt", Plan { schedule: S::ZeroBubbleH2, ..staged }),
        ("gpt", Plan { tp: 2, ..staged }),
    ];
    for (name, plan) in cases {
        let (one, many) = (growing(&plan.single(), name), growing(&plan, name));
        let (one, many) = (run(&one, STEPS), run(&many, STEPS));
        let sizes: Vec<u64> = many.steps.iter().map(|step| step.sequences).collect();
        assert_eq!(sizes, [4, 8, 12], "{name} {plan:?}");
        for (a, b) in losses(&one).into_iter().zip(losses(&many)) {
            assert!((a - b).abs() < 1e-5 * a, "{name} {plan:?}: loss {a} {b}");
        }
        close(&state(one), &state(many), &format!("{name} {plan:?}"));
    }
}

/// In the middle of its growth a run goes on bit by bit, and under another plan within sums.
#[test]
fn a_growing_batch_goes_on() {
    for name in ["mlstm", "txl"] {
        let plan = Plan { dp: 2, micro_batches: 3, ..Plan::default() };
        let job = growing(&plan, name);
        let (whole, half) = (run(&job, 4), run(&job, 2));
        let half = half.checkpoint.unwrap();
        let end = run_threads(&job, 4, Some(&half), &quiet).unwrap();
        assert!(state(end) == state(whole.clone()), "{name}");
        let single = growing(&plan.single(), name);
        let end = run_threads(&single, 4, Some(&half), &quiet).unwrap();
        close(&state(end), &state(whole), name);
        let fixed = super::job(&plan, name);
        let error = run_threads(&fixed, 4, Some(&half), &quiet).unwrap_err().to_string();
        assert!(error.contains("batch grew: 4 to 12 sequences over 3 steps"), "{error}");
    }
}

#[test]
fn growth_that_leaves_replicas_idle_is_refused() {
    let Job { model, decision, batches, recipe, .. } =
        job(&Plan { dp: 2, micro_batches: 3, ..Plan::default() }, "gpt");
    let refuse = |from, to| {
        let ramp = Some(BatchRamp { from, to, steps: 9 });
        let recipe = crate::train::Recipe { ramp, ..recipe.clone() };
        let made = Job::new(model.clone(), decision.clone(), &facts(), batches.clone(), recipe);
        made.unwrap_err().to_string()
    };
    let message = refuse(6, 12);
    assert!(message.contains("from 6 sequences, with 2 replicas and micro-batches of 2"));
    assert!(message.contains("start with a multiple of replicas times micro-batch"), "{message}");
    assert!(refuse(4, 16).contains("let it grow to the plan's global batch"));
}
