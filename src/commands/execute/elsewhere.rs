//! Plans that this machine cannot run: what is missing, and what works here.

use crate::catalog::{Catalog, LOCAL};
use crate::cli::parse_plan;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::question::Question;
use plan::document::Plan;
use planner::answer::Answer;
use std::num::NonZero;
use std::thread::available_parallelism;

/// A model that fits every machine.
const SMALL: &str = "mlstm-tiny";

/// Refuses a plan for another machine. Every command that it names has been tried.
///
/// # Errors
/// Always, where the plan is for another machine.
pub fn fits_here(catalog: &Catalog, plan: &Plan, path: &str) -> Result<(), Failure> {
    let cluster = &plan.inputs.cluster.name;
    if cluster == LOCAL {
        return Ok(());
    }
    let ranks = plan.decision.world_size;
    let here = available_parallelism().map_or(1, NonZero::get);
    let what = format!("plan {} is for {ranks} GPUs of {cluster}, not for this machine", plan.id);
    let mut failure = Failure::new(Exit::NoPlan, what).evidence(format!(
        "missing: {ranks} × {}, and this version computes on processors only ({here} here)",
        device(catalog, plan)
    ));
    failure = failure
        .hint(format!("meshwright execute {path} --dry-run   ranks, memory, what launches them"));
    failure = match super::slice::refused(catalog, plan) {
        None => failure
            .hint(format!("meshwright execute {path} --slice rank=0   one rank's share, here")),
        Some(_) => failure.hint(format!("meshwright simulate {path}   its step in simulated time")),
    };
    let model = &plan.inputs.model.name;
    let words = |model: &str| format!("plan -m {model} -g {here} -c {LOCAL} -o local.json");
    let smaller = [model.as_str(), SMALL].into_iter().find(|m| can_plan(catalog, &words(m)));
    Err(match smaller {
        Some(found) => failure.hint(format!("meshwright {}   a plan for here", words(found))),
        None => failure,
    })
}

fn device(catalog: &Catalog, plan: &Plan) -> String {
    let cluster = catalog.cluster(&plan.inputs.cluster.name);
    let label = cluster.ok().and_then(|c| c.groups.first().map(|g| g.device.label.clone()));
    label.unwrap_or_else(|| plan.inputs.cluster.name.clone())
}

/// Whether there is a plan for this machine, found by asking for it.
fn can_plan(catalog: &Catalog, words: &str) -> bool {
    let asked = || {
        let flags = parse_plan(words).ok()?;
        let question = Question::local(catalog, &flags).ok()?;
        let ranks = flags.gpus.counts().last().copied()?;
        let request = question.request(ranks, &|| false).ok()?;
        Some(matches!(question.answer(&request), Answer::Plan(_)))
    };
    asked().unwrap_or(false)
}
