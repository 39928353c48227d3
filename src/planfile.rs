//! Reading plan.json: every refusal says where and why.

use crate::diagnostics::{Failure, FileProblem};
use crate::exit::Exit;
use plan::document::{Decision, PLAN_SCHEMA, PLAN_SCHEMAS_READ, Plan};
use plan::suggest::closest;
use serde_json::Value;
use std::ops::Range;

/// Reads the text of a plan file; `name` is what the file is called in messages.
///
/// # Errors
/// Malformed JSON, another schema, unknown or missing keys, wrong types, and numbers that
/// contradict each other, with line and column.
pub fn parse(name: &str, text: &str) -> Result<Plan, Failure> {
    let value: Value = serde_json::from_str(text).map_err(|e| malformed(name, text, &e))?;
    schema(name, &value)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let plan: Plan = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        wrong(name, text, &path, error.inner())
    })?;
    match contradiction(&plan) {
        None => Ok(plan),
        Some((key, message)) => {
            let problem = FileProblem { span: key_span(text, key), message, hint: None };
            Err(Failure::file(name, text, vec![problem]))
        }
    }
}

/// Not JSON at all.
fn malformed(name: &str, text: &str, error: &serde_json::Error) -> Failure {
    let at = offset(text, error.line(), error.column());
    let message = if error.is_eof() { "the file ends too early".into() } else { said(error) };
    let problem = FileProblem { span: at..at + 1, message, hint: None };
    Failure::file(name, text, vec![problem])
}

/// Says what a file with another schema is.
fn schema(name: &str, value: &Value) -> Result<(), Failure> {
    let failure = |what: String| Failure::new(Exit::InvalidInput, what);
    let example = format!("a plan starts with {{\"schema\": \"{PLAN_SCHEMA}\", …}}");
    match value.get("schema").and_then(Value::as_str) {
        Some(known) if PLAN_SCHEMAS_READ.contains(&known) => Ok(()),
        Some(other) if other.starts_with("meshwright.report/") => {
            Err(failure(format!("{name} is a report, not a plan"))
                .hint("its key \"plan\" holds the plan; `meshwright plan -o plan.json` writes one"))
        }
        Some(other) if other.starts_with("meshwright.plan/") => {
            Err(failure(format!("{name} has the schema {other}; this version reads {PLAN_SCHEMA}"))
                .hint("write the plan again with `meshwright plan -o plan.json`"))
        }
        Some(other) => {
            Err(failure(format!("{name} has the schema `{other}`, not that of a plan"))
                .hint(example))
        }
        None => Err(failure(format!("{name} has no \"schema\"")).hint(example)),
    }
}

/// JSON, but not a plan.
fn wrong(name: &str, text: &str, path: &str, error: &serde_json::Error) -> Failure {
    let end = offset(text, error.line(), error.column());
    let said = said(error);
    let (span, message) = match unknown_key(&said) {
        Some((key, known)) => {
            let known = known.iter().map(String::as_str);
            let hint = closest(&key, known).map(|k| format!("; did you mean `{k}`?"));
            let message = format!("unknown key{}", hint.unwrap_or_default());
            (last_quoted(text, end, &key), message)
        }
        None => (token_before(text, end), said),
    };
    let hint = (path != ".").then(|| format!("in {path}"));
    Failure::file(name, text, vec![FileProblem { span, message, hint }])
}

/// serde's message without its place, which is shown.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(message, _)| message.to_string())
}

/// The key that serde does not know, and those that it does.
fn unknown_key(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (key, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2).map(str::to_string).collect();
    Some((key.to_string(), known))
}

/// The byte at a line and a column as serde_json counts them: from 1, columns in bytes.
pub fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len())
}

/// The key in quotes that ends at or before `end`.
fn last_quoted(text: &str, end: usize, key: &str) -> Range<usize> {
    let quoted = format!("\"{key}\"");
    let head = text.get(..(end + 1).min(text.len())).unwrap_or(text);
    head.rfind(&quoted).map_or(end..end + 1, |at| at..at + quoted.len())
}

fn is_end(byte: &u8) -> bool {
    byte.is_ascii_whitespace() || b",:[]{}".contains(byte)
}

/// The token whose last byte is at `end`: serde stops there.
fn token_before(text: &str, end: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let end = end.min(bytes.len());
    let last = (end + 1).min(bytes.len());
    if bytes.get(end) == Some(&b'"') {
        let start = bytes[..end].iter().rposition(|b| *b == b'"').unwrap_or(end);
        return start..last;
    }
    let last = if bytes.get(end).is_some_and(is_end) && end > 0 { end } else { last };
    let start = bytes[..last].iter().rposition(is_end).map_or(0, |at| at + 1);
    start..last.max(start + 1)
}

