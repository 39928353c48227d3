//! `calibrate --published`: constants of software stacks from measured steps.

use crate::calibration::{Bench, Calibration, overlay};
use crate::catalog::Catalog;
use crate::cli::CalibrateArgs;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::Output;
use crate::published::{RUNS, Row, read, shipped_rules};

use crate::render::number::signed_percent;
use crate::render::table::{Align, Table};
use crate::settings::Settings;
use cost_model::fit::{CONSTANTS, FreeConstant};
use plan::units::percent;
use std::collections::BTreeMap;

/// Fits the rows that match `word` and writes one stack file.
pub fn run(
    word: &str,
    flags: &CalibrateArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let free = free(&flags.free)?;
    let catalog = Catalog::from_environment()?;
    let rules = shipped_rules()?;
    let rows = rows(word, flags)?;
    let bench = Bench { catalog: &catalog, rules: &rules, free };
    let cases = bench.cases(rows);
    if cases.is_empty() {
        return Err(nothing(word, &flags.split));
    }
    let mut all = Vec::with_capacity(cases.len());
    for case in cases {
        all.push(bench.calibrate(case)?);
    }
    let width = output.out.width.max(100);
    output.note(&output.out.text(&errors(&all).text(width)));
    output.note(&output.out.text(&constants(&all).text(width)));
    let text = files_of(&all, &format!("{word}, split {}", flags.split));
    files::write(output, settings.output.as_deref(), &text)?;
    if let Some(file) = settings.output.as_deref().filter(|file| *file != "-") {
        output.note(&format!("\nNext: meshwright plan -m gpt3-175b -g 64 --stack {file}"));
    }
    Ok(Exit::Done)
}

fn free(paths: &[String]) -> Result<Vec<&'static FreeConstant>, Failure> {
    let find = |path: &String| {
        FreeConstant::named(path).ok_or_else(|| {
            let known: Vec<String> = CONSTANTS.iter().map(FreeConstant::path).collect();
            Failure::new(Exit::Usage, format!("`{path}` is not a constant that can be fitted"))
                .hint(format!("one of: {}", known.join(", ")))
        })
    };
    paths.iter().map(find).collect()
}

fn rows(word: &str, flags: &CalibrateArgs) -> Result<Vec<Row>, Failure> {
    let (name, text) = match &flags.runs {
        Some(path) => (files::shown(path).to_string(), files::read(path)?),
        None => ("published_runs.csv".to_string(), RUNS.to_string()),
    };
    let table = read(&text).map_err(|problems| Failure::file(&name, &text, problems))?;
    let word = word.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&word);
    let wanted = |row: &Row| row.split == flags.split && (has(&row.group) || has(&row.source));
    Ok(table.rows.into_iter().filter(wanted).collect())
}

fn nothing(word: &str, split: &str) -> Failure {
    let what = format!("no stack and device has six rows of `{word}` in the split `{split}`");
    Failure::new(Exit::InvalidInput, what)
        .hint("`meshwright accuracy` lists the groups and their splits")
}

/// One file per stack, one after the other: usually there is one.
fn files_of(all: &[Calibration], from: &str) -> String {
    let mut stacks: BTreeMap<&str, Vec<&Calibration>> = BTreeMap::new();
    for one in all {
        stacks.entry(&one.case.stack).or_default().push(one);
    }
    let texts: Vec<String> =
        stacks.into_iter().map(|(stack, all)| overlay(stack, &all, from)).collect();
    texts.join("\n")
}

fn errors(all: &[Calibration]) -> Table {
    let right = Align::Right;
    let mut table = Table::new(&[
        ("STACK", Align::Left),
        ("device", Align::Left),
        ("rows", right),
        ("before", right),
        ("bias", right),
        ("after", right),
        ("median", right),
        ("bias", right),
        ("models left out", right),
    ]);
    for one in all {
        let held_out = mean_of(&one.held_out);
        table.row([
            format!("  {}", one.case.stack),
            one.case.device.clone(),
            one.case.rows.len().to_string(),
            mean_of(&one.before),
            bias(&one.before),
            mean_of(&one.after),
            median(&one.after),
            bias(&one.after),
            held_out,
        ]);
    }
    table
}

fn constants(all: &[Calibration]) -> Table {
    let mut table = Table::new(&[
        ("CONSTANT", Align::Left),
        ("stack", Align::Left),
        ("device", Align::Left),
        ("before", Align::Right),
        ("after", Align::Right),
    ]);
    for one in all {
        for moved in &one.constants {
            let shown = |value| moved.constant.text(value).replace('"', "");
            table.row([
                format!("  {}", moved.constant.path()),
                one.case.stack.clone(),
                one.case.device.clone(),
                shown(moved.before),
                shown(moved.after),
            ]);
        }
    }
    table
}

fn errors_of(residuals: &[f64]) -> Vec<f64> {
    residuals.iter().map(|r| r.exp_m1()).collect()
}

fn mean_of(residuals: &[f64]) -> String {
    if residuals.is_empty() {
        return String::new();
    }
    let sum: f64 = errors_of(residuals).iter().map(|e| e.abs()).sum();
    percent(sum / residuals.len() as f64)
}

fn bias(residuals: &[f64]) -> String {
    let sum: f64 = errors_of(residuals).iter().sum();
    signed_percent(sum / residuals.len().max(1) as f64)
}

fn median(residuals: &[f64]) -> String {
    let mut all: Vec<f64> = errors_of(residuals).iter().map(|e| e.abs()).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).map_or(String::new(), |e| percent(*e))
}
