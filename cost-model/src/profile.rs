//! Profiles: the constants of one device, its links and a software stack, resolved for pricing.
//!
//! [`Profile::new`] combines and validates them once, so that [`crate::price()`] needs no lookups
//! and cannot fail. What a machine lacks (a number format, an attention kernel, a second network
//! level) is found by [`Profile::check`] before anything is priced.

mod error;
mod links;
mod resolve;

pub use error::ProfileError;

use crate::constant::Constant;
use crate::stack::Stack;
pub(crate) use links::{Inter, Intra, IntraLatency};
use plan::units::{Bytes, FlopsPerSecond};
use plan::work::{AttentionKernel, OptimizerRule, PointwiseKind, Work};
use plan::{Dtype, Grade};

/// Resolved constants of one device, its links and one software stack.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pub(crate) device: String,
    pub(crate) stack: Stack,
    pub(crate) memory: Bytes,
    pub(crate) peaks: [Option<Constant>; 4],
    pub(crate) gemm: GemmConstants,
    pub(crate) multiprocessors: f64,
    /// Peak memory bandwidth.
    pub(crate) bandwidth: Constant,
    /// Memory bandwidth that streaming kernels sustain.
    pub(crate) stream: Constant,
    pub(crate) gap: Constant,
    pub(crate) attention: AttentionConstants,
    pub(crate) pointwise: [PointwiseConstants; POINTWISE_KINDS],
    pub(crate) recurrent: Option<RecurrentConstants>,
    pub(crate) optimizer: [Option<Constant>; 6],
    pub(crate) intra: Intra,
    pub(crate) inter: Option<Inter>,
    pub(crate) host_link: Option<Constant>,
    pub(crate) spread: Spread,
}

/// The matrix-product law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct GemmConstants {
    /// False: the roofline, which knows no tiles.
    pub(crate) tiles: bool,
    /// Blocks of one thread instead of tiles of many processors.
    pub(crate) blocks: bool,
    /// Sustained fraction of the peak, per format.
    pub(crate) efficiency: [Constant; 4],
    /// The same order of formats.
    pub(crate) tile_penalty: [f64; 4],
    pub(crate) prologue: [f64; 4],
    pub(crate) shape_grade: [Grade; 4],
}

/// The attention law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AttentionConstants {
    /// Fractions of the peak (forward, backward) of the flash kernels; the unfused one has none.
    pub(crate) fractions: [Option<(f64, f64, Grade)>; 4],
    pub(crate) narrow_head: [f64; 4],
    pub(crate) tiny_head: f64,
    pub(crate) half_sequence: f64,
    pub(crate) half_tiles: Option<Constant>,
    pub(crate) misaligned: Constant,
    pub(crate) score_stream: Constant,
    pub(crate) softmax: (f64, f64),
    pub(crate) dropout: (f64, f64),
}

/// Bytes per 16-bit element and kernels, forward and backward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PointwiseConstants {
    pub(crate) bytes: (f64, f64),
    /// Bytes per 32-bit element.
    pub(crate) wide: (f64, f64),
    pub(crate) kernels: (f64, f64),
    pub(crate) grade: Grade,
}

/// The law of recurrent steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RecurrentConstants {
    pub(crate) step: Constant,
    /// Bandwidth at which weights are read again in each step.
    pub(crate) weight_stream: Constant,
}

/// Relative uncertainties.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) gemm: f64,
    pub(crate) memory: f64,
    pub(crate) attention: f64,
    pub(crate) intra: f64,
    pub(crate) inter: f64,
    pub(crate) latency: f64,
}

/// Kinds of memory-bound kernels, with their variants.
pub(crate) const POINTWISE_KINDS: usize = 17;

impl Profile {
    /// The software stack, with the source of every constant.
    #[must_use]
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Name of the device.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Memory that a process can allocate from.
    #[must_use]
    pub fn memory(&self) -> Bytes {
        self.memory
    }

    /// Dense peak of a number format, if the device has one.
    #[must_use]
    pub fn peak(&self, dtype: Dtype) -> Option<FlopsPerSecond> {
        self.peaks[dtype_index(dtype)].map(|peak| FlopsPerSecond::new(peak.value))
    }

