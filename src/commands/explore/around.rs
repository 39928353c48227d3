//! What the explorer asks of the program: questions by their flags, files, runs.

use crate::catalog::{Catalog, Kind, LOCAL, is_path};
use crate::cli::values::MemoryLimit;
use crate::cli::{DrawingArgs, ExploreArgs, SourceArgs, Target, execute_for, plan_of};
use crate::commands::explain::planned_again;
use crate::commands::plan::{document, impossible};
use crate::commands::{execute, plan::quoted};
use crate::diagnostics::Failure;
use crate::export::Exported;
use crate::files;
use crate::planfile;
use crate::question::{Question, cluster_name, command, rebuild};
use crate::record;
use crate::settings::Settings;
use crate::style::Canvas;
use executor::train::StepReport;
use plan::document::Plan;
use plan::model::{Batch, ModelSpec};
use plan::record::StepRecord;
use plan::report::Report;
use planner::answer::{Answer, Impossible, Planned};
use planner::request::Request;
use tui::Ask;
use tui::host::{Host, Measured, Menu, Recipe, Refusal};
use tui::message::Page;

/// Everything around the explorer.
pub struct Around {
    catalog: Catalog,
    settings: Settings,
    menu: Menu,
    /// Flags that the explorer does not change, as words.
    fixed: Vec<String>,
    opened: Option<Opened>,
    measured: Option<Measured>,
}

/// A plan that was read, and the question that it answers.
struct Opened {
    plan: Plan,
    ask: Ask,
    sources: SourceArgs,
}

impl Around {
    /// What the flags name, and the first question.
    pub fn new(
        catalog: Catalog,
        flags: &ExploreArgs,
        settings: &Settings,
    ) -> Result<(Self, Ask), Failure> {
        let measured = flags.replay.as_deref().map(measured).transpose()?;
        let opened = flags.plan.as_deref().map(|path| opened(path, flags)).transpose()?;
        let (model, fixed, ask) = match (&opened, &flags.model) {
            (Some(opened), _) => from_plan(opened),
            (None, Some(model)) => from_flags(&catalog, model, flags, settings)?,
            (None, None) => {
                return Err(Failure::usage("neither a plan nor a model is named")
                    .hint("`meshwright explore plan.json` explores a plan")
                    .hint("`meshwright explore -m mlstm4096 -g 192` explores a question"));
            }
        };
        let spec = catalog.model(&model)?;
        let clusters = catalog.all(Kind::Cluster)?;
        let mut clusters: Vec<String> = clusters.into_keys().collect();
        clusters.push(LOCAL.into());
        let menu = Menu {
            model: spec.name.clone(),
            clusters,
            recipe: recipe(&spec),
            file: settings.output.clone().filter(|f| f != "-").unwrap_or("plan.json".into()),
            steps: flags.steps.get(),
        };
        let settings = settings.clone();
        let around = Self { catalog, settings, menu, fixed, opened, measured };
        around.asked(&ask)?;
        Ok((around, ask))
    }

    /// The words of the `plan` command that asks the same.
    fn words(&self, ask: &Ask) -> Vec<String> {
        command::words(&self.fixed, ask)
    }

    fn exported(&self, page: &Page) -> Result<Exported, Failure> {
        let question = self.asked(&page.ask)?;
        let (plan, command) = (page.plan.clone(), self.command(&page.ask));
        Ok(Exported { plan, file: page.path.clone(), question, command })
    }

    /// A page shows the run that was loaded, where it is one of its plan.
    fn drawing(&self, plan: &Plan) -> DrawingArgs {
        let ran = self.measured.as_ref().filter(|run| run.record.plan.id == plan.id);
        DrawingArgs { record: ran.map(|run| run.file.clone()), ..DrawingArgs::default() }
    }

