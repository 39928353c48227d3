//! `explain`: every number of a plan, and the formulas behind them.

use crate::cli::{ExplainArgs, Format};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::Output;
use crate::render::json;
use crate::render::table::{Align, Table};
use crate::render::wrap::wrap;
use crate::settings::Settings;
use crate::style::{Canvas, Role};
use cost_model::formulas::{self, Formula};
use plan::suggest::closest;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The word that asks for all formulas.
const ALL: &str = "all";

/// Explains a plan or a formula.
pub fn run(flags: &ExplainArgs, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    match flags.formula.as_deref() {
        Some(ALL) => list(settings, output),
        Some(id) => show(id, settings, output),
        None => Err(super::plan::no_search()),
    }
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
