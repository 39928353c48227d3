//! A transport that counts how long its rank waits for messages.

use super::{Turns, Waited};
use crate::comm::{Call, Fault, Tag, Transport};
use std::sync::Arc;
use std::time::Instant;

/// A transport under observation.
pub struct Watched {
    inner: Arc<dyn Transport>,
    waited: Arc<Waited>,
    /// Given back while the rank waits, where ranks take turns.
    turns: Option<Arc<Turns>>,
}

impl Watched {
    /// Watches a transport.
    #[must_use]
    pub fn new(inner: Arc<dyn Transport>, waited: Arc<Waited>, turns: Option<Arc<Turns>>) -> Self {
        Self { inner, waited, turns }
    }
}

impl Transport for Watched {
    fn rank(&self) -> u32 {
        self.inner.rank()
    }

    fn send(&self, to: u32, tag: Tag, message: Vec<u8>, call: &Call) -> Result<(), Fault> {
        self.inner.send(to, tag, message, call)
    }

    fn receive(&self, from: u32, tag: Tag, call: &Call) -> Result<Vec<u8>, Fault> {
        let start = Instant::now();
        if let Some(turns) = &self.turns {
            turns.give();
        }
        let received = self.inner.receive(from, tag, call);
        if let Some(turns) = &self.turns {
            turns.take();
        }
        self.waited.add(start.elapsed());
        received
    }

    fn abort(&self, fault: Fault) {
        self.inner.abort(fault);
    }

    fn fault(&self) -> Option<Fault> {
        self.inner.fault()
    }
}
