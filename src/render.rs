//! Pieces that screens are made of: bars, tables, numbers.

pub mod accuracy;
pub mod analyze;
pub mod bar;
pub mod clusters;
pub mod compare;
pub mod execute;
pub mod infeasible;
pub mod json;
pub mod number;
pub mod page;
pub mod plan_line;
pub mod report;
pub mod sweep;
pub mod table;
pub mod timeline;
pub mod training;
pub mod tree;
pub mod why_not;
pub mod wrap;

/// The largest memory over all stages of a report, bytes.
pub fn memory_of(report: &plan::report::Report) -> f64 {
    report.memory.stages.iter().map(|s| s.total_bytes).fold(0.0, f64::max)
}
