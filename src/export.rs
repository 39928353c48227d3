//! A plan in the words of others: configurations of trainers, schedules, figures, a page.

mod drawings;
pub mod facts;
mod schedule;

use crate::catalog::Catalog;
use crate::cli::{DrawingArgs, SourceArgs, Target};
use crate::commands::plan::quoted;
use crate::diagnostics::Failure;
use crate::question::{Question, command, rebuild};
use plan::document::Plan;

/// A plan and what it was made from.
pub struct Exported {
    /// The plan.
    pub plan: Plan,
    /// Model, cluster and constants, as they were asked for.
    pub question: Question,
    /// The command that asks for it again.
    pub command: String,
}

impl Exported {
    /// Finds what the plan was made from.
    ///
    /// # Errors
    /// Inputs that are not found, or that changed since.
    pub fn new(plan: Plan, catalog: &Catalog, sources: &SourceArgs) -> Result<Self, Failure> {
        let question = rebuild(catalog, &plan, sources)?;
        let (_, fixed) = command::fixed(&plan, sources);
        let words = command::words(&fixed, &command::asked(&plan, sources)?);
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        Ok(Self { plan, question, command: format!("meshwright {}", words.join(" ")) })
    }

    /// The plan as `target`.
    ///
    /// # Errors
    /// What the target cannot hold, and what would work.
    pub fn write(&self, target: Target, drawing: &DrawingArgs) -> Result<String, Failure> {
        match target {
            Target::Schedule => schedule::write(self),
            Target::Html => drawings::page(self, drawing),
            Target::Svg => drawings::figure(self, drawing),
        }
    }
}
