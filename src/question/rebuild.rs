//! The question that a plan answered, from the names in its file.

use super::{Names, Question, Read, build, profile, rule};
use crate::accuracy::QUANTILE;
use crate::catalog::{Catalog, LOCAL};
use crate::cli::{SourceArgs, read_pins};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::local::{self, calibrated};
use plan::document::{Input, Plan};
use plan::model::Batch;
use planner::pipeline::Backend;
use planner::request::Objective;

/// The question that `plan` answered.
///
/// # Errors
/// Inputs that cannot be found or read, or that are not what they were.
pub fn rebuild(catalog: &Catalog, plan: &Plan, sources: &SourceArgs) -> Result<Question, Failure> {
    let mut read = read(catalog, plan, sources)?;
    if plan.inputs.stack.name == LOCAL {
        // Where no constants of this machine are found any more, those that ship stand for them.
        calibrated::apply(&mut read.cluster, &mut read.stack, plan.decision.world_size)?;
        read.stack.name = LOCAL.into();
    }
    local::shared(&mut read.cluster, plan.decision.world_size);
    let names = read.names();
    unchanged(plan, &names)?;
    let mut spec = read.spec;
    let batch = &plan.decision.batch;
    spec.training.batch = Batch::Global(batch.global_sequences);
    spec.training.sequence = batch.tokens_per_sequence;
    spec.training.precision.compute = plan.decision.precision.compute;
    let words: Vec<String> =
        plan.inputs.pins.iter().flat_map(|p| p.split_whitespace()).map(str::to_string).collect();
    let pins = read_pins(&words).map_err(|e| broken(format!("the plan's pins: {e}")))?;
    let objective = Objective::ALL.into_iter().find(|o| o.name() == plan.inputs.objective);
    let objective = objective.ok_or_else(|| {
        broken(format!("the plan's objective `{}` is none", plan.inputs.objective))
    })?;
    Ok(Question {
        model: build(&spec)?,
        profile: profile(&read.cluster, &read.stack)?,
        stack: read.stack,
        cluster: read.cluster,
        cluster_from: String::new(),
        corpus: read.corpus,
        pins,
        max_memory: plan.inputs.max_memory,
        limit_from: None,
        objective,
        backend: Backend::Microlp,
        top: 4,
        rule: rule(plan.certificate.fastest.as_ref().map_or(QUANTILE, |f| f.quantile)),
        inputs: names,
        notes: Vec::new(),
    })
}

fn broken(text: String) -> Failure {
    Failure::new(Exit::InvalidInput, text)
}

fn read(catalog: &Catalog, plan: &Plan, sources: &SourceArgs) -> Result<Read, Failure> {
    let inputs = &plan.inputs;
    let name = |file: &'_ Option<String>, input: &Input| file.clone().unwrap_or(input.name.clone());
    let found = |what: &str, failure: Failure| {
        failure.hint(format!("the plan was made from this {what}; --{what}-file names its file"))
    };
    let spec = catalog.model(&name(&sources.model_file, &inputs.model));
    let cluster = catalog.cluster(&name(&sources.cluster_file, &inputs.cluster));
    let stack = catalog.stack(&name(&sources.stack_file, &inputs.stack));
    let corpus = inputs.corpus.as_ref().map(|c| catalog.corpus(&name(&sources.corpus_file, c)));
    Ok(Read {
        spec: spec.map_err(|f| found("model", f))?,
        cluster: cluster.map_err(|f| found("cluster", f))?,
        stack: stack.map_err(|f| found("stack", f))?,
        corpus: corpus.transpose().map_err(|f| found("corpus", f))?,
    })
}

/// The inputs are what the plan was made from. The machine at hand is detected anew each time: how
/// much of its memory is free changes from minute to minute.
fn unchanged(plan: &Plan, now: &Names) -> Result<(), Failure> {
    let then = &plan.inputs;
    let pairs = [
        ("model", Some(&then.model), Some(&now.model)),
        ("cluster", Some(&then.cluster), Some(&now.cluster)),
        ("stack", Some(&then.stack), Some(&now.stack)),
        ("corpus", then.corpus.as_ref(), now.corpus.as_ref()),
    ];
    let changed: Vec<String> = pairs
        .iter()
        .filter(|(_, then, _)| then.is_none_or(|input| input.name != LOCAL))
        .filter(|(_, then, now)| then.map(|i| &i.fingerprint) != now.map(|i| &i.fingerprint))
        .map(|(what, then, now)| {
            let shown = |i: &Option<&Input>| {
                i.map_or("none".to_string(), |i| format!("{} ({})", i.name, i.fingerprint))
            };
            format!("{what:<9}{} in the plan, {} here", shown(then), shown(now))
        })
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(broken(format!("plan {} was made from other inputs", plan.id))
        .evidence(changed.join("\n"))
        .hint(
            "plan again, or name the files it was made from with --model-file, --cluster-file, …",
        ))
}
