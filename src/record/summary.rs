//! Samples of many steps and ranks as one line per action; bytes beside their closed forms.

use executor::train::{Job, Outcome};
use plan::program::{Program, Purpose, Traffic};
use plan::record::{ActionRecord, ActionSample, StepSamples, TrafficRecord, median};
use plan::units::{Bytes, Seconds};
use std::collections::BTreeMap;

/// Every action that was measured, over all steps but the first and all ranks of its class.
pub fn actions(program: &Program, samples: &[StepSamples]) -> Vec<ActionRecord> {
    let first = samples.iter().map(|s| s.step).min();
    let has_more = samples.iter().any(|s| Some(s.step) != first);
    let counted = samples.iter().filter(|s| !has_more || Some(s.step) != first);
    let mut all: BTreeMap<(u32, u32), Vec<ActionSample>> = BTreeMap::new();
    for step in counted {
        let Some((class, _)) = program.class_of(step.rank) else { continue };
        for sample in &step.actions {
            all.entry((class as u32, sample.a)).or_default().push(*sample);
        }
    }
    all.into_iter().filter_map(|(key, samples)| action(key, &samples)).collect()
}

fn action((class, action): (u32, u32), samples: &[ActionSample]) -> Option<ActionRecord> {
    let of = |value: &dyn Fn(&ActionSample) -> f64| median(samples.iter().map(value).collect());
    let seconds = of(&ActionSample::seconds)?;
    Some(ActionRecord {
        class,
        action,
        samples: u32::try_from(samples.len()).unwrap_or(u32::MAX),
        seconds,
        waiting_seconds: of(&|s| s.w)?,
        busy_seconds: of(&|s| s.b)?,
        deviation_seconds: of(&|s| (s.seconds() - seconds).abs())?,
    })
}

/// Bytes that rank 0 sent per step, by purpose.
pub fn traffic(job: &Job, outcome: &Outcome) -> Vec<TrafficRecord> {
    let steps = outcome.steps.len().max(1) as f64;
    let mut all: BTreeMap<Purpose, (f64, f64)> = BTreeMap::new();
    for (purpose, ledger) in &outcome.ledgers {
        let sum = all.entry(*purpose).or_default();
        sum.0 += ledger.sent as f64 / steps;
        sum.1 += ledger.calls as f64 / steps;
    }
    let expected = |purpose| {
        let entries = job.program.classes.first()?.ledger.iter();
        let mine = entries.filter(|e| e.traffic == Traffic::Group(purpose));
        mine.map(|e| e.bytes.get()).reduce(|a, b| a + b)
    };
    let row = |(purpose, (sent_bytes, calls))| TrafficRecord {
        purpose: word(purpose).into(),
        sent_bytes,
        expected_bytes: expected(purpose),
        calls,
    };
    all.into_iter().map(row).filter(|row| row.calls > 0.0 || row.expected_bytes.is_some()).collect()
}

/// What a pretended network charged this rank per step, by purpose: bytes and time.
pub fn charged(outcome: &Outcome) -> Vec<(&'static str, Bytes, Seconds)> {
    let steps = outcome.steps.len().max(1) as f64;
    let mut all: BTreeMap<Purpose, (f64, f64)> = BTreeMap::new();
    for (purpose, ledger) in &outcome.ledgers {
        let sum = all.entry(*purpose).or_default();
        sum.0 += ledger.sent as f64 / steps;
        sum.1 += ledger.network.as_secs_f64() / steps;
    }
    let row = |(purpose, (bytes, time))| (word(purpose), Bytes::new(bytes), Seconds::new(time));
    all.into_iter().map(row).filter(|(_, _, time)| *time > Seconds::ZERO).collect()
}

/// A purpose in words.
fn word(purpose: Purpose) -> &'static str {
    use plan::mesh::Axis;
    match purpose {
        Purpose::Layer(Axis::Tensor) => "tensor parallel layers",
        Purpose::Layer(Axis::Context) => "context parallel layers",
        Purpose::Layer(Axis::Expert) => "expert parallel layers",
        Purpose::Layer(Axis::Data) => "data parallel layers",
        Purpose::Replicas => "gradients and weights of replicas",
        Purpose::ExpertReplicas => "gradients and weights of experts' replicas",
        Purpose::Exchange => "embedding exchange",
        Purpose::TiedTable => "tied table",
        Purpose::Outer => "outer synchronisation",
    }
}
