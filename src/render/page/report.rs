//! The page of a plan: the answer, why, where time and memory go, and what it rests on.

use super::{data, frame, section, table};
use crate::commands::plan::value;
use crate::diagnostics::Failure;
use crate::export::facts::InTime;
use crate::figures::time::Measured;
use crate::figures::{Svg, Width, candidates, communication, escaped, memory, pipeline, time};
use crate::render::number::{grouped, signed_percent};
use crate::render::report::{bytes, gib, odds, proof, range, seconds, subject_line};
use crate::render::table::{Align, Table};
use crate::render::{memory_of, plan_line};
use plan::document::Status;
use plan::report::Report;
use plan::units::{Dollars, FlopsPerSecond, count, percent};
use planner::report::Weighed;
use tui::candidates::Candidate;
use tui::communication::{Curve, Traffic};

/// What the page shows.
pub struct Shown<'a> {
    /// The report.
    pub report: &'a Report,
    /// Steps of a run.
    pub measured: Option<Measured>,
    /// The plan in time, or why not.
    pub in_time: Result<InTime, String>,
    /// Buffers of the embedding exchanges.
    pub curve: Option<Curve>,
    /// Plans that were solved, and meshes that were not.
    pub candidates: Vec<Candidate>,
    /// Constants that are guesses.
    pub guesses: Vec<Weighed>,
    /// The command that asks for the plan.
    pub command: &'a str,
}

/// What this page has that others do not.
const STYLE: &str = "\
.plan{margin:.8rem 0;display:flex;flex-wrap:wrap;gap:.3rem}\
.plan span{background:var(--card);border-radius:4px;padding:.1rem .5rem;white-space:nowrap}\
.tiles{display:grid;grid-template-columns:repeat(3,1fr);gap:.6rem;margin:1rem 0}\
@media(max-width:36rem){.tiles{grid-template-columns:1fr 1fr}}\
.tiles div{background:var(--card);border-radius:6px;padding:.6rem .8rem}\
.tiles b{display:block;font-size:1.35rem;font-weight:600;line-height:1.3}\
.tiles span{color:var(--dim);font-size:.82rem;display:block;line-height:1.4}\
@page{size:A4;margin:10mm}\
@media print{body{font-size:8pt;line-height:1.28;max-width:none;padding:0}\
h1{font-size:13pt}h2{font-size:9.5pt;margin:1.6mm 0 .6mm;padding-top:.8mm;break-after:avoid}\
table{font-size:6.6pt}td,th{padding:.1mm 2mm .1mm 0}td:first-child{min-width:0}\
.scroll{overflow:visible}svg,tr{break-inside:avoid}\
.tiles{gap:1.2mm;margin:1.2mm 0;grid-template-columns:repeat(6,1fr)}.plan{margin:.8mm 0}\
.tiles div,.plan span,pre{border:1px solid var(--rule);padding:.5mm 1.4mm}\
.tiles b{font-size:10.5pt}.tiles span{font-size:6.6pt}p,ul{margin:.5mm 0}li{margin:.2mm 0}\
code,pre{font-size:6.8pt}\
.half{display:grid;grid-template-columns:1fr 1fr;gap:0 6mm}.half svg{width:70%}\
#communication table{display:none}.half svg.wide{display:none}.half svg.narrow{display:block}\
svg.wide{display:block;width:64%;margin:.4mm 0}svg.narrow{display:none;margin:.4mm 0}}";

/// The page.
///
/// # Errors
/// A report that cannot be written as JSON.
pub fn report(shown: &Shown<'_>) -> Result<String, Failure> {
    let report = shown.report;
    let title = format!("{} on {} GPUs", report.model.name, grouped(report.machine.gpus.into()));
    let json = value(report)?.to_string();
    let left = section("time", "Time", &time_figure(shown));
    let right = section("memory", "Memory", &memory_figure(report));
    let candidates = section("candidates", "Candidates", &candidates_figure(shown));
    let sent = section("communication", "Communication", &sent(shown));
    let body = [
        headline(report, &title),
        section("why", "Why this plan", &why(report)),
        format!("<div class=\"half\">\n{left}{right}</div>\n"),
        section("pipeline", "The step in time", &pipeline_figure(shown)),
        format!("<div class=\"half\">\n{sent}{candidates}</div>\n"),
        section("assumptions", "Assumptions", &assumptions(&shown.guesses)).replacen(
            "<section",
            "<section class=\"long\"",
            1,
        ),
        section("reproduce", "Reproduce", &reproduce(shown)),
        data("report-data", &json),
    ];
    Ok(frame(&format!("{title} · plan {}", report.plan.id), STYLE, &body.concat()))
}

