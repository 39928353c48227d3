//! What binds: the value of one more of something, found by solving again, never by guessing.

use crate::answer::{Answer, Planned, plan};
use crate::label::label;
use crate::request::{Objective, Request};
use cost_model::Profile;
use plan::machine::{Cluster, NodeGroup};
use plan::report::Binding;
use plan::units::{Bytes, BytesPerSecond};

/// Solves the question again with a little more of each thing.
#[must_use]
pub fn binding(request: &Request<'_>, planned: &Planned) -> Vec<Binding> {
    let mut all = vec![more_memory(request, planned)];
    all.push(more_devices(request, planned, 1, "+1 GPU"));
    if request.gpus >= request.per_node() {
        all.push(more_devices(request, planned, request.per_node(), "+1 node"));
    }
    let machine =
        |what: &str, change: &dyn Fn(&mut NodeGroup)| other_machine(request, planned, what, change);
    all.push(machine("2 × bandwidth inside a node", &|g| twice(&mut g.intra.bandwidth.value)));
    if request.nodes() > 1 {
        all.push(machine("2 × bandwidth between nodes", &|g| {
            if let Some(inter) = &mut g.inter {
                twice(&mut inter.bandwidth.value);
            }
        }));
    }
    all.push(machine("2 × memory bandwidth", &|g| twice(&mut g.device.memory_bandwidth.value)));
    all
}

fn twice(bandwidth: &mut BytesPerSecond) {
    *bandwidth = *bandwidth * 2.0;
}

fn more_memory(request: &Request<'_>, planned: &Planned) -> Binding {
    let gib = Bytes::from_count(1 << 30);
    let max_memory = request.max_memory + gib / request.profile.memory();
    solved("+1 GiB per GPU", &Request { max_memory, ..*request }, planned, request)
}

/// A batch that grows with the devices grows; a given one stays.
fn more_devices(request: &Request<'_>, planned: &Planned, more: u32, what: &str) -> Binding {
    let gpus = request.gpus.saturating_add(more);
    let per_device = matches!(
        request.model.spec.training.batch,
        plan::model::Batch::PerDevice(b) if b * u64::from(request.gpus) == request.global_sequences
    );
    let global_sequences = match per_device {
        true => request.global_sequences / u64::from(request.gpus) * u64::from(gpus),
        false => request.global_sequences,
    };
    solved(what, &Request { gpus, global_sequences, ..*request }, planned, request)
}

fn other_machine(
    request: &Request<'_>,
    planned: &Planned,
    what: &str,
    change: &dyn Fn(&mut NodeGroup),
) -> Binding {
    let mut cluster: Cluster = request.cluster.clone();
    cluster.groups.iter_mut().for_each(change);
    let Some(group) = cluster.groups.first() else { return missing(what, "no devices") };
    match Profile::new(&group.device, group, request.profile.stack()) {
        Ok(profile) => {
            let asked = Request { cluster: &cluster, profile: &profile, ..*request };
            solved(what, &asked, planned, request)
        }
        Err(why) => missing(what, &why.to_string()),
    }
}

fn missing(what: &str, why: &str) -> Binding {
    let (change, note) = (what.into(), why.into());
    Binding { change, label: String::new(), seconds: None, gain: None, note }
}

fn solved(what: &str, asked: &Request<'_>, planned: &Planned, before: &Request<'_>) -> Binding {
    match plan(asked, Objective::StepTime) {
        Answer::Plan(new) => {
            let step = new.solution.step;
            let rate = |sequences: u64, step: f64| sequences as f64 / step;
            // Both are the fastest predictions: like against like.
            let fastest = planned.certificate.fastest.as_ref().map(|f| f.seconds);
            let step_before = fastest.unwrap_or(planned.solution.step.get());
            let old = rate(before.global_sequences, step_before);
            let gain = rate(asked.global_sequences, step.get()) / old - 1.0;
            Binding {
                change: what.into(),
                label: label(asked, &new.solution),
                seconds: Some(step.get()),
                gain: Some(gain),
                note: String::new(),
            }
        }
        Answer::Infeasible(_) => missing(what, "nothing fits"),
        Answer::Impossible(why) => missing(what, &why.to_string()),
    }
}
