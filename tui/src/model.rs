//! All state of the explorer.

mod overlay;
mod run;

pub use overlay::{Input, Line, Overlay, Window};
pub use run::Run;

use crate::ask::Ask;
use crate::candidates::Candidate;
use crate::filter::passes;
use crate::host::{Measured, Menu, Refusal};
use crate::knob::Knob;
use crate::message::{Effect, Effected, InTime, Job, Task};
use crate::theme::{Look, Role};
use plan::report::{InfeasibleReport, Report, RunnerUp};
use std::collections::BTreeSet;

/// A screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Screen {
    /// The plan at a glance.
    #[default]
    Overview,
    /// What the search met.
    Candidates,
    /// The step in time.
    Timeline,
    /// Memory per stage and rank.
    Memory,
    /// Communication per group.
    Communication,
    /// Other questions.
    WhatIf,
    /// A run.
    Run,
}

impl Screen {
    /// All screens, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Overview,
        Self::Candidates,
        Self::Timeline,
        Self::Memory,
        Self::Communication,
        Self::WhatIf,
        Self::Run,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Candidates => "Candidates",
            Self::Timeline => "Timeline",
            Self::Memory => "Memory",
            Self::Communication => "Communication",
            Self::WhatIf => "What-if",
            Self::Run => "Run",
        }
    }
}

/// What is known of the question.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Answered {
    /// Nothing yet.
    #[default]
    Nothing,
    /// The plan.
    Plan(Box<Report>),
    /// Nothing fits.
    DoesNotFit(Box<InfeasibleReport>),
    /// There is no plan.
    Refused(Refusal),
}

/// A column of the candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    /// The plan in a line.
    Label,
    /// Step.
    #[default]
    Step,
    /// Memory.
    Memory,
    /// Exposed communication.
    Exposed,
    /// What is known.
    Status,
}

impl Column {
    /// From left to right.
    pub const ALL: [Self; 5] = [Self::Label, Self::Step, Self::Memory, Self::Exposed, Self::Status];
}

/// State of the candidates.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Line under the cursor.
    pub at: usize,
    /// The filter.
    pub filter: String,
    /// Sorted by.
    pub sort: Column,
    /// Largest first.
    pub is_reversed: bool,
    /// Labels that are tagged.
    pub tagged: BTreeSet<String>,
}

/// State of the timeline.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    /// Line under the cursor.
    pub row: usize,
    /// Time under the cursor, seconds.
    pub time: f64,
    /// Doublings of the whole step's width.
    pub zoom: u32,
}

/// What a plan comes to, to be compared with another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The question.
    pub ask: Ask,
    /// Step, seconds.
    pub seconds: f64,
    /// Tokens per second.
    pub rate: f64,
    /// Model FLOPs utilisation.
    pub mfu: f64,
    /// Largest memory, bytes.
    pub memory: f64,
    /// Id of the plan.
    pub id: String,
}

impl Kept {
    /// A plan to compare with.
    #[must_use]
    pub fn of(ask: &Ask, report: &Report) -> Self {
        Self {
            ask: ask.clone(),
            seconds: report.step.value,
            rate: report.tokens_per_second.value,
            mfu: report.mfu.value,
            memory: largest(report),
            id: report.plan.id.clone(),
        }
    }
}

/// The largest memory over all stages, bytes.
#[must_use]
pub fn largest(report: &Report) -> f64 {
    report.memory.stages.iter().map(|s| s.total_bytes).fold(0.0, f64::max)
}

/// A remark in the last line but one.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The remark.
    pub text: String,
    /// How it is meant.
    pub role: Role,
}

/// All state.
#[derive(Clone, Debug)]
pub struct Model {
    /// Columns and rows.
    pub size: (u16, u16),
    /// How it is drawn.
    pub look: Look,
    /// What may be asked.
    pub menu: Menu,
    /// The question.
    pub ask: Ask,
    /// Questions before it.
    pub undo: Vec<Ask>,
    /// Questions that were taken back.
    pub redo: Vec<Ask>,
    /// Number of the question.
    pub generation: u64,
    /// The plan is being solved for.
    pub is_solving: bool,
    /// More about it is being solved for.
    pub is_refining: bool,
    /// What is known; of the question before while the plan is solved for.
    pub answered: Answered,
    /// What the search met.
    pub candidates: Vec<Candidate>,
    /// The nearest other plans.
    pub runners_up: Vec<RunnerUp>,
    /// The step in time.
    pub in_time: Option<Result<Box<InTime>, String>>,
    /// What the values of a knob lead to.
    pub effects: Option<(Knob, Vec<Effected>)>,
    /// The plan that was there first, or was saved last.
    pub kept: Option<Kept>,
    /// The screen.
    pub screen: Screen,
    /// Panel of the overview.
    pub panel: usize,
    /// Lines under the cursor of the overview's panels.
    pub lines: [usize; 4],
    /// State of the candidates.
    pub list: List,
    /// State of the timeline.
    pub cursor: Cursor,
    /// Line of the memory.
    pub stage: usize,
    /// Ranks instead of stages.
    pub is_per_rank: bool,
    /// Line of the communication.
    pub group: usize,
    /// Place of the knob.
    pub knob: usize,
    /// Line of its values, while that panel has the cursor.
    pub choice: Option<usize>,
    /// The list has the whole screen.
    pub is_expanded: bool,
    /// A run.
    pub run: Run,
    /// What lies over the screen.
    pub overlay: Option<Overlay>,
    /// A remark.
    pub notice: Option<Notice>,
}

