//! Which of several good plans to take, when none of their times is exactly right.
//!
//! The fastest of many predictions is too often one that errs on the fast side (the winner's curse;
//! Smith and Winkler 2006, "The optimizer's curse", Management Science 52). What all plans of a
//! question have in common (device, software, model) cancels when they are compared; what is
//! particular to a plan does not. With the particular part normal in the logarithm of the step,
//! plan A is faster than plan B with the probability
//!
//! `Φ(ln(t_B/t_A)/σ)`, `σ² = Σ τ_f²·(x_f(A) − x_f(B))² + 2·τ_0²`
//!
//! over the traits `x_f` of [`Traits`], in doublings. The fastest plan is taken only where that
//! probability reaches a stated quantile for every plan of less risk: the rule of one standard
//! error (Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3). Risky is what
//! is known to be predicted poorly; less so, but more than plain data parallelism, what splits the
//! model.

mod choice;

pub use choice::choose;

use crate::space::Configuration;
use cost_model::normal;

/// From this share of the memory on, allocators struggle and steps are slower than predicted.
pub const FULL: f64 = 0.95;
/// No more than this part of the predicted step is given up for a plan of less risk.
pub const MOST: f64 = 0.1;

/// What is particular to a plan: standard deviations of the logarithm of its step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Particular {
    /// Per doubling of the ranks that share a layer (tensor and context parallel).
    pub tensor: f64,
    /// Per doubling of the stages.
    pub pipeline: f64,
    /// Per doubling of the micro-batch.
    pub micro_batch: f64,
    /// Tensor parallelism across nodes against inside of one.
    pub across: f64,
    /// What no trait explains, of each plan.
    pub own: f64,
}

/// Names of the traits, in the order of [`Traits::all`].
pub const TRAITS: [&str; 4] = ["tensor", "pipeline", "micro_batch", "across"];

/// What plans of one question differ by, as far as it decides how well their difference is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traits {
    /// Doublings of the ranks that share a layer.
    pub tensor: f64,
    /// Doublings of the stages.
    pub pipeline: f64,
    /// Doublings of the micro-batch.
    pub micro_batch: f64,
    /// 1 where tensor parallelism crosses nodes.
    pub across: f64,
}

impl Traits {
    /// The traits of degrees and a micro-batch in sequences.
    #[must_use]
    pub fn new(tensor: u64, pipeline: u64, micro_batch: u64, is_across: bool) -> Self {
        let doublings = |n: u64| (n.max(1) as f64).log2();
        Self {
            tensor: doublings(tensor),
            pipeline: doublings(pipeline),
            micro_batch: doublings(micro_batch),
            across: f64::from(u8::from(is_across)),
        }
    }

    /// The traits of a configuration on nodes of `per_node` devices.
    #[must_use]
    pub fn of(c: &Configuration, per_node: u32) -> Self {
        let d = c.degrees;
        let tensor = u64::from(d.tp) * u64::from(d.cp);
        Self::new(tensor, d.pp.into(), c.micro_sequences, d.tp > per_node)
    }

    /// All, in the order of [`TRAITS`].
    #[must_use]
    pub fn all(&self) -> [f64; 4] {
        [self.tensor, self.pipeline, self.micro_batch, self.across]
    }
}

impl Particular {
    /// Standard deviations in the order of [`TRAITS`], then what no trait explains.
    #[must_use]
    pub fn all(&self) -> [f64; 5] {
        [self.tensor, self.pipeline, self.micro_batch, self.across, self.own]
    }

    /// The inverse of [`Particular::all`].
    #[must_use]
    pub fn from_all([tensor, pipeline, micro_batch, across, own]: [f64; 5]) -> Self {
        Self { tensor, pipeline, micro_batch, across, own }
    }

    /// Standard deviation of the logarithm of the ratio of two steps.
    #[must_use]
    pub fn spread(&self, a: &Traits, b: &Traits) -> f64 {
        let terms = self.all().into_iter().zip(a.all().into_iter().zip(b.all()));
        let explained: f64 = terms.map(|(sd, (x, y))| (sd * (x - y)).powi(2)).sum();
        (explained + 2.0 * self.own * self.own).sqrt()
    }

