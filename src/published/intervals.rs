//! Where measured step times lie around predictions: data, fitted to published rows.
//!
//! Split conformal prediction (Vovk et al. 2005; Lei et al. 2018, arXiv:1604.04173) by regime: what
//! is known about device and software, the family of the model, and whether memory is nearly full.

use super::particular::{self, Fitted};
use plan::model::{Family, Model};
use plan::scenario::{Item, Problems, Table, read};

/// How well device and software of a row are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Knowledge {
    /// Rows of this device under this stack were there when constants were fitted.
    Profiled,
    /// Rows of this device were, under other software.
    Device,
    /// No row of this device was.
    Unseen,
}

/// Families that err differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Transformers.
    Dense,
    /// Mixtures of experts.
    Experts,
    /// Recurrent models.
    Recurrent,
}

impl Knowledge {
    /// All, best first.
    pub const ALL: [Self; 3] = [Self::Profiled, Self::Device, Self::Unseen];

    /// The word in files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Profiled => "profiled",
            Self::Device => "device",
            Self::Unseen => "unseen",
        }
    }
}

impl Kind {
    /// All, in the order of tables.
    pub const ALL: [Self; 3] = [Self::Dense, Self::Experts, Self::Recurrent];

    /// The family of a model.
    #[must_use]
    pub fn of(model: &Model) -> Self {
        match &model.spec.family {
            _ if model.is_recurrent => Self::Recurrent,
            Family::Transformer(shape) if shape.experts.is_some() => Self::Experts,
            _ => Self::Dense,
        }
    }

    /// The word in files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Experts => "experts",
            Self::Recurrent => "recurrent",
        }
    }
}

/// What decides an interval.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Regime {
    /// What is known.
    pub knowledge: Knowledge,
    /// The software stack.
    pub stack: String,
    /// The family.
    pub kind: Kind,
    /// Whether memory is above 95 %.
    pub is_full: bool,
}

/// An interval: measured times lie between `low` and `high` times the prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What is known.
    pub knowledge: Knowledge,
    /// The software stack, where the entry is of one.
    pub stack: Option<String>,
    /// The family.
    pub kind: Kind,
    /// Memory, where the entry distinguishes it.
    pub is_full: Option<bool>,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Rows that it rests on.
    pub rows: u64,
    /// Groups that it rests on.
    pub groups: u64,
}

/// Where measured memory lies relative to the prediction, in runs that fill half of a device or
/// more.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryEntry {
    /// The software stack, where the entry is of one.
    pub stack: Option<String>,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// What the stated part of the runs takes at most.
    pub most: f64,
    /// Rows that it rests on.
    pub rows: u64,
    /// Groups that it rests on.
    pub groups: u64,
}

/// All intervals.
#[derive(Clone, Debug, PartialEq)]
pub struct Intervals {
    /// Part of the measurements that lie inside.
    pub level: f64,
    /// `device/stack` of the rows that constants were fitted to.
    pub pairs: Vec<String>,
    /// What is particular to a plan among plans of one question.
    pub particular: Option<Fitted>,
    /// Intervals, the most specific first.
    pub entries: Vec<Entry>,
    /// Intervals of memory, the most specific first.
    pub memory: Vec<MemoryEntry>,
}

impl Intervals {
    /// The most specific interval of memory under a stack.
    #[must_use]
    pub fn memory(&self, stack: &str) -> Option<&MemoryEntry> {
        self.memory.iter().find(|entry| entry.stack.as_ref().is_none_or(|s| s == stack))
    }

    /// What is known about a device under a stack.
    #[must_use]
    pub fn knowledge(&self, device: &str, stack: &str) -> Knowledge {
        let of_device = |pair: &&String| pair.split('/').next() == Some(device);
        if self.pairs.iter().any(|pair| *pair == format!("{device}/{stack}")) {
            Knowledge::Profiled
        } else if self.pairs.iter().any(|pair| of_device(&pair)) {
            Knowledge::Device
        } else {
            Knowledge::Unseen
        }
    }

