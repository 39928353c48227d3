//! Where each group of measurements is from, and what had to be assumed about it.

use crate::catalog;
use crate::diagnostics::Failure;
use plan::scenario::{Item, Problems, read};

/// What is known about a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Name of the group.
    pub name: String,
    /// Name that people read.
    pub label: String,
    /// Repository or paper.
    pub source: String,
    /// What was measured.
    pub measured: String,
    /// What its memory column means, where it has one.
    pub memory: Option<String>,
    /// Profiles that the rules choose for its rows.
    pub stacks: Vec<String>,
    /// What was assumed where columns are empty.
    pub assumed: Vec<String>,
}

/// The group that is shipped under this name.
///
/// # Errors
/// All problems of its file: a bug, as it is shipped.
pub fn provenance(group: &str) -> Result<Option<Provenance>, Failure> {
    match catalog::shipped("published", group) {
        None => Ok(None),
        Some(text) => parse(text)
            .map(Some)
            .map_err(|p| Failure::scenario(&format!("published/{group}.toml"), text, p)),
    }
}

fn parse(text: &str) -> Result<Provenance, Problems> {
    read(text, |file| {
        let name = file.required("name", Item::text);
        let label = file.required("label", Item::text);
        let source = file.required("source", Item::text);
        let measured = file.required("measured", Item::text);
        let memory = file.optional("memory", Item::text);
        let stacks = file.required("stacks", Item::texts);
        let assumed = file.required("assumed", Item::texts);
        Some(Provenance {
            name: name?,
            label: label?,
            source: source?,
            measured: measured?,
            memory,
            stacks: stacks?,
            assumed: assumed?,
        })
    })
}
