//! Scenarios by name: in a file, in the folder `MESHWRIGHT_SCENARIOS`, or inside the binary.
//!
//! Only what is asked for is parsed: an index by file name comes with the binary, and the heads of
//! files are read only where a name may be an alias.

mod kind;
mod load;

pub use kind::Kind;
pub use load::name_of;

use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use plan::scenario::{Names, names};
use plan::suggest::closest;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Folder, name and text of every shipped scenario, sorted.
static SHIPPED: &[(&str, &str, &str)] = include!(concat!(env!("OUT_DIR"), "/scenarios.rs"));

/// The text of a shipped file.
pub fn shipped(folder: &str, name: &str) -> Option<&'static str> {
    let found = SHIPPED.iter().find(|(f, n, _)| *f == folder && *n == name);
    found.map(|(_, _, text)| *text)
}

/// The name of the cluster that is this machine.
pub const LOCAL: &str = "local";

/// A scenario file before it is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// As it is shown to people: a path, or the name of what is shipped.
    pub shown: String,
    /// Its content.
    pub text: Cow<'static, str>,
    /// Where it lies, if it lies anywhere.
    pub path: Option<PathBuf>,
}

/// All scenarios that can be named.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    folder: Option<PathBuf>,
}

impl Catalog {
    /// The catalog of this environment.
    ///
    /// # Errors
    /// When `MESHWRIGHT_SCENARIOS` names something that is not a folder.
    pub fn from_environment() -> Result<Self, Failure> {
        let folder = std::env::var_os("MESHWRIGHT_SCENARIOS").filter(|v| !v.is_empty());
        let folder = folder.map(PathBuf::from);
        match folder.as_ref().filter(|folder| !folder.is_dir()) {
            None => Ok(Self { folder }),
            Some(missing) => Err(Failure::new(
                Exit::InvalidInput,
                format!("MESHWRIGHT_SCENARIOS is no folder: {}", missing.display()),
            )
            .hint("`meshwright help environment` says what belongs there")),
        }
    }

    /// Scenarios of one kind by file name; the user's folder comes before what is shipped.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn all(&self, kind: Kind) -> Result<BTreeMap<String, Scenario>, Failure> {
        let mut all = BTreeMap::new();
        for (_, name, text) in SHIPPED.iter().filter(|(folder, _, _)| *folder == kind.folder()) {
            let shown = format!("{}/{name}.toml", kind.folder());
            let scenario = Scenario { shown, text: Cow::Borrowed(*text), path: None };
            all.insert((*name).to_string(), scenario);
        }
        if let Some(folder) = &self.folder {
            for path in toml_files(&folder.join(kind.folder()))? {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                all.insert(stem, read_scenario(&path)?);
            }
        }
        Ok(all)
    }

    /// The scenario with this name or alias, or in this file.
    ///
    /// # Errors
    /// An unknown name, with the one that was probably meant; or an unreadable file.
    pub fn find(&self, kind: Kind, name: &str) -> Result<Scenario, Failure> {
        if let Some(config) = (kind == Kind::Model).then(|| config_in(name)).flatten() {
            return read_scenario(&config);
        }
        if is_path(name) {
            let text = Cow::Owned(files::read(name)?);
            let path = (name != "-").then(|| PathBuf::from(name));
            return Ok(Scenario { shown: files::shown(name).to_string(), text, path });
        }
        let mut all = self.all(kind)?;
        if let Some(found) = all.remove(name) {
            return Ok(found);
        }
        let mut known = aliases(&all);
        match known.remove(name) {
            Some(target) => all.remove(&target).ok_or_else(|| unknown(kind, name, None)),
            None => {
                let local = (kind == Kind::Cluster).then_some(LOCAL);
                let words = all.keys().chain(known.keys()).map(String::as_str).chain(local);
                Err(unknown(kind, name, closest(name, words)))
            }
        }
    }
}

/// What looks like a path is a path; a name never does.
pub fn is_path(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|e| e.to_str());
    name == "-" || name.contains(['/', '\\']) || matches!(extension, Some("toml" | "json"))
}

/// The Hugging Face configuration of a folder.
fn config_in(name: &str) -> Option<PathBuf> {
    let config = Path::new(name).join("config.json");
    config.is_file().then_some(config)
}

/// Other names, and the file names that they stand for. A file whose head cannot be read has no
/// aliases here; whoever names that file is told what is wrong with it.
fn aliases(all: &BTreeMap<String, Scenario>) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    for (stem, scenario) in all {
        if let Ok(Names { name, aliases }) = names(&scenario.text) {
            for alias in aliases.into_iter().chain([name]) {
                known.entry(alias).or_insert_with(|| stem.clone());
            }
        }
    }
    known
}

fn unknown(kind: Kind, name: &str, suggestion: Option<&str>) -> Failure {
    Failure::usage(format!("no {} named `{name}`", kind.singular())).did_you_mean(suggestion).hint(
        format!(
            "`meshwright scenarios list {}` shows all {0}; a path to a {1} also works",
            kind.folder(),
            if kind == Kind::Model { "TOML file or a config.json" } else { "TOML file" }
        ),
    )
}

fn read_scenario(path: &Path) -> Result<Scenario, Failure> {
    let shown = path.display().to_string();
    let text = Cow::Owned(files::read(&shown)?);
    Ok(Scenario { shown, text, path: Some(path.to_path_buf()) })
}

/// The TOML files of a folder, by name; a folder that is absent has none.
fn toml_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    files_in(folder, &["toml"])
}

/// The files of a folder with one of the extensions, by name; a folder that is absent has none.
pub fn files_in(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, Failure> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let failed = |e: std::io::Error| {
        Failure::new(
            Exit::InvalidInput,
            format!("cannot read the folder {}: {e}", folder.display()),
        )
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let extension = path.extension().and_then(|e| e.to_str());
        if extension.is_some_and(|e| extensions.contains(&e)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::Canvas;

    #[test]
    fn paths_are_told_from_names() {
        for path in ["-", "a/b", "./x", "lab.toml", "config.json", "C:\\lab"] {
            assert!(is_path(path), "{path}");
        }
        for name in ["mlstm4096", "gpt3-175b", "llama-3.1"] {
            assert!(!is_path(name), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_met_with_the_nearest() {
        let failure = unknown(Kind::Model, "mlstm4069", Some("mlstm4096"));
        let expected = "\
error: no model named `mlstm4069`

hint: did you mean `mlstm4096`?
hint: `meshwright scenarios list models` shows all models; a path to a TOML file or a config.json \
also works
";
        assert_eq!(failure.render(&Canvas::PLAIN), expected);
        assert_eq!(failure.exit(), Exit::Usage);
    }
}
