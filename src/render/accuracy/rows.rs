//! Every row as a line of a spreadsheet.

use crate::accuracy::flags;
use crate::published::Scored;
use crate::render::table::{Align, Table};

/// Every row with everything that is known about it, for spreadsheets and fits.
#[must_use]
pub fn rows(all: &[Scored]) -> Table {
    const FIRST: [&str; 34] = [
        "id",
        "group",
        "tier",
        "split",
        "source",
        "model",
        "family",
        "gpu",
        "gpus",
        "tp",
        "pp",
        "vp",
        "dp",
        "cp",
        "ep",
        "zero",
        "sp",
        "recompute",
        "micro_batch",
        "global_batch",
        "seq",
        "precision",
        "stack",
        "measured_s",
        "predicted_s",
        "ratio",
        "low_s",
        "high_s",
        "baseline_s",
        "memory_kind",
        "memory_measured_gib",
        "memory_predicted_gib",
        "fill",
        "parameters",
    ];
    let parts = crate::published::Parts::default().all();
    let names = FIRST.into_iter().map(str::to_string);
    let names = names.chain(parts.iter().map(|(name, _)| format!("{name}_s")));
    let names = names.chain(["doubts", "assumed", "skipped"].map(str::to_string));
    let names: Vec<String> = names.collect();
    let columns: Vec<(&str, Align)> = names.iter().map(|n| (n.as_str(), Align::Left)).collect();
    let mut table = Table::new(&columns);
    for scored in all {
        table.row(row(scored));
    }
    table
}

fn row(scored: &Scored) -> Vec<String> {
    const GIB: f64 = 1_073_741_824.0;
    let (row, run) = (&scored.row, &scored.row.run);
    let prediction = scored.prediction.as_ref().ok();
    let count = |value: Option<u64>| value.map_or(String::new(), |v| v.to_string());
    let number = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.6}"));
    let mut cells = vec![
        row.id.clone(),
        row.group.clone(),
        row.tier.clone(),
        row.split.clone(),
        row.source.clone(),
        row.model.clone(),
        row.family.clone(),
        row.gpu.clone(),
    ];
    cells.extend([run.gpus, run.tp, run.pp, run.chunks, run.dp, run.cp, run.ep].map(count));
    cells.extend([run.zero, run.sequence_parallel].map(count));
    cells.push(prediction.map_or(row.recompute.clone(), |p| p.recompute.name().to_string()));
    let micro = prediction.map_or(run.micro_batch, |p| Some(p.micro_batch));
    cells.extend([micro, run.global_batch, row.shape.seq].map(count));
    cells.extend([row.precision.clone(), scored.stack.clone()]);
    cells.extend([scored.measured, prediction.map(|p| p.step.get()), scored.ratio()].map(number));
    let interval = prediction.map(|p| (p.low.get(), p.high.get(), p.baseline.get()));
    cells.extend([interval.map(|i| i.0), interval.map(|i| i.1), interval.map(|i| i.2)].map(number));
    cells.push(scored.memory.map_or(String::new(), |(_, kind)| kind.name().to_string()));
    cells.push(number(scored.memory.map(|(bytes, _)| bytes / GIB)));
    cells.push(number(prediction.map(|p| p.memory.get() / GIB)));
    cells.push(number(prediction.map(|p| p.fill)));
    cells.push(count(prediction.map(|p| p.parameters)));
    match prediction {
        Some(p) => cells.extend(p.parts.all().iter().map(|(_, s)| format!("{s:.6}"))),
        None => cells.extend(std::iter::repeat_n(String::new(), 13)),
    }
    let doubts: Vec<&str> = flags(scored).into_iter().map(crate::accuracy::Flag::words).collect();
    cells.push(doubts.join("; "));
    let assumed = prediction.map(|p| p.assumed.0.iter().map(ToString::to_string).collect());
    cells.push(assumed.map_or(String::new(), |all: Vec<String>| all.join("; ")));
    cells.push(scored.prediction.as_ref().err().map_or(String::new(), ToString::to_string));
    cells
}
