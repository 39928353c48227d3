//! Fitting Heaps' law.

/// Tokens of a sample and how many of them differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Tokens.
    pub tokens: u64,
    /// Different tokens.
    pub types: u64,
}

/// `U(N) = a·N^β`, with how well it fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Law {
    /// `a`.
    pub prefactor: f64,
    /// `β`.
    pub exponent: f64,
    /// Root mean square of the relative residuals (of `ln U`).
    pub residual: f64,
    /// Samples the fit used.
    pub samples: usize,
    /// Types in the whole text.
    pub vocabulary: u64,
}

/// Why no law was fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// Too few samples of useful size.
    #[error(
        "a vocabulary law needs at least {needed} samples of {least} tokens or more; \
         this text of {tokens} tokens gives {samples}"
    )]
    TooShort {
        /// Tokens of the text.
        tokens: u64,
        /// Samples of useful size.
        samples: usize,
        /// Samples needed.
        needed: usize,
        /// Tokens a sample needs.
        least: u64,
    },
    /// Small samples already contain nearly every type: the vocabulary itself is the law.
    #[error(
        "nearly all of the {vocabulary} token types occur in every sample: use U = {vocabulary}"
    )]
    Saturated {
        /// Types in the text.
        vocabulary: u64,
    },
}

/// Samples below this size are too noisy: a few blocks.
const LEAST_TOKENS: u64 = 500;

/// Samples a line with a residual needs.
const LEAST_SAMPLES: usize = 4;

/// Part of the vocabulary beyond which a growing sample that stops growing counts as saturated.
const SATURATED: f64 = 0.9;

impl Law {
    /// Least squares of `ln U` over `ln N`, over samples of at least 500 tokens.
    ///
    /// Where a doubling of the text adds less than a tenth, the vocabulary is closed (bytes,
    /// characters); samples that hold 90 % of it are left out then, because the cut-off at the
    /// vocabulary is a separate part of the law. Source: Heaps 1978, Information Retrieval. Checked
    /// by `a_power_law_is_found_again` and `bytes_saturate`.
    ///
    /// # Errors
    /// [`FitError`].
    pub fn fit(points: &[Point]) -> Result<Self, FitError> {
        let whole = points.last().copied().unwrap_or(Point { tokens: 0, types: 0 });
        let large: Vec<Point> =
            points.iter().copied().filter(|p| p.tokens >= LEAST_TOKENS).collect();
        if large.len() < LEAST_SAMPLES {
            return Err(FitError::TooShort {
                tokens: whole.tokens,
                samples: large.len(),
                needed: LEAST_SAMPLES,
                least: LEAST_TOKENS,
            });
        }
        let open = open(&large, whole);
        if open.len() < LEAST_SAMPLES {
            return Err(FitError::Saturated { vocabulary: whole.types });
        }
        Ok(Self { vocabulary: whole.types, ..least_squares(&open) })
    }

    /// Different tokens among `tokens`: `min(vocabulary, N, a·N^β)`.
    #[must_use]
    pub fn unique(&self, tokens: f64, vocabulary: u64) -> f64 {
        let tokens = tokens.max(0.0);
        let grown = self.prefactor * tokens.powf(self.exponent);
        grown.min(tokens).min(vocabulary as f64)
    }
}

/// The samples in which the vocabulary still grows.
fn open(points: &[Point], whole: Point) -> Vec<Point> {
    let closed = points.len() >= 2 && {
        let before = points[points.len() - 2].types as f64;
        (whole.types as f64) < 1.1 * before
    };
    let limit = if closed { SATURATED * whole.types as f64 } else { f64::INFINITY };
    points.iter().copied().filter(|p| (p.types as f64) < limit).collect()
}

fn least_squares(points: &[Point]) -> Law {
    let logs = points.iter().map(|p| ((p.tokens as f64).ln(), (p.types.max(1) as f64).ln()));
    let logs: Vec<(f64, f64)> = logs.collect();
    let n = logs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / n;
    let (x0, y0) = (mean(|p| p.0), mean(|p| p.1));
    let covariance: f64 = logs.iter().map(|(x, y)| (x - x0) * (y - y0)).sum();
    let variance: f64 = logs.iter().map(|(x, _)| (x - x0) * (x - x0)).sum();
    let exponent = if variance > 0.0 { covariance / variance } else { 0.0 };
    let intercept = y0 - exponent * x0;
    let squares: f64 = logs.iter().map(|(x, y)| (y - intercept - exponent * x).powi(2)).sum();
    Law {
        prefactor: intercept.exp(),
        exponent,
        residual: (squares / n).sqrt(),
        samples: points.len(),
        vocabulary: 0,
    }
}
