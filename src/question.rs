//! What is asked of the planner, complete: models and machines instead of names.

pub mod command;
mod rebuild;

pub use rebuild::rebuild;

use crate::catalog::{Catalog, LOCAL};
use crate::cli::values::MemoryLimit;
use crate::cli::{GoalArgs, PlanArgs};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::fingerprint;
use crate::local::{self, calibrated};
use crate::published::{self, Kind, Knowledge, Regime};
use crate::render::number::grouped;
use crate::settings::{Origin, Settings};
use cost_model::{Profile, Stack};
use plan::corpus::Corpus;
use plan::document::Input;
use plan::estimate::Grade;
use plan::huggingface::Imported;
use plan::machine::Cluster;
use plan::model::{Batch, Model, ModelSpec};
use plan::report::Report;
use plan::units::Bytes;
use planner::answer::{Answer, Planned};
use planner::pipeline::Backend;
use planner::ranking::{Rule, choose};
use planner::report::Context;
use planner::request::{Effort, Objective, Pins, Request};

/// Part of the device memory that a plan may fill where nobody says otherwise.
const MAX_MEMORY: f64 = 0.9;

/// A question to the planner, but for the number of GPUs.
pub struct Question {
    /// The model, with the batch and sequence that are asked for.
    pub model: Model,
    /// The machine.
    pub cluster: Cluster,
    /// Where the choice of the cluster came from, in words for the first line of the answer.
    pub cluster_from: String,
    /// Vocabulary statistics, where flag or recipe name some.
    pub corpus: Option<Corpus>,
    /// The software on it.
    pub stack: Stack,
    /// Constants of device, links and software stack.
    pub profile: Profile,
    /// What is pinned.
    pub pins: Pins,
    /// Share of the device memory that a plan may fill.
    pub max_memory: f64,
    /// Where that share comes from, where nobody set it.
    pub limit_from: Option<String>,
    /// What best means.
    pub objective: Objective,
    /// Solver of integer programmes.
    pub backend: Backend,
    /// Plans to show: the best and its runners-up.
    pub top: usize,
    /// How plans are ranked; `None`: by their predictions alone.
    pub rule: Option<Rule>,
    /// Names and hashes of what was read.
    pub inputs: Names,
    /// What had to be assumed of an imported model.
    pub notes: Vec<String>,
}

/// Names and fingerprints of the inputs, before any flag changed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Model.
    pub model: Input,
    /// Cluster.
    pub cluster: Input,
    /// Software stack.
    pub stack: Input,
    /// Corpus.
    pub corpus: Option<Input>,
}

/// What is read from the catalog for a question.
struct Read {
    spec: ModelSpec,
    cluster: Cluster,
    stack: Stack,
    corpus: Option<Corpus>,
}

impl Read {
    fn names(&self) -> Names {
        let input = |name: &str, fingerprint| Input { name: name.to_string(), fingerprint };
        Names {
            model: input(&self.spec.name, fingerprint::of(&self.spec)),
            cluster: input(&self.cluster.name, fingerprint::of(&self.cluster)),
            stack: input(&self.stack.name, fingerprint::of(&self.stack)),
            corpus: self.corpus.as_ref().map(|c| input(&c.name, fingerprint::of(c))),
        }
    }
}

impl Question {
    /// Finds what the flags of `plan` name, and checks that it goes together.
    ///
    /// # Errors
    /// Unknown names, files with problems, more GPUs than the cluster has.
    pub fn resolve(
        catalog: &Catalog,
        flags: &PlanArgs,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        Self::resolve_for(catalog, flags, settings, flags.gpus.counts())
    }

