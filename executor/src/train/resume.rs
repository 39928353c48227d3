//! What a rank shares before it starts and when it stops: digests, and its part of a checkpoint.

use super::block::Block;
use super::outer::Meeting;
use super::rank::Rank;
use super::run::RunError;
use crate::checkpoint::{Checkpoint, CheckpointError, Tensor};
use crate::comm::{Call, Fault, Ledger, Problem, Task};
use crate::float::Float;
use crate::model::Parameter;
use plan::program::Purpose;
use std::collections::BTreeMap;

/// Parts of tensors: name, shape of the whole, index of every element, values.
struct Piece {
    name: String,
    shape: [usize; 2],
    indices: Vec<u64>,
    values: Vec<f32>,
}

impl Rank<'_> {
    fn other(&self, what: &'static str) -> Call {
        Call { task: Task::Other(what), limit: self.job.recipe.limit }
    }

    /// Steps taken so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// What this rank sent on each communicator of the program's table.
    #[must_use]
    pub fn ledgers(&self) -> Vec<(Purpose, Ledger)> {
        self.links.ledgers()
    }

    /// Makes sure that all ranks run the same program: otherwise they would wait for each other in
    /// vain.
    ///
    /// # Errors
    /// Another rank runs another one.
    pub fn compare_digests(&self) -> Result<(), Fault> {
        let call = self.other("comparing programs");
        let ours = self.job.digest();
        let world = self.links.world();
        let all = world.all_to_all(vec![ours.to_le_bytes().to_vec(); world.size()], &call)?;
        for (peer, theirs) in all.iter().enumerate() {
            let mut raw = [0; 8];
            raw.iter_mut().zip(theirs).for_each(|(a, &b)| *a = b);
            let theirs = u64::from_le_bytes(raw);
            if theirs != ours {
                let problem = Problem::OtherProgram { peer: peer as u32, ours, theirs };
                return Err(self.fault(&call, problem));
            }
        }
        Ok(())
    }

    /// The state of the whole model, on rank 0.
    ///
    /// # Errors
    /// A rank failed.
    pub fn checkpoint(&mut self) -> Result<Option<Checkpoint>, Fault> {
        let call = self.other("writing a checkpoint");
        let mut message = Vec::new();
        self.pieces().iter().for_each(|piece| piece.write(&mut message));
        self.carried().iter().for_each(|piece| piece.write(&mut message));
        let world = self.links.world();
        let mut messages = vec![Vec::new(); world.size()];
        messages[0] = message;
        let all = world.all_to_all(messages, &call)?;
        if self.place.rank > 0 {
            return Ok(None);
        }
        let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
        for message in &all {
            let mut rest = &message[..];
            while !rest.is_empty() {
                let piece = Piece::read(&mut rest);
                let damaged = || Problem::Unsupported("a piece of a checkpoint is damaged".into());
                piece.ok_or_else(|| self.fault(&call, damaged()))?.put(&mut tensors);
            }
        }
        Ok(Some(Checkpoint {
            model: self.job.model.spec.name.clone(),
            step: self.step,
            updates: self.updates,
            seed: self.job.recipe.seed,
            scale: Some(self.scale),
            ramp: self.job.recipe.ramp,
            tensors,
        }))
    }

    /// What this rank alone contributes: its parts of weights and state, without second copies.
    fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let replica = self.replica();
        for block in &self.blocks {
            let all = 0..block.stage.elements();
            let meeting = block.meeting.iter().filter(|_| self.place.data == 0);
            for (name, values) in meeting.flat_map(met) {
                pieces.extend(self.cut(block, all.clone(), name, values));
            }
            for (i, shared) in block.shared.iter().enumerate() {
                if !shared.is_sharded && shared.place > 0 {
                    continue;
                }
                let own = shared.own.clone();
                let weights = block.own_weights(i);
                let slots = self.job.recipe.rule.slots().iter();
                let states = slots.zip(block.state(i));
                let states = states.map(|(slot, v)| (format!("{replica}{slot}/"), &v[..]));
                for (prefix, values) in std::iter::once((replica.clone(), weights)).chain(states) {
                    pieces.extend(self.cut(block, own.clone(), &prefix, values));
                }
            }
        }
        pieces
    }

    /// In front of the names of what a replica alone holds: where replicas train apart, of all but
    /// the first.
    fn replica(&self) -> String {
        match (self.job.decision.local_steps, self.place.data) {
            (None, _) | (_, 0) => String::new(),
            (Some(_), replica) => format!("replica/{replica}/"),
        }
    }

    /// The sequences of a micro-batch of sequences, among those of a step.
    fn sequences(&self, number: u32) -> std::ops::Range<u64> {
        self.job.sequences(self.place.data, number)
    }

    /// What layers carry from text to text, one row per sequence.
    fn carried(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (&(block, number), carries) in &self.carries {
            let (stage, sequences) = (&self.blocks[block].stage, self.sequences(number));
            let each = (sequences.end - sequences.start) as usize;
            for (layer, carry) in carries.0.iter().enumerate() {
                for (part, matrix) in carry.parts().into_iter().enumerate() {
                    let held = matrix.data().len() / each.max(1);
                    let split = stage.carried_columns(layer, part);
                    if split.is_none() && self.place.tensor > 0 {
                        continue;
                    }
                    let (width, columns) = split.unwrap_or((held, 0..held));
                    let row =
                        |row: u64| columns.clone().map(move |c| row * width as u64 + c as u64);
                    pieces.push(Piece {
                        name: carry_name(self.blocks[block].span.first + layer as u32, part),
                        shape: [self.job.decision.batch.global_sequences as usize, width],
                        indices: sequences.clone().flat_map(row).collect(),
                        values: matrix.data().to_vec(),
                    });
                }
            }
        }
        pieces
    }

    /// Takes what layers carry out of a checkpoint. With another number of sequences per step they
    /// read other places of the text, and start afresh.
    fn restore_carries(&mut self, checkpoint: &Checkpoint) {
        let all = self.job.decision.batch.global_sequences as usize;
        for at in 0..self.blocks.len() {
            // What has not joined yet carries nothing.
            for number in 0..self.job.batches_at(checkpoint.step.saturating_sub(1)) {
                let sequences = self.sequences(number);
                let block = &self.blocks[at];
                let each = (sequences.end - sequences.start) as usize;
                let mut carries = block.stage.start(each);
                for (layer, carry) in carries.0.iter_mut().enumerate() {
                    let rows = |part: usize| {
                        let name = carry_name(block.span.first + layer as u32, part);
                        let tensor = checkpoint.tensors.get(&name)?;
                        let width = *tensor.shape.get(1).filter(|_| tensor.shape[0] == all)?;
                        let rows = sequences.start as usize * width..sequences.end as usize * width;
                        let values = tensor.values.get(rows)?;
                        let split = block.stage.carried_columns(layer, part);
                        let (_, columns) = split.unwrap_or((width, 0..width));
                        let row = |row: &[f32]| row.get(columns.clone()).map(<[f32]>::to_vec);
                        let kept: Option<Vec<_>> = values.chunks(width.max(1)).map(row).collect();
                        Some(kept?.concat())
                    };
                    let parts: Option<Vec<_>> = (0..carry.parts().len()).map(rows).collect();
                    if let Some(restored) = parts.and_then(|parts| carry.with(parts)) {
                        *carry = restored;
                    }
                }
                self.carries.insert((at, number), carries);
            }
        }
    }

    /// Cuts consecutive elements of a block into pieces of its parameters.
    fn cut(
        &self,
        block: &Block,
        own: std::ops::Range<usize>,
        prefix: &str,
        values: &[f32],
    ) -> Vec<Piece> {
        let counts = |p: &Parameter| p.copy_of.is_none() && (p.is_split || self.place.tensor == 0);
        let placed = block.stage.placed().filter(|(parameter, _)| counts(parameter));
        let overlap = placed.filter_map(|(parameter, at)| {
            let range = at.start.max(own.start)..at.end.min(own.end);
            (range.start < range.end).then_some((parameter, at, range))
        });
        let piece = |(parameter, at, range): (&Parameter, std::ops::Range<usize>, _)| {
            let range: std::ops::Range<usize> = range;
            let indices = parameter.indices().skip(range.start - at.start).take(range.len());
            Piece {
                name: format!("{prefix}{}", parameter.name),
                shape: [parameter.rows, parameter.cols],
                indices: indices.map(|index| index as u64).collect(),
                values: values[range.start - own.start..range.end - own.start].to_vec(),
            }
        };
        overlap.map(piece).collect()
    }

    /// Goes on from a checkpoint, whatever plan wrote it.
    ///
    /// # Errors
    /// The checkpoint is of another model, or something is missing in it.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), RunError> {
        let ours = self.job.model.spec.name.clone();
        if checkpoint.model != ours {
            let theirs = checkpoint.model.clone();
            return Err(CheckpointError::OtherModel { ours, theirs }.into());
        }
        let (ours, theirs) = (self.job.recipe.ramp, checkpoint.ramp);
        let to = self.job.decision.batch.global_sequences;
        if ours != theirs && theirs.is_none_or(|ramp| ramp.to == to) {
            return Err(CheckpointError::OtherRamp { ours, theirs }.into());
        }
        let slots = self.job.recipe.rule.slots();
        let has = |prefix: &str| checkpoint.tensors.keys().any(|name| name.starts_with(prefix));
        // Written by replicas that trained in step, all start from the same.
        let replica = Some(self.replica()).filter(|prefix| has(prefix)).unwrap_or_default();
        for block in &mut self.blocks {
            block.unpack();
            let mut weights = std::mem::take(&mut block.weights);
            fill(block, checkpoint, &replica, &mut weights)?;
            if self.job.decision.local_steps.is_some() {
                let mut meeting = Meeting::new(&weights);
                for (name, values) in met_mut(&mut meeting) {
                    if has(name) {
                        fill(block, checkpoint, name, values)?;
                    }
                }
                block.meeting = Some(meeting);
            }
            block.weights = weights;
            if block.masters.is_some() {
                block.round();
            }
            for (number, slot) in slots.iter().enumerate() {
                let mut whole = vec![0.0; block.stage.elements()];
                fill(block, checkpoint, &format!("{replica}{slot}/"), &mut whole)?;
                for i in 0..block.shared.len() {
                    let own = block.shared[i].own.clone();
                    block.state_mut(i)[number].copy_from_slice(&whole[own]);
                }
            }
            block.store();
        }
        self.restore_carries(checkpoint);
        (self.step, self.updates) = (checkpoint.step, checkpoint.updates);
        self.scale = checkpoint.scale.unwrap_or(self.scale);
        Ok(())
    }
}

