//! Electricity of a run.

use plan::units::{KilowattHours, Seconds, Watts};

/// What draws power.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Power {
    /// Rated power of one device.
    pub device: Watts,
    /// Share of it that is drawn on average while training.
    pub utilisation: f64,
    /// Everything else in a node: processors, memory, network, fans.
    pub rest_of_node: Watts,
    /// Power usage effectiveness of the building: total over computing.
    pub effectiveness: f64,
}

impl Power {
    /// Energy of `devices` in `nodes` over `time`:
    /// `E = T·(devices·u·P + nodes·P_rest)·PUE`.
    ///
    /// Checked by `a_hand_computed_run`.
    #[must_use]
    pub fn energy(&self, devices: u32, nodes: u32, time: Seconds) -> KilowattHours {
        let devices = self.device * (f64::from(devices) * self.utilisation);
        let watts = devices + self.rest_of_node * f64::from(nodes);
        KilowattHours::new(watts.get() * self.effectiveness * time.get() / 3.6e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hand_computed_run() {
        let power = Power {
            device: Watts::new(400.0),
            utilisation: 0.9,
            rest_of_node: Watts::new(2000.0),
            effectiveness: 1.2,
        };
        // (8·360 + 2000) W · 1.2 = 5.856 kW, for ten hours.
        let energy = power.energy(8, 1, Seconds::new(36_000.0));
        assert!((energy.get() - 58.56).abs() < 1e-9, "{energy}");
    }
}