    /// The same for some of the GPU counts that are asked for.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn resolve_for(
        catalog: &Catalog,
        flags: &PlanArgs,
        settings: &Settings,
        counts: &[u32],
    ) -> Result<Self, Failure> {
        let imported = catalog.import(&flags.model)?;
        let cluster = cluster_name(&imported.spec, settings);
        Self::on(catalog, flags, imported, cluster, counts)
    }

    /// The same for the machine at hand.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn local(catalog: &Catalog, flags: &PlanArgs) -> Result<Self, Failure> {
        let imported = catalog.import(&flags.model)?;
        let local = (LOCAL.to_string(), String::new());
        Self::on(catalog, flags, imported, local, flags.gpus.counts())
    }

    fn on(
        catalog: &Catalog,
        flags: &PlanArgs,
        Imported { spec, notes }: Imported,
        (name, cluster_from): (String, String),
        counts: &[u32],
    ) -> Result<Self, Failure> {
        let mut cluster = catalog.cluster(&name)?;
        let ranks = counts.last().copied().unwrap_or(1);
        // Ranks beyond the cores of this machine share them.
        if !calibrated::is_of_cores(&cluster) {
            fits_cluster(&cluster, counts)?;
        }
        let corpus = flags.data.corpus.as_ref().or(spec.training.corpus.as_ref());
        let corpus = corpus.map(|name| catalog.corpus(name)).transpose()?;
        let mut stack = stack(catalog, flags.data.stack.as_deref(), &spec, &cluster)?;
        let cluster_from = match flags.data.stack {
            None => calibrated::apply(&mut cluster, &mut stack, ranks)?.unwrap_or(cluster_from),
            Some(_) => cluster_from,
        };
        local::shared(&mut cluster, ranks);
        let read = Read { spec, cluster, stack, corpus };
        let names = read.names();
        let mut spec = read.spec;
        override_training(&mut spec, flags);
        let profile = profile(&read.cluster, &read.stack)?;
        let model = build(&spec)?;
        if !local::refuses(&read.cluster, &read.stack).is_empty() {
            runs_on_cores(&model)?;
        }
        let goal = &flags.search.goal;
        let reserve = Reserve::of(&names.stack.name);
        Ok(Self {
            model,
            max_memory: max_memory(goal, profile.memory(), reserve.as_ref())?,
            limit_from: reserve.filter(|_| goal.max_memory.is_none()).map(|r| r.words),
            profile,
            stack: read.stack,
            cluster: read.cluster,
            cluster_from,
            corpus: read.corpus,
            pins: flags.pins.pins(),
            objective: goal.objective.of_planner(),
            backend: goal.solver.backend(),
            top: usize::from(flags.search.top),
            rule: rule(goal.quantile),
            inputs: names,
            notes,
        })
    }

    /// The request for a number of GPUs.
    ///
    /// # Errors
    /// A batch that is too large to count.
    pub fn request<'a>(
        &'a self,
        gpus: u32,
        stop: &'a dyn Fn() -> bool,
    ) -> Result<Request<'a>, Failure> {
        let sequences = match self.model.spec.training.batch {
            Batch::Global(n) => Some(n),
            Batch::PerDevice(n) => n.checked_mul(u64::from(gpus)),
        };
        let tokens = sequences.and_then(|n| n.checked_mul(self.model.spec.training.sequence));
        // Beyond 2^53 tokens a floating-point count is not exact any more.
        let global_sequences = sequences.filter(|_| tokens.is_some_and(|t| t < 1 << 53));
        let Some(global_sequences) = global_sequences else {
            return Err(Failure::usage("the batch has more tokens than can be counted")
                .hint("--global-batch and --seq set sequences per step and tokens per sequence"));
        };
        Ok(Request {
            model: &self.model,
            cluster: &self.cluster,
            profile: &self.profile,
            gpus,
            global_sequences,
            corpus: self.corpus.as_ref(),
            pins: self.pins,
            one_thread: !local::refuses(&self.cluster, &self.stack).is_empty(),
            refuses: local::refuses(&self.cluster, &self.stack),
            max_memory: self.max_memory,
            backend: self.backend,
            effort: Effort::Proof,
            stop,
        })
    }

    /// The plan to take, or why there is none. Least memory is no matter of time, and is not
    /// ranked.
    pub fn answer(&self, request: &Request<'_>) -> Answer {
        match (planner::answer::plan(request, self.objective), &self.rule) {
            (Answer::Plan(fastest), Some(rule)) if self.objective != Objective::Memory => {
                Answer::Plan(choose(request, fastest, rule))
            }
            (answer, _) => answer,
        }
    }

    /// The report of a plan.
    pub fn report(&self, request: &Request<'_>, planned: &Planned) -> Report {
        self.report_with(request, planned, self.top.saturating_sub(1))
    }

    /// The report of a plan with a number of runners-up.
    pub fn report_with(&self, request: &Request<'_>, planned: &Planned, others: usize) -> Report {
        let mut report = self.measured_report(request, planned, others);
        if let (Some(from), Some(limit)) = (&self.limit_from, report.memory.reserve.first_mut()) {
            *limit += &format!(": {from}");
        }
        report
    }

    fn measured_report(&self, request: &Request<'_>, planned: &Planned, others: usize) -> Report {
        fn pair(input: &Input) -> (&str, &str) {
            (&input.name, &input.fingerprint)
        }
        let context = Context {
            made_by: concat!("meshwright ", env!("CARGO_PKG_VERSION")),
            model: pair(&self.inputs.model),
            cluster: pair(&self.inputs.cluster),
            stack: pair(&self.inputs.stack),
            corpus: self.inputs.corpus.as_ref().map(pair),
            objective: self.objective,
            hash: &fingerprint::hash,
            top: others,
            rule: self.rule,
        };
        match self.residuals() {
            None => {
                let report = planner::report::report(request, planned, &context);
                self.calibrated_words(report)
            }
            Some((entry, words)) => {
                let mut measured = planned.clone();
                let step = &mut measured.detail.step;
                (step.low, step.high) = (step.value * entry.low, step.value * entry.high);
                let report = planner::report::report(request, &measured, &context);
                Report { interval: words, ..report }
            }
        }
    }

    /// What is said of the interval where the constants are of this machine.
    fn calibrated_words(&self, report: Report) -> Report {
        let below = &self.stack.residual.below;
        match self.stack.name == LOCAL && below.grade == Grade::Fitted {
            true => Report { interval: format!("calibrated here: {}", below.source), ..report },
            false => report,
        }
    }

    /// How far published steps of this device and software lie from their predictions, where there
    /// are enough of them; with the words for it.
    fn residuals(&self) -> Option<(published::Entry, String)> {
        let intervals = published::shipped_intervals().ok()?;
        let regime = Regime {
            knowledge: intervals.knowledge(self.profile.device(), &self.inputs.stack.name),
            stack: self.inputs.stack.name.clone(),
            kind: Kind::of(&self.model),
            // A plan leaves room.
            is_full: false,
        };
        let entry = intervals.find(&regime).filter(|e| e.knowledge != Knowledge::Unseen)?.clone();
        if entry.rows < FEWEST_STEPS {
            return None;
        }
        let whose = match (entry.knowledge, &entry.stack) {
            (Knowledge::Profiled, Some(_)) => "of this software",
            (Knowledge::Profiled, None) => "of software that constants were fitted to",
            _ => "on devices of the tables, whatever the software",
        };
        let words = format!(
            "{:.0} % of {} published steps {whose} lie inside; meshwright accuracy",
            intervals.level * 100.0,
            grouped(entry.rows)
        );
        Some((entry, words))
    }
}

