//! Tokens, versions, races, and memory that changes owners: what happens before what in a rank.

use super::tables::{is_from_before, place};
use super::{Flaw, Place};
use crate::program::passes::clocks::{Clock, Clocks, later};
use crate::program::{
    Access, Action, BufferId, Cadence, Cause, Charge, Class, Op, Peers, Program, Token,
};
use crate::work::Pass;
use std::collections::{BTreeMap, VecDeque};

/// Checks the steps in which actions of a cadence run.
pub(super) fn check(program: &Program, class: &Class, cadence: Cadence) -> Result<(), Flaw> {
    let runs = |a: &Action| a.cadence == Cadence::EACH_STEP || a.cadence == cadence;
    let mut walk = Walk::new(program, class);
    for (at, action) in class.actions.iter().enumerate().filter(|(_, a)| runs(a)) {
        walk.take(at, action, runs)?;
    }
    Ok(())
}

struct Walk<'a> {
    program: &'a Program,
    class: &'a Class,
    clocks: Clocks,
    /// Place in the list of each action that was taken.
    taken: Vec<usize>,
    signals: Signals,
    buffers: Vec<State>,
    under_way: BTreeMap<u32, VecDeque<usize>>,
    owners: super::memory::Owners,
}

/// Who signals each token, among the taken actions. Tokens are dense in what was lowered; a program
/// from elsewhere may number them as it likes.
struct Signals {
    dense: Vec<Option<u32>>,
    others: BTreeMap<Token, u32>,
}

impl Signals {
    fn new(actions: usize) -> Self {
        Self { dense: vec![None; actions + 1], others: BTreeMap::new() }
    }

    fn get(&self, token: Token) -> Option<usize> {
        let found = match self.dense.get(token.0 as usize) {
            Some(dense) => *dense,
            None => self.others.get(&token).copied(),
        };
        found.map(|id| id as usize)
    }

    /// Whether the token is new.
    fn insert(&mut self, token: Token, id: usize) -> bool {
        let id = id as u32;
        match self.dense.get_mut(token.0 as usize) {
            Some(dense) => dense.replace(id).is_none(),
            None => self.others.insert(token, id).is_none(),
        }
    }
}

/// What a buffer holds, and who made and used it (places among the taken actions).
#[derive(Clone, Default)]
struct State {
    version: i32,
    writer: Option<usize>,
    readers: Vec<usize>,
}

impl<'a> Walk<'a> {
    fn new(program: &'a Program, class: &'a Class) -> Self {
        Self {
            program,
            class,
            clocks: Clocks::new(class.actions.len()),
            taken: Vec::new(),
            signals: Signals::new(class.actions.len()),
            buffers: vec![State::default(); class.buffers.len()],
            under_way: BTreeMap::new(),
            owners: super::memory::Owners::new(class),
        }
    }

    fn take(
        &mut self,
        at: usize,
        action: &Action,
        runs: impl Fn(&Action) -> bool,
    ) -> Result<(), Flaw> {
        let me = place(self.class, at);
        let mut clock = self.clocks.before(action);
        for &token in &action.waits {
            match self.signals.get(token) {
                Some(taken) => later(&mut clock, self.clocks.of(taken)),
                None if self.is_left_out(token, at, &runs) => {}
                None => return Err(Flaw::NeverSignalled { place: me, token }),
            }
        }
        for access in &action.reads {
            self.read(me, &clock, (action, access))?;
        }
        for access in &action.writes {
            self.write(me, &clock, access)?;
        }
        self.wait_send(me, &clock, action)?;
        let id = self.taken.len();
        for access in action.accesses() {
            self.owners.take(self.class, (at, access.buffer), &clock)?;
        }
        self.clocks.push(action, clock);
        self.taken.push(at);
        self.note(id, action);
        for access in action.accesses() {
            self.owners.used(access.buffer, self.clocks.place(id));
        }
        if let Some(token) = action.signals
            && !self.signals.insert(token, id)
        {
            return Err(Flaw::SignalledTwice { place: me, token });
        }
        Ok(())
    }

