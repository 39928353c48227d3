//! `plan`: from flags to a question, from a question to the best plan, to files and screens.

mod clusters;
mod dry_run;
pub mod impossible;
mod sweep;
mod training;

use crate::catalog::Catalog;
use crate::cli::{Format, PlanArgs};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::{Output, Talk};
use crate::question::Question;
use crate::render::report::{self, Around};
use crate::render::{infeasible, json, why_not};
use crate::settings::Settings;
use crate::style::Canvas;
use plan::report::{Binding, Report, WhyNot};
use plan::units::Seconds;
use planner::answer::{Answer, Planned};
use planner::request::{Pins, Request};
use planner::search::Found;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

/// Finds the best plan.
pub fn run(flags: &PlanArgs, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    if let Some(names) = clusters::names(settings) {
        return clusters::run(&names, flags, settings, output);
    }
    let catalog = Catalog::from_environment()?;
    let mut question = Question::resolve(&catalog, flags, settings)?;
    question.notes.iter().for_each(|note| output.note(note));
    if output.talk <= Talk::Quiet && matches!(settings.format, Format::Human | Format::Plain) {
        // One line and a file show no runners-up: they are not solved for.
        question.top = 1;
    }
    if flags.dry_run {
        return dry_run::run(&question, flags, settings, output);
    }
    if flags.svg.is_some() && flags.gpus.counts().len() == 1 {
        return Err(Failure::usage("--svg draws a sweep over several numbers of GPUs")
            .hint("-g 8,16,32 asks for some, -c NAME,NAME for several clusters")
            .hint("`meshwright export plan.json --to svg --figure time` draws one plan"));
    }
    match flags.gpus.counts() {
        [gpus] if training::is_asked(flags, &question) => {
            training::run(&question, *gpus, flags, settings, output)
        }
        _ if training::is_asked(flags, &question) => {
            Err(Failure::usage("a run to a loss takes one number of GPUs, not several")
                .hint("ask once per number; -q prints one line each"))
        }
        [gpus] => single(&question, *gpus, flags, settings, output),
        _ => sweep::run(&question, flags, settings, output),
    }
}

/// A clock that says when the time is up.
pub fn deadline(limit: Option<Seconds>) -> impl Fn() -> bool {
    let started = Instant::now();
    move || limit.is_some_and(|limit| started.elapsed().as_secs_f64() >= limit.get())
}

fn single(
    question: &Question,
    gpus: u32,
    flags: &PlanArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let stop = deadline(flags.search.time_limit);
    let request = question.request(gpus, &stop)?;
    match question.answer(&request) {
        Answer::Plan(planned) => {
            let choice = flags.search.why_not.map(|choice| choice.0);
            let wants_bindings = flags.search.binds || output.talk == Talk::Verbose;
            let answered = Answered::new(question, &request, &planned, choice, wants_bindings);
            show(&answered, question, settings, output)
        }
        Answer::Infeasible(found) => does_not_fit(&request, &found, settings, output),
        Answer::Impossible(why) => Err(impossible::failure(question, &request, &why)),
    }
}

/// A plan with what was asked about it.
pub struct Answered {
    /// The report.
    pub report: Report,
    /// Why another choice was not taken.
    pub why_not: Option<WhyNot>,
    /// What binds.
    pub bindings: Vec<Binding>,
}

impl Answered {
    /// Asks the planner what belongs to a plan.
    pub fn new(
        question: &Question,
        request: &Request<'_>,
        planned: &Planned,
        choice: Option<Pins>,
        wants_bindings: bool,
    ) -> Self {
        let bindings = match wants_bindings {
            true => planner::binding::binding(request, planned),
            false => Vec::new(),
        };
        Self {
            report: question.report(request, planned),
            why_not: choice.map(|pins| planner::why::why_not(request, planned, pins)),
            bindings,
        }
    }

    /// For programs: the report, or all answers where more was asked.
    pub fn json(&self) -> Result<String, Failure> {
        if self.why_not.is_none() && self.bindings.is_empty() {
            return document(&self.report);
        }
        let all = json!({
            "schema": "meshwright.answer/1",
            "report": value(&self.report)?,
            "why_not": value(&self.why_not)?,
            "bindings": value(&self.bindings)?,
        });
        Ok(json::document(&all))
    }

