//! Weights and gradients: where they are, when they are collected, when they are summed.

use super::block::Block;
use super::draft::{ClassDraft, Draft, Update, latest};
use super::pieces::{sends_rows, stored};
use crate::dtype::Dtype;
use crate::exchange::Exchange;
use crate::program::{
    Action, At, BufferId, BufferKind, Cause, Element, Lane, Op, Payload, Purpose, Size,
};
use crate::schedule::ScheduleKind;
use crate::units::Bytes;
use crate::work::CollectiveOp;
use std::collections::BTreeMap;

/// Gives every pass its weights and gradients, sharded as the ZeRO stage of its block says
/// (Rajbhandari et al. 2019, arXiv:1910.02054).
///
/// Needs passes of blocks. Leaves, per group of parameters of a block:
///
/// | ZeRO | weights | gradients |
/// |---|---|---|
/// | 0 | resident | summed here, then all-reduced after the last micro-batch |
/// | 1 | resident | summed here, then reduce-scattered |
/// | 2 | resident | reduce-scattered after every micro-batch, added to the shard |
/// | 3 | a shard; collected `gather_ahead` blocks before each use, given up after it | as 2 |
///
/// Breadth-first schedules run all micro-batches through a block at once, and collect and
/// reduce-scatter once for all of them. What the optimizer needs is noted in `updates`; sparse
/// tables are [`exchange`](super::exchange())'s.
pub(crate) fn sharding(draft: &mut Draft<'_>) {
    for rank in 0..draft.classes.len() {
        let mut class = std::mem::take(&mut draft.classes[rank]);
        let uses = uses(draft, &class);
        let mut of_block: Vec<Vec<usize>> = vec![Vec::new(); class.blocks.len()];
        uses.iter().enumerate().for_each(|(i, u)| of_block[u.block].push(i));
        share_table(draft, &class, &mut of_block);
        let mut inserted = Inserted::default();
        for (place, mine) in of_block.iter().enumerate() {
            for group in groups(draft, &class, place) {
                group.lower(draft, &mut class, Uses { all: &uses, mine }, &mut inserted);
            }
        }
        piece(draft, &mut class, &mut inserted);
        inserted.apply(&mut class);
        draft.classes[rank] = class;
    }
}

/// Where output and input are one table of one rank, passes of the output read its weights and add
/// to its gradient. With ZeRO 2 and 3 the table is collected and scattered for the input alone.
fn share_table(draft: &Draft<'_>, class: &ClassDraft, of_block: &mut [Vec<usize>]) {
    let is_tied = draft.model.table.is_some_and(|t| t.tied && t.sampled.is_none());
    let input = class.blocks.iter().position(|b| b.holds_input && b.zero < 2);
    let output = class.blocks.iter().position(|b| b.holds_output);
    if let (true, Some(input), Some(output)) = (is_tied, input, output)
        && input != output
    {
        let also = of_block[output].clone();
        of_block[input].extend(also);
        of_block[input].sort_unstable();
    }
}

/// Passes of a block that share collected weights.
struct Use {
    block: usize,
    /// Their places, rising.
    passes: Vec<usize>,
    micro_batch: Option<u32>,
}

/// All uses of a class in the order of their first passes, and those of one block.
#[derive(Clone, Copy)]
struct Uses<'a> {
    all: &'a [Use],
    mine: &'a [usize],
}

impl<'a> Uses<'a> {
    fn mine(&self) -> impl Iterator<Item = (usize, &'a Use)> + use<'a> {
        let all = self.all;
        self.mine.iter().map(move |&i| (i, &all[i]))
    }
}

impl Use {
    fn first(&self) -> usize {
        self.passes.first().copied().unwrap_or(0)
    }

    fn last(&self) -> usize {
        self.passes.last().copied().unwrap_or(0)
    }
}

fn uses(draft: &Draft<'_>, class: &ClassDraft) -> Vec<Use> {
    let joins_all = draft.shape.kind == ScheduleKind::BreadthFirst;
    let mut uses: Vec<Use> = Vec::new();
    let mut latest: BTreeMap<(usize, Op), usize> = BTreeMap::new();
    for (i, action) in class.class.actions.iter().enumerate().filter(|(_, a)| a.is_pass()) {
        let Some(block) = class.block_of(action) else { continue };
        let (direction, micro_batch) = (direction(action.op), action.at.micro_batch);
        let known = latest.get(&(block, direction)).copied();
        let is_next = |at: usize| at + 1 == uses.len() && uses[at].micro_batch == micro_batch;
        match known.filter(|&at| joins_all || is_next(at)) {
            Some(at) => uses[at].passes.push(i),
            None => {
                latest.insert((block, direction), uses.len());
                uses.push(Use { block, passes: vec![i], micro_batch });
            }
        }
    }
    uses
}

/// Passes that may share weights: what is recomputed is used by the backward pass that follows.
fn direction(op: Op) -> Op {
    match op {
        Op::Recompute | Op::BackwardInput => Op::Backward,
        other => other,
    }
}

/// Actions to be put between those of a list.
#[derive(Default)]
pub(super) struct Inserted {
    /// Before or after which place.
    actions: Vec<(usize, bool, Action)>,
}

impl Inserted {
    pub fn before(&mut self, place: usize, action: Action) {
        self.actions.push((place, false, action));
    }

