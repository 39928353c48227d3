//! A rank: what each action of a program means.

use super::block::{Block, Special, place_in};
use super::job::Job;
use super::links::Links;
use super::outer::Meeting;
use super::place::Place;
use super::routes::Route;
use super::rows::{Rows, moves_rows};
use crate::comm::{Call, Fault, Problem, Task};
use crate::matrix::Matrix;
use crate::model::{Carries, Kept, MicroBatch, Remainder, Split, Stage, Unsupported};
use crate::optimizer::{LossScale, SquareSum, clip_factor};
use crate::record::Recorder;
use plan::program::{Action, ActionId, BufferId, BufferKind, Class, LayerSpan, Op, Purpose};
use plan::schedule::Shape;
use plan::work::Pass;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

thread_local! {
    /// What this thread's rank is doing, for when it panics.
    static DOING: Cell<Task> = const { Cell::new(Task::Other("starting")) };
}

/// What this thread's rank was last doing.
pub(super) fn doing() -> Task {
    DOING.get()
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Step, from 0.
    pub step: u64,
    /// Sequences of the step, over all replicas.
    pub sequences: u64,
    /// Mean loss of a prediction, in nats.
    pub loss: f64,
    /// Norm of all gradients; `None` where they overflowed and the step was skipped.
    pub norm: Option<f64>,
    /// Learning rate.
    pub rate: f64,
    /// How long it took.
    pub time: Duration,
}

/// A rank of a job.
pub struct Rank<'a> {
    pub(super) job: &'a Job,
    pub(super) place: Place,
    pub(super) class: &'a Class,
    /// Its place in the program.
    class_id: u32,
    pub(super) links: Links,
    pub(super) blocks: Vec<Block>,
    pub(super) now: Step,
    /// What pieces of text left for the next step, by block and micro-batch of sequences.
    pub(super) carries: BTreeMap<(usize, u32), Carries<f32>>,
    pub(super) tables: Tables,
    pub(super) late: Late,
    /// Steps taken.
    pub(super) step: u64,
    /// Updates applied.
    pub(super) updates: u64,
    pub(super) scale: LossScale,
    /// Measures actions, where that is asked for.
    pub(super) recorder: Option<Recorder>,
}

/// What is looked up while actions run.
#[derive(Default)]
pub(super) struct Tables {
    /// Blocks by layers.
    blocks: BTreeMap<LayerSpan, usize>,
    /// The block of a gradient or of weights.
    of_buffer: BTreeMap<BufferId, usize>,
    /// Blocks whose activations are computed again.
    pub recomputed: BTreeSet<usize>,
    /// Layers with a table whose gradient travels as rows.
    with_rows: BTreeSet<LayerSpan>,
    /// Layers with a table whose rows are with their owners.
    pub owned: BTreeSet<LayerSpan>,
    /// Blocks of each fragment of replicas that train apart.
    pub fragments: BTreeMap<u32, Vec<usize>>,
    /// Steps by which the gradients of a block are late, where they are.
    pub ages: BTreeMap<usize, usize>,
    /// Blocks of the embedding and of its second copy, where both are here.
    pub tied: Option<(usize, usize)>,
}

/// A forward pass with the tokens that it was about.
pub(super) type KeptWithTokens = (Kept<f32>, Arc<MicroBatch>);

/// What waits for a later step, where gradients are late.
#[derive(Default)]
pub(super) struct Late {
    /// Forward passes by block and micro-batch, oldest first.
    pub kept: BTreeMap<(usize, u32), VecDeque<KeptWithTokens>>,
    /// Gradients of the step before, by border and micro-batch.
    pub backward: BTreeMap<(u32, u32), Arc<Matrix<f32>>>,
}

/// What exists during one step.
#[derive(Default)]
pub(super) struct Step {
    pub batches: BTreeMap<u32, Arc<MicroBatch>>,
    /// Activations that enter a layer, and gradients that leave one, by layer and micro-batch.
    pub forward: BTreeMap<(u32, u32), Arc<Matrix<f32>>>,
    pub backward: BTreeMap<(u32, u32), Arc<Matrix<f32>>>,
    pub kept: BTreeMap<(usize, u32), Kept<f32>>,
    /// Activations that were copied to the host.
    pub away: BTreeMap<(usize, u32), Kept<f32>>,
    /// Tokens of passes whose gradients are late.
    pub older: BTreeMap<(usize, u32), Arc<MicroBatch>>,
    /// Micro-batches for which the first copy of a table has its gradient.
    pub tied_first: BTreeSet<u32>,
    pub left: BTreeMap<(usize, u32), Remainder<f32>>,
    pub carries: BTreeMap<(usize, u32), Carries<f32>>,
    pub losses: BTreeMap<u32, f64>,
    /// Gradients of a table's second copy that wait for those of the first.
    pub tied: BTreeMap<u32, Vec<f32>>,
    /// Rows of tables on their way between replicas, by block.
    pub rows: BTreeMap<usize, Rows>,
    /// Rows of tables on their way to and from their owners, by block and micro-batch.
    pub routes: BTreeMap<(usize, u32), Route>,
    /// The message that came last, where it is a part of a border.
    pub arrived: Option<(Pass, u32, u32)>,
    norm: Option<f64>,
    rate: f64,
    loss: f64,
}

