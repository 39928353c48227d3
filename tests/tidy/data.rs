//! Data files, manifests and the changelog.

use crate::lexer;
use crate::tree::{Complaint, File};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Folders of data whose every value has an origin.
const SOURCED: [&str; 4] = ["devices", "clusters", "corpora", "profiles"];

/// Words a source starts with: how good the origin is.
const GRADES: [&str; 6] = ["exact", "measured", "published", "fitted", "derived", "assumed"];

/// A parsed file on the way through [`walk`].
struct Walk<'a> {
    file: &'a File,
    aliases: Vec<String>,
    found: Vec<Complaint>,
}

/// Every value of a device, cluster, corpus or profile names its source.
pub fn sources(file: &File) -> Vec<Complaint> {
    let is_data = SOURCED.iter().any(|folder| file.is_in(&format!("scenarios/{folder}")));
    if !is_data || !file.path.ends_with(".toml") {
        return Vec::new();
    }
    let Ok(root) = DeTable::parse(&file.text) else {
        return vec![file.complain(1, "not a TOML document")];
    };
    let mut walk = Walk { file, aliases: Vec::new(), found: Vec::new() };
    for (alias, source) in root.get_ref().get("sources").and_then(table).into_iter().flatten() {
        walk.judge(&format!("sources.{}", alias.get_ref()), source);
        walk.aliases.push(alias.get_ref().to_string());
    }
    walk.table("", root.get_ref(), root.span().start);
    walk.found
}

fn table<'a, 'b>(value: &'a Spanned<DeValue<'b>>) -> Option<&'a DeTable<'b>> {
    value.get_ref().as_table()
}

impl Walk<'_> {
    fn table(&mut self, at: &str, table: &DeTable<'_>, start: usize) {
        match (table.contains_key("value"), table.get("source")) {
            (true, Some(source)) => self.judge(at, source),
            (true, None) => self.complain(start, format!("{at} has a value and no source")),
            (false, _) => {}
        }
        for (key, inner) in table {
            let path = if at.is_empty() { String::new() } else { format!("{at}.") };
            self.value(&(path + key.get_ref()), inner);
        }
    }

    fn value(&mut self, at: &str, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(at, table, value.span().start),
            DeValue::Array(items) => {
                for (i, inner) in items.iter().enumerate() {
                    self.value(&format!("{at}[{i}]"), inner);
                }
            }
            _ => {}
        }
    }

    /// A source is an alias of the file, or a grade, a colon and words.
    fn judge(&mut self, at: &str, source: &Spanned<DeValue<'_>>) {
        let text = source.get_ref().as_str().unwrap_or_default();
        if self.aliases.iter().any(|alias| alias == text) {
            return;
        }
        let (grade, words) = text.split_once(':').unwrap_or((text, ""));
        let start = source.span().start;
        if !GRADES.contains(&grade.trim()) {
            let problem =
                format!("{at}: \"{text}\" is no alias and starts with none of {GRADES:?}");
            self.complain(start, problem);
        } else if words.trim().is_empty() {
            self.complain(start, format!("{at}: \"{text}\" says how good, but not from where"));
        }
    }

    fn complain(&mut self, start: usize, problem: String) {
        let line = lexer::line_of(&self.file.text, start);
        self.found.push(self.file.complain(line, problem));
    }
}

/// Every dependency says why it is worth having.
pub fn dependencies(file: &File) -> Vec<Complaint> {
    if file.path != "Cargo.toml" {
        return Vec::new();
    }
    let lines: Vec<&str> = file.text.lines().collect();
    let Some(start) = lines.iter().position(|line| line.trim() == "[workspace.dependencies]")
    else {
        return vec![file.complain(1, "there is no [workspace.dependencies]")];
    };
    let entries = (start + 1..lines.len()).take_while(|&i| !lines[i].starts_with('['));
    entries
        .filter(|&i| lines[i].contains(" = ") && !lines[i].starts_with([' ', '#']))
        .filter(|&i| !lines[i].contains("path = ") && !lines[i - 1].starts_with('#'))
        .map(|i| file.complain(i + 1, "say in a comment line above why it is worth having"))
        .collect()
}

/// Changes of predictions are the breaking changes of this product.
pub fn changelog(file: &File) -> Vec<Complaint> {
    if file.path != "CHANGELOG.md" {
        return Vec::new();
    }
    let mut releases: Vec<(usize, bool)> = Vec::new();
    for (i, line) in file.text.lines().enumerate() {
        match (line, releases.last_mut()) {
            (line, _) if line.starts_with("## ") => releases.push((i + 1, false)),
            ("### Predictions", Some(release)) => release.1 = true,
            _ => {}
        }
    }
    if releases.is_empty() {
        return vec![file.complain(1, "there is no release section (`## …`)")];
    }
    let silent = releases.into_iter().filter(|(_, has)| !has);
    silent
        .map(|(line, _)| file.complain(line, "add `### Predictions`, if only \"None.\""))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(complaints: Vec<Complaint>) -> Vec<String> {
        complaints.into_iter().map(|complaint| complaint.message).collect()
    }

    #[test]
    fn a_value_without_a_source_fails() {
        let check = |text: &str| {
            messages(sources(&File::fake("scenarios/devices/a.toml", &text.replace('\'', "\""))))
        };
        let good = "[sources]\nd = 'published: data sheet'\n[a]\nb = { value = 1, source = 'd' }\n";
        assert!(check(good).is_empty());
        assert_eq!(check("[[a]]\nb = { value = 1 }"), ["a[0].b has a value and no source"]);
        let bare = check("[a]\nvalue = 1\nsource = 'published'");
        assert!(bare[0].contains("not from where"), "{bare:?}");
        let ungraded = check("[a]\nvalue = 1\nsource = 'somewhere'");
        assert!(ungraded[0].contains("is no alias"), "{ungraded:?}");
        let alias = check("[sources]\nd = 'the data sheet'\n");
        assert!(alias[0].starts_with("sources.d"), "{alias:?}");
        assert_eq!(check("a = "), ["not a TOML document"]);
        assert!(sources(&File::fake("scenarios/models/a.toml", "x = { value = 1 }")).is_empty());
    }

    #[test]
    fn a_dependency_without_a_reason_fails() {
        let text = "[workspace.dependencies]\nours = { path = \"ours\" }\n\
                    # Parses.\na = \"1\"\nb = \"1\"\n";
        let found = dependencies(&File::fake("Cargo.toml", text));
        assert_eq!(found.iter().map(|c| c.line).collect::<Vec<_>>(), [5]);
        assert_eq!(dependencies(&File::fake("Cargo.toml", "[package]\n")).len(), 1);
    }

    #[test]
    fn a_release_without_predictions_fails() {
        let text = "# Changelog\n## 0.2\n### Predictions\nNone.\n## 0.1\n### Added\n";
        let found = changelog(&File::fake("CHANGELOG.md", text));
        assert_eq!(found.iter().map(|c| c.line).collect::<Vec<_>>(), [5]);
        assert_eq!(changelog(&File::fake("CHANGELOG.md", "# Changelog\n")).len(), 1);
    }
}
