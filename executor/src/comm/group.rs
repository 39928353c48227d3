//! Collectives of a group, made of messages.
//!
//! An all-reduce is a reduce-scatter and an all-gather, each direct: member `i` gets part `i` of
//! everyone and adds them up in the order of the members. Each member sends `2 (n−1)/n` of the
//! data, as in a ring.

use super::{
    Call, Communicator, Elements, Fault, Ledger, Problem, Reduction, Tag, Transport, part,
};
use crate::float::Float;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Members of a group over a transport.
pub struct Group {
    transport: Arc<dyn Transport>,
    members: Vec<u32>,
    place: usize,
    tag: Tag,
    sent: AtomicU64,
    calls: AtomicU64,
}

impl Group {
    /// The group of these ranks, which must hold the rank of the transport. All members list them
    /// in the same order.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, members: Vec<u32>, tag: Tag) -> Option<Self> {
        let place = members.iter().position(|&member| member == transport.rank())?;
        let (sent, calls) = (AtomicU64::new(0), AtomicU64::new(0));
        Some(Self { transport, members, place, tag, sent, calls })
    }

    /// The queues that `rank` needs for groups of these members.
    #[must_use]
    pub fn queues(rank: u32, members: &[u32], tag: Tag) -> Vec<(u32, Tag)> {
        if !members.contains(&rank) {
            return Vec::new();
        }
        members.iter().filter(|&&m| m != rank).map(|&m| (m, tag)).collect()
    }

    /// The ranks of the group.
    #[must_use]
    pub fn members(&self) -> &[u32] {
        &self.members
    }

    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let (place, size) = (self.place, self.members.len());
        // Each starts with its neighbour, so that not all write to the first member at once.
        (1..size).map(move |i| (place + i) % size)
    }

    fn fail(&self, call: &Call, problem: Problem) -> Fault {
        let fault = Fault::new(self.transport.rank(), call.task, problem);
        self.transport.abort(fault.clone());
        self.transport.fault().unwrap_or(fault)
    }

    fn scatter<T: Float>(&self, data: &mut [T], op: Reduction, call: &Call) -> Result<(), Fault> {
        let n = self.members.len();
        for to in self.others() {
            let mut message = Vec::new();
            T::write(&data[part(data.len(), n, to)], &mut message);
            self.send(to, message, call)?;
        }
        let own = part(data.len(), n, self.place);
        let mine = data[own.clone()].to_vec();
        let mut theirs = vec![T::ZERO; mine.len()];
        for from in 0..n {
            let addend = if from == self.place {
                &mine
            } else {
                T::read(&self.receive(from, mine.len() * T::BYTES, call)?, &mut theirs);
                &theirs
            };
            match (from, op) {
                (0, _) => data[own.clone()].copy_from_slice(addend),
                (_, Reduction::Sum) => crate::matrix::add(&mut data[own.clone()], addend),
                (_, Reduction::Max) => {
                    let pairs = data[own.clone()].iter_mut().zip(addend);
                    pairs.for_each(|(a, &b)| *a = a.max(b));
                }
            }
        }
        Ok(())
    }

    fn gather<T: Float>(&self, data: &mut [T], call: &Call) -> Result<(), Fault> {
        let n = self.members.len();
        let mut message = Vec::new();
        T::write(&data[part(data.len(), n, self.place)], &mut message);
        for to in self.others() {
            self.send(to, message.clone(), call)?;
        }
        for from in self.others() {
            let place = part(data.len(), n, from);
            let message = self.receive(from, place.len() * T::BYTES, call)?;
            T::read(&message, &mut data[place]);
        }
        Ok(())
    }

    fn spread<T: Float>(&self, data: &mut [T], root: usize, call: &Call) -> Result<(), Fault> {
        if root != self.place {
            let message = self.receive(root, data.len() * T::BYTES, call)?;
            T::read(&message, data);
            return Ok(());
        }
        let mut message = Vec::new();
        T::write(data, &mut message);
        self.others().try_for_each(|to| self.send(to, message.clone(), call))
    }

    fn count(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    fn take(&self, from: usize, call: &Call) -> Result<Vec<u8>, Fault> {
        let received = self.transport.receive(self.members[from], self.tag, call);
        received.inspect_err(|fault| self.transport.abort(fault.clone()))
    }
}

impl Communicator for Group {
    fn place(&self) -> usize {
        self.place
    }

    fn size(&self) -> usize {
        self.members.len()
    }

    fn rank(&self, member: usize) -> u32 {
        self.members.get(member).copied().unwrap_or_default()
    }

    fn all_reduce(&self, data: Elements<'_>, op: Reduction, call: &Call) -> Result<(), Fault> {
        self.count();
        match data {
            Elements::F32(v) => {
                self.scatter(v, op, call)?;
                self.gather(v, call)
            }
            Elements::F64(v) => {
                self.scatter(v, op, call)?;
                self.gather(v, call)
            }
        }
    }

    fn reduce_scatter(&self, data: Elements<'_>, call: &Call) -> Result<(), Fault> {
        self.count();
        match data {
            Elements::F32(v) => self.scatter(v, Reduction::Sum, call),
            Elements::F64(v) => self.scatter(v, Reduction::Sum, call),
        }
    }

    fn all_gather(&self, data: Elements<'_>, call: &Call) -> Result<(), Fault> {
        self.count();
        match data {
            Elements::F32(v) => self.gather(v, call),
            Elements::F64(v) => self.gather(v, call),
        }
    }

    fn broadcast(&self, data: Elements<'_>, root: usize, call: &Call) -> Result<(), Fault> {
        self.count();
        match data {
            Elements::F32(v) => self.spread(v, root, call),
            Elements::F64(v) => self.spread(v, root, call),
        }
    }

    fn all_to_all(&self, mut messages: Vec<Vec<u8>>, call: &Call) -> Result<Vec<Vec<u8>>, Fault> {
        self.count();
        if messages.len() != self.size() {
            let what = format!("{} messages for {} members", messages.len(), self.size());
            return Err(self.fail(call, Problem::Unsupported(what)));
        }
        for to in self.others() {
            self.send(to, std::mem::take(&mut messages[to]), call)?;
        }
        for from in self.others() {
            messages[from] = self.take(from, call)?;
        }
        Ok(messages)
    }

    fn send(&self, to: usize, message: Vec<u8>, call: &Call) -> Result<(), Fault> {
        self.sent.fetch_add(message.len() as u64, Ordering::Relaxed);
        let sent = self.transport.send(self.members[to], self.tag, message, call);
        sent.inspect_err(|fault| self.transport.abort(fault.clone()))
    }

    fn receive(&self, from: usize, bytes: usize, call: &Call) -> Result<Vec<u8>, Fault> {
        let message = self.take(from, call)?;
        if message.len() == bytes {
            return Ok(message);
        }
        let (from, got) = (self.members[from], message.len());
        Err(self.fail(call, Problem::Mismatch { from, expected: bytes, got }))
    }

    fn ledger(&self) -> Ledger {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (sent, calls) = (read(&self.sent), read(&self.calls));
        Ledger { sent, calls, network: Duration::ZERO }
    }
}