/// How plans are ranked at a quantile, by what published sweeps have shown.
fn rule(quantile: f64) -> Option<Rule> {
    let particular = published::shipped_intervals().ok()?.particular?.particular;
    Some(Rule { particular, quantile })
}

/// A tenth of the steps on either side can be told from this many on: with `n` of them, the level
/// `⌈(n + 1)·0.9⌉/n` of the quantile stays within 1. With fewer, the band of the stack stands.
const FEWEST_STEPS: u64 = 9;

/// The cluster that applies, and where its name came from.
pub fn cluster_name(spec: &ModelSpec, settings: &Settings) -> (String, String) {
    match &settings.cluster {
        Some((name, Origin::File(path))) => (name.clone(), format!("cluster from {path}")),
        Some((name, Origin::Environment(variable))) => {
            (name.clone(), format!("cluster from {variable}"))
        }
        Some((name, _)) => (name.clone(), String::new()),
        None => {
            (spec.training.default_cluster.clone(), "cluster from the model's recipe".to_string())
        }
    }
}

fn build(spec: &ModelSpec) -> Result<Model, Failure> {
    Model::build(spec)
        .map_err(|e| Failure::new(Exit::InvalidInput, format!("model {}: {e}", spec.name)))
}

/// Plans for cores are run by this program: there are none of models that it does not run.
fn runs_on_cores(model: &Model) -> Result<(), Failure> {
    executor::model::check(model, 1).map_err(|why| {
        Failure::new(Exit::NoPlan, why.to_string())
            .hint("--cluster names another machine, which other software runs on")
    })
}

