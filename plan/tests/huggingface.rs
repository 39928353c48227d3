//! Configurations of published models, and their parameter counts to the last one.
//!
//! A row holds the keys of `huggingface.co/<repository>/config.json` that decide the shape, and the
//! count that others state, with who states it.

use plan::huggingface::{import, known_types};
use plan::model::Model;
use plan::scenario::model::write_model;
use plan::scenario::parse_model;
use serde_json::Value;
use std::collections::BTreeSet;

const ROWS: &str = include_str!("huggingface/published.json");

fn rows() -> Vec<(String, Value)> {
    let rows: Vec<Value> = serde_json::from_str(ROWS).unwrap();
    rows.into_iter().map(|row| (row["repository"].as_str().unwrap().to_string(), row)).collect()
}

#[test]
fn counts_are_the_published_ones() {
    let mut types = BTreeSet::new();
    let rows = rows();
    for (repository, row) in &rows {
        let config = row["config"].to_string();
        let imported = import(&config, repository).map_err(|p| p.render(&config));
        let spec = imported.unwrap_or_else(|e| panic!("{repository}: {e}")).spec;
        let counted = Model::build(&spec).unwrap().parameters();
        assert_eq!(Some(counted), row["parameters"].as_u64(), "{repository}");
        assert!(row["source"].as_str().is_some_and(|s| !s.is_empty()), "{repository}");
        types.insert(row["config"]["model_type"].as_str().unwrap().to_string());
    }
    assert!(rows.len() >= 25, "{} configurations", rows.len());
    // No exact count of these was found where it can be cited.
    let without: Vec<&str> = known_types().into_iter().filter(|t| !types.contains(*t)).collect();
    assert_eq!(without, ["stablelm", "starcoder2"]);
}

#[test]
fn what_is_written_is_read_as_the_same_model() {
    for (repository, row) in rows() {
        let name = repository.to_lowercase().replace(['/', '.', '_'], "-");
        let spec = import(&row["config"].to_string(), &name).unwrap().spec;
        let text = write_model(&spec).unwrap();
        let read = parse_model(&text).map_err(|p| p.render(&text));
        assert_eq!(read, Ok(spec), "{repository}");
    }
}
