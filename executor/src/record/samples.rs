//! Samples as bytes, so that ranks can hand them to rank 0 over any transport.

use plan::record::{ActionSample, StepSamples};

/// Numbers of an action: place, start, end, waiting, work.
const PER_ACTION: usize = 5;

/// The samples of a rank as bytes: 64-bit floats, which hold every count here exactly.
#[must_use]
pub fn encode(steps: &[StepSamples]) -> Vec<u8> {
    let mut numbers = Vec::new();
    for step in steps {
        numbers.extend([f64::from(step.rank), step.step as f64, step.start, step.end, step.busy]);
        numbers.push(step.actions.len() as f64);
        for a in &step.actions {
            numbers.extend([f64::from(a.a), a.s, a.e, a.w, a.b]);
        }
    }
    numbers.into_iter().flat_map(f64::to_le_bytes).collect()
}

/// What [`encode`] wrote; `None` where it is cut off.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Vec<StepSamples>> {
    let (numbers, rest) = bytes.as_chunks();
    let mut numbers = numbers.iter().map(|raw| f64::from_le_bytes(*raw));
    let mut steps = Vec::new();
    while let Some(rank) = numbers.next() {
        let [step, start, end, busy, actions] = next(&mut numbers)?;
        let action = |_| {
            let [a, s, e, w, b]: [f64; PER_ACTION] = next(&mut numbers)?;
            Some(ActionSample { a: a as u32, s, e, w, b })
        };
        let actions = (0..actions as usize).map(action).collect::<Option<Vec<_>>>()?;
        let (rank, step) = (rank as u32, step as u64);
        steps.push(StepSamples { rank, step, start, end, busy, actions });
    }
    rest.is_empty().then_some(steps)
}

fn next<const N: usize>(numbers: &mut impl Iterator<Item = f64>) -> Option<[f64; N]> {
    let mut taken = [0.0; N];
    for place in &mut taken {
        *place = numbers.next()?;
    }
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_back_and_a_cut_is_seen() {
        let action = |a| ActionSample { a, s: 0.25, e: 0.5, w: 0.125, b: 0.0625 };
        let step = |rank, n| StepSamples {
            rank,
            step: 7,
            start: 0.1,
            end: 0.9,
            busy: 0.5,
            actions: (0..n).map(action).collect(),
        };
        let all = vec![step(0, 2), step(1, 0), step(2, 3)];
        let bytes = encode(&all);
        assert_eq!(decode(&bytes), Some(all));
        assert_eq!(decode(&bytes[..bytes.len() - 8]), None);
        assert_eq!(decode(&bytes[..bytes.len() - 3]), None);
        assert_eq!(decode(&[]), Some(Vec::new()));
    }
}
