//! What was measured, brought together at rank 0.

use super::rank::Rank;
use crate::comm::{Call, Fault, Problem, Task};
use crate::record::{Recorder, decode, encode};
use plan::record::StepSamples;

const TASK: Task = Task::Other("collecting what was measured");

impl Rank<'_> {
    /// The samples of all ranks at rank 0, those of lower ranks first; nothing at the others, and
    /// no message where nothing is recorded.
    pub(super) fn collect_samples(&mut self) -> Result<Vec<StepSamples>, Fault> {
        let Some(own) = self.recorder.as_mut().map(Recorder::take) else { return Ok(Vec::new()) };
        let call = Call { task: TASK, limit: self.job.recipe.limit };
        let world = self.links.world();
        let mut messages = vec![Vec::new(); world.size()];
        messages[0] = encode(&own);
        let all = world.all_to_all(messages, &call)?;
        if self.place.rank > 0 {
            return Ok(Vec::new());
        }
        let mut samples = Vec::new();
        for (from, message) in (0..).zip(&all) {
            let damaged = || Problem::Damaged { from, what: "they are no samples" };
            samples.extend(decode(message).ok_or_else(|| self.fault(&call, damaged()))?);
        }
        Ok(samples)
    }
}
