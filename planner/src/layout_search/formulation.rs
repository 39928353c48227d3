//! The layout program.
//!
//! Sets: `T` splittable dimensions, `M` mesh axes, `𝒮` the distinct sets of splittable
//! dimensions of operations and of tensors ([`Program::new`]), `A(S)` the partial injective maps
//! `S → M` ([`assignment::all`]), `I` the points of the schedule with what is live there
//! ([`schedule::peaks`]).
//!
//! ```text
//! x[t,m] ∈ {0,1}   t ∈ T, m ∈ M     dimension t is split over axis m           global_variables
//! y[S,a] ∈ [0,1]   S ∈ 𝒮, a ∈ A(S)  the dimensions S are split as a says       local_variables
//! z ≥ 0                             peak memory of one rank                    Variables::new
//!
//! minimise   one of, in turn:  Σ_S Σ_a time(S,a)·y[S,a],  z,  −Σ x[t,m]        objective
//! subject to
//!   Σ_{t ∈ S} x[t,m] ≤ 1                     S of an operation, m ∈ M          op_rows
//!   Σ_m x[t,m] ≤ 1                           t ∈ T                             global_rows
//!   x[t,m] = 0                               unless size(m) divides size(t)    divisibility_rows
//!   Σ_a y[S,a] = 1                           S ∈ 𝒮                             local_rows
//!   Σ_{a: a(t)=m} y[S,a] = x[t,m]            t ∈ S ∈ 𝒮, m ∈ M                  link_rows
//!   Σ_{T ∈ live(i)} Σ_a bytes(T,a)·y[S(T),a] ≤ z        i ∈ I                  memory_rows
//!   z ≤ memory limit                                                           memory_limit
//!   Σ_S Σ_a time(S,a)·y[S,a] ≤ time found before                               time_limit
//!   Σ_{x̂=1} (1 − x) + Σ_{x̂=0} x ≥ 1          layouts x̂ ruled out exactly      exclusion_rows
//! ```
//!
//! `bytes(T,a)` divides each split dimension with ceiling ([`cost::bytes`]). `time(S,a)` sums, over
//! the operations with the set `S`, the weighted price of the local work and of the collective
//! that follows from it ([`cost::local_work`]): a split dimension that is summed over costs an
//! all-reduce of the local result.
//!
//! Mesh-TensorFlow links with implications `y ⇒ x`; the equality used here has the same integer
//! points and a tighter relaxation. Where `x` is integer, the marginals of `y[S,·]` are 0 or 1, so
//! `y[S,·]` is a unit vector without being declared integer: only `|T|·|M|` binaries remain.
//! Instead of one objective `(|T|+1)·z − Σx` the goals are solved one after the other, as sizes in
//! bytes would drown the tie-break in a solver's tolerance.

use super::assignment::{self, Assignment};
use super::cost;
use super::error::LayoutError;
use super::graph::{Graph, Placement};
use super::mesh::MeshShape;
use super::schedule;
use super::{Objective, Status, Weights};
use good_lp::solvers::SolutionStatus;
use good_lp::{
    Constraint, Expression, ProblemVariables, ResolutionError, Solution, SolverModel, Variable,
    WithMipGap, variable,
};
use std::collections::{BTreeMap, BTreeSet};

#[cfg(feature = "highs")]
use good_lp::highs as solver;
#[cfg(not(feature = "highs"))]
use good_lp::microlp as solver;

/// Most variables of a program.
const LIMIT: u64 = 20_000;

/// Relative slack of a limit that an earlier goal reached.
pub(super) const SLACK: f64 = 1e-9;

/// What one solve minimises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Time,
    Memory,
    /// As many split dimensions as possible.
    Splits,
}

/// What a solve must respect.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    pub time: Option<f64>,
    pub memory: Option<f64>,
    pub excluded: Vec<Placement>,
}

/// One coefficient per assignment of each set.
type Coefficients = Vec<Vec<f64>>;

/// The data of the program.
pub(super) struct Program<'a> {
    graph: &'a Graph,
    mesh: &'a MeshShape,
    /// `T`.
    dims: Vec<usize>,
    /// Sets of operations.
    op_sets: BTreeSet<Vec<usize>>,
    /// `𝒮`.
    sets: Vec<Vec<usize>>,
    /// `A(S)` per set.
    assignments: Vec<Vec<Assignment>>,
    /// Seconds per set and assignment.
    time: Coefficients,
    /// Bytes per point of the schedule, set and assignment.
    memory: Vec<Coefficients>,
}

