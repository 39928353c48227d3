//! Tests across the parts of the layout search.

mod conformance;
mod differential;
mod errors;
mod feed_forward;
pub(super) mod support;
mod training;
mod transformer;