    pub fn after(&mut self, place: usize, action: Action) {
        self.actions.push((place, true, action));
    }

    pub fn apply(mut self, class: &mut ClassDraft) {
        self.actions.sort_by_key(|(place, is_after, _)| (*place, *is_after));
        let list = std::mem::take(&mut class.class.actions);
        let actions = &mut class.class.actions;
        actions.reserve_exact(list.len() + self.actions.len());
        let mut inserted = self.actions.into_iter().peekable();
        for (i, action) in list.into_iter().enumerate() {
            while let Some((.., new)) = inserted.next_if(|(at, after, _)| *at <= i && !after) {
                actions.push(new);
            }
            actions.push(action);
            while let Some((.., new)) = inserted.next_if(|(at, ..)| *at <= i) {
                actions.push(new);
            }
        }
    }
}

/// Rows of the token table that another stage runs: messages read the weights, and rows that come
/// back are added to the gradient.
fn piece(draft: &mut Draft<'_>, class: &mut ClassDraft, inserted: &mut Inserted) {
    let elements = stored(draft, class);
    let Some(block) = class.blocks.first().filter(|_| elements > 0) else { return };
    let at = At { stage: block.stage, ..At::default() };
    let purpose = Purpose::Replicas;
    let replicas = draft.tables.communicator(purpose).map_or(1, |(_, c)| c.size);
    let zero = if replicas > 1 { block.zero } else { 0 };
    let mine = Parameters { place: 0, at, elements, purpose, replicas, zero };
    let p = draft.decision.precision;
    let (size, element) = (Size::exact(mine.bytes(p.weight_bytes)), number(draft, p.weight_bytes));
    let weights = class.resident(BufferKind::Weights, size, element);
    let (size, element) =
        (Size::exact(mine.bytes(p.gradient_bytes)), number(draft, p.gradient_bytes));
    let gradient = class.buffer(BufferKind::Gradient, size, element);
    let mut last = None;
    for (i, action) in class.class.actions.iter_mut().enumerate() {
        if sends_rows(draft, action) {
            action.reads.push(latest(weights));
        } else if action.op == Op::AddRows {
            action.reads.extend(last.map(|_| latest(gradient)));
            action.writes.push(latest(gradient));
            last = Some(i);
        }
    }
    mine.summed(draft, inserted, last, gradient);
    mine.update(draft, class, weights, gradient);
}

/// Parameters of a block whose gradients are summed over one group.
struct Parameters {
    place: usize,
    at: At,
    elements: u64,
    purpose: Purpose,
    /// Ranks that sum.
    replicas: u32,
    /// ZeRO stage; 0 where there is nobody to share with.
    zero: u8,
}

fn groups(draft: &Draft<'_>, class: &ClassDraft, place: usize) -> Vec<Parameters> {
    let block = &class.blocks[place];
    let at = At { stage: block.stage, layers: Some(block.span), micro_batch: None, part: 0 };
    let dense = dense_parameters(draft, class, block);
    let all = [(Purpose::Replicas, dense), (Purpose::ExpertReplicas, block.expert)];
    let group = |(purpose, elements)| {
        let replicas = draft.tables.communicator(purpose).map_or(1, |(_, c)| c.size);
        let zero = if replicas > 1 { block.zero } else { 0 };
        Parameters { place, at, elements, purpose, replicas, zero }
    };
    all.into_iter().filter(|(_, elements)| *elements > 0).map(group).collect()
}

/// Parameters with a dense gradient: tables count where their gradient moves with all others. A
/// table that input and output share counts once per rank.
pub(super) fn dense_parameters(draft: &Draft<'_>, class: &ClassDraft, block: &Block) -> u64 {
    let table = draft.model.table;
    // Of a table in pieces, the first is here.
    let held = draft.pieces.first().copied().unwrap_or(block.input_table);
    let input = if input_is_sparse(draft) { 0 } else { held.min(block.input_table) };
    let shared = table.is_some_and(|t| t.tied) && class.blocks.iter().any(|b| b.holds_input);
    let is_sampled = table.is_some_and(|t| t.sampled.is_some());
    let output = if is_sampled || shared { 0 } else { block.output_table };
    block.replicated + input + output
}

/// Whether the gradient of the token table travels by itself.
pub(super) fn input_is_sparse(draft: &Draft<'_>) -> bool {
    let exchange = draft.decision.embedding.map(|e| e.exchange);
    let alone = draft.tables.communicator(Purpose::Exchange).is_none();
    !alone && exchange.is_some_and(|e| e != Exchange::Dense)
}

/// The format with this many bytes per element.
pub(super) fn number(draft: &Draft<'_>, bytes: u64) -> Element {
    let compute = draft.decision.precision.compute;
    match bytes {
        n if n == compute.size() => Element::Number(compute),
        4 => Element::Number(Dtype::Fp32),
        2 => Element::Number(Dtype::Bf16),
        1 => Element::Number(Dtype::Fp8),
        _ => Element::Mixed,
    }
}

impl Parameters {
    fn bytes(&self, each: u64) -> Bytes {
        Bytes::new(self.elements as f64 * each as f64)
    }

