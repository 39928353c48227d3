//! Colours by name, for paper and for screens of both kinds.

use std::fmt::Write as _;

/// A colour that fills: its name, on white, on a dark screen. Told apart with every kind of colour
/// blindness by lightness, and words stand beside each.
const FILLS: [(&str, &str, &str); 10] = [
    ("blue", "#1f6fb4", "#5aa9e6"),
    ("sky", "#8cc5ea", "#2f6f9c"),
    ("green", "#1a8a66", "#43c59e"),
    ("orange", "#e08a1e", "#f2a93b"),
    ("red", "#c8472b", "#ef7f63"),
    ("pink", "#c2679f", "#e695c4"),
    ("violet", "#6d57b8", "#a591ea"),
    ("gold", "#b7a12b", "#dcc655"),
    ("grey", "#9aa1a9", "#7d858f"),
    ("pale", "#d5d9de", "#3d434b"),
];

/// Colours that are not data: letters, lines, the sheet.
const ROLES: [(&str, &str, &str); 7] = [
    ("ink", "#1b1f24", "#e6e9ed"),
    ("dim", "#5c6570", "#9da6b1"),
    ("rule", "#e3e6ea", "#30363d"),
    ("axis", "#8b939d", "#737c87"),
    ("sheet", "#ffffff", "#14171b"),
    ("card", "#f6f7f9", "#1c2026"),
    ("link", "#1f6fb4", "#7dbcf0"),
];

/// What drawings look like, with `var(--name)` for colours.
const RULES: &str = "\
svg text{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,\"Liberation Sans\",Arial,\
sans-serif;font-size:12px;fill:var(--ink)}\
svg .title{font-size:14px;font-weight:600}\
svg .dim{fill:var(--dim)}svg .strong{font-weight:600}svg .end{text-anchor:end}\
svg .middle{text-anchor:middle}svg .on{fill:var(--sheet);font-size:11px}\
svg .rule{stroke:var(--rule);stroke-width:1;fill:none}\
svg .axis{stroke:var(--axis);stroke-width:1;fill:none}\
svg .mark{stroke:var(--ink);stroke-width:1.4;fill:none}\
svg .limit{stroke:var(--red);stroke-width:1.4;stroke-dasharray:5 3;fill:none}\
svg .dash{stroke:var(--axis);stroke-width:1.2;stroke-dasharray:3 3;fill:none}\
svg .halo{fill:none;stroke:var(--ink);stroke-width:1.6}\
svg .curve{fill:none;stroke-width:2;stroke-linejoin:round}\
svg .soft{opacity:.4}";

/// The style sheet of a drawing on its own: dark letters on white, whatever the reader's screen.
#[must_use]
pub fn paper() -> String {
    let mut sheet = RULES.replace("svg ", "");
    sheet += &fills();
    for (name, light, _) in all() {
        sheet = sheet.replace(&format!("var(--{name})"), light);
    }
    sheet
}

/// The style sheet of drawings inside a page, colours for light and dark screens first.
#[must_use]
pub fn page() -> String {
    let light = variables(|(_, light, _)| light);
    let dark = variables(|(_, _, dark)| dark);
    format!(
        ":root{{color-scheme:light dark;{light}}}\n\
         @media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n{RULES}{}",
        fills()
    )
}

type Colour = (&'static str, &'static str, &'static str);

fn all() -> impl Iterator<Item = Colour> {
    FILLS.into_iter().chain(ROLES)
}

fn variables(value: impl Fn(Colour) -> &'static str) -> String {
    all().map(|colour| format!("--{}:{};", colour.0, value(colour))).collect()
}

/// `.blue` fills with blue, `.line-blue` draws with it.
fn fills() -> String {
    let mut sheet = String::new();
    for (name, ..) in FILLS {
        let _infallible =
            write!(sheet, ".{name}{{fill:var(--{name})}}.line-{name}{{stroke:var(--{name})}}");
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paper_needs_no_variable_and_no_query() {
        let sheet = paper();
        assert!(!sheet.contains("var(") && !sheet.contains("@media"), "{sheet}");
        assert!(sheet.contains(".blue{fill:#1f6fb4}.line-blue{stroke:#1f6fb4}"), "{sheet}");
    }

    #[test]
    fn pages_have_each_colour_twice() {
        let sheet = page();
        assert!(all().all(|(name, ..)| sheet.matches(&format!("--{name}:")).count() == 2));
    }

    /// Relative luminance of sRGB and contrast as the W3C define them (WCAG 2.1): letters are
    /// legible from 4.5 on.
    #[test]
    fn letters_are_legible_on_both_sheets() {
        let linear =
            |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
        let luminance = |hex: &str| {
            let part = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let [r, g, b] = [1, 3, 5].map(|at| linear(f64::from(part(at)) / 255.0));
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let contrast = |a: &str, b: &str| {
            let (a, b) = (luminance(a), luminance(b));
            (a.max(b) + 0.05) / (a.min(b) + 0.05)
        };
        // Black on white is 21 to 1.
        assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 1e-9);
        let of = |name: &str| all().find(|c| c.0 == name).unwrap();
        for letters in ["ink", "dim", "link"] {
            for under in ["sheet", "card"] {
                let (a, b) = (of(letters), of(under));
                assert!(contrast(a.1, b.1) >= 4.5 && contrast(a.2, b.2) >= 4.5, "{letters}");
            }
        }
    }
}
