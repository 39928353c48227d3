//! What `accuracy --json` prints.

use super::{object, text};
use serde_json::{Value, json};

/// The schema.
pub fn accuracy() -> Value {
    let properties = json!({
        "schema": {"const": "meshwright.accuracy/1"},
        "by": {"enum": ["group", "source", "gpu", "stack", "family", "parallelism", "split"]},
        "groups": list(&group()),
        "mean_of_groups": numbers(&["mean", "median", "bias", "coverage", "baseline_mean"]),
        "ranking": or_null(&ranking()),
        "sweeps": list(&sweep()),
        "memory": list(&line("name")),
        "fits": or_null(&fits()),
        "regimes": list(&regime()),
        "doubts": list(&line("name")),
        "worst": list(&worst()),
        "not_scored": list(&count()),
        "assumed": list(&count()),
        "rows": list(&row()),
        "limits": list(&limit()),
    });
    let required = [
        "schema",
        "by",
        "groups",
        "mean_of_groups",
        "ranking",
        "sweeps",
        "memory",
        "fits",
        "regimes",
        "doubts",
        "worst",
        "not_scored",
        "assumed",
        "rows",
        "limits",
    ];
    object("meshwright.accuracy/1", &properties, &required)
}

fn list(items: &Value) -> Value {
    json!({"type": "array", "items": items})
}

fn or_null(value: &Value) -> Value {
    json!({"anyOf": [value, {"type": "null"}]})
}

fn integer() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn number() -> Value {
    json!({"type": ["number", "null"]})
}

/// An object whose required members are the ones given.
fn members(properties: &Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

/// An object of numbers, each of which may be null.
fn numbers(names: &[&str]) -> Value {
    let each: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_string(), number())).collect();
    members(&each.into(), names)
}

/// Relative errors, as parts of one.
fn errors() -> Value {
    or_null(&numbers(&["mean", "median", "bias", "percentile_95"]))
}

fn group() -> Value {
    let properties = json!({
        "name": text(),
        "split": text(),
        "rows": integer(),
        "scored": integer(),
        "errors": errors(),
        "coverage_of_80_percent_interval": number(),
        "baseline_errors": errors(),
        "memory_rows": integer(),
        "memory_errors": errors(),
    });
    members(&properties, &["name", "rows", "scored", "errors", "baseline_errors"])
}

fn ranking() -> Value {
    let choices = numbers(&[
        "mean_regret",
        "regret_95th_percentile",
        "slower_than_plain_data_parallel",
        "curse",
    ]);
    let properties = json!({
        "sweeps": integer(),
        "plans": integer(),
        "mean_rank_correlation": number(),
        "sweeps_with_plain_data_parallel": integer(),
        "fastest": choices,
        "chosen": choices,
        "quantile": {"type": "number"},
        "noise_of_repeated_runs": number(),
        "floor_of_repeated_runs": number(),
        "floor_of_chance": or_null(&numbers(&["mean_regret", "regret_95th_percentile"])),
        "odds": list(&numbers(&["said", "came_true", "pairs"])),
    });
    members(&properties, &["sweeps", "plans", "fastest", "chosen", "quantile"])
}

fn sweep() -> Value {
    let choice = || {
        let properties = json!({
            "id": text(),
            "regret": {"type": "number"},
            "against_plain_data_parallel": number(),
            "curse": number(),
        });
        members(&properties, &["id", "regret"])
    };
    let properties = json!({
        "name": text(),
        "group": text(),
        "plans": integer(),
        "fastest": choice(),
        "chosen": choice(),
        "best": text(),
        "rank_correlation": number(),
        "floor_of_repeated_runs": number(),
        "floor_of_chance": number(),
    });
    members(&properties, &["name", "group", "plans", "fastest", "chosen", "best"])
}

fn line(name: &str) -> Value {
    let properties = json!({name: text(), "rows": integer(), "errors": errors()});
    members(&properties, &[name, "rows", "errors"])
}

fn fits() -> Value {
    let names = [
        "out_of_memory",
        "recalled",
        "no_result",
        "no_result_recalled",
        "ran",
        "false_alarms",
        "not_expressed",
    ];
    let each: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_string(), integer())).collect();
    members(&each.into(), &names)
}

fn regime() -> Value {
    let properties = json!({
        "name": text(),
        "rows": integer(),
        "coverage": {"type": "number"},
        "mean_low": {"type": "number"},
        "mean_high": {"type": "number"},
    });
    members(&properties, &["name", "rows", "coverage", "mean_low", "mean_high"])
}

fn worst() -> Value {
    let properties =
        json!({"id": text(), "what": text(), "ratio": {"type": "number"}, "likely_cause": text()});
    members(&properties, &["id", "what", "ratio", "likely_cause"])
}

fn count() -> Value {
    members(&json!({"what": text(), "rows": integer()}), &["what", "rows"])
}

fn row() -> Value {
    let texts = list(&text());
    let properties = json!({
        "id": text(),
        "group": text(),
        "stack": text(),
        "measured_s": number(),
        "predicted_s": {"type": "number"},
        "low_s": {"type": "number"},
        "high_s": {"type": "number"},
        "naive_s": {"type": "number"},
        "memory_predicted_bytes": {"type": "number"},
        "memory_of_capacity": {"type": "number"},
        "memory_measured_bytes": {"type": "number"},
        "memory_kind": text(),
        "parts_s": {"type": "object", "additionalProperties": {"type": "number"}},
        "doubts": texts,
        "assumed": texts,
        "not_scored": text(),
    });
    members(&properties, &["id", "group", "stack", "measured_s"])
}

fn limit() -> Value {
    let properties = json!({
        "id": text(),
        "outcome": text(),
        "predicted_to_fit": {"type": "boolean"},
        "memory_of_capacity": {"type": "number"},
        "not_scored": text(),
    });
    members(&properties, &["id", "outcome"])
}
