//! Shipped scenarios behind the interface of the explorer, without files or flags around it.

use cost_model::Profile;
use cost_model::stack::load_stack;
use plan::document::Plan;
use plan::machine::Cluster;
use plan::model::{Batch, Model};
use plan::record::StepRecord;
use plan::report::Report;
use plan::scenario::{parse_cluster, parse_device, parse_model};
use planner::answer::{Answer, Impossible, Planned, plan};
use planner::pipeline::Backend;
use planner::report::Context;
use planner::request::{Effort, Objective, Request};
use std::fs;
use std::path::Path;
use tui::host::{Host, Menu, Question, Recipe};
use tui::message::Page;
use tui::{Ask, Refusal};

fn text(kind: &str, name: &str) -> Option<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(kind);
    fs::read_to_string(folder.join(format!("{name}.toml"))).ok()
}

/// A shipped model on a shipped cluster.
pub struct World {
    pub menu: Menu,
    model: Model,
    cluster: Cluster,
    profile: Profile,
}

impl World {
    pub fn new(model: &str, cluster: &str) -> Self {
        let spec = parse_model(&text("models", model).unwrap()).unwrap();
        let device = |name: &str| Some(parse_device(&text("devices", name)?).unwrap());
        let cluster = parse_cluster(&text("clusters", cluster).unwrap(), &device).unwrap();
        let stack = spec.training.default_stack.clone().or(cluster.default_stack.clone());
        let stack = load_stack(&stack.unwrap(), &|name| text("profiles", name)).unwrap();
        let group = &cluster.groups[0];
        let profile = Profile::new(&group.device, group, &stack).unwrap();
        let model = Model::build(&spec).unwrap();
        let recipe = Recipe { layers: model.layers(), ..Recipe::default() };
        let menu = Menu { model: spec.name, recipe, file: "p".into(), ..Menu::default() };
        Self { menu, model, cluster, profile }
    }
}

impl Host for World {
    fn menu(&self) -> &Menu {
        &self.menu
    }

    fn question(&self, ask: &Ask) -> Result<Box<dyn Question + '_>, Refusal> {
        Ok(Box::new(Asked { world: self, ask: ask.clone() }))
    }

    fn command(&self, ask: &Ask) -> String {
        ask.flags().join(" ")
    }

    fn save(&self, _: &Plan, path: &str) -> Result<String, String> {
        Err(format!("nothing is written to {path} here"))
    }

    fn export(&self, page: &Page) -> Result<String, String> {
        Err(format!("no page is written to {} here", page.path))
    }

    fn execute(&self, _: &Plan, observe: &(dyn Fn(StepRecord) + Sync)) -> Result<(), String> {
        observe(StepRecord { step: 0, loss: 1.0, norm: None, seconds: 1.0 });
        Err("only one step".into())
    }
}

struct Asked<'a> {
    world: &'a World,
    ask: Ask,
}

fn hash(text: &str) -> String {
    format!("{:08x}", text.len())
}

impl Question for Asked<'_> {
    fn request<'a>(&'a self, stop: &'a dyn Fn() -> bool) -> Result<Request<'a>, Refusal> {
        let gpus = self.ask.gpus;
        let global_sequences = match self.world.model.spec.training.batch {
            Batch::PerDevice(each) => each * u64::from(gpus),
            Batch::Global(all) => all,
        };
        Ok(Request {
            model: &self.world.model,
            cluster: &self.world.cluster,
            profile: &self.world.profile,
            gpus,
            global_sequences,
            corpus: None,
            pins: self.ask.pins,
            max_memory: self.ask.max_memory.unwrap_or(0.9),
            backend: Backend::Microlp,
            effort: Effort::Proof,
            one_thread: false,
            refuses: &[],
            stop,
        })
    }

    fn answer(&self, request: &Request<'_>) -> Answer {
        plan(request, self.ask.objective)
    }

    fn report(&self, request: &Request<'_>, planned: &Planned, others: usize) -> Report {
        let none = ("none", "none");
        let context = Context {
            made_by: "test",
            model: none,
            cluster: none,
            stack: none,
            corpus: None,
            objective: Objective::StepTime,
            hash: &hash,
            top: others,
            rule: None,
        };
        planner::report::report(request, planned, &context)
    }

    fn refusal(&self, _: &Request<'_>, why: &Impossible) -> Refusal {
        Refusal::new(why.to_string())
    }
}
