//! The traffic that a plan has to have, computed from the plan and not from its actions.

use super::block::Block;
use super::draft::{ClassDraft, Draft};
use super::exchange::{ID, Rows};
use super::sharding::{dense_parameters, input_is_sparse};
use crate::exchange::Exchange;
use crate::lower::{LoweredLayer, StepRole};
use crate::mesh::Axis;
use crate::program::{LedgerEntry, Purpose, Traffic};
use crate::schedule::ScheduleKind;
use crate::units::Bytes;
use crate::work::{CollectiveOp, Pass, Work};

/// Bytes that each rank of a group sends in a collective over a tensor of `bytes`:
/// `2(n − 1)/n` of it for a ring all-reduce, `(n − 1)/n` for all others.
#[must_use]
pub(crate) fn wire(op: CollectiveOp, bytes: f64, ranks: u32) -> f64 {
    let n = f64::from(ranks.max(1));
    let share = (n - 1.0) / n;
    match op {
        CollectiveOp::AllReduce => 2.0 * share * bytes,
        _ => share * bytes,
    }
}

/// Bytes on the wire of the collectives in a work item, those of a loop included.
#[must_use]
pub(crate) fn wire_of(work: &Work) -> f64 {
    match work {
        Work::Collective(c) => wire(c.op, c.bytes.get(), c.group.size),
        Work::Scan(scan) => scan.steps as f64 * scan.body.iter().map(wire_of).sum::<f64>(),
        _ => 0.0,
    }
}

/// The axis whose collectives a step holds. Loops over time hold those of tensor parallelism.
#[must_use]
pub(crate) fn axis_of(role: StepRole) -> Axis {
    match role {
        StepRole::Communication(axis) => axis,
        StepRole::Compute => Axis::Tensor,
    }
}

/// Fills the ledger of every class.
///
/// Needs blocks. Leaves one entry per purpose with traffic: the sum over the listed actions has to
/// be the same.
pub(crate) fn ledger(draft: &mut Draft<'_>) {
    let slots = slots(draft);
    for rank in 0..draft.classes.len() {
        let entries = entries(draft, &draft.classes[rank], &slots);
        let entries = entries.into_iter().filter(|(_, bytes)| *bytes > 0.0);
        let entry = |(traffic, bytes)| LedgerEntry { traffic, bytes: Bytes::new(bytes) };
        draft.classes[rank].class.ledger = entries.map(entry).collect();
    }
}

/// Slots of each stage, and those after which its activations can go.
fn slots(draft: &Draft<'_>) -> Vec<(f64, f64)> {
    let mut slots = vec![(0.0, 0.0); draft.shape.stages() as usize];
    for slot in draft.order.iter().flatten() {
        let counts = &mut slots[slot.stage as usize];
        counts.0 += 1.0;
        counts.1 += f64::from(u8::from(slot.task.releases()));
    }
    slots
}

fn entries(draft: &Draft<'_>, class: &ClassDraft, slots: &[(f64, f64)]) -> Vec<(Traffic, f64)> {
    let sum = |of: &dyn Fn(&Block) -> f64| class.blocks.iter().map(of).sum::<f64>();
    let mut all = Vec::new();
    for axis in [Axis::Tensor, Axis::Context, Axis::Expert] {
        let inside = sum(&|block| in_layers(draft, block, axis));
        let parts = if axis == Axis::Tensor { gathered_parts(draft, class) } else { 0.0 };
        all.push((Traffic::Group(Purpose::Layer(axis)), inside + parts));
    }
    let dense = |block: &Block| dense_parameters(draft, class, block) as f64;
    let replicas = sum(&|b| states(draft, slots, b, (dense(b), Purpose::Replicas)));
    let experts = sum(&|b| states(draft, slots, b, (b.expert as f64, Purpose::ExpertReplicas)));
    let piece = super::pieces::stored(draft, class) as f64;
    let piece = class
        .blocks
        .first()
        .filter(|_| piece > 0.0)
        .map_or(0.0, |block| states(draft, slots, block, (piece, Purpose::Replicas)));
    all.push((Traffic::Group(Purpose::Replicas), replicas + piece));
    all.push((Traffic::Group(Purpose::ExpertReplicas), experts));
    all.push((Traffic::Group(Purpose::Exchange), exchange(draft, class)));
    all.push((Traffic::Group(Purpose::TiedTable), tied(draft, class)));
    all.push((Traffic::Group(Purpose::Outer), outer(draft, class)));
    for pass in [Pass::Forward, Pass::Backward] {
        let rows = super::pieces::traffic(draft, class, pass);
        all.push((Traffic::Stage(pass), messages(draft, class, pass) + rows));
    }
    all
}

