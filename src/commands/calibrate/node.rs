//! `calibrate --node`: what this machine does, measured: products, copies, messages, and short runs
//! of small models for everything that is not one of these.

use super::from::{Recorded, load};
use super::machine::{self, constant};
use crate::calibration::machine::Run;
use crate::catalog::Catalog;
use crate::cli::small_run;
use crate::commands::execute::recorded;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::local;
use crate::output::Output;
use crate::record;
use crate::settings::Settings;
use cost_model::fit::{LocalConstant, LocalMachine, fit};
use cost_model::{Profile, price};
use executor::bench;
use plan::Dtype;
use plan::calibration::{CalibratedConstant, Calibration, Load};
use plan::estimate::Grade;
use plan::units::{Bytes, Seconds};
use plan::work::{Collective, CollectiveOp, Gemm, Group, Work};

/// Rows, columns and depth of the products that are timed.
const PRODUCTS: [[usize; 3]; 14] = [
    [8, 256, 256],
    [8, 1024, 256],
    [32, 256, 256],
    [32, 1024, 256],
    [32, 256, 1024],
    [128, 128, 128],
    [128, 512, 128],
    [256, 1024, 256],
    [512, 512, 512],
    [1024, 257, 256],
    [2048, 256, 256],
    [256, 256, 2048],
    [64, 64, 64],
    [512, 1024, 1024],
];
/// Bytes of a copy: more than caches hold.
const COPY: Bytes = Bytes::new(48e6);
/// Bytes of the all-reduces that are timed.
const REDUCTIONS: [f64; 5] = [4096.0, 65536.0, 524_288.0, 2_097_152.0, 8_388_608.0];
/// Small models, one of each family, and what pins them to what every machine runs.
const MODELS: [&str; 4] = ["mlstm-tiny", "gpt-tiny", "rhn-tiny", "word-lm-tiny"];
/// Steps of a short run.
const STEPS: u64 = 5;

/// Measures this machine with one rank and with a rank on every core.
pub fn run(settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let catalog = Catalog::from_environment()?;
    let machine = executor::machine::detect();
    let place = machine::place(settings.output.as_deref());
    let mut calibration = Calibration { loads: Vec::new(), ..machine::existing(&place)? };
    let cores = machine.cpu.cores.max(1);
    let loads: &[u32] = if cores > 1 { &[1, cores] } else { &[1] };
    for &ranks in loads {
        let mut cluster = local::processor_cluster(&machine)?;
        let stack = catalog.stack(local::STACK)?;
        let nothing = || Failure::new(Exit::Bug, "this machine has no node");
        let group = cluster.groups.pop().ok_or_else(nothing)?;
        let mut base = LocalMachine { group, stack };
        let constants = basics(&mut base, ranks, output)?;
        let basics = Load {
            ranks,
            canary: record::canary(ranks),
            made_from: vec!["calibrate --node".into()],
            constants,
            residuals: None,
        };
        calibration.put(basics.clone());
        let runs = short_runs(&catalog, ranks, output)?;
        let (start, mut load) = load(&calibration, ranks, runs)?;
        load.canary = basics.canary;
        let text = machine::changes(&start, &load).text(output.out.width);
        output.data(&output.out.text(&format!("{ranks} at once\n{text}\n")))?;
        calibration.put(load.clone());
        machine::write(&place, &calibration, &load, output)?;
    }
    output.note("\nNext: meshwright plan -m mlstm-tiny -c local -g 2 -o plan.json");
    Ok(Exit::Done)
}

