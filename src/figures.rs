//! Figures of plans: numbers in, a drawing out. The page and the papers draw the same.
//!
//! A drawing names colours and never says them: a page gives them for light and dark screens, a
//! file of its own brings those of white paper. Nothing here knows the time, or draws at random:
//! the same plan is the same bytes.

pub mod candidates;
pub mod colours;
pub mod communication;
pub mod cost;
pub mod legend;
pub mod memory;
pub mod pipeline;
pub mod scale;
pub mod scaling;
pub mod svg;
pub mod time;

pub use svg::{Svg, escaped};

/// How wide a drawing is laid out, in units of its own; letters are as large in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// For a screen or a page.
    Wide,
    /// For a phone or a column.
    Narrow,
}

impl Width {
    /// Units.
    #[must_use]
    pub fn units(self) -> f64 {
        match self {
            Self::Wide => 720.0,
            Self::Narrow => 356.0,
        }
    }

    /// What keeps ids of both layouts apart on one page.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Wide => "",
            Self::Narrow => "-narrow",
        }
    }
}
