//! Training under many plans gives what a single rank gives.

mod apart;
mod bytes;
mod drawn;
mod faults;
mod plans;
mod ramp;
mod recorded;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::comm::{Tcp, Transport};
use crate::data::{Batches, Source, Tokens, Vocabulary};
use plan::exchange::Exchange;
use plan::schedule::ScheduleKind as S;
use plans::{Plan, job, job_with};
use std::sync::Arc;

const STEPS: u64 = 3;

fn quiet(_: &StepReport) {}

fn train(plan: &Plan, name: &str) -> Outcome {
    let job = job(plan, name);
    run_threads(&job, STEPS, None, &quiet).unwrap_or_else(|e| panic!("{name} {plan:?}: {e}"))
}

fn losses(outcome: &Outcome) -> Vec<f64> {
    outcome.steps.iter().map(|step| step.loss).collect()
}

fn state(outcome: Outcome) -> Checkpoint {
    outcome.checkpoint.unwrap()
}

/// Every element within rtol 1e-5 and atol 1e-6 of the other: sums over micro-batches in another
/// order.
fn close(a: &Checkpoint, b: &Checkpoint, what: &str) {
    within(a, b, what, 1e-6);
}

/// Every element within rtol 1e-5 and atol 4e-5 of the other: sums inside products in another
/// order. Adam divides gradients by their own size, so where one is rounding noise, so is the step.
fn near(a: &Checkpoint, b: &Checkpoint, what: &str) {
    within(a, b, what, 4e-5);
}

fn within(a: &Checkpoint, b: &Checkpoint, what: &str, least: f32) {
    assert_eq!(a.tensors.len(), b.tensors.len());
    for ((name, a), (_, b)) in a.tensors.iter().zip(&b.tensors) {
        for (x, y) in a.values.iter().zip(&b.values) {
            let most = least + 1e-5 * x.abs().max(y.abs());
            assert!((x - y).abs() <= most, "{what} {name} {x} {y}");
        }
    }
}

/// Trains under the plan and under one rank with the same micro-batches; bit by bit the same.
fn same_bits(name: &str, plan: &Plan) {
    let single = train(&plan.single(), name);
    let split = train(plan, name);
    assert_eq!(losses(&single), losses(&split), "{name} {plan:?}");
    assert!(state(single) == state(split), "{name} {plan:?}");
}

const TRAINED: [&str; 7] = ["mlstm", "lstm", "gpt", "rhn", "txl", "llama", "bert"];

#[test]
fn replicas_train_as_one_rank_with_accumulation() {
    for name in TRAINED {
        for dp in [2, 4] {
            same_bits(name, &Plan { dp, ..Plan::default() });
        }
    }
}

#[test]
fn zero_1_changes_no_bit() {
    for name in ["mlstm", "gpt", "mixture"] {
        for dp in [2, 3] {
            same_bits(name, &Plan { dp, zero: 1, ..Plan::default() });
        }
        let zero =
            |zero| state(train(&Plan { dp: 2, micro_batches: 2, zero, ..Plan::default() }, name));
        assert!(zero(0) == zero(1), "{name}");
    }
}

#[test]
fn zero_2_and_3_train_the_same() {
    for zero in [2, 3] {
        let plan = Plan { dp: 2, zero, ..Plan::default() };
        same_bits("mlstm", &plan);
        same_bits("llama", &plan);
        let several = Plan { micro_batches: 2, ..plan };
        let (a, b) = (train(&several, "llama"), train(&several.single(), "llama"));
        close(&state(a), &state(b), "llama");
    }
}

#[test]
fn every_exchange_of_rows_gives_the_bits_of_the_dense_one() {
    for name in ["mlstm", "sampled", "llama"] {
        for exchange in ROWS {
            let plan = Plan { dp: 3, exchange: Some(exchange), ..Plan::default() };
            same_bits(name, &plan);
            same_bits(name, &Plan { zero: 1, pp: 2, ..plan });
            same_bits(name, &Plan { zero: 3, ..plan });
        }
    }
}

const ROWS: [Exchange; 4] =
    [Exchange::Gather, Exchange::DedupGather, Exchange::Unique, Exchange::Sharded];

