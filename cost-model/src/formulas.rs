//! The registry of formulas: what `explain --formula ID` prints.
//!
//! Every formula has an id that breakdowns carry, its equation in one line, its letters, where it
//! is from and the test that checks it.

mod table;

use crate::Profile;
use crate::collective::{self, Algorithm};
use plan::work::{AttentionKernel, Collective, CollectiveOp, Work};

/// A formula of the cost model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formula {
    /// Id, as breakdowns carry it: `comm.ring`.
    pub id: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// The equation, in one line of Unicode text.
    pub equation: &'static str,
    /// What the letters mean.
    pub letters: &'static str,
    /// Where it is from.
    pub source: &'static str,
    /// Name of the test that checks it.
    pub test: &'static str,
}

/// All formulas, sorted by id.
pub const ALL: &[Formula] = table::ALL;

/// The formula with this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Formula> {
    ALL.binary_search_by_key(&id, |formula| formula.id).ok().map(|index| &ALL[index])
}

/// Id of the formula that prices an item on this profile.
///
/// Checked by `every_kind_of_work_has_a_formula` and `the_formula_is_the_one_that_was_used`.
#[must_use]
pub fn id_of(work: &Work, profile: &Profile) -> &'static str {
    match work {
        Work::Gemm(_) if profile.gemm.blocks => "gemm.blocks",
        Work::Gemm(_) if !profile.gemm.tiles => "gemm.roofline",
        Work::Gemm(_) => "gemm.tiles",
        Work::Attention(item) if item.kernel == AttentionKernel::Unfused => "attention.unfused",
        Work::Attention(_) => "attention.flash",
        Work::Pointwise(_) | Work::Traffic(_) => "kernel.stream",
        Work::Scan(_) => "scan.step",
        Work::RecurrentWeightGradient(_) => "scan.gradient",
        Work::Optimizer(_) => "optimizer.update",
        Work::Collective(item) => id_of_collective(item, profile),
        Work::Send(_) => "comm.send",
        Work::HostCopy(_) => "host.copy",
    }
}

fn id_of_collective(item: &Collective, profile: &Profile) -> &'static str {
    let algorithm = collective::cost(item, profile).map(|cost| cost.algorithm);
    match (item.op, algorithm) {
        (CollectiveOp::AllToAll, _) => "comm.all_to_all",
        (CollectiveOp::Dispatch { .. }, _) => "comm.dispatch",
        (_, Some(Algorithm::Tree)) => "comm.tree",
        (_, _) if item.group.nodes > 1 => "comm.ring",
        (CollectiveOp::AllReduce, _) => "comm.all_reduce.node",
        _ => "comm.gather.node",
    }
}

#[cfg(test)]
mod tests;
