//! Predictions of rows: the same prices, memory and simulation that the planner uses, for the plan
//! that a row ran.

use super::machine::Machine;
use super::row::Row;
use super::rules::{MemoryKind, MemoryRank, MemoryRule};
use super::skip::{Assumptions, Skip};
use super::split::{Split, stages};
use plan::exchange::Exchange;
use plan::lower::Recompute;
use plan::model::Model;
use plan::units::{Bytes, Seconds};
use planner::evaluate::{Detail, detail};
use planner::inner::Inner;
use planner::pipeline::Backend;
use planner::prices::{PriceBook, Split as PriceSplit, Unpriced};
use planner::request::{Effort, Pins, Request};
use planner::setting::settings;
use planner::solution::Solution;
use planner::space::Configuration;
use std::sync::Arc;

/// A row as a question.
#[derive(Clone, Debug)]
pub struct Question {
    /// The model.
    pub model: Arc<Model>,
    /// The machine.
    pub machine: Machine,
    /// The split.
    pub split: Split,
    /// How its memory was read.
    pub memory: Option<MemoryRule>,
    /// What was assumed.
    pub assumed: Assumptions,
}

/// A prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Step time and the interval that the constants give.
    pub step: Seconds,
    /// Lower end.
    pub low: Seconds,
    /// Upper end.
    pub high: Seconds,
    /// 50 % of the peak, and the bubble.
    pub baseline: Seconds,
    /// Where the time goes.
    pub parts: Parts,
    /// Memory that corresponds to the published number.
    pub memory: Bytes,
    /// Tensors of the fullest rank.
    pub tensors: Bytes,
    /// Part of what tensors may take that the fullest rank takes.
    pub fill: f64,
    /// Recomputation that was predicted with.
    pub recompute: Recompute,
    /// Sequences per micro-batch that was predicted with.
    pub micro_batch: u64,
    /// Parameters of the model.
    pub parameters: u64,
    /// What was assumed.
    pub assumed: Assumptions,
}

impl Prediction {
    /// Recomputation in as few layers as memory asks for: a mixture of all layers, which fits, and
    /// a lower level, which does not.
    fn fewest_layers_that_fit(self, fuller: &Self) -> Self {
        let share = (fuller.fill - FULL) / (fuller.fill - self.fill);
        let mix = |a: f64, b: f64| b + (a - b) * share;
        let seconds = |a: Seconds, b: Seconds| Seconds::new(mix(a.get(), b.get()));
        let bytes = |a: Bytes, b: Bytes| Bytes::new(mix(a.get(), b.get()));
        Self {
            step: seconds(self.step, fuller.step),
            low: seconds(self.low, fuller.low),
            high: seconds(self.high, fuller.high),
            baseline: seconds(self.baseline, fuller.baseline),
            parts: self.parts.mixed(&fuller.parts, share),
            memory: bytes(self.memory, fuller.memory),
            tensors: bytes(self.tensors, fuller.tensors),
            fill: FULL,
            ..self
        }
    }
}

/// Where the time of a step goes, in seconds; the parts add up to the step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Parts {
    /// Arithmetic and memory traffic of the layers.
    pub compute: f64,
    /// The same, done again.
    pub recompute: f64,
    /// Exposed tensor-parallel communication.
    pub tensor: f64,
    /// Exposed context-parallel communication.
    pub context: f64,
    /// Exposed expert-parallel communication.
    pub expert: f64,
    /// Waiting for the host.
    pub launch: f64,
    /// Sharded parameters and gradient accumulation.
    pub sharding: f64,
    /// Messages between stages.
    pub messages: f64,
    /// Exposed gradient communication.
    pub data: f64,
    /// Exchange of embedding gradients.
    pub exchange: f64,
    /// Optimizer.
    pub optimizer: f64,
    /// Waiting for other stages.
    pub bubble: f64,
    /// Stragglers.
    pub jitter: f64,
}

