//! `scenarios list`, `show`, `new` and `import`.

mod facts;

pub use facts::kind_of;

use crate::catalog::{Catalog, Kind, Scenario};
use crate::cli::{Format, ImportArgs, ListArgs, NewArgs, NewKind, ScenariosCommand, ShowArgs};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::machines::{self, Wanted};
use crate::output::Output;
use crate::render::json;
use crate::render::number::grouped;
use crate::render::table::{Align, Table};
use crate::render::wrap::wrap;
use crate::settings::Settings;
use facts::Facts;
use plan::model::Model;
use plan::scenario::model::write_model;
use plan::scenario::template;
use plan::suggest::closest;
use serde_json::{Value, json};

/// Does what was asked for.
pub fn run(
    command: &ScenariosCommand,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let catalog = Catalog::from_environment()?;
    match command {
        ScenariosCommand::List(flags) => list(&catalog, flags, settings, output),
        ScenariosCommand::Show(flags) => show(&catalog, flags, settings, output),
        ScenariosCommand::New(flags) => new(flags, settings, output),
        ScenariosCommand::Import(flags) => import(&catalog, flags, settings, output),
    }
}

fn list(
    catalog: &Catalog,
    flags: &ListArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let kinds = flags.kind.map_or_else(|| Kind::ALL.to_vec(), |kind| vec![kind]);
    let mut sections: Vec<(Kind, Vec<Facts>)> = Vec::new();
    for kind in kinds {
        let all = catalog.all(kind)?;
        let facts = all.iter().map(|(name, file)| Facts::of(catalog, kind, name, file));
        sections.push((kind, facts.collect()));
    }
    let text = match settings.format {
        Format::Json => json::document(&list_json(&sections)),
        Format::Markdown => tables(&sections).iter().map(|t| t.markdown() + "\n").collect(),
        Format::Csv => one_table(&sections).csv(),
        Format::Human | Format::Plain => {
            let width = output.out.width;
            let texts: Vec<String> = tables(&sections).iter().map(|t| t.text(width)).collect();
            output.out.text(&texts.join("\n"))
        }
    };
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(Exit::Done)
}

fn list_json(sections: &[(Kind, Vec<Facts>)]) -> Value {
    let entries: Vec<Value> =
        sections.iter().flat_map(|(kind, all)| all.iter().map(|facts| facts.json(*kind))).collect();
    json!({"schema": "meshwright.scenarios/1", "scenarios": entries})
}

/// One table per kind: the heading is the kind, then what is worth knowing of that kind.
fn tables(sections: &[(Kind, Vec<Facts>)]) -> Vec<Table> {
    let filled = sections.iter().filter(|(_, all)| !all.is_empty());
    filled.map(|(kind, all)| table(*kind, all)).collect()
}

fn table(kind: Kind, all: &[Facts]) -> Table {
    let heading = kind.folder().to_uppercase();
    let mut columns = vec![(heading.as_str(), Align::Left)];
    columns.extend(Facts::columns(kind));
    let mut table = Table::new(&columns);
    for facts in all {
        let name = format!("  {}", facts.name);
        table.row(std::iter::once(name).chain(facts.cells()));
    }
    table
}

/// All kinds under each other, for spreadsheets.
fn one_table(sections: &[(Kind, Vec<Facts>)]) -> Table {
    let mut table =
        Table::new(&[("kind", Align::Left), ("name", Align::Left), ("facts", Align::Left)]);
    for (kind, all) in sections {
        for facts in all {
            let cells: Vec<String> = facts.cells().filter(|c| !c.is_empty()).collect();
            table.row([kind.singular().to_string(), facts.name.clone(), cells.join("; ")]);
        }
    }
    table
}

fn show(
    catalog: &Catalog,
    flags: &ShowArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (kind, file) = find_any(catalog, &flags.name)?;
    let facts = Facts::of(catalog, kind, &flags.name, &file);
    let text = match settings.format {
        Format::Json => json::document(&facts.json(kind)),
        _ => format!("{}\n{}", file.text.trim_end(), facts.comment(kind)),
    };
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(Exit::Done)
}

