//! Ranks that share a layer, as layers see them: a communicator and the call that it is used in.

use crate::comm::{Call, Communicator, Elements, Fault, Problem, Reduction};
use crate::float::Float;
use crate::model::Groups;
use crate::ops::across::Across;
use std::sync::Arc;

/// A group, or nobody else.
pub(super) struct LayerGroup {
    pub group: Option<Arc<dyn Communicator>>,
    pub call: Call,
}

/// The groups with which a layer is shared.
pub(super) struct LayerGroups {
    pub tensor: LayerGroup,
    pub context: LayerGroup,
    pub expert: LayerGroup,
}

impl LayerGroups {
    pub fn all(&self) -> Groups<'_, f32> {
        Groups { tensor: &self.tensor, context: &self.context, expert: &self.expert }
    }
}

impl LayerGroup {
    fn with(&self, run: impl FnOnce(&dyn Communicator) -> Result<(), Fault>) -> Result<(), Fault> {
        self.group.as_ref().map_or(Ok(()), |group| run(group.as_ref()))
    }
}

impl Across<f32> for LayerGroup {
    fn place(&self) -> usize {
        self.group.as_ref().map_or(0, |group| group.place())
    }

    fn size(&self) -> usize {
        self.group.as_ref().map_or(1, |group| group.size())
    }

    fn sum(&self, values: &mut [f32]) -> Result<(), Fault> {
        self.with(|group| group.all_reduce(Elements::F32(values), Reduction::Sum, &self.call))
    }

    fn max(&self, values: &mut [f32]) -> Result<(), Fault> {
        self.with(|group| group.all_reduce(Elements::F32(values), Reduction::Max, &self.call))
    }

    fn gather(&self, parts: &mut [f32]) -> Result<(), Fault> {
        self.with(|group| group.all_gather(Elements::F32(parts), &self.call))
    }

    fn scatter(&self, parts: &mut [f32]) -> Result<(), Fault> {
        self.with(|group| group.reduce_scatter(Elements::F32(parts), &self.call))
    }

    fn exchange(&self, messages: Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, Fault> {
        let Some(group) = &self.group else { return Ok(messages) };
        let encode = |values: Vec<f32>| {
            let mut bytes = Vec::new();
            f32::write(&values, &mut bytes);
            bytes
        };
        let sent = messages.into_iter().map(encode).collect();
        let came = group.all_to_all(sent, &self.call)?;
        let decode = |(from, bytes): (usize, Vec<u8>)| {
            if !bytes.len().is_multiple_of(f32::BYTES) {
                let what = "it is no whole number of elements";
                let problem = Problem::Damaged { from: group.rank(from), what };
                return Err(Fault::new(group.rank(group.place()), self.call.task, problem));
            }
            let mut values = vec![0.0; bytes.len() / f32::BYTES];
            f32::read(&bytes, &mut values);
            Ok(values)
        };
        (0..).zip(came).map(decode).collect()
    }
}
