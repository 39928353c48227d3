//! Paths that every order of a schedule contains, pass by pass: the first cuts of the master.
//!
//! They are the families behind the label program (see `labels::one_f_one_b` and `labels::gpipe`),
//! written as counts per stage.

use super::instance::Instance;
use super::labels::{ahead, most_trips};
use cost_model::simulate::Path;

/// The seed cuts; `has_tails` asks for the variants that end with a stage's own tail.
pub(crate) fn seeds(instance: &Instance, has_tails: bool) -> Vec<Path> {
    let mut paths = Vec::new();
    for stage in 0..instance.stages() {
        let ends = if has_tails && stage > 0 { vec![0, stage] } else { vec![0] };
        for end in ends {
            if instance.is_gpipe() {
                paths.push(waves(instance, stage, end));
            } else {
                paths.extend(one_f_one_b(instance, stage, end));
            }
        }
    }
    paths.sort();
    paths.dedup();
    paths
}

/// Down to `stage`, and back up to `end ≤ stage` and its tail.
fn frame(instance: &Instance, stage: usize, end: usize) -> Path {
    let mut path = Path::empty(instance.stages());
    for i in 0..stage {
        path.forward[i] = 1;
        path.sends_forward[i] = 1;
        path.backward[i] = u32::from(i >= end);
        path.sends_backward[i] = u32::from(i >= end);
    }
    path.tail = Some(end);
    path
}

/// Adds `k` trips from `stage` to the last stage and back.
fn add_trips(path: &mut Path, stage: usize, k: u32) {
    for i in stage + 1..path.forward.len() {
        path.forward[i] += k;
        path.backward[i] += k;
        path.sends_forward[i - 1] += k;
        path.sends_backward[i - 1] += k;
    }
}

/// Families A and C.
fn one_f_one_b(instance: &Instance, stage: usize, end: usize) -> Vec<Path> {
    let m = instance.problem.micro_batches;
    let w = ahead(instance.stages(), stage, instance.micro_batches());
    let most = most_trips(w, instance.micro_batches()) as u32;
    let w = w as u32;
    let with = |k: u32, forward: u32, backward: u32| {
        let mut path = frame(instance, stage, end);
        add_trips(&mut path, stage, k);
        path.forward[stage] = forward;
        path.backward[stage] = backward;
        path
    };
    let mut paths = vec![with(0, m, m)];
    if stage + 1 < instance.stages() {
        paths.push(with(1, m - w, m));
        paths.push(with(1, m, m - w));
        if most >= 2 {
            let rest = |k: u32| m - (k - 1) * w;
            paths.push(with(2, rest(2), rest(2)));
            paths.push(with(most, rest(most), rest(most)));
        }
    }
    paths
}

/// GPipe: all forwards of `stage` on the way down, all of its backwards on the way up.
fn waves(instance: &Instance, stage: usize, end: usize) -> Path {
    let m = instance.problem.micro_batches;
    let mut path = frame(instance, stage, end);
    add_trips(&mut path, stage, 1);
    path.forward[stage] = m;
    path.backward[stage] = m;
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::labels::{Basis, OneForwardOneBackward, Rules};
    use crate::pipeline::pattern::Pattern;
    use crate::pipeline::{Column, Problem, Segment, StageSync, SyncModel};
    use cost_model::simulate::{StageTimes, Times};
    use plan::schedule::ScheduleKind;
    use plan::units::{Bytes, Seconds};
    use proptest::prelude::*;

    struct Free;
    impl SyncModel for Free {
        fn settings(&self) -> usize {
            1
        }
        fn stage(&self, _: usize, _: &[u32], _: usize) -> Option<StageSync> {
            Some(StageSync { tail: Seconds::ZERO, resident: Bytes::ZERO, update: Bytes::ZERO })
        }
    }

    fn problem(schedule: ScheduleKind, stages: usize, m: u32, send: f64) -> Problem<'static> {
        let zero = Column {
            forward: Seconds::ZERO,
            backward: Seconds::ZERO,
            weight: Seconds::ZERO,
            activation: Bytes::ZERO,
            halves: Bytes::ZERO,
            transient: Bytes::ZERO,
        };
        Problem {
            stages,
            micro_batches: m,
            schedule,
            segments: vec![Segment { layers: stages as u32, columns: vec![vec![zero]] }],
            send: Seconds::new(send),
            capacity: vec![Bytes::ZERO; stages],
            sync: &Free,
            uniform_setting: false,
        }
    }

    proptest! {
        #[test]
        fn seeds_never_exceed_the_simulation_and_equal_the_labels(
            raw in prop::collection::vec((0.1f64..3.0, 0.1f64..5.0, 0.0f64..4.0), 1..7),
            m in 1u32..20, send in 0.0f64..0.5, gpipe in any::<bool>(),
        ) {
            let kind =
                if gpipe { ScheduleKind::GPipe } else { ScheduleKind::OneForwardOneBackward };
            let problem = problem(kind, raw.len(), m, send);
            let instance = Instance::new(&problem).unwrap();
            let stages = raw.iter().map(|(f, b, t)| StageTimes {
                forward: Seconds::new(*f), backward: Seconds::new(*b), weight: Seconds::ZERO,
                tail: Seconds::new(*t),
            });
            let times = Times::with_uniform_send(stages.collect(), problem.send);
            let makespan = instance.recurrence().unwrap().run(&times).makespan().get();
            let lengths = seeds(&instance, true).into_iter().map(|p| p.length(&times).get());
            let longest = lengths.fold(0.0, f64::max);
            prop_assert!(longest <= makespan * (1.0 + 1e-12), "{longest} > {makespan}");

            let patterns: Vec<Pattern> = raw.iter().map(|(f, b, t)| Pattern {
                setting: 0, forward: *f, backward: *b, tail: *t, memory: 0.0, layers: vec![],
            }).collect();
            let basis = Basis::new(&instance, &[0]);
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b;
            if gpipe {
                let rules = crate::pipeline::labels::GPipe(&basis);
                let mut values = rules.empty();
                for (s, p) in patterns.iter().enumerate().rev() {
                    values = rules.extend(s, p, &values);
                }
                prop_assert!(close(rules.floor(0, 0, &values), makespan));
            } else {
                let rules = OneForwardOneBackward(&basis);
                let mut values = rules.empty();
                for (s, p) in patterns.iter().enumerate().rev() {
                    values = rules.extend(s, p, &values);
                }
                // The labels also let a path end at any stage on the way up.
                let label = rules.floor(0, 0, &values);
                prop_assert!(longest <= label * (1.0 + 1e-12), "{longest} > {label}");
                prop_assert!(label <= makespan * (1.0 + 1e-12), "{label} > {makespan}");
                if raw.iter().all(|x| x.2 <= raw[0].2) {
                    prop_assert!(close(label, longest), "{label} != {longest}");
                }
            }
        }
    }
}
