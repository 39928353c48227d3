//! The settings of a file, flat, and which of them were understood.

use super::{Remark, Size, Stated};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::str::FromStr;

/// A setting: its key, sections divided by dots, or a flag without its dashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Key.
    pub key: String,
    /// Value as text; nothing for a flag without one.
    pub value: String,
    /// Values of a list.
    pub items: usize,
    /// Line, from 1.
    pub line: usize,
}

/// Settings being understood.
#[derive(Debug)]
pub struct Sheet {
    entries: Vec<Entry>,
    asked: RefCell<BTreeSet<usize>>,
    remarks: RefCell<Vec<Remark>>,
}

impl Sheet {
    /// Settings in the order of the file.
    pub fn new(entries: Vec<Entry>, remarks: Vec<Remark>) -> Self {
        Self { entries, asked: RefCell::default(), remarks: RefCell::new(remarks) }
    }

    /// The last setting of a key: trainers let later ones win.
    pub fn find(&self, key: &str) -> Option<&Entry> {
        let places = self.entries.iter().enumerate().filter(|(_, entry)| entry.key == key);
        let places: Vec<usize> = places.map(|(at, _)| at).collect();
        self.asked.borrow_mut().extend(&places);
        places.last().map(|at| &self.entries[*at])
    }

    /// A value of some type; what is none is remarked.
    pub fn value<T: FromStr>(&self, key: &str) -> Option<T> {
        let entry = self.find(key)?;
        let value = entry.value.parse().ok();
        if value.is_none() && !is_nothing(&entry.value) {
            let said = if entry.value.is_empty() { "nothing" } else { entry.value.as_str() };
            self.remark(entry.line, format!("{key} is {said}, which is not understood"));
        }
        value
    }

    /// A number from 1 on, or what the trainer takes where nothing is said.
    pub fn count(&self, key: &str, default: u32) -> u32 {
        match self.value::<u32>(key) {
            Some(0) => {
                let line = self.find(key).map_or(1, |entry| entry.line);
                self.remark(line, format!("{key} is 0; {default} is taken"));
                default
            }
            Some(number) => number,
            None => default,
        }
    }

    /// A word, in lower case.
    pub fn word(&self, key: &str) -> Option<String> {
        let word = self.find(key)?.value.to_lowercase();
        (!is_nothing(&word)).then_some(word)
    }

    /// Whether something is switched on: a flag, or a key that is not `false`.
    pub fn is_on(&self, key: &str) -> bool {
        let is_off = |value: &str| value.eq_ignore_ascii_case("false") || is_nothing(value);
        self.find(key).is_some_and(|entry| !is_off(&entry.value))
    }

    /// Says something about a line.
    pub fn remark(&self, line: usize, text: impl Into<String>) {
        self.remarks.borrow_mut().push(Remark { line: Some(line), text: text.into() });
    }

    /// Says something about a key, where the file has it.
    pub fn remark_key(&self, key: &str, text: impl Into<String>) {
        let line = self.find(key).map(|entry| entry.line);
        self.remarks.borrow_mut().push(Remark { line, text: text.into() });
    }

    /// Sizes of the model, where the file states them.
    pub fn stated(&self, keys: [(&str, Size); 3]) -> Vec<Stated> {
        let stated = |(key, size): (&str, Size)| {
            let value = self.value(key)?;
            Some(Stated { size, value, line: self.find(key)?.line })
        };
        keys.into_iter().filter_map(stated).collect()
    }

    /// Everything that was remarked, with what nobody asked for besides: `is_other` knows settings
    /// that decide nothing about the layout.
    pub fn remarks(self, is_other: impl Fn(&str) -> bool) -> Vec<Remark> {
        let asked = self.asked.into_inner();
        let mut remarks = self.remarks.into_inner();
        for (at, entry) in self.entries.iter().enumerate() {
            if !asked.contains(&at) && !is_other(&entry.key) {
                let text = format!("{} is not understood", entry.key);
                remarks.push(Remark { line: Some(entry.line), text });
            }
        }
        remarks.sort_by_key(|remark| remark.line.unwrap_or(usize::MAX));
        remarks
    }
}

fn is_nothing(value: &str) -> bool {
    matches!(value.to_lowercase().as_str(), "null" | "none" | "~")
}
