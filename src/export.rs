//! A plan in the words of others: configurations of trainers, schedules, figures, a page.

mod schedule;

use crate::catalog::Catalog;
use crate::cli::{SourceArgs, Target};
use crate::diagnostics::Failure;
use crate::question::{Question, rebuild};
use plan::document::Plan;

/// A plan and what it was made from.
pub struct Exported {
    /// The plan.
    pub plan: Plan,
    /// Model, cluster and constants, as they were asked for.
    pub question: Question,
}

impl Exported {
    /// Finds what the plan was made from.
    ///
    /// # Errors
    /// Inputs that are not found, or that changed since.
    pub fn new(plan: Plan, catalog: &Catalog, sources: &SourceArgs) -> Result<Self, Failure> {
        let question = rebuild(catalog, &plan, sources)?;
        Ok(Self { plan, question })
    }

    /// The plan as `target`.
    ///
    /// # Errors
    /// What the target cannot hold, and what would work.
    pub fn write(&self, target: Target) -> Result<String, Failure> {
        match target {
            Target::Schedule => schedule::write(self),
        }
    }
}
