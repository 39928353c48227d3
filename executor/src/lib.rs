//! How a plan is run. So far: what the machine at hand is.

pub mod machine;
