//! What the explorer asks of the program around it: everything that touches the world.

use crate::ask::Ask;
use crate::message::Page;
use plan::Dtype;
use plan::document::Plan;
use plan::model::Batch;
use plan::record::{RunRecord, StepRecord, StepSamples};
use plan::report::Report;
use planner::answer::{Answer, Impossible, Planned};
use planner::request::Request;

/// The program around the explorer.
pub trait Host: Sync {
    /// What may be asked, and how it is called.
    fn menu(&self) -> &Menu;

    /// The question with models and machines instead of names.
    ///
    /// # Errors
    /// [`Refusal`] where a name is unknown or numbers contradict each other.
    fn question(&self, ask: &Ask) -> Result<Box<dyn Question + '_>, Refusal>;

    /// The command that asks the same.
    fn command(&self, ask: &Ask) -> String;

    /// Writes a plan; says what was written.
    ///
    /// # Errors
    /// The reason, where nothing could be written.
    fn save(&self, plan: &Plan, path: &str) -> Result<String, String>;

    /// Writes the page of a plan where no file is; says what was written.
    ///
    /// # Errors
    /// The reason, where nothing was written.
    fn export(&self, page: &Page) -> Result<String, String>;

    /// A run that was loaded.
    fn measured(&self) -> Option<&Measured> {
        None
    }

    /// Trains a plan here; every step is told to `observe`. `Err` is why it cannot be trained.
    ///
    /// # Errors
    /// The reason, for people.
    fn execute(&self, plan: &Plan, observe: &(dyn Fn(StepRecord) + Sync)) -> Result<(), String>;
}

/// A question that can be answered, as often as is needed.
pub trait Question {
    /// The request to the planner.
    ///
    /// # Errors
    /// [`Refusal`] where the batch cannot be counted.
    fn request<'a>(&'a self, stop: &'a dyn Fn() -> bool) -> Result<Request<'a>, Refusal>;

    /// The plan to take, or why there is none.
    fn answer(&self, request: &Request<'_>) -> Answer;

    /// The report of a plan, with `others` runners-up.
    fn report(&self, request: &Request<'_>, planned: &Planned, others: usize) -> Report;

    /// A question without a plan, for people.
    fn refusal(&self, request: &Request<'_>, why: &Impossible) -> Refusal;
}

/// What may be asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Menu {
    /// Name of the model.
    pub model: String,
    /// Clusters that can be named.
    pub clusters: Vec<String>,
    /// What the model's recipe says.
    pub recipe: Recipe,
    /// Where a plan is saved.
    pub file: String,
    /// Steps that a run here takes.
    pub steps: u64,
}

/// What a model's recipe says of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recipe {
    /// Sequences per step.
    pub batch: Batch,
    /// Tokens per sequence.
    pub sequence: u64,
    /// Format of products.
    pub dtype: Dtype,
    /// Layers of the chain.
    pub layers: u32,
}

impl Default for Recipe {
    fn default() -> Self {
        Self { batch: Batch::Global(1), sequence: 1, dtype: Dtype::Fp32, layers: 1 }
    }
}

/// Why a question has no answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub what: String,
    /// The numbers behind it, and what would work.
    pub hints: Vec<String>,
}

impl Refusal {
    /// Without further words.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hints: Vec::new() }
    }
}

/// A run that was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Where it was read.
    pub file: String,
    /// What is told of it.
    pub record: RunRecord,
    /// Its raw samples; may be none.
    pub samples: Vec<StepSamples>,
}

/// What happens in a run.
#[derive(Clone, Debug, PartialEq)]
pub enum RunEvent {
    /// A step ended.
    Step(StepRecord),
    /// The run ended, or why it could not run.
    Ended(Result<(), String>),
}
