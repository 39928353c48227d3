//! Commented files to start from: `meshwright scenarios new …` prints them.

/// Kinds of scenario files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An accelerator.
    Device,
    /// Nodes and the networks between them.
    Cluster,
    /// A model and its training recipe.
    Model,
    /// Vocabulary statistics of a text corpus.
    Corpus,
}

impl Kind {
    /// All kinds with their words.
    pub const ALL: [(&'static str, Self); 4] = [
        ("device", Self::Device),
        ("cluster", Self::Cluster),
        ("model", Self::Model),
        ("corpus", Self::Corpus),
    ];
}

/// A commented, valid file of this kind.
#[must_use]
pub fn template(kind: Kind) -> &'static str {
    match kind {
        Kind::Device => include_str!("template/device.toml"),
        Kind::Cluster => include_str!("template/cluster.toml"),
        Kind::Model => include_str!("template/model.toml"),
        Kind::Corpus => include_str!("template/corpus.toml"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{parse_cluster, parse_corpus, parse_device, parse_model};

    #[test]
    fn every_template_is_valid() {
        let device = parse_device(template(Kind::Device)).unwrap();
        let name = device.name.clone();
        let find = |wanted: &str| (wanted == name).then(|| device.clone());
        parse_cluster(template(Kind::Cluster), &find).unwrap();
        parse_model(template(Kind::Model)).unwrap();
        parse_corpus(template(Kind::Corpus)).unwrap();
    }
}
