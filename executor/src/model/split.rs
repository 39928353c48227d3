//! How a rank's part of a layer is cut, and the ranks with which it shares the layer.

use crate::ops::across::{Across, Alone};

/// A rank's place along one axis, and how many ranks are along it.
pub type Along = (usize, usize);

/// What of a layer a rank holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Along the tensor-parallel axis.
    pub tensor: Along,
    /// Along the expert-parallel axis.
    pub expert: Along,
    /// Whether tensor-parallel ranks hold a part of the positions each between layers.
    pub sequence: bool,
}

impl From<Along> for Split {
    fn from(tensor: Along) -> Self {
        Self { tensor, expert: (0, 1), sequence: false }
    }
}

/// The ranks with which a layer is shared, by axis.
pub struct Groups<'a, T> {
    /// Those that hold other columns, heads and words.
    pub tensor: &'a dyn Across<T>,
    /// Those that hold other positions.
    pub context: &'a dyn Across<T>,
    /// Those that hold other experts.
    pub expert: &'a dyn Across<T>,
}

impl<T> Clone for Groups<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Groups<'_, T> {}

impl<'a, T, A: Across<T>> From<&'a A> for Groups<'a, T> {
    fn from(tensor: &'a A) -> Self {
        Self { tensor, context: &Alone, expert: &Alone }
    }
}
