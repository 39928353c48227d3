//! Memory of one rank: what training keeps besides activations.

use crate::stack::MemoryStack;
use plan::model::Precision;
use plan::units::Bytes;

/// How much of the training state is sharded over the replicas (Rajbhandari et al. 2019,
/// arXiv:1910.02054).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Zero {
    /// Every replica keeps everything.
    Off,
    /// Optimizer state is sharded.
    Optimizer,
    /// Gradients too.
    Gradients,
    /// Parameters too.
    Parameters,
}

impl Zero {
    /// All stages.
    pub const ALL: [Self; 4] = [Self::Off, Self::Optimizer, Self::Gradients, Self::Parameters];

    /// The number in "ZeRO 1".
    #[must_use]
    pub fn stage(self) -> u8 {
        self as u8
    }

    /// The stage with this number.
    #[must_use]
    pub fn from_stage(stage: u8) -> Option<Self> {
        Self::ALL.get(usize::from(stage)).copied()
    }
}

/// Training state of one rank.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct States {
    /// Weights.
    pub weights: Bytes,
    /// Gradients.
    pub gradients: Bytes,
    /// Optimizer state, master weights included.
    pub optimizer: Bytes,
}

impl States {
    /// Sum.
    #[must_use]
    pub fn total(&self) -> Bytes {
        self.weights + self.gradients + self.optimizer
    }

    /// Sum by part.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            weights: self.weights + other.weights,
            gradients: self.gradients + other.gradients,
            optimizer: self.optimizer + other.optimizer,
        }
    }
}

/// State of `parameters` parameters over `replicas` ranks:
/// `P·(w/z₃ + g/z₂ + o/z₁)`, where `zᵢ` is the number of replicas from ZeRO stage `i` on, else 1.
///
/// - `w, g, o`: bytes per parameter of weights, gradients, optimizer state
/// - Source: Rajbhandari et al. 2019 (arXiv:1910.02054), section 5
/// - Checked against: the 54 cells of its table 1, `zero_table_1`
#[must_use]
pub fn states(parameters: f64, precision: &Precision, zero: Zero, replicas: u32) -> States {
    let shard = |from: Zero| if zero >= from { f64::from(replicas.max(1)) } else { 1.0 };
    let bytes = |each: u64, from| Bytes::new(parameters * each as f64 / shard(from));
    States {
        weights: bytes(precision.weight_bytes, Zero::Parameters),
        gradients: bytes(precision.gradient_bytes, Zero::Gradients),
        optimizer: bytes(precision.optimizer_bytes, Zero::Optimizer),
    }
}

/// Buffers of sharded parameters: the layer in use and the one gathered ahead, and its gradient
/// before it is scattered.
///
/// `2·P_layer·c` for the two gathered copies in the compute format, `+ P_layer·(c + w)` for the
/// gradient in compute and wire format. Source: PyTorch FSDP with `limit_all_gathers`, one unit
/// per layer.
#[must_use]
pub fn shard_buffers(layer_parameters: u64, precision: &Precision, zero: Zero) -> Bytes {
    let format = precision.compute.between_products().size();
    let each = match zero {
        Zero::Off | Zero::Optimizer => 0,
        Zero::Gradients => format + precision.wire_bytes,
        Zero::Parameters => 3 * format + precision.wire_bytes,
    };
    Bytes::from_count(layer_parameters.saturating_mul(each))
}

/// What sharded parameters need besides [`shard_buffers`] where all micro-batches pass through
/// `parameters` more of them before anything is given up: `P·c` of gathered weights with ZeRO 3,
/// and `P·w` of gradients that are not scattered yet with ZeRO 2 and 3.
///
/// Source: layered gradient accumulation, Lamy-Poirier 2021 (arXiv:2106.02679). Checked by
/// `joined_buffers_by_hand`.
#[must_use]
pub fn joined_buffers(parameters: u64, precision: &Precision, zero: Zero) -> Bytes {
    let each = match zero {
        Zero::Off | Zero::Optimizer => 0,
        Zero::Gradients => precision.wire_bytes,
        Zero::Parameters => precision.compute.between_products().size() + precision.wire_bytes,
    };
    Bytes::from_count(parameters.saturating_mul(each))
}

/// Of `capacity`, what a plan may fill with tensors: the allocator reserves more than it hands
/// out, and context and communicators take their part first.
///
/// `(capacity − context − communicators) / (1 + fragmentation)`; one device alone has no
/// communicators.
#[must_use]
pub fn usable(capacity: Bytes, stack: &MemoryStack, devices: u32) -> Bytes {
    let rest = capacity - runtime(stack, devices);
    (rest / (1.0 + stack.fragmentation.value)).max(Bytes::ZERO)
}