/// What replicas that train apart have in common, with what stands before the names.
fn met(meeting: &Meeting) -> [(&'static str, &[f32]); 3] {
    let Meeting { anchor, velocity, delta } = meeting;
    [("outer/anchor/", anchor), ("outer/velocity/", velocity), ("outer/delta/", delta)]
}

fn met_mut(meeting: &mut Meeting) -> [(&'static str, &mut [f32]); 3] {
    let Meeting { anchor, velocity, delta } = meeting;
    [("outer/anchor/", anchor), ("outer/velocity/", velocity), ("outer/delta/", delta)]
}

fn carry_name(layer: u32, part: usize) -> String {
    format!("carry/{layer}/{part}")
}

/// Takes the parts of a block's parameters out of a checkpoint.
fn fill(
    block: &Block,
    checkpoint: &Checkpoint,
    prefix: &str,
    values: &mut [f32],
) -> Result<(), CheckpointError> {
    for (parameter, place) in block.stage.placed() {
        let name = format!("{prefix}{}", parameter.copy_of.unwrap_or(&parameter.name));
        let whole = checkpoint.tensor(&name, &[parameter.rows, parameter.cols])?;
        let into = values[place].iter_mut().zip(parameter.indices());
        into.for_each(|(value, index)| *value = whole[index]);
    }
    Ok(())
}

impl Piece {
    fn write(&self, bytes: &mut Vec<u8>) {
        let numbers = [self.name.len(), self.shape[0], self.shape[1], self.values.len()];
        numbers.iter().for_each(|&n| bytes.extend_from_slice(&(n as u64).to_le_bytes()));
        bytes.extend_from_slice(self.name.as_bytes());
        self.indices.iter().for_each(|index| bytes.extend_from_slice(&index.to_le_bytes()));
        f32::write(&self.values, bytes);
    }

    /// Reads the next piece. `None` where the bytes are none.
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let mut take = |n: usize| {
            let (part, rest) = bytes.split_at_checked(n)?;
            *bytes = rest;
            Some(part)
        };
        let number = |raw: &[u8]| raw.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b));
        let head: Vec<usize> = take(32)?.chunks(8).map(|raw| number(raw) as usize).collect();
        let name = String::from_utf8(take(head[0])?.to_vec()).ok()?;
        let indices = take(head[3].checked_mul(8)?)?.chunks(8).map(number).collect();
        let raw = take(head[3].checked_mul(4)?)?;
        let mut values = vec![0.0; head[3]];
        f32::read(raw, &mut values);
        Some(Self { name, shape: [head[1], head[2]], indices, values })
    }

    fn put(self, tensors: &mut BTreeMap<String, Tensor>) {
        let [rows, cols] = self.shape;
        let tensor = tensors
            .entry(self.name)
            .or_insert_with(|| Tensor { shape: vec![rows, cols], values: vec![0.0; rows * cols] });
        for (index, value) in self.indices.into_iter().zip(self.values) {
            if let Some(element) = tensor.values.get_mut(index as usize) {
                *element = value;
            }
        }
    }
}
