//! The embedding exchange: wire bytes, buffers and work of its five members.
//!
//! Letters: `G` ranks, `K` tokens per rank, `D` width, `V` vocabulary, `b` bytes per element on the
//! wire, `U` different tokens among `G·K`, `U₁` among `K`, 4 bytes per token id.
//!
//! | member | wire bytes per rank | buffer |
//! |---|---|---|
//! | gather | `(G−1)·K·(D·b + 4)` | `G·K·(D·b + 4)` |
//! | dedup-gather | `(G−1)·U₁·(D·b + 4)` | `G·U₁·(D·b + 4)` |
//! | unique | `(G−1)·K·4 + 2(G−1)/G·U·D·b` | `G·K·4 + U·D·b` |
//! | dense | `2(G−1)/G·V·D·b` | `V·D·b` |
//! | sharded | `(G−1)/G·K·(2·D·b + 4)` | `K·(2·D·b + 4)` |
//!
//! The first three and their crossovers are the subject of Patwary et al. 2018 (arXiv:1810.10045):
//! gather needs Θ(GKD) memory and traffic, unique Θ(GK + UD). Dense wins where nearly every row is
//! touched anyway, as with bytes or characters. Sharded also moves the forward activations, because
//! a rank holds only part of the table; skewed token frequencies load its owners unevenly, which
//! is not modelled.
//!
//! A table that is tied to a full softmax has a dense gradient: only dense and sharded apply.

use crate::collective;
use plan::exchange::{Exchange, SamplingSeeds};
use plan::units::Bytes;
use plan::work::{Collective, CollectiveOp, Group, Work};

/// Bytes of a token id.
const ID: f64 = 4.0;

/// Memory traffic to sort one id and drop its duplicates.
///
/// An assumption: a radix sort of 32-bit keys reads and writes 8 bytes in each of two to four
/// passes. It decides nothing, as `sorting_is_cheap_beside_the_wire` checks.
const SORT: f64 = 20.0;

/// An embedding table and the tokens of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Table {
    /// Data-parallel ranks that exchange.
    pub group: Group,
    /// Tokens per rank.
    pub tokens: u64,
    /// Width of a row.
    pub width: u64,
    /// Rows.
    pub vocabulary: u64,
    /// Bytes per gradient element on the wire.
    pub wire: u64,
    /// Different tokens among those of all ranks.
    pub unique_all: f64,
    /// Different tokens among those of one rank.
    pub unique_own: f64,
}

impl Table {
    /// A table with the vocabulary law of its corpus: `unique(n)` different tokens among `n`.
    ///
    /// The law is cut off by the vocabulary and by the number of tokens.
    pub fn new(
        group: Group,
        tokens: u64,
        width: u64,
        vocabulary: u64,
        wire: u64,
        unique: impl Fn(f64) -> f64,
    ) -> Self {
        let within = |n: f64| unique(n).clamp(0.0, n).min(vocabulary as f64);
        let own = tokens as f64;
        let (all, own) = (within(own * f64::from(group.size.max(1))), within(own));
        let (unique_all, unique_own) = (all.max(own), own);
        Self { group, tokens, width, vocabulary, wire, unique_all, unique_own }
    }

    fn row(&self) -> f64 {
        self.width as f64 * self.wire as f64
    }

    fn ranks(&self) -> f64 {
        f64::from(self.group.size.max(1))
    }
}

/// Members that apply: all, or those that keep a dense gradient where the table is tied to a full
/// softmax, which touches every row.
///
/// Source: the duplicate sparse and dense gradients of tied tables in NVIDIA/OpenSeq2Seq issue 244.
/// Checked by `tied_tables_have_dense_gradients`.
#[must_use]
pub fn members(tied_to_full_softmax: bool) -> &'static [Exchange] {
    match tied_to_full_softmax {
        true => &[Exchange::Dense, Exchange::Sharded],
        false => &Exchange::ALL,
    }
}

/// Bytes one rank sends: the table at the head of the [module](self).
///
/// Equal to the sum over the collectives of [`work`]. Checked by
/// `word_model_traffic_matches_its_published_form` and `work_sends_what_the_closed_form_says`.
#[must_use]
pub fn wire_bytes(exchange: Exchange, table: &Table) -> Bytes {
    let (others, row, tokens) = (table.ranks() - 1.0, table.row(), table.tokens as f64);
    let share = others / table.ranks();
    Bytes::new(match exchange {
        Exchange::Gather => others * tokens * (row + ID),
        Exchange::DedupGather => others * table.unique_own * (row + ID),
        Exchange::Unique => others * tokens * ID + 2.0 * share * table.unique_all * row,
        Exchange::Dense => 2.0 * share * table.vocabulary as f64 * row,
        Exchange::Sharded => share * tokens * (2.0 * row + ID),
    })
}