/// Constants of the cluster's devices. Plans are for nodes that are all alike.
fn profile(cluster: &Cluster, stack: &Stack) -> Result<Profile, Failure> {
    let invalid = |text: String| Failure::new(Exit::InvalidInput, text);
    let Some(group) = cluster.groups.first() else {
        return Err(invalid(format!("{} has no nodes", cluster.name)));
    };
    if !cluster.is_homogeneous() {
        let labels: Vec<&str> = cluster.groups.iter().map(|g| g.device.label.as_str()).collect();
        return Err(invalid(format!("{} mixes devices; plans are for one kind", cluster.name))
            .evidence(labels.join("\n"))
            .hint("name a cluster of one of them with --cluster"));
    }
    Profile::new(&group.device, group, stack)
        .map_err(|e| invalid(e.to_string()).hint("--stack names another software stack"))
}

/// No stack is used that nobody named: which software runs decides every constant.
fn stack(
    catalog: &Catalog,
    flag: Option<&str>,
    model: &ModelSpec,
    cluster: &Cluster,
) -> Result<Stack, Failure> {
    // A recipe's software runs on accelerators.
    let on_cores = calibrated::is_of_cores(cluster);
    let recipe = model.training.default_stack.as_deref().filter(|_| !on_cores);
    let name = flag.or(recipe).or(cluster.default_stack.as_deref());
    match name {
        Some(name) => catalog.stack(name),
        None => Err(Failure::usage(format!(
            "neither {} nor {} says which software stack runs",
            model.name, cluster.name
        ))
        .hint("name one with --stack; `meshwright scenarios list profiles` shows all")),
    }
}

/// Flags win over the recipe.
fn override_training(model: &mut ModelSpec, flags: &PlanArgs) {
    let training = &mut model.training;
    if let Some(sequences) = flags.batch.global_batch {
        training.batch = Batch::Global(sequences.get());
    }
    if let Some(sequences) = flags.batch.local_batch {
        training.batch = Batch::PerDevice(sequences.get());
    }
    if let Some(tokens) = flags.batch.seq {
        training.sequence = tokens.get();
    }
    if let Some(dtype) = flags.batch.dtype {
        training.precision.compute = dtype;
    }
}

/// What a plan leaves free where nobody says otherwise, by what published runs took beyond their
/// predictions.
struct Reserve {
    share: f64,
    words: String,
}

impl Reserve {
    fn of(stack: &str) -> Option<Self> {
        let intervals = published::shipped_intervals().ok()?;
        let entry = intervals.memory(stack)?;
        // Whole percents: the quantile knows no more.
        let share = (100.0 / entry.most).floor().min(99.0) / 100.0;
        let whose = if entry.stack.is_some() { " of this software" } else { "" };
        let words = format!(
            "{:.0} % of {} published runs{whose} that fill half of a device took at most {:.2} \
             times the memory predicted",
            intervals.level * 100.0,
            grouped(entry.rows),
            entry.most
        );
        Some(Self { share, words })
    }
}

/// The share of the memory that a limit and a reserve leave.
fn max_memory(flags: &GoalArgs, memory: Bytes, measured: Option<&Reserve>) -> Result<f64, Failure> {
    let (limit, reserve) = (flags.max_memory, flags.reserve);
    let share = match limit {
        None => measured.map_or(MAX_MEMORY, |r| r.share),
        Some(MemoryLimit::Fraction(share)) => share,
        Some(MemoryLimit::Amount(size)) if size > memory => {
            return Err(Failure::usage(format!("--max-memory {size} is more than a device has"))
                .evidence(format!("each has {memory}")));
        }
        Some(MemoryLimit::Amount(size)) => size / memory,
    };
    let left = share.min(1.0 - reserve.map_or(0.0, |r| r / memory));
    match left > 0.0 {
        true => Ok(left),
        false => Err(Failure::usage("--reserve leaves no memory for a plan")
            .evidence(format!("each device has {memory}"))),
    }
}

fn fits_cluster(cluster: &Cluster, gpus: &[u32]) -> Result<(), Failure> {
    let Some(capacity) = cluster.capacity() else { return Ok(()) };
    match gpus.last() {
        Some(&most) if most > capacity => Err(Failure::new(
            Exit::Usage,
            format!(
                "{} has {} GPUs, not {}",
                cluster.name,
                grouped(capacity.into()),
                grouped(most.into())
            ),
        )
        .evidence(cluster.label.clone())
        .hint(format!("--gpus {capacity} uses all of it"))
        .hint("a cluster file without `nodes` grows to what is asked for")),
        _ => Ok(()),
    }
}
