//! The registry of formulas: what `explain --formula ID` prints.
//!
//! Every formula has an id that breakdowns carry, its equation in one line, its letters, where it is
//! from and the test that checks it.

mod table;

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

/// Id of the formula that prices an item.
///
/// For collectives across nodes the ring; whether a tree was faster, [`crate::collective::cost`]
/// tells. Checked by `every_kind_of_work_has_a_formula`.
#[must_use]
pub fn id_of(work: &Work) -> &'static str {
    match work {
        Work::Gemm(_) => "gemm.tiles",
        Work::Attention(item) if item.kernel == AttentionKernel::Unfused => "attention.unfused",
        Work::Attention(_) => "attention.flash",
        Work::Pointwise(_) | Work::Traffic(_) => "kernel.stream",
        Work::Scan(_) => "scan.step",
        Work::RecurrentWeightGradient(_) => "scan.gradient",
        Work::Optimizer(_) => "optimizer.update",
        Work::Collective(item) => id_of_collective(item),
        Work::Send(_) => "comm.send",
        Work::HostCopy(_) => "host.copy",
    }
}

fn id_of_collective(item: &Collective) -> &'static str {
    match (item.op, item.group.nodes > 1) {
        (CollectiveOp::AllReduce, false) => "comm.all_reduce.node",
        (CollectiveOp::AllToAll, _) => "comm.all_to_all",
        (_, false) => "comm.gather.node",
        (_, true) => "comm.ring",
    }
}

#[cfg(test)]
mod tests;