#[test]
fn rows_are_exchanged_beside_tensor_parallelism() {
    for (name, tp) in [("mlstm", 3), ("sampled", 3), ("llama", 2)] {
        for exchange in ROWS {
            let plan =
                Plan { dp: 2, tp, micro_batches: 2, exchange: Some(exchange), ..Plan::default() };
            let (a, b) = (train(&plan, name), train(&plan.single(), name));
            close(&state(a), &state(b), &format!("{name} {plan:?}"));
        }
    }
}

/// Rows in half precision: 11 bits of each, so losses that differ in the fourth digit at most.
#[test]
fn rows_in_half_precision_train_nearly_the_same() {
    for name in ["mlstm", "sampled", "llama"] {
        for exchange in ROWS {
            let plan = Plan { dp: 3, exchange: Some(exchange), wire_bytes: 2, ..Plan::default() };
            let (whole, half) = (train(&plan.single(), name), train(&plan, name));
            for (a, b) in losses(&whole).into_iter().zip(losses(&half)) {
                assert!((a - b).abs() < 1e-3 * a, "{name} {exchange}: {a} {b}");
            }
            assert!(state(whole) != state(half), "{name} {exchange}: nothing was rounded");
        }
    }
}

/// Weights, activations and messages in bfloat16: 8 bits of each, so losses that differ by less
/// than 1 %; and every plan still gives the bits of one rank.
#[test]
fn bfloat16_trains_nearly_the_same_under_every_plan() {
    let rounded = Plan { is_rounded: true, ..Plan::default() };
    for name in ["mlstm", "llama", "lstm", "mixture"] {
        let (single, whole) = (train(&Plan::default(), name), train(&rounded, name));
        for (a, b) in losses(&single).into_iter().zip(losses(&whole)) {
            assert!((a - b).abs() < 1e-2 * a, "{name}: {a} {b}");
        }
        assert!(state(single) != state(whole), "{name}: nothing was rounded");
        for zero in [0, 1, 3] {
            same_bits(
                name,
                &Plan { dp: 2, zero: if name == "lstm" { 1 } else { zero }, ..rounded },
            );
        }
        if name != "lstm" {
            let schedule = S::ZeroBubbleH1;
            same_bits(name, &Plan { pp: 2, micro_batches: 2, schedule, ..rounded });
            same_bits(name, &Plan { pp: 2, recompute: true, ..rounded });
        }
    }
    let first = job(&Plan { dp: 2, zero: 1, ..rounded }, "llama");
    let half = run_threads(&first, 1, None, &quiet).unwrap();
    let end = run_threads(&first, STEPS, half.checkpoint.as_ref(), &quiet).unwrap();
    assert!(state(end) == state(run_threads(&first, STEPS, None, &quiet).unwrap()));
}

#[test]
fn states_of_a_table_that_two_stages_hold_are_sharded() {
    for name in ["gpt", "lstm"] {
        for zero in [1, 2, 3] {
            let plan = Plan { dp: 2, pp: 2, micro_batches: 2, zero, ..Plan::default() };
            let (a, b) = (train(&plan, name), train(&plan.single(), name));
            close(&state(a), &state(b), &format!("{name} {plan:?}"));
        }
    }
}

#[test]
fn stages_change_no_bit() {
    for name in ["mlstm", "lstm", "rhn", "llama", "mixture", "txl"] {
        let is_tied = matches!(name, "lstm" | "txl");
        for schedule in [S::GPipe, S::OneForwardOneBackward, S::ZeroBubbleH1] {
            let plan = Plan { pp: 2, micro_batches: 4, schedule, ..Plan::default() };
            if is_tied {
                let (a, b) = (train(&plan, name), train(&plan.single(), name));
                close(&state(a), &state(b), name);
            } else {
                same_bits(name, &plan);
            }
        }
    }
}

#[test]
fn chunks_and_replicas_of_stages_change_no_bit() {
    let plan = Plan { pp: 2, chunks: 2, micro_batches: 4, ..Plan::default() };
    for schedule in [S::Interleaved, S::BreadthFirst, S::ZeroBubbleV] {
        same_bits("llama", &Plan { schedule, ..plan });
    }
    let both = Plan { pp: 2, dp: 2, ..Plan::default() };
    same_bits("mlstm", &both);
    same_bits("llama", &Plan { zero: 1, recompute: true, ..both });
}