    /// Whether a token belongs to an action before that does not run in these steps.
    fn is_left_out(&self, token: Token, at: usize, runs: impl Fn(&Action) -> bool) -> bool {
        let before = &self.class.actions[..at];
        before.iter().any(|a| a.signals == Some(token) && !runs(a))
    }

    fn race(&self, me: Place, clock: &Clock, before: usize, buffer: BufferId) -> Result<(), Flaw> {
        if self.clocks.is_behind(before, clock) {
            return Ok(());
        }
        let before = place(self.class, self.taken[before]);
        Err(Flaw::Race { place: me, before, buffer })
    }

    fn read(
        &self,
        me: Place,
        clock: &Clock,
        (action, access): (&Action, &Access),
    ) -> Result<(), Flaw> {
        let buffer = &self.class.buffers[access.buffer.0 as usize];
        let state = &self.buffers[access.buffer.0 as usize];
        let (read, held) = (access.version, state.version);
        let flaw = |held| Flaw::Version { place: me, buffer: access.buffer, read, held };
        if buffer.versions > 1 {
            // Passes on the way back read what is oldest, everything else what is new.
            let oldest = 2 - i32::try_from(buffer.versions).unwrap_or(i32::MAX);
            let meant = if looks_back(self.program, action) { oldest } else { 1 };
            if read != meant {
                return Err(flaw(meant));
            }
            if is_from_before(buffer, read) {
                return if buffer.is_carried { Ok(()) } else { Err(flaw(held)) };
            }
        }
        if read != held {
            return Err(flaw(held));
        }
        match state.writer {
            Some(writer) => self.race(me, clock, writer, access.buffer),
            None if buffer.is_carried => Ok(()),
            None => Err(Flaw::Empty { place: me, buffer: access.buffer }),
        }
    }

    fn write(&self, me: Place, clock: &Clock, access: &Access) -> Result<(), Flaw> {
        let state = &self.buffers[access.buffer.0 as usize];
        let (written, next) = (access.version, state.version + 1);
        if written != next {
            return Err(Flaw::NotNext { place: me, buffer: access.buffer, written, next });
        }
        for &before in state.writer.iter().chain(&state.readers) {
            self.race(me, clock, before, access.buffer)?;
        }
        Ok(())
    }

    /// Messages are waited for in the order in which they were sent.
    fn wait_send(&mut self, me: Place, clock: &Clock, action: &Action) -> Result<(), Flaw> {
        let Peers::Channel { channel, .. } = action.peers else { return Ok(()) };
        let under_way = self.under_way.entry(channel.0).or_default();
        match action.op {
            Op::Send(_) => under_way.push_back(self.taken.len()),
            Op::WaitSend(_) => {
                let what = "no message is under way on its channel";
                let sent = under_way.pop_front().ok_or(Flaw::WaitSend { place: me, what })?;
                let message = &self.class.actions[self.taken[sent]];
                if message.reads != action.reads || message.at != action.at {
                    let what = "the oldest message of its channel is another one";
                    return Err(Flaw::WaitSend { place: me, what });
                }
                if !self.clocks.is_behind(sent, clock) {
                    let what = "it does not wait for its message";
                    return Err(Flaw::WaitSend { place: me, what });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn note(&mut self, id: usize, action: &Action) {
        for access in &action.reads {
            let buffer = &self.class.buffers[access.buffer.0 as usize];
            if !is_from_before(buffer, access.version) {
                self.buffers[access.buffer.0 as usize].readers.push(id);
            }
        }
        for access in &action.writes {
            let state = &mut self.buffers[access.buffer.0 as usize];
            (state.version, state.writer) = (access.version, Some(id));
            state.readers.clear();
        }
    }
}

/// Whether an action is a pass on the way back, or a collective inside one.
fn looks_back(program: &Program, action: &Action) -> bool {
    match action.op {
        Op::Layer(..) if action.at.layers.is_some() => {
            let repeats = matches!(action.cause, Cause::Recompute(_));
            let pass = match program.charge(action) {
                Charge::Layers { pass, .. } => Some(*pass),
                _ => None,
            };
            repeats || pass == Some(Pass::Backward)
        }
        _ => action.is_pass() && action.op != Op::Forward,
    }
}
