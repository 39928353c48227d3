//! `compare`: plans side by side.

use crate::catalog::{Catalog, LOCAL};
use crate::cli::{CompareArgs, Format};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::layout;
use crate::output::Output;
use crate::planfile;
use crate::published::shipped_intervals;
use crate::render::compare;
use crate::render::json;
use crate::settings::Settings;
use plan::document::Plan;
use planner::ranking::Traits;
use planner::validate::configuration;
use serde_json::json;

/// Compares plans.
pub fn run(flags: &CompareArgs, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let mut plans: Vec<(String, Plan)> = Vec::new();
    for path in &flags.plans {
        let name = files::shown(path);
        let text = files::read(path)?;
        if layout::recognise(&text).is_some() {
            return Err(Failure::usage(format!("{name} is no plan yet, but a trainer's layout"))
                .hint(format!(
                    "`meshwright import {name} -m MODEL -g GPUS -o mine.json` prices it"
                )));
        }
        plans.push((name.to_string(), planfile::parse(name, &text)?));
    }
    let agree = compare::agree(&plans);
    let odds = odds(&plans)?;
    let text = match settings.format {
        Format::Json => as_json(&plans, &odds, agree)?,
        Format::Markdown => compare::table(&plans).markdown(),
        Format::Csv => compare::table(&plans).csv(),
        Format::Human | Format::Plain => {
            let table = compare::table(&plans).text(usize::MAX);
            let sentences = compare::sentences(&plans, &odds).join("\n");
            output.out.text(&format!("{table}\n{sentences}\n"))
        }
    };
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(if agree || !flags.exit_code { Exit::Done } else { Exit::NoPlan })
}

/// The probability that the first plan is faster than each other one, where both answer the same
/// question on nodes that are known.
fn odds(plans: &[(String, Plan)]) -> Result<Vec<Option<f64>>, Failure> {
    let Some(((_, first), others)) = plans.split_first() else { return Ok(Vec::new()) };
    let name = &first.inputs.cluster.name;
    let cluster = Catalog::from_environment()?.cluster(name).ok().filter(|_| name != LOCAL);
    let per_node = cluster.and_then(|c| c.groups.first().map(|g| g.devices_per_node));
    let particular = shipped_intervals()?.particular.map(|fitted| fitted.particular);
    let known = per_node.zip(particular);
    let odds = |second: &Plan| {
        let (per_node, particular) = known.filter(|_| is_same_question(first, second))?;
        let of = |plan: &Plan| Traits::of(&configuration(&plan.decision), per_node);
        let step = |plan: &Plan| plan.prediction.step.value;
        Some(particular.faster((step(first), &of(first)), (step(second), &of(second))))
    };
    Ok(others.iter().map(|(_, plan)| odds(plan)).collect())
}

/// Whether what plans have in common drops out when they are compared.
fn is_same_question(a: &Plan, b: &Plan) -> bool {
    let (x, y) = (&a.inputs, &b.inputs);
    let of = |plan: &Plan| {
        let (d, batch) = (&plan.decision, &plan.decision.batch);
        (d.world_size, batch.global_sequences, batch.tokens_per_sequence, d.precision)
    };
    x.model == y.model && x.cluster == y.cluster && x.stack == y.stack && of(a) == of(b)
}

fn as_json(plans: &[(String, Plan)], odds: &[Option<f64>], agree: bool) -> Result<String, Failure> {
    let mut all = Vec::new();
    for (name, plan) in plans {
        all.push(json!({"file": name, "plan": super::plan::value(plan)?}));
    }
    let document = json!({
        "schema": "meshwright.compare/1",
        "plans": all,
        "decide_alike": agree,
        "first_is_faster": odds,
        "verdicts": compare::sentences(plans, odds),
    });
    Ok(json::document(&document))
}