/// A drawing in both layouts; the style sheet shows one of them.
fn both(draw: impl Fn(Width) -> Svg) -> String {
    format!("{}{}", draw(Width::Wide).part(), draw(Width::Narrow).part())
}

fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escaped(text))
}

fn list(sentences: &[String]) -> String {
    let items: String = sentences.iter().map(|s| format!("<li>{}</li>\n", escaped(s))).collect();
    if items.is_empty() { items } else { format!("<ul>\n{items}</ul>\n") }
}

fn headline(report: &Report, title: &str) -> String {
    let parts = plan_line::parts(&report.plan.decision);
    let chips: String = parts.iter().map(|p| format!("<span>{}</span>", escaped(p))).collect();
    let subject = escaped(&subject_line(&report.model, &report.machine, ""));
    let tiles: String = tiles(report)
        .into_iter()
        .map(|(name, value, note)| {
            let (value, note) = (escaped(&value), escaped(&note));
            format!("<div><span>{name}</span><b>{value}</b><span>{note}</span></div>\n")
        })
        .collect();
    format!(
        "<header>\n<h1>{}</h1>\n<p class=\"dim\">{subject}; plan <code>{}</code></p>\n\
         <p class=\"plan\">{chips}</p>\n<div class=\"tiles\">\n{tiles}</div>\n\
         <p class=\"dim\"><small>Step time: {}.</small></p>\n</header>\n",
        escaped(title),
        escaped(&report.plan.id),
        escaped(&report.interval)
    )
}

/// Name, value, and what it is relative to.
fn tiles(report: &Report) -> Vec<(&'static str, String, String)> {
    let memory = memory_of(report);
    let batch = &report.plan.decision.batch;
    let tokens = batch.global_sequences as f64 * batch.tokens_per_sequence as f64;
    let peak = FlopsPerSecond::new(report.peak.value);
    let mut tiles = vec![
        ("step time", seconds(report.step.value), range(report.step.low, report.step.high)),
        (
            "tokens per second",
            count(report.tokens_per_second.value),
            format!("{} per GPU", count(report.tokens_per_second_per_gpu.value)),
        ),
        (
            "MFU",
            percent(report.mfu.value),
            format!("of {peak} dense; HFU {}", percent(report.hfu.value)),
        ),
        (
            "memory of a GPU",
            format!("{} GiB", gib(memory)),
            format!(
                "limit {} of {} GiB",
                gib(report.memory.limit_bytes),
                gib(report.memory.capacity_bytes)
            ),
        ),
        (
            "tokens per step",
            count(tokens),
            format!(
                "{} sequences × {}",
                grouped(batch.global_sequences),
                grouped(batch.tokens_per_sequence)
            ),
        ),
    ];
    if report.dollars_per_step.is_none() {
        let c = &report.plan.certificate;
        let proven = match c.status {
            Status::Optimal => "optimal".to_string(),
            Status::Feasible => format!("gap {}", percent(c.gap)),
        };
        let space = format!("among {} configurations", grouped(c.configurations));
        tiles.push(("proof under the model", proven, space));
    }
    let price = report.dollars_per_step.as_ref().map(|d| d.value);
    tiles.extend(price.map(|d| {
        let each = format!("{} per step", Dollars::new(d));
        ("price of 10⁹ tokens", Dollars::new(d / tokens * 1e9).to_string(), each)
    }));
    tiles
}

fn why(report: &Report) -> String {
    let mut html = list(&report.why);
    html += &paragraph(&proof(&report.plan.certificate));
    if !report.warnings.is_empty() {
        html += "<p><b>Mind</b></p>\n";
        html += &list(&report.warnings);
    }
    if report.runners_up.is_empty() {
        return html;
    }
    let mut rows = Table::new(&[
        ("runner-up", Align::Left),
        ("step", Align::Right),
        ("against the plan", Align::Right),
        ("faster all the same", Align::Right),
        ("memory", Align::Right),
        ("", Align::Left),
    ]);
    for other in &report.runners_up {
        rows.row([
            plan_line::against(&other.label, &report.plan.decision),
            seconds(other.seconds),
            signed_percent(other.slower),
            other.faster.map_or(String::new(), odds),
            format!("{} GiB", gib(other.memory_bytes)),
            other.note.clone(),
        ]);
    }
    html + &table(&rows)
}

