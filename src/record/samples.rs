//! Files of raw samples: a line of JSON per rank and step, only ever added to.

use super::RunRecord;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use plan::record::{SamplesPlace, StepSamples};
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// The file of samples beside a record: `run.json` has `run.samples.jsonl`.
fn beside(record: &Path) -> PathBuf {
    record.with_extension("samples.jsonl")
}

/// Adds samples to the file beside a record; says where they are.
///
/// # Errors
/// Says which file, and what is wrong with it.
pub fn append(record: &str, samples: &[StepSamples]) -> Result<Option<SamplesPlace>, Failure> {
    if samples.is_empty() || record == "-" {
        return Ok(None);
    }
    let path = beside(Path::new(record));
    let failed =
        |e: io::Error| Failure::new(Exit::Failed, format!("cannot write {}: {e}", path.display()));
    let skip = count_lines(&path).map_err(failed)?;
    let mut text = String::new();
    for step in samples {
        let line = serde_json::to_string(step).map_err(|e| failed(e.into()))?;
        text += &line;
        text.push('\n');
    }
    let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(file.map(|file| SamplesPlace { file, skip, lines: samples.len() as u64 }))
}

fn count_lines(path: &Path) -> io::Result<u64> {
    match std::fs::File::open(path) {
        Ok(file) => BufReader::new(file).lines().try_fold(0, |n, line| line.map(|_| n + 1)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// The samples of a record; nothing where it has none.
///
/// # Errors
/// A file that is not there any more, or does not hold what the record says.
pub fn read_samples(path: &str, record: &RunRecord) -> Result<Vec<StepSamples>, Failure> {
    let Some(place) = &record.samples else { return Ok(Vec::new()) };
    let file = Path::new(path).with_file_name(&place.file);
    let shown = file.display().to_string();
    let text = files::read(&shown)
        .map_err(|f| f.hint(format!("{path} names it as the file of its samples")))?;
    let lines = text.lines().skip(place.skip as usize).take(place.lines as usize);
    let parsed: Result<Vec<StepSamples>, _> = lines.map(serde_json::from_str).collect();
    let broken = |why: String| Failure::new(Exit::InvalidInput, format!("{shown}: {why}"));
    let samples = parsed.map_err(|e| broken(e.to_string()))?;
    match samples.len() as u64 == place.lines {
        true => Ok(samples),
        false => Err(broken(format!(
            "{} lines from line {} on, and {path} says {}",
            samples.len(),
            place.skip + 1,
            place.lines
        ))),
    }
}
