//! Predictions against published measurements: the lock, and tables that are wrong.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const BINARY: &str = env!("CARGO_BIN_EXE_meshwright");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn accuracy(arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("accuracy").args(arguments).env_clear();
    command.output().expect("the binary runs")
}

fn said(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// A table of its own for each test, which may run side by side.
fn table(name: &str, text: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("meshwright-accuracy-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    let path = folder.join(name);
    fs::write(&path, text).expect("a temporary file");
    path
}

const HEADER: &str = "id,model_name,family,layers,hidden,heads,vocab,seq,gpu,gpus,tp,pp,dp,\
                      micro_batch,global_batch,precision,recompute,step_time_s\n";
const ROW: &str = "mine,GPT,transformer-decoder,24,2048,16,50304,2048,A100-80GB-SXM,8,1,1,8,4,64,\
                   bf16,none,1.5\n";

/// A change of predictions is a change of this file. `MESHWRIGHT_BLESS=1` rewrites it, and the
/// drawing of the documents with it.
#[test]
fn the_lock_says_what_the_product_says() {
    let path = root().join("accuracy.lock");
    let drawing = root().join("docs/accuracy.svg");
    let (now, errors, code) = said(&accuracy(&["--lock"]));
    assert_eq!(code, Some(0), "{errors}");
    if std::env::var_os("MESHWRIGHT_BLESS").is_some() {
        fs::write(&path, &now).expect("accuracy.lock can be written");
        let svg = drawing.display().to_string();
        assert_eq!(said(&accuracy(&["--lock", "--svg", &svg])).2, Some(0));
    }
    let then = fs::read_to_string(&path).unwrap_or_default();
    let moved: Vec<&str> = now.lines().filter(|line| !then.lines().any(|l| l == *line)).collect();
    assert!(
        now == then,
        "accuracy.lock is not what `meshwright accuracy --lock` prints; moved:\n{}\n\
         MESHWRIGHT_BLESS=1 rewrites it; say before and after in CHANGELOG.md, Predictions",
        moved.join("\n")
    );
    has_every_group(&fs::read_to_string(&drawing).unwrap_or_default(), &then);
}

/// The drawing of the documents shows what is locked.
fn has_every_group(svg: &str, lock: &str) {
    assert!(svg.starts_with("<svg") && lock.contains("\ngroup "));
    for line in lock.lines().filter(|line| line.starts_with("group ") && line.contains("mean")) {
        let name = line.split_whitespace().nth(1).unwrap_or_default();
        assert!(svg.contains(&format!(">{name} (")), "{name}");
    }
}

#[test]
fn a_table_of_ones_own_is_scored() {
    let path = table("own.csv", &format!("{HEADER}{ROW}")).display().to_string();
    let (out, errors, code) = said(&accuracy(&["--runs", &path]));
    assert_eq!(code, Some(0), "{errors}");
    assert!(out.contains("1/1"), "{out}");
    let (out, _, _) = said(&accuracy(&["--runs", &path, "--json"]));
    let document: Value = serde_json::from_str(&out).expect("a document");
    assert_eq!(document["schema"], "meshwright.accuracy/1");
    let schema = Command::new(BINARY).args(["help", "schemas", "accuracy"]).output().unwrap();
    let schema: Value = serde_json::from_slice(&schema.stdout).expect("a schema");
    assert_eq!(departures(&document, &schema, "document"), Vec::<String>::new());
}

/// Members that a schema requires and a document lacks, and members that the schema does not know.
fn departures(value: &Value, schema: &Value, at: &str) -> Vec<String> {
    if let Some(options) = schema["anyOf"].as_array() {
        let known = options.iter().find(|s| s["type"] == "null" || !value.is_null());
        let of = options.iter().find(|s| (s["type"] == "null") == value.is_null()).or(known);
        return of.map_or_else(|| vec![at.to_string()], |s| departures(value, s, at));
    }
    match value {
        Value::Array(items) => {
            items.iter().flat_map(|item| departures(item, &schema["items"], at)).collect()
        }
        Value::Object(members) if schema.get("properties").is_some() => {
            let properties = &schema["properties"];
            let lacking = schema["required"].as_array().into_iter().flatten();
            let lacking = lacking.filter_map(Value::as_str).filter(|k| !members.contains_key(*k));
            let lacking = lacking.map(|key| format!("{at}: no `{key}`"));
            let each = members.iter().flat_map(|(key, member)| match properties.get(key) {
                Some(schema) => departures(member, schema, key),
                None => vec![format!("{at}: `{key}` is not in the schema")],
            });
            lacking.chain(each).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn text_in_a_number_is_marked_and_other_rows_are_scored() {
    let wrong = ROW.replace("mine,GPT", "other,GPT").replace(",2048,16,", ",wide,16,");
    let path = table("wrong.csv", &format!("{HEADER}{ROW}{wrong}")).display().to_string();
    let (out, errors, code) = said(&accuracy(&["--runs", &path]));
    assert_eq!(code, Some(3));
    assert!(out.contains("1/1"), "{out}");
    assert!(errors.contains("wrong.csv:3:34"), "{errors}");
    assert!(errors.contains("`hidden` is \"wide\""), "{errors}");
}

#[test]
fn a_missing_column_an_empty_file_and_no_file_are_refused() {
    let path = table("columns.csv", &format!("{HEADER}{ROW}").replace("layers", "layrs"));
    let (_, errors, code) = said(&accuracy(&["--runs", &path.display().to_string()]));
    assert_eq!(code, Some(3));
    assert!(errors.contains("no column `layers`") && errors.contains("layrs"), "{errors}");
    let path = table("empty.csv", "");
    let (_, errors, code) = said(&accuracy(&["--fit-limits", &path.display().to_string()]));
    assert_eq!(code, Some(3));
    assert!(errors.contains("it is empty"), "{errors}");
    let (_, errors, code) = said(&accuracy(&["--runs", "/nowhere/x.csv"]));
    assert_eq!(code, Some(3));
    assert!(errors.contains("no such file"), "{errors}");
}

#[test]
fn an_unknown_device_is_named_and_counted() {
    let unknown = ROW.replace("A100-80GB-SXM", "Abacus-3000");
    let path = table("device.csv", &format!("{HEADER}{ROW}{unknown}")).display().to_string();
    let (out, errors, code) = said(&accuracy(&["--runs", &path]));
    assert_eq!(code, Some(0), "{errors}");
    assert!(out.contains("no device file for the accelerator `Abacus-3000`"), "{out}");
}

#[test]
fn a_page_needs_nothing_else() {
    let own = table("page.csv", &format!("{HEADER}{ROW}")).display().to_string();
    let page = table("page.html", "").display().to_string();
    let (_, errors, code) = said(&accuracy(&["--runs", &own, "--html", &page]));
    assert_eq!(code, Some(0), "{errors}");
    let html = fs::read_to_string(&page).expect("the page was written");
    assert!(html.starts_with("<!doctype html>") && html.contains("<svg"));
    for outside in ["<script", "src=", "@import", "stylesheet\""] {
        assert!(!html.contains(outside), "{outside}");
    }
    // The empty icon keeps browsers from asking for one.
    assert_eq!(html.matches("<link").count(), html.matches("href=\"data:,\"").count());
}
