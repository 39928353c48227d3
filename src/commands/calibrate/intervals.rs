//! `calibrate --intervals`: the intervals of all regimes, from the shipped tuning rows.

use crate::accuracy::fit_intervals;
use crate::catalog::Catalog;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::Output;
use crate::published::{RUNS, Row, read, score, shipped_rules, write_intervals};
use crate::settings::Settings;

/// The split that intervals may be fitted on.
const TUNE: &str = "tune";

/// Fits and writes the intervals.
pub fn run(settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let catalog = Catalog::from_environment()?;
    let rules = shipped_rules()?;
    let table = read(RUNS).map_err(|p| Failure::file("published_runs.csv", RUNS, p))?;
    let rows: Vec<Row> = table.rows.into_iter().filter(|row| row.split == TUNE).collect();
    let named = score(&catalog, &rules, rows.clone());
    let unnamed = score(&catalog, &rules.without_names(), rows);
    let intervals = fit_intervals(&named, &unnamed);
    files::write(output, settings.output.as_deref(), &write_intervals(&intervals))?;
    output.note(&format!(
        "{} intervals of {} % from rows of the split {TUNE}",
        intervals.entries.len(),
        intervals.level * 100.0
    ));
    Ok(Exit::Done)
}