fn time_figure(shown: &Shown<'_>) -> String {
    let measured = shown.measured.as_ref();
    let mut html = both(|width| time::time(shown.report, measured, width));
    if let Some(run) = measured {
        let off = run.median / shown.report.step.value - 1.0;
        let step = &shown.report.step;
        let inside = match (step.low..=step.high).contains(&run.median) {
            true => "inside the interval of the prediction",
            false => "outside the interval of the prediction",
        };
        let words = format!(
            "Measured in {}: {} against the prediction, {inside}.",
            run.file,
            signed_percent(off)
        );
        html += &paragraph(&words);
    }
    html
}

fn memory_figure(report: &Report) -> String {
    let mut html = both(|width| memory::memory(&report.memory, width));
    let kept = report.memory.reserve.join("; ");
    if !kept.is_empty() {
        html += &format!("<p class=\"dim\"><small>Kept free: {}.</small></p>\n", escaped(&kept));
    }
    html
}

fn pipeline_figure(shown: &Shown<'_>) -> String {
    match &shown.in_time {
        Ok(t) => both(|width| pipeline::pipeline(&t.predicted, t.measured.as_ref(), width)),
        Err(why) => paragraph(&format!("Not drawn: {why}.")),
    }
}

fn candidates_figure(shown: &Shown<'_>) -> String {
    let limit = shown.report.memory.limit_bytes;
    both(|width| candidates::candidates(&shown.candidates, limit, width))
}

fn sent(shown: &Shown<'_>) -> String {
    let mut html = String::new();
    if let (Some(curve), Some(exchange)) = (&shown.curve, &shown.report.exchange) {
        html += &both(|width| communication::exchange(curve, exchange, width));
    }
    match &shown.in_time {
        Ok(in_time) => {
            html += &both(|width| communication::traffic(&in_time.traffic, width));
            html += &traffic(&in_time.traffic);
        }
        Err(why) => html += &paragraph(&format!("What is sent is not known: {why}.")),
    }
    html
}

fn traffic(rows: &[Traffic]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut cells = Table::new(&[
        ("what for", Align::Left),
        ("operation", Align::Left),
        ("GPUs, nodes", Align::Right),
        ("calls", Align::Right),
        ("volume", Align::Right),
        ("time", Align::Right),
    ]);
    for row in rows {
        cells.row([
            row.cause.clone(),
            row.op.clone(),
            format!("{}, {}", grouped(row.group.0.into()), grouped(row.group.1.into())),
            grouped(row.calls.into()),
            bytes(row.bytes),
            seconds(row.seconds),
        ]);
    }
    table(&cells)
}

fn assumptions(guesses: &[Weighed]) -> String {
    if guesses.is_empty() {
        return paragraph("No constant behind these numbers is a guess.");
    }
    let mut cells = Table::new(&[
        ("constant", Align::Left),
        ("value", Align::Right),
        ("weight", Align::Right),
        ("why this value", Align::Left),
    ]);
    for guess in guesses {
        cells.row([
            guess.what.clone(),
            guess.value.clone(),
            guess.weight.map_or("–".into(), signed_percent),
            guess.source.clone(),
        ]);
    }
    let words = "Constants that nobody measured or published for this machine. Weight: how much \
                 longer the step of this plan is where the value is a tenth smaller.";
    paragraph(words) + &table(&cells)
}

fn reproduce(shown: &Shown<'_>) -> String {
    let inputs = &shown.report.plan.inputs;
    let all = [
        ("model", Some(&inputs.model)),
        ("cluster", Some(&inputs.cluster)),
        ("software", Some(&inputs.stack)),
        ("corpus", inputs.corpus.as_ref()),
    ];
    let read: Vec<String> = all
        .iter()
        .filter_map(|(what, input)| {
            input.map(|input| format!("{what} {} ({})", input.name, input.fingerprint))
        })
        .collect();
    format!(
        "<pre class=\"wrap\">{}</pre>\n<p>meshwright {}, plan <code>{}</code>, made by {}. From {}.\
         </p>\n<p class=\"dim\"><small>The report of this page is in it as JSON: the element \
         <code>report-data</code>.</small></p>",
        escaped(shown.command),
        env!("CARGO_PKG_VERSION"),
        escaped(&shown.report.plan.id),
        escaped(&shown.report.plan.made_by),
        escaped(&read.join(", "))
    )
}