    /// What makes the ratio of two steps uncertain, most of all, in words.
    #[must_use]
    pub fn because(&self, a: &Traits, b: &Traits) -> &'static str {
        const WORDS: [&str; 5] = [
            "how many ranks share a layer",
            "how many stages there are",
            "how large micro-batches are",
            "tensor parallelism across nodes",
            "what no trait of the plans explains",
        ];
        let own = std::iter::once(2.0 * self.own * self.own);
        let terms = self.all().into_iter().zip(a.all().into_iter().zip(b.all()));
        let terms = terms.map(|(sd, (x, y))| (sd * (x - y)).powi(2)).chain(own);
        let largest = terms.zip(WORDS).max_by(|x, y| x.0.total_cmp(&y.0));
        largest.map_or("", |(_, words)| words)
    }

    /// Probability that plan `a` is faster than plan `b`, each a predicted step with its traits.
    #[must_use]
    pub fn faster(&self, a: (f64, &Traits), b: (f64, &Traits)) -> f64 {
        let gap = (b.0 / a.0).ln();
        match self.spread(a.1, b.1) {
            sd if sd > 0.0 => normal::share_below(gap / sd),
            _ if gap == 0.0 => 0.5,
            _ => f64::from(u8::from(gap > 0.0)),
        }
    }
}

/// How plans are ranked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// What is particular to a plan.
    pub particular: Particular,
    /// How sure it must be that a plan of more risk is faster; one half takes the fastest
    /// prediction.
    pub quantile: f64,
}

/// A predicted plan as far as ranking goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Predicted step, seconds.
    pub step: f64,
    /// Its traits.
    pub traits: Traits,
    /// What makes it risky.
    pub risk: Risk,
}

/// What makes a plan risky, worst first: doubts, then that the model is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Risk {
    /// Regimes in which predictions are known to be weak: tensor parallelism across nodes, memory
    /// above [`FULL`].
    pub doubts: u8,
    /// Whether ranks hold parts of the model: its layers, matrices, experts or parameters.
    pub is_split: bool,
}

impl Rule {
    /// Whether `other` is close behind the fastest plan: not beaten with the stated probability,
    /// and not slower by more than [`MOST`].
    #[must_use]
    pub fn is_close(&self, fastest: &Ranked, other: &Ranked) -> bool {
        let sure =
            self.particular.faster((fastest.step, &fastest.traits), (other.step, &other.traits));
        sure < self.quantile && other.step <= fastest.step * (1.0 + MOST)
    }

    /// How much slower than `other` the fastest plan is in the cases beyond the quantile, at least:
    /// `exp(z·σ)·t/t_other − 1`.
    #[must_use]
    pub fn worst(&self, fastest: &Ranked, other: &Ranked) -> f64 {
        let sd = self.particular.spread(&fastest.traits, &other.traits);
        (normal::quantile(self.quantile) * sd).exp() * fastest.step / other.step - 1.0
    }

    /// The place of the plan to take: of those close behind the fastest, the fastest of the least
    /// risk. None of none.
    #[must_use]
    pub fn choose(&self, plans: &[Ranked]) -> Option<usize> {
        let fastest = (0..plans.len()).min_by(|&i, &j| by_step(&plans[i], &plans[j]))?;
        let best = &plans[fastest];
        let close = (0..plans.len()).filter(|&i| {
            let other = &plans[i];
            i == fastest || (other.risk < best.risk && self.is_close(best, other))
        });
        close.min_by(|&i, &j| {
            let (a, b) = (&plans[i], &plans[j]);
            a.risk.cmp(&b.risk).then_with(|| by_step(a, b))
        })
    }
}

fn by_step(a: &Ranked, b: &Ranked) -> std::cmp::Ordering {
    a.step.total_cmp(&b.step)
}

#[cfg(test)]
mod tests;
