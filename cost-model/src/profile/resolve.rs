//! Combining device, links and stack into a profile.

use super::links::{Inter, Intra};
use super::{
    AttentionConstants, GemmConstants, KERNELS, POINTWISE, PointwiseConstants, Profile,
    ProfileError, RULES, RecurrentConstants, Spread, dtype_index,
};
use crate::constant::Constant;
use crate::stack::{ComputeModel, Passes, SpreadStack, Stack};
use plan::machine::{Device, NodeGroup};
use plan::{Dtype, Grade, Sourced};

impl Profile {
    /// Resolves the constants of `device` with the links of `group` under `stack`.
    ///
    /// The device is passed beside the group so that a calibrated or hypothetical device can be
    /// priced in the group's place.
    ///
    /// # Errors
    /// An efficiency outside (0, 1], a bandwidth that is not positive, or a memory-bound kernel
    /// the stack does not know.
    pub fn new(device: &Device, group: &NodeGroup, stack: &Stack) -> Result<Self, ProfileError> {
        let stack = stack.on(&device.name);
        let owner = Owner { device, stack };
        let bandwidth = Constant::from(&device.memory_bandwidth, |b| b.get());
        let stream = bandwidth.times(owner.stream_efficiency()?);
        let profile = Self {
            device: device.name.clone(),
            memory: device.memory.value,
            peaks: owner.peaks()?,
            gemm: owner.gemm()?,
            multiprocessors: f64::from(device.multiprocessors.value.max(1)),
            bandwidth: owner.positive("the memory bandwidth", bandwidth)?,
            stream,
            gap: owner.gap()?,
            attention: owner.attention(bandwidth)?,
            pointwise: owner.pointwise()?,
            recurrent: owner.recurrent(bandwidth)?,
            optimizer: RULES.map(|rule| stack.optimizer.bytes.get(&rule).map(Constant::of)),
            intra: owner.intra(group)?,
            inter: owner.inter(group)?,
            host_link: owner.host_link()?,
            spread: spread(&stack.spread),
            stack: stack.clone(),
        };
        Ok(profile)
    }
}

struct Owner<'a> {
    device: &'a Device,
    stack: &'a Stack,
}