    fn asked(&self, ask: &Ask) -> Result<Question, Failure> {
        match self.opened.as_ref().filter(|opened| opened.ask == *ask) {
            Some(opened) => rebuild(&self.catalog, &opened.plan, &opened.sources),
            None => {
                let flags = plan_of(self.words(ask))?;
                let settings = Settings {
                    cluster: Some((ask.cluster.clone(), crate::settings::Origin::Flag)),
                    ..self.settings.clone()
                };
                Question::resolve(&self.catalog, &flags, &settings)
            }
        }
    }
}

fn measured(path: &str) -> Result<Measured, Failure> {
    let record = record::read(path)?;
    let samples = record::read_samples(path, &record)?;
    Ok(Measured { file: path.into(), record, samples })
}

fn recipe(spec: &ModelSpec) -> Recipe {
    let layers = plan::model::Model::build(spec).map_or(1, |model| model.layers());
    let t = &spec.training;
    Recipe { batch: t.batch, sequence: t.sequence, dtype: t.precision.compute, layers }
}

fn opened(path: &str, flags: &ExploreArgs) -> Result<Opened, Failure> {
    let plan = planfile::parse(files::shown(path), &files::read(path)?)?;
    let sources = &flags.sources;
    let ask = command::asked(&plan, sources)?;
    let sources = SourceArgs {
        model_file: sources.model_file.clone(),
        cluster_file: sources.cluster_file.clone(),
        stack_file: sources.stack_file.clone(),
        corpus_file: sources.corpus_file.clone(),
    };
    Ok(Opened { plan, ask, sources })
}

type Begin = (String, Vec<String>, Ask);

fn from_plan(opened: &Opened) -> Begin {
    let (model, fixed) = command::fixed(&opened.plan, &opened.sources);
    (model, fixed, opened.ask.clone())
}

fn from_flags(
    catalog: &Catalog,
    model: &str,
    flags: &ExploreArgs,
    settings: &Settings,
) -> Result<Begin, Failure> {
    let spec = catalog.model(model)?;
    let (cluster, _) = cluster_name(&spec, settings);
    let goal = &flags.goal;
    let mut fixed = vec!["-m".to_string(), model.to_string()];
    let mut add = |name: &str, value: Option<String>| {
        fixed.extend(value.into_iter().flat_map(|value| [name.to_string(), value]));
    };
    add("--corpus", flags.data.corpus.clone());
    add("--stack", flags.data.stack.clone());
    add("--reserve", goal.reserve.map(|r| r.to_string()));
    let is_default = (goal.quantile - crate::accuracy::QUANTILE).abs() < 1e-9;
    add("--quantile", (!is_default).then(|| command::percent(goal.quantile)));
    let solver = clap::ValueEnum::to_possible_value(&goal.solver);
    let solver = solver.map(|s| s.get_name().to_string()).filter(|name| name != "microlp");
    add("--solver", solver);
    let max_memory = match goal.max_memory {
        None => None,
        Some(MemoryLimit::Fraction(share)) => Some(share),
        Some(MemoryLimit::Amount(size)) => {
            let cluster = catalog.cluster(&cluster)?;
            let memory = cluster.groups.first().map(|g| g.device.memory.value);
            memory.map(|memory| (size / memory).min(1.0))
        }
    };
    let gpus = flags.gpus.map_or(1, std::num::NonZeroU32::get);
    let batch = &flags.batch;
    let global = batch.global_batch.map(|n| Batch::Global(n.get()));
    let ask = Ask {
        batch: global.or(batch.local_batch.map(|n| Batch::PerDevice(n.get()))),
        sequence: batch.seq.map(std::num::NonZeroU64::get),
        dtype: batch.dtype,
        max_memory,
        objective: goal.objective.of_planner(),
        pins: flags.pins.pins(),
        ..Ask::new(gpus, &cluster)
    };
    Ok((model.to_string(), fixed, ask))
}

impl Host for Around {
    fn menu(&self) -> &Menu {
        &self.menu
    }

