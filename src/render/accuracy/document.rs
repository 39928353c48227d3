//! The summary for programs.

use crate::accuracy::{Choice, Choices, Errors, Flag, Group, Rows, Summary, flags, mean};
use crate::published::Scored;
use serde_json::{Value, json};

/// The document.
#[must_use]
pub fn document(summary: &Summary, rows: &Rows) -> Value {
    json!({
        "schema": "meshwright.accuracy/1",
        "by": summary.by.name(),
        "groups": summary.groups.iter().map(group).collect::<Vec<_>>(),
        "mean_of_groups": unweighted(&summary.groups),
        "ranking": summary.ranking.as_ref().map(|r| json!({
            "sweeps": r.sweeps,
            "plans": r.plans,
            "mean_rank_correlation": r.correlation,
            "sweeps_with_plain_data_parallel": r.with_data_parallel,
            "fastest": choices(&r.fastest),
            "chosen": choices(&r.chosen),
            "quantile": r.quantile,
            "noise_of_repeated_runs": r.noise,
            "floor_of_repeated_runs": r.repeats,
            "floor_of_chance": r.chance.map(|(mean, worst)| json!({
                "mean_regret": mean, "regret_95th_percentile": worst,
            })),
            "odds": r.odds.iter().map(|o| json!({
                "said": o.said, "came_true": o.came_true, "pairs": o.pairs,
            })).collect::<Vec<_>>(),
        })),
        "sweeps": summary.sweeps.iter().map(|s| json!({
            "name": s.name,
            "group": s.group,
            "plans": s.plans,
            "fastest": choice(&s.fastest),
            "chosen": choice(&s.chosen),
            "best": s.best,
            "rank_correlation": s.correlation,
            "floor_of_repeated_runs": s.repeats,
            "floor_of_chance": s.chance,
        })).collect::<Vec<_>>(),
        "memory": summary.memory.iter().map(|line| json!({
            "name": line.name, "rows": line.rows, "errors": errors(line.errors),
        })).collect::<Vec<_>>(),
        "fits": summary.fits.as_ref().map(|f| json!({
            "out_of_memory": f.out_of_memory,
            "recalled": f.recalled,
            "no_result": f.no_result,
            "no_result_recalled": f.no_result_recalled,
            "ran": f.ran,
            "false_alarms": f.false_alarms,
            "not_expressed": f.skipped,
        })),
        "regimes": summary.regimes.iter().map(|r| json!({
            "name": r.name, "rows": r.rows, "coverage": r.coverage,
            "mean_low": r.ends.0, "mean_high": r.ends.1,
        })).collect::<Vec<_>>(),
        "doubts": summary.flags.iter().map(|line| json!({
            "name": line.flag.words(), "rows": line.rows, "errors": errors(line.errors),
        })).collect::<Vec<_>>(),
        "worst": summary.worst.iter().map(|w| json!({
            "id": w.id, "what": w.what, "ratio": w.ratio, "likely_cause": w.cause,
        })).collect::<Vec<_>>(),
        "not_scored": counts(&summary.skipped),
        "assumed": counts(&summary.assumed),
        "rows": rows.runs.iter().map(row).collect::<Vec<_>>(),
        "limits": rows.limits.iter().map(limit).collect::<Vec<_>>(),
    })
}

fn choices(c: &Choices) -> Value {
    json!({
        "mean_regret": c.mean,
        "regret_95th_percentile": c.worst,
        "slower_than_plain_data_parallel": c.losses,
        "curse": c.curse,
    })
}

fn choice(c: &Choice) -> Value {
    json!({
        "id": c.id,
        "regret": c.regret,
        "against_plain_data_parallel": c.against_data_parallel,
        "curse": c.curse,
    })
}

fn row(scored: &Scored) -> Value {
    let head = json!({
        "id": scored.row.id,
        "group": scored.row.group,
        "stack": scored.stack,
        "measured_s": scored.measured,
    });
    let Ok(p) = &scored.prediction else { return with_reason(head, scored) };
    let mut value = head;
    value["predicted_s"] = p.step.get().into();
    value["low_s"] = p.low.get().into();
    value["high_s"] = p.high.get().into();
    value["naive_s"] = p.baseline.get().into();
    value["memory_predicted_bytes"] = p.memory.get().into();
    value["memory_of_capacity"] = p.fill.into();
    if let Some((bytes, kind)) = scored.memory {
        value["memory_measured_bytes"] = bytes.into();
        value["memory_kind"] = kind.name().into();
    }
    value["parts_s"] = p.parts.all().iter().map(|(name, s)| (*name, *s)).collect();
    value["doubts"] = flags(scored).into_iter().map(Flag::words).collect();
    value["assumed"] = p.assumed.0.iter().map(ToString::to_string).collect();
    value
}

fn with_reason(mut value: Value, scored: &Scored) -> Value {
    if let Err(why) = &scored.prediction {
        value["not_scored"] = why.to_string().into();
    }
    value
}

fn limit(scored: &Scored) -> Value {
    let head = json!({"id": scored.row.id, "outcome": scored.row.outcome});
    let Ok(p) = &scored.prediction else { return with_reason(head, scored) };
    let mut value = head;
    value["predicted_to_fit"] = (p.fill <= 1.0).into();
    value["memory_of_capacity"] = p.fill.into();
    value
}

fn group(group: &Group) -> Value {
    json!({
        "name": group.name,
        "split": group.splits,
        "rows": group.rows,
        "scored": group.scored,
        "errors": group.errors.map(errors),
        "coverage_of_80_percent_interval": group.coverage,
        "baseline_errors": group.baseline.map(errors),
        "memory_rows": group.memory.map_or(0, |(rows, _)| rows),
        "memory_errors": group.memory.map(|(_, e)| errors(e)),
    })
}

fn unweighted(all: &[Group]) -> Value {
    let average =
        |of: &dyn Fn(&Group) -> Option<f64>| mean(&all.iter().filter_map(of).collect::<Vec<f64>>());
    json!({
        "mean": average(&|g| g.errors.map(|e| e.mean)),
        "median": average(&|g| g.errors.map(|e| e.median)),
        "bias": average(&|g| g.errors.map(|e| e.bias)),
        "coverage": average(&|g| g.coverage),
        "baseline_mean": average(&|g| g.baseline.map(|e| e.mean)),
    })
}

fn errors(e: Errors) -> Value {
    json!({"mean": e.mean, "median": e.median, "bias": e.bias, "percentile_95": e.worst})
}

fn counts(all: &[(String, usize)]) -> Value {
    all.iter().map(|(text, rows)| json!({"what": text, "rows": rows})).collect()
}
