//! `calibrate --from`: constants of this machine from recorded runs.

use super::machine;
use crate::calibration::machine::{Run, fit_runs};
use crate::catalog::Catalog;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::local::calibrated;
use crate::output::Output;
use crate::record;
use crate::settings::Settings;
use cost_model::fit::{LocalConstant, LocalMachine};
use plan::calibration::{Calibration, Load, Residuals};
use plan::record::{Canary, RunRecord, median};
use std::collections::BTreeMap;

/// A record, priced, with what it is called.
pub struct Recorded {
    /// For people.
    pub name: String,
    /// The record.
    pub record: RunRecord,
    /// The run.
    pub run: Run,
}

/// Fits the constants of each number of ranks that was run.
pub fn run(paths: &[String], settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let catalog = Catalog::from_environment()?;
    let mut runs: Vec<Recorded> = Vec::new();
    for path in paths {
        runs.push(read(&catalog, path)?);
    }
    let place = machine::place(settings.output.as_deref());
    let mut calibration = machine::existing(&place)?;
    for (ranks, runs) in by_ranks(runs) {
        let (start, load) = load(&calibration, ranks, runs)?;
        let text = machine::changes(&start, &load).text(output.out.width);
        output.data(&output.out.text(&format!("{ranks} ranks\n{text}\n")))?;
        calibration.put(load.clone());
        machine::write(&place, &calibration, &load, output)?;
    }
    output.note(&format!(
        "\nNext: meshwright plan -m MODEL -c local -g {}   uses it, {}=off does not",
        calibration.loads.last().map_or(1, |load| load.ranks),
        calibrated::VARIABLE,
    ));
    Ok(Exit::Done)
}

fn read(catalog: &Catalog, path: &str) -> Result<Recorded, Failure> {
    let record = record::read(path)?;
    let here = machine::here();
    let there = &record.provenance.machine;
    if there.fingerprint != here.fingerprint {
        let what = format!("{path} was recorded on another machine");
        return Err(Failure::new(Exit::InvalidInput, what)
            .evidence(format!("there  {}\nhere   {}", there.processor, here.processor)));
    }
    let samples = record::read_samples(path, &record)?;
    if samples.is_empty() {
        let what = format!("{path} holds no times of actions");
        return Err(Failure::new(Exit::InvalidInput, what)
            .hint("`meshwright execute PLAN --record run.json` records them"));
    }
    let run = Run::new(catalog, &record, &samples)?;
    Ok(Recorded { name: path.to_string(), record, run })
}

/// Runs with as many ranks belong together.
pub fn by_ranks(runs: Vec<Recorded>) -> BTreeMap<u32, Vec<Recorded>> {
    let mut all: BTreeMap<u32, Vec<Recorded>> = BTreeMap::new();
    for run in runs {
        all.entry(run.record.plan.decision.world_size).or_default().push(run);
    }
    all
}

/// The machine that a fit starts from, and the constants that it ends at.
pub fn load(
    known: &Calibration,
    ranks: u32,
    runs: Vec<Recorded>,
) -> Result<(LocalMachine, Load), Failure> {
    let canary = canary(&runs);
    let names: Vec<String> = runs.iter().map(|r| r.name.clone()).collect();
    let runs: Vec<Run> = runs.into_iter().map(|r| r.run).collect();
    let start = runs.first().and_then(Run::machine);
    let nothing = || Failure::new(Exit::InvalidInput, "no run to fit constants to");
    let mut start = start.ok_or_else(nothing)?;
    // The nearest number of ranks that is known is a better start than what ships.
    let before = known.load(ranks).cloned();
    if let Some(before) = &before {
        calibrated::lay(&mut start, before);
    }
    // What a step takes outside of its actions is measured, not fitted.
    let outside = median(runs.iter().map(|r| r.outside).collect()).unwrap_or(0.0);
    let found = fit_runs(&runs, &start).ok_or_else(nothing)?;
    let source = source(&found.residuals, runs.len());
    let kept = before.filter(|b| b.ranks == ranks).map(|b| b.constants).unwrap_or_default();
    let mut constants: BTreeMap<String, _> =
        kept.into_iter().map(|c| (c.name.clone(), c)).collect();
    for (constant, value) in &found.constants {
        let made = machine::constant(constant, *value, &source);
        constants.insert(made.name.clone(), made);
    }
    if let Some(known) = LocalConstant::named("step.fixed") {
        let source = "measured: steps outside of their actions, the least disturbed quarter";
        let made = machine::constant(known, outside, source);
        constants.insert(made.name.clone(), made);
    }
    let residuals = Some(found.residuals);
    let constants = constants.into_values().collect();
    Ok((start, Load { ranks, canary, made_from: names, constants, residuals }))
}

fn source(residuals: &Residuals, runs: usize) -> String {
    format!("fitted: {} kinds of actions of {runs} runs, soft-L1 on log time", residuals.actions)
}

fn canary(runs: &[Recorded]) -> Canary {
    let of = |value: fn(&Canary) -> f64| {
        median(runs.iter().map(|r| value(&r.record.canary)).collect()).unwrap_or(0.0)
    };
    Canary { product_seconds: of(|c| c.product_seconds), copy_seconds: of(|c| c.copy_seconds) }
}
