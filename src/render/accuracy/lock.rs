//! `accuracy.lock`: what the product is held to, as text that changes only when predictions do.

use super::{signed, tenths};
use crate::accuracy::{Errors, Summary};
use std::fmt::Write as _;

/// The lock: sorted lines, errors in percent to a tenth.
#[must_use]
pub fn lock(summary: &Summary) -> String {
    let mut text = String::from(
        "# Written by `meshwright accuracy --lock`. A change that moves a line commits the new\n\
         # lock and says before and after in CHANGELOG.md, Predictions. Errors in percent of\n\
         # measurements.\n",
    );
    for group in &summary.groups {
        let _infallible =
            write!(text, "group {} scored {}/{}", group.name, group.scored, group.rows);
        if let (Some(e), Some(b)) = (group.errors, group.baseline) {
            let coverage = group.coverage.unwrap_or(0.0) * 100.0;
            text += &of(e);
            let _infallible = write!(text, " covered {coverage:.0} naive {}", tenths(b.mean));
        }
        text.push('\n');
    }
    if let Some(r) = &summary.ranking {
        let _infallible = writeln!(
            text,
            "ranking sweeps {} plans {} correlation {:.2} floor {} noise {}",
            r.sweeps,
            r.plans,
            r.correlation.unwrap_or(0.0),
            r.chance.map_or("none".to_string(), |(mean, _)| tenths(mean)),
            tenths(r.repeats),
        );
        for (name, c) in [("fastest", &r.fastest), ("chosen", &r.chosen)] {
            let _infallible = writeln!(
                text,
                "ranking {name} regret-mean {} regret-95 {} slower-than-data-parallel {}/{} \
                 curse {}",
                tenths(c.mean),
                tenths(c.worst),
                c.losses,
                r.with_data_parallel,
                signed(c.curse)
            );
        }
    }
    for line in &summary.memory {
        let _infallible =
            writeln!(text, "memory {} rows {}{}", line.name, line.rows, of(line.errors));
    }
    if let Some(f) = &summary.fits {
        let _infallible = writeln!(
            text,
            "fits recall {}/{} false-alarms {}/{} no-result {}/{}",
            f.recalled, f.out_of_memory, f.false_alarms, f.ran, f.no_result_recalled, f.no_result
        );
    }
    for line in &summary.regimes {
        let _infallible = writeln!(
            text,
            "interval {} rows {} covered {:.0}",
            line.name,
            line.rows,
            line.coverage * 100.0
        );
    }
    for (why, rows) in &summary.skipped {
        let _infallible = writeln!(text, "not-scored {rows} {why}");
    }
    text
}

fn of(e: Errors) -> String {
    format!(" mean {} median {} bias {}", tenths(e.mean), tenths(e.median), signed(e.bias))
}
