//! Activations that wait for their backward pass on the host.

use super::draft::{ClassDraft, Draft, latest};
use crate::program::{Access, Action, Buffer, BufferId, BufferKind, Cause, Home, Lane, Op};
use crate::units::Bytes;
use crate::work::Work;
use std::collections::BTreeMap;

/// Passes between which it is not worth it: the copy would come back before it has left.
const NEAR: usize = 4;
/// Passes ahead of its use at which a copy comes back.
const AHEAD: usize = 2;

/// Copies kept activations to the host after their forward pass, and back before the pass that
/// needs them.
///
/// Needs passes of blocks, recomputation included. Leaves, for every kept activation that at least
/// [`NEAR`] passes go by unused, a copy out on lane `CopyOut`, a copy in on lane `CopyIn`, two
/// passes ahead, and passes that read what came back. Stale activations stay on the device.
pub(crate) fn offload(draft: &mut Draft<'_>) {
    for rank in 0..draft.classes.len() {
        let mut class = std::mem::take(&mut draft.classes[rank]);
        let stays = gaps(&class);
        let mut before: BTreeMap<usize, Vec<Action>> = BTreeMap::new();
        let mut after: BTreeMap<usize, Vec<Action>> = BTreeMap::new();
        let mut back: BTreeMap<BufferId, BufferId> = BTreeMap::new();
        for stay in stays {
            let made = copies(draft, &mut class, &stay);
            back.insert(stay.buffer, made.buffer);
            after.entry(stay.made).or_default().push(made.out);
            before.entry(stay.returns).or_default().push(made.back);
        }
        let list = std::mem::take(&mut class.class.actions);
        for (i, mut action) in list.into_iter().enumerate() {
            class.class.actions.extend(before.remove(&i).unwrap_or_default());
            redirect(&mut action, &back);
            class.class.actions.push(action);
            class.class.actions.extend(after.remove(&i).unwrap_or_default());
        }
        draft.classes[rank] = class;
    }
}

/// A kept activation that a while goes by without.
struct Stay {
    buffer: BufferId,
    /// The pass that made or last used it on the way forward.
    made: usize,
    /// Where the copy comes back.
    returns: usize,
}

struct Copies {
    buffer: BufferId,
    out: Action,
    back: Action,
}

fn is_backward(op: Op) -> bool {
    matches!(op, Op::Backward | Op::BackwardInput | Op::BackwardWeight | Op::Recompute)
}

fn gaps(class: &ClassDraft) -> Vec<Stay> {
    let actions = &class.class.actions;
    let passes: Vec<usize> = (0..actions.len()).filter(|&i| actions[i].is_pass()).collect();
    let mut made: BTreeMap<BufferId, usize> = BTreeMap::new();
    let mut stays = Vec::new();
    for (place, &i) in passes.iter().enumerate() {
        for access in actions[i].accesses().filter(|a| can_leave(class, a)) {
            let buffer = access.buffer;
            if !is_backward(actions[i].op) {
                made.insert(buffer, place);
            } else if let Some(from) = made.remove(&buffer)
                && place - from > NEAR
            {
                // The first backward use decides; later ones read what came back for it.
                let returns = passes[place - AHEAD];
                stays.push(Stay { buffer, made: passes[from], returns });
            }
        }
    }
    stays
}

fn can_leave(class: &ClassDraft, access: &Access) -> bool {
    let buffer = &class.class.buffers[access.buffer.0 as usize];
    let is_kept = matches!(buffer.kind, BufferKind::Saved | BufferKind::Input);
    is_kept && buffer.versions == 1 && buffer.size.max > Bytes::ZERO
}

fn copies(draft: &mut Draft<'_>, class: &mut ClassDraft, stay: &Stay) -> Copies {
    let device = class.class.buffers[stay.buffer.0 as usize];
    let host = class.add(Buffer { home: Home::Host, ..device });
    let buffer = class.add(device);
    let charge = draft.tables.work(Work::HostCopy(device.size.expected));
    let at = class.class.actions[stay.made].at;
    let copy = |op, lane, from: BufferId, to: BufferId| {
        let mut action = Action::new(op, at, lane, Cause::Offload);
        action.charge = charge;
        action.reads.push(latest(from));
        action.writes.push(latest(to));
        action
    };
    let out = copy(Op::Offload, Lane::CopyOut, stay.buffer, host);
    let back = copy(Op::Reload, Lane::CopyIn, host, buffer);
    Copies { buffer, out, back }
}

/// Backward passes read what came back.
fn redirect(action: &mut Action, back: &BTreeMap<BufferId, BufferId>) {
    if is_backward(action.op) {
        for access in &mut action.reads {
            if let Some(&buffer) = back.get(&access.buffer) {
                access.buffer = buffer;
            }
        }
    }
}
