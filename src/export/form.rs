//! Settings as trees, and trees as JSON, YAML, TOML, Python and flags.

use serde_json::Value as Json;
use std::fmt::Write as _;

/// A value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A flag without a value.
    Flag,
    /// Yes or no.
    Truth(bool),
    /// A whole number.
    Whole(u64),
    /// Any number.
    Real(f64),
    /// Text.
    Text(String),
    /// Words of the format itself: an expression, a variable of the shell.
    Raw(String),
    /// Several values.
    List(Vec<Value>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_string())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Whole(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}

/// A key, sections divided by dots, and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Key.
    pub key: String,
    /// Value.
    pub value: Value,
}

/// Settings by section, in the order in which they were given.
#[derive(Debug, PartialEq)]
pub enum Tree {
    /// A value.
    Leaf(Value),
    /// A section.
    Branch(Vec<(String, Tree)>),
}

impl Tree {
    /// The tree of settings; of a key given twice, the last counts.
    pub fn of(settings: &[Setting]) -> Self {
        let mut root = Self::Branch(Vec::new());
        for setting in settings {
            root.insert(&setting.key, setting.value.clone());
        }
        root
    }

    fn insert(&mut self, key: &str, value: Value) {
        let Self::Branch(children) = self else { return };
        let (head, rest) = key.split_once('.').map_or((key, None), |(h, r)| (h, Some(r)));
        let at = children.iter().position(|(name, _)| name == head).unwrap_or_else(|| {
            children.push((head.to_string(), Self::Branch(Vec::new())));
            children.len() - 1
        });
        match rest {
            Some(rest) => children[at].1.insert(rest, value),
            None => children[at].1 = Self::Leaf(value),
        }
    }

    /// As JSON, indented.
    pub fn json(&self) -> String {
        let mut text = String::new();
        self.json_into(&mut text, 0);
        text.push('\n');
        text
    }

    fn json_into(&self, text: &mut String, depth: usize) {
        match self {
            Self::Leaf(value) => text.push_str(&plain(value)),
            Self::Branch(children) => {
                text.push_str("{\n");
                for (i, (name, child)) in children.iter().enumerate() {
                    let _ = write!(text, "{}{}: ", "  ".repeat(depth + 1), quoted(name));
                    child.json_into(text, depth + 1);
                    text.push_str(if i + 1 < children.len() { ",\n" } else { "\n" });
                }
                let _ = write!(text, "{}}}", "  ".repeat(depth));
            }
        }
    }

    /// As YAML, in block style.
    pub fn yaml(&self) -> String {
        let mut text = String::new();
        self.yaml_into(&mut text, 0);
        text
    }

    fn yaml_into(&self, text: &mut String, depth: usize) {
        let Self::Branch(children) = self else { return };
        for (name, child) in children {
            let indent = "  ".repeat(depth);
            match child {
                Self::Leaf(value) => {
                    let _ = writeln!(text, "{indent}{name}: {}", plain(value));
                }
                Self::Branch(_) => {
                    let _ = writeln!(text, "{indent}{name}:");
                    child.yaml_into(text, depth + 1);
                }
            }
        }
    }

    /// As TOML, a table per section.
    pub fn toml(&self) -> String {
        let mut text = String::new();
        self.toml_into(&mut text, "");
        text
    }

    fn toml_into(&self, text: &mut String, path: &str) {
        let Self::Branch(children) = self else { return };
        for (name, child) in children {
            if let Self::Leaf(value) = child {
                let _ = writeln!(text, "{name} = {}", plain(value));
            }
        }
        for (name, child) in children {
            if let Self::Branch(_) = child {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let gap = if text.is_empty() { "" } else { "\n" };
                let _ = writeln!(text, "{gap}[{path}]");
                child.toml_into(text, &path);
            }
        }
    }
}

/// Lines behind `#`.
pub fn comments(lines: &[String]) -> String {
    lines.iter().map(|line| format!("# {line}\n")).collect()
}

/// Settings as assignments of Python, `config.` before every key.
pub fn python(settings: &[Setting], config: &str) -> Vec<String> {
    let line = |s: &Setting| format!("{config}.{} = {}", s.key, pythonic(&s.value));
    settings.iter().map(line).collect()
}

/// Settings as flags of a command line, one per line.
pub fn flags(settings: &[Setting]) -> Vec<String> {
    let line = |s: &Setting| match &s.value {
        Value::Flag => format!("--{}", s.key),
        value => format!("--{} {}", s.key, word(value)),
    };
    settings.iter().map(line).collect()
}

/// A value as JSON writes it, which YAML and TOML read as well.
fn plain(value: &Value) -> String {
    match value {
        Value::Flag => "true".into(),
        Value::Truth(truth) => truth.to_string(),
        Value::Whole(number) => number.to_string(),
        Value::Real(number) => real(*number),
        Value::Text(text) => quoted(text),
        Value::Raw(text) => text.clone(),
        Value::List(values) => {
            format!("[{}]", values.iter().map(plain).collect::<Vec<_>>().join(", "))
        }
    }
}

fn pythonic(value: &Value) -> String {
    match value {
        Value::Flag | Value::Truth(true) => "True".into(),
        Value::Truth(false) => "False".into(),
        Value::List(values) => {
            format!("[{}]", values.iter().map(pythonic).collect::<Vec<_>>().join(", "))
        }
        other => plain(other),
    }
}

/// A value as a word of a shell.
fn word(value: &Value) -> String {
    match value {
        Value::Text(text) => shell(text),
        Value::List(values) => values.iter().map(word).collect::<Vec<_>>().join(" "),
        other => plain(other),
    }
}

/// Text in quotes where a shell would read anything else into it.
pub fn shell(text: &str) -> String {
    let is_tame = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+".contains(c);
    match !text.is_empty() && text.chars().all(is_tame) {
        true => text.to_string(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

fn quoted(text: &str) -> String {
    Json::String(text.to_string()).to_string()
}

/// With a point, and an exponent where that is shorter: YAML reads `3e-4` as text.
fn real(number: f64) -> String {
    let text = format!("{number:?}");
    match text.split_once('e') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0e{exponent}"),
        _ => text,
    }
}
