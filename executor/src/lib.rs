//! How a plan is run.
//!
//! From the bottom up: [`float`] and [`matrix`] hold numbers, [`gemm`] multiplies them, [`ops`] are
//! operators with their gradients, [`model`] chains them as `plan` says, [`optimizer`] updates what
//! they learn, [`comm`] lets ranks talk, [`data`] feeds them text, [`checkpoint`] keeps what was
//! learnt, [`train`] runs ranks, [`record`] measures them, [`mod@bench`]
//! measures the machine. [`machine`] says what the machine at hand is.

pub mod bench;
pub mod checkpoint;
pub mod comm;
pub mod data;
pub mod float;
pub mod gemm;
pub mod machine;
pub mod matrix;
pub mod model;
pub mod ops;
pub mod optimizer;
pub mod random;
pub mod record;
pub mod threads;
pub mod train;