    /// The most specific entry of a regime.
    #[must_use]
    pub fn find(&self, regime: &Regime) -> Option<&Entry> {
        self.entries.iter().find(|entry| {
            entry.knowledge == regime.knowledge
                && entry.kind == regime.kind
                && entry.stack.as_ref().is_none_or(|stack| *stack == regime.stack)
                && entry.is_full.is_none_or(|full| full == regime.is_full)
        })
    }
}

/// Reads the intervals.
///
/// # Errors
/// All problems of the file.
pub fn parse(text: &str) -> Result<Intervals, Problems> {
    read(text, |file| {
        let level = file.required("level", Item::fraction);
        let pairs = file.required("pairs", Item::texts);
        let particular = file.optional("particular", |item| item.table(particular::section));
        let entries = file.optional("interval", |item| {
            let all: Vec<Option<Entry>> = item.list()?.iter().map(|i| i.table(entry)).collect();
            all.into_iter().collect()
        });
        let memory = file.optional("memory", |item| {
            let all: Vec<Option<MemoryEntry>> =
                item.list()?.iter().map(|i| i.table(memory_entry)).collect();
            all.into_iter().collect()
        });
        let (entries, memory) = (entries.unwrap_or_default(), memory.unwrap_or_default());
        Some(Intervals { level: level?, pairs: pairs?, particular, entries, memory })
    })
}

fn memory_entry(table: &Table<'_>) -> Option<MemoryEntry> {
    let stack = table.optional("stack", Item::text);
    let low = table.required("low", |item| item.number(0.001..=1.0));
    let high = table.required("high", |item| item.number(1.0..=1000.0));
    let most = table.required("most", |item| item.number(0.001..=1000.0));
    let rows = table.required("rows", |item| item.count(1));
    let groups = table.required("groups", |item| item.count(1));
    let source = table.required("source", Item::text);
    source?;
    Some(MemoryEntry { stack, low: low?, high: high?, most: most?, rows: rows?, groups: groups? })
}

fn entry(table: &Table<'_>) -> Option<Entry> {
    let knowledge = Knowledge::ALL.map(|k| (k.name(), k));
    let knowledge = table.required("knowledge", |item| item.choice(&knowledge));
    let kind = table.required("family", |item| item.choice(&Kind::ALL.map(|k| (k.name(), k))));
    let stack = table.optional("stack", Item::text);
    let is_full = table.optional("full", Item::flag);
    let low = table.required("low", |item| item.number(0.001..=1.0));
    let high = table.required("high", |item| item.number(1.0..=1000.0));
    let rows = table.required("rows", |item| item.count(1));
    let groups = table.required("groups", |item| item.count(1));
    let source = table.required("source", Item::text);
    source?;
    Some(Entry {
        knowledge: knowledge?,
        stack,
        kind: kind?,
        is_full,
        low: low?,
        high: high?,
        rows: rows?,
        groups: groups?,
    })
}

/// The file of some intervals.
#[must_use]
pub fn write(intervals: &Intervals) -> String {
    let quoted = |text: &String| format!("    \"{text}\",\n");
    let pairs: String = intervals.pairs.iter().map(quoted).collect();
    let mut text = format!(
        "# Written by `meshwright calibrate --intervals`: do not edit. Of the measured steps of a\n\
         # regime, the stated part lies between `low` and `high` times the prediction. `pairs`:\n\
         # device and stack of the rows that constants were fitted to.\n\
         schema = 1\nlevel = {}\npairs = [\n{pairs}]\n",
        intervals.level
    );
    text.extend(intervals.particular.as_ref().map(particular::text));
    for entry in &intervals.entries {
        text += &entry_text(entry);
    }
    for entry in &intervals.memory {
        text += &memory_text(entry);
    }
    text
}

