//! From an answer to the report that every view shows.

mod assumptions;
mod clusters;
mod document;
mod exchange;
mod infeasible;
mod memory;
mod operators;
mod runners_up;
mod sweep;
mod time;
mod warnings;

pub use assumptions::{Weighed, weighed};
pub use clusters::{Cost, clusters};
pub use document::decision;
pub use infeasible::infeasible;
pub use sweep::sweep;
pub use time::time_parts;

use crate::answer::Planned;
use crate::prices::compute;
use crate::ranking::Rule;
use crate::request::{Objective, Request};
use crate::why::reasons;
use plan::Estimate;
use plan::document::Plan;
use plan::quantity::Value;
use plan::report::{MachineLine, ModelLine, REPORT_SCHEMA, Report};
use plan::units::{Flops, Seconds};

/// What a report needs besides the answer.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Version that answers: `meshwright 0.1.0`.
    pub made_by: &'a str,
    /// Name and fingerprint of the model.
    pub model: (&'a str, &'a str),
    /// Name and fingerprint of the cluster.
    pub cluster: (&'a str, &'a str),
    /// Name and fingerprint of the software stack.
    pub stack: (&'a str, &'a str),
    /// Name and fingerprint of the corpus.
    pub corpus: Option<(&'a str, &'a str)>,
    /// What was asked for.
    pub objective: Objective,
    /// A hash in hexadecimal digits, at least eight.
    pub hash: &'a dyn Fn(&str) -> String,
    /// Runners-up to show.
    pub top: usize,
    /// How plans are ranked; without it runners-up have no probability.
    pub rule: Option<Rule>,
}

/// The report of an answer.
#[must_use]
pub fn report(request: &Request<'_>, planned: &Planned, context: &Context<'_>) -> Report {
    let step = planned.detail.step;
    let numbers = Numbers::new(request, planned);
    Report {
        schema: REPORT_SCHEMA.into(),
        model: model_line(request),
        machine: machine_line(request),
        plan: document::plan(request, planned, context, &numbers),
        step: step.into(),
        interval: interval(request),
        tokens_per_second: numbers.rate(numbers.tokens, "token/s"),
        tokens_per_second_per_gpu: numbers
            .rate(numbers.tokens / f64::from(request.gpus), "token/s/GPU"),
        mfu: numbers.utilisation(numbers.model_flops),
        hfu: numbers.utilisation(planned.detail.executed),
        peak: Value::new(numbers.peak, (numbers.peak, numbers.peak), "FLOP/s", "published"),
        speed_of_light: numbers.speed_of_light(),
        epoch: epoch(request, &numbers),
        dollars_per_step: dollars(request, step),
        time: time::time_tree(request, planned),
        memory: memory::memory(request, planned),
        exchange: exchange::exchange(request, planned),
        why: reasons(request, planned),
        runners_up: runners_up::runners_up(request, planned, (context.top, context.rule.as_ref())),
        warnings: warnings::warnings(request, planned),
        assumptions: assumptions::assumptions(request),
    }
}

/// The plan document alone.
#[must_use]
pub fn document(request: &Request<'_>, planned: &Planned, context: &Context<'_>) -> Plan {
    document::plan(request, planned, context, &Numbers::new(request, planned))
}

/// The model, in a line.
#[must_use]
pub fn model_line(request: &Request<'_>) -> ModelLine {
    ModelLine {
        name: request.model.spec.name.clone(),
        parameters: request.model.parameters(),
        flops_per_token: request.model.flops_per_token().get(),
    }
}

/// The machine, in a line.
#[must_use]
pub fn machine_line(request: &Request<'_>) -> MachineLine {
    let group = request.cluster.groups.first();
    MachineLine {
        cluster: request.cluster.name.clone(),
        label: request.cluster.label.clone(),
        device: group.map_or(String::new(), |g| g.device.label.clone()),
        gpus: request.gpus,
        nodes: request.nodes(),
        per_node: request.per_node(),
    }
}

/// Quantities that several parts of the report share.
pub(crate) struct Numbers {
    step: Estimate<Seconds>,
    tokens: f64,
    model_flops: Flops,
    /// Dense peak of one device, FLOP/s.
    peak: f64,
    gpus: f64,
}

impl Numbers {
    fn new(request: &Request<'_>, planned: &Planned) -> Self {
        let t = &request.model.spec.training;
        let sequences = request.global_sequences as f64;
        let each = request.model.flops_per_sequence(t.sequence, t.source_or_target());
        let peak = request.profile.peak(compute(request)).map_or(f64::INFINITY, |p| p.get());
        Self {
            step: planned.detail.step,
            tokens: sequences * t.sequence as f64,
            model_flops: each * sequences,
            peak,
            gpus: f64::from(request.gpus),
        }
    }

    /// `amount` per step as a rate; a longer step is a lower rate.
    fn rate(&self, amount: f64, unit: &str) -> Value {
        let at = |s: Seconds| amount / s.get();
        let interval = (at(self.step.high), at(self.step.low));
        Value::new(at(self.step.value), interval, unit, self.step.grade.word())
    }

    /// `FLOPs / (step · GPUs · peak)`; never above what the hardware can do.
    fn utilisation(&self, flops: Flops) -> Value {
        let all = flops.get() / (self.gpus * self.peak);
        let mut value = self.rate(all, "1");
        value.high = value.high.min(1.0);
        value
    }

    fn speed_of_light(&self) -> Value {
        let seconds = self.model_flops.get() / (self.gpus * self.peak);
        Value::new(seconds, (seconds, seconds), "s", "derived")
    }
}

fn interval(request: &Request<'_>) -> String {
    let stack = request.profile.stack();
    let band = &stack.residual;
    format!("not calibrated here; {}: {}", stack.name, band.above.source)
}

fn epoch(request: &Request<'_>, numbers: &Numbers) -> Option<Value> {
    let tokens = request.model.spec.training.epoch_tokens?;
    let steps = tokens / numbers.tokens;
    Some((numbers.step * steps).into())
}

fn dollars(request: &Request<'_>, step: Estimate<Seconds>) -> Option<Value> {
    let price = request.cluster.groups.first()?.device.price.as_ref()?;
    let at = |s: Seconds| (price.value * s).get() * f64::from(request.gpus);
    let grade = price.grade.max(step.grade);
    Some(Value::new(at(step.value), (at(step.low), at(step.high)), "USD", grade.word()))
}
