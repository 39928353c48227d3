//! Solving the program: one goal after the other, and mesh after mesh.

use super::error::LayoutError;
use super::formulation::{Goal, Limits, SLACK};
use super::graph::{Graph, Placement};
use super::mesh::{MeshShape, MeshSpace};
use super::program::Program;
use super::solution::{self, LayoutSolution, Status};
use super::{Objective, Weights};
use plan::units::Bytes;

/// The best layout on one mesh.
pub(super) fn search(
    graph: &Graph,
    mesh: &MeshShape,
    objective: &Objective<'_>,
) -> Result<LayoutSolution, LayoutError> {
    check_weights(objective)?;
    let program = Program::new(graph, mesh, objective)?;
    let mut limits = Limits::default();
    let mut best = None;
    if let Objective::Time { budget: Some(budget), .. } = *objective {
        best = Some(least_memory(graph, mesh, &program, budget)?);
        limits.memory = Some(budget.get());
    }
    let mut status = Status::Optimal;
    for &goal in goals(objective) {
        match solve_exactly(&program, goal, &mut limits)? {
            Some((placement, proof)) => {
                status = weaker(status, proof);
                best = Some(placement);
            }
            None => status = Status::Feasible,
        }
        let Some(placement) = &best else { break };
        limits.tighten(goal, program.value(goal, placement));
    }
    let best = best.ok_or_else(|| program.solver_error("it found no layout, not even none"))?;
    answer(graph, mesh, objective, &program, &best, status)
}

/// The best layout over all meshes of a space.
pub(super) fn search_meshes(
    graph: &Graph,
    space: &MeshSpace,
    objective: &Objective<'_>,
) -> Result<LayoutSolution, LayoutError> {
    let mut best: Option<LayoutSolution> = None;
    let mut closest: Option<(Bytes, LayoutError)> = None;
    for mesh in space.shapes()? {
        match search(graph, &mesh, objective) {
            Ok(found) => {
                if best.as_ref().is_none_or(|b| is_better(&found, b, objective)) {
                    best = Some(found);
                }
            }
            Err(error @ LayoutError::OverBudget { least, .. }) => {
                if closest.as_ref().is_none_or(|(bytes, _)| least < *bytes) {
                    closest = Some((least, error));
                }
            }
            Err(error) => return Err(error),
        }
    }
    let nothing = || LayoutError::Empty { what: "mesh", name: "space".to_owned() };
    best.ok_or_else(|| closest.map_or_else(nothing, |(_, error)| error))
}

fn goals(objective: &Objective<'_>) -> &'static [Goal] {
    let free = Weights { compute: 0.0, communication: 0.0 };
    match objective {
        Objective::Time { weights, .. } if *weights != free => {
            &[Goal::Time, Goal::Memory, Goal::Splits]
        }
        _ => &[Goal::Memory, Goal::Splits],
    }
}

/// The layout of least memory, an error where even that is over the budget.
fn least_memory(
    graph: &Graph,
    mesh: &MeshShape,
    program: &Program<'_>,
    budget: Bytes,
) -> Result<Placement, LayoutError> {
    let found = program.solve(Goal::Memory, &Limits::default())?;
    let Some((placement, _)) = found else {
        return Err(program.solver_error("it found no layout, not even none"));
    };
    let least = Bytes::new(program.value(Goal::Memory, &placement));
    if least <= budget {
        return Ok(placement);
    }
    let layout = solution::layout_text(&graph.layout(mesh, &placement));
    Err(LayoutError::OverBudget { budget, least, layout, mesh: mesh.to_string() })
}

/// Solves, and rules out what the solver's tolerance let through until the answer keeps the limits
/// exactly.
fn solve_exactly(
    program: &Program<'_>,
    goal: Goal,
    limits: &mut Limits,
) -> Result<Option<(Placement, Status)>, LayoutError> {
    loop {
        let Some((placement, status)) = program.solve(goal, limits)? else { return Ok(None) };
        let over = |limit: Option<f64>, goal, slack: f64| {
            limit.is_some_and(|l| program.value(goal, &placement) > l * (1.0 + slack))
        };
        if over(limits.memory, Goal::Memory, 0.0) || over(limits.time, Goal::Time, 2.0 * SLACK) {
            limits.excluded.push(placement);
        } else {
            return Ok(Some((placement, status)));
        }
    }
}

impl Limits {
    fn tighten(&mut self, goal: Goal, value: f64) {
        match goal {
            Goal::Time => self.time = Some(value),
            Goal::Memory => self.memory = Some(value),
            Goal::Splits => {}
        }
    }
}

fn answer(
    graph: &Graph,
    mesh: &MeshShape,
    objective: &Objective<'_>,
    program: &Program<'_>,
    placement: &Placement,
    status: Status,
) -> Result<LayoutSolution, LayoutError> {
    let prices = match objective {
        Objective::Memory => None,
        Objective::Time { prices, .. } => Some(*prices),
    };
    let evaluation = solution::evaluate(graph, mesh, placement, prices)?;
    Ok(LayoutSolution {
        layout: graph.layout(mesh, placement),
        mesh: mesh.clone(),
        peak_memory: evaluation.peak_memory,
        time: evaluation.time,
        communication: evaluation.communication,
        variables: program.variables(),
        status,
    })
}

fn weaker(a: Status, b: Status) -> Status {
    if a == Status::Optimal { b } else { a }
}

fn is_better(found: &LayoutSolution, best: &LayoutSolution, objective: &Objective<'_>) -> bool {
    let time = |s: &LayoutSolution| match (objective, s.time) {
        (Objective::Time { weights, .. }, Some(time)) => {
            weights.compute * time.compute.get() + weights.communication * time.communication.get()
        }
        _ => 0.0,
    };
    let (a, b) = (time(found), time(best));
    if (a - b).abs() > SLACK * a.max(b) {
        return a < b;
    }
    found.peak_memory < best.peak_memory
}

fn check_weights(objective: &Objective<'_>) -> Result<(), LayoutError> {
    let Objective::Time { weights, .. } = objective else { return Ok(()) };
    let both = [("compute", weights.compute), ("communication", weights.communication)];
    match both.into_iter().find(|(_, w)| !(w.is_finite() && *w >= 0.0)) {
        Some((what, value)) => Err(LayoutError::Weight { what, value }),
        None => Ok(()),
    }
}
