//! Tables of measurements: CSV in, rows and problems out.

use super::row::{Measured, Row, RunColumns, ShapeColumns};
use crate::diagnostics::FileProblem;
use plan::suggest::closest;
use std::collections::BTreeMap;
use std::ops::Range;

/// Columns without which a row says nothing.
const REQUIRED: [&str; 10] =
    ["layers", "hidden", "seq", "gpu", "gpus", "tp", "pp", "dp", "global_batch", "precision"];

/// Columns that a table may leave out.
const OPTIONAL: [&str; 33] = [
    "id",
    "group",
    "tier",
    "split",
    "source",
    "year",
    "model_name",
    "family",
    "params_b",
    "heads",
    "kv_heads",
    "ffn",
    "vocab",
    "experts",
    "topk",
    "gpu_mem_gb",
    "gpus_per_node",
    "intra_link",
    "inter_link_gbps",
    "vp",
    "cp",
    "ep",
    "zero_stage",
    "sp",
    "recompute",
    "micro_batch",
    "optimizer",
    "attention_impl",
    "step_time_s",
    "tokens_per_s_per_gpu",
    "tflops_per_gpu_model",
    "peak_mem_gb",
    "outcome",
];

/// Cells that say that nothing is known.
const NOTHING: [&str; 7] = ["", "-", "?", "n/a", "na", "nan", "none"];

/// The largest count that means anything.
const MOST: f64 = 1e15;

/// What was read of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Rows whose cells could all be read.
    pub rows: Vec<Row>,
    /// What is wrong with the others.
    pub problems: Vec<FileProblem>,
}

/// Reads a table.
///
/// # Errors
/// A file without rows, and missing columns: nothing of such a table can be used.
pub fn read(text: &str) -> Result<Table, Vec<FileProblem>> {
    let body = text.trim_start_matches('\u{feff}');
    let skipped = text.len() - body.len();
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(body.as_bytes());
    let header = match reader.headers() {
        Ok(header) if header.iter().any(|name| !name.is_empty()) => header.clone(),
        _ => return Err(vec![problem(0..0, "the file has no header: it is empty")]),
    };
    let columns = columns(&header, text)?;
    let mut table = Table::default();
    for record in reader.records() {
        match record {
            Ok(record) => read_row(&columns, &record, (text, skipped), &mut table),
            Err(error) => {
                let at = error.position().map_or(0, |p| offset(p) + skipped);
                table.problems.push(problem(at..at + 1, &error.to_string()));
            }
        }
    }
    if table.rows.is_empty() && table.problems.is_empty() {
        let end = text.trim_end().len();
        return Err(vec![problem(end..end, "the table has a header and no rows")]);
    }
    Ok(table)
}

/// Where each column stands.
fn columns(header: &csv::StringRecord, text: &str) -> Result<Columns, Vec<FileProblem>> {
    let mut places = BTreeMap::new();
    for (place, name) in header.iter().enumerate() {
        places.entry(name.to_lowercase()).or_insert(place);
    }
    let missing = REQUIRED.iter().filter(|name| !places.contains_key(**name));
    let end = text.find(['\r', '\n']).unwrap_or(text.len());
    let problems: Vec<FileProblem> = missing
        .map(|name| {
            let strange = places.keys().map(String::as_str).filter(|k| !is_known(k));
            let hint = closest(name, strange).map(|k| format!("is `{k}` meant?"));
            FileProblem { span: 0..end, message: format!("no column `{name}`"), hint }
        })
        .collect();
    if problems.is_empty() { Ok(Columns { places, width: header.len() }) } else { Err(problems) }
}

fn is_known(name: &str) -> bool {
    REQUIRED.contains(&name) || OPTIONAL.contains(&name)
}

struct Columns {
    places: BTreeMap<String, usize>,
    width: usize,
}

fn read_row(
    columns: &Columns,
    record: &csv::StringRecord,
    (text, skipped): (&str, usize),
    table: &mut Table,
) {
    let start = record.position().map_or(0, offset) + skipped;
    let place = |index: usize| cell_span(text, start, index);
    if record.len() != columns.width {
        let message = format!("{} cells where the header has {}", record.len(), columns.width);
        table.problems.push(problem(place(record.len().saturating_sub(1)), &message));
        return;
    }
    let mut cells = Cells { columns, record, problems: Vec::new() };
    let row = cells.row(record.position().map_or(0, csv::Position::line));
    if cells.problems.is_empty() {
        table.rows.push(row);
    } else {
        let all =
            cells.problems.into_iter().map(|(index, message)| problem(place(index), &message));
        table.problems.extend(all);
    }
}

/// The cells of one row, and what is wrong with them.
struct Cells<'a> {
    columns: &'a Columns,
    record: &'a csv::StringRecord,
    problems: Vec<(usize, String)>,
}

