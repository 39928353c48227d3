//! What the solver can answer.

use super::{Assignment, BoundReason, Infeasible};
use plan::units::Seconds;

/// The answer to one inner problem.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A plan that no other plan beats, under the simulation.
    Optimal {
        /// The plan.
        assignment: Assignment,
        /// What closed the case.
        proof: Proof,
        /// Whether ties were broken to the end (least total memory, then the split that is
        /// lexicographically smallest); otherwise the search for them ran into its budget.
        is_canonical: bool,
    },
    /// No plan is faster than the cutoff.
    CutOff {
        /// No plan is faster than this; infinite where nothing fits.
        bound: Seconds,
        /// What showed it.
        by: CutOffBy,
    },
    /// No plan fits.
    Infeasible(Infeasible),
    /// The solver gave up; nothing is proven beyond `bound`.
    Uncertified {
        /// The best plan met.
        assignment: Option<Assignment>,
        /// No plan is faster than this.
        bound: Seconds,
        /// What went wrong.
        reason: String,
    },
}

/// What showed that a plan is optimal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Proof {
    /// The plan's simulated step equals the label program's lower bound.
    DpBound {
        /// The bound.
        bound: Seconds,
    },
    /// The integer program found nothing faster.
    Ilp {
        /// Its lower bound.
        bound: Seconds,
        /// Programs solved, one per round of cuts.
        rounds: usize,
        /// Binary variables.
        binaries: usize,
        /// Rows of the last program, cuts included.
        rows: usize,
        /// Path cuts of the last program.
        cuts: usize,
    },
}

/// What showed that nothing beats the cutoff.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CutOffBy {
    /// The closed-form bound.
    Bound(BoundReason),
    /// The label program.
    Dp,
    /// The integer program.
    Ilp {
        /// Programs solved.
        rounds: usize,
    },
}
