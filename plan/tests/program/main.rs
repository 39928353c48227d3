//! Programs of many plans: valid, equal to closed forms, and refused when anything is changed.

mod facts;
mod mutations;
mod properties;
mod support;
