//! Named dimensions, sets of them, and their sizes.

use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};

macro_rules! dims {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// A named tensor dimension.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Dim { $($(#[$doc])* $name),+ }

        impl Dim {
            /// All dimensions.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
            /// The name on screens and in files.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

dims! {
    /// Sequences.
    Batch = "batch",
    /// Positions of the sequence (time steps of a recurrent layer).
    Seq = "seq",
    /// Positions that keys come from, where that is not the sequence itself.
    Keys = "keys",
    /// Positions of the sequence as keys of its own attention; never split with the queries.
    SelfKeys = "self_keys",
    /// Positions whose loss is computed.
    Predicted = "predicted",
    /// Residual stream.
    DModel = "d_model",
    /// The same width as output of a square product.
    DModelOut = "d_model_out",
    /// Query heads.
    Heads = "heads",
    /// Query, key and value heads together.
    QkvHeads = "qkv_heads",
    /// Key and value heads together (keys of another sequence).
    KvHeads = "kv_heads",
    /// Width of one head.
    HeadDim = "d_head",
    /// Compressed queries of latent attention.
    QueryLatent = "d_query_latent",
    /// What latent attention compresses keys and values to, with the rotary part of the keys.
    Compressed = "d_compressed",
    /// The same without the rotary part.
    Latent = "d_latent",
    /// The rotary part of a key, which all heads share.
    Rotary = "d_rotary",
    /// One head's key without its rotary part, and its value.
    Expanded = "d_expanded",
    /// One head's key and value.
    KeyValue = "d_key_value",
    /// Width of one head's value, where it is not that of its key.
    ValueDim = "d_value",
    /// Feed-forward width.
    DFf = "d_ff",
    /// Feed-forward width before gating: twice `d_ff` where it is gated.
    DFfUp = "d_ff_up",
    /// Feed-forward width of one expert.
    DExpert = "d_expert",
    /// The same before gating.
    DExpertUp = "d_expert_up",
    /// Feed-forward width of shared experts.
    DShared = "d_shared",
    /// The same before gating.
    DSharedUp = "d_shared_up",
    /// Vocabulary.
    Vocab = "vocab",
    /// Rows of a second table (positions, segments).
    Rows = "rows",
    /// Experts.
    Experts = "experts",
    /// Scores of the router, one per expert.
    Routes = "routes",
    /// Tokens per expert.
    Capacity = "capacity",
    /// Cells of a recurrent layer.
    Hidden = "hidden",
    /// The same cells as input of a product.
    HiddenIn = "hidden_in",
    /// Gates.
    Gates = "gates",
    /// Input width of a recurrent layer.
    Embed = "d_embed",
    /// Projected output of a recurrent layer.
    Proj = "d_proj",
    /// Words that are scored where not all are (sampled or adaptive softmax).
    Scored = "scored",
    /// Scalars that belong nowhere else.
    Extra = "extra",
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of dimensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DimSet(u64);

impl DimSet {
    /// No dimension.
    pub const EMPTY: Self = Self(0);

    /// The set of these dimensions.
    #[must_use]
    pub const fn of(dims: &[Dim]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < dims.len() {
            bits |= 1 << dims[i] as u64;
            i += 1;
        }
        Self(bits)
    }

    /// Whether the set has no member.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `dim` is a member.
    #[must_use]
    pub const fn contains(self, dim: Dim) -> bool {
        self.0 & (1 << dim as u64) != 0
    }

    /// Members in the order of the enum.
    pub fn iter(self) -> impl Iterator<Item = Dim> {
        Dim::ALL.iter().copied().filter(move |&d| self.contains(d))
    }
}

impl FromIterator<Dim> for DimSet {
    fn from_iter<I: IntoIterator<Item = Dim>>(dims: I) -> Self {
        dims.into_iter().fold(Self::EMPTY, |s, d| s | Self::of(&[d]))
    }
}

impl BitOr for DimSet {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for DimSet {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for DimSet {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Sizes of dimensions; a dimension that a model lacks has size 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes([u64; Dim::ALL.len()]);

impl Default for Sizes {
    fn default() -> Self {
        Self([1; Dim::ALL.len()])
    }
}

impl Sizes {
    /// Size of one dimension.
    #[must_use]
    pub fn get(&self, dim: Dim) -> u64 {
        self.0[dim as usize]
    }

    /// The same sizes with one changed.
    #[must_use]
    pub fn with(mut self, dim: Dim, size: u64) -> Self {
        self.0[dim as usize] = size;
        self
    }

    /// Product over a set, saturating.
    #[must_use]
    pub fn product(&self, dims: DimSet) -> u64 {
        dims.iter().map(|d| self.get(d)).fold(1, u64::saturating_mul)
    }
}