/// Questions that can be taken back.
const MOST_UNDO: usize = 100;

impl Model {
    /// The beginning, and the first question.
    #[must_use]
    pub fn new(
        ask: Ask,
        menu: Menu,
        look: Look,
        size: (u16, u16),
        measured: Option<&Measured>,
    ) -> (Self, Vec<Effect>) {
        let mut model = Self {
            size,
            look,
            menu,
            ask,
            undo: Vec::new(),
            redo: Vec::new(),
            generation: 0,
            is_solving: false,
            is_refining: false,
            answered: Answered::Nothing,
            candidates: Vec::new(),
            runners_up: Vec::new(),
            in_time: None,
            effects: None,
            kept: None,
            screen: Screen::Overview,
            panel: 0,
            lines: [0; 4],
            list: List::default(),
            cursor: Cursor::default(),
            stage: 0,
            is_per_rank: false,
            group: 0,
            knob: 0,
            choice: None,
            is_expanded: false,
            run: Run::new(measured),
            overlay: None,
            notice: None,
        };
        if measured.is_some() {
            model.screen = Screen::Run;
        }
        let first = model.solve();
        (model, vec![first])
    }

    /// Asks the question as it is now.
    pub fn solve(&mut self) -> Effect {
        self.generation += 1;
        (self.is_solving, self.is_refining) = (true, true);
        self.effects = None;
        self.job(Task::Answer)
    }

    /// A job about the question as it is now.
    #[must_use]
    pub fn job(&self, task: Task) -> Effect {
        Effect::Solve(Box::new(Job { generation: self.generation, ask: self.ask.clone(), task }))
    }

    /// Asks another question, which can be taken back.
    pub fn change(&mut self, ask: Ask) -> Vec<Effect> {
        if ask == self.ask {
            return Vec::new();
        }
        self.undo.push(std::mem::replace(&mut self.ask, ask));
        let too_many = self.undo.len().saturating_sub(MOST_UNDO);
        self.undo.drain(..too_many);
        self.redo.clear();
        vec![self.solve()]
    }

    /// The plan, where there is one.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        match &self.answered {
            Answered::Plan(report) => Some(report),
            _ => None,
        }
    }

    /// The step in time, where it is known.
    #[must_use]
    pub fn in_time(&self) -> Option<&InTime> {
        self.in_time.as_ref()?.as_ref().ok().map(|boxed| &**boxed)
    }

    /// The plan was changed since it was saved.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.ask != self.ask)
    }

    /// Candidates that pass the filter, in order.
    #[must_use]
    pub fn listed(&self) -> Vec<&Candidate> {
        let mut all: Vec<&Candidate> =
            self.candidates.iter().filter(|c| passes(&self.list.filter, c)).collect();
        let last = f64::INFINITY;
        match self.list.sort {
            Column::Label => all.sort_by_key(|c| c.degrees),
            Column::Step => {}
            Column::Memory => {
                all.sort_by(|a, b| a.memory.unwrap_or(last).total_cmp(&b.memory.unwrap_or(last)))
            }
            Column::Exposed => {
                all.sort_by(|a, b| a.exposed.unwrap_or(last).total_cmp(&b.exposed.unwrap_or(last)))
            }
            Column::Status => all.sort_by_key(|c| c.status),
        }
        if self.list.is_reversed {
            all.reverse();
        }
        all
    }

    /// The knob under the cursor.
    #[must_use]
    pub fn knob(&self) -> Knob {
        Knob::ALL.get(self.knob).copied().unwrap_or(Knob::Gpus)
    }

    /// Devices per node of the machine, as far as it is known.
    #[must_use]
    pub fn per_node(&self) -> u32 {
        self.report().map_or(8, |report| report.machine.per_node)
    }

    /// Says something.
    pub fn say(&mut self, role: Role, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), role });
    }
}
