//! Gradients of token tables on their way between replicas: some rows instead of the whole table.
//!
//! | exchange | what is sent |
//! |---|---|
//! | gather | one row per token: G·K·D |
//! | dedup-gather | one row per different token of a rank |
//! | unique | token ids, then one row per different token of all: G·K + U·D |
//!
//! Rows are summed in the order of the ranks, so that every exchange gives the bits of the dense
//! one (Patwary et al. 2018, arXiv:1810.10045).

use super::rank::Rank;
use crate::comm::{Call, Communicator, Elements, Fault, Problem, Reduction};
use crate::float::Float;
use crate::matrix::{Matrix, add};
use plan::exchange::Exchange;
use plan::program::{Action, Cause, Op, Purpose};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Rows on their way.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Token ids, rising.
    ids: Vec<u32>,
    values: Matrix<f32>,
    /// What came from each replica.
    gathered: Vec<Vec<u8>>,
}

/// Whether an operation moves rows of a table.
pub(super) fn moves_rows(op: Op) -> bool {
    matches!(
        op,
        Op::Deduplicate
            | Op::GatherIds
            | Op::AlignRows
            | Op::GatherRows
            | Op::ReduceRows
            | Op::RouteRows(_)
            | Op::AddRows
    )
}

fn encode(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

fn decode(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|raw| u32::from_le_bytes(*raw)).collect()
}

impl Rank<'_> {
    fn exchange_group(&self, call: &Call) -> Result<Arc<dyn Communicator>, Fault> {
        let group = self.links.with(Purpose::Exchange).cloned();
        group.ok_or_else(|| self.unsupported(call, "rows have nobody to go to"))
    }

    /// Place of the table in a block, and the width of its rows.
    fn table(&self, at: usize, call: &Call) -> Result<(Range<usize>, usize), Fault> {
        let block = &self.blocks[at];
        let shared = block.shared.iter().find(|shared| shared.purpose == Purpose::Exchange);
        let range = shared.map(|shared| shared.range.clone());
        let width = range.as_ref().and_then(|range| {
            let mut placed = block.stage.placed();
            placed.find(|(_, place)| place == range).map(|(parameter, _)| parameter.cols)
        });
        range.zip(width).ok_or_else(|| self.unsupported(call, "this block has no table of rows"))
    }

    /// Rows of a table that this rank's step touched, one entry per use.
    fn touched(&self, at: usize) -> Vec<u32> {
        let is_input = self.blocks[at].span.first == 0;
        let mut ids = Vec::new();
        for batch in self.now.batches.values() {
            if is_input {
                ids.extend_from_slice(&batch.inputs);
                continue;
            }
            ids.extend_from_slice(&batch.targets);
            ids.extend(batch.sample.iter().flat_map(|sample| &sample.words));
        }
        ids
    }

    /// The gradient rows of some tokens.
    fn gradient_rows(&mut self, at: usize, ids: &[u32], call: &Call) -> Result<Matrix<f32>, Fault> {
        let (range, width) = self.table(at, call)?;
        let block = &mut self.blocks[at];
        let elements = block.stage.elements();
        let table = &block.gradient.total(elements)[range];
        let mut rows = Matrix::zeros(ids.len(), width);
        for (row, &id) in ids.iter().enumerate() {
            rows.row_mut(row).copy_from_slice(&table[id as usize * width..][..width]);
        }
        Ok(rows)
    }

    /// Token ids of all replicas, one per token.
    pub(super) fn gather_ids(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let (at, group) = (self.block(action, call)?, self.exchange_group(call)?);
        let message = encode(&self.touched(at));
        let gathered = group.all_to_all(vec![message; group.size()], call)?;
        self.now.rows.entry(at).or_default().gathered = gathered;
        Ok(())
    }

    /// One row per different token of all replicas; zeros where this rank has none.
    pub(super) fn align_rows(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let at = self.block(action, call)?;
        let gathered = std::mem::take(&mut self.now.rows.entry(at).or_default().gathered);
        let all: BTreeSet<u32> = gathered.iter().flat_map(|bytes| decode(bytes)).collect();
        let ids: Vec<u32> = all.into_iter().collect();
        let (range, width) = self.table(at, call)?;
        if ids.last().is_some_and(|&last| (last as usize + 1) * width > range.len()) {
            return Err(self.unsupported(call, "a token came that is not in the table"));
        }
        let values = self.gradient_rows(at, &ids, call)?;
        self.now.rows.insert(at, Rows { ids, values, gathered: Vec::new() });
        Ok(())
    }

    pub(super) fn reduce_rows(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let (at, group) = (self.block(action, call)?, self.exchange_group(call)?);
        let (range, width) = self.table(at, call)?;
        let mut rows = self.now.rows.remove(&at).unwrap_or_default();
        group.all_reduce(Elements::F32(rows.values.data_mut()), Reduction::Sum, call)?;
        let block = &mut self.blocks[at];
        let elements = block.stage.elements();
        let table = &mut block.gradient.total(elements)[range];
        for (row, &id) in rows.ids.iter().enumerate() {
            table[id as usize * width..][..width].copy_from_slice(rows.values.row(row));
        }
        Ok(())
    }

    /// Rows of all replicas, with their ids.
    pub(super) fn gather_rows(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let (at, group) = (self.block(action, call)?, self.exchange_group(call)?);
        let all = self.touched(at);
        let different: BTreeSet<u32> = all.iter().copied().collect();
        let mut ids: Vec<u32> = different.into_iter().collect();
        let mut values = self.gradient_rows(at, &ids, call)?.into_vec();
        if action.cause == Cause::Exchange(Exchange::Gather) {
            // One row per token: repeated tokens are already added up in the first one's row, so
            // the rows of the others are zeros.
            let extra = all.len() - ids.len();
            let width = values.len() / ids.len().max(1);
            ids.extend(std::iter::repeat_n(ids.first().copied().unwrap_or(0), extra));
            values.resize(ids.len() * width, 0.0);
        }
        let mut message = encode(&ids);
        f32::write(&values, &mut message);
        let gathered = group.all_to_all(vec![message; group.size()], call)?;
        self.now.rows.entry(at).or_default().gathered = gathered;
        Ok(())
    }

    /// Sums gathered rows, those of lower ranks first.
    pub(super) fn add_rows(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let at = self.block(action, call)?;
        let (range, width) = self.table(at, call)?;
        let rows = self.now.rows.remove(&at).unwrap_or_default();
        let own = self.touched(at);
        let rank = self.place.rank;
        let block = &mut self.blocks[at];
        let elements = block.stage.elements();
        let table = &mut block.gradient.total(elements)[range];
        for id in own {
            table[id as usize * width..][..width].fill(0.0);
        }
        for (from, message) in (0..).zip(&rows.gathered) {
            let count = message.len() / (4 + 4 * width);
            let (ids, raw) = message.split_at(4 * count);
            let mut values = vec![0.0; count * width];
            f32::read(raw, &mut values);
            for (id, row) in decode(ids).into_iter().zip(values.chunks_exact(width)) {
                let Some(into) = table.get_mut(id as usize * width..(id as usize + 1) * width)
                else {
                    let what = "it names a token that is not in the table";
                    return Err(Fault::new(rank, call.task, Problem::Damaged { from, what }));
                };
                add(into, row);
            }
        }
        Ok(())
    }
}
