//! The processor: name, cores, clock, vector width.

/// Vector instructions, widest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simd {
    /// 16 single-precision lanes with fused multiply-add.
    Avx512,
    /// 8 lanes with fused multiply-add.
    Avx2,
    /// 8 lanes without fused multiply-add.
    Avx,
    /// 4 lanes without fused multiply-add.
    Sse2,
    /// 4 lanes with fused multiply-add.
    Neon,
    /// None that is known.
    Scalar,
}

impl Simd {
    /// The name that vendors use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "AVX-512",
            Self::Avx2 => "AVX2 with FMA",
            Self::Avx => "AVX",
            Self::Sse2 => "SSE2",
            Self::Neon => "NEON",
            Self::Scalar => "no vector unit",
        }
    }

    /// Single-precision lanes of one instruction.
    #[must_use]
    pub fn lanes(self) -> u32 {
        match self {
            Self::Avx512 => 16,
            Self::Avx2 | Self::Avx => 8,
            Self::Sse2 | Self::Neon => 4,
            Self::Scalar => 1,
        }
    }

    /// Whether one instruction multiplies and adds.
    #[must_use]
    pub fn is_fused(self) -> bool {
        matches!(self, Self::Avx512 | Self::Avx2 | Self::Neon)
    }

    fn from_flags(cpuinfo: &str) -> Self {
        // x86 says `flags`, ARM says `Features`.
        let line = field(cpuinfo, "flags").or_else(|| field(cpuinfo, "Features"));
        let flags: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
        let has = |flag: &str| flags.contains(&flag);
        match () {
            () if has("avx512f") => Self::Avx512,
            () if has("avx2") && has("fma") => Self::Avx2,
            () if has("avx") => Self::Avx,
            () if has("sse2") => Self::Sse2,
            () if has("asimd") || has("neon") => Self::Neon,
            () => Self::Scalar,
        }
    }
}

/// The processor.
#[derive(Clone, Debug, PartialEq)]
pub struct Cpu {
    /// Its name, if it says one.
    pub name: Option<String>,
    /// Cores that this process may run on.
    pub cores: u32,
    /// Clock in cycles per second: the highest that the system states, else the present one.
    pub cycles_per_second: Option<f64>,
    /// Vector instructions.
    pub simd: Simd,
}

impl Cpu {
    /// Reads the processor off `/proc/cpuinfo` and `/sys`.
    pub(super) fn from_files(read: &dyn Fn(&str) -> Option<String>) -> Self {
        let cpuinfo = read("/proc/cpuinfo").unwrap_or_default();
        Self {
            name: field(&cpuinfo, "model name").map(str::to_string),
            cores: std::thread::available_parallelism()
                .map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
            cycles_per_second: clock(&cpuinfo, read),
            simd: Simd::from_flags(&cpuinfo),
        }
    }
}

/// The highest clock that the system states (kHz), else the present one (MHz).
fn clock(cpuinfo: &str, read: &dyn Fn(&str) -> Option<String>) -> Option<f64> {
    let highest = read("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
        .and_then(|text| text.trim().parse::<f64>().ok())
        .map(|khz| khz * 1e3);
    let present = || Some(field(cpuinfo, "cpu MHz")?.parse::<f64>().ok()? * 1e6);
    highest.or_else(present).filter(|hz| hz.is_finite() && *hz > 0.0)
}

fn field<'a>(cpuinfo: &'a str, name: &str) -> Option<&'a str> {
    cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const X86: &str = "processor\t: 0\nmodel name\t: AMD EPYC\ncpu MHz\t\t: 2445.404\n\
                       flags\t\t: fpu sse2 avx f16c fma avx2\n";

    fn cpu(cpuinfo: &'static str, max_khz: Option<&'static str>) -> Cpu {
        Cpu::from_files(&|path| match path {
            "/proc/cpuinfo" => Some(cpuinfo.to_string()),
            _ => max_khz.map(str::to_string),
        })
    }

    #[test]
    fn an_x86_processor() {
        let cpu = cpu(X86, None);
        assert_eq!(cpu.name.as_deref(), Some("AMD EPYC"));
        assert_eq!(cpu.simd, Simd::Avx2);
        assert!((cpu.cycles_per_second.unwrap() - 2.445404e9).abs() < 1.0);
        assert!(cpu.cores >= 1);
    }

    #[test]
    fn the_stated_clock_wins_over_the_present_one() {
        assert_eq!(cpu(X86, Some("3500000\n")).cycles_per_second, Some(3.5e9));
        assert_eq!(cpu("", None).cycles_per_second, None);
        assert_eq!(cpu("cpu MHz : 0\n", None).cycles_per_second, None);
    }

    #[test]
    fn the_widest_vector_unit_is_taken() {
        let simd = |flags: &str| Simd::from_flags(&format!("flags : {flags}\n"));
        assert_eq!(simd("sse2 avx avx2 fma avx512f"), Simd::Avx512);
        assert_eq!(simd("sse2 avx avx2"), Simd::Avx);
        assert_eq!(simd("sse2"), Simd::Sse2);
        assert_eq!(Simd::from_flags("Features\t: fp asimd crc32\n"), Simd::Neon);
        assert_eq!(Simd::from_flags(""), Simd::Scalar);
    }
}
