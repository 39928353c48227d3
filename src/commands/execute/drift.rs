//! Whether the machine is what it was when its constants were measured.

use crate::catalog::LOCAL;
use crate::diagnostics::Failure;
use crate::local::calibrated;
use crate::record;
use plan::document::Plan;
use plan::record::Canary;
use plan::units::percent;

/// How much a canary may move before anybody is told.
const TOLERATED: f64 = 0.1;

/// A warning where the machine has drifted from the constants that a plan was made with.
///
/// # Errors
/// A calibration that cannot be read.
pub fn warning(plan: &Plan) -> Result<Option<String>, Failure> {
    if plan.inputs.stack.name != LOCAL {
        return Ok(None);
    }
    let ranks = plan.decision.world_size;
    let Some(found) = calibrated::find()? else {
        return Ok(Some(format!(
            "plan {} was made with constants of this machine that are not found any more; \
             predictions beside it are those that ship",
            plan.id
        )));
    };
    let then = found.calibration.load(ranks).map(|load| load.canary);
    Ok(then.and_then(|then| words(&then, &record::canary(ranks))))
}

/// What is said of a canary then and now.
fn words(then: &Canary, now: &Canary) -> Option<String> {
    let drift = |then: f64, now: f64| (then > 0.0).then(|| now / then - 1.0);
    let all = [
        ("matrix products", drift(then.product_seconds, now.product_seconds)),
        ("copies", drift(then.copy_seconds, now.copy_seconds)),
    ];
    let off = all.into_iter().filter_map(|(what, drift)| Some((what, drift?)));
    let worst = off.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))?;
    let (what, drift) = worst;
    (drift.abs() > TOLERATED).then(|| {
        let direction = if drift > 0.0 { "longer" } else { "less" };
        format!(
            "warning: {what} take {} {direction} than when this machine was calibrated; \
             predictions are stale, `meshwright calibrate --node` measures again",
            percent(drift.abs())
        )
    })
}

#[cfg(test)]
mod tests {
    use super::words;
    use plan::record::Canary;

    /// 8 % is tolerated, 30 % is not, in either direction.
    #[test]
    fn drift_is_said_beyond_a_tenth() {
        let canary = |product, copy| Canary { product_seconds: product, copy_seconds: copy };
        let then = canary(1e-3, 2e-3);
        assert_eq!(words(&then, &canary(1.08e-3, 1.9e-3)), None);
        let slower = words(&then, &canary(1.3e-3, 2e-3)).unwrap();
        assert!(slower.contains("matrix products take 30.0 % longer"), "{slower}");
        let faster = words(&then, &canary(1e-3, 1.4e-3)).unwrap();
        assert!(faster.contains("copies take 30.0 % less"), "{faster}");
        assert_eq!(words(&canary(0.0, 0.0), &then), None);
    }
}
