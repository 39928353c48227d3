//! Handing a program to a solver, and not trusting what comes back.

use super::formulation::{Program, Row};
use good_lp::{Constraint, Expression, ProblemVariables, SolverModel, Variable, variable};
#[cfg(feature = "highs")]
use good_lp::{ResolutionError, Solution};

/// Which solver runs the integer program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// microlp: pure Rust, always there.
    Microlp,
    /// HiGHS: with the cargo feature `highs`.
    #[cfg(feature = "highs")]
    Highs,
}

impl Backend {
    /// The backends of this build.
    pub const ALL: &[Self] = &[
        Self::Microlp,
        #[cfg(feature = "highs")]
        Self::Highs,
    ];

    /// The solver's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Microlp => "microlp",
            #[cfg(feature = "highs")]
            Self::Highs => "HiGHS",
        }
    }
}

/// What a solver said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// An optimal point, integral, that satisfies every row.
    Optimal(Vec<f64>),
    /// There is no point.
    Infeasible,
    /// Anything else: no proof.
    Unproven(String),
}

/// How far a returned point may violate a row, relative to the row's largest term. Integrality is
/// restored by rounding first, so only the objective's own rows can be off.
const ROW_TOLERANCE: f64 = 1e-6;

/// Minimises `program` with `backend`: no gap, one thread, fixed seed.
pub(crate) fn minimise(program: &Program, backend: Backend) -> Answer {
    let mut variables = ProblemVariables::new();
    let mut all: Vec<Variable> = variables.add_vector(variable().binary(), program.binaries);
    let unit = unit(program.high);
    let objective = variables.add(variable().min(program.low / unit).max(program.high / unit));
    all.push(objective);
    let problem = variables.minimise(objective);
    match backend {
        Backend::Microlp => with_node_limit(problem.using(good_lp::microlp), program, &all),
        #[cfg(feature = "highs")]
        Backend::Highs => match exact_highs(problem.using(good_lp::highs)) {
            Ok(model) => run(model, program, &all),
            Err(error) => Answer::Unproven(format!("HiGHS refused a gap of zero: {error}")),
        },
    }
}

#[cfg(feature = "highs")]
fn exact_highs(
    model: good_lp::solvers::highs::HighsProblem,
) -> Result<good_lp::solvers::highs::HighsProblem, good_lp::solvers::MipGapError> {
    let model = model.set_mip_rel_gap(0.0)?.set_mip_abs_gap(0.0)?.set_threads(1);
    Ok(model
        .set_option("random_seed", 0)
        .set_option("mip_feasibility_tolerance", 1e-9)
        .set_option("primal_feasibility_tolerance", 1e-9))
}

/// A power of two that makes times about a thousand, whatever the length of a step: solvers
/// compare with absolute tolerances. Dividing by it is exact.
fn unit(high: f64) -> f64 {
    if high > 0.0 { (high / 1024.0).log2().ceil().exp2() } else { 1.0 }
}

/// Nodes of the branch-and-bound tree after which microlp gives up: a few seconds at most.
const MOST_NODES: u64 = 2_000;

/// microlp by its own interface: unlike a limit on time, one on nodes is the same on every machine.
fn with_node_limit(
    mut model: good_lp::solvers::microlp::MicroLpProblem,
    program: &Program,
    all: &[Variable],
) -> Answer {
    for row in &program.rows {
        model.add_constraint(constraint(row, program, all));
    }
    let mut options = microlp::SolveOptions::default();
    options.mip_gap = 0.0;
    options.node_limit = Some(MOST_NODES);
    let solution = match model.as_inner().solve_with(options).map(|o| o.into_solution()) {
        Ok(Ok(solution)) => solution,
        Ok(Err(_)) => return Answer::Unproven(format!("no point after {MOST_NODES} nodes")),
        Err(microlp::Error::Infeasible) => return Answer::Infeasible,
        Err(error) => return Answer::Unproven(format!("microlp stopped: {error}")),
    };
    if solution.status() != microlp::SolutionStatus::Optimal {
        return Answer::Unproven(format!("no proof after {MOST_NODES} nodes"));
    }
    // Variables come in the order in which they were made.
    rounded(solution.iter().map(|(_, value)| value).collect(), program)
}

#[cfg(feature = "highs")]
fn run<M>(mut model: M, program: &Program, all: &[Variable]) -> Answer
where
    M: SolverModel<Error = ResolutionError>,
{
    for row in &program.rows {
        model.add_constraint(constraint(row, program, all));
    }
    match model.solve() {
        Ok(solution) => read(&solution, program, all),
        Err(ResolutionError::Infeasible) => Answer::Infeasible,
        Err(error) => Answer::Unproven(format!("{} stopped: {error}", M::name())),
    }
}

/// The row with the objective, and every time beside it, in the solver's unit.
fn constraint(row: &Row, program: &Program, all: &[Variable]) -> Constraint {
    let objective = program.objective();
    let has_times = row.terms.iter().any(|(v, _)| *v == objective);
    let unit = if has_times { unit(program.high) } else { 1.0 };
    let scaled = |v: usize, c: f64| if v == objective { c } else { c / unit };
    let left: Expression = row.terms.iter().map(|(v, c)| scaled(*v, *c) * all[*v]).sum();
    let right = row.bound / unit;
    if row.is_equation { left.eq(right) } else { left.leq(right) }
}

#[cfg(feature = "highs")]
fn read(solution: &impl Solution, program: &Program, all: &[Variable]) -> Answer {
    if !matches!(solution.status(), good_lp::solvers::SolutionStatus::Optimal) {
        let status = solution.status();
        return Answer::Unproven(format!("the solver stopped early ({status:?})"));
    }
    rounded(all.iter().map(|v| solution.value(*v)).collect(), program)
}

/// Restores integrality and the unit of time, and checks every row.
fn rounded(mut point: Vec<f64>, program: &Program) -> Answer {
    for x in &mut point[..program.binaries] {
        *x = x.round();
    }
    point[program.objective()] *= unit(program.high);
    if program.check(&point, ROW_TOLERANCE) {
        Answer::Optimal(point)
    } else {
        Answer::Unproven("the solver's point violates its own rows".to_owned())
    }
}