    /// Whether every item can be priced.
    ///
    /// # Errors
    /// The first constant that is missing, with what the device has instead.
    pub fn check<'a>(&self, work: impl IntoIterator<Item = &'a Work>) -> Result<(), ProfileError> {
        work.into_iter().try_for_each(|item| self.check_one(item))
    }

    fn check_one(&self, work: &Work) -> Result<(), ProfileError> {
        match work {
            Work::Gemm(gemm) => self.check_dtype(gemm.dtype),
            Work::RecurrentWeightGradient(gradient) => self.check_dtype(gradient.step.dtype),
            Work::Attention(attention) => {
                self.check_dtype(attention.dtype)?;
                self.check_kernel(attention.kernel)
            }
            Work::Scan(scan) => {
                self.recurrent.ok_or_else(|| self.no_recurrent_law())?;
                self.check(&scan.body)
            }
            Work::Optimizer(step) => self.check_rule(step.rule),
            Work::Collective(collective) => self.check_nodes(collective.group.nodes > 1),
            Work::Send(send) => self.check_nodes(send.crosses_nodes),
            Work::HostCopy(_) => match self.host_link {
                Some(_) => Ok(()),
                None => Err(ProfileError::NoHostLink { device: self.device.clone() }),
            },
            Work::Pointwise(_) | Work::Traffic(_) => Ok(()),
        }
    }

    fn check_dtype(&self, dtype: Dtype) -> Result<(), ProfileError> {
        if self.peaks[dtype_index(dtype)].is_some() {
            return Ok(());
        }
        let known = Dtype::ALL.into_iter().filter(|d| self.peaks[dtype_index(*d)].is_some());
        Err(ProfileError::NoPeak { device: self.device.clone(), dtype, known: known.collect() })
    }

    fn check_kernel(&self, kernel: AttentionKernel) -> Result<(), ProfileError> {
        let has = |k: &AttentionKernel| self.attention.fractions[kernel_index(*k)].is_some();
        if kernel == AttentionKernel::Unfused || has(&kernel) {
            return Ok(());
        }
        let known = KERNELS.into_iter().filter(has).collect();
        Err(ProfileError::NoAttentionKernel { device: self.device.clone(), kernel, known })
    }

    fn check_rule(&self, rule: OptimizerRule) -> Result<(), ProfileError> {
        match self.optimizer[rule_index(rule)] {
            Some(_) => Ok(()),
            None => Err(ProfileError::NoOptimizer { stack: self.stack.name.clone(), rule }),
        }
    }

    fn check_nodes(&self, crosses: bool) -> Result<(), ProfileError> {
        match (crosses, self.inter) {
            (true, None) => Err(ProfileError::NoNetwork { device: self.device.clone() }),
            _ => Ok(()),
        }
    }

    fn no_recurrent_law(&self) -> ProfileError {
        let (device, stack) = (self.device.clone(), self.stack.name.clone());
        ProfileError::NoRecurrentLaw { device, stack }
    }
}

pub(crate) fn dtype_index(dtype: Dtype) -> usize {
    match dtype {
        Dtype::Fp32 => 0,
        Dtype::Fp16 => 1,
        Dtype::Bf16 => 2,
        Dtype::Fp8 => 3,
    }
}

pub(crate) const KERNELS: [AttentionKernel; 4] = [
    AttentionKernel::Unfused,
    AttentionKernel::Flash1,
    AttentionKernel::Flash2,
    AttentionKernel::Flash3,
];

pub(crate) fn kernel_index(kernel: AttentionKernel) -> usize {
    match kernel {
        AttentionKernel::Unfused => 0,
        AttentionKernel::Flash1 => 1,
        AttentionKernel::Flash2 => 2,
        AttentionKernel::Flash3 => 3,
    }
}

pub(crate) const RULES: [OptimizerRule; 6] = [
    OptimizerRule::Sgd,
    OptimizerRule::Momentum,
    OptimizerRule::Adagrad,
    OptimizerRule::Adam,
    OptimizerRule::Adafactor,
    OptimizerRule::Lamb,
];

pub(crate) fn rule_index(rule: OptimizerRule) -> usize {
    match rule {
        OptimizerRule::Sgd => 0,
        OptimizerRule::Momentum => 1,
        OptimizerRule::Adagrad => 2,
        OptimizerRule::Adam => 3,
        OptimizerRule::Adafactor => 4,
        OptimizerRule::Lamb => 5,
    }
}

/// All kinds, in the order of [`pointwise_index`].
pub(crate) const POINTWISE: [PointwiseKind; POINTWISE_KINDS] = [
    PointwiseKind::LayerNorm,
    PointwiseKind::RmsNorm,
    PointwiseKind::Residual { dropout: false },
    PointwiseKind::Residual { dropout: true },
    PointwiseKind::Activation { gated: false },
    PointwiseKind::Activation { gated: true },
    PointwiseKind::Relayout,
    PointwiseKind::Rope,
    PointwiseKind::Bias,
    PointwiseKind::Embedding,
    PointwiseKind::CrossEntropy,
    PointwiseKind::Gate,
    PointwiseKind::Permute,
    PointwiseKind::Copy,
    PointwiseKind::Cast,
    PointwiseKind::Shift,
    PointwiseKind::ExpertBias,
];

pub(crate) fn pointwise_index(kind: PointwiseKind) -> usize {
    match kind {
        PointwiseKind::LayerNorm => 0,
        PointwiseKind::RmsNorm => 1,
        PointwiseKind::Residual { dropout } => 2 + usize::from(dropout),
        PointwiseKind::Activation { gated } => 4 + usize::from(gated),
        PointwiseKind::Relayout => 6,
        PointwiseKind::Rope => 7,
        PointwiseKind::Bias => 8,
        PointwiseKind::Embedding => 9,
        PointwiseKind::CrossEntropy => 10,
        PointwiseKind::Gate => 11,
        PointwiseKind::Permute => 12,
        PointwiseKind::Copy => 13,
        PointwiseKind::Cast => 14,
        PointwiseKind::Shift => 15,
        PointwiseKind::ExpertBias => 16,
    }
}

#[cfg(test)]
mod tests;
