//! Puts the shipped scenarios into the binary: one sorted table of folder, name and text.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const FOLDERS: [&str; 6] = ["models", "clusters", "devices", "profiles", "corpora", "published"];

fn main() -> io::Result<()> {
    let variable = |name| env::var_os(name).map(PathBuf::from).ok_or(io::ErrorKind::NotFound);
    let root = variable("CARGO_MANIFEST_DIR")?.join("scenarios");
    let mut table = String::from("&[\n");
    for folder in FOLDERS {
        let path = root.join(folder);
        println!("cargo::rerun-if-changed={}", path.display());
        for file in scenario_files(&path)? {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            let _infallible = writeln!(table, "({folder:?}, {stem:?}, include_str!({file:?})),");
        }
    }
    table.push(']');
    fs::write(variable("OUT_DIR")?.join("scenarios.rs"), table)
}

/// The TOML files of a folder, by name; a folder that is absent has none.
fn scenario_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "toml") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