impl Cells<'_> {
    fn cell(&self, name: &str) -> (usize, &str) {
        let place = self.columns.places.get(name).copied();
        place.map_or((0, ""), |p| (p, self.record.get(p).unwrap_or("")))
    }

    fn text(&self, name: &str) -> String {
        self.cell(name).1.to_string()
    }

    fn word(&self, name: &str) -> String {
        self.cell(name).1.to_lowercase()
    }

    fn number(&mut self, name: &str) -> Option<f64> {
        let (place, text) = self.cell(name);
        if NOTHING.contains(&text.to_lowercase().as_str()) {
            return None;
        }
        let value = text.parse::<f64>().ok().filter(|v| v.is_finite() && *v >= 0.0);
        if value.is_none() {
            let message = format!("`{name}` is \"{text}\", which is no number from 0 up");
            self.problems.push((place, message));
        }
        value
    }

    /// A number of something; 0 is as good as none.
    fn count(&mut self, name: &str) -> Option<u64> {
        let value = self.number(name)?;
        if value.fract() != 0.0 || value > MOST {
            let (place, text) = self.cell(name);
            let message = format!("`{name}` is \"{text}\", which is no whole number");
            self.problems.push((place, message));
            return None;
        }
        Some(value as u64)
    }

    fn row(&mut self, line: u64) -> Row {
        let source = self.text("source");
        let group = Some(self.text("group")).filter(|g| !g.is_empty());
        let tier = Some(self.text("tier").to_uppercase()).filter(|t| !t.is_empty());
        Row {
            line,
            id: Some(self.text("id")).filter(|i| !i.is_empty()).unwrap_or(format!("line {line}")),
            group: group.unwrap_or_else(|| first_word(&source)),
            tier: tier.unwrap_or_else(|| "A".to_string()),
            split: self.word("split"),
            source,
            year: self.count("year"),
            model: self.text("model_name"),
            family: self.word("family"),
            gpu: self.text("gpu"),
            intra_link: self.word("intra_link"),
            precision: self.word("precision"),
            optimizer: self.word("optimizer"),
            attention: self.word("attention_impl"),
            recompute: self.word("recompute"),
            notes: self.text("notes"),
            outcome: self.text("outcome"),
            shape: self.shape(),
            run: self.run(),
            measured: self.measured(),
        }
    }

    fn shape(&mut self) -> ShapeColumns {
        ShapeColumns {
            parameters: self.number("params_b").filter(|p| *p > 0.0),
            layers: self.count("layers"),
            hidden: self.count("hidden"),
            heads: self.count("heads"),
            kv_heads: self.count("kv_heads"),
            ffn: self.count("ffn").filter(|n| *n > 0),
            vocab: self.count("vocab").filter(|n| *n > 0),
            seq: self.count("seq"),
            experts: self.count("experts"),
            top_k: self.count("topk"),
        }
    }

    fn run(&mut self) -> RunColumns {
        RunColumns {
            gpu_memory: self.number("gpu_mem_gb"),
            gpus: self.count("gpus"),
            per_node: self.count("gpus_per_node"),
            network: self.number("inter_link_gbps").filter(|n| *n > 0.0),
            tp: self.count("tp"),
            pp: self.count("pp"),
            chunks: self.count("vp"),
            dp: self.count("dp"),
            cp: self.count("cp"),
            ep: self.count("ep"),
            zero: self.count("zero_stage"),
            sequence_parallel: self.count("sp"),
            micro_batch: self.count("micro_batch"),
            global_batch: self.count("global_batch"),
        }
    }

    fn measured(&mut self) -> Measured {
        let positive = |value: Option<f64>| value.filter(|v| *v > 0.0);
        Measured {
            step: positive(self.number("step_time_s")),
            tokens: positive(self.number("tokens_per_s_per_gpu")),
            tflops: positive(self.number("tflops_per_gpu_model")),
            memory: positive(self.number("peak_mem_gb")),
        }
    }
}

fn first_word(source: &str) -> String {
    let word = source.split_whitespace().next().unwrap_or("unnamed source");
    word.trim_end_matches([',', ';', ':']).to_string()
}

fn problem(span: Range<usize>, message: &str) -> FileProblem {
    FileProblem { span, message: message.to_string(), hint: None }
}

fn offset(position: &csv::Position) -> usize {
    usize::try_from(position.byte()).unwrap_or(usize::MAX)
}

/// The bytes of a cell: the record starts at `start`, quotes may hold commas and line ends.
fn cell_span(text: &str, start: usize, index: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    // The reader's position may lie on the line end before the record.
    let mut at = start.min(bytes.len());
    while bytes.get(at).is_some_and(|b| matches!(b, b'\r' | b'\n')) {
        at += 1;
    }
    let (mut cell, mut is_quoted) = (0, false);
    let mut begin = at;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted && cell == index => break,
            b',' if !is_quoted => (cell, begin) = (cell + 1, at + 1),
            b'\n' | b'\r' if !is_quoted => break,
            _ => {}
        }
        at += 1;
    }
    begin..at.max(begin)
}

#[cfg(test)]
mod tests;
