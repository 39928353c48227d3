//! From slots to passes of blocks.

use super::CARRIED;
use super::block::Activations;
use super::draft::{ClassDraft, Draft, latest};
use crate::program::{
    Access, Action, At, Buffer, BufferId, BufferKind, Cause, Element, Home, Lane, Op, Size,
};
use crate::schedule::{Slot, Task};
use crate::units::Bytes;
use crate::work::Pass;

/// Lists the passes of every rank, block by block, with the activations that they make and need.
///
/// Needs blocks and an order. Leaves, per class, one action per slot and block, in the order of
/// the slots; `slot_ends`; input, saved and gradient buffers. Where neighbouring stages are on one
/// rank they share buffers; elsewhere the border is an outgoing buffer, which [`messages`] sends.
///
/// [`messages`]: mod@super::messages
pub(crate) fn expand(draft: &mut Draft<'_>) {
    for rank in 0..draft.classes.len() {
        let mut class = std::mem::take(&mut draft.classes[rank]);
        activations(draft, &mut class);
        for slot in &draft.order[rank] {
            let mut blocks: Vec<usize> = of_stage(&class, slot.stage).collect();
            if !slot.is_forward() {
                blocks.reverse();
            }
            for block in blocks {
                let action = pass(draft, &mut class, slot, block);
                class.class.actions.push(action);
            }
            class.slot_ends.push(class.class.actions.len());
        }
        draft.classes[rank] = class;
    }
}

/// Places of the blocks of a stage.
pub(super) fn of_stage(class: &ClassDraft, stage: u32) -> std::ops::Range<usize> {
    let blocks = &class.blocks;
    blocks.partition_point(|b| b.stage < stage)..blocks.partition_point(|b| b.stage <= stage)
}

/// Makes the activation buffers of all blocks of a class.
fn activations(draft: &Draft<'_>, class: &mut ClassDraft) {
    let element = Element::Number(draft.decision.precision.compute);
    for place in 0..class.blocks.len() {
        let block = &class.blocks[place];
        let (age, stage) = (draft.shape.age(block.stage), block.stage);
        let (border_in, border_out) = (block.border_in, block.border_out);
        let (saved, is_first) = (block.saved, block.span.first == 0);
        let is_last = block.holds_output && stage + 1 == draft.shape.stages();
        let keeps = if block.keeps_input { age } else { 0 };
        let mut buffers = Activations::default();
        for _ in 0..draft.shape.micro_batches {
            if !is_first {
                buffers.input.push(ring(class, BufferKind::Input, border_in, element, keeps));
            }
            buffers.saved.push(ring(class, BufferKind::Saved, saved, element, age));
            if !is_last {
                let stale = u32::from(age > 0 && ends_stage(class, place));
                buffers.gradient.push(ring(
                    class,
                    BufferKind::BorderGradient,
                    border_out,
                    element,
                    stale,
                ));
            }
            let none = Size::ZERO;
            buffers.halves.push(class.buffer(BufferKind::Workspace, none, element));
        }
        carries(draft, class, place, &mut buffers);
        class.blocks[place].buffers = buffers;
    }
}

/// Whether a block is the last of its stage.
fn ends_stage(class: &ClassDraft, place: usize) -> bool {
    class.blocks.get(place + 1).is_none_or(|next| next.stage != class.blocks[place].stage)
}

/// A buffer that keeps what it held up to `age` steps ago.
fn ring(
    class: &mut ClassDraft,
    kind: BufferKind,
    bytes: Bytes,
    element: Element,
    age: u32,
) -> BufferId {
    class.add(Buffer {
        kind,
        size: Size::exact(bytes),
        element,
        home: Home::Device,
        versions: age + 1,
        writes: 0,
        is_carried: age > 0,
        offset: None,
    })
}

/// State that recurrent layers hand along time: two values per element of a step's border (state
/// and cell) and their gradients.
fn carries(draft: &Draft<'_>, class: &mut ClassDraft, place: usize, buffers: &mut Activations) {
    let batch = draft.decision.batch;
    let chunks = batch.time_chunks.max(1);
    if chunks == 1 {
        return;
    }
    let element = Element::Number(draft.decision.precision.compute);
    let steps = (batch.tokens_per_sequence / u64::from(chunks)).max(1);
    let size = Size::exact(class.blocks[place].border_out * (2.0 / steps as f64));
    for _ in 0..draft.shape.micro_batches / chunks {
        buffers.carry.push(class.buffer(BufferKind::Carry, size, element));
        buffers.carry_gradient.push(class.buffer(BufferKind::Carry, size, element));
    }
}

