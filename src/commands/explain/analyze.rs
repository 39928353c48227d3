//! `explain --analyze`: a record against the prediction.

use crate::analysis::{Ledger, rows, windows};
use crate::cli::Format;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::Output;
use crate::record;
use crate::render::analyze::{Analysis, json, screen};
use crate::settings::Settings;
use plan::document::Plan;
use planner::events::Priced;
use planner::request::Request;

/// Shows where a recorded run and its prediction part.
pub fn run(
    path: &str,
    request: &Request<'_>,
    plan: &Plan,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let record = record::read(path)?;
    let samples = record::read_samples(path, &record)?;
    let priced = priced(request, plan)?;
    record::belongs(path, &record, plan, &priced.program)?;
    let measured = record.median_seconds().filter(|seconds| *seconds > 0.0).ok_or_else(|| {
        Failure::new(Exit::InvalidInput, format!("{path} records no step"))
            .hint("`meshwright execute PLAN --steps 20 --record run.json` records some")
    })?;
    let predicted = plan.prediction.step.value;
    let ledger = Ledger::new(&priced.program, &priced.prices, &samples, predicted, measured);
    let ledger = ledger.map_err(|why| {
        Failure::new(Exit::InvalidInput, format!("the program cannot be simulated: {why}"))
    })?;
    let windows = windows(&priced.program, &samples, usize::MAX);
    let rows = rows(request.model, &priced.program, &priced.prices, &windows);
    let analysis = Analysis { path, plan, record: &record, ledger, rows };
    let text = match settings.format {
        Format::Json => json(&analysis),
        _ => output.out.text(&screen(&analysis, &output.out)),
    };
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(Exit::Done)
}

/// The program as ranks run it, with the prices of today.
fn priced(request: &Request<'_>, plan: &Plan) -> Result<Priced, Failure> {
    let broken = |why: String| {
        Failure::new(Exit::InvalidInput, format!("plan {} does not fit its inputs: {why}", plan.id))
            .hint("`meshwright validate` checks every number of it")
    };
    let solution = planner::validate::solution(request, plan).map_err(broken)?;
    Priced::new(request, &solution, &record::lowering()).map_err(|why| broken(why.to_string()))
}
