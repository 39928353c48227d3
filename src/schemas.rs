//! The published schemas of what programs read.

mod accuracy;

use accuracy::accuracy;
use plan::calibration::Calibration;
use plan::document::Plan;
use plan::record::{RunRecord, StepSamples};
use plan::report::{
    Binding, ClusterRow, InfeasibleReport, Report, SweepRow, TrainingReport, WhyNot,
};
use plan::timeline::Simulation;
use schemars::JsonSchema;
use serde_json::{Value, json};

/// A schema: its name, what it describes, and the schema itself.
pub type Schema = (&'static str, &'static str, fn() -> Value);

/// All schemas, by name.
pub const ALL: &[Schema] = &[
    ("accuracy", "accuracy --json", accuracy),
    ("analysis", "explain --analyze run.json --json", analysis),
    ("answer", "plan --why-not … --json, explain --binds --json", answer),
    ("calibration", "calibrate --node, calibrate --from run.json", derived::<Calibration>),
    ("clusters", "plan -g A,B -c NAME,NAME --json", clusters),
    ("compare", "compare --json", compare),
    ("doctor", "doctor --json", doctor),
    ("execute", "execute --json", execute),
    ("formulas", "explain --formula ID --json", formulas),
    ("infeasible", "plan --json, where nothing fits (exit code 1)", derived::<InfeasibleReport>),
    ("launch", "execute --dry-run --json", launch),
    ("plan", "plan -o plan.json", derived::<Plan>),
    ("report", "plan --json and explain --json", derived::<Report>),
    ("request", "plan --dry-run --json", request),
    ("run", "plan --objective time-to-loss --json", run),
    ("run-record", "execute --record run.json", derived::<RunRecord>),
    ("samples", "a line of the samples beside run.json", derived::<StepSamples>),
    ("scenarios", "scenarios list --json", scenarios),
    ("simulation", "simulate --json", derived::<Simulation>),
    ("sweep", "plan -g A,B,C --json", sweep),
    ("validate", "validate --json", validate),
];

/// The schema of a type of `plan`.
fn derived<T: JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

/// The schema of a type of `plan` inside another one.
fn part<T: JsonSchema>() -> Value {
    let mut schema = derived::<T>();
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        // References are to the definitions of this part: they need a base of their own.
        object.insert("$id".into(), format!("part/{}", T::schema_name()).into());
    }
    schema
}

fn answer() -> Value {
    let properties = json!({
        "schema": {"const": "meshwright.answer/1"},
        "report": part::<Report>(),
        "why_not": {"anyOf": [part::<WhyNot>(), {"type": "null"}]},
        "bindings": {"type": "array", "items": part::<Binding>()},
    });
    object("meshwright.answer/1", &properties, &["schema", "report", "why_not", "bindings"])
}

fn analysis() -> Value {
    let seconds = || json!({"type": ["number", "null"]});
    let row = json!({
        "type": "object",
        "properties": {
            "what": text(),
            "actions": {"type": "integer"},
            "predicted_seconds": {"type": "number"},
            "measured_seconds": {"type": "number"},
        },
        "required": ["what", "actions", "predicted_seconds", "measured_seconds"],
    });
    let properties = json!({
        "schema": {"const": "meshwright.analysis/1"},
        "plan": text(),
        "predicted_seconds": {"type": "number"},
        "simulated_seconds": {"type": "number"},
        "undisturbed_seconds": seconds(),
        "replayed_seconds": seconds(),
        "measured_seconds": {"type": "number"},
        "structure": seconds(),
        "cost": seconds(),
        "others": seconds(),
        "form": {"type": "number"},
        "processor_share": seconds(),
        "rows": {"type": "array", "items": row},
    });
    let required = ["schema", "plan", "predicted_seconds", "measured_seconds", "form", "rows"];
    object("meshwright.analysis/1", &properties, &required)
}

fn launch() -> Value {
    let class = json!({
        "type": "object",
        "properties": {
            "first_rank": {"type": "integer"},
            "ranks": {"type": "integer"},
            "nodes": text(),
            "stages": {"type": "array", "items": {"type": "integer"}},
            "actions": {"type": "integer"},
            "arena_bytes": {"type": "number"},
            "sent_bytes": {"type": "number"},
        },
        "required": ["first_rank", "ranks", "nodes", "stages", "arena_bytes", "sent_bytes"],
    });
    let properties = json!({
        "schema": {"const": "meshwright.launch/1"},
        "plan": text(),
        "classes": {"type": "array", "items": class},
        "launch": text(),
    });
    object("meshwright.launch/1", &properties, &["schema", "plan", "classes", "launch"])
}

fn compare() -> Value {
    let entry = json!({
        "type": "object",
        "properties": {"file": text(), "plan": part::<Plan>()},
        "required": ["file", "plan"],
    });
    let properties = json!({
        "schema": {"const": "meshwright.compare/1"},
        "plans": {"type": "array", "items": entry},
        "decide_alike": {"type": "boolean"},
        "first_is_faster": {"type": "array", "items": {"type": ["number", "null"]}},
        "verdicts": {"type": "array", "items": text()},
    });
    let required = ["schema", "plans", "decide_alike", "first_is_faster", "verdicts"];
    object("meshwright.compare/1", &properties, &required)
}

