//! FLOPs of work: what the model needs (for MFU) and what the machine executes (for HFU).
//!
//! They differ where a kernel computes more than the mathematics asks for: flash attention
//! computes scores again in its backward pass, unfused attention computes the masked half of the
//! square. Recomputed layers are separate work items, so a caller counts them once, as executed.
//! Memory-bound kernels, optimizers and communication count as zero, as the literature does.

use plan::units::Flops;
use plan::work::{Attention, AttentionKernel, Pass, Work};

/// FLOPs the model needs: `2·b·m·n·k` per product, `2·B·a·q·s·(d + w)` per attention (half of it
/// under a causal mask; `w` is the width of values), twice that backward.
///
/// Source: Narayanan et al. 2021 (arXiv:2104.04473), appendix, with the causal mask counted as
/// what it leaves. Checked by `attention_flops_by_hand`.
#[must_use]
pub fn needed(work: &Work) -> Flops {
    match work {
        Work::Attention(attention) => needed_attention(attention),
        Work::Scan(scan) => sum(&scan.body, needed) * scan.steps as f64,
        other => executed(other),
    }
}

/// FLOPs the machine executes. Checked by `attention_flops_by_hand` and
/// `latent_attention_flops_by_hand`.
#[must_use]
pub fn executed(work: &Work) -> Flops {
    match work {
        Work::Gemm(gemm) => gemm.flops(),
        Work::RecurrentWeightGradient(gradient) => gradient.step.flops() * gradient.steps as f64,
        Work::Attention(attention) => executed_attention(attention),
        Work::Scan(scan) => sum(&scan.body, executed) * scan.steps as f64,
        Work::Pointwise(_)
        | Work::Optimizer(_)
        | Work::Collective(_)
        | Work::Send(_)
        | Work::HostCopy(_)
        | Work::Traffic(_) => Flops::ZERO,
    }
}

fn sum(body: &[Work], of: fn(&Work) -> Flops) -> Flops {
    body.iter().map(of).sum()
}

pub(crate) fn needed_attention(attention: &Attention) -> Flops {
    let factor = match attention.pass {
        Pass::Forward => 1.0,
        Pass::Backward => 2.0,
    };
    square(attention) * (factor * if attention.causal { 0.5 } else { 1.0 })
}

pub(crate) fn executed_attention(attention: &Attention) -> Flops {
    let flash = attention.kernel != AttentionKernel::Unfused;
    let products = match attention.pass {
        Pass::Forward => square(attention),
        // The scores once more.
        Pass::Backward if flash => square(attention) * 2.0 + over(attention, attention.head_dim),
        Pass::Backward => square(attention) * 2.0,
    };
    products * if attention.causal && flash { 0.5 } else { 1.0 }
}

/// `2·B·a·q·s·(d + w)`: two products over the whole square, of keys and of values.
fn square(attention: &Attention) -> Flops {
    over(attention, attention.head_dim.saturating_add(attention.value_dim))
}

/// One product over the whole square.
fn over(attention: &Attention, width: u64) -> Flops {
    let heads = attention.batch as f64 * attention.heads as f64;
    let square = attention.queries as f64 * attention.keys as f64;
    Flops::new(2.0 * heads * square * width as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::Dtype;

    /// 2 sequences, 3 heads, 8 × 8 scores, width 16: 4·2·3·64·16 = 24,576.
    #[test]
    fn attention_flops_by_hand() {
        let mut attention = Attention {
            batch: 2,
            heads: 3,
            queries: 8,
            keys: 8,
            head_dim: 16,
            value_dim: 16,
            causal: false,
            dropout: false,
            kernel: AttentionKernel::Flash2,
            dtype: Dtype::Bf16,
            pass: Pass::Forward,
        };
        assert_eq!(needed_attention(&attention).get(), 24_576.0);
        attention.causal = true;
        attention.pass = Pass::Backward;
        assert_eq!(needed_attention(&attention).get(), 24_576.0);
        assert_eq!(executed_attention(&attention).get(), 1.25 * 24_576.0);
        attention.kernel = AttentionKernel::Unfused;
        assert_eq!(executed_attention(&attention).get(), 2.0 * 24_576.0);
    }

    /// Keys of 24 and values of 16 on 6 squares of 64: forward 2·384·40 = 30,720; backward the
    /// scores again, two products over keys and two over values, 2·384·(3·24 + 2·16) = 79,872.
    #[test]
    fn latent_attention_flops_by_hand() {
        let mut attention = Attention {
            batch: 2,
            heads: 3,
            queries: 8,
            keys: 8,
            head_dim: 24,
            value_dim: 16,
            causal: false,
            dropout: false,
            kernel: AttentionKernel::Flash3,
            dtype: Dtype::Bf16,
            pass: Pass::Forward,
        };
        assert_eq!(needed_attention(&attention).get(), 30_720.0);
        attention.pass = Pass::Backward;
        assert_eq!(needed_attention(&attention).get(), 61_440.0);
        assert_eq!(executed_attention(&attention).get(), 79_872.0);
    }
}