    /// Why another choice was not taken, for people.
    pub fn why_not_screen(&self, canvas: &Canvas) -> Option<String> {
        let why = self.why_not.as_ref()?;
        let label = crate::render::plan_line::full(&self.report.plan.decision);
        let memory = crate::render::memory_of(&self.report);
        Some(why_not::screen(why, (&label, self.report.step.value, memory), canvas))
    }
}

/// A type of `plan` as sorted, indented JSON.
pub fn document(content: &impl Serialize) -> Result<String, Failure> {
    Ok(json::document(&value(content)?))
}

/// A type of `plan` as a JSON value.
pub fn value(content: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(content)
        .map_err(|e| Failure::new(Exit::Bug, format!("an answer cannot be written as JSON: {e}")))
}

/// Writes the plan where a file is named, then says it on stdout.
fn show(
    answered: &Answered,
    question: &Question,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    if let Some(path) = settings.output.as_deref() {
        files::write_quietly(output, path, &document(&answered.report.plan)?)?;
        if path == "-" || output.talk <= Talk::Quiet {
            return Ok(Exit::Done);
        }
    }
    let text = match settings.format {
        Format::Json => answered.json()?,
        Format::Markdown => report::facts(&answered.report).markdown(),
        Format::Csv => report::facts(&answered.report).csv(),
        Format::Human | Format::Plain => screen(answered, question, settings, output),
    };
    output.data(&text)?;
    Ok(Exit::Done)
}

fn screen(
    answered: &Answered,
    question: &Question,
    settings: &Settings,
    output: &Output,
) -> String {
    let canvas = &output.out;
    if output.talk <= Talk::Quiet {
        return canvas.text(&report::one_line(&answered.report));
    }
    let around = Around {
        cluster_from: question.cluster_from.clone(),
        next: next(settings.output.as_deref(), &answered.report, &typed()),
        saved: settings.output.clone(),
        is_verbose: output.talk == Talk::Verbose,
        bindings: answered.bindings.clone(),
    };
    let text = report::screen(&answered.report, &around, canvas);
    match answered.why_not_screen(canvas) {
        Some(why_not) => format!("{why_not}\n{text}"),
        None => text,
    }
}

/// The command line, as it can be typed again.
fn typed() -> Vec<String> {
    let mut words: Vec<String> = std::env::args().collect();
    if let Some(name) = words.first_mut() {
        let stem = Path::new(name.as_str()).file_stem().and_then(|s| s.to_str());
        *name = stem.unwrap_or("meshwright").to_string();
    }
    words
}

/// What to do with a plan.
fn next(saved: Option<&str>, report: &Report, typed: &[String]) -> Vec<(String, String)> {
    let other = if report.plan.decision.degrees.tp == 1 { "tp=2" } else { "tp=1" };
    let line = |what: &str, why: &str| (what.to_string(), why.to_string());
    match saved {
        Some(path) => vec![
            line(&format!("meshwright explain {path}"), "where the time goes"),
            line(&format!("meshwright simulate {path}"), "the step, action by action"),
            line(&format!("meshwright explain {path} --why-not {other}"), "why not otherwise"),
        ],
        None => {
            let words: Vec<String> = typed.iter().map(|w| quoted(w)).collect();
            let again = words.join(" ");
            let mut lines = vec![line(&format!("{again} -o plan.json"), "saves the plan")];
            if !typed.iter().any(|word| word.starts_with("--why-not")) {
                lines.push(line(&format!("{again} --why-not {other}"), "why not otherwise"));
            }
            lines
        }
    }
}

/// A word as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// Nothing fits: an answer, not an error.
fn does_not_fit(
    request: &Request<'_>,
    found: &Found,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let report = planner::report::infeasible(request, found);
    let text = match settings.format {
        Format::Json => document(&report)?,
        Format::Markdown => infeasible::facts(&report).markdown(),
        Format::Csv => infeasible::facts(&report).csv(),
        _ if output.talk <= Talk::Quiet => infeasible::headline(&report) + "\n",
        _ => infeasible::screen(&report, &output.out),
    };
    output.data(&text)?;
    Ok(Exit::NoPlan)
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn commands_can_be_typed_again() {
        assert_eq!(quoted("mlstm4096"), "mlstm4096");
        assert_eq!(quoted("my model.toml"), "'my model.toml'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
