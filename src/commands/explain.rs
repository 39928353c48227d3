//! `explain`: every number of a plan, and the formulas behind them.

mod analyze;

use super::plan::Answered;
use crate::catalog::Catalog;
use crate::cli::{ExplainArgs, Format};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::{Output, Talk};
use crate::planfile;
use crate::question::rebuild;
use crate::render::json;
use crate::render::number::counted;
use crate::render::report;
use crate::render::table::{Align, Table};
use crate::render::tree::{Extent, tree};
use crate::render::wrap::wrap;
use crate::settings::Settings;
use crate::style::{Canvas, Role};
use cost_model::formulas::{self, Formula};
use plan::document::Plan;
use plan::program::Granularity;
use plan::suggest::closest;
use planner::answer::{Planned, planned};
use planner::request::Request;
use planner::search::search;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The word that asks for all formulas.
const ALL: &str = "all";

/// Explains a plan or a formula.
pub fn run(flags: &ExplainArgs, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    match flags.formula.as_deref() {
        Some(ALL) => list(settings, output),
        Some(id) => show(id, settings, output),
        None => plan(flags, settings, output),
    }
}

/// Derives a plan's report from its inputs again, and shows what was asked for.
fn plan(flags: &ExplainArgs, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let name = files::shown(&flags.plan);
    let plan = planfile::parse(name, &files::read(&flags.plan)?)?;
    let catalog = Catalog::from_environment()?;
    let question = rebuild(&catalog, &plan, &flags.sources)?;
    let request = question.request(plan.decision.world_size, &|| false)?;
    if let Some(rank) = flags.program {
        return program(&request, &plan, rank, settings, output);
    }
    if let Some(record) = flags.analyze.as_deref() {
        return analyze::run(record, &request, &plan, settings, output);
    }
    let planned = planned_again(&request, &plan)?;
    let choice = flags.why_not.map(|choice| choice.0);
    let wants_bindings = flags.binds || output.talk == Talk::Verbose;
    let answered = Answered::new(&question, &request, &planned, choice, wants_bindings);
    let text = match settings.format {
        Format::Json => answered.json()?,
        Format::Markdown => report::facts(&answered.report).markdown(),
        Format::Csv => report::facts(&answered.report).csv(),
        Format::Human | Format::Plain => plan_screen(&answered, flags, &output.out)?,
    };
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(Exit::Done)
}

/// What one rank does, action by action.
fn program(
    request: &Request<'_>,
    plan: &Plan,
    rank: u32,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let lowering = planner::program::settings(request, Granularity::Layer);
    let lowered = planner::program::program(request, &plan.decision, &lowering);
    let program = lowered.map_err(|why| {
        let what = format!("plan {} has no program: {why}", plan.id);
        Failure::new(Exit::InvalidInput, what)
            .hint("`meshwright validate` checks every number of it")
    })?;
    let text = program.text(rank).ok_or_else(|| {
        Failure::usage(format!("the plan has ranks 0 to {}", program.ranks - 1))
            .hint("`--program rank=0` shows the first")
    })?;
    files::write(output, settings.output.as_deref(), &output.out.text(&text))?;
    Ok(Exit::Done)
}

/// The plan of the file, whether or not it is the best one of today.
pub fn planned_again(request: &Request<'_>, plan: &Plan) -> Result<Planned, Failure> {
    let wrong = |why: String| {
        Failure::new(Exit::InvalidInput, format!("plan {} does not fit its inputs: {why}", plan.id))
            .hint("`meshwright validate` checks every number of it")
    };
    let found = search(request);
    let restored = planner::validate::solution(request, plan).map_err(wrong)?;
    let again = planned(request, restored, &found);
    let mut again = again.ok_or_else(|| wrong("it cannot be priced".into()))?;
    again.certificate.fastest.clone_from(&plan.certificate.fastest);
    Ok(again)
}

fn plan_screen(
    answered: &Answered,
    flags: &ExplainArgs,
    canvas: &Canvas,
) -> Result<String, Failure> {
    if let Some(why_not) = answered.why_not_screen(canvas) {
        return Ok(why_not);
    }
    if flags.binds {
        return Ok(canvas.text(&report::bindings(&answered.bindings, canvas)));
    }
    let path: Vec<&str> =
        flags.path.as_deref().unwrap_or_default().split('/').filter(|p| !p.is_empty()).collect();
    let depth = usize::from(flags.depth);
    let extent = Extent { depth, path: &path, has_ids: flags.ids };
    let tree = tree(&answered.report, extent, canvas).ok_or_else(|| {
        Failure::usage(format!("the plan has no part `{}`", path.join("/")))
            .hint("`meshwright explain PLAN --ids` shows the ids that --path takes")
    })?;
    let guesses = answered.report.assumptions.len();
    let assumed = match guesses {
        0 => String::new(),
        n => format!(
            "{} behind it; `-v` with `plan` lists them\n",
            counted(n, "assumed constant is", "assumed constants are")
        ),
    };
    Ok(format!("{tree}{}", canvas.text(&assumed)))
}

fn list(settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let mut table =
        Table::new(&[("FORMULA", Align::Left), ("what", Align::Left), ("equation", Align::Left)]);
    for formula in formulas::ALL {
        let cells = [formula.id, formula.title, formula.equation];
        table.row(cells.map(str::to_string));
    }
    let text = match settings.format {
        Format::Json => {
            let all: Vec<Value> = formulas::ALL.iter().map(as_json).collect();
            json::document(&json!({"schema": "meshwright.formulas/1", "formulas": all}))
        }
        Format::Markdown => table.markdown(),
        Format::Csv => table.csv(),
        Format::Human | Format::Plain => output.out.text(&table.text(output.out.width)),
    };
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(Exit::Done)
}

fn show(id: &str, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let formula = formulas::find(id).ok_or_else(|| {
        let ids = formulas::ALL.iter().map(|formula| formula.id);
        Failure::usage(format!("no formula with the id `{id}`"))
            .did_you_mean(closest(id, ids))
            .hint("`meshwright explain --formula all` lists them")
    })?;
    let text = match settings.format {
        Format::Json => {
            let all = [as_json(formula)];
            json::document(&json!({"schema": "meshwright.formulas/1", "formulas": all}))
        }
        _ => screen(formula, &output.out),
    };
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(Exit::Done)
}

fn screen(formula: &Formula, canvas: &Canvas) -> String {
    let id = canvas.paint(Role::Accent, formula.id);
    let rows = [
        ("", formula.equation),
        ("letters", formula.letters),
        ("source", formula.source),
        ("checked", formula.test),
    ];
    let mut text = format!("{id}  {}\n", formula.title);
    for (label, value) in rows {
        let indent = if label.is_empty() { 2 } else { 12 };
        let label = format!("  {label:<width$}", width = indent - 2);
        let _infallible = writeln!(text, "\n{label}{}", wrap(value, canvas.width, indent));
    }
    canvas.text(&text)
}

fn as_json(formula: &Formula) -> Value {
    json!({
        "id": formula.id,
        "title": formula.title,
        "equation": formula.equation,
        "letters": formula.letters,
        "source": formula.source,
        "test": formula.test,
    })
}
