//! `validate`: every problem of every file.

use crate::catalog::{Catalog, Kind, Scenario, files_in, name_of};
use crate::cli::{Format, SourceArgs, ValidateArgs};
use crate::config;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::Output;
use crate::planfile;
use crate::question::rebuild;
use crate::render::json;
use crate::render::number::counted;
use crate::settings::Settings;
use crate::style::{Canvas, Role};
use plan::document::Plan;
use plan::huggingface::import;
use plan::scenario::{parse_corpus, parse_device, parse_model};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// What came of one file.
struct Checked {
    shown: String,
    result: Result<String, Failure>,
}

/// Checks files and folders.
pub fn run(
    flags: &ValidateArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let catalog = Catalog::from_environment()?;
    let mut checked = Vec::new();
    for name in &flags.files {
        for path in files_of(name)? {
            let result = check(&catalog, &flags.sources, &path);
            checked.push(Checked { shown: files::shown(&path).to_string(), result });
        }
    }
    let text = match settings.format {
        Format::Json => json::document(&as_json(&checked)),
        _ => screen(&checked, &output.out),
    };
    files::write(output, settings.output.as_deref(), &text)?;
    let failures: Vec<&Failure> = checked.iter().filter_map(|c| c.result.as_ref().err()).collect();
    if failures.is_empty() {
        return Ok(Exit::Done);
    }
    if settings.format != Format::Json {
        output.report_all(&failures);
    }
    Ok(Exit::InvalidInput)
}

/// A file is itself; a folder is all scenario and plan files below it.
fn files_of(name: &str) -> Result<Vec<String>, Failure> {
    let path = Path::new(name);
    if !path.is_dir() {
        return Ok(vec![name.to_string()]);
    }
    let found: Vec<PathBuf> = files_in(path, &["json", "toml"])?;
    let entries = std::fs::read_dir(path).map_err(|error| files::unreadable(name, &error))?;
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| files::unreadable(name, &error))?.path();
        let is_link = path.symlink_metadata().is_ok_and(|m| m.is_symlink());
        if path.is_dir() && !is_link {
            folders.push(path);
        }
    }
    folders.sort();
    let mut all: Vec<String> = found.iter().map(|p| p.display().to_string()).collect();
    for folder in folders {
        all.extend(files_of(&folder.display().to_string())?);
    }
    Ok(all)
}

/// Checks one file; says what it is.
fn check(catalog: &Catalog, sources: &SourceArgs, path: &str) -> Result<String, Failure> {
    let text = files::read(path)?;
    if path == "-" || path.ends_with(".json") {
        return check_json(catalog, sources, files::shown(path), &text);
    }
    if Path::new(path).file_name().is_some_and(|name| name == config::FILE) {
        let parsed = config::parse(&text).map(|_| "configuration".to_string());
        return parsed.map_err(|p| Failure::scenario(path, &text, p));
    }
    let broken = |p| Failure::scenario(path, &text, p);
    match kind_of(path, &text) {
        Kind::Model => parse_model(&text).map(|m| format!("model {}", m.name)).map_err(broken),
        Kind::Device => parse_device(&text).map(|d| format!("device {}", d.name)).map_err(broken),
        Kind::Corpus => parse_corpus(&text).map(|c| format!("corpus {}", c.name)).map_err(broken),
        Kind::Cluster => {
            catalog.read_cluster(&scenario(path, &text)).map(|c| format!("cluster {}", c.name))
        }
        Kind::Profile => {
            catalog.read_stack(&scenario(path, &text)).map(|s| format!("profile {}", s.name))
        }
    }
}

fn scenario(path: &str, text: &str) -> Scenario {
    Scenario {
        shown: path.to_string(),
        text: Cow::Owned(text.to_string()),
        path: Some(PathBuf::from(path)),
    }
}

/// The folder says what a file is; elsewhere the file does.
fn kind_of(path: &str, text: &str) -> Kind {
    let folder = Path::new(path).parent().and_then(Path::file_name).and_then(|f| f.to_str());
    let by_folder = Kind::ALL.into_iter().find(|kind| Some(kind.folder()) == folder);
    by_folder.unwrap_or_else(|| super::scenarios::kind_of(text))
}

