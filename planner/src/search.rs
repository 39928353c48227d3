//! The outer loop: configurations in the order of their bounds, until no bound is below the best
//! plan found.

use crate::inner::Inner;
use crate::prices::{PriceBook, Split, Unpriced};
use crate::request::{Effort, Request};
use crate::solution::{By, Solution, Solved, solve, work_bound};
use crate::space::{Configuration, configurations, describe};
use plan::document::{Certificate, Reason, RuledOut, Status};
use plan::mesh::Degrees;
use plan::units::{Bytes, Seconds};
use std::collections::BTreeMap;

/// What the search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The best plan, if anything fits.
    pub best: Option<Solution>,
    /// Other plans that were solved on the way, fastest first.
    pub others: Vec<Solution>,
    /// The proof.
    pub certificate: Certificate,
    /// Of all configurations that do not fit, the one that lacks least.
    pub closest: Option<Shortfall>,
    /// Why configurations have no prices: the first reason met.
    pub unpriced: Option<Unpriced>,
}

/// A configuration that does not fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shortfall {
    /// The configuration.
    pub configuration: Configuration,
    /// What its worst stage lacks.
    pub missing: Bytes,
    /// That stage.
    pub stage: usize,
}

/// Relative difference below which two steps count as equal.
const TIE: f64 = 1e-9;

/// Searches the whole space.
#[must_use]
pub fn search(request: &Request<'_>) -> Found {
    searched(Search::new(request))
}

/// Searches for plans faster than `ceiling` only; others count as slower.
#[must_use]
pub fn search_below(request: &Request<'_>, ceiling: Seconds) -> Found {
    searched(Search { ceiling: Some(ceiling), ..Search::new(request) })
}

fn searched(mut search: Search<'_>) -> Found {
    let queue = search.bounded();
    search.run(queue);
    search.finish()
}

/// Ties go to the plan that splits the model least, then to the lexicographically smallest: an
/// equal plan that comes later does not replace an earlier one.
fn simplicity(c: &Configuration) -> (u32, Configuration) {
    let d = c.degrees;
    (d.tp * d.pp * d.cp * d.ep, *c)
}

/// A bound without the noise of the order in which its terms were added.
fn nine_digits(bound: Seconds) -> f64 {
    let x = bound.get();
    if x <= 0.0 || !x.is_finite() {
        return x;
    }
    let unit = 10f64.powf(x.log10().floor() - 8.0);
    (x / unit).round() * unit
}

/// A configuration with its lower bound.
struct Candidate {
    bound: Seconds,
    configuration: Configuration,
}

struct Search<'a> {
    request: &'a Request<'a>,
    book: PriceBook<'a>,
    /// The step to beat before anything is found.
    ceiling: Option<Seconds>,
    best: Option<Solution>,
    others: Vec<Solution>,
    closest: Option<Shortfall>,
    unpriced: Option<Unpriced>,
    verdicts: BTreeMap<Degrees, Verdict>,
    configurations: u64,
    solved: u64,
    programmes: u64,
    /// Configurations whose label programmes did not close the case, with their bounds.
    pending: Vec<Candidate>,
    /// The smallest bound that was left open.
    open: Option<Seconds>,
}

/// The configuration of a mesh that came closest to the winner.
struct Verdict {
    configurations: u32,
    reason: Reason,
    bound: Option<Seconds>,
}

impl<'a> Search<'a> {
    fn new(request: &'a Request<'a>) -> Self {
        Self {
            request,
            book: PriceBook::new(request),
            ceiling: None,
            best: None,
            others: Vec::new(),
            closest: None,
            unpriced: None,
            verdicts: BTreeMap::new(),
            configurations: 0,
            solved: 0,
            programmes: 0,
            pending: Vec::new(),
            open: None,
        }
    }

    /// Prices every configuration and bounds it by its layers' work alone, least bound first.
    fn bounded(&mut self) -> Vec<Candidate> {
        let mut queue = Vec::new();
        for configuration in configurations(self.request) {
            self.configurations += 1;
            match self.book.get(Split::of(self.request, &configuration)) {
                Ok(kinds) => {
                    let bound = work_bound(self.request, &configuration, kinds);
                    queue.push(Candidate { bound, configuration });
                }
                Err(why) => {
                    let reason = match why {
                        Unpriced::Divisibility(_) => Reason::Divisibility,
                        Unpriced::Profile(_) => Reason::Unsupported,
                    };
                    let why = why.clone();
                    self.unpriced.get_or_insert(why);
                    self.note(configuration.degrees, reason, None);
                }
            }
        }
        queue.sort_by(|a, b| {
            let by_bound = nine_digits(a.bound).total_cmp(&nine_digits(b.bound));
            by_bound.then_with(|| simplicity(&a.configuration).cmp(&simplicity(&b.configuration)))
        });
        queue
    }

    fn run(&mut self, queue: Vec<Candidate>) {
        for candidate in queue {
            let degrees = candidate.configuration.degrees;
            if self.cutoff().is_some_and(|cutoff| candidate.bound >= cutoff) {
                self.note(degrees, Reason::Bound, Some(candidate.bound));
            } else if self.best.is_some() && (self.request.stop)() {
                self.open.get_or_insert(candidate.bound);
                self.note(degrees, Reason::Undecided, Some(candidate.bound));
            } else {
                self.decide(candidate.configuration, Effort::Labels);
            }
        }
        self.prove();
        self.settle();
    }

