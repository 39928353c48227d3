//! Failures: how often to save, and what part of the time is work that counts.
//!
//! Letters: `M` mean time between failures of the whole job, `C` time that saving blocks, `R` time
//! to restart.

use plan::units::Seconds;

/// What goes wrong, how often, and what it costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Failures {
    /// Mean time between failures of one device.
    pub device_mtbf: Seconds,
    /// Devices that all have to work.
    pub devices: u32,
    /// Time that saving the state blocks training.
    pub checkpoint: Seconds,
    /// Time from a failure until training goes on.
    pub restart: Seconds,
}

impl Failures {
    /// `M = device_mtbf / devices`: independent failures, each of which stops everybody.
    #[must_use]
    pub fn mtbf(&self) -> Seconds {
        self.device_mtbf / f64::from(self.devices.max(1))
    }
}

/// `τ = √(2CM)·(1 + ⅓·√(C/2M) + C/18M) − C`, or `M` where saving takes longer than `2M`: the time
/// of work between two checkpoints that loses least.
///
/// Source: Daly 2006, "A higher order estimate of the optimum checkpoint interval for restart
/// dumps", Future Generation Computer Systems 22, equation 37; its first term is Young 1974. Valid
/// for failures that follow a Poisson process. Checked by `daly_by_hand`.
#[must_use]
pub fn checkpoint_interval(failures: &Failures) -> Seconds {
    let (m, c) = (failures.mtbf(), failures.checkpoint);
    if c >= m * 2.0 {
        return m;
    }
    let x = c / (m * 2.0);
    let young = Seconds::new((2.0 * c.get() * m.get()).sqrt());
    young * (1.0 + x.sqrt() / 3.0 + x / 9.0) - c
}

/// Part of the time that is work which counts, when the state is saved every `interval` of work:
/// `τ / (M·e^{R/M}·(e^{(τ+C)/M} − 1))`.
///
/// Source: Daly 2006, equation 20 (total time of exponentially distributed failures that may also
/// hit saving and restarting). Checked by `goodput_by_hand` and by `rare_failures_cost_little`.
#[must_use]
pub fn goodput(failures: &Failures, interval: Seconds) -> f64 {
    let m = failures.mtbf();
    let segment = ((interval + failures.checkpoint) / m).exp_m1();
    let restart = (failures.restart / m).exp();
    let share = interval / (m * (restart * segment));
    if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 16,384 devices of 50,000 h each fail every 3.052 h = 10,986 s. C = 30 s: √(2CM) = 811.9 s,
    /// C/2M = 1.365e-3, its root 0.03695; 811.9·(1 + 0.012317 + 0.000152) − 30 = 792.0 s.
    fn llama() -> Failures {
        Failures {
            device_mtbf: Seconds::new(50_000.0 * 3600.0),
            devices: 16_384,
            checkpoint: Seconds::new(30.0),
            restart: Seconds::new(300.0),
        }
    }

    #[test]
    fn daly_by_hand() {
        let interval = checkpoint_interval(&llama()).get();
        assert!((interval - 792.0).abs() < 0.5, "{interval}");
        let hopeless = Failures { checkpoint: Seconds::new(3e4), ..llama() };
        assert_eq!(checkpoint_interval(&hopeless), hopeless.mtbf());
    }

    /// First order: C/τ = 3.8 %, (τ + C)/2M = 3.7 %, R/M = 2.7 %, together 10.2 % lost, so just
    /// below 91 % with the products of these.
    #[test]
    fn goodput_by_hand() {
        let share = goodput(&llama(), checkpoint_interval(&llama()));
        assert!((share - 0.905).abs() < 0.005, "{share}");
    }

    #[test]
    fn the_interval_is_the_best_one() {
        let best = checkpoint_interval(&llama());
        let at = |factor| goodput(&llama(), best * factor);
        assert!(at(1.0) > at(0.8) && at(1.0) > at(1.25));
    }

    /// Without failures only saving costs: τ/(τ + C).
    #[test]
    fn rare_failures_cost_little() {
        let never = Failures { device_mtbf: Seconds::new(1e18), ..llama() };
        let share = goodput(&never, Seconds::new(570.0));
        assert!((share - 0.95).abs() < 1e-9, "{share}");
    }
}