impl<'a> Rank<'a> {
    /// A rank with initial weights.
    ///
    /// # Errors
    /// What cannot be run.
    pub fn new(job: &'a Job, links: Links, rank: u32) -> Result<Self, Unsupported> {
        let place = Place::new(rank, &job.decision.degrees);
        let missing = || Unsupported::Decision {
            what: format!("rank {rank} of a program for {}", job.program.ranks),
            instead: "start as many ranks as the plan has",
        };
        let (class, _) = job.program.class_of(rank).ok_or_else(missing)?;
        let mut made = Self::bare(job, place, class, links);
        made.make_blocks()?;
        Ok(made)
    }

    fn bare(job: &'a Job, place: Place, class: usize, links: Links) -> Self {
        let (class, class_id) = (&job.program.classes[class], class as u32);
        let d = &job.decision;
        let (kind, ranks) = (d.schedule, d.degrees.pp);
        let (micro_batches, chunks) = (d.batch.micro_batches, d.chunks);
        let tables = Tables::new(class, &Shape { kind, ranks, micro_batches, chunks });
        let (now, carries) = (Step::default(), BTreeMap::new());
        let (step, updates, scale) = (0, 0, job.recipe.scale);
        let (blocks, recorder) = (Vec::new(), None);
        Self {
            job,
            place,
            class,
            class_id,
            links,
            blocks,
            now,
            carries,
            tables,
            late: Late::default(),
            step,
            updates,
            scale,
            recorder,
        }
    }

    fn make_blocks(&mut self) -> Result<(), Unsupported> {
        let job = self.job;
        let degrees = job.decision.degrees;
        let split = Split {
            tensor: (self.place.tensor as usize, degrees.tp as usize),
            expert: ((self.place.data % degrees.ep.max(1)) as usize, degrees.ep.max(1) as usize),
            sequence: job.decision.sequence_parallel && degrees.tp > 1,
        };
        let spans: Vec<LayerSpan> = self.tables.blocks.keys().copied().collect();
        let ends = |layer: u32| spans.iter().any(|s| s.first <= layer && layer <= s.last);
        let is_tied = job.model.table.is_some_and(|table| table.tied);
        let last = job.model.layers() - 1;
        let copy_is_local = is_tied && ends(0) && ends(last) && last > 0;
        for span in &spans {
            let chain = span.first as usize..span.last as usize + 1;
            let stage = Stage::new(&job.model, chain, split)?;
            let group = |purpose: Purpose| place_in(self.links.with(purpose));
            let holds = |s: &&plan::document::StageDecision| {
                s.layers.first <= span.first && span.last <= s.layers.last
            };
            let zero = job.decision.stages.iter().find(holds).map_or(0, |stage| stage.zero);
            let (rule, seed) = (&job.recipe.rule, job.recipe.seed);
            let special = Special {
                copy_is_local,
                has_rows: self.tables.with_rows.contains(span),
                has_owners: self.tables.owned.contains(span),
                is_rounded: job.is_rounded(),
            };
            let mut block = Block::new(stage, zero, rule, seed, special, &group);
            block.meeting = job.decision.local_steps.map(|_| Meeting::new(&block.precise()));
            self.blocks.push(block);
        }
        self.tables.tied = copy_is_local.then(|| (0, self.blocks.len() - 1));
        Ok(())
    }

    /// How long and as what an action may wait.
    pub(super) fn call(&self, id: usize, action: &Action) -> Call {
        let task = Task::Action(ActionId(id as u32), action.op, action.at);
        let limit = self.job.watchdog.limit(self.class_id, id as u32);
        Call { task, limit }
    }

    /// A fault of this rank.
    pub(super) fn fault(&self, call: &Call, problem: Problem) -> Fault {
        Fault::new(self.place.rank, call.task, problem)
    }

