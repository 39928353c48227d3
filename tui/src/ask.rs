//! What is asked of the planner: everything that the explorer can change.

use plan::Dtype;
use plan::model::Batch;
use planner::request::{Objective, Pins};

/// A question, but for the model; what is `None` stays as the model's recipe or the planner's
/// default has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Devices.
    pub gpus: u32,
    /// The cluster, as it is typed.
    pub cluster: String,
    /// Sequences per step.
    pub batch: Option<Batch>,
    /// Tokens per sequence.
    pub sequence: Option<u64>,
    /// Format of products.
    pub dtype: Option<Dtype>,
    /// Share of the device memory that a plan may fill.
    pub max_memory: Option<f64>,
    /// What best means.
    pub objective: Objective,
    /// What is pinned.
    pub pins: Pins,
}

impl Ask {
    /// The best plan for some devices of a cluster, everything else free.
    #[must_use]
    pub fn new(gpus: u32, cluster: &str) -> Self {
        Self {
            gpus,
            cluster: cluster.into(),
            batch: None,
            sequence: None,
            dtype: None,
            max_memory: None,
            objective: Objective::StepTime,
            pins: Pins::default(),
        }
    }

    /// The flags that ask the same on the command line.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let batch = self.batch.map(|batch| match batch {
            Batch::Global(n) => format!("--global-batch {n}"),
            Batch::PerDevice(n) => format!("--local-batch {n}"),
        });
        let share = |share: f64| format!("--max-memory {}%", trimmed(share * 100.0));
        let objective = (self.objective != Objective::StepTime).then_some(self.objective);
        let mut flags = vec![format!("-g {}", self.gpus), format!("-c {}", self.cluster)];
        flags.extend(batch);
        flags.extend(self.sequence.map(|n| format!("--seq {n}")));
        flags.extend(self.dtype.map(|dtype| format!("--dtype {dtype}")));
        flags.extend(self.max_memory.map(share));
        flags.extend(objective.map(|goal| format!("--objective {}", goal.name())));
        flags.extend(self.pins.flags());
        flags
    }
}

/// A number with as many places as it needs, at most four.
#[must_use]
pub fn trimmed(number: f64) -> String {
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_its_flags() {
        let mut ask = Ask::new(192, "dgx1v-24");
        assert_eq!(ask.flags().join(" "), "-g 192 -c dgx1v-24");
        ask.batch = Some(Batch::PerDevice(128));
        ask.max_memory = Some(0.85);
        ask.pins.tp = Some(2);
        ask.objective = Objective::Memory;
        let expected = "-g 192 -c dgx1v-24 --local-batch 128 --max-memory 85% --objective memory \
                        --tp 2";
        assert_eq!(ask.flags().join(" "), expected);
        assert_eq!(trimmed(33.333_333), "33.3333");
        assert_eq!(trimmed(0.0), "0");
    }
}
