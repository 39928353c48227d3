//! Operators with their gradients, written by hand.
//!
//! A gradient comes in two parts, as zero-bubble schedules need them: the gradient of the input,
//! and, from what that pass leaves behind (`Pending`), the gradients of the weights. Tokens are
//! rows. Every operator is generic over [`crate::float::Float`]; its tests compare the gradients
//! with central differences in double precision.

pub mod across;
pub mod activation;
pub mod attention;
pub mod embedding;
mod gates;
pub mod linear;
pub mod loss;
pub mod lstm;
pub mod mixture;
pub mod mlstm;
pub mod norm;
pub mod rhn;
pub mod rope;
pub mod sampled;
pub mod weight_norm;

#[cfg(test)]
pub(crate) mod check;