impl<'a> Program<'a> {
    /// Collects sets, assignments and coefficients.
    pub fn new(
        graph: &'a Graph,
        mesh: &'a MeshShape,
        objective: &Objective<'_>,
    ) -> Result<Self, LayoutError> {
        let dims = graph.splittable(&(0..graph.dims.len()).collect::<Vec<_>>());
        let op_sets: BTreeSet<Vec<usize>> =
            graph.ops.iter().map(|op| graph.splittable(&graph.op_dims(op))).collect();
        let tensor_sets = graph.tensors.iter().map(|t| graph.splittable(&t.dims));
        let sets: BTreeSet<Vec<usize>> = op_sets.iter().cloned().chain(tensor_sets).collect();
        let sets: Vec<Vec<usize>> = sets.into_iter().collect();
        check_size(&dims, &sets, mesh)?;
        let assignments = sets.iter().map(|s| assignment::all(s, mesh.axes().len())).collect();
        let (time, memory) = (Vec::new(), Vec::new());
        let mut program = Self { graph, mesh, dims, op_sets, sets, assignments, time, memory };
        program.time = program.time_coefficients(objective)?;
        program.memory = program.memory_coefficients();
        Ok(program)
    }

    /// `|T|·|M| + Σ_S |A(S)| + 1`.
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

    /// The best placement for `goal` within `limits`, `None` where there is none.
    pub fn solve(
        &self,
        goal: Goal,
        limits: &Limits,
    ) -> Result<Option<(Placement, Status)>, LayoutError> {
        let scale = Scale::of(self);
        let mut problem = ProblemVariables::new();
        let variables = Variables::new(self, &mut problem);
        let objective = self.objective(&variables, goal, &scale);
        let mut model = problem
            .minimise(objective)
            .using(solver)
            .with_mip_gap(0.0)
            .map_err(|e| self.solver_error(&e.to_string()))?;
        for row in self.rows(&variables, limits, &scale) {
            model.add_constraint(row);
        }
        match model.solve() {
            Ok(solution) => Ok(Some(self.read(&variables, &solution))),
            Err(ResolutionError::Infeasible) => Ok(None),
            Err(error) => Err(self.solver_error(&error.to_string())),
        }
    }

    /// That the solver failed, in the words of [`LayoutError`].
    pub fn solver_error(&self, reason: &str) -> LayoutError {
        LayoutError::Solver { mesh: self.mesh.to_string(), reason: reason.to_owned() }
    }

