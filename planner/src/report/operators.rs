//! Which operators the time of the layers goes to, each with the formula that prices it.

use crate::answer::Planned;
use crate::prices::lowered;
use crate::request::Request;
use cost_model::formulas::id_of;
use cost_model::layer::exposed_tensor;
use cost_model::price;
use plan::lower::{LoweredLayer, Step, StepRole};
use plan::mesh::Axis;
use plan::report::TimePart;
use plan::units::Seconds;
use plan::work::Pass;
use plan::{Estimate, Grade};

/// Operators of one kind of layer: name and formula, time.
type Operators = Vec<((&'static str, &'static str), Estimate<Seconds>)>;

/// What is broken down.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Arithmetic and memory traffic, recomputation not included.
    Compute,
    /// Exposed collectives of the tensor axis, recomputation not included.
    Tensor,
}

/// The time of the busiest rank's layers, by kind of layer and operator, largest first.
pub(super) fn by_operator(request: &Request<'_>, planned: &Planned, cause: Cause) -> Vec<TimePart> {
    let model = request.model;
    let mut kinds: Vec<(&'static str, Operators)> = Vec::new();
    for (kind, level, layers) in layers_of(request, planned) {
        let kind = &model.kinds[kind];
        let c = &planned.solution.configuration;
        let Some(layer) = lowered(request, c, kind, level) else { continue };
        let passes = f64::from(layers) * f64::from(c.micro_batches);
        let found = kinds.iter().position(|(name, _)| *name == kind.name);
        let at = found.unwrap_or_else(|| {
            kinds.push((kind.name, Vec::new()));
            kinds.len() - 1
        });
        add(&mut kinds[at].1, &layer, (cause, passes, c.sequence_parallel), request);
    }
    largest_first(kinds.into_iter().map(|(name, operators)| kind_part(name, operators)).collect())
}

/// Kind, recomputation level and count of the busiest rank's layers.
fn layers_of(
    request: &Request<'_>,
    planned: &Planned,
) -> Vec<(usize, plan::lower::Recompute, u32)> {
    let s = &planned.solution;
    let mine = s.stages.iter().filter(|stage| stage.rank as usize == planned.detail.busiest);
    let mut all = Vec::new();
    for stage in mine {
        for (run, counts) in request.model.chain.iter().zip(&stage.layers) {
            let levels = s.levels[run.kind].iter().zip(counts).filter(|(_, n)| **n > 0);
            all.extend(levels.map(|(level, n)| (run.kind, *level, *n)));
        }
    }
    all
}

fn add(
    operators: &mut Operators,
    layer: &LoweredLayer,
    (cause, passes, sequence_parallel): (Cause, f64, bool),
    request: &Request<'_>,
) {
    let both = [(&layer.forward, Pass::Forward), (&layer.backward, Pass::Backward)];
    for (steps, pass) in both {
        let share = match cause {
            Cause::Compute => 1.0,
            Cause::Tensor => exposed_tensor(pass, sequence_parallel, request.profile),
        };
        for step in steps.iter().filter(|s| cause_of(s) == Some(cause)) {
            let time = price(&step.work, request.profile) * (passes * share);
            let name = (step.op, id_of(&step.work, request.profile));
            match operators.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum = *sum + time,
                None => operators.push((name, time)),
            }
        }
    }
}

fn cause_of(step: &Step) -> Option<Cause> {
    match step.role {
        StepRole::Compute | StepRole::Communication(Axis::Data) => Some(Cause::Compute),
        StepRole::Communication(Axis::Tensor) => Some(Cause::Tensor),
        StepRole::Communication(Axis::Context | Axis::Expert) => None,
    }
}

fn kind_part(name: &str, operators: Operators) -> TimePart {
    let zero = Estimate::spread(Seconds::ZERO, 0.0, 0.0, Grade::Derived);
    let total = operators.iter().fold(zero, |sum, (_, time)| sum + *time);
    let parts = operators.into_iter().map(|((op, formula), time)| part(op, time, formula, vec![]));
    part(name, total, "", largest_first(parts.collect()))
}

fn part(id: &str, time: Estimate<Seconds>, formula: &str, parts: Vec<TimePart>) -> TimePart {
    TimePart {
        id: id.into(),
        label: id.into(),
        time: time.into(),
        total_seconds: None,
        formula: formula.into(),
        note: String::new(),
        parts,
    }
}

fn largest_first(mut parts: Vec<TimePart>) -> Vec<TimePart> {
    parts.retain(|p| p.time.value > 0.0);
    parts.sort_by(|a, b| b.time.value.total_cmp(&a.time.value).then_with(|| a.id.cmp(&b.id)));
    parts
}
