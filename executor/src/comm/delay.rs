//! The network of another cluster: a group that takes at least as long as a latency and a bandwidth
//! say.
//!
//! The price comes with the program; this crate knows no cost model.

use super::{Call, Communicator, Elements, Fault, Ledger, Reduction};
use plan::units::{Bytes, BytesPerSecond, Seconds};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a message costs: `latency + bytes / bandwidth`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkPrice {
    /// Per message.
    pub latency: Seconds,
    /// Of one direction of the link.
    pub bandwidth: BytesPerSecond,
}

/// A slower group.
pub struct Delay {
    inner: Arc<dyn Communicator>,
    price: LinkPrice,
    /// Nanoseconds so far.
    charged: AtomicU64,
}

impl LinkPrice {
    /// `rounds` messages of `bytes` each, one after the other.
    #[must_use]
    pub fn time(&self, rounds: usize, bytes: Bytes) -> Seconds {
        (self.latency + bytes / self.bandwidth) * rounds as f64
    }
}

impl Delay {
    /// Slows a group down.
    #[must_use]
    pub fn new(inner: Arc<dyn Communicator>, price: LinkPrice) -> Self {
        Self { inner, price, charged: AtomicU64::new(0) }
    }

    /// Time of `rounds` steps of a ring, each with one part of the data.
    fn ring(&self, data: &Elements<'_>, rounds: usize) -> Seconds {
        let bytes = (data.len() * data.width()) as f64 / self.inner.size().max(1) as f64;
        self.price.time(rounds, Bytes::new(bytes))
    }

    /// Notes what a call costs.
    fn charge(&self, least: Seconds) -> Duration {
        let least = Duration::try_from_secs_f64(least.get()).unwrap_or_default();
        let nanos = u64::try_from(least.as_nanos()).unwrap_or(u64::MAX);
        self.charged.fetch_add(nanos, Ordering::Relaxed);
        least
    }

    fn last<R>(&self, least: Seconds, run: impl FnOnce() -> R) -> R {
        let (start, least) = (Instant::now(), self.charge(least));
        let result = run();
        std::thread::sleep(least.saturating_sub(start.elapsed()));
        result
    }
}

impl Communicator for Delay {
    fn place(&self) -> usize {
        self.inner.place()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn rank(&self, member: usize) -> u32 {
        self.inner.rank(member)
    }

    fn all_reduce(&self, data: Elements<'_>, op: Reduction, call: &Call) -> Result<(), Fault> {
        let least = self.ring(&data, 2 * (self.size() - 1));
        self.last(least, || self.inner.all_reduce(data, op, call))
    }

    fn reduce_scatter(&self, data: Elements<'_>, call: &Call) -> Result<(), Fault> {
        let least = self.ring(&data, self.size() - 1);
        self.last(least, || self.inner.reduce_scatter(data, call))
    }

    fn all_gather(&self, data: Elements<'_>, call: &Call) -> Result<(), Fault> {
        let least = self.ring(&data, self.size() - 1);
        self.last(least, || self.inner.all_gather(data, call))
    }

    fn broadcast(&self, data: Elements<'_>, root: usize, call: &Call) -> Result<(), Fault> {
        let bytes = Bytes::new((data.len() * data.width()) as f64);
        let least = self.price.time((self.size() > 1).into(), bytes);
        self.last(least, || self.inner.broadcast(data, root, call))
    }

    fn all_to_all(&self, messages: Vec<Vec<u8>>, call: &Call) -> Result<Vec<Vec<u8>>, Fault> {
        let sent = messages.iter().enumerate().filter(|(to, _)| *to != self.place());
        let one = |(_, m): (usize, &Vec<u8>)| self.price.time(1, Bytes::new(m.len() as f64));
        let least: Seconds = sent.map(one).sum();
        self.last(least, || self.inner.all_to_all(messages, call))
    }

    fn send(&self, to: usize, message: Vec<u8>, call: &Call) -> Result<(), Fault> {
        let least = self.price.time(1, Bytes::new(message.len() as f64));
        // The message is on its way for as long as the link needs, and so is the sender.
        std::thread::sleep(self.charge(least));
        self.inner.send(to, message, call)
    }

    fn receive(&self, from: usize, bytes: usize, call: &Call) -> Result<Vec<u8>, Fault> {
        self.inner.receive(from, bytes, call)
    }

    fn ledger(&self) -> Ledger {
        let network = Duration::from_nanos(self.charged.load(Ordering::Relaxed));
        Ledger { network, ..self.inner.ledger() }
    }
}
