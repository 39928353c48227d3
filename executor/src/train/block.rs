//! A block of layers on a rank: weights, gradients, optimizer state.

use super::accumulate::Accumulator;
use super::outer::Meeting;
use crate::comm::{Communicator, part};
use crate::float::round_to_bf16;
use crate::model::{Parameter, Stage};
use crate::optimizer::{Rule, SquareSum, State};
use plan::program::{LayerSpan, Purpose};
use std::ops::Range;

/// Parameters of a block that one group of ranks shares.
#[derive(Debug)]
pub struct Shared {
    /// The group's purpose.
    pub purpose: Purpose,
    /// Elements in the block.
    pub range: Range<usize>,
    /// The elements that this rank updates.
    pub own: Range<usize>,
    /// Place in the group.
    pub place: usize,
    /// Whether nobody else holds them, so that nothing is to be summed.
    pub is_alone: bool,
    /// Whether each rank of the group updates a part.
    pub is_sharded: bool,
    state: State,
}

/// A block of layers.
#[derive(Debug)]
pub struct Block {
    /// Layers of the chain.
    pub span: LayerSpan,
    /// The layers.
    pub stage: Stage,
    /// ZeRO stage; 0 where there are no replicas.
    pub zero: u8,
    /// All weights; empty while only the own part of sharded weights is held.
    pub weights: Vec<f32>,
    /// Own parts of weights that are sharded between uses.
    pub stored: Vec<Vec<f32>>,
    /// Uses that collected the weights and have not given them up.
    pub uses: u32,
    /// Gradients of this step.
    pub gradient: Accumulator,
    /// Gradients that are being reduced per micro-batch.
    pub fresh: Vec<f32>,
    /// Own parts of gradients that are reduced per micro-batch.
    pub reduced: Vec<Vec<f32>>,
    /// By group.
    pub shared: Vec<Shared>,
    /// Elements of a second copy of a table on this rank, which is updated through the first.
    pub copy: Range<usize>,
    /// Own parts of the weights in single precision, where passes see them rounded.
    pub masters: Option<Vec<Vec<f32>>>,
    /// Where replicas train apart: what they need to meet.
    pub meeting: Option<Meeting>,
}

/// What is special about the tables of a block.
#[derive(Clone, Copy, Debug)]
pub struct Special {
    /// Whether the table is a second copy of one on this rank.
    pub copy_is_local: bool,
    /// Whether the gradient of a table travels as rows.
    pub has_rows: bool,
    /// Whether each replica owns some rows of the table.
    pub has_owners: bool,
    /// Whether passes see weights in bfloat16, beside masters in single precision.
    pub is_rounded: bool,
}

/// Elements of a block by who exchanges their gradients.
struct Borders {
    dense: Range<usize>,
    /// A table that another stage holds too: both cut it in the same parts.
    tied: Range<usize>,
    expert: Range<usize>,
    /// A table whose gradient travels as rows: at the start of an embedding, at the end of a head.
    table: Range<usize>,
    /// A second copy of a table on the same rank.
    copy: Range<usize>,
}

fn borders(stage: &Stage, special: Special, is_tied: bool) -> Borders {
    let Special { copy_is_local, has_rows, .. } = special;
    let all = stage.elements();
    let find = |is: &dyn Fn(&Parameter) -> bool| {
        let found = stage.placed().find(|(parameter, _)| is(parameter));
        found.map_or(all..all, |(_, place)| place)
    };
    let expert = find(&|p| p.name.contains(".experts.")).start..all;
    let copy = find(&|p| copy_is_local && p.copy_of.is_some());
    let is_table = |p: &Parameter| p.name == "embedding.table" || p.name == "head.w_vocab";
    let table = find(&|p| has_rows && is_table(p));
    let is_shared = |p: &Parameter| p.name == "embedding.table" || p.copy_of.is_some();
    let tied = find(&|p| is_tied && !copy_is_local && !has_rows && is_shared(p));
    let start = [&table, &tied].into_iter().filter(|at| at.start == 0).map(|at| at.end).max();
    let start = start.unwrap_or(0);
    let ends = [expert.start, copy.start, table.start, tied.start];
    let end = ends.into_iter().filter(|&at| at >= start).min();
    Borders { dense: start..end.unwrap_or(all), tied, expert, table, copy }
}