/// What a device shows as used when `tensors` bytes are allocated: the inverse of [`usable`].
#[must_use]
pub fn occupied(tensors: Bytes, stack: &MemoryStack, devices: u32) -> Bytes {
    tensors * (1.0 + stack.fragmentation.value) + runtime(stack, devices)
}

/// Context, and communicators where there is somebody to talk to.
#[must_use]
pub fn runtime(stack: &MemoryStack, devices: u32) -> Bytes {
    let talks = devices > 1;
    stack.context.value + if talks { stack.communicators.value } else { Bytes::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::Dtype;

    const MIXED_ADAM: Precision = Precision {
        compute: Dtype::Fp16,
        weight_bytes: 2,
        gradient_bytes: 2,
        optimizer_bytes: 12,
        wire_bytes: 2,
    };

    /// Table 1 of arXiv:1910.02054: GB per device for 7.5 B, 128 B and 1 T parameters over
    /// 1, 4, 16, 64, 256 and 1024 replicas. Two cells of the paper are rounded differently from
    /// its own formula by up to one unit of the last printed digit.
    #[test]
    fn zero_table_1() {
        let replicas = [1u32, 4, 16, 64, 256, 1024];
        #[rustfmt::skip]
        let table: [(f64, Zero, [f64; 6]); 9] = [
            (7.5e9, Zero::Optimizer, [120.0, 52.5, 35.6, 31.4, 30.4, 30.1]),
            (7.5e9, Zero::Gradients, [120.0, 41.3, 21.6, 16.6, 15.4, 15.1]),
            (7.5e9, Zero::Parameters, [120.0, 30.0, 7.5, 1.88, 0.47, 0.12]),
            (128e9, Zero::Optimizer, [2048.0, 896.0, 608.0, 536.0, 518.0, 513.0]),
            (128e9, Zero::Gradients, [2048.0, 704.0, 368.0, 284.0, 263.0, 257.0]),
            (128e9, Zero::Parameters, [2048.0, 512.0, 128.0, 32.0, 8.0, 2.0]),
            (1e12, Zero::Optimizer, [16000.0, 7000.0, 4750.0, 4187.0, 4046.0, 4011.0]),
            (1e12, Zero::Gradients, [16000.0, 5500.0, 2875.0, 2218.0, 2054.0, 2013.0]),
            (1e12, Zero::Parameters, [16000.0, 4000.0, 1000.0, 250.0, 62.5, 15.6]),
        ];
        let mut cells = 0;
        for (parameters, zero, row) in table {
            for (n, printed) in replicas.into_iter().zip(row) {
                let gb = states(parameters, &MIXED_ADAM, zero, n).total().get() / 1e9;
                assert!((gb - printed).abs() <= unit_of(printed), "{parameters} {n}: {gb}");
                cells += 1;
            }
        }
        assert_eq!(cells, 54);
    }

    /// One unit of the last printed digit.
    fn unit_of(printed: f64) -> f64 {
        let text = format!("{printed}");
        let decimals = text.split('.').nth(1).map_or(0, str::len);
        10f64.powi(-(decimals as i32))
    }

    /// 80 GB less 0.9 for the context and, of several devices, 1.2 for communicators, over 1.05.
    #[test]
    fn what_is_usable_is_what_would_be_occupied() {
        let stack = &crate::fixtures::a100().stack().memory.clone();
        for (devices, runtime) in [(1, 0.9), (8, 2.1)] {
            let capacity = Bytes::new(80e9);
            let room = usable(capacity, stack, devices);
            assert!((room.get() - (80.0 - runtime) * 1e9 / 1.05).abs() < 1.0, "{devices}: {room}");
            assert!((occupied(room, stack, devices) - capacity).get().abs() < 1.0);
        }
    }

    /// 10 parameters of two bytes on the wire and in use: 20 bytes of gradients, 20 of weights.
    #[test]
    fn joined_buffers_by_hand() {
        let bytes = Zero::ALL.map(|z| joined_buffers(10, &MIXED_ADAM, z).get());
        assert_eq!(bytes, [0.0, 0.0, 20.0, 40.0]);
    }

    #[test]
    fn sharding_more_never_costs_memory() {
        for n in [1, 2, 64] {
            let totals = Zero::ALL.map(|z| states(1e9, &MIXED_ADAM, z, n).total());
            assert!(totals.windows(2).all(|w| w[1] <= w[0]), "{totals:?}");
        }
    }
}
