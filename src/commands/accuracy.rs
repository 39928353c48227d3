//! `meshwright accuracy`: predictions against published measurements.

use crate::accuracy::{assumed, groups, skipped};
use crate::catalog::Catalog;
use crate::cli::{AccuracyArgs, Format};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::Output;
use crate::published::{RUNS, Row, Scored, read, score, shipped_rules};
use crate::render::{accuracy as tables, json};
use crate::settings::Settings;
use serde_json::json;

/// Runs the command.
///
/// # Errors
/// Tables that cannot be read, and files that cannot be written.
pub fn run(
    flags: &AccuracyArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let catalog = Catalog::from_environment()?;
    let rules = shipped_rules()?;
    let (name, text) = match &flags.runs {
        Some(path) => (files::shown(path).to_string(), files::read(path)?),
        None => ("published_runs.csv".to_string(), RUNS.to_string()),
    };
    let table = read(&text).map_err(|problems| Failure::file(&name, &text, problems))?;
    let mut exit = Exit::Done;
    if !table.problems.is_empty() {
        let failure = Failure::file(&name, &text, table.problems)
            .hint("the other rows are scored; these are left out");
        output.report(&failure);
        exit = failure.exit();
    }
    let rows: Vec<Row> = table.rows.into_iter().filter(|row| wanted(flags, row)).collect();
    let all = score(&catalog, &rules, rows);
    if let Some(path) = &flags.rows {
        files::write(output, Some(path), &tables::rows(&all).csv())?;
    }
    let text = answer(&all, flags, settings, output);
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(exit)
}

fn wanted(flags: &AccuracyArgs, row: &Row) -> bool {
    let source = flags.source.as_ref().map(|word| word.to_lowercase());
    let of_source = source.is_none_or(|word| {
        row.group.to_lowercase().contains(&word) || row.source.to_lowercase().contains(&word)
    });
    of_source && flags.split.as_ref().is_none_or(|split| row.split == *split)
}

fn answer(all: &[Scored], flags: &AccuracyArgs, settings: &Settings, output: &Output) -> String {
    let by = groups(all, flags.by);
    let table = tables::groups(&by, flags.by.name());
    let (skipped, assumed) = (skipped(all), assumed(all));
    match settings.format {
        Format::Csv => table.csv(),
        Format::Markdown => table.markdown(),
        Format::Json => json::document(&json!({"schema": "meshwright.accuracy/1"})),
        Format::Human | Format::Plain => {
            let width = output.out.width.max(120);
            let more = [
                table.text(width),
                tables::counts(&skipped, "NOT SCORED: why").text(width),
                tables::counts(&assumed, "ASSUMED where a row says nothing").text(width),
            ];
            output.out.text(&more.join("\n"))
        }
    }
}
