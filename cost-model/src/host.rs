//! What the host costs: launching kernels, copies over its link.
//!
//! A device that finishes its kernels faster than the host can launch them waits for the host
//! ([`crate::layer::waiting`]). Small layers on fast devices are launch-bound.

use crate::constant::{term, unsupported};
use crate::profile::Profile;
use crate::{attention, pointwise};
use plan::Estimate;
use plan::lower::Step;
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

/// Time that the device stands still because the host waits for each kernel:
/// `kernels · t_blocking`.
///
/// Zero where launches do not block. Source: the stack. Checked by `blocking_launches_wait`.
#[must_use]
pub fn wait(work: &Work, profile: &Profile) -> Estimate<Seconds> {
    let blocking = &profile.stack.host.blocking;
    let time = kernels(work, profile) * blocking.value.get();
    term(time, profile.spread.latency, blocking.grade)
}

/// Time the host needs for a step of a layer: its launches, and what the framework does around
/// them.
///
/// `kernels · t_launch + t_operator` for computation, `+ e · t_expert` for the products of `e`
/// experts, which run one by one; `t_launch + t_collective + n·√k · t_staged` for a collective of
/// `n` ranks on `k` nodes, where `t_staged` counts only while stages of a pipeline on different
/// nodes (`staged`) exchange messages beside it. Casts belong to their products. Valid for eager
/// frameworks. Source: the stack. Checked by `operators_and_collectives_occupy_the_host` and
/// `experts_keep_the_host_busy`.
#[must_use]
pub fn occupied(step: &Step, staged: bool, profile: &Profile) -> Seconds {
    let host = &profile.stack.host;
    let around = match &step.work {
        Work::Collective(item) => {
            let each = if staged { host.staged_collective.value } else { Seconds::ZERO };
            let nodes = f64::from(item.group.nodes.max(1));
            host.collective.value + each * (f64::from(item.group.size) * nodes.sqrt())
        }
        Work::Gemm(item) if item.batch > 1 => {
            host.operator.value + host.expert.value * item.batch as f64
        }
        Work::Pointwise(item) if item.kind == PointwiseKind::Cast => Seconds::ZERO,
        _ => host.operator.value,
    };
    launch(&step.work, profile).value + around
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
    use plan::lower::StepRole;
    use plan::work::{Collective, CollectiveOp, Gemm, Group, Scan};
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

    /// Four experts of 80 µs on top of a plain product.
    #[test]
    fn experts_keep_the_host_busy() {
        let mut stack = fixtures::stack();
        stack.host.expert = of(Seconds::new(80e-6));
        let profile = fixtures::a100_with(&stack);
        let step = |work| Step { op: "test", role: StepRole::Compute, work };
        let time = |batch| occupied(&step(gemm(batch)), false, &profile).get();
        assert!((time(4) - time(1) - 320e-6).abs() < 1e-12);
    }

    /// A product: one launch and one operator. An all-reduce of 4 ranks: one launch, one
    /// collective, and 4 times what messages beside it cost.
    #[test]
    fn operators_and_collectives_occupy_the_host() {
        let mut profile = fixtures::a100();
        let us = |n: f64| fixtures::of(Seconds::new(n * 1e-6));
        let host = &mut profile.stack.host;
        (host.launch, host.operator, host.collective) = (us(8.0), us(50.0), us(20.0));
        host.staged_collective = us(100.0);
        let step = |work| Step { op: "test", role: StepRole::Compute, work };
        let group = Group { size: 4, nodes: 1 };
        let (op, bytes) = (CollectiveOp::AllReduce, Bytes::new(1e6));
        let reduce = step(Work::Collective(Collective { op, bytes, group }));
        let close = |time: Seconds, us: f64| assert!((time.get() * 1e6 - us).abs() < 1e-9);
        close(occupied(&step(gemm(1)), true, &profile), 58.0);
        close(occupied(&reduce, false, &profile), 28.0);
        close(occupied(&reduce, true, &profile), 428.0);
    }

    /// 25 GB over 25 GB/s.
    #[test]
    fn a_host_copy_takes_the_host_link() {
        let time = copy(Bytes::new(25e9), &fixtures::a100());
        assert!((time.value.get() - 1.0).abs() < 1e-12);
    }
}
