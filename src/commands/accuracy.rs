//! `meshwright accuracy`: predictions against published measurements.

use crate::accuracy::{Rows, Summary, apply};
use crate::catalog::Catalog;
use crate::cli::{AccuracyArgs, Format};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::{Output, Talk};
use crate::published::{
    FIT_LIMITS, FURTHER, RUNS, Row, SEEDS, SMALL_MEMORY, Scored, provenance, read, score,
    shipped_intervals, shipped_rules,
};
use crate::render::{accuracy as screens, json};
use crate::settings::Settings;

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
    let mut desk = Desk { catalog: &catalog, flags, output, exit: Exit::Done };
    let rows = desk.rows()?;
    let exit = desk.exit;
    let summary = Summary::of(&rows, flags.by, &shipped_intervals()?, usize::from(flags.worst));
    if let Some(path) = &flags.html {
        files::write(output, Some(path), &screens::page(&summary, &rows.runs))?;
    }
    if let Some(path) = &flags.svg {
        files::write(output, Some(path), &screens::chart(&rows.runs))?;
    }
    let text = answer(&summary, &rows, flags, settings, output)?;
    if let Some(path) = &flags.rows {
        let all: Vec<Scored> = [rows.runs, rows.limits, rows.memory_only].concat();
        files::write(output, Some(path), &screens::rows(&all).csv())?;
    }
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(exit)
}

/// Where tables are read and scored.
struct Desk<'a> {
    catalog: &'a Catalog,
    flags: &'a AccuracyArgs,
    output: &'a Output,
    exit: Exit,
}

impl Desk<'_> {
    /// The tables that flags name; what is shipped where they name none.
    fn rows(&mut self) -> Result<Rows, Failure> {
        let flags = self.flags;
        let is_shipped = flags.runs.is_none() && flags.fit_limits.is_none();
        let shipped = |name: &str, text: &str| (name.to_string(), text.to_string());
        let runs = match &flags.runs {
            Some(path) => Some((files::shown(path).to_string(), files::read(path)?)),
            None => is_shipped.then(|| shipped("published_runs.csv", RUNS)),
        };
        let limits = match &flags.fit_limits {
            Some(path) => Some((files::shown(path).to_string(), files::read(path)?)),
            None => is_shipped.then(|| shipped("fit_limits.csv", FIT_LIMITS)),
        };
        let seeds = is_shipped.then(|| shipped("seeds_runs.csv", SEEDS));
        let further = is_shipped.then(|| shipped("further_runs.csv", FURTHER));
        let memory = is_shipped.then(|| shipped("megatron_ci_memory.csv", SMALL_MEMORY));
        Ok(Rows {
            runs: [self.scored(runs)?, self.scored(seeds)?, self.scored(further)?].concat(),
            limits: self.scored(limits)?,
            memory_only: self.scored(memory)?,
        })
    }

    fn scored(&mut self, table: Option<(String, String)>) -> Result<Vec<Scored>, Failure> {
        let Some((name, text)) = table else { return Ok(Vec::new()) };
        let table = read(&text).map_err(|problems| Failure::file(&name, &text, problems))?;
        if !table.problems.is_empty() {
            let failure = Failure::file(&name, &text, table.problems)
                .hint("the other rows are scored; these are left out");
            self.output.report(&failure);
            self.exit = failure.exit();
        }
        let rows: Vec<Row> = table.rows.into_iter().filter(|row| self.is_wanted(row)).collect();
        let rules = shipped_rules()?;
        let rules = if self.flags.unnamed { rules.without_names() } else { rules };
        let mut scored = score(self.catalog, &rules, rows);
        apply(&shipped_intervals()?, &mut scored);
        Ok(scored)
    }

    fn is_wanted(&self, row: &Row) -> bool {
        let source = self.flags.source.as_ref().map(|word| word.to_lowercase());
        let of_source = source.is_none_or(|word| {
            row.group.to_lowercase().contains(&word) || row.source.to_lowercase().contains(&word)
        });
        of_source && self.flags.split.as_ref().is_none_or(|split| row.split == *split)
    }
}

fn answer(
    summary: &Summary,
    rows: &Rows,
    flags: &AccuracyArgs,
    settings: &Settings,
    output: &Output,
) -> Result<String, Failure> {
    if flags.lock {
        return Ok(screens::lock(summary));
    }
    Ok(match settings.format {
        Format::Csv => screens::groups(summary, true).csv(),
        Format::Markdown => screens::groups(summary, true).markdown(),
        Format::Json => json::document(&screens::document(summary, rows)),
        Format::Human | Format::Plain => {
            let origin = match &flags.source {
                Some(group) => provenance(group)?,
                None => None,
            };
            let is_verbose = output.talk >= Talk::Verbose;
            output.out.text(&screens::screen(summary, &output.out, origin.as_ref(), is_verbose))
        }
    })
}
