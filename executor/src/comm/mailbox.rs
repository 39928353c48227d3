//! What has arrived at one rank, by sender and tag, and the fault that ends it.

use super::{Call, Fault, Problem, Tag};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Messages that wait for their receiver.
#[derive(Debug)]
pub struct Mailbox {
    rank: u32,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// All queues there will ever be.
    queues: BTreeMap<(u32, Tag), VecDeque<Vec<u8>>>,
    fault: Option<Fault>,
}

impl Mailbox {
    /// With one queue per sender and tag.
    #[must_use]
    pub fn new(rank: u32, queues: impl IntoIterator<Item = (u32, Tag)>) -> Self {
        let queues = queues.into_iter().map(|key| (key, VecDeque::new())).collect();
        let state = Mutex::new(State { queues, fault: None });
        Self { rank, state, changed: Condvar::new() }
    }

    /// A panic while the lock was held leaves queues that are still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message into its queue. `false` where there is no such queue.
    #[must_use]
    pub fn put(&self, from: u32, tag: Tag, message: Vec<u8>) -> bool {
        let mut state = self.lock();
        let Some(queue) = state.queues.get_mut(&(from, tag)) else { return false };
        queue.push_back(message);
        self.changed.notify_all();
        true
    }

    /// Takes the next message, waiting for it until the limit of the call.
    ///
    /// # Errors
    /// The fault that ended all ranks; that nothing came in time; that there is no such queue.
    pub fn take(&self, from: u32, tag: Tag, call: &Call) -> Result<Vec<u8>, Fault> {
        let start = Instant::now();
        let mut state = self.lock();
        loop {
            if let Some(fault) = &state.fault {
                return Err(fault.clone());
            }
            let Some(queue) = state.queues.get_mut(&(from, tag)) else {
                return Err(Fault::new(self.rank, call.task, undeclared(from, tag)));
            };
            if let Some(message) = queue.pop_front() {
                return Ok(message);
            }
            let left = call.limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                let waited_ms = call.limit.as_millis() as u64;
                let late = Problem::Late { from, waited_ms, its_task: None };
                return Err(Fault::new(self.rank, call.task, late));
            }
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends the rank: everything that waits or will wait returns the first fault.
    pub fn end(&self, fault: &Fault) {
        self.lock().fault.get_or_insert_with(|| fault.clone());
        self.changed.notify_all();
    }

    /// The fault that ended the rank.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.lock().fault.clone()
    }
}

/// A message outside of the tables.
pub(super) fn undeclared(peer: u32, tag: Tag) -> Problem {
    Problem::Unsupported(format!("no connection to rank {peer} has the number {}", tag.0))
}
