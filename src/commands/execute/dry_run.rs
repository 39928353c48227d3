//! `execute --dry-run`: who would do what, and how much memory it takes.

use crate::catalog::LOCAL;
use crate::cli::Format;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::Output;
use crate::question::Question;
use crate::render::json;
use crate::render::table::{Align, Table};
use crate::settings::Settings;
use plan::document::Plan;
use plan::program::{Class, Granularity, Program, Settings as Lowering};
use plan::units::Bytes;
use serde_json::{Value, json};

/// Shows ranks, memory and the command that launches them.
pub fn run(
    question: &Question,
    plan: &Plan,
    path: &str,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let request = question.request(plan.decision.world_size, &|| false)?;
    let lowering = Lowering { granularity: Granularity::Layer, ..Lowering::default() };
    let program = planner::program::program(&request, &plan.decision, &lowering);
    let program = program.map_err(|why| {
        let what = format!("plan {} has no program: {why}", plan.id);
        Failure::new(Exit::InvalidInput, what)
            .hint("`meshwright validate` checks every number of it")
    })?;
    let launch = launch(plan, path, request.per_node());
    let text = match settings.format {
        Format::Json => as_json(plan, &program, request.per_node(), &launch),
        _ => output.out.text(&format!(
            "{}\n{launch}\n",
            ranks(plan, &program, request.per_node()).text(output.out.width)
        )),
    };
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(Exit::Done)
}

/// What starts the ranks, in words.
fn launch(plan: &Plan, path: &str, per_node: u32) -> String {
    let ranks = plan.decision.world_size;
    if plan.inputs.cluster.name == LOCAL {
        return format!("Launch: meshwright execute {path}   {ranks} threads of one process");
    }
    let nodes = ranks.div_ceil(per_node.max(1));
    format!(
        "Launch: not yet: this version runs ranks on processors of one machine. It takes {nodes} \
         nodes of {}, {per_node} ranks each; `meshwright explain {path} --program rank=0` lists \
         what each does",
        plan.inputs.cluster.name
    )
}

/// One row per class: its ranks differ by their peers only.
fn ranks(plan: &Plan, program: &Program, per_node: u32) -> Table {
    let mut table = Table::new(&[
        ("RANKS", Align::Left),
        ("nodes", Align::Left),
        ("layers", Align::Left),
        ("actions", Align::Right),
        ("memory", Align::Right),
        ("sent per step", Align::Right),
    ]);
    for class in &program.classes {
        table.row([
            format!("  {}", range(class.first_rank, class.ranks)),
            nodes(class, per_node),
            layers(plan, class),
            class.actions.len().to_string(),
            class.arena.to_string(),
            sent(class).to_string(),
        ]);
    }
    table
}

fn range(first: u32, count: u32) -> String {
    match count {
        0 | 1 => first.to_string(),
        n => format!("{first} – {}", first + n - 1),
    }
}

fn nodes(class: &Class, per_node: u32) -> String {
    let per_node = per_node.max(1);
    let (first, last) = (class.first_rank, class.first_rank + class.ranks.max(1) - 1);
    range(first / per_node, last / per_node - first / per_node + 1)
}

fn layers(plan: &Plan, class: &Class) -> String {
    let stages = class.stages.iter().filter_map(|&s| plan.decision.stages.get(s as usize));
    let all = stages.map(|s| range(s.layers.first, s.layers.last - s.layers.first + 1));
    all.collect::<Vec<_>>().join(", ")
}

fn sent(class: &Class) -> Bytes {
    class.ledger.iter().map(|entry| entry.bytes).sum()
}

fn as_json(plan: &Plan, program: &Program, per_node: u32, launch: &str) -> String {
    let class = |class: &Class| -> Value {
        json!({
            "first_rank": class.first_rank,
            "ranks": class.ranks,
            "nodes": nodes(class, per_node),
            "stages": class.stages,
            "actions": class.actions.len(),
            "arena_bytes": class.arena.get(),
            "sent_bytes": sent(class).get(),
        })
    };
    json::document(&json!({
        "schema": "meshwright.launch/1",
        "plan": plan.id,
        "classes": program.classes.iter().map(class).collect::<Vec<_>>(),
        "launch": launch,
    }))
}
