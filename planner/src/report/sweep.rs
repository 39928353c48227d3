//! A sweep over GPU counts as rows.

use crate::request::Objective;
use plan::report::{Report, SweepRow};

/// One question of a sweep and its answer; the text says why nothing fits.
pub type SweepAnswer = (u32, Result<(String, Report), String>);

/// Rows of a sweep, the best one under `objective` marked.
#[must_use]
pub fn sweep(answers: &[SweepAnswer], objective: Objective) -> Vec<SweepRow> {
    let first = answers.iter().find_map(|(_, a)| a.as_ref().ok());
    let base = first.map(|(_, report)| report.tokens_per_second_per_gpu.value);
    let mut rows: Vec<SweepRow> = answers.iter().map(|a| row(a, base)).collect();
    let scores: Vec<Option<f64>> = rows.iter().map(|r| score(r, objective)).collect();
    let best = scores.iter().flatten().copied().reduce(f64::min);
    for (row, score) in rows.iter_mut().zip(&scores) {
        row.is_best = score.is_some() && *score == best;
    }
    rows
}

/// What the objective minimises.
pub(super) fn score(row: &SweepRow, objective: Objective) -> Option<f64> {
    match objective {
        // More devices are faster for a batch that grows with them only in tokens per second.
        Objective::StepTime | Objective::TokensPerSecond | Objective::TimeToLoss => {
            row.tokens_per_second.map(|t| -t)
        }
        Objective::Memory => row.memory_bytes,
        // The power of a device is taken as constant: its hours are its energy.
        Objective::GpuHours | Objective::KilowattHours => row.gpu_hours_per_billion_tokens,
        Objective::Dollars => row.dollars_per_billion_tokens,
    }
}

fn row((gpus, answer): &SweepAnswer, base: Option<f64>) -> SweepRow {
    let (label, report) = match answer {
        Ok((label, report)) => (label.clone(), Some(report)),
        Err(_) => (String::new(), None),
    };
    let rate = report.map(|r| r.tokens_per_second.value);
    let hours = rate.map(|t| f64::from(*gpus) * 1e9 / t / 3600.0);
    let price = report.and_then(|r| {
        let per_step = r.dollars_per_step.as_ref()?.value;
        Some(per_step / r.step.value / f64::from(*gpus) * 3600.0)
    });
    let most = |r: &Report| r.memory.stages.iter().map(|s| s.total_bytes).fold(0.0, f64::max);
    SweepRow {
        gpus: *gpus,
        label,
        seconds: report.map(|r| r.step.value),
        tokens_per_second: rate,
        mfu: report.map(|r| r.mfu.value),
        scaling: report.and_then(|r| Some(r.tokens_per_second_per_gpu.value / base?)),
        memory_bytes: report.map(most),
        gpu_hours_per_billion_tokens: hours,
        dollars_per_billion_tokens: hours.and_then(|h| Some(h * price?)),
        is_best: false,
        note: answer.as_ref().err().cloned().unwrap_or_default(),
    }
}