fn memory_text(entry: &MemoryEntry) -> String {
    let stack = entry.stack.as_ref().map_or(String::new(), |s| format!("stack = \"{s}\"\n"));
    format!(
        "\n[[memory]]\n{stack}low = {:.3}\nhigh = {:.3}\nmost = {:.3}\nrows = {}\ngroups = {}\n\
         source = \"fitted: tuning rows that fill half of a device, every group counts once\"\n",
        entry.low, entry.high, entry.most, entry.rows, entry.groups
    )
}

fn entry_text(entry: &Entry) -> String {
    let stack = entry.stack.as_ref().map_or(String::new(), |s| format!("stack = \"{s}\"\n"));
    let full = entry.is_full.map_or(String::new(), |full| format!("full = {full}\n"));
    let source = match entry.knowledge {
        Knowledge::Unseen => "assumed: half again as far as for a device that is known",
        Knowledge::Device => "fitted: tuning rows, priced as if their software were not named",
        Knowledge::Profiled => "fitted: tuning rows, split conformal, every group counts once",
    };
    format!(
        "\n[[interval]]\nknowledge = \"{}\"\n{stack}family = \"{}\"\n{full}low = {:.3}\n\
         high = {:.3}\nrows = {}\ngroups = {}\nsource = \"{source}\"\n",
        entry.knowledge.name(),
        entry.kind.name(),
        entry.low,
        entry.high,
        entry.rows,
        entry.groups
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use planner::ranking::Particular;

    fn entry(knowledge: Knowledge, stack: Option<&str>, is_full: Option<bool>) -> Entry {
        let stack = stack.map(str::to_string);
        let (kind, low, high) = (Kind::Dense, 0.9, 1.25);
        Entry { knowledge, stack, kind, is_full, low, high, rows: 20, groups: 3 }
    }

    #[test]
    fn what_is_written_is_read() {
        let entries = vec![
            entry(Knowledge::Profiled, Some("llm-foundry"), Some(true)),
            entry(Knowledge::Unseen, None, None),
        ];
        let memory = |stack: Option<&str>, high| MemoryEntry {
            stack: stack.map(str::to_string),
            low: 0.9,
            high,
            most: 1.1,
            rows: 20,
            groups: 2,
        };
        let memory = vec![memory(Some("nanotron"), 1.3), memory(None, 1.2)];
        let deviations = Particular::from_all([0.125, 0.1, 0.05, 0.5, 0.025]);
        let source = "fitted: here".to_string();
        let fitted = Fitted { particular: deviations, sweeps: 3, groups: 2, source };
        let pairs = vec!["a100/llm-foundry".into()];
        let all = Intervals { level: 0.8, pairs, particular: Some(fitted), entries, memory };
        assert_eq!(all.memory("nanotron").map(|e| e.high), Some(1.3));
        assert_eq!(all.memory("another").map(|e| e.high), Some(1.2));
        assert_eq!(parse(&write(&all)), Ok(all));
    }

    #[test]
    fn the_most_specific_entry_wins_and_devices_are_known_by_their_pairs() {
        let entries = vec![
            entry(Knowledge::Profiled, Some("x"), Some(true)),
            Entry { high: 9.0, ..entry(Knowledge::Profiled, None, None) },
        ];
        let (pairs, memory) = (vec!["a100/x".into()], Vec::new());
        let all = Intervals { level: 0.8, pairs, particular: None, entries, memory };
        let regime = |stack: &str, is_full| Regime {
            knowledge: all.knowledge("a100", stack),
            stack: stack.into(),
            kind: Kind::Dense,
            is_full,
        };
        assert_eq!(all.find(&regime("x", true)).map(|e| e.high), Some(1.25));
        assert_eq!(all.find(&regime("x", false)).map(|e| e.high), Some(9.0));
        assert_eq!(all.knowledge("a100", "y"), Knowledge::Device);
        assert_eq!(all.knowledge("h100", "x"), Knowledge::Unseen);
        assert_eq!(all.find(&regime("y", false)), None);
    }
}
