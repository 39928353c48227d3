//! The order of a plan's pipeline as PyTorch reads it.

use super::Exported;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use plan::schedule::{Shape, csv};

/// A line per pipeline rank, a cell per pass.
///
/// # Errors
/// A plan without a pipeline has no schedule.
pub fn write(exported: &Exported) -> Result<String, Failure> {
    let plan = &exported.plan;
    let decision = &plan.decision;
    let shape = Shape {
        kind: decision.schedule,
        ranks: decision.degrees.pp,
        micro_batches: decision.batch.micro_batches,
        chunks: decision.chunks,
    };
    let order = shape.order().filter(|_| shape.ranks > 1);
    let order = order.ok_or_else(|| {
        let what = format!("plan {} has no pipeline, so there is no schedule to write", plan.id);
        let model = &exported.question.inputs.model.name;
        let gpus = decision.world_size;
        Failure::new(Exit::InvalidInput, what).hint(format!(
            "`meshwright plan -m {model} -g {gpus} --pp 2` asks for a plan of two stages"
        ))
    })?;
    Ok(csv::write(&order))
}
