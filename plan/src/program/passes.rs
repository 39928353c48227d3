//! The passes of lowering. Each takes the [`Draft`] that the one before left and says in its
//! documentation what it needs and what it leaves.
//!
//! | pass | leaves |
//! |---|---|
//! | [`mod@expand`] | forward and backward passes of blocks, with activations |
//! | [`mod@messages`] | sends and receives, in an order that cannot hang |
//! | [`mod@recompute`] | forward passes again before the backward passes that need them |
//! | [`mod@offload`] | activations on the host between their passes |
//! | [`layer_collectives()`] | collectives inside layers as actions |
//! | [`mod@sharding`] | weights, gradients, gathers and reductions |
//! | [`mod@exchange`] | the gradient of the token table on its way |
//! | [`mod@optimizer`] | updates |
//! | [`local_steps()`] | synchronisation of replicas that train apart |
//! | [`mod@buckets`] | fewer, larger collectives |
//! | [`send_budget()`] | waits for messages that are under way |
//! | [`mod@versions`] | the version of every access |
//! | [`mod@waits`], [`mod@arena`], [`tokens`] | order between lanes, places of buffers |
//! | [`ledger()`] | traffic by closed forms |
//!
//! Until [`mod@versions`] has run, the version of an access is how many versions *back* it
//! means: 0 is
//! the latest. [`CARRIED`] means what an earlier step left. Rings are written once per step and
//! name their versions themselves.

mod arena;
mod block;
mod buckets;
pub(super) mod clocks;
pub(super) mod closed_forms;
mod draft;
mod exchange;
mod expand;
mod layers;
mod lists;
mod local;
mod messages;
mod offload;
mod optimizer;
mod pieces;
mod recompute;
mod sharding;
mod versions;
mod waits;

pub(super) use arena::arena;
pub(super) use buckets::buckets;
pub(super) use closed_forms::ledger;
pub(super) use draft::Draft;
pub(super) use exchange::exchange;
pub(super) use expand::expand;
pub(super) use layers::layer_collectives;
pub(super) use local::local_steps;
pub(super) use messages::messages;
pub(super) use offload::offload;
pub(super) use optimizer::optimizer;
pub(super) use recompute::recompute;
pub(super) use sharding::sharding;
pub(super) use versions::versions;
pub(super) use waits::{send_budget, tokens, waits};

/// Version of an access to what an earlier step left.
const CARRIED: i32 = i32::MIN;
