//! The data of the layout program: sets, assignments, coefficients.

use super::assignment::{self, Assignment};
use super::cost;
use super::error::LayoutError;
use super::formulation::Goal;
use super::graph::{Graph, Placement};
use super::mesh::MeshShape;
use super::schedule;
use super::{Objective, Weights};
use std::collections::BTreeSet;

/// Most variables of a program.
const LIMIT: u64 = 10_000;

/// One coefficient per assignment of each set.
pub(super) type Coefficients = Vec<Vec<f64>>;

/// The data of the program.
pub(super) struct Program<'a> {
    pub graph: &'a Graph,
    pub mesh: &'a MeshShape,
    /// `D`.
    pub dims: Vec<usize>,
    /// `𝒮`.
    pub sets: Vec<Vec<usize>>,
    /// `A(S)` per set.
    pub assignments: Vec<Vec<Assignment>>,
    /// Seconds per set and assignment.
    pub time: Coefficients,
    /// Bytes per point of the schedule, set and assignment.
    pub memory: Vec<Coefficients>,
}

impl<'a> Program<'a> {
    /// Collects sets, assignments and coefficients.
    pub fn new(
        graph: &'a Graph,
        mesh: &'a MeshShape,
        objective: &Objective<'_>,
    ) -> Result<Self, LayoutError> {
        let of_ops = graph.ops.iter().map(|op| graph.splittable(&graph.op_dims(op)));
        let of_tensors = graph.tensors.iter().map(|t| graph.splittable(&t.dims));
        let sets = maximal(of_ops.chain(of_tensors).collect());
        let dims: BTreeSet<usize> = sets.iter().flatten().copied().collect();
        let dims = Vec::from_iter(dims);
        check_size(&dims, &sets, mesh)?;
        let assignments = sets.iter().map(|s| assignment::all(s, mesh.axes().len())).collect();
        let (time, memory) = (Vec::new(), Vec::new());
        let mut program = Self { mesh, graph, dims, sets, assignments, time, memory };
        program.time = program.time_coefficients(objective)?;
        program.memory = program.memory_coefficients();
        Ok(program)
    }

    /// `|D|·|M| + Σ_S |A(S)| + 1`.
    pub fn variables(&self) -> usize {
        let global = self.dims.len() * self.mesh.axes().len();
        global + self.assignments.iter().map(Vec::len).sum::<usize>() + 1
    }

    /// The exact value of a goal; smaller is better.
    pub fn value(&self, goal: Goal, placement: &Placement) -> f64 {
        let total = |c: &Coefficients| self.total(c, placement);
        match goal {
            Goal::Time => total(&self.time),
            Goal::Memory => self.memory.iter().map(total).fold(0.0, f64::max),
            Goal::Splits => -(placement.iter().flatten().count() as f64),
        }
    }

    /// That the solver failed, in the words of [`LayoutError`].
    pub fn solver_error(&self, reason: &str) -> LayoutError {
        LayoutError::Solver { mesh: self.mesh.to_string(), reason: reason.to_owned() }
    }

    fn total(&self, coefficients: &Coefficients, placement: &Placement) -> f64 {
        let chosen = |(i, per): (usize, &Vec<f64>)| {
            let split = |&d: &usize| placement[d].map(|axis| (d, axis));
            let assignment: Assignment = self.sets[i].iter().filter_map(split).collect();
            let at = self.assignments[i].iter().position(|a| *a == assignment);
            at.map_or(f64::INFINITY, |at| per[at])
        };
        coefficients.iter().enumerate().map(chosen).sum()
    }

    fn zeros(&self) -> Coefficients {
        self.assignments.iter().map(|a| vec![0.0; a.len()]).collect()
    }

    fn set_of(&self, dims: &[usize]) -> Option<usize> {
        let dims = self.graph.splittable(dims);
        self.sets.iter().position(|set| is_subset(&dims, set))
    }

    fn time_coefficients(&self, objective: &Objective<'_>) -> Result<Coefficients, LayoutError> {
        let mut time = self.zeros();
        let &Objective::Time { prices, weights, .. } = objective else { return Ok(time) };
        let Weights { compute, communication } = weights;
        for op in &self.graph.ops {
            let Some(set) = self.set_of(&self.graph.op_dims(op)) else { continue };
            for (i, assignment) in self.assignments[set].iter().enumerate() {
                let placement = assignment::placement(assignment, self.graph.dims.len());
                let work = cost::local_work(self.graph, self.mesh, &placement, op);
                let Some(work) = work else { continue };
                let priced = cost::time(&work, prices)?;
                time[set][i] +=
                    compute * priced.compute.get() + communication * priced.communication.get();
            }
        }
        Ok(time)
    }

    fn memory_coefficients(&self) -> Vec<Coefficients> {
        let live = schedule::live(self.graph, &schedule::order(self.graph));
        let peaks = schedule::peaks(live);
        peaks.iter().map(|tensors| self.bytes_of(tensors)).collect()
    }

    fn bytes_of(&self, tensors: &BTreeSet<usize>) -> Coefficients {
        let mut bytes = self.zeros();
        for &t in tensors {
            let Some(set) = self.set_of(&self.graph.tensors[t].dims) else { continue };
            for (i, assignment) in self.assignments[set].iter().enumerate() {
                let placement = assignment::placement(assignment, self.graph.dims.len());
                bytes[set][i] += cost::bytes(self.graph, self.mesh, &placement, t) as f64;
            }
        }
        bytes
    }
}

/// The sets that no other contains. A smaller set needs no variables of its own: an assignment of
/// the larger one tells where its dimensions are.
fn maximal(sets: BTreeSet<Vec<usize>>) -> Vec<Vec<usize>> {
    let inside = |a: &Vec<usize>| sets.iter().any(|b| a != b && is_subset(a, b));
    sets.iter().filter(|set| !inside(set)).cloned().collect()
}

fn is_subset(small: &[usize], large: &[usize]) -> bool {
    small.iter().all(|d| large.contains(d))
}

fn check_size(dims: &[usize], sets: &[Vec<usize>], mesh: &MeshShape) -> Result<(), LayoutError> {
    let axes = mesh.axes().len();
    let local = sets.iter().map(|s| assignment::count(s.len(), axes));
    let variables =
        local.fold((dims.len() * axes) as u64 + 1, |sum, count| sum.saturating_add(count));
    match variables > LIMIT {
        true => Err(LayoutError::TooLarge { variables, limit: LIMIT }),
        false => Ok(()),
    }
}

/// Units in which no layout is below 1: lower bounds of time and memory.
pub(super) struct Scale {
    pub time: f64,
    pub memory: f64,
}

impl Scale {
    pub fn of(program: &Program<'_>) -> Self {
        let least = |c: &Coefficients| -> f64 {
            c.iter().map(|per| per.iter().copied().fold(f64::INFINITY, f64::min)).sum()
        };
        let positive = |bound: f64| if bound > 0.0 { bound } else { 1.0 };
        Self {
            time: positive(least(&program.time)),
            memory: positive(program.memory.iter().map(least).fold(0.0, f64::max)),
        }
    }
}
