//! `compare`: plans side by side.

use crate::cli::{CompareArgs, Format};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::Output;
use crate::planfile;
use crate::render::compare;
use crate::render::json;
use crate::settings::Settings;
use plan::document::Plan;
use serde_json::json;

/// Compares plans.
pub fn run(flags: &CompareArgs, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let mut plans: Vec<(String, Plan)> = Vec::new();
    for path in &flags.plans {
        let name = files::shown(path);
        plans.push((name.to_string(), planfile::parse(name, &files::read(path)?)?));
    }
    let agree = compare::agree(&plans);
    let text = match settings.format {
        Format::Json => as_json(&plans, agree)?,
        Format::Markdown => compare::table(&plans).markdown(),
        Format::Csv => compare::table(&plans).csv(),
        Format::Human | Format::Plain => {
            let table = compare::table(&plans).text(usize::MAX);
            let sentences = compare::sentences(&plans).join("\n");
            output.out.text(&format!("{table}\n{sentences}\n"))
        }
    };
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(if agree || !flags.exit_code { Exit::Done } else { Exit::NoPlan })
}

fn as_json(plans: &[(String, Plan)], agree: bool) -> Result<String, Failure> {
    let mut all = Vec::new();
    for (name, plan) in plans {
        all.push(json!({"file": name, "plan": super::plan::value(plan)?}));
    }
    let document = json!({
        "schema": "meshwright.compare/1",
        "plans": all,
        "decide_alike": agree,
        "verdicts": compare::sentences(plans),
    });
    Ok(json::document(&document))
}
