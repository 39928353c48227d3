//! What work costs: time, and the bytes and FLOPs behind it.
//!
//! [`price()`] turns one [`plan::work::Work`] item into seconds on one [`Profile`]: the constants
//! of a device, its links and the software stack that drives them. Planner, simulator and ledger
//! all call it; nothing else in the workspace prices anything. Beside it stand the quantities
//! that need no profile: FLOPs ([`flops`]), bytes on the wire ([`collective::wire_bytes`]), the
//! embedding exchange ([`exchange`]) and the vocabulary law of a corpus ([`corpus`]).
//!
//! Pure: no I/O, no clock, no randomness. Every constant is data that carries its origin; every
//! law is in the registry [`formulas`], which names its source and the test that checks it.

pub mod attention;
pub mod bounds;
pub mod collective;
mod constant;
pub mod corpus;
pub mod events;
pub mod exchange;
pub mod fit;
pub mod flops;
pub mod formulas;
pub mod gemm;
pub mod host;
pub mod layer;
pub mod memory;
pub mod normal;
pub mod optimizer;
pub mod overlap;
pub mod pointwise;
mod price;
pub mod profile;
pub mod recurrent;
pub mod send;
pub mod simulate;
pub mod stack;
pub mod training;

pub use price::price;
pub use profile::{Profile, ProfileError};
pub use stack::Stack;

#[cfg(test)]
mod fixtures;
