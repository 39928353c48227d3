//! What the host costs: launching kernels, copies over its link.
//!
//! `t_layer = max(t_device, kernels·t_launch)`: a device that finishes its kernels faster than the
//! host can launch them waits for the host. Small layers on fast devices are launch-bound. A layer
//! of experts shows `t_device + ε·min` and the like: see [`routing`].

use crate::constant::{term, unsupported};
use crate::profile::Profile;
use crate::{attention, pointwise};
use plan::Estimate;
use plan::units::{Bytes, Seconds};
use plan::work::{PointwiseKind, Work};

/// Kernels that the host launches for an item.
///
/// Checked by `a_scan_launches_its_body_per_step`.
#[must_use]
pub fn kernels(work: &Work, profile: &Profile) -> f64 {
    match work {
        Work::Gemm(_)
        | Work::Collective(_)
        | Work::Send(_)
        | Work::HostCopy(_)
        | Work::Traffic(_) => 1.0,
        Work::Attention(item) => attention::kernels(item),
        Work::Pointwise(item) => pointwise::kernels(item, profile),
        Work::Scan(scan) => {
            let body: f64 = scan.body.iter().map(|item| kernels(item, profile)).sum();
            body * scan.steps as f64
        }
        Work::RecurrentWeightGradient(gradient) => {
            match profile.stack.recurrent.batched_weight_gradient.value {
                true => 1.0,
                false => 2.0 * gradient.steps as f64,
            }
        }
        Work::Optimizer(_) => profile.stack.optimizer.kernels.value,
    }
}

/// Time the host needs to launch an item: `kernels · t_launch`.
///
/// Valid for eager frameworks; a captured graph has its own, small `t_launch`. Source: the stack.
/// Checked by `a_scan_launches_its_body_per_step`.
#[must_use]
pub fn launch(work: &Work, profile: &Profile) -> Estimate<Seconds> {
    let launch = &profile.stack.host.launch;
    let time = kernels(work, profile) * launch.value.get();
    term(time, profile.spread.latency, launch.grade)
}

/// Time that the device stands still because the host waits for each kernel: `kernels · t_blocking`.
///
/// Zero where launches do not block. Source: the stack. Checked by `blocking_launches_wait`.
#[must_use]
pub fn wait(work: &Work, profile: &Profile) -> Estimate<Seconds> {
    let blocking = &profile.stack.host.blocking;
    let time = kernels(work, profile) * blocking.value.get();
    term(time, profile.spread.latency, blocking.grade)
}

/// Host time of experts besides their kernels: `t_routing` per pass of a layer, `t_expert` per
/// expert of the rank and product.
///
/// Valid for frameworks that route in Python and launch the products of experts one by one.
/// Source: the stack. Checked by `experts_keep_the_host_busy`.
#[must_use]
pub fn routing(work: &Work, profile: &Profile) -> Estimate<Seconds> {
    let host = &profile.stack.host;
    let (time, grade) = match work {
        Work::Pointwise(item) if item.kind == PointwiseKind::Permute => {
            (host.routing.value.get(), host.routing.grade)
        }
        Work::Gemm(item) if item.batch > 1 => {
            (item.batch as f64 * host.expert.value.get(), host.expert.grade)
        }
        _ => return Estimate::exact(Seconds::ZERO),
    };
    term(time, profile.spread.latency, grade)
}

/// Time of a copy between device and host: `bytes / link`. Checked by
/// `a_host_copy_takes_the_host_link`.
pub(crate) fn copy(bytes: Bytes, profile: &Profile) -> Estimate<Seconds> {
    let Some(link) = profile.host_link else { return unsupported() };
    term(bytes.get() / link.value, profile.spread.intra, link.grade)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use plan::units::Seconds;
    use plan::work::{Gemm, Pass, Pointwise, Scan};
    use plan::{Dtype, Grade, Sourced};

    #[test]
    fn a_scan_launches_its_body_per_step() {
        let profile = fixtures::a100();
        let gemm = Work::Gemm(Gemm { batch: 1, m: 64, n: 64, k: 64, dtype: Dtype::Fp16 });
        let scan = Work::Scan(Scan { steps: 10, body: vec![gemm.clone(), gemm] });
        assert_eq!(kernels(&scan, &profile), 20.0);
        let each = profile.stack.host.launch.value;
        assert_eq!(launch(&scan, &profile).value, each * 20.0);
    }

    fn of<T>(value: T) -> Sourced<T> {
        Sourced::new(value, Grade::Assumed, "a round number for this test")
    }

    fn gemm(batch: u64) -> Work {
        Work::Gemm(Gemm { batch, m: 64, n: 64, k: 64, dtype: Dtype::Fp16 })
    }

    /// One kernel of 70 µs.
    #[test]
    fn blocking_launches_wait() {
        let mut stack = fixtures::stack();
        assert_eq!(wait(&gemm(1), &fixtures::a100_with(&stack)).value, Seconds::ZERO);
        stack.host.blocking = of(Seconds::new(70e-6));
        let time = wait(&gemm(1), &fixtures::a100_with(&stack)).value.get();
        assert!((time - 70e-6).abs() < 1e-12, "{time}");
    }

    /// Four experts of 80 µs; 1 ms for the permutation of a pass; nothing for a plain product.
    #[test]
    fn experts_keep_the_host_busy() {
        let mut stack = fixtures::stack();
        stack.host.routing = of(Seconds::new(1e-3));
        stack.host.expert = of(Seconds::new(80e-6));
        let profile = fixtures::a100_with(&stack);
        let time = |work: &Work| routing(work, &profile).value.get();
        let (kind, dtype) = (PointwiseKind::Permute, Dtype::Fp16);
        let there = Pointwise { kind, elements: 64, dtype, pass: Pass::Forward };
        assert!((time(&gemm(4)) - 320e-6).abs() < 1e-12);
        assert!((time(&Work::Pointwise(there)) - 1e-3).abs() < 1e-12);
        assert_eq!(time(&gemm(1)), 0.0);
    }

    /// 25 GB over 25 GB/s.
    #[test]
    fn a_host_copy_takes_the_host_link() {
        let time = copy(Bytes::new(25e9), &fixtures::a100());
        assert!((time.value.get() - 1.0).abs() < 1e-12);
    }
}
