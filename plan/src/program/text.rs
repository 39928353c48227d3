//! Programs as text: what people read when they ask what a rank does.

use super::{
    Access, Action, At, Buffer, BufferKind, Cause, Class, Element, Home, Lane, Op, Peers, Program,
    Purpose, Size,
};
use crate::mesh::Axis;
use crate::work::{CollectiveOp, Pass};
use std::fmt::{self, Display, Formatter, Write as _};

impl Program {
    /// The program of one rank: a line of summary, its groups, its buffers, its actions. `None`
    /// beyond the last rank.
    #[must_use]
    pub fn text(&self, rank: u32) -> Option<String> {
        let (index, place) = self.class_of(rank)?;
        let class = &self.classes[index];
        let mut text = self.heading(class, rank, place);
        self.groups(&mut text, rank);
        buffers(&mut text, class);
        text.push_str("\nactions\n");
        for (id, action) in class.actions.iter().enumerate() {
            let _infallible = writeln!(text, "{id:>6}  {}", self.line(class, rank, action));
        }
        Some(text)
    }

    fn heading(&self, class: &Class, rank: u32, place: u32) -> String {
        let last = class.first_rank + class.ranks - 1;
        let stages: Vec<String> = class.stages.iter().map(u32::to_string).collect();
        format!(
            "rank {rank} of {}: number {place} of ranks {} to {last}, which run this list with \
             other peers\nstage {} · {} actions · {} buffers · arena {} · digest {}\n",
            self.ranks,
            class.first_rank,
            stages.join(", "),
            class.actions.len(),
            class.buffers.len(),
            class.arena,
            &self.digest().to_string()[..8],
        )
    }

    fn groups(&self, text: &mut String, rank: u32) {
        text.push_str("\ngroups\n");
        for group in &self.communicators {
            let members = group.members(rank);
            let named: Vec<String> = members.iter().take(8).map(u32::to_string).collect();
            let more = members.len().saturating_sub(named.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let (name, named) = (group.purpose, named.join(" "));
            let _infallible = writeln!(text, "  {name:<16} {:>5} ranks: {named}{more}", group.size);
        }
    }

    /// One action on one line.
    fn line(&self, class: &Class, rank: u32, action: &Action) -> String {
        let mut line = format!("{:<9} {:<24} {}", action.lane, action.op.to_string(), action.at);
        match action.peers {
            Peers::Nobody => {}
            Peers::Group { communicator, payload, .. } => {
                let purpose = self.communicators[communicator.0 as usize].purpose;
                let _infallible = write!(line, "  {} over {purpose}", payload.size);
            }
            Peers::Channel { channel, payload } => {
                let channel = self.channels[channel.0 as usize];
                let (word, peer) = match action.op {
                    Op::Receive(_) => ("from", channel.sender(rank, class.ranks)),
                    _ => ("to", channel.receiver(rank, class.ranks)),
                };
                let _infallible = write!(line, "  {} {word} rank {peer}", payload.size);
            }
        }
        accesses(&mut line, class, " ←", &action.reads);
        accesses(&mut line, class, " →", &action.writes);
        for token in &action.waits {
            let _infallible = write!(line, " wait:{}", token.0);
        }
        if let Some(token) = action.signals {
            let _infallible = write!(line, " signal:{}", token.0);
        }
        let _infallible = write!(line, "  ({})", action.cause);
        line
    }
}

/// Buffers that are kept from step to step one by one, all others by kind.
fn buffers(text: &mut String, class: &Class) {
    text.push_str("\nbuffers\n");
    let kept = |b: &&Buffer| b.is_carried;
    for (id, buffer) in class.buffers.iter().enumerate().filter(|(_, b)| kept(b)) {
        let _infallible = writeln!(text, "  {:<18} {buffer}", format!("{}.{id}", buffer.kind));
    }
    let mut kinds: Vec<(BufferKind, Vec<&Buffer>)> = Vec::new();
    for buffer in class.buffers.iter().filter(|b| !kept(b)) {
        match kinds.iter_mut().find(|(kind, _)| *kind == buffer.kind) {
            Some((_, all)) => all.push(buffer),
            None => kinds.push((buffer.kind, vec![buffer])),
        }
    }
    for (kind, all) in kinds {
        let sizes = all.iter().map(|b| b.size.max);
        let most = sizes.fold(crate::units::Bytes::ZERO, crate::units::Bytes::max);
        let _infallible = writeln!(
            text,
            "  {:<18} {} of up to {most}, sharing memory",
            kind.to_string(),
            all.len()
        );
    }
}

fn accesses(line: &mut String, class: &Class, arrow: &str, all: &[Access]) {
    if all.is_empty() {
        return;
    }
    line.push_str(arrow);
    for access in all.iter().take(6) {
        let kind = class.buffer(access.buffer).map_or(BufferKind::Workspace, |b| b.kind);
        let _infallible = write!(line, " {kind}.{}@{}", access.buffer.0, access.version);
    }
    if all.len() > 6 {
        let _infallible = write!(line, " and {} more", all.len() - 6);
    }
}

impl Display for Buffer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.size, self.element)?;
        if self.versions > 1 {
            write!(f, ", {} versions", self.versions)?;
        }
        if self.home == Home::Host {
            write!(f, ", on the host")?;
        }
        match self.offset {
            Some(offset) => write!(f, ", at {offset}"),
            None => Ok(()),
        }
    }
}

