//! From the fastest prediction to the plan to take.

use super::{FULL, MOST, Ranked, Risk, Rule, Traits};
use crate::answer::{Planned, detail_of};
use crate::label::label;
use crate::request::{Effort, Pins, Request};
use crate::search::search_below;
use crate::solution::Solution;
use cost_model::memory::Zero;
use plan::document::Fastest;
use plan::mesh::Degrees;
use plan::units::{Bytes, Seconds};

/// Relative difference below which two steps count as equal.
const TIE: f64 = 1e-9;

/// The plan to take, given the fastest prediction and its proof. Meshes whose bound is within
/// [`MOST`] of the fastest plan are solved, those of the least risk first, until one holds a plan
/// of less risk that the fastest does not beat with the stated probability. The certificate keeps
/// speaking of the fastest plan, which it then names.
#[must_use]
pub fn choose(request: &Request<'_>, fastest: Box<Planned>, rule: &Rule) -> Box<Planned> {
    let ranking = Ranking::new(request, &fastest, rule);
    let chosen = ranking.less_risky().and_then(|solution| ranking.preferred(solution));
    chosen.map_or(fastest, Box::new)
}

struct Ranking<'a> {
    request: &'a Request<'a>,
    /// The same, with the memory that keeps out of the crowded regime where the fastest is in it.
    asked: Request<'a>,
    fastest: &'a Planned,
    best: Ranked,
    rule: &'a Rule,
}

impl<'a> Ranking<'a> {
    fn new(request: &'a Request<'a>, fastest: &'a Planned, rule: &'a Rule) -> Self {
        let best = ranked(request, &fastest.solution, fastest.tensors());
        let memory = request.profile.memory();
        let roomy = request.occupied(request.usable(memory) * FULL) / memory;
        let max_memory = match fill(request, fastest.tensors()) > FULL {
            true => request.max_memory.min(roomy),
            false => request.max_memory,
        };
        Self { request, asked: Request { max_memory, ..*request }, fastest, best, rule }
    }

    /// The plan of the least risk that is close behind the fastest, if another one is.
    fn less_risky(&self) -> Option<Solution> {
        for class in self.meshes().chunk_by(|a, b| a.0 == b.0) {
            let ceiling = self.fastest.solution.step * (1.0 + MOST);
            let best = class.iter().fold(None, |best: Option<Solution>, (_, degrees)| {
                let ceiling = best.as_ref().map_or(ceiling, |b| b.step);
                self.solve(*degrees, ceiling).or(best)
            });
            if let Some(solution) = best {
                return Some(self.settled(solution));
            }
        }
        None
    }

    /// Meshes that may hold such a plan, least risk first, then least bound.
    fn meshes(&self) -> Vec<(Risk, Degrees)> {
        let most = self.best.step * (1.0 + MOST);
        let near = self.fastest.certificate.meshes.iter().filter_map(|mesh| {
            let bound = mesh.bound_seconds.filter(|bound| *bound <= most)?;
            Some((risk(self.request, mesh.degrees, Zero::Off, false), bound, mesh.degrees))
        });
        let mut meshes: Vec<_> = near.filter(|(risk, ..)| *risk < self.best.risk).collect();
        meshes.sort_by(|a, b| {
            a.0.cmp(&b.0).then_with(|| a.1.total_cmp(&b.1)).then_with(|| a.2.cmp(&b.2))
        });
        meshes.into_iter().map(|(risk, _, degrees)| (risk, degrees)).collect()
    }

    /// The best plan of a mesh below a step, if it is close behind the fastest and less risky.
    fn solve(&self, degrees: Degrees, ceiling: Seconds) -> Option<Solution> {
        if (self.request.stop)() {
            return None;
        }
        let whole = !risk(self.request, degrees, Zero::Off, false).is_split;
        let stages: &[Option<Zero>] = match whole && self.request.pins.zero.is_none() {
            // Sharded parameters would split the model.
            true => &[Some(Zero::Off), Some(Zero::Optimizer), Some(Zero::Gradients)],
            false => &[None],
        };
        let on = |zero: &Option<Zero>| self.on(degrees, *zero, Effort::Labels, ceiling);
        let best = stages.iter().filter_map(on).min_by(|a, b| a.step.total_cmp(&b.step))?;
        let other = ranked(self.request, &best, tensors(self.request, &best)?);
        let is_wanted = other.risk < self.best.risk && self.rule.is_close(&self.best, &other);
        is_wanted.then_some(best)
    }

    /// The plan of the same mesh after as much effort as was asked for.
    fn settled(&self, solution: Solution) -> Solution {
        if self.request.effort == Effort::Labels {
            return solution;
        }
        let ceiling = solution.step * (1.0 + 2.0 * TIE);
        let zero = Some(solution.setting.zero);
        let best = self.on(solution.configuration.degrees, zero, Effort::Proof, ceiling);
        best.unwrap_or(solution)
    }

    fn on(
        &self,
        degrees: Degrees,
        zero: Option<Zero>,
        effort: Effort,
        ceiling: Seconds,
    ) -> Option<Solution> {
        let pins = Pins { zero: zero.or(self.request.pins.zero), ..self.request.pins };
        let pins = pins.on_mesh(degrees);
        search_below(&Request { pins, effort, ..self.asked }, ceiling).best
    }

    /// A plan that is preferred to the fastest prediction.
    fn preferred(&self, solution: Solution) -> Option<Planned> {
        let detail = detail_of(self.request, &solution)?;
        let fastest = &self.fastest.solution;
        let other = ranked(self.request, &solution, tensors(self.request, &solution)?);
        let (a, b) = ((self.best.step, &self.best.traits), (other.step, &other.traits));
        let mut certificate = self.fastest.certificate.clone();
        certificate.fastest = Some(Fastest {
            label: label(self.request, fastest),
            seconds: fastest.step.get(),
            faster: self.rule.particular.faster(a, b),
            quantile: self.rule.quantile,
            worst: self.rule.worst(&self.best, &other),
            because: self.rule.particular.because(&self.best.traits, &other.traits).into(),
        });
        let mut others = vec![fastest.clone()];
        others.extend(self.fastest.others.iter().cloned());
        Some(Planned { solution, detail, others, certificate })
    }
}

/// A solution as far as ranking goes.
fn ranked(request: &Request<'_>, s: &Solution, tensors: Bytes) -> Ranked {
    let c = &s.configuration;
    Ranked {
        step: s.step.get(),
        traits: Traits::of(c, request.per_node()),
        risk: risk(request, c.degrees, s.setting.zero, fill(request, tensors) > FULL),
    }
}

fn risk(request: &Request<'_>, d: Degrees, zero: Zero, is_full: bool) -> Risk {
    let doubts = u8::from(d.tp > request.per_node()) + u8::from(is_full);
    let is_sharded = zero == Zero::Parameters && d.dp > 1;
    Risk { doubts, is_split: d.tp > 1 || d.pp > 1 || d.cp > 1 || d.ep > 1 || is_sharded }
}

/// Part of what tensors may take that they take.
fn fill(request: &Request<'_>, tensors: Bytes) -> f64 {
    tensors / request.usable(request.profile.memory())
}

/// Tensors of the fullest rank.
fn tensors(request: &Request<'_>, s: &Solution) -> Option<Bytes> {
    let detail = detail_of(request, s)?;
    Some(detail.ranks.iter().map(|r| r.tensors).fold(Bytes::ZERO, Bytes::max))
}
