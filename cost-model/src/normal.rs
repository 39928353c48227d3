//! The standard normal distribution.

/// Quantile of the standard normal distribution, to seven digits: the `x` with `Φ(x) = p`,
/// `0 < p < 1`.
///
/// Source: Wichura 1988, algorithm AS 241 (PPND7), Applied Statistics 37. Checked by
/// `quantiles_of_tables`.
#[must_use]
pub fn quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        let top = ((59.109_374_72 * r + 159.291_132_02) * r + 50.434_271_938) * r + 3.387_132_717_9;
        let below = ((67.187_563_6 * r + 78.757_757_664) * r + 17.895_169_469) * r + 1.0;
        return q * top / below;
    }
    let r = (-p.min(1.0 - p).ln()).sqrt();
    let x = match r <= 5.0 {
        true => {
            let r = r - 1.6;
            let top =
                ((0.170_238_211_03 * r + 1.306_728_481_6) * r + 2.756_815_39) * r + 1.423_437_277_7;
            top / ((0.120_211_329_75 * r + 0.737_001_642_5) * r + 1.0)
        }
        false => {
            let r = r - 5.0;
            let top = ((0.017_337_203_997 * r + 0.428_682_943_37) * r + 3.081_226_386) * r
                + 6.657_905_115;
            top / ((0.012_258_202_635 * r + 0.241_978_942_25) * r + 1.0)
        }
    };
    if q < 0.0 { -x } else { x }
}

/// Distribution function of the standard normal distribution, `Φ(x)`: the share of all values
/// below `x`, to seven digits.
///
/// Source: Hastings 1955 in Abramowitz and Stegun 1964, formula 26.2.17, error below 7.5e-8.
/// Checked by `shares_of_tables`.
#[must_use]
pub fn share_below(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let series = t
        * (0.319_381_530
            + t * (-0.356_563_782
                + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt() * series;
    if x > 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 97.5 %, 99.9 % and 99.999 % of the standard normal distribution, and the other side.
    #[test]
    fn quantiles_of_tables() {
        for (p, x) in [(0.5, 0.0), (0.975, 1.959_964), (0.999, 3.090_232), (0.99999, 4.264_891)] {
            assert!((quantile(p) - x).abs() < 2e-6, "{p}: {}", quantile(p));
            assert!((quantile(1.0 - p) + x).abs() < 2e-6);
        }
        // Far out: the 1 − 1e-12 quantile is 7.034484.
        assert!((quantile(1e-12) + 7.034_484).abs() < 2e-6, "{}", quantile(1e-12));
    }

    /// The same tables read the other way round.
    #[test]
    fn shares_of_tables() {
        for (x, p) in [(0.0, 0.5), (1.0, 0.841_344_7), (1.959_964, 0.975), (3.090_232, 0.999)] {
            assert!((share_below(x) - p).abs() < 2e-7, "{x}: {}", share_below(x));
            assert!((share_below(-x) + p - 1.0).abs() < 2e-7);
        }
    }
}
