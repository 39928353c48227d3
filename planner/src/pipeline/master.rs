//! The loop around the master program: solve, simulate, cut.
//!
//! The program knows some paths through the schedule; its optimum is a lower bound of every
//! plan's step. Its plan is simulated. If the simulation agrees with the program, the plan is
//! optimal. If it takes longer, its critical path is a path the program did not know: add it,
//! repeat. There are finitely many paths, and each round adds one that the last plan violated.

use super::Proof;
use super::formulation::{Choice, Master};
use super::labels::{self, Rules};
use super::pattern::Pattern;
use super::seeds::seeds;
use super::solve::{Scope, Simulated, Solver, TOLERANCE};
use super::solver::{self, Answer};
use cost_model::simulate::Ties;
use plan::units::Seconds;

/// Rounds after which the loop gives up.
const MOST_ROUNDS: usize = 500;

/// What the loop found.
pub(crate) enum Verdict {
    Optimal { best: Simulated, proof: Proof },
    NothingBelow { rounds: usize },
    Unproven { best: Option<Simulated>, bound: f64, reason: String },
}

/// Proves `best` optimal, or finds and proves a better plan, or shows that none takes less than
/// `high`; `low` is a bound of every plan.
pub(crate) fn prove<R: Rules>(
    solver: &mut Solver<'_, R>,
    best: Option<Simulated>,
    low: f64,
    high: f64,
) -> Verdict {
    let choices = choices(solver, high);
    let has_tails = choices.iter().flatten().any(|c| c.pattern.tail > 0.0);
    let cuts = seeds(solver.task.instance, has_tails);
    let master = Master::new(solver.task.instance, choices, cuts);
    Loop { solver, master, best, low, high, rounds: 0 }.run()
}

/// Per stage, all patterns that a plan as fast as `limit` can contain.
fn choices<R: Rules>(solver: &mut Solver<'_, R>, limit: f64) -> Vec<Vec<Choice>> {
    let mut choices: Vec<Vec<Choice>> = Vec::new();
    choices.resize_with(solver.task.instance.stages(), Vec::new);
    for Scope { basis, rules, book } in &mut solver.scopes {
        let possible = labels::search(rules, basis, book, limit).possible;
        for (stage, patterns) in choices.iter_mut().zip(possible) {
            stage.extend(patterns.iter().map(|p| Choice::new(book.get(*p).clone())));
        }
    }
    choices
}

struct Loop<'a, 'p, R> {
    solver: &'a Solver<'p, R>,
    master: Master<'p>,
    best: Option<Simulated>,
    low: f64,
    high: f64,
    rounds: usize,
}

impl<R: Rules> Loop<'_, '_, R> {
    fn run(mut self) -> Verdict {
        while self.rounds < MOST_ROUNDS {
            self.rounds += 1;
            let ceiling = match &self.best {
                Some(best) => best.makespan * (1.0 - TOLERANCE),
                None => self.high,
            };
            if self.is_closed(ceiling) {
                let low = self.low;
                return self.closed(low);
            }
            let program = self.master.program(self.low, ceiling);
            match solver::minimise(&program, self.solver.task.backend) {
                Answer::Optimal(point) => {
                    let plan = self.master.picks(&point);
                    if let Some(bound) = self.learn(plan) {
                        return self.closed(bound);
                    }
                }
                Answer::Infeasible => return self.closed(ceiling),
                Answer::Unproven(reason) => return self.unproven(reason),
            }
        }
        self.unproven(format!("no proof after {MOST_ROUNDS} rounds of cuts"))
    }

    /// Whether no time is left between bound and ceiling. Both were rounded by the tolerance, and
    /// no solver could tell the two ends of a gap as narrow apart: it would return the same plans
    /// for ever.
    fn is_closed(&self, ceiling: f64) -> bool {
        ceiling < self.low * (1.0 + 2.0 * TOLERANCE)
    }

    /// Simulates the program's plan. Returns the bound if it closes the case.
    fn learn(&mut self, plan: Vec<Pattern>) -> Option<f64> {
        let times = self.solver.times(&plan);
        let bound = self.master.longest_cut(&times).get().max(self.low);
        let simulation = self.solver.task.recurrence().run(&times);
        let makespan = simulation.makespan().get();
        for ties in [Ties::SameRank, Ties::Message] {
            self.master.add_cut(simulation.critical_path(ties));
        }
        let is_better = self.best.as_ref().is_none_or(|best| makespan < best.makespan);
        if is_better && makespan < self.high {
            self.best = Some(Simulated { makespan, plan });
        }
        // The solver's optimum is exact only up to its own tolerances.
        self.low = self.low.max(bound * (1.0 - TOLERANCE));
        let best = self.best.as_ref()?;
        (best.makespan <= bound * (1.0 + TOLERANCE)).then_some(bound)
    }

    fn closed(self, bound: f64) -> Verdict {
        let program = self.master.program(self.low, self.high);
        match self.best {
            Some(best) => {
                let proof = Proof::Ilp {
                    bound: Seconds::new(bound.min(best.makespan)),
                    rounds: self.rounds,
                    binaries: program.binaries,
                    rows: program.rows.len(),
                    cuts: self.master.cuts(),
                };
                Verdict::Optimal { best, proof }
            }
            None => Verdict::NothingBelow { rounds: self.rounds },
        }
    }

    fn unproven(self, reason: String) -> Verdict {
        Verdict::Unproven { best: self.best, bound: self.low, reason }
    }
}
