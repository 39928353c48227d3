//! Pieces that screens are made of: bars, tables, numbers.

pub mod bar;
pub mod json;
pub mod number;
pub mod table;
pub mod wrap;
