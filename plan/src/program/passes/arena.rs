//! Places of buffers in memory.

use super::clocks::{Clock, Clocks, later};
use super::draft::{ClassDraft, Draft};
use super::lists::Lists;
use crate::program::{Action, BufferId, BufferKind, Home, Lane, Op};
use crate::units::Bytes;

/// Buffers start at multiples of this, as the allocators of devices have it.
pub(super) const ALIGNMENT: u64 = 256;

/// Gives every buffer a place: what is kept from step to step first, and above it, in the order of
/// their first use, buffers that share memory where one is done before the other begins.
///
/// Needs versions and waits. Leaves offsets, the size of the arena, and further waits: memory that
/// another lane gave up may be taken by an action that waits for it. Messages take only what was
/// given up before the slot in front of them, so that they travel beside a pass; they would else
/// never hide. For the same reason gradients do not take what the latest reduction will give up:
/// two of them are there in turn. Of the free places the smallest that fits is taken, one without
/// waiting if there is one; the arena grows where none fits.
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
            for &id in of_action(&lives.begin, i) {
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
            for &id in of_action(&lives.end, i) {
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
    /// Buffers in the order in which they are taken, and where those of an action begin.
    begin: (Vec<BufferId>, Vec<u32>),
    /// The same for where they are given back.
    end: (Vec<BufferId>, Vec<u32>),
    /// Per buffer, its last use on each lane.
    last: Lists,
}

fn lives(class: &ClassDraft) -> Lives {
    let (actions, buffers) = (&class.class.actions, &class.class.buffers);
    let mut first: Vec<(u32, BufferId)> = Vec::with_capacity(buffers.len());
    let mut last = Lists::new(buffers.len());
    for (i, action) in (0u32..).zip(actions) {
        for access in action.accesses() {
            let id = access.buffer.0 as usize;
            if buffers[id].is_carried || buffers[id].size.max == Bytes::ZERO {
                continue;
            }
            if last.is_empty(id) {
                first.push((i, access.buffer));
            }
            last.replace(id, i, |before| actions[before as usize].lane == action.lane);
        }
    }
    let size = |id: &BufferId| buffers[id.0 as usize].size.max;
    first.sort_by(|(i, a), (j, b)| i.cmp(j).then(size(b).total_cmp(&size(a))).then(a.cmp(b)));
    let end = |id: &BufferId| last.of(id.0 as usize).max();
    let mut ends: Vec<(u32, BufferId)> =
        first.iter().filter_map(|(_, id)| Some((end(id)?, *id))).collect();
    ends.sort_unstable();
    Lives { begin: by_action(&first, actions.len()), end: by_action(&ends, actions.len()), last }
}

/// Buffers of sorted pairs, and where those of each action begin.
fn by_action(pairs: &[(u32, BufferId)], actions: usize) -> (Vec<BufferId>, Vec<u32>) {
    let mut starts = vec![0; actions + 1];
    pairs.iter().for_each(|(i, _)| starts[*i as usize + 1] += 1);
    for i in 0..actions {
        starts[i + 1] += starts[i];
    }
    (pairs.iter().map(|(_, id)| *id).collect(), starts)
}

/// Buffers of one action.
fn of_action((all, starts): &(Vec<BufferId>, Vec<u32>), i: usize) -> &[BufferId] {
    &all[starts[i] as usize..starts[i + 1] as usize]
}

impl Lives {
    /// What has to have run before the memory of a buffer is free.
    fn ready(&self, id: BufferId, clocks: &Clocks) -> Clock {
        let mut ready = Clock::default();
        for i in self.last.of(id.0 as usize) {
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
    /// Memory that nobody holds, by offset. There are few such parts at a time, so a list that is
    /// searched is faster than a tree.
    free: Vec<Free>,
}

/// Memory that nobody holds.
#[derive(Clone, Copy)]
struct Free {
    offset: u64,
    size: u64,
    /// What has to have run before it may be written.
    ready: Clock,
}

impl Free {
    fn end(&self) -> u64 {
        self.offset + self.size
    }

    /// Whether it is ready only after a clock.
    fn is_after(&self, clock: &Clock) -> bool {
        self.ready.iter().zip(clock).any(|(ready, clock)| ready > clock)
    }
}

impl Arena {
    fn grow(&mut self, size: u64) -> u64 {
        let offset = self.end;
        self.end += size;
        offset
    }

    /// Takes memory; also says what has to have run before.
    fn take(&mut self, size: u64, clock: &Clock, fence: &Clock) -> (u64, Clock) {
        if let Some(at) = self.best(size, clock, fence) {
            let found = self.free[at];
            if found.size > size {
                self.free[at].offset += size;
                self.free[at].size -= size;
            } else {
                self.free.remove(at);
            }
            return (found.offset, found.ready);
        }
        let top = self.free.last().filter(|f| f.end() == self.end && !f.is_after(fence));
        if let Some(&top) = top {
            self.free.pop();
            self.end = top.offset + size;
            return (top.offset, top.ready);
        }
        (self.grow(size), Clock::default())
    }

    /// The smallest part that fits, if possible one without waiting; of equal ones the lowest.
    fn best(&self, size: u64, clock: &Clock, fence: &Clock) -> Option<usize> {
        let mut best: Option<(bool, u64, usize)> = None;
        for (at, part) in self.free.iter().enumerate() {
            let is_worse = best.is_some_and(|(waits, least, _)| !waits && part.size >= least);
            if part.size < size || is_worse || part.is_after(fence) {
                continue;
            }
            let key = (part.is_after(clock), part.size, at);
            if best.is_none_or(|best| key < best) {
                best = Some(key);
            }
        }
        best.map(|(.., at)| at)
    }

    /// Gives memory back; neighbours become one.
    fn give(&mut self, offset: u64, size: u64, ready: Clock) {
        let mut given = Free { offset, size, ready };
        let mut at = self.free.partition_point(|f| f.offset < offset);
        if let Some(next) = self.free.get(at).filter(|next| next.offset == given.end()) {
            given.size += next.size;
            later(&mut given.ready, &next.ready);
            self.free.remove(at);
        }
        let before = at.checked_sub(1).map(|before| self.free[before]);
        if let Some(before) = before.filter(|before| before.end() == offset) {
            at -= 1;
            given = Free { offset: before.offset, size: before.size + given.size, ..given };
            later(&mut given.ready, &before.ready);
            self.free.remove(at);
        }
        self.free.insert(at, given);
    }
}
