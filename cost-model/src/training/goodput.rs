//! Failures and checkpoints: how much of the wall clock trains.

use plan::units::Seconds;

/// How often devices fail and what it costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Failures {
    /// Mean time between failures of one device with its share of the node.
    pub between_per_device: Seconds,
    /// Training stops this long for a checkpoint.
    pub checkpoint: Seconds,
    /// From a failure until training goes on, lost work not counted.
    pub restart: Seconds,
}

impl Failures {
    /// Mean time between interruptions of a job of `devices`: failures are independent.
    #[must_use]
    pub fn between(&self, devices: u32) -> Seconds {
        self.between_per_device / f64::from(devices.max(1))
    }

    /// Time between checkpoints that loses least: `τ = √(2·δ·M) − δ`, at least `δ`.
    ///
    /// Source: Young 1974 and Daly 2006, "A higher order estimate of the optimum checkpoint
    /// interval", to first order. Checked by `no_other_interval_loses_less`.
    #[must_use]
    pub fn interval(&self, devices: u32) -> Seconds {
        let (delta, between) = (self.checkpoint.get(), self.between(devices).get());
        Seconds::new((2.0 * delta * between).sqrt() - delta).max(self.checkpoint)
    }

    /// Share of the wall clock that trains: `1/(1 + δ/τ + (τ/2 + δ + R)/M)`, to first order in
    /// failures: each loses half an interval, the checkpoint under way and the restart.
    #[must_use]
    pub fn goodput(&self, devices: u32) -> f64 {
        self.goodput_with(devices, self.interval(devices))
    }

    fn goodput_with(&self, devices: u32, interval: Seconds) -> f64 {
        let saving = if interval == Seconds::ZERO { 0.0 } else { self.checkpoint / interval };
        let lost = interval * 0.5 + self.checkpoint + self.restart;
        1.0 / (1.0 + saving + lost / self.between(devices))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Llama 3 (arXiv:2407.21783, section 3.3.4): 419 unexpected interruptions in 54 days on 16,384
    /// devices.
    fn llama3() -> Failures {
        let device_time = 54.0 * 24.0 * 3600.0 * 16_384.0;
        Failures {
            between_per_device: Seconds::new(device_time / 419.0),
            checkpoint: Seconds::new(30.0),
            restart: Seconds::new(600.0),
        }
    }

    #[test]
    fn interruptions_add_up() {
        let hours = llama3().between(16_384).get() / 3600.0;
        assert!((hours - 3.093).abs() < 0.01, "{hours}");
        assert!((llama3().between(1024).get() / 3600.0 - 16.0 * hours).abs() < 1e-6);
    }

    #[test]
    fn no_other_interval_loses_less() {
        for devices in [8, 1024, 16_384] {
            let best = llama3().interval(devices);
            let good = llama3().goodput(devices);
            for factor in [0.25, 0.5, 0.8, 1.25, 2.0, 4.0] {
                let other = llama3().goodput_with(devices, best * factor);
                // To first order: the interval is within a checkpoint of the optimum.
                assert!(other <= good * (1.0 + 1e-3), "{devices} {factor} {other} {good}");
            }
        }
    }

    #[test]
    fn by_hand() {
        // M 3.093 h = 11,135 s: τ = √(2·30·11,135) − 30 = 787 s; waste 30/787 + (394 + 630)/11,135
        // = 0.038 + 0.092.
        let goodput = llama3().goodput(16_384);
        assert!((goodput - 1.0 / 1.130).abs() < 0.002, "{goodput}");
    }
}
