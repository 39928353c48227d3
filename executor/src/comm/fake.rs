//! A group whose other members do not exist: for dry runs, where only sizes and counts matter.

use super::{Call, Communicator, Elements, Fault, Ledger, Reduction};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One member on its own. Data stays as it is; messages that arrive are zeros.
#[derive(Debug, Default)]
pub struct Fake {
    place: usize,
    size: usize,
    sent: AtomicU64,
    calls: AtomicU64,
}

impl Fake {
    /// Member `place` of `size`.
    #[must_use]
    pub fn new(place: usize, size: usize) -> Self {
        Self { place, size, ..Self::default() }
    }

    /// Counts what a real group would send: `parts / size` of the data.
    fn count(&self, data: &Elements<'_>, parts: usize) {
        let bytes = data.len() * data.width() * parts / self.size.max(1);
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
    }
}

impl Communicator for Fake {
    fn place(&self) -> usize {
        self.place
    }

    fn size(&self) -> usize {
        self.size
    }

    fn rank(&self, member: usize) -> u32 {
        member as u32
    }

    fn all_reduce(&self, data: Elements<'_>, _: Reduction, _: &Call) -> Result<(), Fault> {
        self.count(&data, 2 * (self.size - 1));
        Ok(())
    }

    fn reduce_scatter(&self, data: Elements<'_>, _: &Call) -> Result<(), Fault> {
        self.count(&data, self.size - 1);
        Ok(())
    }

    fn all_gather(&self, data: Elements<'_>, _: &Call) -> Result<(), Fault> {
        self.count(&data, self.size - 1);
        Ok(())
    }

    fn broadcast(&self, data: Elements<'_>, root: usize, _: &Call) -> Result<(), Fault> {
        let all = self.size * (self.size - 1);
        self.count(&data, if root == self.place { all } else { 0 });
        Ok(())
    }

    fn all_to_all(&self, messages: Vec<Vec<u8>>, _: &Call) -> Result<Vec<Vec<u8>>, Fault> {
        let others = messages.iter().enumerate().filter(|(to, _)| *to != self.place);
        let bytes: usize = others.map(|(_, message)| message.len()).sum();
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        Ok(messages)
    }

    fn send(&self, _: usize, message: Vec<u8>, _: &Call) -> Result<(), Fault> {
        self.sent.fetch_add(message.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn receive(&self, _: usize, bytes: usize, _: &Call) -> Result<Vec<u8>, Fault> {
        Ok(vec![0; bytes])
    }

    fn ledger(&self) -> Ledger {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (sent, calls) = (read(&self.sent), read(&self.calls));
        Ledger { sent, calls, network: Duration::ZERO }
    }
}
