//! Whether ranks meet: messages and collectives match, and nothing hangs.
//!
//! The strictest machine is run: every rank does its list from top to bottom, one action at a
//! time, and every send blocks until it is taken. What does not hang there does not hang with any
//! amount of buffering, and not on lanes that run beside each other either, since those wait for
//! less. Ranks of one class act alike, so each class is run once: its rank at some place talks to
//! the ranks at the same place of other classes.

use super::tables::place;
use super::{Flaw, Place};
use crate::program::{Action, Op, Peers, Program};

pub(super) fn check(program: &Program) -> Result<(), Flaw> {
    let mut run = Run { program, next: vec![0; program.classes.len()] };
    let mut awake: Vec<usize> = (0..run.next.len()).rev().collect();
    while let Some(class) = awake.pop() {
        while let Some(met) = run.step(class)? {
            // Whoever was met may go on, too.
            awake.extend(met.into_iter().filter(|&other| other != class));
        }
    }
    run.finish()
}

struct Run<'a> {
    program: &'a Program,
    /// Per class, the action in front.
    next: Vec<usize>,
}

impl Run<'_> {
    fn front(&self, class: usize) -> Option<&Action> {
        self.program.classes[class].actions.get(self.next[class])
    }

    fn place(&self, class: usize) -> Place {
        place(&self.program.classes[class], self.next[class])
    }

    /// Does the action in front of a class if it can; `None` if it has to wait or is done.
    fn step(&mut self, class: usize) -> Result<Option<Vec<usize>>, Flaw> {
        let Some(action) = self.front(class) else { return Ok(None) };
        let met = match (action.op, action.peers) {
            (Op::Send(_) | Op::Receive(_), Peers::Channel { .. }) => self.message(class)?,
            (_, Peers::Group { .. }) => self.collective(class)?,
            _ => Some(Vec::new()),
        };
        let Some(others) = met else { return Ok(None) };
        self.next[class] += 1;
        others.iter().for_each(|&other| self.next[other] += 1);
        Ok(Some(others))
    }

    /// The other end of a message, if it is in front of its class.
    fn message(&self, class: usize) -> Result<Option<Vec<usize>>, Flaw> {
        let Some(mine) = self.front(class) else { return Ok(None) };
        let Peers::Channel { channel, payload } = mine.peers else { return Ok(None) };
        let table = self.program.channels[channel.0 as usize];
        let is_send = matches!(mine.op, Op::Send(_));
        let other = if is_send { table.to } else { table.from } as usize;
        let Some(theirs) = self.front(other).filter(|_| other != class) else { return Ok(None) };
        let Peers::Channel { channel: theirs_on, payload: their_payload } = theirs.peers else {
            return Ok(None);
        };
        let is_end = match theirs.op {
            Op::Receive(_) => is_send,
            Op::Send(_) => !is_send,
            _ => false,
        };
        if theirs_on != channel || !is_end {
            return Ok(None);
        }
        if theirs.at.micro_batch != mine.at.micro_batch || their_payload != payload {
            let (place, other) = (self.place(class), self.place(other));
            return Err(Flaw::OtherMessage { place, other });
        }
        Ok(Some(vec![other]))
    }

    /// The classes that take part in a collective, if all have it in front.
    fn collective(&self, class: usize) -> Result<Option<Vec<usize>>, Flaw> {
        let Some(mine) = self.front(class) else { return Ok(None) };
        let Peers::Group { communicator, .. } = mine.peers else { return Ok(None) };
        let group = self.program.communicators[communicator.0 as usize];
        let size = self.program.classes[class].ranks.max(1);
        let first = self.program.classes[class].first_rank;
        let mut others = Vec::new();
        for rank in group.members(first) {
            let other = (rank / size) as usize;
            if other == class || others.contains(&other) {
                continue;
            }
            let theirs = if other < self.next.len() { self.front(other) } else { None };
            let Some(theirs) = theirs else { return Ok(None) };
            let is_same =
                matches!(theirs.peers, Peers::Group { communicator: c, .. } if c == communicator);
            if !is_same {
                return Ok(None);
            }
            if theirs.peers != mine.peers || theirs.op != mine.op || theirs.cadence != mine.cadence
            {
                let (place, other) = (self.place(class), self.place(other));
                return Err(Flaw::OtherCollective { place, other });
            }
            others.push(other);
        }
        Ok(Some(others))
    }

    fn finish(self) -> Result<(), Flaw> {
        let stuck = (0..self.next.len()).find(|&class| self.front(class).is_some());
        let Some(class) = stuck else { return Ok(()) };
        let waits_for = match self.front(class).map(|a| a.peers) {
            Some(Peers::Channel { channel, .. }) => {
                let table = self.program.channels[channel.0 as usize];
                let is_to = table.to as usize == class;
                let other = if is_to { table.from } else { table.to } as usize;
                self.described(other)
            }
            _ => "the other members of its group do not come".into(),
        };
        Err(Flaw::Hangs { place: self.place(class), waits_for })
    }

    fn described(&self, class: usize) -> String {
        match self.front(class) {
            Some(_) => format!("its peer is at {}", self.place(class)),
            None => {
                let rank = self.program.classes[class].first_rank;
                format!("its peer, rank {rank}, has ended")
            }
        }
    }
}
