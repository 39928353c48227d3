//! How ranks talk.

mod fault;

pub use fault::{Fault, Problem, Task};
