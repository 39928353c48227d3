//! What can happen, and what follows from it besides a new model.

use crate::ask::Ask;
use crate::candidates::Candidate;
use crate::communication::{Curve, Traffic};
use crate::host::{Refusal, RunEvent};
use crate::key::Key;
use crate::knob::Knob;
use crate::strips::Strips;
use plan::document::Plan;
use plan::report::{InfeasibleReport, Report, RunnerUp, WhyNot};
use planner::request::Pins;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Message {
    /// A key was pressed.
    Key(Key),
    /// The mouse was pressed at column and row.
    Click(u16, u16),
    /// The wheel was turned: down, or up.
    Wheel(bool),
    /// The terminal has another size: columns and rows.
    Resize(u16, u16),
    /// A part of an answer to the question of this generation.
    Answer(u64, Part),
    /// This was put on the clipboard.
    Copied(String),
    /// A plan was written, or why it was not.
    Saved(Result<String, String>),
    /// A page was written, or why it was not.
    Exported(Result<String, String>),
    /// Something happened in a run.
    Run(RunEvent),
}

/// A part of an answer.
#[derive(Clone, Debug)]
pub enum Part {
    /// The plan.
    Plan(Box<Report>),
    /// Nothing fits.
    DoesNotFit(Box<InfeasibleReport>),
    /// There is no plan.
    Refused(Refusal),
    /// What the search met; again whenever more of it is solved.
    Candidates(Vec<Candidate>),
    /// The nearest other plans.
    RunnersUp(Vec<RunnerUp>),
    /// The step in time, and its communication; or why there is none.
    Timeline(Result<Box<InTime>, String>),
    /// What knobs do.
    Effects(Knob, Vec<Effected>),
    /// Why another choice was not taken.
    WhyNot(Box<WhyNot>),
    /// There is nothing more to come.
    Done,
}

/// A step in time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InTime {
    /// As it is simulated.
    pub predicted: Strips,
    /// As it was measured, where the run of this plan was loaded.
    pub measured: Option<Strips>,
    /// Communication.
    pub traffic: Vec<Traffic>,
    /// The ways to exchange the embedding gradient against the number of ranks.
    pub curve: Option<Curve>,
}

/// What a value of a knob leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Effected {
    /// The value.
    pub word: String,
    /// The question with it.
    pub ask: Ask,
    /// The plan in a line with its numbers, or why there is none.
    pub outcome: Result<Numbers, String>,
}

/// A plan in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// The plan in a line.
    pub label: String,
    /// Step, seconds.
    pub seconds: f64,
    /// Largest memory, bytes.
    pub memory: f64,
    /// Tokens per second.
    pub rate: f64,
}

/// What the model wants done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// To solve, on the thread for that.
    Solve(Box<Job>),
    /// To write a plan.
    Save(Box<Plan>, String),
    /// To write the page of a plan, which answers a question.
    Export(Box<Page>),
    /// To put the command that asks a question on the clipboard.
    Copy(Box<Ask>),
    /// To train a plan here.
    Execute(Box<Plan>),
    /// To end.
    Quit,
}

/// A page to write.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The question.
    pub ask: Ask,
    /// The plan that answers it.
    pub plan: Plan,
    /// The file; nothing is there yet, or nothing is written.
    pub path: String,
}

/// Something to solve.
#[derive(Clone, Debug)]
pub struct Job {
    /// Generation of the question; answers to older ones are dropped.
    pub generation: u64,
    /// The question.
    pub ask: Ask,
    /// What of it.
    pub task: Task,
}

/// What to solve of a question.
#[derive(Clone, Debug)]
pub enum Task {
    /// Everything, the plan first.
    Answer,
    /// What the values of a knob lead to.
    Effects(Knob, Vec<crate::knob::Choice>),
    /// Why other pins were not chosen.
    WhyNot(Pins),
}
