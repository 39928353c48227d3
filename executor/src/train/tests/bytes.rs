//! What ranks send is what closed forms say.

use super::plans::{Plan, job};
use crate::comm::part;
use crate::data::Slice;
use crate::train::{Job, run_threads};
use plan::exchange::Exchange;
use plan::program::Purpose;
use std::collections::BTreeSet;

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
