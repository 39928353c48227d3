//! The gradient of token tables on its way between replicas.
//!
//! Letters: `G` replicas, `K` tokens per replica and step, `D` width, `b` bytes per element on the
//! wire, `U` different tokens among `G·K`, `U₁` among `K`, 4 bytes per token id.

use super::draft::{ClassDraft, Draft, Update, latest};
use super::sharding::{Inserted, input_is_sparse};
use crate::exchange::{Exchange, SamplingSeeds};
use crate::program::{
    Access, Action, At, BufferId, BufferKind, Cause, Charge, Element, Lane, Op, Payload, Purpose,
    Size,
};
use crate::units::Bytes;
use crate::work::{CollectiveOp, Pass, Work};

/// Bytes of a token id.
pub(super) const ID: f64 = 4.0;

/// Memory traffic to sort one id and drop its repetitions: an assumption, a radix sort of 32-bit
/// keys reads and writes 8 bytes in each of two to four passes. It decides nothing.
const SORT: f64 = 20.0;

/// Moves the gradient of the token table, and of a sampled output table, as the plan decides.
///
/// Needs passes of blocks and `updates`. Leaves, where the gradient is sparse:
///
/// | member | actions after the last backward pass |
/// |---|---|
/// | gather | `GatherRows` of G·K·(D·b + 4), `AddRows` |
/// | dedup-gather | `Deduplicate`, `GatherRows` of G·U₁·(D·b + 4), `AddRows` |
/// | unique | `Deduplicate`, `GatherIds` of G·K·4, `AlignRows`, `ReduceRows` of U·D·b |
/// | sharded | per micro-batch `RouteRows` of ids and rows, forwards and backwards; `AddRows` |
///
/// A dense gradient is [`sharding`](super::sharding())'s. A table that first and last stage share
/// is summed over both by `ReduceTied`.
pub(crate) fn exchange(draft: &mut Draft<'_>) {
    for rank in 0..draft.classes.len() {
        let mut class = std::mem::take(&mut draft.classes[rank]);
        tables(draft, &mut class);
        tied(draft, &mut class);
        draft.classes[rank] = class;
    }
}

/// Rows of a table that a step touches.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    /// K: tokens of a replica in a step.
    pub tokens: f64,
    /// Bytes of one row on the wire.
    pub row: f64,
    /// Different rows among those of one replica and of all: expected, at most.
    pub own: (f64, f64),
    pub all: (f64, f64),
    /// G.
    pub ranks: f64,
}

impl Rows {
    /// Rows of the input table. Without a corpus every token may be a different one.
    pub fn of_input(draft: &Draft<'_>) -> Option<Self> {
        let table = draft.model.table?;
        let decision = draft.decision.embedding?;
        let (_, group) = draft.tables.communicator(Purpose::Exchange)?;
        let (d, batch) = (draft.decision.degrees, draft.decision.batch);
        let sequences = batch.global_sequences / u64::from(d.dp);
        let tokens = sequences.saturating_mul(batch.tokens_per_sequence) / u64::from(d.cp * d.tp);
        let (tokens, ranks) = (tokens.max(1) as f64, f64::from(group.size));
        let vocabulary = table.vocab.div_ceil(u64::from(d.tp)) as f64;
        let most = |n: f64| n.min(vocabulary);
        let expected = draft.facts.different;
        let own = expected.map_or(most(tokens), |e| e.own.clamp(0.0, most(tokens)));
        let all = expected.map_or(most(tokens * ranks), |e| e.all.clamp(0.0, most(tokens * ranks)));
        let row = table.width as f64 * decision.wire_bytes as f64;
        let (own, all) = ((own, most(tokens)), (all.max(own), most(tokens * ranks)));
        Some(Self { tokens, row, own, all, ranks })
    }

    /// Rows of a sampled output table: those that were drawn, with as many seeds as Zipf's law
    /// lets words repeat, and the targets.
    pub fn of_samples(self, draft: &Draft<'_>) -> Option<Self> {
        let table = draft.model.table?;
        let samples = table.sampled? as f64;
        let vocabulary = table.vocab.div_ceil(u64::from(draft.decision.degrees.tp)) as f64;
        let seeds = f64::from(SamplingSeeds::Zipf.count(self.ranks as u32));
        let all = |targets: f64| (seeds * samples + targets).min(vocabulary);
        let own = |targets: f64| (targets + samples).min(all(targets).max(targets));
        Some(Self {
            all: (all(self.all.0), all(self.all.1)),
            own: (own(self.own.0).min(all(self.all.0)), own(self.own.1)),
            ..self
        })
    }
}

