//! Fewer, larger collectives.

use super::draft::{ClassDraft, Draft};
use crate::program::{Action, BufferId, LayerSpan, Op, Peers};
use crate::units::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// Joins collectives on gradients or weights that work in place, until a bucket is full.
///
/// Needs reductions and gathers per block. Leaves, for neighbours of the same kind in one group,
/// one collective at the place of the last of them, of all their bytes and buffers. A bucket that
/// is not full goes out when somebody needs what is in it. The sum of bytes stays as it is.
/// Latency against bandwidth: the size is the plan's.
pub(crate) fn buckets(draft: &mut Draft<'_>) {
    for rank in 0..draft.classes.len() {
        let mut class = std::mem::take(&mut draft.classes[rank]);
        let mut open = Open::default();
        // Where there is nothing to join, moving the list would cost as much as making it.
        if class.class.actions.iter().all(|action| key(action).is_none()) {
            draft.classes[rank] = class;
            continue;
        }
        let list = std::mem::take(&mut class.class.actions);
        class.class.actions.reserve_exact(list.len());
        for action in list {
            match key(&action) {
                Some(key) => open.add(draft, &mut class, key, action),
                None => {
                    let needs = action.accesses().any(|a| open.held.contains(&a.buffer));
                    if needs {
                        open.flush(draft, &mut class);
                    }
                    class.class.actions.push(action);
                }
            }
        }
        open.flush(draft, &mut class);
        draft.classes[rank] = class;
    }
}

/// What may be joined: operation, group, place in the order of the table.
type Key = (Op, u32);

/// The key of a collective in place.
fn key(action: &Action) -> Option<Key> {
    let Peers::Group { communicator, .. } = action.peers else { return None };
    let is_kind = matches!(action.op, Op::Reduce(_) | Op::Gather);
    let is_in_place = !action.writes.is_empty() && action.reads == action.writes;
    (is_kind && is_in_place).then_some((action.op, communicator.0))
}

#[derive(Default)]
struct Open {
    buckets: BTreeMap<Key, Action>,
    held: BTreeSet<BufferId>,
}

impl Open {
    fn add(&mut self, draft: &mut Draft<'_>, class: &mut ClassDraft, key: Key, action: Action) {
        self.held.extend(action.accesses().map(|a| a.buffer));
        let joined = match self.buckets.remove(&key) {
            Some(before) => join(before, action),
            None => action,
        };
        if size(&joined) >= draft.settings.bucket {
            self.close(draft, class, joined);
        } else {
            self.buckets.insert(key, joined);
        }
    }

    fn flush(&mut self, draft: &mut Draft<'_>, class: &mut ClassDraft) {
        for (_, action) in std::mem::take(&mut self.buckets) {
            self.close(draft, class, action);
        }
    }

    /// Puts a bucket into the list, with its price.
    fn close(&mut self, draft: &mut Draft<'_>, class: &mut ClassDraft, mut action: Action) {
        for access in action.accesses() {
            self.held.remove(&access.buffer);
        }
        if let Peers::Group { communicator, collective, payload, .. } = action.peers {
            let purpose = draft.tables.communicators[communicator.0 as usize].purpose;
            if let Some((peers, charge)) = draft.tables.collective(purpose, collective, payload) {
                (action.peers, action.charge) = (peers, charge);
            }
        }
        class.class.actions.push(action);
    }
}

fn size(action: &Action) -> Bytes {
    match action.peers {
        Peers::Group { payload, .. } => payload.size.max,
        _ => Bytes::ZERO,
    }
}

fn join(mut first: Action, second: Action) -> Action {
    if let (Peers::Group { payload, .. }, Peers::Group { payload: other, .. }) =
        (&mut first.peers, second.peers)
    {
        payload.size = payload.size.plus(other.size);
    }
    first.reads.extend(second.reads);
    first.writes.extend(second.writes);
    if let (Some(a), Some(b)) = (first.at.layers, second.at.layers) {
        let span = LayerSpan { first: a.first.min(b.first), last: a.last.max(b.last) };
        first.at.layers = Some(span);
    }
    first.at.stage = second.at.stage;
    first
}