/// Plans are checked whole; of other JSON files only the schema is known.
fn check_json(
    catalog: &Catalog,
    sources: &SourceArgs,
    path: &str,
    text: &str,
) -> Result<String, Failure> {
    let content = serde_json::from_str::<Value>(text).ok();
    if content.as_ref().is_some_and(|v| v.get("model_type").is_some()) {
        let imported = import(text, &name_of(Some(Path::new(path))));
        let said = imported.map(|i| format!("model {}, a Hugging Face configuration", i.spec.name));
        return said.map_err(|p| Failure::scenario(path, text, p));
    }
    let schema = content;
    let schema = schema.as_ref().and_then(|v| v.get("schema")).and_then(Value::as_str);
    match schema {
        Some(other) if other.starts_with("meshwright.") && !other.starts_with(PLAN) => {
            Ok(other.to_string())
        }
        _ => check_plan(catalog, sources, &planfile::parse(path, text)?),
    }
}

/// Schemas of plans, whatever their version.
const PLAN: &str = "meshwright.plan/";

/// Whether a plan still is what it says: its inputs, its numbers, its proof.
fn check_plan(catalog: &Catalog, sources: &SourceArgs, plan: &Plan) -> Result<String, Failure> {
    let question = rebuild(catalog, plan, sources)?;
    let request = question.request(plan.decision.world_size, &|| false)?;
    let checks = planner::validate::validate(&request, plan);
    let line = |c: &planner::validate::Check| format!("{}: {}", c.name, c.detail);
    let failed: Vec<String> = checks.iter().filter(|c| !c.ok).map(line).collect();
    match failed.as_slice() {
        [] => {
            let proof = checks.iter().find(|c| c.name == "certificate");
            let proof = proof.map(|c| format!("; {}", c.detail)).unwrap_or_default();
            Ok(format!("plan {}, inputs unchanged{proof}", plan.id))
        }
        _ => Err(Failure::new(Exit::InvalidInput, format!("plan {} does not hold", plan.id))
            .evidence(failed.join("\n"))
            .hint("plan again with `meshwright plan`")),
    }
}

fn screen(checked: &[Checked], canvas: &Canvas) -> String {
    let width = checked.iter().map(|c| c.shown.chars().count()).max().unwrap_or(0);
    let lines = checked.iter().map(|Checked { shown, result }| match result {
        Ok(what) => format!("{}      {shown:<width$}   {what}\n", canvas.paint(Role::Good, "ok")),
        Err(failure) => {
            let n = failure.problem_count();
            let problems = counted(n, "problem", "problems");
            format!("{}   {shown:<width$}   {problems}\n", canvas.paint(Role::Bad, "error"))
        }
    });
    canvas.text(&lines.collect::<String>())
}

fn as_json(checked: &[Checked]) -> Value {
    let files: Vec<Value> = checked
        .iter()
        .map(|c| {
            let problems = c.result.as_ref().err().map(Failure::problems_json).unwrap_or_default();
            json!({"file": c.shown, "is_valid": c.result.is_ok(), "problems": problems})
        })
        .collect();
    json!({"schema": "meshwright.validate/1", "files": files})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Result<String, Failure> {
        check_json(&Catalog::default(), &SourceArgs::default(), path, text)
    }

    #[test]
    fn malformed_json_is_shown_where_it_breaks() {
        let text = "{\n  \"schema\": \"meshwright.plan/1\",\n  \"stages\": [1, ]\n}\n";
        let failure = check("plan.json", text).unwrap_err();
        let expected = "\
error: plan.json has a problem

   ╭─ plan.json:3:17
 3 │   \"stages\": [1, ]
   │                 ^ trailing comma
";
        assert_eq!(failure.render(&Canvas::PLAIN), expected);
        assert_eq!(failure.exit(), Exit::InvalidInput);
    }

    #[test]
    fn json_of_others_is_refused() {
        assert!(check("x.json", "{}").is_err());
        assert!(check("x.json", "{\"schema\": \"other/1\"}").is_err());
        let report = check("x.json", "{\"schema\": \"meshwright.report/1\"}");
        assert_eq!(report, Ok("meshwright.report/1".to_string()));
    }
}
