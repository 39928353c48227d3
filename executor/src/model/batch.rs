//! Micro-batches: the tokens of a few sequences, in the order in which layers want them.

use crate::ops::sampled::Sample;

/// Tokens of a micro-batch, and what they should predict.
#[derive(Clone, Debug, PartialEq)]
pub struct MicroBatch {
    /// Input tokens, one per row of the activations.
    pub inputs: Vec<u32>,
    /// Words to predict, one per row of `rows`, or of the activations.
    pub targets: Vec<u32>,
    /// Rows whose loss is computed, where not all are.
    pub rows: Option<Vec<u32>>,
    /// Sequences.
    pub sequences: usize,
    /// Tokens per sequence.
    pub length: usize,
    /// Position of the first of them.
    pub first: usize,
    /// What the gradient of a token's loss is multiplied with: 1 over the predictions of the whole
    /// step, times the loss scale.
    pub scale: f64,
    /// Words drawn for a sampled softmax.
    pub sample: Option<Sample>,
}

impl MicroBatch {
    /// From sequences one after the other; `in_time` orders rows by time first.
    #[must_use]
    pub fn new(inputs: &[u32], targets: &[u32], sequences: usize, in_time: bool) -> Self {
        let length = inputs.len() / sequences.max(1);
        let order = |tokens: &[u32]| match in_time {
            false => tokens.to_vec(),
            true => {
                let at = |row: usize| tokens[row % sequences * length + row / sequences];
                (0..sequences * length).map(at).collect()
            }
        };
        let (inputs, targets) = (order(inputs), order(targets));
        let scale = 1.0 / targets.len().max(1) as f64;
        let (rows, first, sample) = (None, 0, None);
        Self { inputs, targets, rows, sequences, length, first, scale, sample }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_comes_first_where_layers_step_through_it() {
        let tokens = [1, 2, 3, 11, 12, 13];
        assert_eq!(MicroBatch::new(&tokens, &tokens, 2, true).inputs, [1, 11, 2, 12, 3, 13]);
        assert_eq!(MicroBatch::new(&tokens, &tokens, 2, false).inputs, tokens);
    }
}
