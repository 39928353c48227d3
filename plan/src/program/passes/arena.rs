//! Places of buffers in memory.

use super::clocks::{Clock, Clocks, later};
use super::draft::{ClassDraft, Draft};
use crate::program::{Action, BufferId, BufferKind, Home, Lane, Op};
use crate::units::Bytes;
use std::collections::BTreeMap;

/// Buffers start at multiples of this, as the allocators of devices have it.
pub(super) const ALIGNMENT: u64 = 256;

/// Gives every buffer a place: what is kept from step to step first, and above it, in the order of
/// their first use, buffers that share memory where one is done before the other begins.
///
/// Needs versions and waits. Leaves offsets, the size of the arena, and further waits: memory that
/// another lane gave up may be taken by an action that waits for it. Messages take only what was
/// given up before the slot in front of them, so that they travel beside a pass; they would else
/// never hide. For the same reason gradients do not take what the latest reduction will give up: two
/// of them are there in turn. Of the free places the smallest that fits is taken, one without waiting if there is
/// one; the arena grows where none fits.
pub(crate) fn arena(draft: &mut Draft<'_>) {
    for class in &mut draft.classes {
        let lives = lives(class);
        let mut device = Arena::default();
        let mut host = Arena::default();
        for id in 0..class.class.buffers.len() {
            if class.class.buffers[id].is_carried {
                let home = class.class.buffers[id].home;
                let arena = if home == Home::Host { &mut host } else { &mut device };
                let size = aligned(class.class.buffers[id].footprint());
                class.class.buffers[id].offset = Some(Bytes::from_count(arena.grow(size)));
            }
        }
        let mut clocks = Clocks::new(class.class.actions.len());
        let mut slots = Slots::default();
        for i in 0..class.class.actions.len() {
            let mut clock = clocks.before(&class.class.actions[i]);
            class.waits[i].iter().for_each(|&w| later(&mut clock, clocks.of(w as usize)));
            slots.pass(&class.class.actions[i], &clocks);
            for &id in &lives.begin[i] {
                let buffer = &class.class.buffers[id.0 as usize];
                let arena = if buffer.home == Home::Host { &mut host } else { &mut device };
                let fence = slots.fence(&class.class.actions[i], buffer.kind, &clock);
                let (offset, ready) = arena.take(aligned(buffer.footprint()), &clock, &fence);
                class.class.buffers[id.0 as usize].offset = Some(Bytes::from_count(offset));
                for need in missing(&clocks, &clock, &ready) {
                    later(&mut clock, clocks.of(need as usize));
                    class.waits[i].push(need);
                }
            }
            clocks.push(&class.class.actions[i], clock);
            for &id in &lives.end[i] {
                let buffer = &class.class.buffers[id.0 as usize];
                let arena = if buffer.home == Home::Host { &mut host } else { &mut device };
                let offset = buffer.offset.map_or(0, |o| o.get() as u64);
                let ready = lives.ready(id, &clocks);
                arena.give(offset, aligned(buffer.footprint()), ready);
            }
        }
        class.class.arena = Bytes::from_count(device.end);
    }
}

/// Size with the gap to the next multiple of the alignment.
pub(super) fn aligned(size: Bytes) -> u64 {
    (size.get().ceil() as u64).next_multiple_of(ALIGNMENT)
}

/// Actions whose running has to be waited for until a clock is reached.
fn missing(clocks: &Clocks, clock: &Clock, ready: &Clock) -> Vec<u32> {
    let lanes = ready.iter().zip(clock).enumerate().filter(|(_, (r, c))| r > c);
    lanes.filter_map(|(lane, (&place, _))| clocks.at(lane, place)).collect()
}

/// Where buffers are used first and last.
struct Lives {
    begin: Vec<Vec<BufferId>>,
    end: Vec<Vec<BufferId>>,
    /// Per buffer, its last use on each lane.
    last: Vec<Vec<u32>>,
}

fn lives(class: &ClassDraft) -> Lives {
    let actions = &class.class.actions;
    let mut lives = Lives {
        begin: vec![Vec::new(); actions.len()],
        end: vec![Vec::new(); actions.len()],
        last: vec![Vec::new(); class.class.buffers.len()],
    };
    for (i, action) in actions.iter().enumerate() {
        for access in action.accesses() {
            let buffer = &class.class.buffers[access.buffer.0 as usize];
            if buffer.is_carried || buffer.size.max == Bytes::ZERO {
                continue;
            }
            let last = &mut lives.last[access.buffer.0 as usize];
            if last.is_empty() {
                lives.begin[i].push(access.buffer);
            }
            last.retain(|&before| actions[before as usize].lane != action.lane);
            last.push(i as u32);
        }
    }
    for (id, last) in lives.last.iter().enumerate() {
        if let Some(&at) = last.iter().max() {
            lives.end[at as usize].push(BufferId(id as u32));
        }
    }
    let size = |id: &BufferId| class.class.buffers[id.0 as usize].size.max;
    for begin in &mut lives.begin {
        begin.sort_by(|a, b| size(b).total_cmp(&size(a)).then(a.cmp(b)));
    }
    lives
}

