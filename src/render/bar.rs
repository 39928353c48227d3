//! Bars in text: eighths of a block, or `#` and `.` where only ASCII may be written.

use crate::style::{Canvas, Role};

const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// A bar of `fraction · width` columns, rounded to eighths and padded to `width`.
///
/// What is above zero is never drawn as nothing.
pub fn bar(canvas: &Canvas, fraction: f64, width: usize) -> String {
    let share = if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 };
    let steps = if canvas.is_ascii { 1 } else { 8 };
    let total = (share * (width * steps) as f64).round() as usize;
    let drawn = if share > 0.0 && width > 0 { total.max(1) } else { 0 };
    let full = canvas.glyph("█", "#").repeat(drawn / steps);
    let part = EIGHTHS[drawn % steps];
    let padding = width - drawn.div_ceil(steps);
    format!("{full}{part}{}", " ".repeat(padding))
}

/// A gauge that shows what is used and what is left: `████░░░░`.
pub fn gauge(canvas: &Canvas, fraction: f64, width: usize) -> String {
    stacked(canvas, &[fraction], width)
}

/// A stacked gauge; its parts differ by glyph, so colours are not needed. Parts are in fractions
/// of the whole; the rest is left light.
pub fn stacked(canvas: &Canvas, parts: &[f64], width: usize) -> String {
    const UNICODE: [&str; 3] = ["█", "▓", "▒"];
    const ASCII: [&str; 3] = ["#", "=", "-"];
    let (mut text, mut sum, mut at) = (String::new(), 0.0, 0);
    for (i, part) in parts.iter().enumerate() {
        sum += if part.is_finite() { part.max(0.0) } else { 0.0 };
        let end = ((sum.min(1.0) * width as f64).round() as usize).max(at);
        text += &canvas.glyph(UNICODE[i % 3], ASCII[i % 3]).repeat(end - at);
        at = end;
    }
    let rest = canvas.glyph("░", ".").repeat(width - at);
    text + &canvas.paint(Role::Dim, &rest)
}

/// A stacked gauge with a mark at `limit`, which stays visible over what is filled.
pub fn limited(canvas: &Canvas, parts: &[f64], limit: f64, width: usize) -> String {
    let plain = Canvas { has_colour: false, ..*canvas };
    let mut cells: Vec<char> = stacked(&plain, parts, width).chars().collect();
    let at = (limit * width as f64).round() as usize;
    // At 100 % the end of the bar is the mark.
    if limit.is_finite() && at < cells.len() {
        cells[at] = if canvas.is_ascii { '|' } else { '▏' };
    }
    cells.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr;

    const ASCII: Canvas = Canvas { is_ascii: true, ..Canvas::PLAIN };

    #[test]
    fn eighths_and_ascii() {
        // 0.5 of 5 columns is 20 eighths: two full blocks and a half.
        assert_eq!(bar(&Canvas::PLAIN, 0.5, 5), "██▌  ");
        assert_eq!(bar(&Canvas::PLAIN, 1.0, 3), "███");
        assert_eq!(bar(&Canvas::PLAIN, 1e-9, 3), "▏  ");
        assert_eq!(bar(&Canvas::PLAIN, 0.0, 3), "   ");
        assert_eq!(bar(&Canvas::PLAIN, f64::NAN, 2), "  ");
        assert_eq!(bar(&ASCII, 0.5, 4), "##  ");
        assert_eq!(gauge(&ASCII, 0.4, 10), "####......");
        assert_eq!(stacked(&Canvas::PLAIN, &[0.3, 0.2], 10), "███▓▓░░░░░");
        assert_eq!(limited(&Canvas::PLAIN, &[0.3, 0.2], 0.9, 10), "███▓▓░░░░▏");
        assert_eq!(limited(&ASCII, &[0.3, 0.2], 1.0, 10), "###==.....");
    }

    proptest! {
        #[test]
        fn bars_fill_their_columns_exactly(
            parts in prop::collection::vec(-0.5f64..1.5, 0..5), width in 0usize..60,
        ) {
            for canvas in [Canvas::PLAIN, ASCII] {
                prop_assert_eq!(stacked(&canvas, &parts, width).width(), width);
                for part in &parts {
                    prop_assert_eq!(bar(&canvas, *part, width).width(), width);
                }
            }
        }
    }
}
