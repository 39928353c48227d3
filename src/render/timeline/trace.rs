//! A timeline as the trace that Chrome and Perfetto open. docs/trace.md says what is where.

use super::quoted;
use plan::program::{Action, Class, Lane, Op, Peers, Program};
use plan::timeline::{Origin, RankTimeline, Span, Timeline, cause, lane, op};
use std::fmt::Write as _;

/// The trace of a timeline: one process per kind of rank, one thread per lane.
pub fn trace(timeline: &Timeline, program: &Program, per_node: u32) -> String {
    let mut events = Events::default();
    for rank in &timeline.ranks {
        let Some(class) = program.classes.get(rank.class as usize) else { continue };
        events.names(rank, class, per_node);
        for span in &rank.spans {
            if let Some(action) = class.actions.get(span.action as usize) {
                events.span(rank, action, span);
                events.flow(rank, action, span, program);
            }
        }
        events.memory(rank);
    }
    let origin = match timeline.origin {
        Origin::Simulated => "simulated",
        Origin::Measured => "measured",
    };
    format!(
        "{{\"displayTimeUnit\":\"ms\",\"otherData\":{{\"schema\":{},\"plan\":{},\"origin\":{}}},\
         \"traceEvents\":[\n{}\n]}}\n",
        quoted(&timeline.schema),
        quoted(&timeline.plan),
        quoted(origin),
        events.text
    )
}

#[derive(Default)]
struct Events {
    text: String,
}

impl Events {
    fn push(&mut self, event: std::fmt::Arguments<'_>) {
        if !self.text.is_empty() {
            self.text.push_str(",\n");
        }
        let _infallible = self.text.write_fmt(event);
    }

    /// Names of the process and its threads, in the order of the lanes.
    fn names(&mut self, rank: &RankTimeline, class: &Class, per_node: u32) {
        let pid = rank.rank;
        let stages: Vec<String> = class.stages.iter().map(u32::to_string).collect();
        let name = format!(
            "rank {pid} on node {} (one of {}), stage {}",
            pid / per_node.max(1),
            rank.stands_for,
            stages.join(", ")
        );
        let name = quoted(&name);
        self.push(format_args!(
            "{{\"ph\":\"M\",\"pid\":{pid},\"name\":\"process_name\",\"args\":{{\"name\":{name}}}}}"
        ));
        for used in Lane::ALL.into_iter().filter(|l| class.actions.iter().any(|a| a.lane == *l)) {
            let (tid, name) = (used as u32, quoted(lane(used)));
            self.push(format_args!(
                "{{\"ph\":\"M\",\"pid\":{pid},\"tid\":{tid},\"name\":\"thread_name\",\
                 \"args\":{{\"name\":{name}}}}}"
            ));
            self.push(format_args!(
                "{{\"ph\":\"M\",\"pid\":{pid},\"tid\":{tid},\"name\":\"thread_sort_index\",\
                 \"args\":{{\"sort_index\":{tid}}}}}"
            ));
        }
    }

    /// An action; what takes no time is left out.
    fn span(&mut self, rank: &RankTimeline, action: &Action, span: &Span) {
        let (ts, dur) = interval(span);
        if dur <= 0.0 {
            return;
        }
        let bytes = match action.peers {
            Peers::Nobody => String::new(),
            Peers::Group { payload, .. } | Peers::Channel { payload, .. } => {
                format!(",\"bytes\":{}", payload.size.expected.get())
            }
        };
        let layers = action
            .at
            .layers
            .map_or(String::new(), |l| format!(",\"layers\":\"{} to {}\"", l.first, l.last));
        let name = quoted(&op(action));
        let cause = quoted(&cause(action.cause));
        let waited = format!("{:?}", span.waited_for).to_lowercase();
        self.push(format_args!(
            "{{\"ph\":\"X\",\"pid\":{},\"tid\":{},\"ts\":{ts:.3},\"dur\":{dur:.3},\"name\":{name},\
             \"cat\":\"{}\",\"args\":{{\"action\":{},\"step\":{},\"stage\":{}{layers},\
             \"cause\":{cause},\"waited_for\":\"{waited}\"{bytes}}}}}",
            rank.rank,
            action.lane as u32,
            lane(action.lane),
            span.action,
            span.step,
            action.at.stage,
        ));
    }

    /// An arrow from where a message leaves to where it arrives.
    fn flow(&mut self, rank: &RankTimeline, action: &Action, span: &Span, program: &Program) {
        let Peers::Channel { channel, .. } = action.peers else { return };
        let Some(ends) = program.channels.get(channel.0 as usize) else { return };
        let phase = match action.op {
            Op::Send(_) => "\"ph\":\"s\"",
            Op::Receive(_) => "\"ph\":\"f\",\"bp\":\"e\"",
            _ => return,
        };
        let (ts, dur) = interval(span);
        if dur <= 0.0 {
            return;
        }
        let micro_batch = action.at.micro_batch.unwrap_or(0);
        let id = format!("{}-{}-{}-{}", span.step, ends.from_stage, ends.to_stage, micro_batch);
        self.push(format_args!(
            "{{{phase},\"pid\":{},\"tid\":{},\"ts\":{ts:.3},\"id\":\"{id}\",\"name\":\"message\",\
             \"cat\":\"message\"}}",
            rank.rank, action.lane as u32,
        ));
    }

    fn memory(&mut self, rank: &RankTimeline) {
        for point in &rank.memory.points {
            self.push(format_args!(
                "{{\"ph\":\"C\",\"pid\":{},\"ts\":{:.3},\"name\":\"memory\",\
                 \"args\":{{\"live\":{}}}}}",
                rank.rank,
                point.seconds * 1e6,
                point.bytes
            ));
        }
    }
}

/// Start and duration in microseconds, to the nanosecond. Both ends are rounded, so that what
/// follows each other without a gap neither overlaps nor leaves one.
fn interval(span: &Span) -> (f64, f64) {
    let nanoseconds = |seconds: f64| (seconds * 1e9).round();
    let (start, end) = (nanoseconds(span.start_seconds), nanoseconds(span.end_seconds));
    (start / 1e3, (end - start) / 1e3)
}
