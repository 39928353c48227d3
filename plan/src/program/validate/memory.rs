//! Memory: who holds which part of the arena, and whether it is large enough.

use super::Flaw;
use super::tables::place;
use crate::program::passes::clocks::Clock;
use crate::program::{BufferId, Class, Home, Program};
use crate::units::Bytes;
use std::collections::BTreeMap;

/// Parts of the arenas and who holds them.
pub(super) struct Owners {
    /// Per home, start → end and owner.
    parts: [BTreeMap<u64, (u64, BufferId)>; 2],
    /// Per buffer, what has to have run before its memory is free; `None` while it has none.
    used: Vec<Option<Clock>>,
    /// Per buffer, how many uses are still to come.
    left: Vec<u32>,
}

fn span(class: &Class, id: BufferId) -> Option<(usize, u64, u64)> {
    let buffer = &class.buffers[id.0 as usize];
    let start = buffer.offset?.get() as u64;
    let home = usize::from(buffer.home == Home::Host);
    let size = buffer.footprint().get().ceil() as u64;
    (size > 0).then_some((home, start, start.saturating_add(size)))
}

impl Owners {
    pub fn new(class: &Class) -> Self {
        let mut left = vec![0; class.buffers.len()];
        for access in class.actions.iter().flat_map(|a| a.accesses()) {
            left[access.buffer.0 as usize] += 1;
        }
        let mut owners =
            Self { parts: Default::default(), used: vec![None; class.buffers.len()], left };
        for i in (0..class.buffers.len()).filter(|&i| class.buffers[i].is_carried) {
            let id = BufferId(i as u32);
            if let Some((home, start, end)) = span(class, id) {
                owners.parts[home].insert(start, (end, id));
            }
            // What is kept from step to step is never free.
            owners.left[i] = u32::MAX;
            owners.used[i] = Some(Clock::default());
        }
        owners
    }

    /// A buffer is used: at first use it takes its part, and its former owners must be done.
    pub fn take(
        &mut self,
        class: &Class,
        (at, id): (usize, BufferId),
        clock: &Clock,
    ) -> Result<(), Flaw> {
        if self.used[id.0 as usize].is_some() {
            return Ok(());
        }
        self.used[id.0 as usize] = Some(Clock::default());
        let Some((home, start, end)) = span(class, id) else { return Ok(()) };
        for (s, (e, other)) in self.overlapping(home, start, end) {
            let is_done = self.left[other.0 as usize] == 0;
            let used = self.used[other.0 as usize].unwrap_or_default();
            let is_behind = used.iter().zip(clock).all(|(used, clock)| used <= clock);
            if !(is_done && is_behind) {
                return Err(Flaw::Overlap { place: place(class, at), buffer: id, other });
            }
            self.parts[home].remove(&s);
            if s < start {
                self.parts[home].insert(s, (start, other));
            }
            if e > end {
                self.parts[home].insert(end, (e, other));
            }
        }
        self.parts[home].insert(start, (end, id));
        Ok(())
    }

    fn overlapping(&self, home: usize, start: u64, end: u64) -> Vec<(u64, (u64, BufferId))> {
        let parts = &self.parts[home];
        let before = parts.range(..start).next_back().filter(|(_, (e, _))| *e > start);
        let within = parts.range(start..end);
        before.into_iter().chain(within).map(|(&s, &part)| (s, part)).collect()
    }

    /// Notes a use at a place of a lane.
    pub fn used(&mut self, id: BufferId, (lane, place): (usize, u32)) {
        let left = &mut self.left[id.0 as usize];
        if *left != u32::MAX {
            *left = left.saturating_sub(1);
        }
        if let Some(used) = &mut self.used[id.0 as usize] {
            used[lane] = used[lane].max(place);
        }
    }
}

pub(super) fn check(program: &Program, class: &Class) -> Result<(), Flaw> {
    let (rank, arena) = (class.first_rank, class.arena);
    carried(class)?;
    for (i, buffer) in class.buffers.iter().enumerate() {
        let id = BufferId(i as u32);
        let is_used = buffer.size.max > Bytes::ZERO && (buffer.is_carried || buffer.writes > 0);
        let end = span(class, id).map(|(_, _, end)| Bytes::from_count(end));
        let fits = end.is_some_and(|end| buffer.home == Home::Host || end <= arena);
        if is_used && !fits {
            return Err(Flaw::Unplaced { rank, buffer: id, arena });
        }
    }
    let live = class.live_peak();
    if live > arena {
        return Err(Flaw::Arena { rank, live, arena });
    }
    match program.capacity {
        Some(capacity) if arena > capacity => Err(Flaw::Capacity { rank, arena, capacity }),
        _ => Ok(()),
    }
}

/// Buffers that are kept from step to step lie apart.
fn carried(class: &Class) -> Result<(), Flaw> {
    let ids = (0..class.buffers.len()).filter(|&i| class.buffers[i].is_carried);
    let mut spans: Vec<((usize, u64, u64), BufferId)> =
        ids.filter_map(|i| Some((span(class, BufferId(i as u32))?, BufferId(i as u32)))).collect();
    spans.sort_unstable_by_key(|(span, _)| *span);
    for pair in spans.windows(2) {
        let ((home, _, end), other) = pair[0];
        let ((next_home, start, _), buffer) = pair[1];
        if home == next_home && start < end && !class.actions.is_empty() {
            return Err(Flaw::Overlap { place: place(class, 0), buffer, other });
        }
    }
    Ok(())
}
