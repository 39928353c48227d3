//! Reading stacks from their files. No I/O: whoever has the files hands their text.
//!
//! A file may say `extends = "other"`; it then states only what differs, section by section and
//! key by key. Every value has a source, either its own or that of its section. `[on.h100]` holds
//! sections for devices whose names start so; a file that extends another keeps what that says
//! about devices, but its own sections go first.

mod sections;

use super::Stack;
use plan::scenario::{Problems, Table, read};
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong with a stack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StackError {
    /// No file has this name.
    #[error("there is no software stack named {name}")]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// A file extends itself, directly or not.
    #[error("software stacks extend each other in a circle: {}", chain.join(" → "))]
    Circle {
        /// The names on the way round.
        chain: Vec<String>,
    },
    /// A file has mistakes.
    #[error("software stack {name}: {problems}")]
    File {
        /// The file's name.
        name: String,
        /// Its mistakes, with their places in its text.
        problems: Problems,
    },
}

/// Reads the stack `name` and those it extends; `text` gives the content of a file by its name.
///
/// # Errors
/// An unknown name, a circle, or the mistakes of the first file that has some.
pub fn load_stack(name: &str, text: &dyn Fn(&str) -> Option<String>) -> Result<Stack, StackError> {
    load(name, text, &mut Vec::new())
}

fn load(
    name: &str,
    text: &dyn Fn(&str) -> Option<String>,
    chain: &mut Vec<String>,
) -> Result<Stack, StackError> {
    let seen = chain.iter().any(|earlier| earlier == name);
    chain.push(name.to_owned());
    if seen {
        return Err(StackError::Circle { chain: chain.clone() });
    }
    let content = text(name).ok_or_else(|| StackError::Unknown { name: name.to_owned() })?;
    let base = match base_name(&content) {
        Some(base) => Some(load(&base, text, chain)?),
        None => None,
    };
    parse_stack(&content, base.as_ref())
        .map_err(|problems| StackError::File { name: name.to_owned(), problems })
}

/// Reads one file on top of the stack it extends.
///
/// # Errors
/// All mistakes of the file. Without `base`, every value is required.
pub fn parse_stack(text: &str, base: Option<&Stack>) -> Result<Stack, Problems> {
    read(text, |file| {
        file.optional("extends", |item| item.text());
        stack(file, base)
    })
}

/// The name after `extends`, where the text can be read at all; mistakes are reported later.
fn base_name(text: &str) -> Option<String> {
    let mut base = None;
    // Everything but this key is looked at by the full parser.
    let _ = read(text, |file| {
        base = file.optional("extends", |item| item.text());
        Some(())
    });
    base
}

fn stack(file: &Table<'_>, base: Option<&Stack>) -> Option<Stack> {
    let name = file.required("name", |item| item.text());
    let label = file.required("label", |item| item.text());
    let plain = sections(file, base);
    let devices = devices(file);
    let (name, label, plain) = (name?, label?, plain?);
    let mut stack = Stack { name, label, ..plain };
    stack.on = on_devices(file, base, &stack, devices?)?;
    Some(stack)
}

/// The sections of a file, or of what it says about one device, on top of a base.
fn sections(file: &Table<'_>, base: Option<&Stack>) -> Option<Stack> {
    let compute = sections::compute(file, base.map(|b| &b.compute));
    let attention = sections::attention(file, base.map(|b| &b.attention));
    let pointwise = sections::pointwise(file, base.map(|b| &b.pointwise));
    let fused = sections::fused(file, base.map(|b| &b.fused));
    let recurrent = sections::recurrent(file, base.map(|b| &b.recurrent));
    let optimizer = sections::optimizer(file, base.map(|b| &b.optimizer));
    let collective = sections::collective(file, base.map(|b| &b.collective));
    let overlap = sections::overlap(file, base.map(|b| &b.overlap));
    let pipeline = sections::pipeline(file, base.map(|b| &b.pipeline));
    let host = sections::host(file, base.map(|b| &b.host));
    let memory = sections::memory(file, base.map(|b| &b.memory));
    let spread = sections::spread(file, base.map(|b| &b.spread));
    let residual = sections::residual(file, base.map(|b| &b.residual));
    Some(Stack {
        name: base.map(|b| b.name.clone()).unwrap_or_default(),
        label: base.map(|b| b.label.clone()).unwrap_or_default(),
        compute: compute?,
        attention: attention?,
        fused: fused?,
        pointwise: pointwise?,
        recurrent: recurrent?,
        optimizer: optimizer?,
        collective: collective?,
        overlap: overlap?,
        pipeline: pipeline?,
        host: host?,
        memory: memory?,
        spread: spread?,
        residual: residual?,
        on: BTreeMap::new(),
    })
}

/// The beginnings of device names under `[on]`.
fn devices(file: &Table<'_>) -> Option<Vec<String>> {
    let mut names = Vec::new();
    if file.has("on") {
        file.table("on", |table| {
            table.each(|item| names.push(item.key().to_string()));
            Some(())
        })?;
    }
    Some(names)
}

/// Whole stacks per device: what the base says there, then this file's own sections, then what it
/// says about the device.
fn on_devices(
    file: &Table<'_>,
    base: Option<&Stack>,
    plain: &Stack,
    own: Vec<String>,
) -> Option<BTreeMap<String, Stack>> {
    let inherited = base.into_iter().flat_map(|b| b.on.keys().cloned());
    let names: BTreeSet<String> = inherited.chain(own.iter().cloned()).collect();
    let mut found = BTreeMap::new();
    for name in names {
        let stack = match base {
            Some(base) => sections(file, Some(base.on(&name)))?,
            None => plain.clone(),
        };
        let mut stack = Stack { name: plain.name.clone(), label: plain.label.clone(), ..stack };
        let mut starts: Vec<&String> = own.iter().filter(|o| name.starts_with(*o)).collect();
        starts.sort_by_key(|start| start.len());
        for start in starts {
            stack = about(file, start, stack)?;
        }
        found.insert(name, stack);
    }
    Some(found)
}

/// What `[on.NAME]` changes.
fn about(file: &Table<'_>, name: &str, stack: Stack) -> Option<Stack> {
    file.table("on", |table| {
        let mut stack = Some(stack);
        table.each(|item| {
            if item.key() == name {
                stack = stack.take().and_then(|s| item.table(|t| sections(t, Some(&s))));
            }
        });
        stack
    })
}

#[cfg(test)]
mod tests;
