//! What ranks send is what closed forms say.

use super::plans::{self, Plan, job};
use crate::comm::part;
use crate::data::{Batches, Slice, Source, Tokens, Vocabulary};
use crate::train::{Job, run_threads};
use plan::exchange::Exchange;
use plan::program::{DifferentTokens, Purpose, Traffic};
use std::collections::BTreeSet;
use std::sync::Arc;

const G: usize = 3;

/// Bytes that rank 0 sends on communicators of a purpose in one step.
fn sent(job: &Job, purpose: Purpose) -> usize {
    let outcome = run_threads(job, 1, None, &super::quiet).unwrap();
    let ledgers = outcome.ledgers.iter().filter(|(p, _)| *p == purpose);
    ledgers.map(|(_, ledger)| ledger.sent as usize).sum()
}

/// Bytes that member 0 sends to reduce-scatter, and to gather, so many numbers.
fn halves(numbers: usize) -> (usize, usize) {
    let own = part(numbers, G, 0).len();
    (4 * (numbers - own), 4 * own * (G - 1))
}

fn plan(exchange: Exchange) -> Plan {
    Plan { dp: G as u32, exchange: Some(exchange), ..Plan::default() }
}

/// The tiny mLSTM has rows of 2 numbers; each of 3 ranks has 2 sequences of 4 tokens: K = 8.
const K: usize = 8;
const D: usize = 2;

#[test]
fn gather_sends_gkd_and_unique_gk_and_ud() {
    let gather = sent(&job(&plan(Exchange::Gather), "mlstm"), Purpose::Exchange);
    assert_eq!(gather, (G - 1) * K * (4 * D + 4));
    let unique = job(&plan(Exchange::Unique), "mlstm");
    let slice = Slice { step: 0, sequences: 0..6, piece: (0, 1), loss_scale: 1.0, draw: 0 };
    let tokens = unique.batches.micro_batch(&slice).unwrap().inputs;
    let different = tokens.into_iter().collect::<BTreeSet<u32>>().len();
    let (scatter, collect) = halves(different * D);
    assert_eq!(sent(&unique, Purpose::Exchange), (G - 1) * K * 4 + scatter + collect);
}

/// The tiny mLSTM has blocks of 6·2 (table), 2·3 + 3·3 + 2·12 + 3·12 + 12 + 3 + 3 + 12 + 12 = 117,
/// and 6 + 6·3 = 24 parameters.
#[test]
fn an_all_reduce_of_gradients_is_a_ring_per_block() {
    let per_block = |numbers| {
        let (scatter, collect) = halves(numbers);
        scatter + collect
    };
    let dense = job(&plan(Exchange::Dense), "mlstm");
    let expected: usize = [12, 117, 24].into_iter().map(per_block).sum();
    assert_eq!(sent(&dense, Purpose::Replicas), expected);
    let sharded = job(&Plan { zero: 1, ..plan(Exchange::Dense) }, "mlstm");
    assert_eq!(sent(&sharded, Purpose::Replicas), expected);
}

/// An LSTM of words on real text at 4 ranks: what the unique exchange sends is `Θ(GK + UD)` — ids
/// of
/// all tokens to everyone, and a ring of one row per different word — within 2 % of the program's
/// expectation, which knows of the text only how many different words a step has on average.
#[test]
fn words_of_a_text_are_exchanged_as_predicted() {
    const G: f64 = 4.0;
    const STEPS: u64 = 6;
    let (sequences, length, width) = (2u64, 50usize, 16.0);
    let text = std::fs::read(plans::TEXT).unwrap();
    let vocabulary = Vocabulary::build(Tokens::Words, &text, 3000).unwrap();
    let source = Source::Memory(Arc::new(vocabulary.encode(&text).unwrap()));
    let all = sequences * G as u64;
    let batches = Batches::new(source, all, length, 1).unwrap();
    let different = |step: u64, sequences: std::ops::Range<u64>| {
        let slice = Slice { step, sequences, piece: (0, 1), loss_scale: 1.0, draw: 0 };
        let words = batches.micro_batch(&slice).unwrap().inputs;
        words.into_iter().collect::<BTreeSet<u32>>().len() as f64
    };
    let mean = |of: &dyn Fn(u64) -> f64| (0..40).map(of).sum::<f64>() / 40.0;
    let counted = DifferentTokens {
        own: mean(&|step| different(step, 0..sequences)),
        all: mean(&|step| different(step, 0..all)),
    };
    let job = plans::word_job(&batches, (sequences, length), counted);
    let outcome = run_threads(&job, STEPS, None, &super::quiet).unwrap();
    let ledgers = outcome.ledgers.iter().filter(|(p, _)| *p == Purpose::Exchange);
    let sent = ledgers.map(|(_, ledger)| ledger.sent as f64).sum::<f64>() / STEPS as f64;
    let k = sequences as f64 * length as f64;
    let by_hand = (G - 1.0) * k * 4.0 + 2.0 * (G - 1.0) / G * counted.all * width * 4.0;
    let entry = job.program.classes[0].ledger.iter();
    let expected: f64 = entry
        .filter(|entry| entry.traffic == Traffic::Group(Purpose::Exchange))
        .map(|entry| entry.bytes.get())
        .sum();
    assert!((expected / by_hand - 1.0).abs() < 1e-9, "{expected} {by_hand}");
    assert!((sent / expected - 1.0).abs() < 0.02, "sent {sent}, expected {expected}");
}