fn size((expected, most): (f64, f64), each: f64) -> Size {
    Size { max: Bytes::new(most * each), expected: Bytes::new(expected * each) }
}

fn exact(bytes: f64) -> Size {
    Size::exact(Bytes::new(bytes))
}

/// Where a class holds a table, and what is added after its passes.
struct Site<'c> {
    class: &'c mut ClassDraft,
    block: usize,
    cause: Cause,
    at: At,
}

fn tables(draft: &mut Draft<'_>, class: &mut ClassDraft) {
    let exchange = draft.decision.embedding.map(|e| e.exchange);
    let (Some(exchange), Some(rows)) = (exchange, Rows::of_input(draft)) else {
        return plain_samples(draft, class);
    };
    let place = |of: fn(&super::block::Block) -> bool| class.blocks.iter().position(of);
    let (input, output) = (place(|b| b.holds_input), place(|b| b.holds_output));
    if let Some(block) = input.filter(|_| input_is_sparse(draft)) {
        let elements = class.blocks[block].input_table;
        match exchange {
            Exchange::Sharded => {
                Site::new(class, block, Cause::Exchange(exchange)).sharded(draft, &rows, elements)
            }
            _ => Site::new(class, block, Cause::Exchange(exchange))
                .rows(draft, exchange, &rows, elements),
        }
    }
    if let (Some(block), Some(samples)) = (output, rows.of_samples(draft)) {
        let elements = class.blocks[block].output_table;
        let unique = Exchange::Unique;
        Site::new(class, block, Cause::Exchange(unique)).rows(draft, unique, &samples, elements);
    }
}

/// A sampled output table whose rows nobody else touches.
fn plain_samples(draft: &Draft<'_>, class: &mut ClassDraft) {
    let is_sampled = draft.model.table.is_some_and(|t| t.sampled.is_some());
    let output = class.blocks.iter().position(|b| b.holds_output);
    let Some(block) = output.filter(|_| is_sampled) else { return };
    let elements = class.blocks[block].output_table;
    let mut site = Site::new(class, block, Cause::Model);
    let gradient = site.row_buffer(Size::ZERO);
    site.stored(draft, elements, gradient);
}

impl<'c> Site<'c> {
    fn new(class: &'c mut ClassDraft, block: usize, cause: Cause) -> Self {
        let (stage, span) = (class.blocks[block].stage, class.blocks[block].span);
        let at = At { stage, layers: Some(span), micro_batch: None, part: 0 };
        Self { class, block, cause, at }
    }

    fn passes(&self, op: fn(Op) -> bool) -> Vec<usize> {
        let block = &self.class.blocks[self.block];
        let actions = self.class.class.actions.iter().enumerate();
        let mine = actions.filter(|(_, a)| a.at.layers == Some(block.span) && op(a.op));
        mine.map(|(i, _)| i).collect()
    }

    /// The last piece of each pass that makes gradients, in order.
    fn gradients(&self) -> Vec<usize> {
        let mut last: Vec<usize> = Vec::new();
        for place in self.passes(|op| matches!(op, Op::Backward | Op::BackwardWeight)) {
            let of = |i: usize| self.class.class.actions[i].at.micro_batch;
            match last.last_mut() {
                Some(before) if of(*before) == of(place) => *before = place,
                _ => last.push(place),
            }
        }
        last
    }

    fn row_buffer(&mut self, size: Size) -> BufferId {
        self.class.buffer(BufferKind::Exchange, size, Element::TaggedRow)
    }

    /// Weights and optimizer state of a table of which a step touches some rows.
    fn stored(&mut self, draft: &Draft<'_>, elements: u64, gradient: BufferId) {
        let p = draft.decision.precision;
        let element = super::sharding::number(draft, p.weight_bytes);
        let weights = exact((elements * p.weight_bytes) as f64);
        let weights = self.class.resident(BufferKind::Weights, weights, element);
        let state = exact((elements * p.optimizer_bytes) as f64);
        let state = self.class.resident(BufferKind::OptimizerState, state, Element::Mixed);
        for place in self.passes(|op| {
            matches!(op, Op::Forward | Op::Recompute | Op::Backward | Op::BackwardInput)
        }) {
            self.class.class.actions[place].reads.push(latest(weights));
        }
        self.add_to(gradient);
        let (parameters, gather, block) = (0, None, self.block);
        self.class.updates.push(Update { gradient, weights, state, parameters, gather, block });
    }

    /// Passes append their rows to a buffer.
    fn add_to(&mut self, gradient: BufferId) {
        for (n, place) in self.gradients().into_iter().enumerate() {
            let action = &mut self.class.class.actions[place];
            action.reads.extend((n > 0).then(|| latest(gradient)));
            action.writes.push(latest(gradient));
        }
    }