impl Block {
    /// With its initial weights.
    #[must_use]
    pub fn new(
        stage: Stage,
        zero: u8,
        rule: &Rule,
        seed: u64,
        special: Special,
        group: &dyn Fn(Purpose) -> (usize, usize),
    ) -> Self {
        let is_tied = group(Purpose::TiedTable).1 > 1;
        let Borders { dense, tied, expert, table, copy } = borders(&stage, special, is_tied);
        let is_alone = dense.is_empty() && tied.is_empty() && expert.is_empty();
        let zero = if group(Purpose::Replicas).1 > 1 && !is_alone { zero } else { 0 };
        let pairs = [
            (Purpose::Replicas, dense),
            (Purpose::Replicas, tied),
            (Purpose::ExpertReplicas, expert),
            (Purpose::Exchange, table),
        ];
        let shared = pairs.into_iter().filter(|(_, range)| !range.is_empty());
        let shared = shared.map(|(purpose, range)| {
            let (place, size) = group(purpose);
            let is_exchange = purpose == Purpose::Exchange;
            let is_sharded = if is_exchange { special.has_owners } else { zero > 0 };
            let own = match is_sharded {
                false => range.clone(),
                true if is_exchange => {
                    // Whole rows: those of the owner.
                    let width = stage.placed().find(|(_, at)| *at == range);
                    let width = width.map_or(1, |(p, _)| p.cols.max(1));
                    let own = part(range.len() / width, size, place);
                    range.start + own.start * width..range.start + own.end * width
                }
                true => {
                    let own = part(range.len(), size, place);
                    range.start + own.start..range.start + own.end
                }
            };
            let state = rule.start(own.len());
            let is_alone = size == 1;
            Shared { purpose, range, own, place, is_alone, is_sharded, state }
        });
        let shared: Vec<Shared> = shared.collect();
        let chain = stage.chain();
        let span = LayerSpan { first: chain.start as u32, last: chain.end as u32 - 1 };
        let weights = stage.initial(seed);
        let reduced = shared.iter().map(|_| Vec::new()).collect();
        let mut block = Self {
            span,
            stage,
            zero,
            weights,
            stored: Vec::new(),
            uses: 0,
            gradient: Accumulator::default(),
            fresh: Vec::new(),
            reduced,
            shared,
            copy,
            masters: None,
            meeting: None,
        };
        if special.is_rounded {
            block.round();
        }
        block.store();
        block
    }

    /// Keeps the weights that are there as masters, and rounds what passes see.
    pub fn round(&mut self) {
        let own = |shared: &Shared| self.weights[shared.own.clone()].to_vec();
        self.masters = Some(self.shared.iter().map(own).collect());
        round_to_bf16(&mut self.weights);
    }

    /// Weights of the own part of a group, as precisely as they are kept.
    #[must_use]
    pub fn own_weights(&self, i: usize) -> &[f32] {
        match (&self.masters, self.zero) {
            (Some(masters), _) => &masters[i],
            (None, 3) => &self.stored[i],
            (None, _) => &self.weights[self.shared[i].own.clone()],
        }
    }

    /// All weights as precisely as they are kept, where this rank holds all of them.
    #[must_use]
    pub fn precise(&self) -> Vec<f32> {
        let mut values = self.weights.clone();
        for (shared, master) in self.shared.iter().zip(self.masters.iter().flatten()) {
            values[shared.own.clone()].copy_from_slice(master);
        }
        values
    }

    /// Replaces all weights.
    pub fn set_precise(&mut self, values: Vec<f32>) {
        self.weights = values;
        if self.masters.is_some() {
            self.round();
        }
    }

    /// Keeps own parts only, where weights are sharded between uses.
    pub fn store(&mut self) {
        if self.zero == 3 {
            let own = |shared: &Shared| self.weights[shared.own.clone()].to_vec();
            self.stored = self.shared.iter().map(own).collect();
            self.weights = Vec::new();
        }
    }

    /// Room for all weights, with the own parts in their places.
    pub fn unpack(&mut self) {
        if self.weights.is_empty() {
            self.weights = vec![0.0; self.stage.elements()];
            for (shared, stored) in self.shared.iter().zip(&self.stored) {
                self.weights[shared.own.clone()].copy_from_slice(stored);
            }
        }
    }

    /// Gradients of this step that are about to be reduced: under ZeRO 2 and 3, those of the
    /// micro-batches that have finished since the last time.
    ///
    /// A block with experts reduces twice, over other replicas each: the first time takes them out,
    /// the second time finds them where the first has put them. What nobody else holds adds up.
    pub fn take_fresh(&mut self) {
        let taken = self.gradient.take();
        if taken.is_empty() {
            return;
        }
        self.fresh = taken;
        for (i, shared) in self.shared.iter().enumerate() {
            if shared.is_alone && shared.purpose != Purpose::Exchange {
                self.reduced[i].resize(shared.range.len(), 0.0);
                crate::matrix::add(&mut self.reduced[i], &self.fresh[shared.range.clone()]);
            }
        }
    }

    /// The gradient of a table whose rows are exchanged.
    pub fn table_gradient(&mut self, i: usize) -> &mut [f32] {
        let range = self.shared[i].range.clone();
        if self.zero >= 2 {
            self.reduced[i].resize(range.len(), 0.0);
            return &mut self.reduced[i];
        }
        let elements = self.stage.elements();
        &mut self.gradient.total(elements)[range]
    }

