//! Shipped scenarios, put together to questions.

use cost_model::stack::load_stack;
use cost_model::{Profile, Stack};
use plan::corpus::Corpus;
use plan::machine::Cluster;
use plan::model::{Batch, Model, ModelSpec};
use plan::scenario::{parse_cluster, parse_corpus, parse_device, parse_model};
use planner::pipeline::Backend;
use planner::report::Context;
use planner::request::{Objective, Pins, Request};
use planner::{Answer, Planned, plan};
use std::fs;
use std::path::{Path, PathBuf};

/// Share of the memory that plans may fill here.
pub const MAX_MEMORY: f64 = 0.95;

fn hash(text: &str) -> String {
    format!("{:08x}", text.bytes().fold(0u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b))))
}

/// What a report is told beside the plan: inputs without names.
pub fn context() -> Context<'static> {
    let none = ("none", "none");
    Context {
        made_by: "test",
        model: none,
        cluster: none,
        stack: none,
        corpus: None,
        objective: Objective::StepTime,
        hash: &hash,
        top: 3,
        rule: None,
    }
}

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(kind)
}

fn text(kind: &str, name: &str) -> Option<String> {
    fs::read_to_string(folder(kind).join(format!("{name}.toml"))).ok()
}

/// Names of all shipped files of a kind, sorted.
pub fn names(kind: &str) -> Vec<String> {
    let files = fs::read_dir(folder(kind)).unwrap();
    let mut names: Vec<String> = files
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// The shipped model `name`.
pub fn model(name: &str) -> ModelSpec {
    parse_model(&text("models", name).unwrap()).unwrap_or_else(|p| panic!("{name}: {p}"))
}

/// The shipped cluster `name`.
pub fn cluster(name: &str) -> Cluster {
    let device = |name: &str| Some(parse_device(&text("devices", name)?).unwrap());
    parse_cluster(&text("clusters", name).unwrap(), &device).unwrap()
}

fn stack(name: &str) -> Stack {
    load_stack(name, &|name| text("profiles", name)).unwrap_or_else(|error| panic!("{error}"))
}

fn corpus(name: &str) -> Corpus {
    parse_corpus(&text("corpora", name).unwrap()).unwrap()
}

fn never() -> bool {
    false
}

/// A model on a machine.
#[derive(Clone)]
pub struct World {
    pub model: Model,
    pub cluster: Cluster,
    pub stack: Stack,
    pub profile: Profile,
    pub corpus: Option<Corpus>,
}

impl World {
    /// `model` as shipped on the cluster `cluster`, with the stack `stack` or the one that the
    /// model or the cluster names.
    pub fn new(model: &ModelSpec, cluster_name: &str, stack_name: Option<&str>) -> Self {
        let cluster = cluster(cluster_name);
        let training = &model.training;
        let default = training.default_stack.as_deref().or(cluster.default_stack.as_deref());
        Self::on(model, cluster.clone(), &stack(stack_name.or(default).unwrap()))
    }

    /// `model` with a stack, where that stack has what the model and the devices need.
    pub fn try_new(model: &ModelSpec, cluster_name: &str, stack_name: &str) -> Option<Self> {
        let (cluster, stack) = (cluster(cluster_name), stack(stack_name));
        let group = &cluster.groups[0];
        Profile::new(&group.device, group, &stack).ok()?;
        Some(Self::on(model, cluster, &stack))
    }

    /// `model` on a machine that is given as it is.
    pub fn on(model: &ModelSpec, cluster: Cluster, stack: &Stack) -> Self {
        let group = &cluster.groups[0];
        let profile = Profile::new(&group.device, group, stack).unwrap();
        let corpus = model.training.corpus.as_deref().map(corpus);
        let model = Model::build(model).unwrap();
        Self { model, cluster, stack: stack.clone(), profile, corpus }
    }

    /// The shipped model `name` on `cluster`.
    pub fn shipped(name: &str, cluster: &str) -> Self {
        Self::new(&model(name), cluster, None)
    }

    /// The question for `gpus`, with the batch of the recipe.
    pub fn request(&self, gpus: u32, pins: Pins) -> Request<'_> {
        let global_sequences = match self.model.spec.training.batch {
            Batch::PerDevice(each) => each * u64::from(gpus),
            Batch::Global(all) => all,
        };
        Request {
            model: &self.model,
            cluster: &self.cluster,
            profile: &self.profile,
            gpus,
            global_sequences,
            corpus: self.corpus.as_ref(),
            pins,
            one_thread: false,
            refuses: &[],
            max_memory: MAX_MEMORY,
            backend: Backend::Microlp,
            effort: planner::request::Effort::Proof,
            stop: &never,
        }
    }

    /// The same model and stack on a machine that `change` made different.
    pub fn with_machine(&self, change: impl FnOnce(&mut Cluster)) -> Self {
        let mut cluster = self.cluster.clone();
        change(&mut cluster);
        Self::on(&self.model.spec, cluster, &self.stack)
    }
}

/// The fastest plan, if one fits.
pub fn fastest(request: &Request<'_>) -> Option<Box<Planned>> {
    match plan(request, Objective::StepTime) {
        Answer::Plan(planned) => Some(planned),
        Answer::Infeasible(_) | Answer::Impossible(_) => None,
    }
}

/// `a` is at most `b`, but for rounding.
pub fn at_most(a: f64, b: f64) -> bool {
    a <= b * (1.0 + 1e-9)
}
