//! The constants of a stack that may be fitted: what physics leaves open within a range.

use super::Free;
use crate::stack::Stack;
use plan::units::Seconds;
use plan::{Grade, Sourced};

/// A constant that may be fitted.
#[derive(Clone, Copy, Debug)]
pub struct FreeConstant {
    /// Section of a stack file.
    pub section: &'static str,
    /// Key in it.
    pub key: &'static str,
    /// Least and largest value.
    range: (f64, f64),
    /// How far it may plausibly be from where it starts: relative where `relative`, else absolute.
    spread: f64,
    /// Fitted by its logarithm.
    relative: bool,
    field: Field,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Number(fn(&mut Stack) -> &mut Sourced<f64>),
    Time(fn(&mut Stack) -> &mut Sourced<Seconds>),
}

/// All of them, in the order in which they are shown.
pub const CONSTANTS: [FreeConstant; 17] = [
    relative("compute", "derate", (0.2, 1.0), 0.1, |s| &mut s.compute.derate),
    relative("compute", "fp8_relative", (0.3, 1.0), 0.1, |s| &mut s.compute.fp8_relative),
    relative("compute", "stream_derate", (0.3, 1.0), 0.1, |s| &mut s.compute.stream_derate),
    relative("attention", "derate", (0.2, 2.0), 0.2, |s| &mut s.attention.derate),
    relative("attention", "score_efficiency", (0.2, 0.95), 0.2, |s| {
        &mut s.attention.score_efficiency
    }),
    absolute("overlap", "tensor_forward", (0.0, 1.0), 0.2, |s| &mut s.overlap.tensor_forward),
    absolute("overlap", "tensor_forward_sequence", (0.0, 1.0), 0.2, |s| {
        &mut s.overlap.tensor_forward_sequence
    }),
    absolute("overlap", "tensor_backward", (0.0, 1.0), 0.2, |s| &mut s.overlap.tensor_backward),
    absolute("overlap", "tensor_backward_sequence", (0.0, 1.0), 0.2, |s| {
        &mut s.overlap.tensor_backward_sequence
    }),
    absolute("overlap", "data_tail", (0.0, 1.0), 0.1, |s| &mut s.overlap.data_tail),
    absolute("overlap", "send", (0.0, 1.0), 0.2, |s| &mut s.overlap.send),
    absolute("overlap", "contention", (0.0, 1.0), 0.15, |s| &mut s.overlap.contention),
    relative("optimizer", "kernels", (1.0, 5000.0), 0.5, |s| &mut s.optimizer.kernels),
    absolute("optimizer", "accumulation_bytes", (0.0, 24.0), 4.0, |s| {
        &mut s.optimizer.accumulation_bytes
    }),
    FreeConstant {
        section: "host",
        key: "launch",
        range: (0.2e-6, 100e-6),
        spread: 0.4,
        relative: true,
        field: Field::Time(|s| &mut s.host.launch),
    },
    FreeConstant {
        section: "host",
        key: "step",
        range: (0.0, 0.2),
        spread: 0.01,
        relative: false,
        field: Field::Time(|s| &mut s.host.step),
    },
    absolute("host", "jitter", (0.0, 0.1), 0.005, |s| &mut s.host.jitter),
];

const fn relative(
    section: &'static str,
    key: &'static str,
    range: (f64, f64),
    spread: f64,
    field: fn(&mut Stack) -> &mut Sourced<f64>,
) -> FreeConstant {
    FreeConstant { section, key, range, spread, relative: true, field: Field::Number(field) }
}

const fn absolute(
    section: &'static str,
    key: &'static str,
    range: (f64, f64),
    spread: f64,
    field: fn(&mut Stack) -> &mut Sourced<f64>,
) -> FreeConstant {
    FreeConstant { section, key, range, spread, relative: false, field: Field::Number(field) }
}

impl FreeConstant {
    /// `section.key`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    /// The constant with this path.
    #[must_use]
    pub fn named(path: &str) -> Option<&'static Self> {
        CONSTANTS.iter().find(|constant| constant.path() == path)
    }

    /// Its value in a stack: a plain number, or seconds.
    #[must_use]
    pub fn of(&self, stack: &Stack) -> f64 {
        let mut copy = Stack { on: std::collections::BTreeMap::new(), ..stack.clone() };
        match self.field {
            Field::Number(field) => field(&mut copy).value,
            Field::Time(field) => field(&mut copy).value.get(),
        }
    }

    /// Sets it.
    pub fn set(&self, stack: &mut Stack, value: f64, source: &str) {
        match self.field {
            Field::Number(field) => *field(stack) = Sourced::new(value, Grade::Fitted, source),
            Field::Time(field) => {
                *field(stack) = Sourced::new(Seconds::new(value), Grade::Fitted, source);
            }
        }
    }

    /// As a free constant of a fit that starts from a stack's value.
    #[must_use]
    pub fn free(&self, stack: &Stack) -> Free {
        let (low, high) = self.range;
        let start = self.of(stack).clamp(low, high);
        let at = |x| self.coordinate(x);
        Free { start: at(start), spread: self.spread, low: at(low), high: at(high) }
    }

    fn coordinate(&self, value: f64) -> f64 {
        if self.relative { value.ln() } else { value }
    }

    /// From the coordinate of a fit to the value.
    #[must_use]
    pub fn value(&self, coordinate: f64) -> f64 {
        if self.relative { coordinate.exp() } else { coordinate }
    }

    /// The value as a stack file states it.
    #[must_use]
    pub fn text(&self, value: f64) -> String {
        match self.field {
            Field::Number(_) => plan::units::significant(value, 3),
            Field::Time(_) => format!("\"{} us\"", plan::units::significant(value * 1e6, 3)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::stack;

    #[test]
    fn every_constant_can_be_set_and_read() {
        let mut stack = stack();
        for constant in &CONSTANTS {
            let free = constant.free(&stack);
            let middle = constant.value((free.low + free.high) / 2.0);
            constant.set(&mut stack, middle, "this test");
            assert_eq!(constant.of(&stack), middle, "{}", constant.path());
            assert_eq!(FreeConstant::named(&constant.path()).unwrap().key, constant.key);
        }
    }
}