    fn read(&self, variables: &Variables, solution: &impl Solution) -> (Placement, Status) {
        let mut placement = vec![None; self.graph.dims.len()];
        for (&(dim, axis), &x) in &variables.x {
            if solution.value(x) > 0.5 {
                placement[dim] = Some(axis);
            }
        }
        let status = match solution.status() {
            SolutionStatus::Optimal => Status::Optimal,
            _ => Status::Feasible,
        };
        (placement, status)
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
        self.sets.iter().position(|s| *s == self.graph.splittable(dims))
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

    fn objective(&self, variables: &Variables, goal: Goal, scale: &Scale) -> Expression {
        match goal {
            Goal::Time => variables.weighted(&self.time, scale.time),
            Goal::Memory => variables.z.into(),
            Goal::Splits => -variables.x.values().sum::<Expression>(),
        }
    }

    fn rows(&self, variables: &Variables, limits: &Limits, scale: &Scale) -> Vec<Constraint> {
        let mut rows = self.op_rows(variables);
        rows.extend(self.global_rows(variables));
        rows.extend(self.divisibility_rows(variables));
        rows.extend(self.local_rows(variables));
        rows.extend(self.link_rows(variables));
        rows.extend(self.memory_rows(variables, scale));
        rows.extend(memory_limit(variables, limits, scale));
        rows.extend(self.time_limit(variables, limits, scale));
        rows.extend(self.exclusion_rows(variables, limits));
        rows
    }

    fn op_rows(&self, variables: &Variables) -> Vec<Constraint> {
        let row = |set: &Vec<usize>, axis: usize| {
            set.iter().map(|&d| variables.x[&(d, axis)]).sum::<Expression>().leq(1)
        };
        let sets = self.op_sets.iter().filter(|set| set.len() > 1);
        sets.flat_map(|s| (0..self.mesh.axes().len()).map(move |m| row(s, m))).collect()
    }

    fn global_rows(&self, variables: &Variables) -> Vec<Constraint> {
        let axes = 0..self.mesh.axes().len();
        let row =
            |&d: &usize| axes.clone().map(|m| variables.x[&(d, m)]).sum::<Expression>().leq(1);
        self.dims.iter().map(row).collect()
    }

    fn divisibility_rows(&self, variables: &Variables) -> Vec<Constraint> {
        let fits =
            |d: usize, m: usize| self.graph.dims[d].size % u64::from(self.mesh.axes()[m].size) == 0;
        let barred = variables.x.iter().filter(|&(&(d, m), _)| !fits(d, m));
        barred.map(|(_, &x)| Expression::from(x).eq(0)).collect()
    }

    fn local_rows(&self, variables: &Variables) -> Vec<Constraint> {
        variables.y.iter().map(|y| y.iter().sum::<Expression>().eq(1)).collect()
    }

    fn link_rows(&self, variables: &Variables) -> Vec<Constraint> {
        let mut rows = Vec::new();
        for (i, set) in self.sets.iter().enumerate() {
            for &dim in set {
                for axis in 0..self.mesh.axes().len() {
                    let mut row = Expression::from(-variables.x[&(dim, axis)]);
                    for (a, &y) in self.assignments[i].iter().zip(&variables.y[i]) {
                        if a.contains(&(dim, axis)) {
                            row += y;
                        }
                    }
                    rows.push(row.eq(0));
                }
            }
        }
        rows
    }

    fn memory_rows(&self, variables: &Variables, scale: &Scale) -> Vec<Constraint> {
        let row = |c: &Coefficients| variables.weighted(c, scale.memory).leq(variables.z);
        self.memory.iter().map(row).collect()
    }

    fn time_limit(
        &self,
        variables: &Variables,
        limits: &Limits,
        scale: &Scale,
    ) -> Option<Constraint> {
        let limit = limits.time? / scale.time;
        Some(variables.weighted(&self.time, scale.time).leq(limit * (1.0 + SLACK)))
    }

    fn exclusion_rows(&self, variables: &Variables, limits: &Limits) -> Vec<Constraint> {
        let row = |placement: &Placement| {
            let mut distance = Expression::from(0);
            for (&(dim, axis), &x) in &variables.x {
                distance += if placement[dim] == Some(axis) { 1 - x } else { Expression::from(x) };
            }
            distance.geq(1)
        };
        limits.excluded.iter().map(row).collect()
    }
}

fn memory_limit(variables: &Variables, limits: &Limits, scale: &Scale) -> Option<Constraint> {
    let limit = limits.memory? / scale.memory;
    Some(Expression::from(variables.z).leq(limit * (1.0 + SLACK)))
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
struct Scale {
    time: f64,
    memory: f64,
}

impl Scale {
    fn of(program: &Program<'_>) -> Self {
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

/// The program's variables.
struct Variables {
    x: BTreeMap<(usize, usize), Variable>,
    y: Vec<Vec<Variable>>,
    z: Variable,
}

impl Variables {
    fn new(program: &Program<'_>, problem: &mut ProblemVariables) -> Self {
        Self {
            x: global_variables(program, problem),
            y: local_variables(program, problem),
            z: problem.add(variable().min(0)),
        }
    }

    /// `Σ_S Σ_a coefficient(S,a) / scale · y[S,a]`.
    fn weighted(&self, coefficients: &Coefficients, scale: f64) -> Expression {
        let mut sum = Expression::from(0);
        for (&y, &c) in self.y.iter().flatten().zip(coefficients.iter().flatten()) {
            if c != 0.0 {
                sum.add_mul(c / scale, y);
            }
        }
        sum
    }
}

fn global_variables(
    program: &Program<'_>,
    problem: &mut ProblemVariables,
) -> BTreeMap<(usize, usize), Variable> {
    let axes = program.mesh.axes().len();
    let pairs = program.dims.iter().flat_map(|&d| (0..axes).map(move |m| (d, m)));
    pairs.map(|pair| (pair, problem.add(variable().binary()))).collect()
}

fn local_variables(program: &Program<'_>, problem: &mut ProblemVariables) -> Vec<Vec<Variable>> {
    let unit = || variable().min(0).max(1);
    program.assignments.iter().map(|a| problem.add_vector(unit(), a.len())).collect()
}
