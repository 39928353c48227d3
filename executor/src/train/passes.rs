//! Passes of blocks and messages between stages.

use super::layer_group::{LayerGroup, LayerGroups};
use super::rank::Rank;
use crate::comm::{Call, Communicator, Elements, Fault, Problem, Reduction, part};
use crate::data::Slice;
use crate::float::{Float, from_bf16, round_to_bf16, to_bf16};
use crate::matrix::Matrix;
use crate::model::{Kept, MicroBatch, Output, border_width};
use plan::mesh::Axis;
use plan::program::{Action, Peers, Purpose};
use plan::work::Pass;
use std::sync::Arc;

impl Rank<'_> {
    /// The ranks with which layers are shared.
    fn layer_groups(&self, call: &Call) -> LayerGroups {
        let along = |axis| {
            let group = self.links.with(Purpose::Layer(axis)).cloned();
            LayerGroup { group, call: *call }
        };
        LayerGroups {
            tensor: along(Axis::Tensor),
            context: along(Axis::Context),
            expert: along(Axis::Expert),
        }
    }

    pub(super) fn micro(&self, action: &Action, call: &Call) -> Result<u32, Fault> {
        let missing = || self.unsupported(call, "a pass names no micro-batch");
        action.at.micro_batch.ok_or_else(missing)
    }

    /// The tokens of a micro-batch, read when they are first needed.
    pub(super) fn tokens(&mut self, micro: u32, call: &Call) -> Result<Arc<MicroBatch>, Fault> {
        if let Some(batch) = self.now.batches.get(&micro) {
            return Ok(batch.clone());
        }
        let job = self.job;
        let pieces = job.program.time_chunks.max(1);
        let degrees = job.decision.degrees;
        let seeds = u64::from(job.recipe.seeds.count(degrees.dp));
        let slice = Slice {
            step: self.step,
            sequences: job.sequences(self.place.data, micro / pieces),
            piece: match degrees.cp {
                0 | 1 => ((micro % pieces) as usize, pieces as usize),
                ranks => (self.place.context as usize, ranks as usize),
            },
            // Replicas that train apart have their own means.
            loss_scale: match job.decision.local_steps {
                Some(_) => self.scale.scale * f64::from(degrees.dp),
                None => self.scale.scale,
            },
            draw: u64::from(self.place.data) * seeds / u64::from(degrees.dp),
        };
        let read = job.batches.micro_batch(&slice);
        let batch = read.map_err(|e| self.fault(call, Problem::System(e.to_string())))?;
        let batch = Arc::new(batch);
        self.now.batches.insert(micro, batch.clone());
        Ok(batch)
    }

    pub(super) fn forward(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let (at, micro) = (self.block(action, call)?, self.micro(action, call)?);
        let batch = self.tokens(micro, call)?;
        let groups = self.layer_groups(call);
        let sequences = micro / self.job.program.time_chunks.max(1);
        let block = &self.blocks[at];
        let x = self.now.forward.remove(&(block.span.first, micro));
        if block.span.first > 0 && x.is_none() {
            return Err(self.unsupported(call, "no activations are there for this pass"));
        }
        let start = || block.stage.start(batch.sequences);
        let carries = self.carries.entry((at, sequences)).or_insert_with(start);
        let again = self.tables.recomputed.contains(&at);
        let (out, kept) =
            block.stage.forward(&block.weights, &batch, groups.all(), x, carries, &|_| again)?;
        match out {
            Output::Activation(mut y) => {
                self.round(&mut y);
                self.now.forward.insert((block.span.last + 1, micro), y);
            }
            Output::Loss(loss) => {
                self.now.losses.insert(micro, loss);
            }
        }
        self.keep(at, micro, kept, batch);
        Ok(())
    }

    /// Keeps a pass for its backward pass; where gradients are late, what becomes due is older.
    fn keep(&mut self, at: usize, micro: u32, kept: Kept<f32>, batch: Arc<MicroBatch>) {
        let Some(&age) = self.tables.ages.get(&at) else {
            self.now.kept.insert((at, micro), kept);
            return;
        };
        let waiting = self.late.kept.entry((at, micro)).or_default();
        waiting.push_back((kept, batch));
        if waiting.len() > age
            && let Some((kept, batch)) = waiting.pop_front()
        {
            self.now.kept.insert((at, micro), kept);
            self.now.older.insert((at, micro), batch);
        }
    }

    /// The tokens that a backward pass is about.
    fn tokens_of(&mut self, at: usize, micro: u32, call: &Call) -> Result<Arc<MicroBatch>, Fault> {
        match self.now.older.get(&(at, micro)) {
            Some(batch) => Ok(batch.clone()),
            None => self.tokens(micro, call),
        }
    }

    /// Whether no gradient has come that far yet: the first steps of a pipeline that does not wait.
    fn is_early(&self, at: usize, micro: u32) -> bool {
        self.tables.ages.contains_key(&at) && !self.now.kept.contains_key(&(at, micro))
    }

    pub(super) fn offload(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let key = (self.block(action, call)?, self.micro(action, call)?);
        // One copy per buffer of a pass: the first takes all that was kept of it.
        if let Some(kept) = self.now.kept.remove(&key) {
            self.now.away.insert(key, kept);
        }
        Ok(())
    }

    pub(super) fn reload(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let key = (self.block(action, call)?, self.micro(action, call)?);
        if let Some(kept) = self.now.away.remove(&key) {
            self.now.kept.insert(key, kept);
        }
        Ok(())
    }

    pub(super) fn recompute(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let (at, micro) = (self.block(action, call)?, self.micro(action, call)?);
        if self.is_early(at, micro) {
            return Ok(());
        }
        let (batch, groups) = (self.tokens_of(at, micro, call)?, self.layer_groups(call));
        let kept = self.now.kept.remove(&(at, micro));
        let missing = || self.unsupported(call, "nothing was kept for this pass");
        let kept = kept.ok_or_else(missing)?;
        let block = &self.blocks[at];
        let kept = block.stage.again(&block.weights, &batch, groups.all(), kept)?;
        self.now.kept.insert((at, micro), kept);
        Ok(())
    }

    /// Gradient of the input; of the weights too unless they come in an action of their own.
    pub(super) fn backward(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let (at, micro) = (self.block(action, call)?, self.micro(action, call)?);
        if self.is_early(at, micro) {
            return self.backward_of_nothing(at, micro, call);
        }
        let (batch, groups) = (self.tokens_of(at, micro, call)?, self.layer_groups(call));
        let kept = self.now.kept.remove(&(at, micro));
        let missing = || self.unsupported(call, "nothing was kept for this pass");
        let kept = kept.ok_or_else(missing)?;
        let block = &self.blocks[at];
        let from = match self.tables.ages.contains_key(&at) && self.ends_stage(action) {
            true => &mut self.late.backward,
            false => &mut self.now.backward,
        };
        let dy = from.remove(&(block.span.last + 1, micro));
        if block.span.last + 1 < self.job.model.layers() && dy.is_none() {
            return Err(self.unsupported(call, "no gradient is there for this pass"));
        }
        let sequences = micro / self.job.program.time_chunks.max(1);
        let start = || block.stage.start(batch.sequences);
        let carries = self.now.carries.entry((at, sequences)).or_insert_with(start);
        let (dx, left) =
            block.stage.backward(&block.weights, &batch, groups.all(), kept, dy, carries)?;
        if let Some(mut dx) = dx {
            self.round(&mut dx);
            self.now.backward.insert((block.span.first, micro), dx);
        }
        self.now.left.insert((at, micro), left);
        if action.op == plan::program::Op::Backward {
            self.backward_weight(action, call)?;
        }
        Ok(())
    }

    /// Zeros, for whoever waits for a gradient that does not exist yet.
    fn backward_of_nothing(&mut self, at: usize, micro: u32, call: &Call) -> Result<(), Fault> {
        let batch = self.tokens(micro, call)?;
        let block = &mut self.blocks[at];
        let zeros = block.gradient.blank(block.stage.elements());
        block.gradient.add(micro, zeros);
        let first = block.span.first;
        if self.tables.tied.is_some_and(|(table, _)| table == at) {
            self.now.tied_first.insert(micro);
        }
        if first > 0 {
            let dx = Matrix::zeros(self.border_rows(&batch), border_width(&self.job.model, first));
            self.now.backward.insert((first, micro), Arc::new(dx));
        }
        Ok(())
    }

    /// Whether a pass is about the last layers of its stage.
    fn ends_stage(&self, action: &Action) -> bool {
        let stage = self.job.decision.stages.get(action.at.stage as usize);
        stage.map(|s| s.layers.last) == action.at.layers.map(|span| span.last)
    }

    /// Rows of a border: the positions that a rank holds between layers.
    fn border_rows(&self, batch: &MicroBatch) -> usize {
        let apart = match self.job.decision.sequence_parallel {
            true => self.job.decision.degrees.tp as usize,
            false => 1,
        };
        batch.inputs.len() / apart
    }

    pub(super) fn backward_weight(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let (at, micro) = (self.block(action, call)?, self.micro(action, call)?);
        let batch = self.tokens_of(at, micro, call)?;
        let left = self.now.left.remove(&(at, micro));
        let missing = || self.unsupported(call, "no backward pass left anything");
        let left = left.ok_or_else(missing)?;
        let block = &mut self.blocks[at];
        let mut gradient = block.gradient.blank(block.stage.elements());
        block.stage.add(&block.weights, &batch, left, &mut gradient);
        self.sum_positions(at, &mut gradient, call)?;
        let copy = self.blocks[at].copy.clone();
        // Both copies of a table on one rank: one gradient, summed per micro-batch.
        match self.tables.tied {
            Some((first, second)) if at == second && first != second => {
                let other = gradient[copy].to_vec();
                if self.now.tied_first.contains(&micro) {
                    let first = &mut self.blocks[first];
                    let elements = first.stage.elements();
                    crate::matrix::add(&mut first.gradient.total(elements)[..other.len()], &other);
                } else {
                    self.now.tied.insert(micro, other);
                }
            }
            Some((first, _)) if at == first => {
                self.now.tied_first.insert(micro);
                if let Some(other) = self.now.tied.remove(&micro) {
                    crate::matrix::add(&mut gradient[..other.len()], &other);
                }
            }
            _ => {}
        }
        self.take_routed(at, micro, &mut gradient, call)?;
        self.blocks[at].add_gradient(micro, gradient);
        Ok(())
    }

    /// Sums gradients of which each tensor-parallel rank has computed a summand, from the positions
    /// that it holds between layers.
    fn sum_positions(&self, at: usize, gradient: &mut [f32], call: &Call) -> Result<(), Fault> {
        let summed = || self.blocks[at].stage.placed().filter(|(p, _)| p.is_summed);
        let Some(group) = self.links.with(Purpose::Layer(Axis::Tensor)) else { return Ok(()) };
        let mut all: Vec<f32> = summed().flat_map(|(_, place)| gradient[place].to_vec()).collect();
        if all.is_empty() {
            return Ok(());
        }
        group.all_reduce(Elements::F32(&mut all), Reduction::Sum, call)?;
        let mut rest = &all[..];
        for (_, place) in summed() {
            let (part, tail) = rest.split_at(place.len());
            gradient[place].copy_from_slice(part);
            rest = tail;
        }
        Ok(())
    }

    /// What goes from layer to layer, as it is kept.
    fn round(&self, values: &mut Arc<Matrix<f32>>) {
        if self.job.is_rounded() {
            round_to_bf16(Arc::make_mut(values).data_mut());
        }
    }

    /// Layers behind and in front of a border, for a message of a stage.
    fn border(&self, pass: Pass, stage: u32, is_sender: bool) -> Option<u32> {
        let layers = self.job.decision.stages.get(stage as usize)?.layers;
        let is_end = (pass == Pass::Forward) == is_sender;
        Some(if is_end { layers.last + 1 } else { layers.first })
    }

    fn channel(&self, action: &Action, call: &Call) -> Result<Arc<dyn Communicator>, Fault> {
        let Peers::Channel { channel, .. } = action.peers else {
            return Err(self.unsupported(call, "a message has no channel"));
        };
        let found = self.links.channel(channel).cloned();
        found.ok_or_else(|| self.unsupported(call, "a message has no channel of this rank"))
    }

    /// The part of a border that this rank sends: its share of a tensor-parallel group, in which
    /// all hold the same; all of it where each holds other positions.
    fn share(&self, elements: usize) -> std::ops::Range<usize> {
        if self.job.decision.sequence_parallel {
            return 0..elements;
        }
        let tp = self.job.decision.degrees.tp as usize;
        part(elements, tp, self.place.tensor as usize)
    }

    pub(super) fn send(&mut self, pass: Pass, action: &Action, call: &Call) -> Result<(), Fault> {
        let (micro, channel) = (self.micro(action, call)?, self.channel(action, call)?);
        let missing = || self.unsupported(call, "there is nothing to send");
        let border = self.border(pass, action.at.stage, true).ok_or_else(missing)?;
        let store = match pass {
            Pass::Forward => &mut self.now.forward,
            Pass::Backward => &mut self.now.backward,
        };
        let values = store.remove(&(border, micro));
        let values = values.ok_or_else(|| self.unsupported(call, "there is nothing to send"))?;
        let values = &values.data()[self.share(values.data().len())];
        let mut message = Vec::new();
        if self.job.is_rounded() {
            message = values.iter().flat_map(|&v| to_bf16(v).to_le_bytes()).collect();
        } else {
            f32::write(values, &mut message);
        }
        channel.send(1, message, call)
    }

    pub(super) fn receive(
        &mut self,
        pass: Pass,
        action: &Action,
        call: &Call,
    ) -> Result<(), Fault> {
        let (micro, channel) = (self.micro(action, call)?, self.channel(action, call)?);
        let missing = || self.unsupported(call, "a message belongs to no stage");
        let border = self.border(pass, action.at.stage, false).ok_or_else(missing)?;
        let batch = self.tokens(micro, call)?;
        let cols = border_width(&self.job.model, border);
        let rows = self.border_rows(&batch);
        let mut values = Matrix::zeros(rows, cols);
        let share = self.share(rows * cols);
        let width = if self.job.is_rounded() { 2 } else { f32::BYTES };
        let message = channel.receive(0, share.len() * width, call)?;
        let into = &mut values.data_mut()[share];
        if self.job.is_rounded() {
            let pairs = into.iter_mut().zip(message.as_chunks().0);
            pairs.for_each(|(v, raw)| *v = from_bf16(u16::from_le_bytes(*raw)));
        } else {
            f32::read(&message, into);
        }
        self.put(pass, border, micro, Arc::new(values));
        self.now.arrived = Some((pass, border, micro));
        Ok(())
    }

    fn put(&mut self, pass: Pass, border: u32, micro: u32, values: Arc<Matrix<f32>>) {
        let store = match pass {
            Pass::Forward => &mut self.now.forward,
            Pass::Backward => &mut self.now.backward,
        };
        store.insert((border, micro), values);
    }

    /// Puts the parts of a border together that the members of a tensor-parallel group received.
    pub(super) fn join_parts(&mut self, _: &Action, call: &Call) -> Result<(), Fault> {
        let arrived = self.now.arrived.take();
        let missing = || self.unsupported(call, "no part of a border has arrived");
        let (pass, border, micro) = arrived.ok_or_else(missing)?;
        let store = match pass {
            Pass::Forward => &mut self.now.forward,
            Pass::Backward => &mut self.now.backward,
        };
        let values = store.remove(&(border, micro));
        let values = values.ok_or_else(|| self.unsupported(call, "a border is not there"))?;
        let mut values = Arc::unwrap_or_clone(values);
        if let Some(group) = self.links.with(Purpose::Layer(Axis::Tensor)) {
            group.all_gather(Elements::F32(values.data_mut()), call)?;
        }
        self.put(pass, border, micro, Arc::new(values));
        Ok(())
    }
}