    pub(super) fn unsupported(&self, call: &Call, what: &str) -> Fault {
        self.fault(call, Problem::Unsupported(what.to_string()))
    }

    /// Runs one step.
    ///
    /// # Errors
    /// The first thing that went wrong on any rank.
    pub fn run_step(&mut self) -> Result<StepReport, Fault> {
        let start = Instant::now();
        self.now = Step::default();
        let class = self.class;
        // Steps of a batch that still grows are no steps of the plan.
        let is_whole = self.job.batches.at(self.step) == self.job.batches.sequences;
        if let Some(recorder) = self.recorder.as_mut().filter(|_| is_whole) {
            recorder.begin(self.step, class.actions.len());
        }
        let micro_batches = self.job.batches_at(self.step) * self.job.program.time_chunks.max(1);
        // Whole micro-batches are left out, on all ranks that see them, and the rest stays in its
        // order: nobody waits for what does not come.
        let runs = |a: &Action| a.at.micro_batch.is_none_or(|micro| micro < micro_batches);
        for (id, action) in class.actions.iter().enumerate() {
            if action.cadence.includes(self.step) && runs(action) {
                let call = self.call(id, action);
                DOING.set(call.task);
                let mark = self.recorder.as_ref().and_then(Recorder::mark);
                self.execute(action, &call)?;
                if let Some(recorder) = &mut self.recorder {
                    recorder.note(id, mark);
                }
            }
        }
        self.refresh_copy();
        self.late.backward = std::mem::take(&mut self.now.backward);
        self.blocks.iter_mut().for_each(Block::clear);
        if let Some(recorder) = &mut self.recorder {
            recorder.end();
        }
        let Step { loss, norm, rate, .. } = self.now;
        let (step, time) = (self.step, start.elapsed());
        let sequences = self.job.batches.at(step);
        let report = StepReport { step, sequences, loss, norm, rate, time };
        self.step += 1;
        Ok(report)
    }

    fn execute(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        match action.op {
            Op::Forward => self.forward(action, call),
            Op::Recompute => self.recompute(action, call),
            Op::Backward | Op::BackwardInput => self.backward(action, call),
            Op::BackwardWeight => self.backward_weight(action, call),
            Op::Send(pass) => self.send(pass, action, call),
            Op::Receive(pass) => self.receive(pass, action, call),
            Op::Layer(..) => self.join_parts(action, call),
            // Messages are handed over when they are sent.
            Op::WaitSend(_) => Ok(()),
            Op::Gather => self.gather(action, call),
            Op::Release => self.release(action, call),
            Op::Reduce(_) => self.reduce(action, call),
            Op::ReduceTied => self.reduce_tied(action, call),
            Op::Optimizer => self.optimize(call),
            Op::Deduplicate => Ok(()),
            Op::GatherIds => self.gather_ids(action, call),
            Op::AlignRows => self.align_rows(action, call),
            Op::ReduceRows => self.reduce_rows(action, call),
            Op::GatherRows => self.gather_rows(action, call),
            Op::AddRows => self.add_rows(action, call),
            Op::RouteRows(pass) => self.route(pass, action, call),
            Op::Offload => self.offload(action, call),
            Op::Reload => self.reload(action, call),
            Op::Delta => self.difference(action, call),
            Op::ReduceDelta => self.reduce_difference(action, call),
            Op::OuterStep => self.outer_step(action, call),
            Op::Merge => self.merge(action, call),
        }
    }

    /// The block that an action is about.
    pub(super) fn block(&self, action: &Action, call: &Call) -> Result<usize, Fault> {
        let span = action.at.layers.and_then(|span| self.tables.blocks.get(&span).copied());
        span.ok_or_else(|| self.unsupported(call, "an action names layers that are not here"))
    }

    /// Blocks whose gradients or weights an action reads.
    pub(super) fn blocks_read(&self, action: &Action) -> BTreeSet<usize> {
        let block = |access: &plan::program::Access| self.tables.of_buffer.get(&access.buffer);
        action.reads.iter().filter_map(block).copied().collect()
    }