    /// Gather, dedup-gather and unique: once per step, after the last backward pass.
    fn rows(&mut self, draft: &mut Draft<'_>, exchange: Exchange, rows: &Rows, elements: u64) {
        let Rows { tokens, row, own, all, ranks } = *rows;
        let touched = self.row_buffer(exact(tokens * (row + ID)));
        self.stored(draft, elements, touched);
        let mut source = touched;
        if exchange != Exchange::Gather {
            let mine = self.row_buffer(size(own, row + ID));
            let work = [SORT * tokens, 3.0 * tokens * row];
            self.compute(draft, Op::Deduplicate, &work, &[touched], &[mine]);
            source = mine;
        }
        let summed = match exchange {
            Exchange::Unique => {
                let ids = self.row_buffer(exact(ranks * tokens * ID));
                let listed =
                    Payload { size: exact(ranks * tokens * ID), element: Element::TokenId };
                self.collective(
                    draft,
                    (Op::GatherIds, CollectiveOp::AllGather),
                    listed,
                    &[source],
                    ids,
                );
                let lined = self.row_buffer(size(all, row));
                let work = [SORT * ranks * tokens, all.0 * row + 2.0 * own.0 * row];
                self.compute(draft, Op::AlignRows, &work, &[ids, source], &[lined]);
                let payload = Payload { size: size(all, row), element: Element::TaggedRow };
                let what = (Op::ReduceRows, CollectiveOp::AllReduce);
                self.collective(draft, what, payload, &[lined], lined);
                lined
            }
            _ => {
                let each = if exchange == Exchange::Gather { (tokens, tokens) } else { own };
                let listed = size((ranks * each.0, ranks * each.1), row + ID);
                let gathered = self.row_buffer(listed);
                let payload = Payload { size: listed, element: Element::TaggedRow };
                let what = (Op::GatherRows, CollectiveOp::AllGather);
                self.collective(draft, what, payload, &[source], gathered);
                let work = [3.0 * ranks * each.0 * row];
                self.compute(draft, Op::AddRows, &work, &[gathered], &[gathered]);
                gathered
            }
        };
        if let Some(update) = self.class.updates.last_mut() {
            update.gradient = summed;
        }
    }

    /// Rows are with their owners: ids and rows travel in every pass.
    fn sharded(&mut self, draft: &mut Draft<'_>, rows: &Rows, elements: u64) {
        let shards = f64::from(rows.ranks as u32);
        let mine = (elements as f64 / shards).ceil() as u64;
        let m = f64::from(draft.shape.micro_batches);
        let (ids, whole) = (rows.tokens / m * ID, rows.tokens / m * rows.row);
        let gradient = self.class.buffer(
            BufferKind::GradientShard,
            exact((mine * draft.decision.precision.gradient_bytes) as f64),
            Element::TaggedRow,
        );
        let p = draft.decision.precision;
        let element = super::sharding::number(draft, p.weight_bytes);
        let weights = exact((mine * p.weight_bytes) as f64);
        let weights = self.class.resident(BufferKind::WeightShard, weights, element);
        let state = exact((mine * p.optimizer_bytes) as f64);
        let state = self.class.resident(BufferKind::OptimizerState, state, Element::Mixed);
        let mut inserted = Inserted::default();
        let mut begun = None;
        for place in self.passes(|op| op == Op::Forward) {
            let b = self.class.class.actions[place].at.micro_batch;
            if std::mem::replace(&mut begun, b) == b {
                continue;
            }
            let asked = self.row_buffer(exact(ids));
            let came = self.row_buffer(exact(whole));
            for (part, bytes, from, to) in [(0, ids, None, asked), (1, whole, Some(asked), came)] {
                let element = if part == 0 { Element::TokenId } else { Element::TaggedRow };
                let route = self.route(draft, Pass::Forward, (b, part), (bytes, element));
                let Some(mut route) = route else { continue };
                route.reads.extend(from.map(latest));
                route.reads.extend((part == 1).then(|| latest(weights)));
                route.writes.push(latest(to));
                inserted.before(place, route);
            }
            self.class.class.actions[place].reads.push(latest(came));
        }
        for (n, place) in self.gradients().into_iter().enumerate() {
            let b = self.class.class.actions[place].at.micro_batch;
            let left = self.row_buffer(exact(whole));
            let came = self.row_buffer(exact(whole));
            self.class.class.actions[place].writes.push(latest(left));
            let back = (whole, Element::TaggedRow);
            if let Some(mut route) = self.route(draft, Pass::Backward, (b, 0), back) {
                route.reads.push(latest(left));
                route.writes.push(latest(came));
                inserted.after(place, route);
            }
            let at = At { micro_batch: b, ..self.at };
            let mut add = Action::new(Op::AddRows, at, Lane::Compute, self.cause);
            add.charge = traffic(draft, &[3.0 * whole]);
            add.reads.push(latest(came));
            add.reads.extend((n > 0).then(|| latest(gradient)));
            add.writes.push(latest(gradient));
            inserted.after(place, add);
        }
        inserted.apply(self.class);
        let (parameters, gather, block) = (0, None, self.block);
        self.class.updates.push(Update { gradient, weights, state, parameters, gather, block });
    }

