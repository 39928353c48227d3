//! Accuracy for people, programs and spreadsheets.

mod chart;
mod document;
mod lock;
mod page;
mod rows;
mod text;

pub use chart::chart;
pub use document::document;
pub use lock::lock;
pub use page::page;
pub use rows::rows;
pub use text::{groups, screen};

/// A fraction in percent, to a tenth, without the sign.
#[must_use]
pub fn tenths(fraction: f64) -> String {
    format!("{:.1}", fraction * 100.0)
}

/// The same with a plus or minus.
#[must_use]
pub fn signed(fraction: f64) -> String {
    let text = format!("{:+.1}", fraction * 100.0);
    match text.as_str() {
        "+0.0" | "-0.0" => "0.0".to_string(),
        _ => text.replace('-', "−"),
    }
}