    /// Of the plans of the winning configuration that are as fast as the winner, the one to hand
    /// out. Only the winner is settled: it costs more than finding its step.
    fn settle(&mut self) {
        let Some(best) = self.best.as_ref().filter(|_| self.request.effort == Effort::Proof) else {
            return;
        };
        let (c, cutoff) = (best.configuration, best.step * (1.0 + 2.0 * TIE));
        let Ok(kinds) = self.book.get(Split::of(self.request, &c)) else { return };
        let inner = Inner::new(self.request, c, kinds);
        if let Solved::Best { solution, .. } =
            solve(self.request, &inner, kinds, Some(cutoff), Effort::Proof)
        {
            self.best = Some(solution);
        }
    }

    /// Integer programmes, for those configurations whose label programmes left room below the best
    /// plan of all: by now, few.
    fn prove(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_by(|a, b| a.bound.total_cmp(&b.bound));
        for Candidate { bound, configuration } in pending {
            let degrees = configuration.degrees;
            if self.cutoff().is_some_and(|cutoff| bound >= cutoff) {
                self.note(degrees, Reason::StageBound, Some(bound));
            } else if self.request.effort == Effort::Labels || (self.request.stop)() {
                self.open = Some(self.open.map_or(bound, |open| open.min(bound)));
                self.note(degrees, Reason::Undecided, Some(bound));
            } else {
                self.decide(configuration, Effort::Proof);
            }
        }
    }

    fn cutoff(&self) -> Option<Seconds> {
        self.best.as_ref().map(|b| b.step * (1.0 - TIE)).or(self.ceiling)
    }

    fn decide(&mut self, c: Configuration, effort: Effort) {
        let cutoff = self.cutoff();
        let Ok(kinds) = self.book.get(Split::of(self.request, &c)) else { return };
        let inner = Inner::new(self.request, c, kinds);
        match solve(self.request, &inner, kinds, cutoff, effort) {
            Solved::Best { solution, programmes } => {
                self.programmes += programmes;
                self.solved += 1;
                self.note(c.degrees, Reason::Solved, Some(solution.step));
                self.others.extend(self.best.replace(solution));
            }
            Solved::Slower { bound, by, programmes } => {
                self.programmes += programmes;
                let reason = match by {
                    By::Bound => Reason::Bound,
                    By::Labels => Reason::StageBound,
                    By::Programme => Reason::Ilp,
                    By::Simulation => Reason::Solved,
                };
                let fits = bound.get().is_finite();
                let reason = if fits { reason } else { Reason::Memory };
                self.note(c.degrees, reason, Some(bound).filter(|_| fits));
            }
            Solved::DoesNotFit { missing, stage } => {
                if self.closest.is_none_or(|s| missing < s.missing) {
                    self.closest = Some(Shortfall { configuration: c, missing, stage });
                }
                self.note(c.degrees, Reason::Memory, None);
            }
            Solved::Unproven { solution, bound, .. } => {
                if effort == Effort::Labels {
                    self.pending.push(Candidate { bound, configuration: c });
                } else {
                    self.open = Some(self.open.map_or(bound, |open| open.min(bound)));
                    self.note(c.degrees, Reason::Undecided, Some(bound));
                }
                let better = |s: &Solution| self.best.as_ref().is_none_or(|b| s.step < b.step);
                if let Some(s) = solution.filter(better) {
                    self.others.extend(self.best.replace(s));
                }
            }
        }
    }

    /// Keeps, per mesh, the verdict on the configuration that came closest.
    fn note(&mut self, degrees: Degrees, reason: Reason, bound: Option<Seconds>) {
        let new = Verdict { configurations: 1, reason, bound };
        let Some(old) = self.verdicts.get_mut(&degrees) else {
            self.verdicts.insert(degrees, new);
            return;
        };
        old.configurations += 1;
        let closer = match (bound, old.bound) {
            (Some(new), Some(old)) => new < old,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if closer {
            (old.reason, old.bound) = (reason, bound);
        }
    }

    fn finish(mut self) -> Found {
        self.others.sort_by(|a, b| a.step.total_cmp(&b.step));
        let certificate = self.certificate();
        Found {
            best: self.best,
            others: self.others,
            certificate,
            closest: self.closest,
            unpriced: self.unpriced,
        }
    }

    fn certificate(&self) -> Certificate {
        let gap = match (&self.best, self.open) {
            (Some(best), Some(open)) => ((best.step - open) / best.step).max(0.0),
            _ => 0.0,
        };
        let winner = self.best.as_ref().map(|b| b.configuration.degrees);
        let meshes = self.verdicts.iter().map(|(&degrees, v)| {
            let is_winner = winner == Some(degrees);
            let step = self.best.as_ref().map(|b| b.step).filter(|_| is_winner);
            RuledOut {
                degrees,
                configurations: v.configurations,
                reason: if is_winner { Reason::Winner } else { v.reason },
                bound_seconds: step.or(v.bound).map(Seconds::get),
            }
        });
        Certificate {
            status: if gap > 0.0 { Status::Feasible } else { Status::Optimal },
            gap,
            solver: self.request.backend.name().into(),
            configurations: self.configurations,
            solved: self.solved,
            programmes: self.programmes,
            space: describe(),
            meshes: meshes.collect(),
            program: None,
            fastest: None,
        }
    }
}