impl Owner<'_> {
    fn roofline(&self) -> Option<(&Sourced<f64>, &Sourced<f64>)> {
        match &self.stack.compute.model {
            ComputeModel::Roofline { compute, memory } => Some((compute, memory)),
            ComputeModel::Tiles | ComputeModel::Blocks => None,
        }
    }

    fn has_blocks(&self) -> bool {
        self.stack.compute.model == ComputeModel::Blocks
    }

    fn stream_efficiency(&self) -> Result<Constant, ProfileError> {
        let efficiency = self.roofline().map_or(&self.device.stream_efficiency, |(_, m)| m);
        let derated =
            Constant::of(efficiency).times(Constant::of(&self.stack.compute.stream_derate));
        self.fraction("the streaming efficiency", derated)
    }

    fn peaks(&self) -> Result<[Option<Constant>; 4], ProfileError> {
        let mut peaks = [None; 4];
        for (dtype, peak) in &self.device.peak {
            let peak = self.positive("a peak", Constant::from(peak, |p| p.get()))?;
            peaks[dtype_index(*dtype)] = Some(peak);
        }
        Ok(peaks)
    }

    fn gemm(&self) -> Result<GemmConstants, ProfileError> {
        let tiles = self.roofline().is_none();
        let none = Constant::ZERO;
        let mut law = GemmConstants {
            tiles,
            blocks: self.has_blocks(),
            efficiency: [none; 4],
            tile_penalty: [0.0; 4],
            prologue: [0.0; 4],
            shape_grade: [Grade::Exact; 4],
        };
        for dtype in Dtype::ALL {
            self.format(dtype, dtype_index(dtype), &mut law)?;
        }
        Ok(law)
    }

    /// The law of one number format.
    fn format(&self, dtype: Dtype, i: usize, law: &mut GemmConstants) -> Result<(), ProfileError> {
        let own = self.device.gemm.of(dtype);
        let stack = &self.stack.compute;
        let efficiency = self.roofline().map_or(&own.efficiency, |(compute, _)| compute);
        let derated = Constant::of(efficiency).times(Constant::of(&stack.derate));
        let derated = self.fraction("the efficiency of matrix products", derated)?;
        law.efficiency[i] = match dtype {
            Dtype::Fp8 => {
                let eight = derated.times(Constant::of(&stack.fp8_relative));
                self.fraction("the efficiency of 8-bit products", eight)?
            }
            _ => derated,
        };
        let penalty = self.not_negative("the tile penalty", Constant::of(&own.tile_penalty))?;
        let prologue = self.not_negative("the prologue of a tile", Constant::of(&own.prologue))?;
        law.tile_penalty[i] = penalty.value;
        law.prologue[i] = prologue.value;
        if law.tiles {
            law.shape_grade[i] =
                weakest([penalty.grade, prologue.grade, self.device.multiprocessors.grade]);
        }
        Ok(())
    }

    fn gap(&self) -> Result<Constant, ProfileError> {
        let gap = Constant::from(&self.device.gemm.kernel_gap, |t| t.get());
        let gap = self.not_negative("the gap between kernels", gap)?;
        Ok(if self.roofline().is_some() { Constant::ZERO } else { gap })
    }

    fn attention(&self, bandwidth: Constant) -> Result<AttentionConstants, ProfileError> {
        let law = &self.stack.attention;
        let misaligned = Constant::of(&law.misaligned_fraction);
        let score = self.fraction("the score efficiency", Constant::of(&law.score_efficiency))?;
        let mut fractions = [None; 4];
        for (entry, kernel) in fractions.iter_mut().zip(KERNELS) {
            if let Some(pair) = self.device.attention.get(&kernel) {
                *entry = Some(self.flash(pair)?);
            }
        }
        let narrow = |k| law.narrow_head.get(&k).map_or(1.0, |factor| factor.value);
        let bytes = weakest([law.softmax_bytes.grade, law.dropout_bytes.grade]);
        let mut score_stream = bandwidth.times(score);
        score_stream.grade = score_stream.grade.max(bytes);
        Ok(AttentionConstants {
            fractions,
            narrow_head: KERNELS.map(narrow),
            tiny_head: law.tiny_head.value,
            half_sequence: law.half_sequence.value,
            half_tiles: law.half_tiles.get(&self.device.name).map(Constant::of),
            misaligned: self.fraction("the speed of misaligned attention", misaligned)?,
            score_stream,
            softmax: pair(law.softmax_bytes.value),
            dropout: pair(law.dropout_bytes.value),
        })
    }

    fn flash(&self, pair: &Sourced<(f64, f64)>) -> Result<(f64, f64, Grade), ProfileError> {
        let law = &self.stack.attention;
        let grades = [pair.grade, law.half_sequence.grade, law.tiny_head.grade, law.derate.grade];
        let grade = weakest(grades);
        let (forward, backward) = pair.value;
        let (forward, backward) = (forward * law.derate.value, backward * law.derate.value);
        for value in [forward, backward] {
            self.fraction("the efficiency of attention", Constant { value, grade })?;
        }
        Ok((forward, backward, grade))
    }

    fn pointwise(&self) -> Result<[PointwiseConstants; POINTWISE.len()], ProfileError> {
        let zero = (0.0, 0.0);
        let none =
            PointwiseConstants { bytes: zero, wide: zero, kernels: zero, grade: Grade::Exact };
        let mut table = [none; POINTWISE.len()];
        for (entry, kind) in table.iter_mut().zip(POINTWISE) {
            let cost = self.stack.pointwise.get(&kind).ok_or_else(|| {
                ProfileError::NoPointwise { stack: self.stack.name.clone(), kind }
            })?;
            let bytes = cost.value.bytes;
            let twice = Passes { forward: 2.0 * bytes.forward, backward: 2.0 * bytes.backward };
            *entry = PointwiseConstants {
                bytes: pair(bytes),
                wide: pair(cost.value.wide.unwrap_or(twice)),
                kernels: pair(cost.value.kernels),
                grade: cost.grade,
            };
        }
        Ok(table)
    }

    fn recurrent(&self, bandwidth: Constant) -> Result<Option<RecurrentConstants>, ProfileError> {
        if let Some((_, memory)) = self.roofline() {
            let weight_stream = bandwidth.times(Constant::of(memory));
            return Ok(Some(RecurrentConstants { step: Constant::ZERO, weight_stream }));
        }
        let law = self.device.recurrent.as_ref().or(self.stack.recurrent.fallback.as_ref());
        let Some(law) = law else { return Ok(None) };
        let step = Constant::from(&law.step_overhead, |t| t.get());
        let read = Constant::of(&law.weight_read_efficiency);
        let read = self.fraction("the weight read efficiency", read)?;
        let step = self.not_negative("the overhead of a recurrent step", step)?;
        let mut weight_stream = bandwidth.times(read);
        if self.has_blocks() {
            // A thread reads weights from its caches, at a rate that is part of its products'.
            weight_stream.value = f64::INFINITY;
        }
        Ok(Some(RecurrentConstants { step, weight_stream }))
    }

    fn intra(&self, group: &NodeGroup) -> Result<Intra, ProfileError> {
        let intra = Intra::of(&group.intra);
        self.positive("the bandwidth inside a node", intra.bandwidth)?;
        Ok(intra)
    }

    fn inter(&self, group: &NodeGroup) -> Result<Option<Inter>, ProfileError> {
        let Some(link) = &group.inter else { return Ok(None) };
        let inter = Inter::of(link);
        self.positive("the bandwidth between nodes", inter.bandwidth)?;
        Ok(Some(inter))
    }

    fn host_link(&self) -> Result<Option<Constant>, ProfileError> {
        let Some(link) = &self.device.host_link else { return Ok(None) };
        self.positive("the host link", Constant::from(link, |b| b.get())).map(Some)
    }

    fn fraction(&self, what: &'static str, x: Constant) -> Result<Constant, ProfileError> {
        self.within(what, x, x.value > 0.0 && x.value <= 1.0, "(0, 1]")
    }

    fn positive(&self, what: &'static str, x: Constant) -> Result<Constant, ProfileError> {
        self.within(what, x, x.value > 0.0 && x.value.is_finite(), "(0, ∞)")
    }

    fn not_negative(&self, what: &'static str, x: Constant) -> Result<Constant, ProfileError> {
        self.within(what, x, x.value >= 0.0 && x.value.is_finite(), "[0, ∞)")
    }

    fn within(
        &self,
        what: &'static str,
        x: Constant,
        holds: bool,
        range: &'static str,
    ) -> Result<Constant, ProfileError> {
        if holds {
            return Ok(x);
        }
        let owner = format!("{} under {}", self.device.name, self.stack.name);
        Err(ProfileError::OutOfRange { owner, what, value: x.value, range })
    }
}

fn pair(passes: Passes) -> (f64, f64) {
    (passes.forward, passes.backward)
}

fn weakest<const N: usize>(grades: [Grade; N]) -> Grade {
    grades.into_iter().fold(Grade::Exact, Grade::max)
}

fn spread(stack: &SpreadStack) -> Spread {
    Spread {
        gemm: stack.gemm.value,
        memory: stack.memory.value,
        attention: stack.attention.value,
        intra: stack.intra.value,
        inter: stack.inter.value,
        latency: stack.latency.value,
    }
}