/// One pass of one block.
fn pass(draft: &Draft<'_>, class: &mut ClassDraft, slot: &Slot, place: usize) -> Action {
    let block = &class.blocks[place];
    let (op, charge) = match slot.task {
        Task::Forward => (Op::Forward, block.charges.forward),
        Task::Backward => (Op::Backward, block.charges.backward),
        Task::BackwardInput => (Op::BackwardInput, block.charges.input),
        Task::BackwardWeight => (Op::BackwardWeight, block.charges.weight),
    };
    let at = At {
        stage: block.stage,
        layers: Some(block.span),
        micro_batch: Some(slot.micro_batch),
        part: 0,
    };
    let mut action = Action::new(op, at, Lane::Compute, Cause::Model);
    action.charge = charge;
    let b = slot.micro_batch as usize;
    match slot.task {
        Task::Forward => forward(draft, class, place, b, &mut action),
        _ => backward(draft, class, place, (slot.task, b), &mut action),
    }
    along_time(draft, class, place, slot, &mut action);
    action
}

fn forward(draft: &Draft<'_>, class: &mut ClassDraft, place: usize, b: usize, action: &mut Action) {
    let block = &class.blocks[place];
    if let Some(&input) = block.buffers.input.get(b) {
        let keeps = class.class.buffers[input.0 as usize].versions > 1;
        action.reads.push(Access { buffer: input, version: i32::from(keeps) });
    }
    let saved = block.buffers.saved[b];
    action.writes.push(written(class, saved));
    if let Some(output) = output(draft, class, place, b, Pass::Forward) {
        action.writes.push(written(class, output));
    }
}

/// A write; a ring is written once per step, as its version 1.
fn written(class: &ClassDraft, buffer: BufferId) -> Access {
    let is_ring = class.class.buffers[buffer.0 as usize].versions > 1;
    Access { buffer, version: i32::from(is_ring) }
}

/// Where a pass leaves what it hands on: with the next block, or outgoing.
fn output(
    draft: &Draft<'_>,
    class: &mut ClassDraft,
    place: usize,
    b: usize,
    pass: Pass,
) -> Option<BufferId> {
    let (stage, span) = (class.blocks[place].stage, class.blocks[place].span);
    let (bytes, layer) = match pass {
        Pass::Forward => (class.blocks[place].border_out, span.last + 1),
        Pass::Backward => (class.blocks[place].border_in, span.first.checked_sub(1)?),
    };
    if pass == Pass::Forward && span.last + 1 == draft.model.layers() {
        return None;
    }
    let neighbour = class.block_at(layer);
    let holds =
        class.blocks.get(neighbour).is_some_and(|n| (n.span.first..=n.span.last).contains(&layer));
    if holds {
        let buffers = &class.blocks[neighbour].buffers;
        return match pass {
            Pass::Forward => buffers.input.get(b).copied(),
            Pass::Backward => buffers.gradient.get(b).copied(),
        };
    }
    let key = (stage, pass == Pass::Forward, b as u32);
    let element = Element::Number(draft.decision.precision.compute);
    let id = class.buffer(BufferKind::Outgoing, Size::exact(bytes), element);
    class.outgoing.insert(key, id);
    Some(id)
}

fn backward(
    draft: &Draft<'_>,
    class: &mut ClassDraft,
    place: usize,
    (task, b): (Task, usize),
    action: &mut Action,
) {
    let block = &class.blocks[place];
    let age = i32::try_from(draft.shape.age(block.stage)).unwrap_or(i32::MAX);
    // A ring says how old; everything else is the latest.
    let kept = |id: BufferId| {
        let is_ring = class.class.buffers[id.0 as usize].versions > 1;
        Access { buffer: id, version: if is_ring { 1 - age } else { 0 } }
    };
    let buffers = &block.buffers;
    action.reads.push(kept(buffers.saved[b]));
    if block.keeps_input {
        action.reads.extend(buffers.input.get(b).map(|&id| kept(id)));
    }
    if let Some(&gradient) = buffers.gradient.get(b) {
        let is_stale = class.class.buffers[gradient.0 as usize].versions > 1;
        let version = if is_stale { CARRIED } else { 0 };
        action.reads.push(Access { buffer: gradient, version });
    }
    let halves = buffers.halves[b];
    match task {
        Task::BackwardInput => action.writes.push(latest(halves)),
        Task::BackwardWeight => action.reads.push(latest(halves)),
        _ => {}
    }
    if task.hands_back()
        && let Some(out) = output(draft, class, place, b, Pass::Backward)
    {
        action.writes.push(written(class, out));
    }
}

/// Pieces along time hand state on, forwards and backwards.
fn along_time(
    draft: &Draft<'_>,
    class: &ClassDraft,
    place: usize,
    slot: &Slot,
    action: &mut Action,
) {
    let chunks = draft.decision.batch.time_chunks.max(1);
    let buffers = &class.blocks[place].buffers;
    let (batch, piece) = ((slot.micro_batch / chunks) as usize, slot.micro_batch % chunks);
    let (carry, is_first, is_last) = match slot.task {
        Task::Forward => (&buffers.carry, piece == 0, piece + 1 == chunks),
        _ => (&buffers.carry_gradient, piece + 1 == chunks, piece == 0),
    };
    let Some(&carry) = carry.get(batch) else { return };
    if !is_first {
        action.reads.push(latest(carry));
    }
    if !is_last {
        action.writes.push(latest(carry));
    }
}