#[test]
fn recompute_changes_no_bit() {
    for name in ["mlstm", "gpt"] {
        same_bits(name, &Plan { recompute: true, micro_batches: 2, ..Plan::default() });
    }
}

#[test]
fn pieces_along_time_train_the_same() {
    for name in ["mlstm", "lstm", "rhn"] {
        let plan = Plan { time_chunks: 2, schedule: S::GPipe, ..Plan::default() };
        let (a, b) = (train(&plan, name), train(&Plan::default(), name));
        close(&state(a), &state(b), name);
        if name != "lstm" {
            same_bits(name, &Plan { pp: 2, ..plan });
        }
    }
}

#[test]
fn tensor_parallel_trains_the_same() {
    let halved = ["gpt", "llama", "bert", "experts"].map(|name| (name, 2));
    let thirds = ["lstm", "sampled", "mlstm", "rhn"].map(|name| (name, 3));
    for (name, tp) in halved.into_iter().chain(thirds) {
        for plan in [
            Plan { tp, ..Plan::default() },
            Plan { tp, dp: 2, zero: 1, ..Plan::default() },
            Plan { tp, pp: 2, micro_batches: 2, ..Plan::default() },
        ] {
            let (a, b) = (train(&plan, name), train(&plan.single(), name));
            close(&state(a), &state(b), &format!("{name} {plan:?}"));
        }
    }
}

fn same_within_tolerance(name: &str, plan: &Plan) {
    let (a, b) = (train(plan, name), train(&plan.single(), name));
    for (a, b) in losses(&a).into_iter().zip(losses(&b)) {
        assert!((a - b).abs() < 1e-5 * b, "{name} {plan:?}: loss {a} {b}");
    }
    near(&state(a), &state(b), &format!("{name} {plan:?}"));
}

#[test]
fn sequence_parallel_trains_the_same() {
    let plan = Plan { tp: 2, sequence_parallel: true, recompute: true, ..Plan::default() };
    for name in ["gpt", "llama", "bert", "experts", "txl"] {
        same_within_tolerance(name, &plan);
        same_within_tolerance(name, &Plan { dp: 2, zero: 2, ..plan });
        same_within_tolerance(name, &Plan { pp: 2, micro_batches: 2, ..plan });
    }
}

#[test]
fn context_parallel_trains_the_same() {
    for name in ["gpt", "llama", "bert"] {
        // BERT predicts two positions of a sequence.
        for cp in [2, if name == "bert" { 2 } else { 4 }] {
            same_within_tolerance(name, &Plan { cp, ..Plan::default() });
        }
        let plan = Plan { cp: 2, tp: 2, ..Plan::default() };
        same_within_tolerance(name, &Plan { dp: 2, zero: 1, ..plan });
        same_within_tolerance(name, &Plan { sequence_parallel: true, ..plan });
        same_within_tolerance(name, &Plan { cp: 2, pp: 2, micro_batches: 2, ..Plan::default() });
    }
}

#[test]
fn expert_parallel_trains_the_same() {
    same_within_tolerance("mixture", &Plan { dp: 3, ep: 3, ..Plan::default() });
    let plan = Plan { dp: 2, ep: 2, ..Plan::default() };
    same_within_tolerance("experts", &plan);
    same_within_tolerance("experts", &Plan { dp: 4, zero: 1, micro_batches: 2, ..plan });
    same_within_tolerance("experts", &Plan { dp: 4, zero: 3, ..plan });
    same_within_tolerance("experts", &Plan { tp: 2, pp: 2, micro_batches: 2, ..plan });
    same_within_tolerance("experts", &Plan { tp: 2, sequence_parallel: true, ..plan });
}

#[test]
fn processes_train_as_threads_do() {
    let plan = Plan { dp: 2, pp: 2, ..Plan::default() };
    let job = job(&plan, "mlstm");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let meeting = listener.local_addr().unwrap().to_string();
    drop(listener);
    let one = |rank: u32| {
        let (ranks, digest) = (4, job.digest());
        let limit = job.recipe.limit;
        let endpoint =
            crate::comm::Endpoint { rank, ranks, meeting: meeting.clone(), digest, limit };
        let tcp = Tcp::connect(&endpoint, Links::queues(&job.program, rank)).unwrap();
        let transport: Arc<dyn Transport> = Arc::new(tcp);
        run_rank(&job, &transport, STEPS, None, &quiet).unwrap()
    };
    let over_tcp = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..4).map(|rank| scope.spawn(move || one(rank))).collect();
        let ends: Vec<_> = handles.into_iter().map(|h| h.join().unwrap()).collect();
        ends.into_iter().next().unwrap()
    });
    assert!(state(over_tcp) == state(train(&plan, "mlstm")));
}

