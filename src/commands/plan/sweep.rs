//! Several GPU counts, one line each.

use super::{deadline, value};
use crate::cli::{Format, PlanArgs};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::figures::{Width, scaling};
use crate::files;
use crate::output::{Output, Talk};
use crate::question::Question;
use crate::render::number::counted;
use crate::render::table::Table;
use crate::render::{json, plan_line, sweep};
use crate::settings::Settings;
use plan::report::{Report, SweepRow};
use plan::units::{Bytes, count};
use planner::answer::Answer;
use serde_json::{Value, json};

/// Plans for each count.
pub fn run(
    question: &Question,
    flags: &PlanArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let mut answers = Vec::new();
    for &gpus in flags.gpus.counts() {
        answers.push((gpus, answer(question, gpus, flags)?));
    }
    let rows = planner::report::sweep(&answers, question.objective);
    let told = Told {
        json: as_json(question, &rows)?,
        facts: sweep::facts(&rows),
        screen: sweep::screen(&headline(question, rows.len()), &rows, &output.out),
    };
    if let Some(path) = &flags.svg {
        let name = format!("{} on {}", question.model.spec.name, question.cluster.name);
        files::write(output, Some(path), &scaling::scaling(&name, &rows, Width::Wide).file())?;
    }
    tell(&told, settings, output)?;
    let fits = rows.iter().any(|row| row.seconds.is_some());
    Ok(if fits { Exit::Done } else { Exit::NoPlan })
}

/// A sweep in every form.
pub(super) struct Told {
    /// For programs, and for the file.
    pub json: Value,
    /// For documents and spreadsheets.
    pub facts: Table,
    /// For people.
    pub screen: String,
}

/// Writes the file that is named, then says the sweep on stdout.
pub(super) fn tell(told: &Told, settings: &Settings, output: &mut Output) -> Result<(), Failure> {
    let document = json::document(&told.json);
    if let Some(path) = settings.output.as_deref() {
        files::write_quietly(output, path, &document)?;
        if path == "-" || output.talk <= Talk::Quiet {
            return Ok(());
        }
    }
    match settings.format {
        Format::Json => output.data(&document),
        Format::Markdown => output.data(&told.facts.markdown()),
        Format::Csv => output.data(&told.facts.csv()),
        Format::Human | Format::Plain => output.data(&told.screen),
    }
}

/// The answer for one count: a plan in a line with its report, or why there is none.
pub(super) type One = Result<(String, Report), String>;

pub(super) fn answer(question: &Question, gpus: u32, flags: &PlanArgs) -> Result<One, Failure> {
    let stop = deadline(flags.search.time_limit);
    let request = question.request(gpus, &stop)?;
    Ok(match question.answer(&request) {
        Answer::Plan(planned) => {
            // No line of a sweep shows runners-up: they are not solved for.
            let report = question.report_with(&request, &planned, 0);
            Ok((plan_line::short(&report.plan.decision), report))
        }
        Answer::Infeasible(found) => {
            let lacks = found.closest.map_or(Bytes::ZERO, |closest| closest.missing);
            Err(format!("does not fit: the closest plan lacks {lacks} on one GPU"))
        }
        Answer::Impossible(why) => Err(why.to_string()),
    })
}

fn headline(question: &Question, counts: usize) -> String {
    format!(
        "{}, {} parameters, on {} of {} ({}); best by {}",
        question.model.spec.name,
        count(question.model.parameters() as f64),
        counted(counts, "GPU count", "GPU counts"),
        question.cluster.name,
        question.cluster.label,
        question.objective.name(),
    )
}

fn as_json(question: &Question, rows: &[SweepRow]) -> Result<Value, Failure> {
    Ok(json!({
        "schema": "meshwright.sweep/1",
        "model": question.model.spec.name,
        "cluster": question.cluster.name,
        "objective": question.objective.name(),
        "rows": value(&rows)?,
    }))
}
