//! The one cost function.

use crate::profile::Profile;
use crate::{attention, bounds, collective, gemm, host, optimizer, pointwise, recurrent, send};
use plan::Estimate;
use plan::units::Seconds;
use plan::work::Work;

/// Time of one work item on one rank.
///
/// The interval comes from the spread of the constants that bind (see
/// [`crate::stack::SpreadStack`]); its lower end never beats the speed of light
/// ([`bounds::speed_of_light`]). The grade is that of the weakest constant.
///
/// Work for which the profile lacks a constant costs an infinite time, so that it is never
/// chosen; [`Profile::check`] says which constant is missing.
///
/// Checked by `no_price_beats_the_speed_of_light` and `prices_are_ordered_and_finite`.
#[must_use]
pub fn price(work: &Work, profile: &Profile) -> Estimate<Seconds> {
    let mut estimate = unclamped(work, profile);
    let bound = bounds::speed_of_light(work, profile);
    estimate.low = estimate.low.max(bound).min(estimate.value);
    estimate
}

/// The price without the clamp of its interval, for sums of parts.
pub(crate) fn unclamped(work: &Work, profile: &Profile) -> Estimate<Seconds> {
    match work {
        Work::Gemm(item) => gemm::price(item, profile),
        Work::Attention(item) => attention::price(item, profile),
        Work::Pointwise(item) => pointwise::price(item, profile),
        Work::Scan(item) => recurrent::scan(item, profile),
        Work::RecurrentWeightGradient(item) => recurrent::weight_gradient(item, profile),
        Work::Optimizer(item) => optimizer::price(item, profile),
        Work::Collective(item) => collective::price(item, profile),
        Work::Send(item) => send::price(item, profile),
        Work::HostCopy(bytes) => host::copy(*bytes, profile),
        Work::Traffic(bytes) => pointwise::traffic(*bytes, profile),
    }
}

#[cfg(test)]
mod tests;
