//! Legends: a swatch and a word each, as many on a line as fit.

use super::svg::{Anchor, Svg, text_width};

/// Height of a line of a legend.
const LINE: f64 = 18.0;
/// Side of a swatch, and the room to its word and after it.
const SWATCH: f64 = 10.0;
const GAP: f64 = 5.0;
const AFTER: f64 = 16.0;

/// Class of what is drawn as a line, and its swatch too.
pub const DASH: &str = "dash";

/// Adds a legend at the bottom.
pub fn legend(svg: &mut Svg, items: &[(&str, &str)]) {
    let mut x = 0.0;
    let mut y = svg.grow(LINE);
    for (class, word) in items {
        let width = SWATCH + GAP + text_width(word);
        if x > 0.0 && x + width > svg.width() {
            (x, y) = (0.0, svg.grow(LINE));
        }
        let middle = y + 3.0 + SWATCH / 2.0;
        match *class {
            DASH => svg.line((x, middle), (x + SWATCH, middle), class),
            _ => svg.rect((x, y + 3.0), (SWATCH, SWATCH), class),
        }
        svg.text(x + SWATCH + GAP, y + 12.0, Anchor::Start, "dim", word);
        x += width + AFTER;
    }
}

/// Adds sentences at the bottom, in lines that fit.
pub fn caption(svg: &mut Svg, text: &str) {
    let letters = svg.width() / 6.9;
    for line in super::svg::lines(text, letters) {
        let y = svg.grow(16.0);
        svg.text(0.0, y + 12.0, Anchor::Start, "dim", &line);
    }
}