    /// Norm, clipping, update; all ranks agree on the norm and on the loss.
    fn optimize(&mut self, call: &Call) -> Result<(), Fault> {
        let mut squares = SquareSum::default();
        let unscale = 1.0 / self.scale.scale;
        for block in &mut self.blocks {
            block.add_squares(&mut squares, unscale, self.place.tensor);
        }
        let (squares, loss) = self.agree(squares, call)?;
        let norm = squares.norm();
        let rate = self.job.recipe.schedule.at(self.updates);
        if let Some(norm) = norm {
            let factor = unscale * clip_factor(norm, self.job.recipe.clip);
            let by = (rate, factor, self.updates);
            self.blocks.iter_mut().for_each(|block| block.update(&self.job.recipe.rule, by));
            self.updates += 1;
        }
        self.scale.note(norm.is_none());
        (self.now.norm, self.now.rate, self.now.loss) = (norm, rate, loss);
        Ok(())
    }

    /// Joins the sums of squares of all ranks, and the losses of the ranks that have them: first
    /// those of lower ranks, each in the order of its micro-batches.
    fn agree(&self, own: SquareSum, call: &Call) -> Result<(SquareSum, f64), Fault> {
        let has_loss = self.place.tensor == 0;
        let losses = self.now.losses.values().filter(|_| has_loss);
        let mut message = own.to_bytes();
        losses.for_each(|loss| message.extend_from_slice(&loss.to_le_bytes()));
        let world = self.links.world();
        let all = world.all_to_all(vec![message; world.size()], call)?;
        let (mut squares, mut loss) = (SquareSum::default(), 0.0);
        for (from, message) in (0..).zip(&all) {
            let (head, tail) = message.split_at(message.len().min(17));
            let (losses, rest) = tail.as_chunks();
            let part = SquareSum::from_bytes(head).filter(|_| rest.is_empty());
            let damaged = || Problem::Damaged { from, what: "it is no norm with losses" };
            let part = part.ok_or_else(|| self.fault(call, damaged()))?;
            // Replicas that train apart have a norm each.
            let place = Place::new(from, &self.job.decision.degrees);
            if self.job.decision.local_steps.is_none() || place.data == self.place.data {
                squares.join(part);
            }
            losses.iter().for_each(|raw| loss += f64::from_le_bytes(*raw));
        }
        Ok((squares, loss * self.job.batches.per_prediction(self.step)))
    }
}

fn block_of(tables: &Tables, action: &Action) -> Option<usize> {
    action.at.layers.and_then(|span| tables.blocks.get(&span).copied())
}

impl Tables {
    fn new(class: &Class, shape: &Shape) -> Self {
        let mut tables = Self::default();
        let passes = || class.actions.iter().filter(|action| action.is_pass());
        let spans: BTreeSet<LayerSpan> = passes().filter_map(|action| action.at.layers).collect();
        tables.blocks = spans.into_iter().zip(0..).collect();
        let block = |action: &Action| action.at.layers.and_then(|s| tables.blocks.get(&s).copied());
        let kind = |id: BufferId| class.buffer(id).map(|buffer| buffer.kind);
        let is_shared = |id| matches!(kind(id), Some(BufferKind::Gradient | BufferKind::Weights));
        let of_buffer = passes().flat_map(|action| {
            let block = block(action);
            let ids = action.reads.iter().chain(&action.writes).map(|access| access.buffer);
            ids.filter(|&id| is_shared(id)).filter_map(move |id| Some((id, block?)))
        });
        // A table that input and output of this rank share is the input's, whoever comes last.
        let mut first: BTreeMap<BufferId, usize> = BTreeMap::new();
        for (id, block) in of_buffer {
            first.entry(id).and_modify(|known| *known = block.min(*known)).or_insert(block);
        }
        let of_buffer = first;
        let again = passes().filter(|action| action.op == Op::Recompute);
        let recomputed = again.filter_map(block).collect();
        let exchanged = class.actions.iter().filter(|action| moves_rows(action.op));
        let with_rows = exchanged.filter_map(|action| action.at.layers).collect();
        let routed = class.actions.iter().filter(|a| matches!(a.op, Op::RouteRows(_)));
        let owned = routed.filter_map(|action| action.at.layers).collect();
        let mut tables = Self { of_buffer, recomputed, with_rows, owned, ..tables };
        for action in class.actions.iter().filter(|action| action.op == Op::Delta) {
            let read = action.reads.iter().filter_map(|a| tables.of_buffer.get(&a.buffer));
            let blocks: BTreeSet<usize> = read.copied().collect();
            tables.fragments.insert(action.at.part, blocks.into_iter().collect());
        }
        for action in passes() {
            if let (Some(at), age @ 1..) = (block_of(&tables, action), shape.age(action.at.stage)) {
                tables.ages.insert(at, age as usize);
            }
        }
        tables
    }
}
