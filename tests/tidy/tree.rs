//! The files of the repository, and what a rule says about them.

use crate::lexer::{self, Mask};
use std::fs;
use std::path::{Path, PathBuf};

/// Crates whose code is a pure function of its arguments.
pub const PURE: [&str; 3] = ["plan", "cost-model", "planner"];

/// Folders that hold tests, benchmarks and fuzzing, wherever they are.
const TEST_FOLDERS: [&str; 4] = ["tests", "benches", "fuzz", "examples"];

/// A text file of the repository.
pub struct File {
    /// Path from the root, with `/`.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// What a rule found.
#[derive(Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Path from the root.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong and what to write instead.
    pub message: String,
    /// The line itself, for the allow-list.
    pub excerpt: String,
}

impl File {
    /// The repository's text files, sorted by path.
    pub fn all() -> Vec<Self> {
        let mut paths = Vec::new();
        walk(Path::new(root()), &mut paths);
        paths.sort();
        let read = |path: PathBuf| {
            let text = fs::read_to_string(&path).ok()?;
            let path = path.strip_prefix(root()).ok()?.to_string_lossy().replace('\\', "/");
            Some(Self { path, text })
        };
        paths.into_iter().filter_map(read).collect()
    }

    /// A file that exists only in a test of a rule.
    #[cfg(test)]
    pub fn fake(path: &str, text: &str) -> Self {
        Self { path: path.to_string(), text: text.to_string() }
    }

    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether it is prose.
    pub fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }

    /// Whether it lies in one of the pure crates.
    pub fn is_pure(&self) -> bool {
        PURE.iter().any(|name| self.is_in(name))
    }

    /// Whether it lies in the top-level folder `folder`.
    pub fn is_in(&self, folder: &str) -> bool {
        self.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Whether all of it is test code, by where it lies.
    pub fn is_test(&self) -> bool {
        let mut parts = self.path.split('/');
        parts.any(|part| TEST_FOLDERS.contains(&part) || part == "tests.rs")
    }

    /// Whether it runs when the program is built.
    fn is_build_script(&self) -> bool {
        self.path.rsplit('/').next() == Some("build.rs")
    }

    /// The code that ships: no comments, no literals, no tests, no build scripts.
    pub fn shipped_code(&self) -> String {
        if self.is_test() || self.is_build_script() {
            return String::new();
        }
        lexer::without_tests(&Mask::new(&self.text).code)
    }

    /// A complaint about one line.
    pub fn complain(&self, line: usize, message: impl Into<String>) -> Complaint {
        let excerpt = self.text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        Complaint {
            path: self.path.clone(),
            line,
            message: message.into(),
            excerpt: excerpt.trim().to_string(),
        }
    }
}

/// Files of modules that other files declare as `#[cfg(test)] mod name;` are test code too.
pub fn drop_test_modules(files: Vec<File>) -> Vec<File> {
    let test_modules: Vec<String> = files
        .iter()
        .filter(|file| file.is_rust() && !file.is_test())
        .flat_map(|file| {
            let names = lexer::test_modules(&Mask::new(&file.text).code);
            names.into_iter().map(|name| module_base(&file.path) + &name)
        })
        .collect();
    let is_test = |file: &File| {
        test_modules.iter().any(|module| {
            file.path == format!("{module}.rs") || file.path.starts_with(&format!("{module}/"))
        })
    };
    files.into_iter().filter(|file| !is_test(file)).collect()
}

/// Where the modules that `path` declares lie: beside a crate root, else in a folder of its name.
fn module_base(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => format!("{folder}/"),
        _ => path.trim_end_matches(".rs").to_string() + "/",
    }
}

/// The root of the repository.
pub fn root() -> &'static str {
    env!("CARGO_MANIFEST_DIR")
}

/// All files below `folder` that are neither hidden nor ignored by version control.
fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
    let ignored = fs::read_to_string(Path::new(root()).join(".gitignore")).unwrap_or_default();
    let is_ignored = |name: &str| ignored.lines().any(|line| line.trim_matches('/') == name);
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().to_string();
        let is_hidden = name.starts_with('.') && name != ".ci";
        if is_hidden || is_ignored(&name) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), out),
            Ok(kind) if kind.is_file() => out.push(entry.path()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_has_what_a_clone_has() {
        let files = File::all();
        let has = |path: &str| files.iter().any(|file| file.path == path);
        assert!(has("Cargo.toml") && has("plan/src/lib.rs") && has(".ci/run"));
        assert!(files.iter().all(|file| !file.is_in("target")));
    }

    #[test]
    fn modules_for_tests_are_test_code_wherever_they_lie() {
        let files = vec![
            File::fake("a/src/lib.rs", "#[cfg(test)]\nmod brute;\nmod kept;\n"),
            File::fake("a/src/brute.rs", ""),
            File::fake("a/src/brute/deep.rs", ""),
            File::fake("a/src/kept.rs", "#[cfg(test)]\nmod inner;\n"),
            File::fake("a/src/kept/inner.rs", ""),
        ];
        let left: Vec<_> = drop_test_modules(files).into_iter().map(|file| file.path).collect();
        assert_eq!(left, ["a/src/lib.rs", "a/src/kept.rs"]);
        assert!(File::fake("plan/tests/x.rs", "").is_test());
        assert!(File::fake("plan/src/x/tests.rs", "").is_test());
        assert!(!File::fake("plan/src/x.rs", "").is_test());
        assert_eq!(File::fake("build.rs", "fn main() {}").shipped_code(), "");
        assert_eq!(File::fake("plan/src/build_up.rs", "fn f() {}").shipped_code(), "fn f() {}");
    }
}
