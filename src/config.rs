//! Configuration files: how things look, and which cluster is meant. Never a physical constant.
//!
//! `meshwright.toml` is looked for from the working folder upward to the root of the repository;
//! then comes `meshwright/config.toml` in the user's configuration folder.

use crate::cli::Format;
use crate::diagnostics::Failure;
use crate::files;
use crate::output::ColorChoice;
use clap::ValueEnum;
use plan::scenario::{Problem, Problems, Table, read};
use std::path::{Path, PathBuf};

/// The name of a project's configuration file.
pub const FILE: &str = "meshwright.toml";

/// What a configuration file may set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Cluster used when no flag names one.
    pub cluster: Option<String>,
    /// How results are written.
    pub format: Option<Format>,
    /// When to colour.
    pub color: Option<ColorChoice>,
    /// Whether only ASCII is written.
    pub ascii: Option<bool>,
    /// Columns.
    pub width: Option<u16>,
}

/// A configuration file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// As it is shown to people.
    pub path: String,
    /// What it sets.
    pub config: Config,
}

/// Reads the files that apply, the strongest first.
///
/// # Errors
/// All problems of the first file that has some.
pub fn load(chosen: Option<&str>) -> Result<Vec<Loaded>, Failure> {
    let paths = match chosen {
        Some(path) => vec![path.to_string()],
        None => places(&std::env::current_dir().unwrap_or_default(), &|name| {
            std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from)
        }),
    };
    paths.into_iter().map(load_one).collect()
}

fn load_one(path: String) -> Result<Loaded, Failure> {
    let text = files::read(&path)?;
    let config = parse(&text).map_err(|p| Failure::scenario(&path, &text, p))?;
    Ok(Loaded { path, config })
}

/// The configuration files that exist, the strongest first.
fn places(here: &Path, variable: &dyn Fn(&str) -> Option<PathBuf>) -> Vec<String> {
    let user = variable("XDG_CONFIG_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| variable("HOME").map(|home| home.join(".config")))
        .map(|folder| folder.join("meshwright/config.toml"));
    let found = project_file(here).into_iter().chain(user.filter(|path| path.is_file()));
    found.map(|path| shown(&path, here)).collect()
}

/// The nearest file on the way up; the root of the repository is the last place to look.
fn project_file(here: &Path) -> Option<PathBuf> {
    for folder in here.ancestors() {
        let file = folder.join(FILE);
        if file.is_file() {
            return Some(file);
        }
        if folder.join(".git").exists() {
            return None;
        }
    }
    None
}

/// Relative to the working folder where that is shorter to read.
fn shown(path: &Path, here: &Path) -> String {
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// Understands a configuration file.
///
/// # Errors
/// All problems of the file.
pub fn parse(text: &str) -> Result<Config, Problems> {
    read(text, |file| {
        for key in ["name", "aliases", "sources"] {
            refuse(file, key);
        }
        let config = Config {
            cluster: file.optional("cluster", |item| item.text()),
            format: file.optional("format", |item| item.choice(&words(Format::name))),
            color: file.optional("color", |item| item.choice(&words(ColorChoice::name))),
            ascii: file.optional("ascii", |item| item.flag()),
            width: file.optional("width", |item| {
                let width = u16::try_from(item.count(1)?).ok();
                let fits = width.filter(|w| (40..=400).contains(w));
                fits.or_else(|| item.refuse("a width is from 40 to 400 columns"))
            }),
        };
        Some(config)
    })
}

/// Keys that scenario files know and configuration files do not.
fn refuse(file: &Table<'_>, key: &str) {
    if file.has(key) {
        file.optional(key, |item| {
            let message = format!("unknown key `{key}`");
            let hint = "a configuration file knows cluster, format, color, ascii and width";
            item.report(Problem::new(item.key_span(), message, "unknown key").with_hint(hint));
            Some(())
        });
    }
}

/// The words of a flag, so that file and flag cannot drift apart.
fn words<T: ValueEnum + Copy>(name: fn(T) -> &'static str) -> Vec<(&'static str, T)> {
    T::value_variants().iter().map(|value| (name(*value), *value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn all_keys() {
        let text = "schema = 1\ncluster = \"dgx1v\"\nformat = \"plain\"\ncolor = \"never\"\n\
                    ascii = true\nwidth = 100\n";
        let expected = Config {
            cluster: Some("dgx1v".into()),
            format: Some(Format::Plain),
            color: Some(ColorChoice::Never),
            ascii: Some(true),
            width: Some(100),
        };
        assert_eq!(parse(text), Ok(expected));
    }

    #[test]
    fn constants_and_typing_errors_are_refused() {
        let message = |line: &str| {
            let problems = parse(&format!("schema = 1\n{line}\n")).unwrap_err();
            problems.list.iter().map(|p| p.message.clone()).collect::<Vec<_>>().join("; ")
        };
        assert!(message("bandwidth = \"200 GB/s\"").contains("unknown key `bandwidth`"));
        assert!(message("clutser = \"dgx1v\"").contains("did you mean `cluster`?"));
        assert!(message("name = \"x\"").contains("unknown key `name`"));
        assert!(message("color = \"alway\"").contains("did you mean `always`?"));
        assert!(message("width = 20").contains("40 to 400"), "{}", message("width = 20"));
    }

    #[test]
    fn the_search_stops_at_the_root_of_the_repository() {
        let root = std::env::temp_dir().join(format!("meshwright-config-{}", std::process::id()));
        let deep = root.join("repository/a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::create_dir_all(root.join("repository/.git")).unwrap();
        fs::create_dir_all(root.join("home/meshwright")).unwrap();
        fs::write(root.join(FILE), "").unwrap();
        fs::write(root.join("home/meshwright/config.toml"), "").unwrap();
        let variable = |name: &str| (name == "XDG_CONFIG_HOME").then(|| root.join("home"));
        let outside = places(&deep, &variable);
        fs::write(root.join("repository").join(FILE), "").unwrap();
        let inside = places(&deep, &variable);
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(outside.len(), 1, "{outside:?}");
        assert!(outside[0].ends_with("config.toml"));
        assert_eq!(inside.len(), 2, "{inside:?}");
        assert!(inside[0].ends_with("repository/meshwright.toml"));
    }
}