    fn question(&self, ask: &Ask) -> Result<Box<dyn tui::Question + '_>, Refusal> {
        let question = self.asked(ask).map_err(|failure| refused(&failure))?;
        let opened = self.opened.as_ref().filter(|opened| opened.ask == *ask);
        let plan = opened.map(|opened| opened.plan.clone());
        Ok(Box::new(Asked { question, gpus: ask.gpus, plan }))
    }

    fn command(&self, ask: &Ask) -> String {
        let words = self.words(ask);
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        format!("meshwright {}", words.join(" "))
    }

    fn save(&self, plan: &Plan, path: &str) -> Result<String, String> {
        let text = document(plan).map_err(|failure| failure.headline().to_string())?;
        files::save(path, &text).map_err(|failure| failure.headline().to_string())?;
        Ok(format!("plan {} is in {path}; next: meshwright execute {path}", plan.id))
    }

    fn export(&self, page: &Page) -> Result<String, String> {
        if files::is_there(&page.path) {
            let path = &page.path;
            return Err(format!("{path} is there already, and stays; :export FILE writes another"));
        }
        let write = || {
            let exported = self.exported(page)?;
            let (text, _) = exported.write(Target::Html, &self.drawing(&page.plan))?;
            files::save_new(&page.path, &text)
        };
        write().map_err(|failure: Failure| failure.headline().to_string())?;
        Ok(format!("the page of plan {} is in {}", page.plan.id, page.path))
    }

    fn measured(&self) -> Option<&Measured> {
        self.measured.as_ref()
    }

    fn execute(&self, plan: &Plan, observe: &(dyn Fn(StepRecord) + Sync)) -> Result<(), String> {
        let model = self.fixed.get(1).filter(|name| is_path(name)).cloned();
        let sources = SourceArgs { model_file: model, ..SourceArgs::default() };
        let step = |s: &StepReport| {
            observe(StepRecord {
                step: s.step,
                loss: s.loss,
                norm: s.norm,
                seconds: s.time.as_secs_f64(),
            });
        };
        let run = || {
            let question = rebuild(&self.catalog, plan, &sources)?;
            let flags = execute_for(self.menu.steps)?;
            execute::watched(&self.catalog, &question, plan, &flags, &step)
        };
        run().map_err(|failure: Failure| failure.headline().to_string())
    }
}

/// A failure for people on a screen.
fn refused(failure: &Failure) -> Refusal {
    let text = failure.render(&Canvas::PLAIN);
    let lines = text.lines().skip(1).map(str::trim).filter(|line| !line.is_empty());
    Refusal { what: failure.headline().to_string(), hints: lines.map(str::to_string).collect() }
}

/// A question with its models and machines.
struct Asked {
    question: Question,
    gpus: u32,
    /// The plan that was read, where this is its question.
    plan: Option<Plan>,
}

impl tui::Question for Asked {
    fn request<'a>(&'a self, stop: &'a dyn Fn() -> bool) -> Result<Request<'a>, Refusal> {
        self.question.request(self.gpus, stop).map_err(|failure| refused(&failure))
    }

    fn answer(&self, request: &Request<'_>) -> Answer {
        let again = self.plan.as_ref().and_then(|plan| planned_again(request, plan).ok());
        match again {
            Some(planned) => Answer::Plan(Box::new(planned)),
            None => self.question.answer(request),
        }
    }

    fn report(&self, request: &Request<'_>, planned: &Planned, others: usize) -> Report {
        let mut report = self.question.report_with(request, planned, others);
        // The machine at hand is detected anew each time; a plan that was read keeps its name.
        if let Some(plan) = self.plan.as_ref().filter(|p| p.decision == report.plan.decision) {
            report.plan.id.clone_from(&plan.id);
            report.plan.inputs.clone_from(&plan.inputs);
        }
        report
    }

    fn refusal(&self, request: &Request<'_>, why: &Impossible) -> Refusal {
        refused(&impossible::failure(&self.question, request, why))
    }
}