/// Products, copies and messages.
fn basics(
    base: &mut LocalMachine,
    ranks: u32,
    output: &Output,
) -> Result<Vec<CalibratedConstant>, Failure> {
    let threads = ranks as usize;
    output.note(&format!("products, copies and messages of {ranks} at once"));
    let rate = bench::copy_rate(threads, COPY);
    let words = format!("measured: copies of {COPY}, {ranks} at once");
    let mut constants = Vec::new();
    let mut keep = |name: &str, value: f64, source: &str| {
        if let Some(known) = LocalConstant::named(name) {
            constants.push(constant(known, value, source));
            known.set(base, value, Grade::Measured, source);
        }
    };
    keep("memory.bandwidth", rate.get(), &words);
    keep("memory.stream", 1.0, "measured: the bandwidth is that of a copy");
    let time = |p: &[usize; 3]| (product(*p), bench::product_time(threads, *p));
    let products: Vec<(Work, Seconds)> = PRODUCTS.iter().map(time).collect();
    let shape = ["gemm.efficiency", "gemm.tile_penalty", "gemm.prologue", "gemm.kernel_gap"];
    constants.extend(fitted(base, &shape, &products, "products"));
    if ranks > 1 {
        let mut reductions = Vec::new();
        for bytes in REDUCTIONS.map(Bytes::new) {
            let time = bench::all_reduce_time(ranks, bytes)
                .map_err(|fault| Failure::new(Exit::Failed, fault.to_string()))?;
            reductions.push((reduction(ranks, bytes), time));
        }
        constants.extend(fitted(base, &["link.bandwidth", "link.hop"], &reductions, "all-reduces"));
    }
    Ok(constants)
}

fn product([m, n, k]: [usize; 3]) -> Work {
    let [m, n, k] = [m, n, k].map(|extent| extent as u64);
    Work::Gemm(Gemm { batch: 1, m, n, k, dtype: Dtype::Fp32 })
}

fn reduction(ranks: u32, bytes: Bytes) -> Work {
    let group = Group { size: ranks, nodes: 1 };
    Work::Collective(Collective { op: CollectiveOp::AllReduce, bytes, group })
}

/// Fits some constants to times of single pieces of work, and sets them.
fn fitted(
    machine: &mut LocalMachine,
    names: &[&str],
    times: &[(Work, Seconds)],
    what: &str,
) -> Vec<CalibratedConstant> {
    let known: Vec<&'static LocalConstant> =
        names.iter().filter_map(|name| LocalConstant::named(name)).collect();
    let free: Vec<_> = known.iter().map(|c| c.free(machine)).collect();
    let at = |values: &[f64]| {
        let mut trial = machine.clone();
        for (constant, x) in known.iter().zip(values) {
            constant.set(&mut trial, x.exp(), Grade::Measured, "a trial");
        }
        trial
    };
    let residuals = |values: &[f64]| -> Vec<f64> {
        let trial = at(values);
        let Ok(profile) = Profile::new(&trial.group.device, &trial.group, &trial.stack) else {
            return vec![3.0; times.len()];
        };
        let one = |(work, time): &(Work, Seconds)| (price(work, &profile).value / *time).ln();
        times.iter().map(one).collect()
    };
    let found = fit(&free, &mut |values: &[f64]| residuals(values));
    let left = residuals(&found.values);
    let error = left.iter().map(|r| r.abs()).sum::<f64>() / left.len().max(1) as f64;
    let source = format!("measured: {} {what}, mean error {:.0} %", times.len(), 100.0 * error);
    let end = at(&found.values);
    *machine = end;
    known.iter().map(|c| constant(c, c.of(machine), &source)).collect()
}

/// Small models, planned and trained for a few steps.
fn short_runs(catalog: &Catalog, ranks: u32, output: &Output) -> Result<Vec<Recorded>, Failure> {
    let mut runs = Vec::new();
    for model in MODELS {
        output.note(&format!("{model}, {STEPS} steps on {ranks} ranks"));
        let (plan, execute) = small_run(model, ranks, STEPS)?;
        let (record, samples) = recorded(catalog, &plan, &execute)?;
        let run = Run::new(catalog, &record, &samples)?;
        runs.push(Recorded { name: format!("{model}, {ranks} ranks"), record, run });
    }
    Ok(runs)
}
