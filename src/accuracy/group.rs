//! Rows put together by what they have in common.

use super::Group;
use crate::published::Scored;
use clap::ValueEnum;
use std::collections::BTreeMap;

/// What rows are grouped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Axis {
    /// The group that a table names.
    #[default]
    Group,
    /// The publication or file.
    Source,
    /// The accelerator.
    Gpu,
    /// The software stack that priced the row.
    Stack,
    /// The family of the model.
    Family,
    /// The kinds of parallelism that a row combines.
    Parallelism,
    /// What rows may be used for.
    Split,
}

impl Axis {
    /// The word used in flags.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Source => "source",
            Self::Gpu => "gpu",
            Self::Stack => "stack",
            Self::Family => "family",
            Self::Parallelism => "parallelism",
            Self::Split => "split",
        }
    }

    /// The group that a row belongs to.
    #[must_use]
    pub fn of(self, scored: &Scored) -> String {
        let row = &scored.row;
        let name = match self {
            Self::Group => row.group.clone(),
            Self::Source => row.source.clone(),
            Self::Gpu => row.gpu.clone(),
            Self::Stack => scored.stack.clone(),
            Self::Family => row.family.clone(),
            Self::Parallelism => parallelism(scored),
            Self::Split => row.split.clone(),
        };
        if name.is_empty() { "(none)".to_string() } else { name }
    }
}

/// The degrees above 1, by their names.
fn parallelism(scored: &Scored) -> String {
    let run = &scored.row.run;
    let names = [("TP", run.tp), ("PP", run.pp), ("CP", run.cp), ("EP", run.ep), ("DP", run.dp)];
    let used: Vec<&str> =
        names.iter().filter(|(_, degree)| degree.unwrap_or(1) > 1).map(|(n, _)| *n).collect();
    let zero = run.zero.filter(|z| *z > 0 && run.dp.unwrap_or(1) > 1);
    let sharding = zero.map_or(String::new(), |z| format!(" ZeRO {z}"));
    if used.is_empty() { "one device".to_string() } else { format!("{}{sharding}", used.join("+")) }
}

/// The groups of rows along an axis, by name.
#[must_use]
pub fn groups(rows: &[Scored], axis: Axis) -> Vec<Group> {
    let mut all: BTreeMap<String, Vec<&Scored>> = BTreeMap::new();
    for scored in rows {
        all.entry(axis.of(scored)).or_default().push(scored);
    }
    all.iter().map(|(name, rows)| Group::of(name, rows)).collect()
}
