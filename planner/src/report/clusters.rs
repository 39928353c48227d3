//! A sweep over clusters and GPU counts: the best of all rows, and those that nothing beats.

use super::sweep::score;
use crate::request::Objective;
use plan::report::{ClusterRow, SweepRow};

/// What a row costs, for what it is held against time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Dollars per billion tokens.
    Dollars,
    /// Device-hours per billion tokens, where no cluster has a price.
    GpuHours,
}

impl Cost {
    /// Dollars, as soon as one row has a price.
    #[must_use]
    pub fn of(rows: &[ClusterRow]) -> Self {
        match rows.iter().any(|r| r.row.dollars_per_billion_tokens.is_some()) {
            true => Self::Dollars,
            false => Self::GpuHours,
        }
    }

    /// The cost of a row, where it is known.
    #[must_use]
    pub fn value(self, row: &SweepRow) -> Option<f64> {
        match self {
            Self::Dollars => row.dollars_per_billion_tokens,
            Self::GpuHours => row.gpu_hours_per_billion_tokens,
        }
    }

    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dollars => "dollars",
            Self::GpuHours => "gpu-hours",
        }
    }
}

/// Rows of all clusters one after the other, the best one under `objective` marked, and those that
/// no other row beats in time and cost.
#[must_use]
pub fn clusters(sweeps: Vec<(String, Vec<SweepRow>)>, objective: Objective) -> Vec<ClusterRow> {
    let named = sweeps
        .into_iter()
        .flat_map(|(cluster, rows)| rows.into_iter().map(move |row| (cluster.clone(), row)));
    let mut all: Vec<ClusterRow> = named
        .map(|(cluster, row)| {
            let hours = row.tokens_per_second.map(|rate| 1e9 / rate / 3600.0);
            ClusterRow { cluster, row, hours_per_billion_tokens: hours, is_pareto: false }
        })
        .collect();
    let scores: Vec<Option<f64>> = all.iter().map(|r| score(&r.row, objective)).collect();
    let best = scores.iter().flatten().copied().reduce(f64::min);
    let cost = Cost::of(&all);
    let both = |r: &ClusterRow| r.hours_per_billion_tokens.zip(cost.value(&r.row));
    let places: Vec<Option<(f64, f64)>> = all.iter().map(both).collect();
    for ((row, score), place) in all.iter_mut().zip(&scores).zip(&places) {
        row.row.is_best = score.is_some() && *score == best;
        row.is_pareto = place.is_some_and(|p| !places.iter().flatten().any(|q| beats(*q, p)));
    }
    all
}

/// No worse in both, and better in one.
fn beats(a: (f64, f64), b: (f64, f64)) -> bool {
    a.0 <= b.0 && a.1 <= b.1 && a != b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(gpus: u32, rate: Option<f64>, dollars: Option<f64>) -> SweepRow {
        SweepRow {
            gpus,
            label: String::new(),
            seconds: rate.map(|_| 1.0),
            tokens_per_second: rate,
            mfu: None,
            scaling: None,
            memory_bytes: None,
            gpu_hours_per_billion_tokens: rate.map(|r| f64::from(gpus) * 1e9 / r / 3600.0),
            dollars_per_billion_tokens: dollars,
            is_best: true,
            note: String::new(),
        }
    }

    /// 10⁹ tokens at 1, 2 and 4 million a second take 1/3.6, 1/7.2 and 1/14.4 hours. Of a, 16 GPUs
    /// cost more than 8 and are faster: neither beats the other. b is as fast as a's 16 and dearer,
    /// so is beaten; its 32 are the fastest. What does not fit is on no front.
    #[test]
    fn nothing_beats_the_front() {
        let a = vec![row(8, Some(1e6), Some(5.0)), row(16, Some(2e6), Some(6.0))];
        let b =
            vec![row(8, None, None), row(16, Some(2e6), Some(7.0)), row(32, Some(4e6), Some(9.0))];
        let all = clusters(vec![("a".into(), a), ("b".into(), b)], Objective::StepTime);
        let front: Vec<bool> = all.iter().map(|r| r.is_pareto).collect();
        assert_eq!(front, [true, true, false, false, true]);
        let best: Vec<bool> = all.iter().map(|r| r.row.is_best).collect();
        assert_eq!(best, [false, false, false, false, true]);
        assert_eq!(all[1].hours_per_billion_tokens, Some(1e9 / 2e6 / 3600.0));
        assert_eq!((all[2].cluster.as_str(), Cost::of(&all)), ("b", Cost::Dollars));
    }

    /// Without any price hours stand for money: 8 × 1/3.6 and 16 × 1/6.12 device-hours are 2.22
    /// and 2.61, so the slower one is cheaper. Where one cluster has a price, another one without
    /// is compared with nothing.
    #[test]
    fn without_prices_hours_are_compared() {
        let rows = || vec![row(8, Some(1e6), None), row(16, Some(1.7e6), None)];
        let all = clusters(vec![("a".into(), rows())], Objective::GpuHours);
        assert!(all.iter().all(|r| r.is_pareto) && Cost::of(&all) == Cost::GpuHours);
        assert!(all[0].row.is_best && !all[1].row.is_best);
        let priced = vec![row(8, Some(0.5e6), Some(5.0))];
        let all = clusters(vec![("a".into(), rows()), ("b".into(), priced)], Objective::StepTime);
        let front: Vec<bool> = all.iter().map(|r| r.is_pareto).collect();
        assert_eq!(front, [false, false, true]);
    }
}
