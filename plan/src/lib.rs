//! The shared language of Meshwright: what a model, a cluster, a plan are, and how a plan becomes
//! work.
//!
//! Pure: no I/O, no clock, no randomness. Every other crate speaks in these types, and only the
//! types of this crate are ever serialised.

pub mod calibration;
pub mod corpus;
pub mod document;
pub mod dtype;
pub mod estimate;
pub mod exchange;
pub mod graph;
pub mod huggingface;
pub mod layout;
pub mod lower;
pub mod machine;
pub mod mesh;
pub mod model;
pub mod program;
pub mod quantity;
pub mod record;
pub mod report;
pub mod scenario;
pub mod schedule;
pub mod suggest;
pub mod timeline;
pub mod units;
pub mod work;

pub use dtype::Dtype;
pub use estimate::{Estimate, Grade, Sourced};
pub use exchange::Exchange;
