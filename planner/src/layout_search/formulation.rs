//! The layout program.
//!
//! Sets: `M` mesh axes, `𝒮` the largest of the sets of splittable dimensions of operations and
//! tensors (`program::maximal`), `D` their union, `A(S)` the partial injective maps `S → M`
//! (`assignment::all`), `I` the points of the schedule that can be the peak, with what is live
//! there (`schedule::peaks`); `S(t)` is a set that holds the dimensions of tensor `t`.
//!
//! ```text
//! x[d,m] ∈ {0,1}   d ∈ D, m ∈ M     dimension d is split over axis m     global_variables
//! y[S,a] ∈ [0,1]   S ∈ 𝒮, a ∈ A(S)  the set S is split as a says         local_variables
//! z ≥ 0                             peak memory of one rank              Variables::new
//!
//! minimise, one after the other:
//!   Σ_S Σ_a time(S,a)·y[S,a],   z,   −Σ x[d,m]                           objective
//! subject to
//!   x[d,m] = 0            unless size(m) divides size(d)                 divisibility_rows
//!   Σ_a y[S,a] = 1                        S ∈ 𝒮                          local_rows
//!   Σ_{a: a(d)=m} y[S,a] = x[d,m]         d ∈ S ∈ 𝒮, m ∈ M               link_rows
//!   Σ_{t ∈ live(i)} Σ_a bytes(t,a)·y[S(t),a] ≤ z       i ∈ I             memory_rows
//!   z ≤ budget, or the least found before                                memory_limit
//!   Σ_S Σ_a time(S,a)·y[S,a] ≤ the least found before                    time_limit
//!   Σ_{x̂=1} (1 − x) + Σ_{x̂=0} x ≥ 1      layouts x̂ ruled out             exclusion_rows
//! ```
//!
//! `bytes(t,a)` divides each split dimension with ceiling (`cost::bytes`). `time(S,a)` sums, over
//! the operations that `S` stands for, the weighted price of the local work and of the collective
//! that follows from it (`cost::local_work`): a split dimension that is summed over costs an
//! all-reduce of the local result.
//!
//! Mesh-TensorFlow links with implications `y ⇒ x`, and adds `Σ_{d ∈ S} x[d,m] ≤ 1` per operation
//! (no two dimensions on one axis) and `Σ_m x[d,m] ≤ 1` per dimension. The equality used here has
//! the same integer points and a tighter relaxation, and implies both: every `a` is injective, so
//! `Σ_{d ∈ S} x[d,m] = Σ_{a uses m} y[S,a] ≤ Σ_a y[S,a] = 1`, and likewise over `m`. Where `x` is
//! integer, the marginals of `y[S,·]` are 0 or 1, so `y[S,·]` is a unit vector without being
//! declared integer: only `|D|·|M|` binaries remain. For the same reason a set inside another needs
//! no variables of its own, which the original gives every distinct set. Instead of one objective
//! `(|D|+1)·z − Σx` the goals are solved one after the other, as sizes in bytes would drown the
//! tie-break in a solver's tolerance.

use super::error::LayoutError;
use super::graph::Placement;
use super::program::{Coefficients, Program, Scale};
use super::solution::Status;
use good_lp::solvers::SolutionStatus;
use good_lp::{
    Constraint, Expression, ProblemVariables, ResolutionError, Solution, SolverModel, Variable,
    WithMipGap, variable,
};
use std::collections::BTreeMap;

// microlp in every build: the programs are small, and the same layout comes out everywhere.
use good_lp::microlp as solver;

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

impl Program<'_> {
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

    fn objective(&self, variables: &Variables, goal: Goal, scale: &Scale) -> Expression {
        match goal {
            Goal::Time => variables.weighted(&self.time, scale.time),
            Goal::Memory => variables.z.into(),
            Goal::Splits => -variables.x.values().sum::<Expression>(),
        }
    }

    fn rows(&self, variables: &Variables, limits: &Limits, scale: &Scale) -> Vec<Constraint> {
        let mut rows = self.divisibility_rows(variables);
        rows.extend(self.local_rows(variables));
        rows.extend(self.link_rows(variables));
        rows.extend(self.memory_rows(variables, scale));
        rows.extend(memory_limit(variables, limits, scale));
        rows.extend(self.time_limit(variables, limits, scale));
        rows.extend(self.exclusion_rows(variables, limits));
        rows
    }

    fn divisibility_rows(&self, variables: &Variables) -> Vec<Constraint> {
        let size = |axis: usize| u64::from(self.mesh.axes()[axis].size);
        let fits = |dim: usize, axis| self.graph.dims[dim].size.is_multiple_of(size(axis));
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
                    let mut row = -variables.x[&(dim, axis)];
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

#[cfg(test)]
mod tests {
    use super::super::graph::Graph;
    use super::super::tests::support::*;
    use super::super::{MeshShape, Objective};
    use super::*;

    /// `x[10,5]·y[5,20] = z[10,20]`, `b` indivisible. In elements of 4 bytes, all live at the peak:
    /// a:m2;c:m1 25 + 25 + 50/2 = 75; c:m1 50 + 25 + 50 = 125; c:m2 50 + 50 + 100 = 200;
    /// a:m2 25 + 100 + 100 = 225; nothing 350.
    fn with_program(check: impl Fn(&Graph, &MeshShape, &Program<'_>)) {
        let spec = graph("a:10 b:5 c:20").input("x", "a b").input("y", "b c").op("z", "a c", "x y");
        let graph = Graph::build(&spec, FORWARD).unwrap();
        let mesh = mesh("m1:4 m2:2");
        check(&graph, &mesh, &Program::new(&graph, &mesh, &Objective::Memory).unwrap());
    }

    #[test]
    fn excluding_the_best_gives_the_next_best() {
        with_program(|_, _, program| {
            let mut limits = Limits::default();
            let mut found = Vec::new();
            while let Some((placement, _)) = program.solve(Goal::Memory, &limits).unwrap() {
                found.push(program.value(Goal::Memory, &placement) / 4.0);
                limits.excluded.push(placement);
            }
            assert_eq!(found, [75.0, 125.0, 200.0, 225.0, 350.0]);
        });
    }

    #[test]
    fn limits_rule_out_what_exceeds_them() {
        with_program(|graph, mesh, program| {
            let within = |bytes| Limits { memory: Some(bytes), ..Limits::default() };
            assert_eq!(program.solve(Goal::Splits, &within(299.0)).unwrap(), None);
            let (placement, _) = program.solve(Goal::Splits, &within(300.0)).unwrap().unwrap();
            assert_eq!(placement, graph.placement(mesh, &layout("a:m2;c:m1")).unwrap());
        });
    }
}
