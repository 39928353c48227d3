//! A report as rows of name, value, unit: for documents and spreadsheets.

use crate::render::memory_of;
use crate::render::plan_line;
use crate::render::table::{Align, Table};
use plan::quantity::Value;
use plan::report::Report;

/// The facts of a report, one per row, numbers in SI units.
pub fn facts(report: &Report) -> Table {
    let mut table = Table::new(&[
        ("name", Align::Left),
        ("value", Align::Right),
        ("unit", Align::Left),
        ("low", Align::Right),
        ("high", Align::Right),
        ("source", Align::Left),
    ]);
    let mut word = |name: &str, value: &str| table.row([name.to_string(), value.to_string()]);
    word("model", &report.model.name);
    word("cluster", &report.machine.cluster);
    word("gpus", &report.machine.gpus.to_string());
    word("plan", &plan_line::full(&report.plan.decision));
    word("id", &report.plan.id);
    let mut number = |name: &str, value: &Value| table.row(cells(name, value));
    number("step", &report.step);
    number("tokens per second", &report.tokens_per_second);
    number("tokens per second and GPU", &report.tokens_per_second_per_gpu);
    number("MFU", &report.mfu);
    number("HFU", &report.hfu);
    number("speed of light", &report.speed_of_light);
    number("memory", &report.plan.prediction.memory);
    for part in &report.time {
        number(&format!("time: {}", part.label), &part.time);
    }
    let fullest = report.memory.stages.iter().find(|s| s.total_bytes == memory_of(report));
    for part in fullest.map(|s| s.parts.as_slice()).unwrap_or_default() {
        table.row([format!("memory: {}", part.id), part.bytes.to_string(), "B".to_string()]);
    }
    table
}

fn cells(name: &str, value: &Value) -> [String; 6] {
    [
        name.to_string(),
        value.value.to_string(),
        value.unit.clone(),
        value.low.to_string(),
        value.high.to_string(),
        value.source.clone(),
    ]
}
