//! Number formats.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A floating-point format of tensors.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// IEEE single precision.
    Fp32,
    /// IEEE half precision.
    Fp16,
    /// bfloat16.
    Bf16,
    /// 8-bit floating point (E4M3 forward, E5M2 backward).
    Fp8,
}

impl Dtype {
    /// All formats, in the order of the enum.
    pub const ALL: [Self; 4] = [Self::Fp32, Self::Fp16, Self::Bf16, Self::Fp8];

    /// Bytes per element.
    #[must_use]
    pub fn size(self) -> u64 {
        match self {
            Self::Fp32 => 4,
            Self::Fp16 | Self::Bf16 => 2,
            Self::Fp8 => 1,
        }
    }

    /// The format of what lies between products. Eight bits feed products only: activations,
    /// messages and gathered weights stay in 16.
    #[must_use]
    pub fn between_products(self) -> Self {
        match self {
            Self::Fp8 => Self::Bf16,
            other => other,
        }
    }

    /// The name used in files and flags.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
            Self::Fp8 => "fp8",
        }
    }

    /// The format with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.name() == name)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