    /// Adds the gradient of a micro-batch. Rows of tables are exchanged once per step, so under
    /// ZeRO 2 and 3, where the rest is reduced per micro-batch, they add up beside it.
    pub fn add_gradient(&mut self, micro_batch: u32, mut gradient: Vec<f32>) {
        let exchanged = |shared: &Shared| shared.purpose == Purpose::Exchange;
        for i in (0..self.shared.len()).filter(|&i| exchanged(&self.shared[i])) {
            if self.zero >= 2 {
                let rows = &mut gradient[self.shared[i].range.clone()];
                self.reduced[i].resize(rows.len(), 0.0);
                crate::matrix::add(&mut self.reduced[i], rows);
                rows.fill(0.0);
            }
        }
        self.gradient.add(micro_batch, gradient);
    }

    /// The gradient of the own part of a table that another stage holds too.
    pub fn tied_gradient(&mut self, range: &Range<usize>) -> Option<&mut [f32]> {
        let i = self.shared.iter().position(|shared| shared.range == *range)?;
        let own = self.shared[i].own.clone();
        if self.zero >= 2 {
            self.reduced[i].resize(own.len(), 0.0);
            return Some(&mut self.reduced[i]);
        }
        let elements = self.stage.elements();
        Some(&mut self.gradient.total(elements)[own])
    }

    /// Gradients of the own part of a group, summed over micro-batches and replicas.
    fn own_gradient(&mut self, i: usize) -> &[f32] {
        let (own, range) = (self.shared[i].own.clone(), self.shared[i].range.clone());
        if self.zero >= 2 && self.shared[i].purpose == Purpose::Exchange {
            // A table is summed whole, also where each replica updates some rows of it.
            return &self.table_gradient(i)[own.start - range.start..own.end - range.start];
        }
        if self.zero >= 2 {
            self.reduced[i].resize(own.len(), 0.0);
            return &self.reduced[i];
        }
        let elements = self.stage.elements();
        &self.gradient.total(elements)[own]
    }

    /// Adds the squares of the gradients of which this rank is the one that counts them.
    pub fn add_squares(&mut self, sum: &mut SquareSum, factor: f64, tensor_place: u32) {
        for i in 0..self.shared.len() {
            let (own, place) = (self.shared[i].own.clone(), self.shared[i].place);
            if !self.shared[i].is_sharded && place > 0 {
                continue;
            }
            let counts = |p: &Parameter| p.copy_of.is_none() && (p.is_split || tensor_place == 0);
            let counted: Vec<Range<usize>> = self
                .stage
                .placed()
                .filter(|(p, _)| counts(p))
                .map(|(_, at)| at.start.max(own.start)..at.end.min(own.end))
                .filter(|range| range.start < range.end)
                .collect();
            let gradient = self.own_gradient(i);
            for range in counted {
                sum.add(&gradient[range.start - own.start..range.end - own.start], factor);
            }
        }
    }

    /// Updates the own parts of all weights.
    pub fn update(&mut self, rule: &Rule, by: (f64, f64, u64)) {
        for i in 0..self.shared.len() {
            let gradients = self.take_own_gradient(i);
            let shared = &mut self.shared[i];
            let gradient = &gradients.0[gradients.1.clone()];
            let weights = match self.zero {
                3 => &mut self.stored[i][..],
                _ => &mut self.weights[shared.own.clone()],
            };
            match &mut self.masters {
                None => rule.update(weights, gradient, &mut shared.state, by),
                Some(masters) => {
                    rule.update(&mut masters[i], gradient, &mut shared.state, by);
                    weights.copy_from_slice(&masters[i]);
                    round_to_bf16(weights);
                }
            }
            self.give_back_gradient(i, gradients.0);
        }
    }

    /// The vector in which [`Self::own_gradient`] lies, and where: weights and state beside it are
    /// to be written while it is read.
    fn take_own_gradient(&mut self, i: usize) -> (Vec<f32>, Range<usize>) {
        let own = self.shared[i].own.clone();
        let len = self.own_gradient(i).len();
        if self.zero < 2 {
            return (self.gradient.lend(), own);
        }
        let is_table = self.shared[i].purpose == Purpose::Exchange;
        let start = if is_table { own.start - self.shared[i].range.start } else { 0 };
        (std::mem::take(&mut self.reduced[i]), start..start + len)
    }

    fn give_back_gradient(&mut self, i: usize, vector: Vec<f32>) {
        if self.zero < 2 {
            self.gradient.give_back(vector);
        } else {
            self.reduced[i] = vector;
        }
    }

    /// Ends a step.
    pub fn clear(&mut self) {
        self.gradient.clear();
        self.reduced.iter_mut().for_each(Vec::clear);
    }

    /// State of a group's own part, by slot.
    #[must_use]
    pub fn state(&self, i: usize) -> &[Vec<f32>] {
        &self.shared[i].state.slots
    }

    /// State of a group's own part, by slot.
    pub fn state_mut(&mut self, i: usize) -> &mut [Vec<f32>] {
        &mut self.shared[i].state.slots
    }
}

/// Place and size of a communicator; alone where there is none.
pub(super) fn place_in(group: Option<&std::sync::Arc<dyn Communicator>>) -> (usize, usize) {
    group.map_or((0, 1), |group| (group.place(), group.size()))
}