    fn route(
        &self,
        draft: &mut Draft<'_>,
        pass: Pass,
        (b, part): (Option<u32>, u32),
        (bytes, element): (f64, Element),
    ) -> Option<Action> {
        let payload = Payload { size: exact(bytes), element };
        let purpose = Purpose::Exchange;
        let talk = draft.tables.collective(purpose, CollectiveOp::AllToAll, payload);
        let (peers, charge) = talk?;
        let at = At { micro_batch: b, part, ..self.at };
        let mut action = Action::new(Op::RouteRows(pass), at, Lane::Data, self.cause);
        (action.peers, action.charge) = (peers, charge);
        Some(action)
    }

    /// Appends arithmetic on rows.
    fn compute(
        &mut self,
        draft: &mut Draft<'_>,
        op: Op,
        traffics: &[f64],
        reads: &[BufferId],
        writes: &[BufferId],
    ) {
        let mut action = Action::new(op, self.at, Lane::Compute, self.cause);
        action.charge = traffic(draft, traffics);
        action.reads = reads.iter().map(|&b| latest(b)).collect();
        action.writes = writes.iter().map(|&b| latest(b)).collect();
        self.class.class.actions.push(action);
    }

    /// Appends a collective on rows or ids.
    fn collective(
        &mut self,
        draft: &mut Draft<'_>,
        (op, collective): (Op, CollectiveOp),
        payload: Payload,
        reads: &[BufferId],
        write: BufferId,
    ) {
        let talk = draft.tables.collective(Purpose::Exchange, collective, payload);
        let Some((peers, charge)) = talk else { return };
        let mut action = Action::new(op, self.at, Lane::Data, self.cause);
        (action.peers, action.charge) = (peers, charge);
        action.reads = reads.iter().map(|&b| latest(b)).collect();
        action.writes.push(latest(write));
        self.class.class.actions.push(action);
    }
}

fn traffic(draft: &mut Draft<'_>, bytes: &[f64]) -> crate::program::ChargeId {
    let items = bytes.iter().map(|&b| Work::Traffic(Bytes::new(b))).collect();
    draft.tables.charge(Charge::Items(items))
}

/// First and last stage each hold the table and add up its gradient, when everything else is done:
/// nobody waits for either of them any more.
fn tied(draft: &mut Draft<'_>, class: &mut ClassDraft) {
    let Some(table) = draft.model.table.filter(|t| t.tied) else { return };
    let holds = |b: &super::block::Block| b.holds_input || b.holds_output;
    let Some(block) = class.blocks.iter().position(holds) else { return };
    let update = class.updates.iter().find(|u| u.block == block && u.parameters > 0);
    let Some(gradient) = update.map(|u| u.gradient) else { return };
    let p = draft.decision.precision;
    let replicas = draft.tables.communicator(Purpose::Replicas).map_or(1, |(_, c)| c.size);
    let shards = if class.blocks[block].zero > 0 { replicas } else { 1 };
    let rows = table.vocab.div_ceil(u64::from(draft.decision.degrees.tp));
    let bytes = (rows * table.width * p.wire_bytes) as f64 / f64::from(shards);
    let element = super::sharding::number(draft, p.wire_bytes);
    let payload = Payload { size: exact(bytes), element };
    let op = CollectiveOp::AllReduce;
    let Some((peers, charge)) = draft.tables.collective(Purpose::TiedTable, op, payload) else {
        return;
    };
    let (stage, span) = (class.blocks[block].stage, class.blocks[block].span);
    let at = At { stage, layers: Some(span), micro_batch: None, part: 0 };
    let mut action = Action::new(Op::ReduceTied, at, Lane::Data, Cause::TiedTable);
    (action.peers, action.charge) = (peers, charge);
    let access: Access = latest(gradient);
    action.reads.push(access);
    action.writes.push(access);
    class.class.actions.push(action);
}
