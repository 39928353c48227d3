//! Models from the `config.json` of Hugging Face repositories. No I/O: whoever reads the file hands
//! the text.
//!
//! A configuration is imported only where the model language has every weight of it, so that the
//! parameter count is exact. What the language prices differently, and what a configuration does
//! not say of training, comes back as notes for people.
//!
//! Keys and their defaults: huggingface/transformers,
//! `src/transformers/models/*/configuration_*.py`.

mod config;
mod encoders;
mod families;
mod gpt;
mod latent;
mod llama;
mod mixtures;
#[cfg(test)]
mod tests;
mod training;

use crate::model::{Family, Model, ModelSpec, Transformer};
use crate::scenario::reader::{Problem, Problems};
use config::Config;
pub use families::{known_types, refused_types};

/// A model as it was imported.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The model.
    pub spec: ModelSpec,
    /// What was assumed, and what is priced otherwise than the model computes; each a sentence.
    pub notes: Vec<String>,
}

/// Shape and notes, before training is added.
struct Draft {
    shape: Transformer,
    notes: Vec<String>,
}

impl Draft {
    fn of(shape: Transformer) -> Self {
        Self { shape, notes: Vec::new() }
    }
}

/// Whether a text is a JSON object, as configurations are and scenario files never.
#[must_use]
pub fn is_config(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Turns a configuration into a model that people will know as `name`.
///
/// # Errors
/// Malformed JSON, a model type that is unknown or that the model language cannot express, keys
/// that are missing or contradict each other.
///
/// ```
/// let text = r#"{"model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 22,
///     "num_attention_heads": 32, "num_key_value_heads": 4, "intermediate_size": 5632,
///     "vocab_size": 32000, "max_position_embeddings": 2048}"#;
/// let imported = plan::huggingface::import(text, "tiny").unwrap();
/// let model = plan::model::Model::build(&imported.spec).unwrap();
/// assert_eq!(model.parameters(), 1_100_048_384);
/// ```
pub fn import(text: &str, name: &str) -> Result<Imported, Problems> {
    let config = Config::read(text)?;
    let draft = families::draft(&config);
    let problems = config.problems();
    let (Some(draft), true) = (draft, problems.is_empty()) else {
        return Err(Problems::sorted(problems));
    };
    let kind = config.word("model_type").unwrap_or_default();
    let (training, mut notes) = training::assumed(&config, &draft.shape);
    notes.extend(draft.notes);
    let spec = ModelSpec {
        name: name.to_string(),
        source: format!("Hugging Face configuration, model_type {kind}"),
        published_parameters: None,
        family: Family::Transformer(draft.shape),
        training,
    };
    match Model::build(&spec) {
        Ok(_) => Ok(Imported { spec, notes }),
        Err(error) => {
            let problem = Problem::new(config.start(), error.to_string(), error.to_string());
            Err(Problems { list: vec![problem] })
        }
    }
}