/// Every micro-batch runs forward, again where that was decided, and backward once.
fn in_layers(draft: &Draft<'_>, block: &Block, axis: Axis) -> f64 {
    let once = |layer: &LoweredLayer| -> f64 {
        let steps = layer.forward.iter().chain(&layer.backward).chain(&layer.recompute);
        steps.filter(|s| axis_of(s.role) == axis).map(|s| wire_of(&s.work)).sum()
    };
    let layers = block.layers.iter().map(|(n, layer)| f64::from(*n) * once(layer));
    f64::from(draft.shape.micro_batches) * layers.sum::<f64>()
}

/// ZeRO 0: one all-reduce; 1: scatter and gather; 2: a scatter per use, one gather; 3: a gather
/// and a scatter per use.
fn states(
    draft: &Draft<'_>,
    slots: &[(f64, f64)],
    block: &Block,
    (parameters, purpose): (f64, Purpose),
) -> f64 {
    let Some((_, group)) = draft.tables.communicator(purpose) else { return 0.0 };
    let p = draft.decision.precision;
    let (uses, sums) = match draft.shape.kind {
        ScheduleKind::BreadthFirst => (2.0, 1.0),
        _ => slots[block.stage as usize],
    };
    let reduce = parameters * p.wire_bytes as f64;
    let gather = parameters * p.compute.size() as f64;
    let scatter = wire(CollectiveOp::ReduceScatter, reduce, group.size);
    let gather = wire(CollectiveOp::AllGather, gather, group.size);
    match block.zero {
        0 => wire(CollectiveOp::AllReduce, reduce, group.size),
        1 => scatter + gather,
        2 => sums * scatter + gather,
        _ => sums * scatter + uses * gather,
    }
}

/// gather `(G−1)·K·(D·b + 4)`, dedup-gather `(G−1)·U₁·(D·b + 4)`, unique
/// `(G−1)·K·4 + 2(G−1)/G·U·D·b`, sharded `(G−1)/G·K·(2·D·b + 4)`.
fn exchange(draft: &Draft<'_>, class: &ClassDraft) -> f64 {
    let decision = draft.decision.embedding.map(|e| e.exchange);
    let (Some(exchange), Some(rows)) = (decision, Rows::of_input(draft)) else { return 0.0 };
    let of = |exchange: Exchange, rows: &Rows| {
        let (others, whole) = (rows.ranks - 1.0, rows.row + ID);
        let share = others / rows.ranks;
        match exchange {
            Exchange::Gather => others * rows.tokens * whole,
            Exchange::DedupGather => others * rows.own.0 * whole,
            Exchange::Unique => others * rows.tokens * ID + 2.0 * share * rows.all.0 * rows.row,
            Exchange::Dense => 0.0,
            Exchange::Sharded => share * rows.tokens * (2.0 * rows.row + ID),
        }
    };
    let input = class.blocks.iter().any(|b| b.holds_input) && input_is_sparse(draft);
    let output = class.blocks.iter().any(|b| b.holds_output);
    let samples = rows.of_samples(draft).filter(|_| output);
    let input = if input { of(exchange, &rows) } else { 0.0 };
    input + samples.map_or(0.0, |rows| of(Exchange::Unique, &rows))
}

