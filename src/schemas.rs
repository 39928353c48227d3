//! The published schemas of what programs read.

use serde_json::{Value, json};

/// A schema: its name, what it describes, and the schema itself.
pub type Schema = (&'static str, &'static str, fn() -> Value);

/// All schemas, by name.
pub const ALL: &[Schema] = &[
    ("doctor", "doctor --json", doctor),
    ("formulas", "explain --formula ID --json", formulas),
    ("request", "plan --dry-run --json", request),
    ("scenarios", "scenarios list --json", scenarios),
    ("validate", "validate --json", validate),
];

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
        "pins": {"type": "object", "additionalProperties": text()},
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
