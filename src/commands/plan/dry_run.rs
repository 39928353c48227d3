//! What was understood, before anything is searched.

use crate::cli::{Format, PlanArgs};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::Output;
use crate::question::Question;
use crate::render::json;
use crate::render::number::grouped;
use crate::settings::Settings;
use plan::model::Batch;
use serde_json::{Value, json};

/// Shows the question.
pub fn run(
    question: &Question,
    flags: &PlanArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let gpus = flags.gpus.counts();
    let text = match settings.format {
        Format::Json => json::document(&as_json(question, gpus)),
        _ => output.out.text(&screen(question, gpus)),
    };
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(Exit::Done)
}

fn screen(question: &Question, gpus: &[u32]) -> String {
    let counts: Vec<String> = gpus.iter().map(|n| grouped(u64::from(*n))).collect();
    let from = match question.cluster_from.as_str() {
        "" => String::new(),
        from => format!("; {from}"),
    };
    let training = &question.model.spec.training;
    let batch = match training.batch {
        Batch::PerDevice(n) => format!("{} sequences per GPU", grouped(n)),
        Batch::Global(n) => format!("{} sequences", grouped(n)),
    };
    let pins = question.pins.flags();
    let pins = if pins.is_empty() { "none".to_string() } else { pins.join(" ") };
    format!(
        "{}, on {} GPUs of {} ({}{from})\n\n  Batch   {batch} × {} tokens per step\n  \
         Stack   {}\n  Corpus  {}\n  Memory  up to {:.0} % of {}\n  Pins    {pins}\n  \
         Goal    {}\n",
        question.model.spec.name,
        counts.join(", "),
        question.cluster.name,
        question.cluster.label,
        grouped(training.sequence),
        question.profile.stack().label,
        question.corpus.as_ref().map_or("none", |corpus| corpus.label.as_str()),
        question.max_memory * 100.0,
        question.profile.memory(),
        question.objective.name(),
    )
}

fn as_json(question: &Question, gpus: &[u32]) -> Value {
    let training = &question.model.spec.training;
    let (per_gpu, global) = match training.batch {
        Batch::PerDevice(n) => (Some(n), None),
        Batch::Global(n) => (None, Some(n)),
    };
    json!({
        "schema": "meshwright.request/1",
        "model": question.model.spec.name,
        "cluster": question.cluster.name,
        "stack": question.profile.stack().name,
        "corpus": question.corpus.as_ref().map(|corpus| corpus.name.clone()),
        "gpus": gpus,
        "sequences_per_gpu": per_gpu,
        "sequences": global,
        "tokens_per_sequence": training.sequence,
        "max_memory": question.max_memory,
        "objective": question.objective.name(),
        "pins": question.pins.flags(),
    })
}
