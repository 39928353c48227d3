//! A plan in the words of others: configurations of trainers, schedules, figures, a page.

mod accelerate;
mod deepspeed;
mod drawings;
pub mod facts;
mod form;
mod launch;
mod maxtext;
mod megatron;
mod nanotron;
mod recipe;
#[cfg(test)]
mod round_trip;
mod said;
mod schedule;
mod slurm;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;
mod topic;
mod torchtitan;

use crate::catalog::Catalog;
use crate::cli::{DrawingArgs, SourceArgs, Target};
use crate::commands::plan::quoted;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::question::{Question, command, rebuild};
use plan::document::Plan;
use recipe::Recipe;
use said::{Document, Refusal, Trainer, tell};

/// A plan and what it was made from.
pub struct Exported {
    /// The plan.
    pub plan: Plan,
    /// Name of its file.
    pub file: String,
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
    pub fn new(
        plan: Plan,
        file: &str,
        catalog: &Catalog,
        sources: &SourceArgs,
    ) -> Result<Self, Failure> {
        let question = rebuild(catalog, &plan, sources)?;
        let (_, fixed) = command::fixed(&plan, sources);
        let words = command::words(&fixed, &command::asked(&plan, sources)?);
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        let command = format!("meshwright {}", words.join(" "));
        Ok(Self { plan, file: file.to_string(), question, command })
    }

    /// The plan as `target`, and what the target cannot state.
    ///
    /// # Errors
    /// What the target cannot hold, and what would work.
    pub fn write(
        &self,
        target: Target,
        drawing: &DrawingArgs,
    ) -> Result<(String, Vec<String>), Failure> {
        if let Some(trainer) = trainer(target) {
            let told = tell(&*trainer, &self.recipe());
            return told
                .map(|Document { text, unsaid }| (text, unsaid))
                .map_err(|refusal| self.refused(&*trainer, &refusal));
        }
        let text = match target {
            Target::Slurm => slurm::write(&self.recipe(), &self.file),
            Target::Html => drawings::page(self, drawing)?,
            Target::Svg => drawings::figure(self, drawing)?,
            _ => schedule::write(self)?,
        };
        Ok((text, Vec::new()))
    }

    fn recipe(&self) -> Recipe<'_> {
        let group = &self.question.cluster.groups[0];
        let alternates = self.question.stack.memory.alternates.value;
        Recipe::new(&self.plan, &self.question.model.spec, group, alternates)
    }

    /// Why not, which targets hold the plan, and how to ask for one that this target holds.
    fn refused(&self, asked: &dyn Trainer, refusal: &Refusal) -> Failure {
        let recipe = self.recipe();
        let what = format!("{} cannot run plan {}", asked.name(), self.plan.id);
        let mut failure = Failure::new(Exit::InvalidInput, what);
        failure = failure.evidence(refusal.reasons.join("\n"));
        let holds = |t: &Target| trainer(*t).is_some_and(|t| tell(&*t, &recipe).is_ok());
        let others: Vec<String> =
            Target::TRAINERS.iter().filter(|t| holds(t)).map(|t| t.flag()).collect();
        if refusal.flags.len() == refusal.reasons.len() {
            failure = failure.hint(format!(
                "`meshwright plan -m {} -g {} -c {} {}` asks for a plan without",
                self.question.model.spec.name,
                self.plan.decision.world_size,
                self.plan.inputs.cluster.name,
                refusal.flags.join(" ")
            ));
        }
        match others.is_empty() {
            true => failure.hint("`meshwright execute plan.json` runs it"),
            false => failure.hint(format!("{} can hold it", others.join(", "))),
        }
    }
}

/// The trainer of a target, where it is one.
fn trainer(target: Target) -> Option<Box<dyn Trainer>> {
    Some(match target {
        Target::Megatron => Box::new(megatron::MegatronLm),
        Target::MegatronBridge => Box::new(megatron::MegatronBridge),
        Target::Torchtitan => Box::new(torchtitan::Torchtitan),
        Target::Deepspeed => Box::new(deepspeed::DeepSpeed),
        Target::Accelerate => Box::new(accelerate::Accelerate),
        Target::Nanotron => Box::new(nanotron::Nanotron),
        Target::Maxtext => Box::new(maxtext::MaxText),
        Target::Schedule | Target::Slurm | Target::Html | Target::Svg => return None,
    })
}
