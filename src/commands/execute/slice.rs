//! `execute --slice`: one rank's share of a plan at its true shapes, on this machine.

use super::{job, ranks};
use crate::analysis;
use crate::catalog::Catalog;
use crate::cli::{ExecuteArgs, Format, SourceArgs};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::Output;
use crate::question::{Question, rebuild};
use crate::record::Before;
use crate::render::execute;
use crate::settings::Settings;
use cost_model::events::{Fold, Prices};
use executor::train::{Job, Outcome, run_slice};
use plan::document::Plan;
use plan::program::{Granularity, Settings as Lowering};
use plan::record::RecordMode;
use plan::units::Seconds;
use planner::events::Priced;

/// Why a slice of a plan cannot be run; `None` where it can.
pub fn refused(catalog: &Catalog, plan: &Plan) -> Option<Failure> {
    let flags = ExecuteArgs::slice_of(0);
    let question = match rebuild(catalog, plan, &SourceArgs::default()) {
        Ok(question) => question,
        Err(failure) => return Some(failure),
    };
    job(&question, plan, &flags, 1).err()
}

/// Runs a rank of a plan by itself and shows what it took.
pub fn run(
    question: &Question,
    plan: &Plan,
    rank: u32,
    flags: &ExecuteArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    if rank >= plan.decision.world_size {
        let last = plan.decision.world_size - 1;
        return Err(Failure::usage(format!("the plan has ranks 0 to {last}"))
            .hint("`--slice rank=0` runs the first"));
    }
    let job = job(question, plan, flags, flags.steps.get())?.recorded(RecordMode::Full);
    let before = Before::look(1);
    output.note(&format!(
        "rank {rank} of {} by itself: its own shapes, the network of {} priced; losses mean \
         nothing",
        plan.decision.world_size, question.cluster.label
    ));
    let network = match &flags.network {
        Some(name) => ranks::network(&Catalog::from_environment()?, name, flags.ranks_per_node)?,
        None => ranks::network_of(&question.cluster, None)?,
    };
    let outcome = run_slice(&job, rank, flags.steps.get(), &network, &|_| {})
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let prices = prices(question, plan)?;
    let record = crate::record::record(plan, &job, &outcome, &before);
    let rows = analysis::rows_of_slice(&question.model, &job.program, &prices, &record.actions);
    let text = match settings.format {
        Format::Json => execute::json(plan, &outcome, predicted(plan)),
        _ => output.out.text(&execute::slice(plan, &record, &rows, network_share(&job, &outcome))),
    };
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(Exit::Done)
}

fn predicted(plan: &Plan) -> Seconds {
    Seconds::new(plan.prediction.step.value)
}

/// Prices of the plan's program on the machine that it is for.
fn prices(question: &Question, plan: &Plan) -> Result<Prices, Failure> {
    let request = question.request(plan.decision.world_size, &|| false)?;
    let broken = |why: String| {
        Failure::new(Exit::InvalidInput, format!("plan {} does not fit its inputs: {why}", plan.id))
            .hint("`meshwright validate` checks every number of it")
    };
    let solution = planner::validate::solution(&request, plan).map_err(broken)?;
    let lowering = Lowering { granularity: Granularity::Layer, ..Lowering::default() };
    let priced = Priced::new(&request, &solution, &lowering);
    let priced = priced.map_err(|why| broken(why.to_string()))?;
    // A program that cannot be simulated has no prices worth showing.
    priced.prepared(Fold::classes(&priced.program)).map_err(|why| broken(why.to_string()))?;
    Ok(priced.prices)
}

/// Part of the rank's time that went into the priced network: what is neither work nor waiting.
fn network_share(job: &Job, outcome: &Outcome) -> f64 {
    let talks = |step: &plan::record::StepSamples, a: u32| {
        let class = job.program.class_of(step.rank).map(|(class, _)| class);
        let action = class.and_then(|c| job.program.classes[c].actions.get(a as usize));
        action.is_some_and(|a| !matches!(a.peers, plan::program::Peers::Nobody))
    };
    let all = outcome.samples.iter().flat_map(|s| s.actions.iter().map(move |a| (s, a)));
    let (mut network, mut whole) = (0.0, 0.0);
    for (step, action) in all {
        whole += action.seconds();
        if talks(step, action.a) {
            network += (action.seconds() - action.b).max(0.0);
        }
    }
    if whole > 0.0 { network / whole } else { 0.0 }
}
