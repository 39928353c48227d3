//! Gradients of token tables on their way between replicas: some rows instead of the whole table.
//!
//! | exchange | what is sent |
//! |---|---|
//! | gather | one row per token: G·K·D |
//! | dedup-gather | one row per different token of a rank |
//! | unique | token ids, then one row per different token of all: G·K + U·D |
//! | sharded | ids to the rows' owners, rows back; gradients of rows to their owners: see `routes`
//! |
//!
//! Rows are summed in the order of the ranks, so that every exchange gives the bits of the dense
//! one (Patwary et al. 2018, arXiv:1810.10045) — unless numbers travel in half precision. Rows are
//! named by their place in what is held of the table: ranks of the group hold the same words.

use super::rank::Rank;
use super::wire::Wire;
use crate::comm::{Call, Communicator, Elements, Fault, Problem, Reduction, part};
use crate::matrix::{Matrix, add};
use crate::model::{Cut, MicroBatch};
use crate::ops::embedding::held;
use plan::exchange::Exchange;
use plan::program::{Action, Cause, Op, Purpose};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Rows on their way.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Rows of the table, rising.
    ids: Vec<u32>,
    values: Matrix<f32>,
    /// What came from each replica.
    pub gathered: Vec<Vec<u8>>,
}

/// A table whose gradient travels as rows.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Its place among what a block shares.
    pub shared: usize,
    /// Its elements in the block.
    pub range: Range<usize>,
    pub width: usize,
    /// The word of the first row that is held, and how many are.
    pub first: u32,
    pub rows: usize,
}

impl Table {
    /// Elements of a row in the block.
    pub fn row(&self, id: u32) -> Option<Range<usize>> {
        let start = self.range.start + id as usize * self.width;
        ((id as usize) < self.rows).then_some(start..start + self.width)
    }

    /// Elements of a row in the table alone.
    pub fn place(&self, id: u32) -> Option<Range<usize>> {
        let start = id as usize * self.width;
        ((id as usize) < self.rows).then_some(start..start + self.width)
    }
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

pub(super) fn encode(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

/// Ids of a message; `None` where it is cut.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<u32>> {
    let (ids, rest) = bytes.as_chunks();
    rest.is_empty().then(|| ids.iter().map(|raw| u32::from_le_bytes(*raw)).collect())
}

const NOT_THERE: &str = "it names a token that is not in the table";

impl Rank<'_> {
    pub(super) fn exchange_group(&self, call: &Call) -> Result<Arc<dyn Communicator>, Fault> {
        let group = self.links.with(Purpose::Exchange).cloned();
        group.ok_or_else(|| self.unsupported(call, "rows have nobody to go to"))
    }

    pub(super) fn damaged(&self, call: &Call, from: usize, what: &'static str) -> Fault {
        let group = self.links.with(Purpose::Exchange);
        let from = group.map_or(from as u32, |group| group.rank(from));
        self.fault(call, Problem::Damaged { from, what })
    }

    /// Ids that members sent.
    pub(super) fn ids(&self, came: &[Vec<u8>], call: &Call) -> Result<Vec<Vec<u32>>, Fault> {
        let one = |(from, bytes): (usize, &Vec<u8>)| {
            decode(bytes).ok_or_else(|| self.damaged(call, from, "it is no list of tokens"))
        };
        came.iter().enumerate().map(one).collect()
    }

    /// How numbers of rows travel.
    pub(super) fn wire(&self) -> Wire {
        let bytes = self.job.decision.embedding.map_or(4, |e| e.wire_bytes);
        if bytes == 2 { Wire::Half } else { Wire::Single }
    }

    /// The table of a block.
    pub(super) fn table(&self, at: usize, call: &Call) -> Result<Table, Fault> {
        let block = &self.blocks[at];
        let shared = block.shared.iter().position(|shared| shared.purpose == Purpose::Exchange);
        let found = shared.and_then(|shared| {
            let range = block.shared[shared].range.clone();
            let parameter = block.stage.placed().find(|(_, place)| *place == range)?.0;
            let (rows, width) = parameter.held();
            let first = if let Cut::Rows(rows) = &parameter.cut { rows.start as u32 } else { 0 };
            Some(Table { shared, range, width, first, rows })
        });
        found.ok_or_else(|| self.unsupported(call, "this block has no table of rows"))
    }

    /// Rows of a table that a micro-batch touches, one entry per use.
    pub(super) fn touched_by(&self, at: usize, table: &Table, batch: &MicroBatch) -> Vec<u32> {
        let sample = batch.sample.iter().flat_map(|sample| &sample.words);
        let outputs = batch.targets.iter().chain(sample);
        let is_input = self.blocks[at].span.first == 0;
        let words: Vec<u32> =
            if is_input { batch.inputs.clone() } else { outputs.copied().collect() };
        let local = |word| held(word, table.first, table.rows).map(|row| row as u32);
        words.into_iter().filter_map(local).collect()
    }

    /// Rows of a table that this rank's step touched, one entry per use.
    fn touched(&self, at: usize, table: &Table) -> Vec<u32> {
        let batches = self.now.batches.values();
        batches.flat_map(|batch| self.touched_by(at, table, batch)).collect()
    }

    /// The gradient of some rows.
    fn gradient_rows(&mut self, at: usize, table: &Table, ids: &[u32]) -> Matrix<f32> {
        let gradient = self.blocks[at].table_gradient(table.shared);
        let mut rows = Matrix::zeros(ids.len(), table.width);
        for (row, &id) in ids.iter().enumerate() {
            if let Some(place) = table.place(id) {
                rows.row_mut(row).copy_from_slice(&gradient[place]);
            }
        }
        rows
    }