    fn shard(&self, each: u64) -> Size {
        Size::exact(Bytes::new(
            (self.elements as f64 / f64::from(self.replicas)).ceil() * each as f64,
        ))
    }

    fn lower(
        &self,
        draft: &mut Draft<'_>,
        class: &mut ClassDraft,
        uses: Uses<'_>,
        inserted: &mut Inserted,
    ) {
        let weights = self.weights(draft, class, uses, inserted);
        let gradient = match self.zero {
            0 | 1 => self.whole_gradient(draft, class, uses, inserted),
            _ => self.sharded_gradient(draft, class, uses, inserted),
        };
        self.update(draft, class, weights, gradient);
    }

    /// Notes what the optimizer has to do.
    fn update(
        &self,
        draft: &Draft<'_>,
        class: &mut ClassDraft,
        weights: BufferId,
        gradient: BufferId,
    ) {
        let p = draft.decision.precision;
        let state = match self.zero {
            0 => Size::exact(self.bytes(p.optimizer_bytes)),
            _ => self.shard(p.optimizer_bytes),
        };
        let state = class.resident(BufferKind::OptimizerState, state, Element::Mixed);
        let gathers = matches!(self.zero, 1 | 2);
        let gather = gathers.then(|| (self.purpose, self.bytes(p.compute.size())));
        let parameters = match self.zero {
            0 => self.elements,
            _ => self.elements / u64::from(self.replicas),
        };
        let block = self.place;
        class.updates.push(Update { gradient, weights, state, parameters, gather, block });
    }

    /// Weights for every pass; returns what is stored.
    fn weights(
        &self,
        draft: &mut Draft<'_>,
        class: &mut ClassDraft,
        uses: Uses<'_>,
        inserted: &mut Inserted,
    ) -> BufferId {
        let p = draft.decision.precision;
        let element = number(draft, p.weight_bytes);
        if self.zero < 3 {
            let size = Size::exact(self.bytes(p.weight_bytes));
            let stored = class.resident(BufferKind::Weights, size, element);
            uses.mine().for_each(|(_, u)| read_in(class, u, stored));
            return stored;
        }
        let stored = class.resident(BufferKind::WeightShard, self.shard(p.weight_bytes), element);
        let element = Element::Number(p.compute);
        let size = Size::exact(self.bytes(p.compute.size()));
        for (number, u) in uses.mine() {
            let whole = class.buffer(BufferKind::Weights, size, element);
            let op = CollectiveOp::AllGather;
            let talk = draft.tables.collective(self.purpose, op, Payload { size, element });
            let Some((peers, charge)) = talk else { continue };
            let at = At { micro_batch: u.micro_batch, ..self.at };
            let mut gather = Action::new(Op::Gather, at, Lane::Data, Cause::Zero(3));
            (gather.peers, gather.charge) = (peers, charge);
            gather.reads.push(latest(stored));
            gather.writes.push(latest(whole));
            let ahead = number.saturating_sub(draft.settings.gather_ahead as usize);
            inserted.before(uses.all[ahead].first(), gather);
            read_in(class, u, whole);
            let mut release = Action::new(Op::Release, at, Lane::Compute, Cause::Zero(3));
            release.reads.push(latest(whole));
            inserted.after(u.last(), release);
        }
        stored
    }

