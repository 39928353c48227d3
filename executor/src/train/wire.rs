//! How numbers of rows travel: as they are, or in half precision.

use super::rows::decode;
use crate::float::{Float, half};

/// A format on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Single,
    /// Rounded, with one scale per message.
    Half,
}

impl Wire {
    pub fn write(self, values: &[f32], message: &mut Vec<u8>) {
        match self {
            Self::Single => f32::write(values, message),
            Self::Half => half::write(values, message),
        }
    }

    pub fn encode(self, values: &[f32]) -> Vec<u8> {
        let mut message = Vec::new();
        self.write(values, &mut message);
        message
    }

    /// Reads as many numbers as there is room for. `false` where the message holds others.
    #[must_use]
    pub fn read(self, message: &[u8], values: &mut [f32]) -> bool {
        match self {
            Self::Single if message.len() == values.len() * f32::BYTES => {
                f32::read(message, values);
                true
            }
            Self::Single => false,
            Self::Half => half::read(message, values),
        }
    }

    /// Bytes in front of the numbers, and of each.
    fn sizes(self) -> (usize, usize) {
        match self {
            Self::Single => (0, f32::BYTES),
            Self::Half => (half::HEAD, half::BYTES),
        }
    }

    /// Ids and the rows that follow them.
    #[must_use]
    pub fn rows(self, message: &[u8], width: usize) -> Option<(Vec<u32>, Vec<f32>)> {
        let (head, each) = self.sizes();
        let count = message.len().checked_sub(head)? / (4 + each * width);
        let (ids, raw) = message.split_at(4 * count);
        let mut values = vec![0.0; count * width];
        let is_whole = self.read(raw, &mut values);
        decode(ids).filter(|_| is_whole).map(|ids| (ids, values))
    }
}
