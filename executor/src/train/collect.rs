//! Collectives on gradients and weights.

use super::rank::Rank;
use crate::comm::{Call, Communicator, Elements, Fault, Reduction};
use plan::program::{Action, Peers, Purpose};
use std::sync::Arc;

impl Rank<'_> {
    /// Purpose and communicator of an action on gradients or weights.
    fn shared_group(
        &self,
        action: &Action,
        call: &Call,
    ) -> Result<(Purpose, Arc<dyn Communicator>), Fault> {
        let Peers::Group { communicator, .. } = action.peers else {
            return Err(self.unsupported(call, "a collective has no group"));
        };
        let purpose = self.job.program.communicators.get(communicator.0 as usize);
        let found = purpose.map(|c| c.purpose).zip(self.links.group(communicator).cloned());
        found.ok_or_else(|| self.unsupported(call, "a collective has no group of this rank"))
    }

    /// Sums gradients over replicas: whole, or each rank its part.
    pub(super) fn reduce(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let (purpose, group) = self.shared_group(action, call)?;
        for at in self.blocks_read(action).into_iter().rev() {
            let block = &mut self.blocks[at];
            let elements = block.stage.elements();
            if block.zero >= 2 {
                block.take_fresh();
            }
            for i in 0..block.shared.len() {
                let shared = &block.shared[i];
                if shared.purpose != purpose {
                    continue;
                }
                let (range, own) = (shared.range.clone(), shared.own.clone());
                match block.zero {
                    0 => {
                        let data = Elements::F32(&mut block.gradient.total(elements)[range]);
                        group.all_reduce(data, Reduction::Sum, call)?;
                    }
                    1 => {
                        let data = Elements::F32(&mut block.gradient.total(elements)[range]);
                        group.reduce_scatter(data, call)?;
                    }
                    _ => {
                        block.fresh.resize(elements, 0.0);
                        group.reduce_scatter(Elements::F32(&mut block.fresh[range]), call)?;
                        let sum = &mut block.reduced[i];
                        sum.resize(own.len(), 0.0);
                        crate::matrix::add(sum, &block.fresh[own]);
                    }
                }
            }
        }
        Ok(())
    }

    /// Collects weights: those of a block that are sharded between uses, or those that replicas
    /// have each updated a part of.
    pub(super) fn gather(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let (purpose, group) = self.shared_group(action, call)?;
        let read = self.blocks_read(action);
        let blocks = if read.is_empty() {
            let at = self.block(action, call)?;
            self.blocks[at].uses += 1;
            std::iter::once(at).collect()
        } else {
            read
        };
        for at in blocks {
            let block = &mut self.blocks[at];
            block.unpack();
            for shared in block.shared.iter().filter(|shared| shared.purpose == purpose) {
                let data = Elements::F32(&mut block.weights[shared.range.clone()]);
                group.all_gather(data, call)?;
            }
        }
        Ok(())
    }

    /// Gives collected weights up, once nobody uses them.
    pub(super) fn release(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let at = self.block(action, call)?;
        let block = &mut self.blocks[at];
        block.uses = block.uses.saturating_sub(1);
        if block.uses == 0 {
            block.weights = Vec::new();
        }
        Ok(())
    }

    /// Sums the gradients of both copies of a table; the first stage's comes first.
    pub(super) fn reduce_tied(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let (_, group) = self.shared_group(action, call)?;
        let holds = |name: &str, copy: bool| {
            let is = move |p: &crate::model::Parameter| {
                if copy { p.copy_of.is_some() } else { p.name == name }
            };
            let find = |(i, block): (usize, &super::block::Block)| {
                let mut placed = block.stage.placed();
                placed.find(|(p, _)| is(p)).map(|(_, place)| (i, place))
            };
            self.blocks.iter().enumerate().find_map(find)
        };
        let is_first = group.place() == 0;
        let found = holds("embedding.table", !is_first);
        let (at, place) = found.ok_or_else(|| self.unsupported(call, "the table is not here"))?;
        let block = &mut self.blocks[at];
        let missing = "a table that two stages hold is not shared";
        let Some(gradient) = block.tied_gradient(&place) else {
            return Err(self.unsupported(call, missing));
        };
        group.all_reduce(Elements::F32(gradient), Reduction::Sum, call)
    }

    /// The second copy of a table on this rank becomes the first again.
    pub(super) fn refresh_copy(&mut self) {
        let Some((first, second)) = self.tables.tied else { return };
        let copy = self.blocks[second].copy.clone();
        let table = self.blocks[first].weights[..copy.len()].to_vec();
        self.blocks[second].weights[copy].copy_from_slice(&table);
    }
}
