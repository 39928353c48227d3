//! Sums of gradients over micro-batches, in the order of the micro-batches.
//!
//! Schedules finish backward passes in different orders. What comes early waits until its turn, so
//! that every schedule gives the same bits; under 1F1B nothing ever waits.

use std::collections::BTreeMap;

/// A sum in a fixed order.
#[derive(Clone, Debug, Default)]
pub struct Accumulator {
    next: u32,
    total: Vec<f32>,
    waiting: BTreeMap<u32, Vec<f32>>,
    /// Vectors to be used again.
    spare: Vec<Vec<f32>>,
}

impl Accumulator {
    /// Zeros for the gradient of one micro-batch.
    #[must_use]
    pub fn blank(&mut self, elements: usize) -> Vec<f32> {
        let mut blank = self.spare.pop().unwrap_or_default();
        if blank.is_empty() {
            // The system clears fresh memory where it is first touched.
            return vec![0.0; elements];
        }
        blank.resize(elements, 0.0);
        crate::matrix::clear(&mut blank);
        blank
    }

    /// Adds the gradient of a micro-batch when all before it are there.
    pub fn add(&mut self, micro_batch: u32, gradient: Vec<f32>) {
        self.waiting.insert(micro_batch, gradient);
        while let Some(gradient) = self.waiting.remove(&self.next) {
            self.next += 1;
            if self.total.is_empty() {
                self.total = gradient;
            } else {
                crate::matrix::add(&mut self.total, &gradient);
                self.spare.push(gradient);
            }
        }
    }

    /// Takes the sum of what is there, whatever is still to come: for gradients that are reduced
    /// per micro-batch.
    #[must_use]
    pub fn take(&mut self) -> Vec<f32> {
        let mut total = std::mem::take(&mut self.total);
        for (micro_batch, gradient) in std::mem::take(&mut self.waiting) {
            self.next = self.next.max(micro_batch + 1);
            if total.is_empty() {
                total = gradient;
            } else {
                crate::matrix::add(&mut total, &gradient);
            }
        }
        total
    }

    /// The sum; zeros where nothing was added.
    pub fn total(&mut self, elements: usize) -> &mut [f32] {
        self.total.resize(elements, 0.0);
        &mut self.total
    }

    /// The vector of [`Self::total`], until it is given back.
    #[must_use]
    pub fn lend(&mut self) -> Vec<f32> {
        std::mem::take(&mut self.total)
    }

    /// Takes back what was lent.
    pub fn give_back(&mut self, total: Vec<f32>) {
        self.total = total;
    }

    /// Ends the step.
    pub fn clear(&mut self) {
        let total = std::mem::take(&mut self.total);
        self.spare.push(total);
        self.spare.retain(|spare| !spare.is_empty());
        self.spare.truncate(1);
        self.waiting.clear();
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter(
            order in Just((0u32..6).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let gradient = |m: u32| vec![(m as f32 + 0.1).exp(), 1e-7 * m as f32];
            let mut sum = Accumulator::default();
            order.into_iter().for_each(|m| sum.add(m, gradient(m)));
            let expected = (1..6).fold(gradient(0), |mut total, m| {
                crate::matrix::add(&mut total, &gradient(m));
                total
            });
            prop_assert_eq!(sum.total(2), &expected[..]);
            sum.clear();
            prop_assert_eq!(sum.total(2), &[0.0, 0.0][..]);
        }
    }

    #[test]
    fn taken_gradients_leave_room_for_the_next() {
        let mut sum = Accumulator::default();
        sum.add(2, vec![1.0]);
        assert_eq!(sum.take(), [1.0]);
        sum.add(3, vec![2.0]);
        assert_eq!(sum.take(), [2.0]);
    }
}
