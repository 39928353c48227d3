use super::*;

const PARTICULAR: Particular =
    Particular { tensor: 0.12, pipeline: 0.09, micro_batch: 0.1, across: 0.5, own: 0.05 };

fn plan(step: f64, tensor: u64, pipeline: u64) -> Ranked {
    let traits = Traits::new(tensor, pipeline, 1, tensor > 8);
    let doubts = u8::from(tensor > 8);
    Ranked { step, traits, risk: Risk { doubts, is_split: tensor * pipeline > 1 } }
}

fn rule(quantile: f64) -> Rule {
    Rule { particular: PARTICULAR, quantile }
}

/// TP 2 against TP 1: σ² = 0.12² + 2·0.05² = 0.0194, σ = 0.13928. 10 % faster: ln 1.1/σ =
/// 0.09531/0.13928 = 0.6843, and Φ(0.6843) = 0.7531.
#[test]
fn probabilities_by_hand() {
    let (one, two) = (plan(1.1, 1, 1), plan(1.0, 2, 1));
    let sd = PARTICULAR.spread(&one.traits, &two.traits);
    assert!((sd - 0.139_284).abs() < 1e-6, "{sd}");
    let sure = PARTICULAR.faster((two.step, &two.traits), (one.step, &one.traits));
    assert!((sure - 0.7531).abs() < 1e-4, "{sure}");
    let other = PARTICULAR.faster((one.step, &one.traits), (two.step, &two.traits));
    assert!((sure + other - 1.0).abs() < 1e-6);
}

/// Plans of the same traits still differ by what is each one's own: √2·0.05.
#[test]
fn without_spread_the_faster_one_is_certain() {
    let a = plan(1.0, 2, 2).traits;
    assert!((PARTICULAR.spread(&a, &a) - 0.05 * 2f64.sqrt()).abs() < 1e-12);
    let none = Particular::default();
    assert_eq!(none.faster((1.0, &a), (2.0, &a)), 1.0);
    assert_eq!(none.faster((2.0, &a), (1.0, &a)), 0.0);
    assert_eq!(none.faster((1.0, &a), (1.0, &a)), 0.5);
}

/// With 75 % the fastest plan is sure enough to be taken; at 80 % it is not.
#[test]
fn a_plan_that_splits_less_wins_unless_it_is_surely_slower() {
    let plans = [plan(1.1, 1, 1), plan(1.0, 2, 1)];
    assert_eq!(rule(0.8).choose(&plans), Some(0));
    assert_eq!(rule(0.75).choose(&plans), Some(1));
    assert_eq!(rule(0.5).choose(&plans), Some(1));
    assert_eq!(rule(0.8).choose(&[]), None);
}

/// TP 8 · PP 8 against neither: σ is wide, but 11 % is more than is given up.
#[test]
fn no_more_than_a_stated_part_is_given_up() {
    let wide = [plan(1.11, 1, 1), plan(1.0, 8, 8)];
    assert_eq!(rule(0.9).choose(&wide), Some(1));
    let near = [plan(1.09, 1, 1), plan(1.0, 8, 8)];
    assert_eq!(rule(0.9).choose(&near), Some(0));
}

/// σ = 0.13928 as above, Φ⁻¹(0.8) = 0.84162: e^0.11722 = 1.12437, times 1/1.1 = 1.02215. Of σ²,
/// 0.0144 of 0.0194 is because of the ranks per layer.
#[test]
fn the_worst_cases_by_hand() {
    let (one, two) = (plan(1.1, 1, 1), plan(1.0, 2, 1));
    assert!((rule(0.8).worst(&two, &one) - 0.022_15).abs() < 1e-4);
    assert_eq!(PARTICULAR.because(&two.traits, &one.traits), "how many ranks share a layer");
    assert!(PARTICULAR.because(&one.traits, &one.traits).starts_with("what no trait"));
}

/// Of plans of the same risk, the fastest; how far a model is split that is split is no matter.
#[test]
fn among_equals_the_fastest_wins() {
    let plans = [plan(1.04, 1, 2), plan(1.02, 2, 1), plan(1.0, 4, 1), plan(1.01, 8, 1)];
    assert_eq!(rule(0.8).choose(&plans), Some(2));
}

/// Across nodes: σ² = 0.12² + 0.5² + 2·0.05² = 0.2694, so that 9 % faster is little sure:
/// Φ(0.0862/0.519) = 0.566.
#[test]
fn doubts_count_before_splits() {
    let plans = [plan(1.0, 16, 1), plan(1.09, 8, 4)];
    assert_eq!(rule(0.8).choose(&plans), Some(1));
    assert_eq!(rule(0.55).choose(&plans), Some(0));
}
