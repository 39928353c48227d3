//! What is particular to a plan, as the file of intervals holds it.

use plan::scenario::{Item, Table};
use planner::ranking::{Particular, TRAITS};

/// What is particular to a plan, and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// Standard deviations of the logarithm of a step.
    pub particular: Particular,
    /// Sweeps that they rest on.
    pub sweeps: u64,
    /// Groups of rows that they rest on.
    pub groups: u64,
    /// Where they are from, and how plans are ranked with those of other groups.
    pub source: String,
}

/// The key of what no trait explains.
const OWN: &str = "own";

/// Reads the section.
pub fn section(table: &Table<'_>) -> Option<Fitted> {
    let deviation = |key| table.required(key, |item| item.number(0.0..=10.0));
    let [tensor, pipeline, micro_batch, across] = TRAITS.map(deviation);
    let own = deviation(OWN);
    let sweeps = table.required("sweeps", |item| item.count(1));
    let groups = table.required("groups", |item| item.count(1));
    let source = table.required("source", Item::text);
    let all = [tensor?, pipeline?, micro_batch?, across?, own?];
    let particular = Particular::from_all(all);
    Some(Fitted { particular, sweeps: sweeps?, groups: groups?, source: source? })
}

/// The section as text.
pub fn text(fitted: &Fitted) -> String {
    let keys = TRAITS.into_iter().chain([OWN]);
    let lines = keys.zip(fitted.particular.all()).map(|(key, sd)| format!("{key} = {sd:.3}\n"));
    format!(
        "\n# Two plans of one question: the standard deviation of the logarithm of their ratio,\n\
         # per doubling of what they differ in, and of each plan on its own.\n\
         [particular]\n{}sweeps = {}\ngroups = {}\nsource = \"{}\"\n",
        lines.collect::<String>(),
        fitted.sweeps,
        fitted.groups,
        fitted.source
    )
}
