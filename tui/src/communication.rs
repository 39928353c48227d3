//! Communication of a step: per group what is sent, how fast, and what of it nothing hides; and the
//! ways to exchange the embedding gradient, by the number of ranks.

use cost_model::exchange::{Table, buffer_bytes};
use cost_model::price;
use plan::exchange::Exchange;
use plan::mesh::Axis;
use plan::program::{Charge, Program};
use plan::timeline::{self, Timeline};
use plan::work::{CollectiveOp, Group, Work};
use planner::request::Request;
use std::collections::BTreeMap;

/// What one rank does of one kind in a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// The decision that asks for it.
    pub cause: String,
    /// What is done.
    pub op: String,
    /// Ranks of the group, and nodes that they lie on.
    pub group: (u32, u32),
    /// Calls per step.
    pub calls: u32,
    /// Size of the full tensors of all calls, bytes.
    pub bytes: f64,
    /// Time of all calls, alone, seconds.
    pub seconds: f64,
    /// What of this cause nothing hides, seconds; in the first line of each cause.
    pub exposed: Option<f64>,
}

/// Traffic of the rank that communicates longest, longest first.
#[must_use]
pub fn traffic(request: &Request<'_>, program: &Program, timeline: &Timeline) -> Vec<Traffic> {
    let all = (0..program.classes.len()).map(|class| of_class(request, program, class));
    let total = |rows: &Vec<Traffic>| rows.iter().map(|row| row.seconds).sum::<f64>();
    let mut rows = all.max_by(|a, b| total(a).total_cmp(&total(b))).unwrap_or_default();
    rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then(a.cause.cmp(&b.cause)));
    let mut exposed: BTreeMap<&str, f64> = BTreeMap::new();
    for one in timeline.ranks.iter().flat_map(|rank| &rank.time.exposed) {
        let most = exposed.entry(&one.cause).or_default();
        *most = most.max(one.seconds);
    }
    for row in &mut rows {
        row.exposed = exposed.remove(row.cause.as_str());
    }
    rows
}

type Key = (String, String, (u32, u32));

fn of_class(request: &Request<'_>, program: &Program, class: usize) -> Vec<Traffic> {
    let mut rows: BTreeMap<Key, Traffic> = BTreeMap::new();
    for action in &program.classes[class].actions {
        for (cause, times, work) in messages(program.charge(action), action.cause) {
            let Some((op, group, bytes)) = words(work) else { continue };
            let seconds = price(work, request.profile).value.get() * f64::from(times);
            let key = (cause.clone(), op.to_string(), group);
            let row = rows.entry(key).or_insert_with(|| Traffic {
                cause,
                op: op.into(),
                group,
                calls: 0,
                bytes: 0.0,
                seconds: 0.0,
                exposed: None,
            });
            row.calls += times;
            row.bytes += bytes * f64::from(times);
            row.seconds += seconds;
        }
    }
    rows.into_values().collect()
}

/// Work items of a charge with what asks for them and how often they are done.
fn messages(charge: &Charge, cause: plan::program::Cause) -> Vec<(String, u32, &Work)> {
    use plan::lower::StepRole;
    match charge {
        Charge::Free => Vec::new(),
        Charge::Items(items) => {
            items.iter().map(|work| (timeline::cause(cause), 1, work)).collect()
        }
        Charge::Layers { layers, .. } => {
            let steps = layers.iter().flat_map(|l| l.steps.iter().map(|step| (l.layers, step)));
            let inside = steps.filter_map(|(times, step)| match step.role {
                StepRole::Communication(axis) => Some((axis_cause(axis), times, &step.work)),
                StepRole::Compute => None,
            });
            inside.collect()
        }
    }
}

fn axis_cause(axis: Axis) -> String {
    timeline::cause(plan::program::Cause::Layout(axis))
}

fn words(work: &Work) -> Option<(&'static str, (u32, u32), f64)> {
    match work {
        Work::Collective(c) => {
            let op = match c.op {
                CollectiveOp::AllReduce => "all-reduce",
                CollectiveOp::AllGather => "all-gather",
                CollectiveOp::ReduceScatter => "reduce-scatter",
                CollectiveOp::AllToAll => "all-to-all",
                CollectiveOp::Dispatch { .. } => "dispatch",
            };
            let is_real = c.group.size > 1;
            is_real.then(|| (op, (c.group.size, c.group.nodes), c.bytes.get()))
        }
        Work::Send(send) => {
            Some(("send", (2, 1 + u32::from(send.crosses_nodes)), send.bytes.get()))
        }
        _ => None,
    }
}

/// Buffers of the ways to exchange the embedding gradient, by the number of ranks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// Ranks that exchange, rising.
    pub ranks: Vec<u32>,
    /// Per way: its formula, bytes per rank for each number of ranks.
    pub lines: Vec<(Exchange, Vec<f64>)>,
}

/// Ways that are shown against the number of ranks.
const SHOWN: [Exchange; 3] = [Exchange::Gather, Exchange::Unique, Exchange::Dense];

/// Buffers per rank for as many tokens per rank as the plan has.
#[must_use]
pub fn curve(request: &Request<'_>, tokens: f64) -> Option<Curve> {
    let table = request.model.table?;
    let mut ranks: Vec<u32> = [8, 32, 128, 512, 2048, 8192].into_iter().collect();
    ranks.retain(|n| *n < request.gpus);
    ranks.push(request.gpus);
    let unique = |n: f64| match request.corpus {
        Some(corpus) => corpus.unique(n, table.vocab),
        None => n.min(table.vocab as f64),
    };
    let wire = planner::exchange::wire_bytes(request);
    let bytes = |exchange, n: &u32| {
        let group = Group { size: *n, nodes: n.div_ceil(request.per_node().max(1)) };
        let own = (tokens as u64).max(1);
        let table = Table::new(group, own, table.width, table.vocab, wire, unique);
        buffer_bytes(exchange, &table).get()
    };
    let line = |exchange| (exchange, ranks.iter().map(|n| bytes(exchange, n)).collect());
    let lines = SHOWN.into_iter().map(line).collect();
    Some(Curve { ranks, lines })
}
