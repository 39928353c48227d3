//! The command that asks the question of a plan again.

use crate::catalog::LOCAL;
use crate::cli::{SourceArgs, read_pins};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use plan::document::Plan;
use plan::model::Batch;
use planner::request::Objective;
use tui::Ask;

/// What a plan answered, as far as flags that the explorer changes say it.
///
/// # Errors
/// Pins and objectives that this version does not know.
pub fn asked(plan: &Plan, sources: &SourceArgs) -> Result<Ask, Failure> {
    let inputs = &plan.inputs;
    let pins: Vec<String> =
        inputs.pins.iter().flat_map(|p| p.split_whitespace()).map(str::to_string).collect();
    let broken = |what: String| Failure::new(Exit::InvalidInput, what);
    let pins = read_pins(&pins).map_err(|e| broken(format!("the plan's pins: {e}")))?;
    let objective = Objective::ALL.into_iter().find(|o| o.name() == inputs.objective);
    let objective = objective
        .ok_or_else(|| broken(format!("the plan's objective `{}` is none", inputs.objective)))?;
    let batch = &plan.decision.batch;
    let cluster = sources.cluster_file.clone().unwrap_or(inputs.cluster.name.clone());
    Ok(Ask {
        batch: Some(Batch::Global(batch.global_sequences)),
        sequence: Some(batch.tokens_per_sequence),
        dtype: Some(plan.decision.precision.compute),
        max_memory: Some(inputs.max_memory),
        objective,
        pins,
        ..Ask::new(plan.decision.world_size, &cluster)
    })
}

/// The model, and the flags that the explorer does not change.
pub fn fixed(plan: &Plan, sources: &SourceArgs) -> (String, Vec<String>) {
    let inputs = &plan.inputs;
    let model = sources.model_file.clone().unwrap_or(inputs.model.name.clone());
    let mut fixed = vec!["-m".to_string(), model.clone()];
    if inputs.stack.name != LOCAL {
        let stack = sources.stack_file.clone().unwrap_or(inputs.stack.name.clone());
        fixed.extend(["--stack".to_string(), stack]);
    }
    if let Some(corpus) = &inputs.corpus {
        let corpus = sources.corpus_file.clone().unwrap_or(corpus.name.clone());
        fixed.extend(["--corpus".to_string(), corpus]);
    }
    if let Some(fastest) = &plan.certificate.fastest {
        fixed.extend(["--quantile".to_string(), percent(fastest.quantile)]);
    }
    (model, fixed)
}

/// A share as flags take it.
pub fn percent(share: f64) -> String {
    format!("{}%", tui::ask::trimmed(share * 100.0))
}

/// The words of the `plan` command that asks the same.
pub fn words(fixed: &[String], ask: &Ask) -> Vec<String> {
    let flags = ask.flags();
    let asked = flags.iter().flat_map(|flag| match flag.split_once(' ') {
        Some((name, value)) => vec![name.to_string(), value.to_string()],
        None => vec![flag.clone()],
    });
    std::iter::once("plan".to_string()).chain(fixed.iter().cloned()).chain(asked).collect()
}