impl Display for Size {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.is_exact() {
            true => write!(f, "{}", self.max),
            false => write!(f, "{} (at most {})", self.expected, self.max),
        }
    }
}

impl Display for Element {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(dtype) => write!(f, "{dtype}"),
            Self::TokenId => write!(f, "token ids"),
            Self::TaggedRow => write!(f, "rows"),
            Self::Mixed => write!(f, "several formats"),
        }
    }
}

/// `stage 2 layer 5 micro-batch 7`, what there is of it.
impl Display for At {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.stage)?;
        match self.layers {
            Some(span) if span.first == span.last => write!(f, " L{}", span.first)?,
            Some(span) => write!(f, " L{}–{}", span.first, span.last)?,
            None => {}
        }
        if let Some(b) = self.micro_batch {
            write!(f, " b{b}")?;
        }
        if self.part > 0 { write!(f, " part {}", self.part) } else { Ok(()) }
    }
}

impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer(axis, op) => write!(f, "{} {}", word(*op), axis_word(*axis)),
            Self::Send(pass) => write!(f, "Send {}", letter(*pass)),
            Self::Receive(pass) => write!(f, "Receive {}", letter(*pass)),
            Self::WaitSend(pass) => write!(f, "WaitSend {}", letter(*pass)),
            Self::RouteRows(pass) => write!(f, "RouteRows {}", letter(*pass)),
            Self::Reduce(op) => write!(f, "Reduce {}", word(*op)),
            other => write!(f, "{other:?}"),
        }
    }
}

fn letter(pass: Pass) -> char {
    match pass {
        Pass::Forward => 'F',
        Pass::Backward => 'B',
    }
}

fn word(op: CollectiveOp) -> &'static str {
    match op {
        CollectiveOp::AllReduce => "all-reduce",
        CollectiveOp::AllGather => "all-gather",
        CollectiveOp::ReduceScatter => "reduce-scatter",
        CollectiveOp::AllToAll | CollectiveOp::Dispatch { .. } => "all-to-all",
    }
}

fn axis_word(axis: Axis) -> &'static str {
    match axis {
        Axis::Tensor => "tensor",
        Axis::Context => "context",
        Axis::Expert => "expert",
        Axis::Data => "data",
    }
}

impl Display for Lane {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Compute => "compute",
            Self::Tensor => "tensor",
            Self::Context => "context",
            Self::Expert => "expert",
            Self::SendForward => "send F",
            Self::SendBackward => "send B",
            Self::ReceiveForward => "receive F",
            Self::ReceiveBackward => "receive B",
            Self::Data => "data",
            Self::CopyOut => "copy out",
            Self::CopyIn => "copy in",
            Self::Outer => "outer",
        })
    }
}

impl Display for Purpose {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Layer(axis) => axis_word(*axis),
            Self::Replicas => "replicas",
            Self::ExpertReplicas => "expert replicas",
            Self::Exchange => "exchange",
            Self::TiedTable => "tied table",
            Self::Outer => "outer",
        })
    }
}

impl Display for BufferKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Weights => "weights",
            Self::WeightShard => "weight-shard",
            Self::Gradient => "gradient",
            Self::GradientShard => "gradient-shard",
            Self::OptimizerState => "optimizer-state",
            Self::Input => "input",
            Self::Saved => "saved",
            Self::Recomputed => "recomputed",
            Self::BorderGradient => "border-gradient",
            Self::Outgoing => "outgoing",
            Self::Workspace => "workspace",
            Self::Exchange => "exchange",
            Self::Carry => "carry",
            Self::Outer => "outer",
            Self::Delta => "delta",
        })
    }
}

impl Display for Cause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => write!(f, "model"),
            Self::Layout(axis) => write!(f, "{} parallel", axis_word(*axis)),
            Self::Pipeline => write!(f, "pipeline"),
            Self::DataParallel => write!(f, "data parallel"),
            Self::Zero(stage) => write!(f, "ZeRO {stage}"),
            Self::Recompute(level) => write!(f, "recompute {}", level.name()),
            Self::Exchange(exchange) => write!(f, "exchange {exchange}"),
            Self::TiedTable => write!(f, "tied table"),
            Self::Offload => write!(f, "offload"),
            Self::LocalSteps => write!(f, "local steps"),
        }
    }
}
