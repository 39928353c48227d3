//! Kinds of scenarios.

use clap::ValueEnum;

/// A kind of scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// Models and their training recipes.
    #[value(name = "models", alias = "model")]
    Model,
    /// Nodes and links.
    #[value(name = "clusters", alias = "cluster")]
    Cluster,
    /// Accelerators.
    #[value(name = "devices", alias = "device")]
    Device,
    /// Software stacks.
    #[value(name = "profiles", alias = "profile")]
    Profile,
    /// Vocabulary statistics.
    #[value(name = "corpora", alias = "corpus")]
    Corpus,
}

impl Kind {
    /// All kinds, in the order of lists.
    pub const ALL: [Self; 5] =
        [Self::Model, Self::Cluster, Self::Device, Self::Profile, Self::Corpus];

    /// The folder, and the word for several.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Cluster => "clusters",
            Self::Device => "devices",
            Self::Profile => "profiles",
            Self::Corpus => "corpora",
        }
    }

    /// The word for one.
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Cluster => "cluster",
            Self::Device => "device",
            Self::Profile => "profile",
            Self::Corpus => "corpus",
        }
    }
}
