//! One rank computes at a time.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// The turn of the ranks of a process.
#[derive(Debug, Default)]
pub struct Turns {
    is_taken: Mutex<bool>,
    free: Condvar,
}

impl Turns {
    /// Waits until nobody has the turn, and takes it.
    pub fn take(&self) {
        let mut is_taken = self.is_taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *is_taken {
            is_taken = self.free.wait(is_taken).unwrap_or_else(PoisonError::into_inner);
        }
        *is_taken = true;
    }

    /// Gives it back.
    pub fn give(&self) {
        *self.is_taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.free.notify_one();
    }
}

/// The turn, given back when this goes out of scope: also where a rank fails.
#[derive(Debug)]
pub struct Held(Arc<Turns>);

impl Held {
    /// Takes the turn.
    #[must_use]
    pub fn take(turns: Arc<Turns>) -> Self {
        turns.take();
        Self(turns)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.give();
    }
}
