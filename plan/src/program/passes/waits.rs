//! Waiting: for messages that are under way, and between lanes.

use super::clocks::{Clock, Clocks, later};
use super::draft::{ClassDraft, Draft};
use super::lists::Lists;
use crate::program::{Access, Action, Cause, Class, Lane, Op, Peers, Token};
use std::collections::{BTreeMap, VecDeque};

/// Holds a rank back when too many of its messages are under way, and until the last has left.
///
/// Needs sends. Leaves, before each send beyond the budget, a wait for the oldest message, and
/// waits for the rest at the end: a message's buffer is free after its wait. A wait comes after
/// the receive of the same message in the common order, so it cannot hang.
pub(crate) fn send_budget(draft: &mut Draft<'_>) {
    let budget = draft.settings.send_budget.max(1) as usize;
    for class in &mut draft.classes {
        let list = std::mem::take(&mut class.class.actions);
        let sends = list.iter().filter(|action| matches!(action.op, Op::Send(_))).count();
        class.class.actions.reserve_exact(list.len() + sends);
        let mut under_way: VecDeque<Action> = VecDeque::new();
        for action in list {
            if let Op::Send(pass) = action.op {
                if under_way.len() >= budget {
                    class.class.actions.extend(under_way.pop_front());
                }
                let mut wait =
                    Action::new(Op::WaitSend(pass), action.at, Lane::Compute, Cause::Pipeline);
                (wait.peers, wait.reads) = (action.peers, action.reads.clone());
                under_way.push_back(wait);
            }
            if action.op == Op::Optimizer {
                class.class.actions.extend(under_way.drain(..));
            }
            class.class.actions.push(action);
        }
        class.class.actions.extend(under_way);
    }
}

/// Notes for every action which actions of other lanes have to have run before.
///
/// Needs versions. Leaves `waits` of the draft: an action waits for the writer of what it reads,
/// and for the writer and all readers of what it overwrites, unless these are behind it anyway.
pub(crate) fn waits(draft: &mut Draft<'_>) {
    for class in &mut draft.classes {
        let mut clocks = Clocks::new(class.class.actions.len());
        let mut hazards = Hazards::new(&class.class);
        class.waits = Vec::with_capacity(class.class.actions.len());
        let mut needs = Vec::new();
        for (i, action) in class.class.actions.iter().enumerate() {
            needs.clear();
            hazards.take(&class.class, action, i as u32, &mut needs);
            needs.sort_unstable();
            needs.dedup();
            let mut clock = clocks.before(action);
            let mut waits = Vec::new();
            for &need in needs.iter().rev() {
                if !clocks.is_behind(need as usize, &clock) {
                    later(&mut clock, clocks.of(need as usize));
                    waits.push(need);
                }
            }
            clocks.push(action, clock);
            class.waits.push(waits);
        }
    }
}

/// Who has to have run before whom, buffer by buffer.
struct Hazards {
    writer: Vec<Option<u32>>,
    readers: Lists,
    sends: BTreeMap<u32, VecDeque<u32>>,
}

impl Hazards {
    fn new(class: &Class) -> Self {
        let buffers = class.buffers.len();
        let readers = Lists::new(buffers);
        Self { writer: vec![None; buffers], readers, sends: BTreeMap::new() }
    }

    fn take(&mut self, class: &Class, action: &Action, id: u32, needs: &mut Vec<u32>) {
        let is_old = |a: &Access| a.version <= 0 && class.buffers[a.buffer.0 as usize].versions > 1;
        for access in action.reads.iter().filter(|a| !is_old(a)) {
            needs.extend(self.writer[access.buffer.0 as usize]);
        }
        for access in &action.writes {
            let buffer = access.buffer.0 as usize;
            needs.extend(self.writer[buffer]);
            needs.extend(self.readers.of(buffer));
        }
        for access in action.reads.iter().filter(|a| !is_old(a)) {
            self.readers.push(access.buffer.0 as usize, id);
        }
        for access in &action.writes {
            let buffer = access.buffer.0 as usize;
            self.writer[buffer] = Some(id);
            self.readers.clear(buffer);
        }
        if let Peers::Channel { channel, .. } = action.peers {
            let sends = self.sends.entry(channel.0).or_default();
            match action.op {
                Op::Send(_) => sends.push_back(id),
                Op::WaitSend(_) => needs.extend(sends.pop_front()),
                _ => {}
            }
        }
        needs.retain(|&need| need != id);
    }
}

/// Turns waits into tokens.
///
/// Needs `waits`, those for memory included. Leaves one token per action that somebody waits for,
/// and no wait that follows from the others.
pub(crate) fn tokens(draft: &mut Draft<'_>) {
    for class in &mut draft.classes {
        prune(class);
        let mut awaited = vec![false; class.class.actions.len()];
        class.waits.iter().flatten().for_each(|&i| awaited[i as usize] = true);
        let mut token_of: Vec<Option<Token>> = Vec::with_capacity(awaited.len());
        let mut next = 0;
        for is_awaited in awaited {
            token_of.push(is_awaited.then_some(Token(next)));
            next += u32::from(is_awaited);
        }
        for (i, action) in class.class.actions.iter_mut().enumerate() {
            action.signals = token_of[i];
            let waits = class.waits[i].iter();
            action.waits = waits.filter_map(|&need| token_of[need as usize]).collect();
        }
    }
}

fn prune(class: &mut ClassDraft) {
    let actions = &class.class.actions;
    let mut clocks = Clocks::new(actions.len());
    for (action, waits) in actions.iter().zip(&mut class.waits) {
        let before = clocks.before(action);
        waits.sort_unstable();
        waits.dedup();
        let mut place = 0;
        while place < waits.len() {
            let others = waits.iter().enumerate().filter(|(other, _)| *other != place);
            let clock = joined(&clocks, before, others.map(|(_, &need)| need));
            match clocks.is_behind(waits[place] as usize, &clock) {
                true => drop(waits.remove(place)),
                false => place += 1,
            }
        }
        let clock = joined(&clocks, before, waits.iter().copied());
        clocks.push(action, clock);
    }
}

fn joined(clocks: &Clocks, mut clock: Clock, needs: impl Iterator<Item = u32>) -> Clock {
    needs.for_each(|need| later(&mut clock, clocks.of(need as usize)));
    clock
}
