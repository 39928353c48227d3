//! Sampled softmax (Jean et al. 2014, arXiv:1412.2007): cross-entropy over the target and words
//! drawn from a log-uniform distribution, each logit less the logarithm of how often its word is
//! expected among those drawn. A drawn word that is the target of a token does not count for it.

use super::across::Across;
use super::embedding::held;
use super::loss::{Targets, cross_entropy};
use crate::comm::Fault;
use crate::float::Float;
use crate::gemm::{add_product, product};
use crate::matrix::{Matrix, View, ViewMut, add_scaled, dot};
use std::collections::BTreeSet;

/// Words that were drawn for a step, without repetition.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The words, rising.
    pub words: Vec<u32>,
    /// Draws that it took.
    pub tries: u64,
    vocab: u64,
}

impl Sample {
    /// Draws `count` different words of `vocab`, likelier the lower their number: word `k` with
    /// probability `ln((k + 2)/(k + 1)) / ln(vocab + 1)`, Zipf's law for words sorted by frequency.
    /// `uniform` returns numbers in `[0, 1)`. At most `vocab` words are drawn.
    #[must_use]
    pub fn draw(vocab: u64, count: u64, mut uniform: impl FnMut() -> f64) -> Self {
        let range = ((vocab + 1) as f64).ln();
        let mut words = BTreeSet::new();
        let mut tries = 0;
        while (words.len() as u64) < count.min(vocab) {
            let word = ((uniform() * range).exp() - 1.0) as u64;
            words.insert(word.min(vocab - 1) as u32);
            tries += 1;
        }
        Self { words: words.into_iter().collect(), tries, vocab }
    }

    /// How often a word is expected among the drawn: `1 − (1 − p)^tries`.
    #[must_use]
    pub fn expected(&self, word: u32) -> f64 {
        let k = f64::from(word);
        let p = ((k + 2.0) / (k + 1.0)).ln() / ((self.vocab + 1) as f64).ln();
        -(self.tries as f64 * (-p).ln_1p()).exp_m1()
    }
}

/// The output table and bias: one row, one element per word. Ranks that share them hold
/// consecutive words each.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a, T: Float> {
    /// `vocab × width`.
    pub table: View<'a, T>,
    /// `vocab`.
    pub bias: &'a [T],
    /// The first word that is held here.
    pub first: u32,
}

impl<T: Float> Weights<'_, T> {
    /// The local row of a word, if it is held here.
    fn held(&self, word: u32) -> Option<usize> {
        held(word, self.first, self.table.rows())
    }
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub struct Saved<T: Float> {
    /// Column 0 is the target's, then the drawn words'.
    dlogits: Matrix<T>,
    drawn: Matrix<T>,
    /// Local rows of the drawn words that are held here, and of the targets.
    words: Vec<usize>,
    targets: Vec<Option<usize>>,
}

impl<T: Float> Saved<T> {
    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.dlogits.bytes() + self.drawn.bytes() + 8 * (self.words.len() + 2 * self.targets.len())
    }
}

/// Sum of the losses of all rows, in double precision.
///
/// # Errors
/// None of its own; the loss is shared code with groups that may fail.
pub fn forward<T: Float>(
    w: &Weights<'_, T>,
    x: View<'_, T>,
    targets: &[u32],
    sample: &Sample,
    scale: T,
    across: &dyn Across<T>,
) -> Result<(f64, Saved<T>), Fault> {
    let mine: Vec<u32> =
        sample.words.iter().copied().filter(|&word| w.held(word).is_some()).collect();
    let drawn = super::embedding::forward(w.table, w.first, &mine);
    let mut logits = Matrix::zeros(x.rows(), 1 + mine.len());
    add_product(logits.view_mut().columns(1..1 + mine.len()), x, drawn.view().t());
    let offset = |word: u32, at: usize| w.bias[at] - T::of(sample.expected(word).ln());
    let words: Vec<usize> = mine.iter().filter_map(|&word| w.held(word)).collect();
    let offsets: Vec<T> = mine.iter().zip(&words).map(|(&word, &at)| offset(word, at)).collect();
    let held: Vec<Option<usize>> = targets.iter().map(|&target| w.held(target)).collect();
    for (row, (&target, at)) in targets.iter().zip(&held).enumerate() {
        let (first, rest) = logits.row_mut(row).split_at_mut(1);
        let score = |at: usize| dot(x.row(row), w.table.row(at)) + offset(target, at);
        first[0] = at.map_or(T::LOWEST, score);
        crate::matrix::add(rest, &offsets);
        if let Ok(hit) = mine.binary_search(&target) {
            rest[hit] = T::LOWEST;
        }
    }
    // Column 0 where the target is held, none elsewhere.
    let column = |at: &Option<usize>| if at.is_some() { 0 } else { u32::MAX };
    let columns: Vec<u32> = held.iter().map(column).collect();
    let right = Targets { words: &columns, first: 0 };
    let loss = cross_entropy(&mut logits, right, scale, across)?;
    Ok((loss, Saved { dlogits: logits, drawn, words, targets: held }))
}

