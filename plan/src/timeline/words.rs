//! What actions, lanes and causes are called on screens and in traces.

use crate::mesh::Axis;
use crate::program::{Action, Cause, Lane, Op};
use crate::work::{CollectiveOp, Pass};

/// The decision behind an action.
#[must_use]
pub fn cause(cause: Cause) -> String {
    match cause {
        Cause::Model => "model".into(),
        Cause::Layout(axis) => format!("{} parallel", axis_word(axis)),
        Cause::Pipeline => "pipeline parallel".into(),
        Cause::DataParallel => "data parallel".into(),
        Cause::Zero(stage) => format!("ZeRO {stage}"),
        Cause::Recompute(level) => format!("recompute {}", level.name()),
        Cause::Exchange(exchange) => format!("embedding exchange, {}", exchange.name()),
        Cause::TiedTable => "tied table".into(),
        Cause::Offload => "offload".into(),
        Cause::LocalSteps => "local steps".into(),
    }
}

/// A lane.
#[must_use]
pub fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Compute => "compute",
        Lane::Tensor => "tensor",
        Lane::Context => "context",
        Lane::Expert => "expert",
        Lane::SendForward => "send forward",
        Lane::SendBackward => "send backward",
        Lane::ReceiveForward => "receive forward",
        Lane::ReceiveBackward => "receive backward",
        Lane::Data => "data",
        Lane::CopyOut => "copy out",
        Lane::CopyIn => "copy in",
        Lane::Outer => "outer",
    }
}

/// An action in a few words, such as `F 3` or `reduce-scatter`.
#[must_use]
pub fn op(action: &Action) -> String {
    let word = match action.op {
        Op::Forward => "F",
        Op::Backward => "B",
        Op::BackwardInput => "I",
        Op::BackwardWeight => "W",
        Op::Recompute => "R",
        Op::Layer(_, collective) | Op::Reduce(collective) => collective_word(collective),
        Op::Send(pass) => passing(pass, "send F", "send B"),
        Op::Receive(pass) => passing(pass, "receive F", "receive B"),
        Op::WaitSend(pass) => passing(pass, "wait for send F", "wait for send B"),
        Op::Gather => "gather weights",
        Op::Release => "release weights",
        Op::ReduceTied => "reduce tied table",
        Op::Deduplicate => "deduplicate rows",
        Op::GatherIds => "gather ids",
        Op::AlignRows => "align rows",
        Op::GatherRows => "gather rows",
        Op::ReduceRows => "reduce rows",
        Op::RouteRows(pass) => passing(pass, "route rows F", "route rows B"),
        Op::AddRows => "add rows",
        Op::Optimizer => "optimizer",
        Op::Offload => "offload",
        Op::Reload => "reload",
        Op::Delta => "delta",
        Op::ReduceDelta => "reduce delta",
        Op::OuterStep => "outer step",
        Op::Merge => "merge",
    };
    match action.at.micro_batch {
        Some(micro_batch) => format!("{word} {micro_batch}"),
        None => word.to_string(),
    }
}

fn axis_word(axis: Axis) -> &'static str {
    match axis {
        Axis::Data => "data",
        Axis::Tensor => "tensor",
        Axis::Context => "context",
        Axis::Expert => "expert",
    }
}

fn collective_word(op: CollectiveOp) -> &'static str {
    match op {
        CollectiveOp::AllReduce => "all-reduce",
        CollectiveOp::AllGather => "all-gather",
        CollectiveOp::ReduceScatter => "reduce-scatter",
        CollectiveOp::AllToAll | CollectiveOp::Dispatch { .. } => "all-to-all",
    }
}

fn passing(pass: Pass, forward: &'static str, backward: &'static str) -> &'static str {
    match pass {
        Pass::Forward => forward,
        Pass::Backward => backward,
    }
}
