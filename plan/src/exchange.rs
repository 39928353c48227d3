//! How the gradient of an embedding table is exchanged between data-parallel ranks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The exchange of one table's gradient.
///
/// Letters: `G` ranks, `K` tokens per rank, `D` width, `V` vocabulary, `U` different tokens among
/// all `G·K`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Exchange {
    /// All-gather one gradient row per token: memory grows as `G·K·D`.
    Gather,
    /// Sum the rows of equal tokens on each rank, then all-gather.
    DedupGather,
    /// All-gather token ids, then all-reduce one row per different token: `G·K + U·D`.
    Unique,
    /// All-reduce the whole table: `V·D`.
    Dense,
    /// Split the table over the ranks; ids and rows travel to their owner and back.
    Sharded,
}

impl Exchange {
    /// All members, in the order of the enum.
    pub const ALL: [Self; 5] =
        [Self::Gather, Self::DedupGather, Self::Unique, Self::Dense, Self::Sharded];

    /// The name used in files and flags.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gather => "gather",
            Self::DedupGather => "dedup-gather",
            Self::Unique => "unique",
            Self::Dense => "dense",
            Self::Sharded => "sharded",
        }
    }

    /// The member with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|member| member.name() == name)
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How many different random seeds draw the words of a sampled softmax.
///
/// Ranks that share a seed draw the same words, so fewer rows of the output embedding are touched;
/// too few seeds cost accuracy.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SamplingSeeds {
    /// Every rank has its own.
    PerRank,
    /// `G^0.64` seeds, as many as Zipf's law lets words repeat.
    Zipf,
    /// One for all.
    Shared,
}

impl SamplingSeeds {
    /// All members, in the order of the enum.
    pub const ALL: [Self; 3] = [Self::PerRank, Self::Zipf, Self::Shared];

    /// Different seeds among `ranks` ranks: `G`, `⌈G^0.64⌉` or 1.
    ///
    /// Source of the exponent: Patwary et al. 2018 (arXiv:1810.10045), abstract.
    #[must_use]
    pub fn count(self, ranks: u32) -> u32 {
        match self {
            Self::PerRank => ranks,
            Self::Zipf => f64::from(ranks).powf(0.64).ceil() as u32,
            Self::Shared => ranks.min(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_match_the_files() {
        for member in Exchange::ALL {
            assert_eq!(Exchange::from_name(member.name()), Some(member));
            let json = serde_json::to_string(&member).unwrap();
            assert_eq!(json, format!("\"{member}\""));
        }
        assert_eq!(Exchange::from_name("gathers"), None);
    }

    /// 192^0.64 = e^(0.64·5.2575) = 28.93.
    #[test]
    fn seeds_grow_from_one_to_all() {
        assert_eq!(SamplingSeeds::PerRank.count(192), 192);
        assert_eq!(SamplingSeeds::Zipf.count(192), 29);
        assert_eq!(SamplingSeeds::Shared.count(192), 1);
        assert_eq!(SamplingSeeds::ALL.map(|seeds| seeds.count(1)), [1, 1, 1]);
    }
}