#[test]
fn a_run_goes_on_under_another_plan() {
    for name in ["mlstm", "llama", "txl"] {
        let whole = train(&Plan { micro_batches: 4, ..Plan::default() }, name);
        let first = job(&Plan { dp: 2, zero: 1, micro_batches: 2, ..Plan::default() }, name);
        let half = run_threads(&first, 2, None, &quiet).unwrap();
        let second = job(&Plan { micro_batches: 4, ..Plan::default() }, name);
        let end = run_threads(&second, STEPS, half.checkpoint.as_ref(), &quiet).unwrap();
        close(&state(whole), &state(end), name);
        let same = job(&Plan { dp: 4, ..Plan::default() }, name);
        let whole = run_threads(&same, STEPS, None, &quiet).unwrap();
        let half = run_threads(&same, 1, None, &quiet).unwrap();
        let end = run_threads(&same, STEPS, half.checkpoint.as_ref(), &quiet).unwrap();
        assert!(state(whole) == state(end), "{name}");
    }
}

/// Words of a file that is read window by window, twice as long as the buffer: the same bits as
/// from memory, also where the run goes on from its second step.
#[test]
fn a_streamed_text_trains_as_one_in_memory() {
    let text = std::fs::read(plans::TEXT).unwrap();
    let vocabulary = Vocabulary::build(Tokens::Words, &text, 3000).unwrap();
    let held = Source::Memory(Arc::new(vocabulary.encode(&text).unwrap()));
    let path = std::path::Path::new(plans::TEXT);
    let streamed = Source::text_of(path, Tokens::Words, 3000).unwrap();
    let different = plan::program::DifferentTokens { own: 20.0, all: 60.0 };
    let job = |source| {
        let batches = Batches::new(source, 8, 12, 1).unwrap();
        plans::word_job(&batches, (2, 12), different)
    };
    let (held, streamed) = (job(held), job(streamed));
    let whole = run_threads(&held, STEPS, None, &quiet).unwrap();
    let half = run_threads(&streamed, 2, None, &quiet).unwrap();
    let end = run_threads(&streamed, STEPS, half.checkpoint.as_ref(), &quiet).unwrap();
    assert!(state(end) == state(whole));
}

#[test]
fn a_small_model_learns_the_text() {
    for name in ["mlstm", "gpt", "sampled"] {
        let job = job_with(&Plan::default(), name, 0.02);
        let outcome = run_threads(&job, 60, None, &quiet).unwrap();
        let losses = losses(&outcome);
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        let (early, late) = (mean(&losses[..10]), mean(&losses[50..]));
        assert!(late < early - 0.03, "{name}: {early} {late}");
    }
}

#[test]
fn what_does_not_fit_is_refused_before_anything_runs() {
    let good = job(&Plan::default(), "gpt");
    let facts = plans::facts();
    let refuse = |decision, batches| {
        let made = Job::new(good.model.clone(), decision, &facts, batches, good.recipe.clone());
        made.unwrap_err().to_string()
    };
    let mut decision = good.decision.clone();
    decision.batch.global_sequences = 3;
    let message = refuse(decision, good.batches.clone());
    assert!(message.contains("2 sequences in micro-batches of 3 per step"), "{message}");
    let mut longer = good.batches.clone();
    longer.length = 5;
    let message = refuse(good.decision.clone(), longer);
    assert!(message.contains("2 sequences of 5 tokens"), "{message}");
    let strange = Source::Memory(Arc::new(vec![0, 6, 1, 2, 3, 4, 5, 0, 1, 2]));
    let strange = Batches::new(strange, 2, 4, 0).unwrap();
    let message = refuse(good.decision.clone(), strange);
    assert!(message.contains("token 6; the model's vocabulary ends at 6"), "{message}");
    let mut decision = good.decision.clone();
    decision.degrees.cp = 3;
    decision.world_size = 3;
    let message = refuse(decision, good.batches.clone());
    assert!(message.contains("4 tokens over 3 ranks"), "{message}");
}