    /// One gradient, summed over micro-batches and then over replicas, in place.
    fn whole_gradient(
        &self,
        draft: &mut Draft<'_>,
        class: &mut ClassDraft,
        uses: Uses<'_>,
        inserted: &mut Inserted,
    ) -> BufferId {
        let p = draft.decision.precision;
        let element = number(draft, p.gradient_bytes);
        let size = Size::exact(self.bytes(p.gradient_bytes));
        let gradient = class.buffer(BufferKind::Gradient, size, element);
        let last = add_in(class, uses.mine().map(|(_, u)| u), gradient);
        self.summed(draft, inserted, last, gradient);
        gradient
    }

    /// Sums a whole gradient over replicas after the last place that adds to it.
    fn summed(
        &self,
        draft: &mut Draft<'_>,
        inserted: &mut Inserted,
        last: Option<usize>,
        gradient: BufferId,
    ) {
        let op = match self.zero {
            0 => CollectiveOp::AllReduce,
            _ => CollectiveOp::ReduceScatter,
        };
        if let (Some(last), Some(mut reduce)) = (last, self.reduce(draft, op, self.at)) {
            reduce.reads.push(latest(gradient));
            reduce.writes.push(latest(gradient));
            inserted.after(last, reduce);
        }
    }

    /// A gradient per use, scattered and added to a shard.
    fn sharded_gradient(
        &self,
        draft: &mut Draft<'_>,
        class: &mut ClassDraft,
        uses: Uses<'_>,
        inserted: &mut Inserted,
    ) -> BufferId {
        let p = draft.decision.precision;
        let size = self.shard(p.gradient_bytes);
        let element = number(draft, p.gradient_bytes);
        let shard = class.buffer(BufferKind::GradientShard, size, element);
        let (size, wire) = (Size::exact(self.bytes(p.wire_bytes)), number(draft, p.wire_bytes));
        let mut is_first = true;
        for (_, u) in uses.mine().filter(|(_, u)| makes_gradient(class, u)).collect::<Vec<_>>() {
            let gradient = class.buffer(BufferKind::Gradient, size, wire);
            add_in(class, std::iter::once(u), gradient);
            let at = At { micro_batch: u.micro_batch, ..self.at };
            let reduce = self.reduce(draft, CollectiveOp::ReduceScatter, at);
            let Some(mut reduce) = reduce else { continue };
            reduce.reads.push(latest(gradient));
            reduce.reads.extend((!is_first).then(|| latest(shard)));
            reduce.writes.push(latest(shard));
            is_first = false;
            inserted.after(u.last(), reduce);
        }
        shard
    }

    fn reduce(&self, draft: &mut Draft<'_>, op: CollectiveOp, at: At) -> Option<Action> {
        let p = draft.decision.precision;
        let element = number(draft, p.wire_bytes);
        let payload = Payload { size: Size::exact(self.bytes(p.wire_bytes)), element };
        let (peers, charge) = draft.tables.collective(self.purpose, op, payload)?;
        let cause = if self.zero == 0 { Cause::DataParallel } else { Cause::Zero(self.zero) };
        let mut action = Action::new(Op::Reduce(op), at, Lane::Data, cause);
        (action.peers, action.charge) = (peers, charge);
        Some(action)
    }
}

/// Passes of a use read a buffer.
fn read_in(class: &mut ClassDraft, u: &Use, buffer: BufferId) {
    for &place in &u.passes {
        class.class.actions[place].reads.push(latest(buffer));
    }
}

/// Whether gradients of weights come out of a use.
fn makes_gradient(class: &ClassDraft, u: &Use) -> bool {
    u.passes.iter().any(|&place| is_weight_pass(class.class.actions[place].op))
}

fn is_weight_pass(op: Op) -> bool {
    matches!(op, Op::Backward | Op::BackwardWeight)
}

/// Passes of uses that make gradients add to a buffer; of a pass in pieces, the last one that
/// computes. Returns the last place.
fn add_in<'a>(
    class: &mut ClassDraft,
    uses: impl Iterator<Item = &'a Use>,
    buffer: BufferId,
) -> Option<usize> {
    let mut last = None;
    for u in uses {
        for (i, &place) in u.passes.iter().enumerate() {
            let action = &class.class.actions[place];
            let key = |place: usize| {
                let action = &class.class.actions[place];
                (action.op, action.at.micro_batch)
            };
            let goes_on = u.passes.get(i + 1).is_some_and(|&next| key(next) == key(place));
            if goes_on || !is_weight_pass(action.op) {
                continue;
            }
            let action = &mut class.class.actions[place];
            action.reads.extend(last.map(|_| latest(buffer)));
            action.writes.push(latest(buffer));
            last = Some(place);
        }
    }
    last
}
