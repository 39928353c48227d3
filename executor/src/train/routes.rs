//! A token table whose rows are with their owners: each replica owns consecutive rows, and holds
//! copies of those that its tokens need.
//!
//! Per micro-batch, token ids go to the owners and rows come back before the forward pass;
//! gradients
//! of rows go to the owners after the backward pass, which add them up in the order of the ranks.
//! Of a repeated token the first row carries the sum and the others zeros, as an all-to-all of one
//! row per token sends them.

use super::rank::Rank;
use super::rows::{Table, encode};
use crate::comm::{Call, Fault, part};
use crate::matrix::add;
use plan::program::Action;
use plan::work::Pass;
use std::collections::BTreeSet;

/// What is under way for one micro-batch of a table.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// Rows that each owner was asked for.
    asked: Vec<Vec<u32>>,
    /// What came from each replica.
    came: Vec<Vec<u8>>,
    /// Gradients of the rows that were asked for, owner by owner.
    gradients: Vec<Vec<f32>>,
}

/// The replica that owns a row: the one whose part holds it.
fn owner(id: u32, table: &Table, n: usize) -> usize {
    let holds = |i: &usize| part(table.rows, n, *i).contains(&(id as usize));
    (0..n).find(holds).unwrap_or(0)
}

impl Rank<'_> {
    pub(super) fn route(&mut self, pass: Pass, action: &Action, call: &Call) -> Result<(), Fault> {
        match (pass, action.at.part) {
            (Pass::Forward, 0) => self.ask_for_rows(action, call),
            (Pass::Forward, _) => self.answer_with_rows(action, call),
            (Pass::Backward, _) => self.return_gradients(action, call),
        }
    }

    fn ask_for_rows(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let (at, micro) = (self.block(action, call)?, self.micro(action, call)?);
        let (table, group) = (self.table(at, call)?, self.exchange_group(call)?);
        let batch = self.tokens(micro, call)?;
        let mut asked = vec![Vec::new(); group.size()];
        for id in self.touched_by(at, &table, &batch) {
            asked[owner(id, &table, group.size())].push(id);
        }
        let came = group.all_to_all(asked.iter().map(|ids| encode(ids)).collect(), call)?;
        self.now.routes.insert((at, micro), Route { asked, came, gradients: Vec::new() });
        Ok(())
    }

    fn answer_with_rows(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let (at, micro) = (self.block(action, call)?, self.micro(action, call)?);
        let (table, group) = (self.table(at, call)?, self.exchange_group(call)?);
        let wire = self.wire();
        self.blocks[at].unpack();
        let missing = || self.unsupported(call, "nobody has asked for rows");
        let route = self.now.routes.get(&(at, micro)).ok_or_else(missing)?;
        let weights = &self.blocks[at].weights;
        let mut answers = Vec::new();
        for (from, ids) in self.ids(&route.came, call)?.into_iter().enumerate() {
            let rows = ids.into_iter().map(|id| table.row(id).and_then(|r| weights.get(r)));
            let rows: Option<Vec<&[f32]>> = rows.collect();
            let what = "it asks for a token that is not in the table";
            let rows = rows.ok_or_else(|| self.damaged(call, from, what))?;
            answers.push(wire.encode(&rows.concat()));
        }
        let asked = route.asked.clone();
        let came = group.all_to_all(answers, call)?;
        for (from, (ids, message)) in asked.iter().zip(&came).enumerate() {
            let mut values = vec![0.0; ids.len() * table.width];
            if !wire.read(message, &mut values) {
                return Err(self.damaged(call, from, "it is not the rows that were asked for"));
            }
            // An owner's rows stay as they are, however they would travel.
            if from == group.place() {
                continue;
            }
            let weights = &mut self.blocks[at].weights;
            for (&id, row) in ids.iter().zip(values.chunks_exact(table.width)) {
                if let Some(place) = table.row(id) {
                    weights[place].copy_from_slice(row);
                }
            }
        }
        Ok(())
    }

    /// Takes the rows' gradients out of a micro-batch's, for their owners.
    pub(super) fn take_routed(
        &mut self,
        at: usize,
        micro: u32,
        gradient: &mut [f32],
        call: &Call,
    ) -> Result<(), Fault> {
        if !self.tables.owned.contains(&self.blocks[at].span) {
            return Ok(());
        }
        let table = self.table(at, call)?;
        let route = self.now.routes.entry((at, micro)).or_default();
        let mut seen = BTreeSet::new();
        let mut take = |&id: &u32| match table.row(id) {
            Some(place) if seen.insert(id) => gradient[place].to_vec(),
            _ => vec![0.0; table.width],
        };
        route.gradients =
            route.asked.iter().map(|ids| ids.iter().flat_map(&mut take).collect()).collect();
        gradient[table.range].fill(0.0);
        Ok(())
    }

    fn return_gradients(&mut self, action: &Action, call: &Call) -> Result<(), Fault> {
        let (at, micro) = (self.block(action, call)?, self.micro(action, call)?);
        let (group, wire) = (self.exchange_group(call)?, self.wire());
        let missing = || self.unsupported(call, "no gradients of rows are there");
        let route = self.now.routes.get(&(at, micro)).ok_or_else(missing)?;
        let pairs = route.asked.iter().zip(&route.gradients);
        let message = |(ids, values): (&Vec<u32>, &Vec<f32>)| {
            let mut message = encode(ids);
            wire.write(values, &mut message);
            message
        };
        let came = group.all_to_all(pairs.map(message).collect(), call)?;
        self.now.routes.insert((at, micro), Route { came, ..Route::default() });
        Ok(())
    }

    /// Adds the gradients of the rows that this rank owns.
    pub(super) fn add_routed(
        &mut self,
        at: usize,
        action: &Action,
        call: &Call,
    ) -> Result<(), Fault> {
        let (micro, wire) = (self.micro(action, call)?, self.wire());
        let table = self.table(at, call)?;
        let came = self.now.routes.remove(&(at, micro)).unwrap_or_default().came;
        for (from, message) in came.iter().enumerate() {
            let what = "it is no list of rows";
            let rows = wire.rows(message, table.width);
            let (ids, values) = rows.ok_or_else(|| self.damaged(call, from, what))?;
            let gradient = self.blocks[at].table_gradient(table.shared);
            for (id, row) in ids.into_iter().zip(values.chunks_exact(table.width)) {
                if let Some(place) = table.place(id) {
                    add(&mut gradient[place], row);
                }
            }
        }
        Ok(())
    }
}