impl Lives {
    /// What has to have run before the memory of a buffer is free.
    fn ready(&self, id: BufferId, clocks: &Clocks) -> Clock {
        let mut ready = Clock::default();
        for &i in &self.last[id.0 as usize] {
            let (lane, place) = clocks.place(i as usize);
            ready[lane] = ready[lane].max(place);
        }
        ready
    }
}

/// Compute slots as they go by.
#[derive(Default)]
struct Slots {
    current: Option<(u32, Option<u32>, bool)>,
    /// Place on the compute lane at which the latest slot began.
    began: u32,
    /// Places on the data lane of the latest reduction and of the one before it.
    reduced: (u32, u32),
}

impl Slots {
    fn pass(&mut self, action: &Action, clocks: &Clocks) {
        if action.is_pass() {
            let is_forward = action.op == Op::Forward;
            let slot = Some((action.at.stage, action.at.micro_batch, is_forward));
            if self.current != slot {
                self.current = slot;
                self.began = clocks.length(Lane::Compute);
            }
        }
        if matches!(action.op, Op::Reduce(_)) {
            self.reduced = (clocks.length(Lane::Data) + 1, self.reduced.0);
        }
    }

    /// Places on each lane after which freed memory is not to be waited for.
    fn fence(&self, action: &Action, kind: BufferKind, clock: &Clock) -> Clock {
        let mut fence = [u32::MAX; Lane::ALL.len()];
        let (compute, data) = (Lane::Compute as usize, Lane::Data as usize);
        if matches!(action.op, Op::Receive(_)) {
            fence[compute] = self.began.max(clock[compute]);
        }
        if kind == BufferKind::Gradient {
            fence[data] = self.reduced.1.max(clock[data]);
        }
        fence
    }
}

/// Memory of one home.
#[derive(Default)]
struct Arena {
    end: u64,
    free: BTreeMap<u64, Free>,
}

/// Memory that nobody holds.
#[derive(Clone, Copy)]
struct Free {
    size: u64,
    /// What has to have run before it may be written.
    ready: Clock,
}

impl Arena {
    fn grow(&mut self, size: u64) -> u64 {
        let offset = self.end;
        self.end += size;
        offset
    }

    /// Takes memory; also says what has to have run before.
    fn take(&mut self, size: u64, clock: &Clock, fence: &Clock) -> (u64, Clock) {
        let waits = |f: &Free| f.ready.iter().zip(clock).any(|(r, c)| r > c);
        let allowed = |f: &Free| f.ready.iter().zip(fence).all(|(r, most)| r <= most);
        let fits = self.free.iter().filter(|(_, f)| f.size >= size && allowed(f));
        let best = fits.min_by_key(|(offset, f)| (waits(f), f.size, **offset));
        if let Some((&offset, &found)) = best {
            self.free.remove(&offset);
            if found.size > size {
                let rest = Free { size: found.size - size, ..found };
                self.free.insert(offset + size, rest);
            }
            return (offset, found.ready);
        }
        let top = self.free.last_key_value().filter(|(o, f)| **o + f.size == self.end);
        if let Some((&offset, &top)) = top.filter(|(_, f)| allowed(f)) {
            self.free.remove(&offset);
            self.end = offset + size;
            return (offset, top.ready);
        }
        (self.grow(size), Clock::default())
    }

    /// Gives memory back; neighbours become one.
    fn give(&mut self, offset: u64, size: u64, ready: Clock) {
        let mut merged = (offset, Free { size, ready });
        if let Some((&before, &free)) = self.free.range(..offset).next_back()
            && before + free.size == offset
        {
            self.free.remove(&before);
            merged.0 = before;
            merged.1.size += free.size;
            later(&mut merged.1.ready, &free.ready);
        }
        if let Some(free) = self.free.remove(&(offset + size)) {
            merged.1.size += free.size;
            later(&mut merged.1.ready, &free.ready);
        }
        self.free.insert(merged.0, merged.1);
    }
}