/// A scenario of any kind with this name; a file tells its kind by what it says.
fn find_any(catalog: &Catalog, name: &str) -> Result<(Kind, Scenario), Failure> {
    let mut known = Vec::new();
    for kind in Kind::ALL {
        if let Ok(file) = catalog.find(kind, name) {
            let kind = if crate::catalog::is_path(name) { kind_of(&file.text) } else { kind };
            return Ok((kind, file));
        }
        known.extend(catalog.all(kind)?.into_keys());
    }
    if crate::catalog::is_path(name) {
        // A path fails the same way for all kinds; say how.
        catalog.find(Kind::Model, name)?;
    }
    Err(Failure::usage(format!("no scenario named `{name}`"))
        .did_you_mean(closest(name, known.iter().map(String::as_str)))
        .hint("`meshwright scenarios list` shows all; a path to a TOML file also works"))
}

fn new(flags: &NewArgs, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let kind = match flags.kind {
        NewKind::Device => plan::scenario::Kind::Device,
        NewKind::Cluster => plan::scenario::Kind::Cluster,
        NewKind::Model => plan::scenario::Kind::Model,
        NewKind::Corpus => plan::scenario::Kind::Corpus,
    };
    files::write(output, settings.output.as_deref(), template(kind))?;
    Ok(Exit::Done)
}

/// Writes what others describe as a scenario file: what was assumed stands above it.
fn import(
    catalog: &Catalog,
    flags: &ImportArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    // Folders and names are those of configurations.
    let is_file = flags.source == "-" || std::path::Path::new(&flags.source).is_file();
    let text = if is_file { files::read(&flags.source)? } else { String::new() };
    match machines::read(&text) {
        Some(seen) => import_cluster(catalog, seen, flags, settings, output),
        None => import_model(catalog, flags, settings, output),
    }
}

/// Writes what a machine says of itself as a cluster file.
fn import_cluster(
    catalog: &Catalog,
    seen: Result<machines::Seen, String>,
    flags: &ImportArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let name = files::shown(&flags.source);
    let broken = |what: String| Failure::new(Exit::InvalidInput, format!("{name}: {what}"));
    let seen = seen.map_err(broken)?;
    let wanted = Wanted { device: flags.device.clone(), name: flags.name.clone() };
    write_cluster(catalog, &seen, &wanted, settings, output)
}

/// Writes a cluster file; what was assumed stands above it.
pub fn write_cluster(
    catalog: &Catalog,
    seen: &machines::Seen,
    wanted: &Wanted,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (file, notes) = machines::cluster(catalog, seen, wanted)?;
    let above: String = notes.iter().map(|note| comment(&format!("{note}."))).collect();
    files::write(output, settings.output.as_deref(), &format!("{above}{file}"))?;
    notes.iter().for_each(|note| output.note(note));
    Ok(Exit::Done)
}

/// Writes a configuration as a model file: what was assumed stands above it.
fn import_model(
    catalog: &Catalog,
    flags: &ImportArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let imported = catalog.import(&flags.source)?;
    let broken = |text: String| Failure::new(Exit::InvalidInput, text);
    let model =
        Model::build(&imported.spec).map_err(|e| broken(format!("{}: {e}", flags.source)))?;
    let file = write_model(&imported.spec)
        .ok_or_else(|| broken(format!("{} is a model file already", flags.source)))?;
    let count = grouped(model.parameters());
    let notes = imported.notes.iter().map(|note| comment(&format!("{note}.")));
    let head = comment(&format!("{count} parameters."));
    let text = format!("{head}{}{file}", notes.collect::<String>());
    files::write(output, settings.output.as_deref(), &text)?;
    output.note(&format!("{}: {count} parameters", imported.spec.name));
    Ok(Exit::Done)
}

/// A sentence above the first line of a file.
fn comment(text: &str) -> String {
    wrap(text, 96, 0).lines().map(|line| format!("# {line}\n")).collect()
}