impl Parts {
    /// Names and seconds, in the order of tables.
    #[must_use]
    pub fn all(&self) -> [(&'static str, f64); 13] {
        [
            ("compute", self.compute),
            ("recompute", self.recompute),
            ("tensor", self.tensor),
            ("context", self.context),
            ("expert", self.expert),
            ("launch", self.launch),
            ("sharding", self.sharding),
            ("messages", self.messages),
            ("data", self.data),
            ("exchange", self.exchange),
            ("optimizer", self.optimizer),
            ("bubble", self.bubble),
            ("jitter", self.jitter),
        ]
    }

    fn of(detail: &Detail) -> Self {
        let rank = &detail.ranks[detail.busiest];
        let (layers, again) = (&rank.layers, &rank.recompute);
        Self {
            compute: layers.compute.value.get(),
            recompute: again.compute.value.get(),
            tensor: (layers.tensor.value + again.tensor.value).get(),
            context: (layers.context.value + again.context.value).get(),
            expert: (layers.expert.value + again.expert.value).get(),
            launch: (layers.launch.value + again.launch.value).get(),
            sharding: rank.sharding.get(),
            messages: rank.messages.get(),
            data: rank.sync.gradients.get(),
            exchange: rank.sync.exchange.get(),
            optimizer: rank.sync.optimizer.get(),
            bubble: 0.0,
            jitter: detail.jitter.get(),
        }
        .filled(detail.step.value.get())
    }

    /// `share` of these and the rest of the others.
    fn mixed(&self, other: &Self, share: f64) -> Self {
        let mix = |a: f64, b: f64| b + (a - b) * share;
        Self {
            compute: mix(self.compute, other.compute),
            recompute: mix(self.recompute, other.recompute),
            tensor: mix(self.tensor, other.tensor),
            context: mix(self.context, other.context),
            expert: mix(self.expert, other.expert),
            launch: mix(self.launch, other.launch),
            sharding: mix(self.sharding, other.sharding),
            messages: mix(self.messages, other.messages),
            data: mix(self.data, other.data),
            exchange: mix(self.exchange, other.exchange),
            optimizer: mix(self.optimizer, other.optimizer),
            bubble: mix(self.bubble, other.bubble),
            jitter: mix(self.jitter, other.jitter),
        }
    }

    /// What the parts leave of the step is waiting for other stages.
    fn filled(self, step: f64) -> Self {
        let sum: f64 = self.all().iter().map(|(_, seconds)| seconds).sum();
        Self { bubble: (step - sum).max(0.0), ..self }
    }
}

/// Questions that share all prices, answered one after the other.
pub struct Batch<'a> {
    requests: Vec<(Recompute, Request<'a>)>,
}

fn never() -> bool {
    false
}

impl<'a> Batch<'a> {
    /// A batch like `question`: same model, machine and recomputation.
    #[must_use]
    pub fn like(question: &'a Question) -> Self {
        let levels = match question.split.recompute {
            Some(level) => vec![level],
            None => Recompute::ALL.to_vec(),
        };
        let request = |level| Request {
            model: &question.model,
            cluster: &question.machine.cluster,
            profile: &question.machine.profile,
            gpus: question.split.gpus,
            global_sequences: 1,
            corpus: None,
            pins: Pins { recompute: Some(level), ..Pins::default() },
            one_thread: false,
            refuses: &[],
            max_memory: 1.0,
            backend: Backend::Microlp,
            effort: Effort::Labels,
            stop: &never,
        };
        Self { requests: levels.into_iter().map(|level| (level, request(level))).collect() }
    }

    /// Answers the questions, in order.
    #[must_use]
    pub fn answer(&self, questions: &[&Question]) -> Vec<Result<Prediction, Skip>> {
        let mut books: Vec<(Recompute, PriceBook<'_>)> =
            self.requests.iter().map(|(level, r)| (*level, PriceBook::new(r))).collect();
        questions.iter().map(|question| self.one(question, &mut books)).collect()
    }

    /// The least recomputation that fits, in as few layers as fit, and the first configuration with
    /// it; the last of both where nothing fits.
    fn one(
        &self,
        question: &Question,
        books: &mut [(Recompute, PriceBook<'_>)],
    ) -> Result<Prediction, Skip> {
        let mut last: Option<Prediction> = None;
        for (i, (level, book)) in books.iter_mut().enumerate() {
            for c in &question.split.configurations {
                let request = self.request(i, question, c);
                let case = Case { request: &request, question, c: *c, level: *level };
                let next = case.predict(book)?;
                if next.fill > FULL {
                    last = Some(next);
                    continue;
                }
                // The first that fits, of which only so many layers need to be recomputed.
                let same = last.filter(|p| p.micro_batch == next.micro_batch);
                return Ok(same.map_or(next.clone(), |fuller| next.fewest_layers_that_fit(&fuller)));
            }
        }
        last.ok_or(Skip::Unbounded)
    }

    fn request(&self, i: usize, question: &Question, c: &Configuration) -> Request<'a> {
        let replica = c.micro_sequences * u64::from(c.micro_batches);
        // Gradients of tables are summed like every other one, except in TensorFlow, where those of
        // word models are rows.
        let has_rows = question.machine.stack.stack.starts_with("tensorflow");
        let is_dense = !question.model.is_recurrent || !has_rows;
        let exchange = is_dense.then_some(Exchange::Dense);
        let pins = Pins { zero: Some(question.split.zero), exchange, ..self.requests[i].1.pins };
        Request {
            gpus: question.split.gpus,
            global_sequences: replica * u64::from(c.degrees.dp),
            pins,
            ..self.requests[i].1
        }
    }
}

/// From which part of the memory on a plan counts as too full to have been run by choice.
const FULL: f64 = 0.95;

/// One configuration of one question.
struct Case<'a> {
    request: &'a Request<'a>,
    question: &'a Question,
    c: Configuration,
    level: Recompute,
}

impl Case<'_> {
    fn predict(&self, book: &mut PriceBook<'_>) -> Result<Prediction, Skip> {
        let (request, c) = (self.request, self.c);
        let kinds = book.get(PriceSplit::of(request, &c)).as_ref().map_err(unpriced)?;
        let inner = Inner::new(request, c, kinds);
        let none = || Skip::Unpriced("no setting of sharding and exchange applies".into());
        let setting = settings(request, &c, c.degrees.dp * c.degrees.cp).into_iter().next();
        let setting = setting.ok_or_else(none)?;
        let mut assumed = self.question.assumed.clone();
        let cut = self.question.machine.stack.cut;
        let stages = stages(&c, &request.model.chain, kinds, cut, &mut assumed);
        let levels = kinds.iter().map(|k| k.levels.iter().map(|l| l.recompute).collect());
        let levels = levels.collect();
        let solution = Solution { configuration: c, setting, levels, stages, step: Seconds::ZERO };
        let none = || Skip::Unpriced("the schedule does not exist".into());
        let detail = detail(request, &inner, kinds, &solution).ok_or_else(none)?;
        self.prediction(&detail, assumed)
    }

