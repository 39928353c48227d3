//! Ranks as threads of one process: a message is a vector that changes hands.

use super::mailbox::undeclared;
use super::{Call, Fault, Mailbox, Problem, Tag, Task, Transport};
use std::sync::{Arc, Mutex, PoisonError};

/// One rank's access to the others.
#[derive(Clone, Debug)]
pub struct Threads {
    rank: u32,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    mailboxes: Vec<Mailbox>,
    /// What each rank was last seen doing.
    tasks: Vec<Mutex<Task>>,
    first: Mutex<Option<Fault>>,
}

impl Threads {
    /// Access of every rank. `queues` says of each rank from whom, with which tag, messages come.
    #[must_use]
    pub fn all(ranks: u32, queues: impl Fn(u32) -> Vec<(u32, Tag)>) -> Vec<Self> {
        let mailboxes = (0..ranks).map(|rank| Mailbox::new(rank, queues(rank))).collect();
        let tasks = (0..ranks).map(|_| Mutex::new(Task::Other("starting"))).collect();
        let shared = Arc::new(Shared { mailboxes, tasks, first: Mutex::new(None) });
        (0..ranks).map(|rank| Self { rank, shared: shared.clone() }).collect()
    }

    fn note(&self, rank: u32, task: Task) {
        if let Some(place) = self.shared.tasks.get(rank as usize) {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = task;
        }
    }

    fn seen(&self, rank: u32) -> Option<String> {
        let place = self.shared.tasks.get(rank as usize)?;
        Some(place.lock().unwrap_or_else(PoisonError::into_inner).to_string())
    }

    fn mailbox(&self, rank: u32, call: &Call, tag: Tag) -> Result<&Mailbox, Fault> {
        let missing = || Fault::new(self.rank, call.task, undeclared(rank, tag));
        self.shared.mailboxes.get(rank as usize).ok_or_else(missing)
    }

    /// Ends all ranks with `fault` unless they have ended already; returns what ended them.
    fn fail(&self, fault: Fault) -> Fault {
        let mut first = self.shared.first.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = first.get_or_insert(fault).clone();
        self.shared.mailboxes.iter().for_each(|mailbox| mailbox.end(&fault));
        fault
    }
}

impl Transport for Threads {
    fn rank(&self) -> u32 {
        self.rank
    }

    fn send(&self, to: u32, tag: Tag, message: Vec<u8>, call: &Call) -> Result<(), Fault> {
        self.note(self.rank, call.task);
        let own = self.mailbox(self.rank, call, tag)?;
        if let Some(fault) = own.fault() {
            return Err(fault);
        }
        if self.mailbox(to, call, tag)?.put(self.rank, tag, message) {
            return Ok(());
        }
        Err(self.fail(Fault::new(self.rank, call.task, undeclared(to, tag))))
    }

    fn receive(&self, from: u32, tag: Tag, call: &Call) -> Result<Vec<u8>, Fault> {
        self.note(self.rank, call.task);
        let taken = self.mailbox(self.rank, call, tag)?.take(from, tag, call);
        taken.map_err(|mut fault| {
            if let Problem::Late { from, its_task, .. } = &mut fault.problem {
                *its_task = its_task.take().or_else(|| self.seen(*from));
            }
            self.fail(fault)
        })
    }

    fn abort(&self, fault: Fault) {
        self.fail(fault);
    }

    fn fault(&self) -> Option<Fault> {
        self.shared.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
