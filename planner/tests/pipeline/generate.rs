//! A seeded family of small instances.

use plan::schedule::ScheduleKind;
use plan::units::{Bytes, Seconds};
use planner::pipeline::{Column, Problem, Segment, StageSync, SyncModel};

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number in `low..=high`, as a float: sums of these are exact.
    pub fn whole(&mut self, low: u64, high: u64) -> f64 {
        (low + self.next() % (high - low + 1)) as f64
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// A sync model from a handful of numbers.
#[derive(Clone, Debug)]
pub struct Sync {
    pub settings: usize,
    /// Per setting: resident base, resident per layer, tail base, tail per layer.
    per_setting: Vec<[f64; 4]>,
    /// Extra tail of the first and of the last stage.
    ends: [f64; 2],
    stages: usize,
    /// The last setting does not apply to a stage with more layers than this.
    most_layers: u32,
}

impl SyncModel for Sync {
    fn settings(&self) -> usize {
        self.settings
    }

    fn stage(&self, stage: usize, counts: &[u32], setting: usize) -> Option<StageSync> {
        let layers: u32 = counts.iter().sum();
        if setting > 0 && setting + 1 == self.settings && layers > self.most_layers {
            return None;
        }
        let [base, each, tail, tail_each] = self.per_setting[setting];
        let mut tail = tail + tail_each * f64::from(layers);
        if stage == 0 {
            tail += self.ends[0];
        }
        if stage + 1 == self.stages {
            tail += self.ends[1];
        }
        let resident = Bytes::new(base + each * f64::from(layers));
        // As much as half of what its layers hold, so that either may be the peak.
        let update = Bytes::new(0.5 * each * f64::from(layers));
        Some(StageSync { tail: Seconds::new(tail), resident, update })
    }

    fn resident_floor(&self, _: usize, setting: usize) -> Bytes {
        Bytes::new(self.per_setting[setting][1])
    }
}

/// An instance that owns everything a [`Problem`] borrows.
#[derive(Clone, Debug)]
pub struct Instance {
    pub stages: usize,
    pub micro_batches: u32,
    pub schedule: ScheduleKind,
    pub segments: Vec<Segment>,
    pub send: f64,
    pub capacity: Vec<f64>,
    pub sync: Sync,
    pub uniform_setting: bool,
}

impl Instance {
    pub fn generate(seed: u64) -> Self {
        let mut r = Random(seed.wrapping_mul(0x1234_5678_9abc_def1));
        let stages = r.whole(2, 4) as usize;
        let layers = r.whole((stages as u64).max(3), if stages == 4 { 7 } else { 8 }) as u32;
        let gpipe = r.chance(35);
        let schedule =
            if gpipe { ScheduleKind::GPipe } else { ScheduleKind::OneForwardOneBackward };
        let sync = Self::sync(&mut r, stages, layers);
        let segments = Self::segments(&mut r, layers, sync.settings);
        let send = if r.chance(60) { r.whole(1, 40) } else { 0.0 };
        let mut instance = Self {
            stages,
            micro_batches: r.whole(1, 9) as u32,
            schedule,
            segments,
            send,
            capacity: vec![0.0; stages],
            sync,
            uniform_setting: r.chance(50),
        };
        instance.set_capacity(&mut r, layers);
        instance
    }

    fn sync(r: &mut Random, stages: usize, layers: u32) -> Sync {
        let settings = if r.chance(45) { 2 } else { 1 };
        let has_tails = r.chance(60);
        let mut tail = |high| if has_tails { r.whole(0, high) } else { 0.0 };
        let tails: Vec<[f64; 2]> = (0..settings).map(|_| [tail(300), tail(60)]).collect();
        let ends = [tail(200), tail(200)];
        // A later setting holds less and costs more, as sharding does.
        let per_setting = (0..settings).map(|z| {
            let shards = (z + 1) as f64;
            let [base, each] = tails[z];
            [r.whole(0, 50), (r.whole(20, 60) / shards).ceil(), base * shards, each * shards]
        });
        let per_setting = per_setting.collect();
        Sync { settings, per_setting, ends, stages, most_layers: layers.div_ceil(2) }
    }

    fn segments(r: &mut Random, layers: u32, settings: usize) -> Vec<Segment> {
        let wanted = r.whole(1, 3) as usize;
        let mut left = layers;
        let mut segments = Vec::new();
        while left > 0 {
            let is_last = segments.len() + 1 == wanted;
            let layers = if is_last { left } else { r.whole(1, u64::from(left)) as u32 };
            left -= layers;
            let most = if layers > 4 { 2 } else { 3 };
            let columns = Self::columns(r, most);
            // Settings may slow the passes down, too.
            let slower = |extra: f64| {
                let with =
                    |c: &Column| Column { forward: c.forward + Seconds::new(extra), ..c.clone() };
                columns.iter().map(with).collect()
            };
            let extras: Vec<f64> =
                (0..settings).map(|z| if z == 0 { 0.0 } else { r.whole(0, 9) }).collect();
            segments.push(Segment { layers, columns: extras.into_iter().map(slower).collect() });
        }
        segments
    }

    /// Columns that trade activations for time: keep, recompute, and something in between.
    fn columns(r: &mut Random, most: u64) -> Vec<Column> {
        let (f, b, a) = (r.whole(20, 120), r.whole(40, 260), r.whole(10, 60));
        let count = r.whole(1, most) as u64;
        let column = |j: u64, r: &mut Random| Column {
            forward: Seconds::new(if r.chance(80) { f } else { f + r.whole(0, 30) }),
            backward: Seconds::new(b + if j == 0 { 0.0 } else { r.whole(5, f as u64 + 10) }),
            weight: Seconds::ZERO,
            activation: Bytes::new((a / (1 + 3 * j) as f64).ceil()),
            halves: Bytes::ZERO,
            transient: Bytes::new(r.whole(0, 40)),
        };
        (0..count).map(|j| column(j, r)).collect()
    }

    fn set_capacity(&mut self, r: &mut Random, layers: u32) {
        let each = layers.div_ceil(self.stages as u32);
        let most = |value: fn(&Column) -> Bytes| {
            let columns = self.segments.iter().flat_map(|s| &s.columns[0]);
            columns.map(|c| value(c).get()).fold(0.0, f64::max)
        };
        let in_flight = match self.schedule {
            ScheduleKind::GPipe => self.micro_batches,
            _ => self.micro_batches.min(self.stages as u32),
        };
        let [base, resident, ..] = self.sync.per_setting[0];
        let per_layer = resident + f64::from(in_flight) * most(|c| c.activation);
        let hungry = base + f64::from(each) * per_layer + most(|c| c.transient);
        let tightness = if r.chance(15) { r.whole(10, 45) } else { r.whole(35, 130) };
        let is_even = r.chance(40);
        for capacity in &mut self.capacity {
            let uneven = if is_even { 100.0 } else { r.whole(80, 125) };
            *capacity = (hungry * tightness * uneven / 10_000.0).floor();
        }
    }

    pub fn with_memory(&self, factor: f64) -> Self {
        let capacity = self.capacity.iter().map(|c| (c * factor).floor()).collect();
        Self { capacity, ..self.clone() }
    }

    pub fn ask<T>(&self, question: impl FnOnce(&Problem) -> T) -> T {
        question(&Problem {
            stages: self.stages,
            micro_batches: self.micro_batches,
            schedule: self.schedule,
            segments: self.segments.clone(),
            send: Seconds::new(self.send),
            capacity: self.capacity.iter().map(|c| Bytes::new(*c)).collect(),
            sync: &self.sync,
            uniform_setting: self.uniform_setting,
        })
    }
}