/// Bytes one rank holds for the exchange: the table at the head of the [module](self).
///
/// Without the workspace of sorting, `16·G·K` at most, which is gone before the rows arrive.
/// Checked by `buffers_by_hand`.
#[must_use]
pub fn buffer_bytes(exchange: Exchange, table: &Table) -> Bytes {
    let (ranks, row, tokens) = (table.ranks(), table.row(), table.tokens as f64);
    Bytes::new(match exchange {
        Exchange::Gather => ranks * tokens * (row + ID),
        Exchange::DedupGather => ranks * table.unique_own * (row + ID),
        Exchange::Unique => ranks * tokens * ID + table.unique_all * row,
        Exchange::Dense => table.vocabulary as f64 * row,
        Exchange::Sharded => tokens * (2.0 * row + ID),
    })
}

/// What one rank does: collectives, and the memory traffic of sorting and adding rows.
///
/// Adding a row reads it, reads its sum and writes the sum: three times its bytes. Checked by
/// `work_sends_what_the_closed_form_says`.
#[must_use]
pub fn work(exchange: Exchange, table: &Table) -> Vec<Work> {
    let (ranks, row, tokens) = (table.ranks(), table.row(), table.tokens as f64);
    let (all, own) = (table.unique_all, table.unique_own);
    let (gather, reduce) = (CollectiveOp::AllGather, CollectiveOp::AllReduce);
    let over = |op, bytes| collective_work(op, bytes, table.group);
    match exchange {
        Exchange::Gather => {
            vec![over(gather, ranks * tokens * (row + ID)), add_rows(ranks * tokens, row)]
        }
        Exchange::DedupGather => vec![
            sort(tokens),
            add_rows(tokens, row),
            over(gather, ranks * own * (row + ID)),
            add_rows(ranks * own, row),
        ],
        Exchange::Unique => vec![
            sort(tokens),
            add_rows(tokens, row),
            over(gather, ranks * tokens * ID),
            sort(ranks * tokens),
            Work::Traffic(Bytes::new(all * row + 2.0 * own * row)),
            over(reduce, all * row),
        ],
        Exchange::Dense => vec![
            Work::Traffic(Bytes::new(table.vocabulary as f64 * row)),
            add_rows(tokens, row),
            over(reduce, table.vocabulary as f64 * row),
        ],
        Exchange::Sharded => vec![
            over(CollectiveOp::AllToAll, tokens * ID),
            over(CollectiveOp::AllToAll, tokens * row),
            over(CollectiveOp::AllToAll, tokens * row),
            add_rows(tokens, row),
        ],
    }
}

fn collective_work(op: CollectiveOp, bytes: f64, group: Group) -> Work {
    Work::Collective(Collective { op, bytes: Bytes::new(bytes), group })
}

fn add_rows(rows: f64, row: f64) -> Work {
    Work::Traffic(Bytes::new(3.0 * rows * row))
}

fn sort(ids: f64) -> Work {
    Work::Traffic(Bytes::new(SORT * ids))
}

/// Rows of the output table that a sampled softmax touches: every seed draws `sampled` words, and
/// the targets of all ranks come on top; never more than the vocabulary.
///
/// An upper bound: draws of different seeds may repeat. Source: Patwary et al. 2018
/// (arXiv:1810.10045). Checked by `seeds_bound_the_touched_rows`.
#[must_use]
pub fn sampled_rows(seeds: SamplingSeeds, sampled: u64, table: &Table) -> f64 {
    let drawn = f64::from(seeds.count(table.group.size)) * sampled as f64;
    (drawn + table.unique_all).min(table.vocabulary as f64)
}

/// Sum of the bytes that the collectives of a list send.
#[must_use]
pub fn bytes_sent(work: &[Work]) -> Bytes {
    work.iter()
        .map(|item| match item {
            Work::Collective(item) => collective::wire_bytes(item),
            _ => Bytes::ZERO,
        })
        .sum()
}

#[cfg(test)]
mod tests;
