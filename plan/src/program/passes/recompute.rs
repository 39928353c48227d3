//! Activations that are computed again.

use super::draft::{ClassDraft, Draft, latest};
use crate::program::{Access, Action, BufferKind, Cause, Element, Lane, Op, Size};
use std::collections::BTreeMap;

/// Inserts the forward pass again before every backward pass that needs it.
///
/// Needs passes of blocks. Leaves, before each first half of a backward pass whose block has
/// something to recompute, an action that reads what was kept and writes what was not; both halves
/// of the backward pass read that. The input of the block and what else was kept stay as they are.
pub(crate) fn recompute(draft: &mut Draft<'_>) {
    let element = Element::Number(draft.decision.precision.compute);
    for class in &mut draft.classes {
        if class.blocks.iter().all(|block| block.charges.recompute.is_none()) {
            continue;
        }
        let mut list = Vec::with_capacity(class.class.actions.len() * 3 / 2);
        let mut made = BTreeMap::new();
        for mut action in std::mem::take(&mut class.class.actions) {
            let block = class.block_of(&action).filter(|_| is_backward(action.op));
            let charge = block.and_then(|place| class.blocks[place].charges.recompute);
            let (Some(place), Some(charge)) = (block, charge) else {
                list.push(action);
                continue;
            };
            let key = (place, action.at.micro_batch);
            if action.op != Op::BackwardWeight {
                let size = Size::exact(class.blocks[place].transient);
                let buffer = class.buffer(BufferKind::Recomputed, size, element);
                made.insert(key, buffer);
                let cause = Cause::Recompute(class.blocks[place].level);
                let mut again = Action::new(Op::Recompute, action.at, Lane::Compute, cause);
                again.charge = charge;
                again.reads = kept(class, &action);
                again.writes.push(latest(buffer));
                list.push(again);
            }
            action.reads.extend(made.get(&key).map(|&buffer| latest(buffer)));
            list.push(action);
        }
        class.class.actions = list;
    }
}

fn is_backward(op: Op) -> bool {
    matches!(op, Op::Backward | Op::BackwardInput | Op::BackwardWeight)
}

/// Of what a backward pass reads, what was kept by the forward pass.
fn kept(class: &ClassDraft, backward: &Action) -> Vec<Access> {
    let kind = |a: &Access| class.class.buffers[a.buffer.0 as usize].kind;
    let was_kept = |a: &Access| matches!(kind(a), BufferKind::Saved | BufferKind::Input);
    backward.reads.iter().copied().filter(was_kept).collect()
}
