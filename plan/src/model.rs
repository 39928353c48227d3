//! Models.

mod spec;

pub use spec::*;
