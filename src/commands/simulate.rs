//! `simulate`: a plan in time, action by action.

mod scenarios;

use crate::catalog::Catalog;
use crate::cli::{Detail, Format, SimulateArgs};
use crate::commands::plan::document;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::Output;
use crate::planfile;
use crate::question::rebuild;
use crate::render::timeline::{self, Screen, trace};
use crate::settings::Settings;
use cost_model::events::Fold;
use plan::document::Plan;
use plan::program::Granularity;
use plan::timeline::{RankSummary, SIMULATION_SCHEMA, Simulation, Timeline};
use plan::units::Seconds;
use planner::answer::detail_of;
use planner::events::Priced;
use planner::request::Request;
use planner::solution::{Solution, unjittered};

/// Simulates a plan.
pub fn run(
    flags: &SimulateArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let name = files::shown(&flags.plan);
    let plan = planfile::parse(name, &files::read(&flags.plan)?)?;
    let catalog = Catalog::from_environment()?;
    let question = rebuild(&catalog, &plan, &flags.sources)?;
    let request = question.request(plan.decision.world_size, &|| false)?;
    let simulated = Simulated::new(&request, &plan, flags.granularity)?;
    let timeline = simulated.timeline(&plan)?;
    let answer = simulated.answer(&plan, &timeline, flags)?;
    if let Some(path) = flags.trace.as_deref() {
        let text = trace::trace(&timeline, &simulated.priced.program, request.per_node());
        files::write_quietly(output, path, &text)?;
    }
    let screen = Screen {
        plan: &plan,
        program: &simulated.priced.program,
        timeline: &timeline,
        answer: &answer,
        trace: flags.trace.as_deref(),
    };
    let text = match settings.format {
        Format::Json => document(&answer)?,
        Format::Markdown => timeline::facts(&answer).markdown(),
        Format::Csv => timeline::facts(&answer).csv(),
        Format::Human | Format::Plain => timeline::screen(&screen, &output.out),
    };
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(Exit::Done)
}

/// A plan with its program and prices.
struct Simulated<'a> {
    request: &'a Request<'a>,
    solution: Solution,
    priced: Priced,
}

impl<'a> Simulated<'a> {
    fn new(request: &'a Request<'a>, plan: &Plan, detail: Detail) -> Result<Self, Failure> {
        let solution = planner::validate::solution(request, plan).map_err(|why| {
            broken(format!("plan {} does not fit its inputs: {why}", plan.id))
                .hint("`meshwright validate` checks every number of it")
        })?;
        let granularity = match detail {
            Detail::Stage => Granularity::Stage,
            Detail::Layer => Granularity::Layer,
            Detail::Operator => Granularity::Operator,
        };
        let lowering = planner::program::settings(request, granularity);
        let priced = Priced::new(request, &solution, &lowering).map_err(|why| {
            broken(format!("plan {} cannot be written as a program: {why}", plan.id))
        })?;
        Ok(Self { request, solution, priced })
    }

    /// One step with no rank slower than its price.
    fn timeline(&self, plan: &Plan) -> Result<Timeline, Failure> {
        let prepared = self.priced.prepared(Fold::classes(&self.priced.program));
        let prepared = prepared.map_err(failed)?;
        Ok(prepared.run().map_err(failed)?.timeline(&plan.id))
    }

    /// The step of the timeline; where replicas train apart, steps differ, and their mean over a
    /// period is what counts.
    fn mean_step(&self, plan: &Plan, timeline: &Timeline) -> Result<f64, Failure> {
        match plan.decision.local_steps {
            None => Ok(timeline.seconds),
            Some(_) => Ok(self.priced.makespan().map_err(failed)?.get()),
        }
    }

    fn closed_form(&self, request: &Request<'_>) -> Option<Seconds> {
        let detail = detail_of(request, &self.solution)?;
        Some(unjittered(request, detail.step.value))
    }

    fn answer(
        &self,
        plan: &Plan,
        timeline: &Timeline,
        flags: &SimulateArgs,
    ) -> Result<Simulation, Failure> {
        let closed_form = self.closed_form(self.request);
        let closed_form = closed_form.ok_or_else(|| broken("the plan cannot be priced".into()))?;
        let seconds = self.mean_step(plan, timeline)?;
        Ok(Simulation {
            schema: SIMULATION_SCHEMA.into(),
            plan: plan.id.clone(),
            actions: self.priced.program.listed_actions() as u64,
            seconds,
            closed_form_seconds: closed_form.get(),
            difference: seconds / closed_form.get() - 1.0,
            ranks: RankSummary::all(timeline),
            jitter: self.jitter(seconds, flags)?,
            what_if: self.what_if(seconds, flags)?,
            failures: scenarios::failures(plan, flags)?,
        })
    }
}

fn broken(text: String) -> Failure {
    Failure::new(Exit::InvalidInput, text)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    broken(format!("the program cannot be simulated: {error}"))
}