/// Gradient of the input.
#[must_use]
pub fn backward_input<T: Float>(w: &Weights<'_, T>, saved: &Saved<T>) -> Matrix<T> {
    let rest = saved.dlogits.view().columns(1..saved.dlogits.cols());
    let mut dx = product(rest, saved.drawn.view());
    for (row, target) in saved.targets.iter().enumerate() {
        if let Some(target) = *target {
            let d = saved.dlogits.row(row)[0];
            add_scaled(dx.row_mut(row), d, w.table.row(target));
        }
    }
    dx
}

/// Adds the gradients of table and bias: of the drawn rows first, then of the targets' in the order
/// of the tokens.
pub fn backward_weight<T: Float>(
    saved: &Saved<T>,
    x: View<'_, T>,
    mut dtable: ViewMut<'_, T>,
    dbias: &mut [T],
) {
    let rest = saved.dlogits.view().columns(1..saved.dlogits.cols());
    let rows = product(rest.t(), x);
    for (i, &word) in saved.words.iter().enumerate() {
        add_scaled(dtable.row_mut(word), T::ONE, rows.row(i));
        let column = (0..rest.rows()).map(|row| rest.row(row)[i]);
        dbias[word] += column.sum::<T>();
    }
    for (row, target) in saved.targets.iter().enumerate() {
        if let Some(target) = *target {
            let d = saved.dlogits.row(row)[0];
            add_scaled(dtable.row_mut(target), d, x.row(row));
            dbias[target] += d;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::across::Alone;
    use crate::ops::check::{compare, matrix, numbers};

    fn sample() -> Sample {
        Sample { words: vec![0, 2, 5], tries: 4, vocab: 7 }
    }

    #[test]
    fn gradients_are_central_differences() {
        let (x, table, bias) = (matrix(3, 2, 1), matrix(7, 2, 2), numbers(7, 3));
        // The second target is also drawn.
        let targets = [6, 2, 6];
        let loss = |x: &[f64], t: &[f64], b: &[f64]| {
            let w = Weights { table: View::new(t, 7, 2), bias: b, first: 0 };
            forward(&w, View::new(x, 3, 2), &targets, &sample(), 0.5, &Alone).unwrap()
        };
        let (_, saved) = loss(x.data(), table.data(), &bias);
        let w = Weights { table: table.view(), bias: &bias, first: 0 };
        let dx = backward_input(&w, &saved);
        let (mut dt, mut db) = (Matrix::zeros(7, 2), vec![0.0; 7]);
        backward_weight(&saved, x.view(), dt.view_mut(), &mut db);
        compare(x.data(), dx.data(), |x| 0.5 * loss(x, table.data(), &bias).0);
        compare(table.data(), dt.data(), |t| 0.5 * loss(x.data(), t, &bias).0);
        compare(&bias, &db, |b| 0.5 * loss(x.data(), table.data(), b).0);
    }

    /// With every word drawn once and for certain, it is the full softmax less nothing: each word's
    /// expected count is 1.
    #[test]
    fn all_words_drawn_is_the_full_softmax() {
        let (x, table, bias) = (matrix(2, 3, 1), matrix(4, 3, 2), numbers(4, 3));
        let all = Sample { words: vec![0, 1, 2, 3], tries: u64::MAX, vocab: 4 };
        let w = Weights { table: table.view(), bias: &bias, first: 0 };
        let (sampled, _) = forward(&w, x.view(), &[3, 1], &all, 1.0, &Alone).unwrap();
        let mut logits = super::super::linear::forward(x.view(), table.view().t(), Some(&bias));
        let right = Targets { words: &[3, 1], first: 0 };
        let full = cross_entropy(&mut logits, right, 1.0, &Alone).unwrap();
        assert!((sampled - full).abs() < 1e-12);
    }

    /// Shares of draws follow `ln((k + 2)/(k + 1))`: word 0 has ln 2 / ln 11 = 0.289 of vocab 10.
    #[test]
    fn low_words_are_drawn_more_often() {
        let mut state = 0.0f64;
        let mut uniform = || {
            state = (state + 0.618_033_988_749_894_9).fract();
            state
        };
        let first = (0..1000).filter(|_| Sample::draw(10, 1, &mut uniform).words == [0]).count();
        assert!((280..300).contains(&first), "{first}");
        assert_eq!(Sample::draw(3, 9, uniform).words, [0, 1, 2]);
        let once = Sample { words: vec![0], tries: 1, vocab: 10 };
        assert!((once.expected(0) - 2f64.ln() / 11f64.ln()).abs() < 1e-12);
    }
}