    /// Rows that all replicas touched, one entry per use.
    pub(super) fn gather_ids(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let (at, group) = (self.block(action, call)?, self.exchange_group(call)?);
        let table = self.table(at, call)?;
        let message = encode(&self.touched(at, &table));
        let gathered = group.all_to_all(vec![message; group.size()], call)?;
        self.now.rows.entry(at).or_default().gathered = gathered;
        Ok(())
    }

    /// One row per different token of all replicas; zeros where this rank has none.
    pub(super) fn align_rows(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let at = self.block(action, call)?;
        let gathered = std::mem::take(&mut self.now.rows.entry(at).or_default().gathered);
        let table = self.table(at, call)?;
        let mut all = BTreeSet::new();
        for (from, ids) in self.ids(&gathered, call)?.into_iter().enumerate() {
            if ids.iter().any(|&id| table.place(id).is_none()) {
                return Err(self.damaged(call, from, NOT_THERE));
            }
            all.extend(ids);
        }
        let ids: Vec<u32> = all.into_iter().collect();
        let values = self.gradient_rows(at, &table, &ids);
        self.now.rows.insert(at, Rows { ids, values, gathered: Vec::new() });
        Ok(())
    }

    pub(super) fn reduce_rows(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let (at, group) = (self.block(action, call)?, self.exchange_group(call)?);
        let table = self.table(at, call)?;
        let mut rows = self.now.rows.remove(&at).unwrap_or_default();
        match self.wire() {
            Wire::Single => {
                let values = Elements::F32(rows.values.data_mut());
                group.all_reduce(values, Reduction::Sum, call)?;
            }
            Wire::Half => self.reduce_halves(group.as_ref(), rows.values.data_mut(), call)?,
        }
        let gradient = self.blocks[at].table_gradient(table.shared);
        for (row, &id) in rows.ids.iter().enumerate() {
            if let Some(place) = table.place(id) {
                gradient[place].copy_from_slice(rows.values.row(row));
            }
        }
        Ok(())
    }

    /// An all-reduce whose numbers travel in half precision and are added in single precision, in
    /// the order of the ranks. Every rank gets the same rounded sums.
    fn reduce_halves(
        &self,
        group: &dyn Communicator,
        values: &mut [f32],
        call: &Call,
    ) -> Result<(), Fault> {
        let (n, wire) = (group.size(), Wire::Half);
        let piece = |i: usize| wire.encode(&values[part(values.len(), n, i)]);
        let came = group.all_to_all((0..n).map(piece).collect(), call)?;
        let own = part(values.len(), n, group.place());
        let (mut sum, mut addend) = (vec![0.0; own.len()], vec![0.0; own.len()]);
        for (from, message) in came.iter().enumerate() {
            if !wire.read(message, &mut addend) {
                return Err(self.damaged(call, from, "it is no part of the rows"));
            }
            add(&mut sum, &addend);
        }
        let came = group.all_to_all(vec![wire.encode(&sum); n], call)?;
        for (from, message) in came.iter().enumerate() {
            let place = part(values.len(), n, from);
            if !wire.read(message, &mut values[place]) {
                return Err(self.damaged(call, from, "it is no part of the rows"));
            }
        }
        Ok(())
    }

    /// Rows of all replicas, with their ids.
    pub(super) fn gather_rows(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let (at, group) = (self.block(action, call)?, self.exchange_group(call)?);
        let table = self.table(at, call)?;
        let all = self.touched(at, &table);
        let different: BTreeSet<u32> = all.iter().copied().collect();
        let mut ids: Vec<u32> = different.into_iter().collect();
        let mut values = self.gradient_rows(at, &table, &ids).into_vec();
        if action.cause == Cause::Exchange(Exchange::Gather) {
            // One row per token: repeated tokens are already added up in the first one's row, so
            // the rows of the others are zeros.
            let extra = all.len() - ids.len();
            ids.extend(std::iter::repeat_n(ids.first().copied().unwrap_or(0), extra));
            values.resize(ids.len() * table.width, 0.0);
        }
        let mut message = encode(&ids);
        self.wire().write(&values, &mut message);
        let gathered = group.all_to_all(vec![message; group.size()], call)?;
        self.now.rows.entry(at).or_default().gathered = gathered;
        Ok(())
    }

    /// Sums gathered rows, those of lower ranks first.
    pub(super) fn add_rows(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let at = self.block(action, call)?;
        if self.tables.owned.contains(&self.blocks[at].span) {
            return self.add_routed(at, action, call);
        }
        let table = self.table(at, call)?;
        let rows = self.now.rows.remove(&at).unwrap_or_default();
        let (own, wire) = (self.touched(at, &table), self.wire());
        let gradient = self.blocks[at].table_gradient(table.shared);
        for place in own.into_iter().filter_map(|id| table.place(id)) {
            gradient[place].fill(0.0);
        }
        for (from, message) in rows.gathered.iter().enumerate() {
            let came = wire.rows(message, table.width);
            let what = "it is no list of rows";
            let (ids, values) = came.ok_or_else(|| self.damaged(call, from, what))?;
            let gradient = self.blocks[at].table_gradient(table.shared);
            for (id, row) in ids.into_iter().zip(values.chunks_exact(table.width)) {
                let Some(place) = table.place(id) else {
                    return Err(self.damaged(call, from, NOT_THERE));
                };
                add(&mut gradient[place], row);
            }
        }
        Ok(())
    }
}
