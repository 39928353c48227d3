//! Versions of accesses, and places of collectives in their sequences.

use super::CARRIED;
use super::draft::Draft;
use crate::program::{Access, Action, Buffer, Cadence, Peers};
use std::collections::BTreeMap;

/// Gives every access its version and every collective its place.
///
/// Needs the final list of actions, with accesses that say how many versions back they mean.
/// Leaves versions that count the writes of a step: of actions that run in the same steps. How
/// often each buffer is written goes into the buffer.
pub(crate) fn versions(draft: &mut Draft<'_>) {
    for class in &mut draft.classes {
        let class = &mut class.class;
        let mut counts = Counts::new(class.buffers.len());
        let mut sequences: BTreeMap<u32, u32> = BTreeMap::new();
        for action in &mut class.actions {
            counts.number(&mut class.buffers, action);
            if let Peers::Group { communicator, sequence, .. } = &mut action.peers {
                let next = sequences.entry(communicator.0).or_default();
                *sequence = *next;
                *next += 1;
            }
        }
    }
}

/// Writes so far, those of every step and those of some steps apart.
struct Counts {
    always: Vec<i32>,
    sometimes: BTreeMap<(Cadence, u32), i32>,
}

impl Counts {
    fn new(buffers: usize) -> Self {
        Self { always: vec![0; buffers], sometimes: BTreeMap::new() }
    }

    fn of(&self, access: Access, cadence: Cadence) -> i32 {
        let also = self.sometimes.get(&(cadence, access.buffer.0)).copied().unwrap_or(0);
        self.always[access.buffer.0 as usize] + also
    }

    fn number(&mut self, buffers: &mut [Buffer], action: &mut Action) {
        let is_ring = |a: &Access, buffers: &[Buffer]| buffers[a.buffer.0 as usize].versions > 1;
        for access in &mut action.reads {
            if access.version == CARRIED {
                access.version = 0;
            } else if !is_ring(access, buffers) {
                access.version = self.of(*access, action.cadence) - access.version;
            }
        }
        for access in &mut action.writes {
            buffers[access.buffer.0 as usize].writes += 1;
            if !is_ring(access, buffers) {
                access.version = self.of(*access, action.cadence) + 1;
            }
        }
        for access in &action.writes {
            match action.cadence == Cadence::EACH_STEP {
                true => self.always[access.buffer.0 as usize] += 1,
                false => {
                    *self.sometimes.entry((action.cadence, access.buffer.0)).or_default() += 1;
                }
            }
        }
    }
}
