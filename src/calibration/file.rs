//! Fitted constants as a stack file.

use super::Calibration;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Part of the residuals that the written band leaves out on either side.
const OUTSIDE: f64 = 0.05;

/// A stack file that extends `stack` and states, per device, what was fitted; `from` says to which
/// rows.
#[must_use]
pub fn overlay(stack: &str, all: &[&Calibration], from: &str) -> String {
    let mut text = format!(
        "# Written by `meshwright calibrate --published`.\n\
         schema = 1\n\
         name = \"{stack}-fitted\"\n\
         label = \"{stack}, fitted to {}\"\n\
         extends = \"{stack}\"\n",
        from.replace(['"', '\\'], "'"),
    );
    for one in all {
        device(&mut text, one, from);
    }
    text
}

fn device(text: &mut String, one: &Calibration, from: &str) {
    let device = &one.case.device;
    let source = format!(
        "fitted: {} rows of {}, soft-L1 on log time; mean error {:.1} %, {} on models left out",
        one.case.rows.len(),
        from.replace(['"', '\\'], "'"),
        100.0 * mean(&one.after),
        match one.held_out.is_empty() {
            true => "unknown".to_string(),
            false => format!("{:.1} %", 100.0 * mean(&one.held_out)),
        },
    );
    let mut sections: BTreeMap<&str, String> = BTreeMap::new();
    for moved in &one.constants {
        let value = moved.constant.text(moved.after);
        let line =
            format!("{} = {{ value = {value}, source = \"{source}\" }}\n", moved.constant.key);
        sections.entry(moved.constant.section).or_default().push_str(&line);
    }
    for (section, lines) in &sections {
        let _ = write!(text, "\n[on.{device}.{section}]\n{lines}");
    }
    let judged = if one.held_out.is_empty() { &one.after } else { &one.held_out };
    let (below, above) = (quantile(judged, 1.0 - OUTSIDE), quantile(judged, OUTSIDE));
    let (below, above) = ((below.exp() - 1.0).clamp(0.02, 0.9), (-above).exp_m1().clamp(0.02, 9.0));
    let _ = write!(
        text,
        "\n[on.{device}.residual]\nsource = \"{source}\"\nbelow = {below:.3}\nabove = {above:.3}\n"
    );
}

/// Mean absolute residual.
#[must_use]
pub fn mean(residuals: &[f64]) -> f64 {
    let sum: f64 = residuals.iter().map(|r| r.exp_m1().abs()).sum();
    sum / residuals.len().max(1) as f64
}

/// The residual below which a part of all lies.
#[must_use]
pub fn quantile(residuals: &[f64], part: f64) -> f64 {
    let mut sorted = residuals.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1) as f64;
    sorted.get((part * last).round() as usize).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::{Case, Moved};
    use cost_model::fit::FreeConstant;
    use cost_model::stack::load_stack;

    /// What is written is a stack that has the fitted constant on the fitted device only.
    #[test]
    fn the_file_reads_back() {
        let constant = FreeConstant::named("compute.derate").unwrap();
        let launch = FreeConstant::named("host.launch").unwrap();
        let moved = vec![
            Moved { constant, before: 1.0, after: 0.876 },
            Moved { constant: launch, before: 8e-6, after: 9.5e-6 },
        ];
        let rows = Vec::new();
        let case = Case { stack: "base".into(), device: "a100-sxm-80gb".into(), rows };
        let (before, after) = (vec![0.2, 0.1], vec![0.02, -0.01]);
        let one = Calibration { case, constants: moved, before, after, held_out: Vec::new() };
        let text = overlay("megatron-2022", &[&one], "this \"test\"");
        let base = include_str!("../../scenarios/profiles/megatron-2022.toml");
        let of = |name: &str| match name {
            "mine" => Some(text.clone()),
            _ => Some(base.to_string()),
        };
        let stack = load_stack("mine", &of).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(stack.on("a100-sxm-80gb").compute.derate.value, 0.876);
        assert!((stack.on("a100-sxm-80gb").host.launch.value.get() - 9.5e-6).abs() < 1e-15);
        assert_eq!(stack.on("h100").compute.derate.value, 1.0);
    }

    #[test]
    fn quantiles_by_hand() {
        let all = [3.0, 1.0, 2.0];
        assert_eq!(
            [quantile(&all, 0.0), quantile(&all, 0.5), quantile(&all, 1.0)],
            [1.0, 2.0, 3.0]
        );
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}