/// Where a key stands first.
fn key_span(text: &str, key: &str) -> Range<usize> {
    let quoted = format!("\"{key}\"");
    text.find(&quoted).map_or(0..1, |at| at..at + quoted.len())
}

/// Numbers that contradict each other: a key, and what is wrong with it.
fn contradiction(plan: &Plan) -> Option<(&'static str, String)> {
    let d = &plan.decision;
    let all = [
        degrees(d),
        stages(d),
        batch(d),
        share("max_memory", plan.inputs.max_memory),
        share("gap", plan.certificate.gap),
    ];
    all.into_iter().flatten().next()
}

fn degrees(decision: &Decision) -> Option<(&'static str, String)> {
    let d = decision.degrees;
    let all = [d.dp, d.tp, d.pp, d.cp];
    let product = all.iter().try_fold(1u32, |product, n| product.checked_mul(*n));
    let world = decision.world_size;
    if product != Some(world) || world == 0 {
        let factors: Vec<String> = all.iter().map(u32::to_string).collect();
        let words = factors.join(" × ");
        return Some(("degrees", format!("dp × tp × pp × cp = {words}, not {world} ranks")));
    }
    let divides = d.ep > 0 && d.dp.is_multiple_of(d.ep);
    (!divides).then(|| ("degrees", format!("ep {} does not divide dp {}", d.ep, d.dp)))
}

fn stages(decision: &Decision) -> Option<(&'static str, String)> {
    let (pp, chunks) = (decision.degrees.pp, decision.chunks);
    let expected = u64::from(pp) * u64::from(chunks);
    if decision.stages.len() as u64 != expected || expected == 0 {
        let n = decision.stages.len();
        return Some(("stages", format!("{n} virtual stages, not pp {pp} × chunks {chunks}")));
    }
    let mut next = 0u64;
    for (i, stage) in decision.stages.iter().enumerate() {
        let (first, last) = (u64::from(stage.layers.first), u64::from(stage.layers.last));
        if first != next || last < first {
            return Some((
                "stages",
                format!("stage {i} holds layers {first} to {last}; it must begin with {next}"),
            ));
        }
        if stage.pipeline_rank >= pp {
            return Some((
                "stages",
                format!("stage {i} is on pipeline rank {}", stage.pipeline_rank),
            ));
        }
        if stage.zero > 3 {
            return Some((
                "stages",
                format!("stage {i} has ZeRO {}; there are 0 to 3", stage.zero),
            ));
        }
        next = last + 1;
    }
    None
}

fn batch(decision: &Decision) -> Option<(&'static str, String)> {
    let b = decision.batch;
    let is_empty = b.global_sequences == 0
        || b.tokens_per_sequence == 0
        || b.micro_sequences == 0
        || b.micro_batches == 0
        || b.time_chunks == 0;
    is_empty.then(|| ("batch", "a batch has at least one of everything".into()))
}

fn share(key: &'static str, value: f64) -> Option<(&'static str, String)> {
    let is_share = (0.0..=1.0).contains(&value);
    (!is_share).then(|| (key, format!("{value} is no share between 0 and 1")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::Canvas;

    fn refusal(text: &str) -> String {
        parse("plan.json", text).unwrap_err().render(&Canvas::PLAIN)
    }

    #[test]
    fn what_is_no_plan_is_said_to_be_none() {
        assert!(refusal("{").contains("the file ends too early"));
        assert!(refusal("{}").contains("has no \"schema\""));
        assert!(refusal("[1, NaN]").contains("plan.json:1:"));
        assert!(refusal("{\"schema\": 1e999}").contains("number out of range"));
        assert!(refusal("{\"schema\": \"meshwright.plan/9\"}").contains("reads meshwright.plan/2"));
        assert!(refusal("{\"schema\": \"meshwright.report/1\"}").contains("is a report"));
    }

    #[test]
    fn unknown_keys_are_marked_and_a_known_one_is_suggested() {
        let text = "{\n  \"schema\": \"meshwright.plan/2\",\n  \"madeby\": \"x\"\n}";
        let said = refusal(text);
        assert!(said.contains("plan.json:3:3"), "{said}");
        assert!(said.contains("^^^^^^^^ unknown key; did you mean `made_by`?"), "{said}");
    }

    #[test]
    fn wrong_types_are_marked_with_their_path() {
        let text = "{\"schema\": \"meshwright.plan/2\", \"inputs\": {\"model\": 3}}";
        let said = refusal(text);
        assert!(said.contains("in inputs.model"), "{said}");
    }
}