/// One all-reduce over two ranks sends the table once; ZeRO 1 and above hold a shard of it.
fn tied(draft: &Draft<'_>, class: &ClassDraft) -> f64 {
    let Some(table) = draft.model.table.filter(|t| t.tied) else { return 0.0 };
    if draft.tables.communicator(Purpose::TiedTable).is_none() {
        return 0.0;
    }
    let block = class.blocks.iter().find(|b| b.holds_input || b.holds_output);
    let Some(block) = block.filter(|b| dense_parameters(draft, class, b) > 0) else { return 0.0 };
    let replicas = draft.tables.communicator(Purpose::Replicas).map_or(1, |(_, c)| c.size);
    let shards = if block.zero > 0 { f64::from(replicas) } else { 1.0 };
    let rows = table.vocab.div_ceil(u64::from(draft.decision.degrees.tp));
    (rows * table.width * draft.decision.precision.wire_bytes) as f64 / shards
}

/// Four bytes of every parameter once per period.
fn outer(draft: &Draft<'_>, class: &ClassDraft) -> f64 {
    let Some((_, group)) = draft.tables.communicator(Purpose::Outer) else { return 0.0 };
    let tables = |b: &Block| if b.holds_output { b.output_table as f64 } else { 0.0 };
    let is_sampled = draft.model.table.is_some_and(|t| t.sampled.is_some());
    let of = |b: &Block| {
        let sampled = if is_sampled { tables(b) } else { 0.0 };
        dense_parameters(draft, class, b) as f64 + b.expert as f64 + sampled
    };
    let parameters: f64 = class.blocks.iter().map(of).sum();
    wire(CollectiveOp::AllReduce, 4.0 * parameters, group.size)
}

/// Messages that a class sends: every stage whose neighbour is elsewhere, every micro-batch.
fn messages(draft: &Draft<'_>, class: &ClassDraft, pass: Pass) -> f64 {
    let sends = |stage: u32| match pass {
        Pass::Forward => draft.tables.channel(stage, stage + 1, pass).is_some(),
        Pass::Backward => stage > 0 && draft.tables.channel(stage, stage - 1, pass).is_some(),
    };
    let stages = class.class.stages.iter().filter(|&&stage| sends(stage));
    let border = |stage: &u32| border(class, *stage, pass);
    let whole: f64 = stages.map(border).sum();
    f64::from(draft.shape.micro_batches) * whole / parts(draft)
}

/// Border that a stage hands on.
fn border(class: &ClassDraft, stage: u32, pass: Pass) -> f64 {
    let mut mine = class.blocks.iter().filter(|b| b.stage == stage);
    let border = match pass {
        Pass::Forward => mine.next_back().map(|b| b.border_out),
        Pass::Backward => mine.next().map(|b| b.border_in),
    };
    border.map_or(0.0, Bytes::get)
}

/// With tensor parallelism and whole borders each rank sends a part.
fn parts(draft: &Draft<'_>) -> f64 {
    let in_parts = !draft.decision.sequence_parallel;
    if in_parts { f64::from(draft.decision.degrees.tp) } else { 1.0 }
}

/// Receivers put parts together again.
fn gathered_parts(draft: &Draft<'_>, class: &ClassDraft) -> f64 {
    let parts = parts(draft);
    if parts < 2.0 {
        return 0.0;
    }
    let arrives = |stage: u32, pass| match pass {
        Pass::Forward => stage > 0 && draft.tables.channel(stage - 1, stage, pass).is_some(),
        Pass::Backward => draft.tables.channel(stage + 1, stage, pass).is_some(),
    };
    let mut whole = 0.0;
    for &stage in &class.class.stages {
        let mut blocks = class.blocks.iter().filter(|b| b.stage == stage);
        let (first, last) = (blocks.clone().next(), blocks.next_back());
        let input = first.filter(|_| arrives(stage, Pass::Forward)).map(|b| b.border_in);
        let gradient = last.filter(|_| arrives(stage, Pass::Backward)).map(|b| b.border_out);
        whole += input.map_or(0.0, Bytes::get) + gradient.map_or(0.0, Bytes::get);
    }
    let bytes = f64::from(draft.shape.micro_batches) * whole;
    wire(CollectiveOp::AllGather, bytes, draft.decision.degrees.tp)
}