    fn prediction(&self, detail: &Detail, assumed: Assumptions) -> Result<Prediction, Skip> {
        let request = self.request;
        let step = detail.step;
        if !step.value.get().is_finite() || step.value <= Seconds::ZERO {
            return Err(Skip::Unbounded);
        }
        let tensors = detail.ranks.iter().map(|r| r.tensors).fold(Bytes::ZERO, Bytes::max);
        let room = request.usable(request.profile.memory());
        Ok(Prediction {
            step: step.value,
            low: step.low,
            high: step.high,
            baseline: self.baseline(detail)?,
            parts: Parts::of(detail),
            memory: memory(request, self.question.memory.as_ref(), detail),
            tensors,
            fill: tensors / room,
            recompute: self.level,
            micro_batch: self.c.micro_sequences,
            parameters: request.model.parameters(),
            assumed,
        })
    }

    /// Executed FLOPs at half of the peak, stretched by the bubble of equal stages,
    /// `1 + (p − 1)/(m·v)`.
    fn baseline(&self, detail: &Detail) -> Result<Seconds, Skip> {
        let compute = self.question.machine.compute;
        let peak = self.request.profile.peak(compute);
        let peak = peak.ok_or_else(|| Skip::Format(compute.to_string()))?;
        let passes = f64::from(self.c.micro_batches) * f64::from(self.c.chunks);
        let bubble = 1.0 + f64::from(self.c.degrees.pp - 1) / passes;
        let each = detail.executed.get() / f64::from(self.request.gpus);
        Ok(Seconds::new(each / (0.5 * peak.get()) * bubble))
    }
}

fn unpriced(why: &Unpriced) -> Skip {
    match why {
        Unpriced::Divisibility(why) => Skip::Unpriced(why.to_string()),
        Unpriced::Profile(why) => Skip::Machine(why.to_string()),
    }
}

/// The memory that corresponds to the published number.
fn memory(request: &Request<'_>, rule: Option<&MemoryRule>, detail: &Detail) -> Bytes {
    let (what, rank) =
        rule.map_or((MemoryKind::Allocated, MemoryRank::Worst), |r| (r.what, r.rank));
    let all = detail.ranks.iter().map(|r| r.tensors);
    let tensors = match rank {
        MemoryRank::First => detail.ranks.first().map_or(Bytes::ZERO, |r| r.tensors),
        MemoryRank::Last => detail.ranks.last().map_or(Bytes::ZERO, |r| r.tensors),
        MemoryRank::Worst => all.fold(Bytes::ZERO, Bytes::max),
    };
    let fragmentation = request.profile.stack().memory.fragmentation.value;
    match what {
        MemoryKind::Allocated => tensors,
        MemoryKind::Reserved => tensors * (1.0 + fragmentation),
        MemoryKind::Device => request.occupied(tensors),
    }
}

/// Measured seconds per step of a row: stated, or from tokens per second, or from FLOP/s.
#[must_use]
pub fn measured_step(row: &Row, model: &Model, assumed: &mut Assumptions) -> Option<f64> {
    if let Some(step) = row.measured.step {
        return Some(step);
    }
    let (gpus, global) = (row.run.gpus? as f64, row.run.global_batch? as f64);
    let tokens = global * row.shape.seq? as f64;
    if let Some(rate) = row.measured.tokens {
        assumed.add("step time: from tokens per second");
        return Some(tokens / (rate * gpus));
    }
    let rate = row.measured.tflops? * 1e12 * gpus;
    assumed.add("step time: from TFLOP/s by 6 N and whole attention squares");
    let layers = row.shape.layers? as f64 * row.shape.hidden? as f64;
    let each = 6.0 * model.parameters() as f64 + 12.0 * layers * row.shape.seq? as f64;
    Some(each * tokens / rate)
}
