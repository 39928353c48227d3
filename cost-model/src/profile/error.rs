//! What can be missing or wrong in a profile.

use plan::Dtype;
use plan::work::{AttentionKernel, OptimizerRule, PointwiseKind};

/// A constant that is missing or impossible.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProfileError {
    /// The device states no peak for a number format.
    #[error("{device} has no peak for {dtype}; it has {}", list(known, |d| d.name().to_owned()))]
    NoPeak {
        /// Device.
        device: String,
        /// Format that was asked for.
        dtype: Dtype,
        /// Formats the device has.
        known: Vec<Dtype>,
    },
    /// The device states no efficiency for an attention kernel.
    #[error(
        "{device} has no constants for the attention kernel {}; it has {}",
        kernel_name(*kernel),
        list(known, |k| kernel_name(*k).to_owned())
    )]
    NoAttentionKernel {
        /// Device.
        device: String,
        /// Kernel that was asked for.
        kernel: AttentionKernel,
        /// Fused kernels the device has constants for.
        known: Vec<AttentionKernel>,
    },
    /// Neither device nor stack states the cost of a recurrent step.
    #[error("neither {device} nor the stack {stack} states the overhead of a recurrent step")]
    NoRecurrentLaw {
        /// Device.
        device: String,
        /// Stack.
        stack: String,
    },
    /// The stack states no traffic for an update rule.
    #[error("the stack {stack} states no bytes per parameter for the optimizer {rule:?}")]
    NoOptimizer {
        /// Stack.
        stack: String,
        /// Rule.
        rule: OptimizerRule,
    },
    /// The stack states no traffic for a memory-bound kernel.
    #[error("the stack {stack} states no bytes per element for {kind:?}")]
    NoPointwise {
        /// Stack.
        stack: String,
        /// Kernel.
        kind: PointwiseKind,
    },
    /// A group spans nodes, but there is no network between them.
    #[error("this cluster of {device} states no network between nodes")]
    NoNetwork {
        /// Device.
        device: String,
    },
    /// Data is to move to the host over a link that is not stated.
    #[error("{device} states no bandwidth of its host link")]
    NoHostLink {
        /// Device.
        device: String,
    },
    /// A constant lies outside of what is physically possible.
    #[error("{what} of {owner} is {value}, but must lie in {range}")]
    OutOfRange {
        /// Device or stack.
        owner: String,
        /// Constant.
        what: &'static str,
        /// Its value.
        value: f64,
        /// Where it must lie.
        range: &'static str,
    },
}

/// The name of a kernel in files and messages.
pub(crate) fn kernel_name(kernel: AttentionKernel) -> &'static str {
    match kernel {
        AttentionKernel::Unfused => "unfused",
        AttentionKernel::Flash1 => "flash1",
        AttentionKernel::Flash2 => "flash2",
        AttentionKernel::Flash3 => "flash3",
    }
}

fn list<T>(items: &[T], name: impl Fn(&T) -> String) -> String {
    match items {
        [] => "none".to_owned(),
        items => items.iter().map(name).collect::<Vec<_>>().join(", "),
    }
}
