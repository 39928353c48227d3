//! Parameters against tokens: the loss that a budget buys.
//!
//! `L(N, D) = E + A·N^−α + B·D^−β` in nats per token of web text, with the constants of Besiroglu
//! et al. 2024 (arXiv:2404.10102), who fitted the data of Hoffmann et al. 2022 (arXiv:2203.15556)
//! again: `E 1.8172, A 482.01, B 2085.43, α 0.3478, β 0.3658`. Valid for dense Transformers trained
//! about once over such text; nothing is known here about other families.

const IRREDUCIBLE: f64 = 1.8172;
const OF_PARAMETERS: f64 = 482.01;
const OF_TOKENS: f64 = 2085.43;
const PARAMETERS_EXPONENT: f64 = 0.3478;
const TOKENS_EXPONENT: f64 = 0.3658;

/// FLOPs per parameter and token of forward and backward pass, attention not counted.
const FLOPS_EACH: f64 = 6.0;

/// The loss of `parameters` after `tokens`.
#[must_use]
pub fn loss(parameters: f64, tokens: f64) -> f64 {
    IRREDUCIBLE
        + OF_PARAMETERS * parameters.powf(-PARAMETERS_EXPONENT)
        + OF_TOKENS * tokens.powf(-TOKENS_EXPONENT)
}

/// The least loss that `parameters` can reach, whatever the number of tokens.
#[must_use]
pub fn least_loss(parameters: f64) -> f64 {
    IRREDUCIBLE + OF_PARAMETERS * parameters.powf(-PARAMETERS_EXPONENT)
}

/// The tokens that `parameters` need for a loss: `D = (B/(L − E − A·N^−α))^(1/β)`; `None` where no
/// number of tokens is enough. Checked by `loss_and_tokens_are_inverses`.
#[must_use]
pub fn tokens_for(loss: f64, parameters: f64) -> Option<f64> {
    let left = loss - least_loss(parameters);
    (left > 0.0).then(|| (OF_TOKENS / left).powf(1.0 / TOKENS_EXPONENT))
}

/// Parameters and tokens of the least loss for `6·N·D = flops`:
/// `N = G·(C/6)^(β/(α+β))`, `D = G⁻¹·(C/6)^(α/(α+β))`, `G = (α·A/(β·B))^(1/(α+β))`.
///
/// Source: Hoffmann et al. 2022, equation 4. Checked by `no_other_split_of_the_budget_is_better`.
#[must_use]
pub fn best_split(budget: plan::units::Flops) -> (f64, f64) {
    let (a, b) = (PARAMETERS_EXPONENT, TOKENS_EXPONENT);
    let product = budget.get() / FLOPS_EACH;
    let ratio = (a * OF_PARAMETERS / (b * OF_TOKENS)).powf(1.0 / (a + b));
    (ratio * product.powf(b / (a + b)), product.powf(a / (a + b)) / ratio)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::units::Flops;

    #[test]
    fn loss_and_tokens_are_inverses() {
        for parameters in [1e8, 7e9, 4e11] {
            for tokens in [1e9, 3e11, 1.5e13] {
                let again = tokens_for(loss(parameters, tokens), parameters).unwrap();
                assert!((again / tokens - 1.0).abs() < 1e-9, "{parameters} {tokens} {again}");
            }
            assert_eq!(tokens_for(least_loss(parameters), parameters), None);
        }
    }

    #[test]
    fn no_other_split_of_the_budget_is_better() {
        for budget in [1e19, 5.76e23, 1e26] {
            let (n, d) = best_split(Flops::new(budget));
            assert!((6.0 * n * d / budget - 1.0).abs() < 1e-9);
            for factor in [0.5, 0.9, 0.99, 1.01, 1.1, 2.0] {
                assert!(loss(n * factor, d / factor) > loss(n, d), "{budget} {factor}");
            }
        }
        // Chinchilla's budget: about 20 tokens per parameter.
        let (n, d) = best_split(Flops::new(5.76e23));
        assert!((15.0..30.0).contains(&(d / n)), "{}", d / n);
    }
}
