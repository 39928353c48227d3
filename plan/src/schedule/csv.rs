//! Orders as PyTorch's pipelining writes and reads them: one line per rank, one cell per slot.
//!
//! A cell is a stage, a letter and a micro-batch: `2F0`, `0B3`, `1I4`, `1W4`. Empty cells are
//! bubbles and mean nothing. torchtitan runs such a file (`pipeline_parallel_schedule_csv`), so an
//! order of this planner runs there.
//!
//! Source: `_Action` and `_PipelineScheduleRuntime._load_csv` of
//! pytorch/pytorch, torch/distributed/pipelining/schedules.py, format `compute_only`.

use super::{Order, Slot, Task};
use thiserror::Error;

/// Why a table is no order.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CsvError {
    /// Nothing in it.
    #[error("the table is empty; it has one line per rank, with cells such as `2F0`")]
    Empty,
    /// A cell that names no pass.
    #[error(
        "line {line}, cell {cell}: `{text}` is no pass; write stage, F, B, I or W, and \
         micro-batch, such as `2F0`"
    )]
    Cell {
        /// Line, from 1.
        line: usize,
        /// Cell, from 1.
        cell: usize,
        /// What it says.
        text: String,
    },
    /// A cell that only a table with communication has.
    #[error(
        "line {line}, cell {cell}: `{text}` is communication; this reads tables of compute alone \
         (format `compute_only`) and places communication itself"
    )]
    Communication {
        /// Line, from 1.
        line: usize,
        /// Cell, from 1.
        cell: usize,
        /// What it says.
        text: String,
    },
    /// A pass that is listed before.
    #[error("line {line}, cell {cell}: `{text}` is listed before")]
    Repeated {
        /// Line, from 1.
        line: usize,
        /// Cell, from 1.
        cell: usize,
        /// What it says.
        text: String,
    },
}

/// What tables with communication have besides.
const COMMUNICATION: [&str; 6] = ["SEND", "RECV", "SHARD", "REDUCE", "OVERLAP", "WAIT"];

/// Writes an order.
#[must_use]
pub fn write(order: &Order) -> String {
    let line = |slots: &Vec<Slot>| {
        let cells: Vec<String> = slots.iter().map(Slot::to_string).collect();
        cells.join(",") + "\n"
    };
    order.iter().map(line).collect()
}

/// Reads an order.
///
/// # Errors
/// [`CsvError`] names the cell and what it should be. Whether the order can run is another
/// question, which [`timetable`](super::timetable::timetable) answers.
pub fn read(text: &str) -> Result<Order, CsvError> {
    let mut seen = std::collections::BTreeSet::new();
    let mut order = Order::new();
    for (line, row) in text.lines().enumerate().filter(|(_, row)| !row.trim().is_empty()) {
        let mut slots = Vec::new();
        for (cell, text) in row.split(',').map(unquoted).enumerate() {
            if text.is_empty() {
                continue;
            }
            let (line, cell) = (line + 1, cell + 1);
            let slot = slot(text).ok_or_else(|| refused(line, cell, text))?;
            if !seen.insert(slot) {
                return Err(CsvError::Repeated { line, cell, text: text.into() });
            }
            slots.push(slot);
        }
        order.push(slots);
    }
    if seen.is_empty() { Err(CsvError::Empty) } else { Ok(order) }
}

fn unquoted(cell: &str) -> &str {
    cell.trim().trim_matches('"').trim()
}

fn slot(text: &str) -> Option<Slot> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let task = Task::from_letter(text[at..].chars().next()?)?;
    let (stage, micro_batch) = (number(&text[..at])?, number(&text[at + 1..])?);
    Some(Slot { task, stage, micro_batch })
}

/// Digits alone: `u32` would also take a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

fn refused(line: usize, cell: usize, text: &str) -> CsvError {
    let upper = text.to_uppercase();
    let text = text.chars().take(40).collect();
    match COMMUNICATION.iter().any(|word| upper.contains(word)) {
        true => CsvError::Communication { line, cell, text },
        false => CsvError::Cell { line, cell, text },
    }
}
