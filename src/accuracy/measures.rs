//! Measures of error.

/// Errors of a set of predictions, relative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errors {
    /// Mean of `|predicted/measured − 1|`.
    pub mean: f64,
    /// Its median.
    pub median: f64,
    /// Mean of `predicted/measured − 1`: below zero where predictions are too fast.
    pub bias: f64,
    /// Its 95th percentile.
    pub worst: f64,
}

/// The errors of ratios of predicted to measured values; none of nothing.
#[must_use]
pub fn errors(ratios: &[f64]) -> Option<Errors> {
    if ratios.is_empty() {
        return None;
    }
    let off: Vec<f64> = ratios.iter().map(|r| (r - 1.0).abs()).collect();
    let bias = mean(ratios)? - 1.0;
    Some(Errors { mean: mean(&off)?, median: median(&off)?, bias, worst: quantile(&off, 0.95)? })
}

/// The arithmetic mean; none of nothing.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The median: of an even number, the mean of the two in the middle.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The quantile at `level`, linear between the sorted values.
#[must_use]
pub fn quantile(values: &[f64], level: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let at = level.clamp(0.0, 1.0) * last as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    let next = sorted[(low + 1).min(last)];
    Some(sorted[low] + part * (next - sorted[low]))
}

/// Spearman's rank correlation; none of fewer than two values or where one side is constant.
#[must_use]
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() || a.len() < 2 {
        return None;
    }
    let (x, y) = (ranks(a), ranks(b));
    let (mx, my) = (mean(&x)?, mean(&y)?);
    let products = |p: &[f64], q: &[f64], mp: f64, mq: f64| {
        p.iter().zip(q).map(|(u, v)| (u - mp) * (v - mq)).sum::<f64>()
    };
    let (xx, yy) = (products(&x, &x, mx, mx), products(&y, &y, my, my));
    let is_constant = xx <= 0.0 || yy <= 0.0;
    (!is_constant).then(|| products(&x, &y, mx, my) / (xx * yy).sqrt())
}

/// Ranks from 1; ties share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let same = |i: &usize| values[*i] == values[order[start]];
        let end = start + order[start..].iter().take_while(|i| same(i)).count();
        let shared = (start + 1 + end) as f64 / 2.0;
        for &i in &order[start..end] {
            ranks[i] = shared;
        }
        start = end;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Off by −10, +20 and 0 %: mean (10 + 20 + 0)/3 = 10, median 10, bias (−10 + 20)/3 = 3.33.
    #[test]
    fn errors_by_hand() {
        let e = errors(&[0.9, 1.2, 1.0]).unwrap();
        assert!((e.mean - 0.1).abs() < 1e-12 && (e.median - 0.1).abs() < 1e-12, "{e:?}");
        assert!((e.bias - 0.1 / 3.0).abs() < 1e-12, "{e:?}");
        // 0, 10, 20 at 0.95·2 = 1.9: 10 + 0.9·10 = 19.
        assert!((e.worst - 0.19).abs() < 1e-12, "{e:?}");
        assert_eq!(errors(&[]), None);
    }

    /// 1 2 3 4: the median is 2.5, the quantile at 0.9 lies at 2.7: 3 + 0.7·1.
    #[test]
    fn quantiles_by_hand() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert!((quantile(&[4.0, 1.0, 3.0, 2.0], 0.9).unwrap() - 3.7).abs() < 1e-12);
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[7.0], 0.95), Some(7.0));
    }

    /// Ranks 1 2 3 4 against 1 2 4 3: 1 − 6·(0 + 0 + 1 + 1)/(4·15) = 0.8.
    #[test]
    fn rank_correlation_by_hand() {
        let r = spearman(&[1.0, 2.0, 3.0, 4.0], &[10.0, 20.0, 40.0, 30.0]).unwrap();
        assert!((r - 0.8).abs() < 1e-12, "{r}");
        assert_eq!(spearman(&[1.0, 2.0], &[5.0, 5.0]), None);
        assert_eq!(spearman(&[1.0], &[1.0]), None);
        // Ties share ranks: (1.5, 1.5, 3) against itself is perfect.
        let tied = [2.0, 2.0, 5.0];
        assert!((spearman(&tied, &tied).unwrap() - 1.0).abs() < 1e-12);
    }
}