fn clusters() -> Value {
    let properties = json!({
        "schema": {"const": "meshwright.clusters/1"},
        "model": text(),
        "objective": text(),
        "cost": {"enum": ["dollars", "gpu-hours"]},
        "rows": {"type": "array", "items": part::<ClusterRow>()},
    });
    let required = ["schema", "model", "objective", "cost", "rows"];
    object("meshwright.clusters/1", &properties, &required)
}

fn sweep() -> Value {
    let properties = json!({
        "schema": {"const": "meshwright.sweep/1"},
        "model": text(),
        "cluster": text(),
        "objective": text(),
        "rows": {"type": "array", "items": part::<SweepRow>()},
    });
    object("meshwright.sweep/1", &properties, &["schema", "model", "cluster", "objective", "rows"])
}

fn run() -> Value {
    let properties = json!({
        "schema": {"const": "meshwright.run/1"},
        "training": part::<TrainingReport>(),
        "report": part::<Report>(),
    });
    object("meshwright.run/1", &properties, &["schema", "training", "report"])
}

fn execute() -> Value {
    let step = json!({
        "type": "object",
        "properties": {
            "step": {"type": "integer"},
            "loss": {"type": "number"},
            "norm": {"type": ["number", "null"]},
            "rate": {"type": "number"},
            "seconds": {"type": "number"},
        },
        "required": ["step", "loss", "norm", "rate", "seconds"],
    });
    let properties = json!({
        "schema": {"const": "meshwright.execute/1"},
        "plan": text(),
        "steps": {"type": "array", "items": step},
        "median_seconds": {"type": "number"},
        "predicted_seconds": {"type": "number"},
    });
    let required = ["schema", "plan", "steps", "median_seconds", "predicted_seconds"];
    object("meshwright.execute/1", &properties, &required)
}

fn object(id: &str, properties: &Value, required: &[&str]) -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": id,
        "type": "object",
        "properties": properties,
        "required": required,
    })
}

fn text() -> Value {
    json!({"type": "string"})
}

fn doctor() -> Value {
    let settings = json!({"type": "array", "items": {
        "type": "object",
        "properties": {"name": text(), "value": text(), "origin": text()},
        "required": ["name", "value", "origin"],
    }});
    let checks = json!({"type": "array", "items": {
        "type": "object",
        "properties": {"name": text(), "found": text(), "hint": text()},
        "required": ["name", "found"],
    }});
    let properties =
        json!({"schema": {"const": "meshwright.doctor/1"}, "settings": settings, "checks": checks});
    object("meshwright.doctor/1", &properties, &["schema", "settings", "checks"])
}

fn formulas() -> Value {
    let keys = ["id", "title", "equation", "letters", "source", "test"];
    let properties: serde_json::Map<String, Value> =
        keys.iter().map(|key| ((*key).to_string(), text())).collect();
    let formula = json!({"type": "object", "properties": properties, "required": keys});
    let properties = json!({
        "schema": {"const": "meshwright.formulas/1"},
        "formulas": {"type": "array", "items": formula},
    });
    object("meshwright.formulas/1", &properties, &["schema", "formulas"])
}

fn request() -> Value {
    let count = json!({"type": ["integer", "null"], "minimum": 1});
    let properties = json!({
        "schema": {"const": "meshwright.request/1"},
        "model": text(),
        "cluster": text(),
        "stack": text(),
        "corpus": {"type": ["string", "null"]},
        "gpus": {"type": "array", "items": {"type": "integer", "minimum": 1}},
        "sequences_per_gpu": count,
        "sequences": count,
        "tokens_per_sequence": count,
        "max_memory": {"type": "number"},
        "objective": text(),
        "pins": {"type": "array", "items": text()},
    });
    object("meshwright.request/1", &properties, &["schema", "model", "cluster", "stack", "gpus"])
}

fn scenarios() -> Value {
    let entry = json!({
        "type": "object",
        "properties": {
            "kind": {"enum": ["model", "cluster", "device", "profile", "corpus"]},
            "name": text(),
            "aliases": {"type": "array", "items": text()},
            "facts": {"type": "object", "additionalProperties": text()},
            "problem": text(),
        },
        "required": ["kind", "name", "aliases", "facts"],
    });
    let properties = json!({
        "schema": {"const": "meshwright.scenarios/1"},
        "scenarios": {"type": "array", "items": entry},
    });
    object("meshwright.scenarios/1", &properties, &["schema", "scenarios"])
}

fn validate() -> Value {
    let problem = json!({
        "type": "object",
        "properties": {
            "line": {"type": "integer"},
            "column": {"type": "integer"},
            "message": text(),
            "hint": text(),
        },
        "required": ["message"],
    });
    let file = json!({
        "type": "object",
        "properties": {
            "file": text(),
            "is_valid": {"type": "boolean"},
            "problems": {"type": "array", "items": problem},
        },
        "required": ["file", "is_valid", "problems"],
    });
    let properties = json!({
        "schema": {"const": "meshwright.validate/1"},
        "files": {"type": "array", "items": file},
    });
    object("meshwright.validate/1", &properties, &["schema", "files"])
}
