//! A drawing as text: elements in order, numbers with one decimal, letters as letters.

use super::Width;
use super::colours;
use std::fmt::Write as _;

/// A drawing that grows downwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Svg {
    /// Its id, and the beginning of ids in it.
    id: String,
    /// Layout.
    width: Width,
    /// Height, in units.
    height: f64,
    title: String,
    description: String,
    body: String,
}

/// Where a text stands relative to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// Width of a letter of usual text, on average.
const LETTER: f64 = 6.8;

/// About as wide as a text is drawn.
#[must_use]
pub fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}

impl Svg {
    /// An empty drawing; `description` is what those hear who do not see it.
    #[must_use]
    pub fn new(id: &str, width: Width, title: &str, description: &str) -> Self {
        let id = format!("{id}{}", width.suffix());
        let (title, description) = (title.to_string(), description.to_string());
        let mut svg = Self { id, width, height: 0.0, title, description, body: String::new() };
        let mut y = 16.0;
        for line in lines(&svg.title.clone(), width.units() / 8.8) {
            svg.text(0.0, y, Anchor::Start, "title", &line);
            y += 18.0;
        }
        svg.height = y - 2.0;
        svg
    }

    /// Units from left to right.
    #[must_use]
    pub fn width(&self) -> f64 {
        self.width.units()
    }

    /// Whether it is laid out for a column.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        self.width == Width::Narrow
    }

    /// Units so far from top to bottom.
    #[must_use]
    pub fn height(&self) -> f64 {
        self.height
    }

    /// Makes room at the bottom, and says where it begins.
    pub fn grow(&mut self, by: f64) -> f64 {
        let top = self.height;
        self.height += by;
        top
    }

    /// A rectangle; nothing where it has no width.
    pub fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str) {
        if width > 0.0 {
            self.put(&format!(
                "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                short(x),
                short(y),
                short(width.max(0.1)),
                short(height)
            ));
        }
    }

    /// A text on one line.
    pub fn text(&mut self, x: f64, y: f64, anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let classes: Vec<&str> = [class, anchor].into_iter().filter(|c| !c.is_empty()).collect();
        let class = match classes.is_empty() {
            true => String::new(),
            false => format!(" class=\"{}\"", classes.join(" ")),
        };
        self.put(&format!(
            "<text{class} x=\"{}\" y=\"{}\">{}</text>",
            short(x),
            short(y),
            escaped(text)
        ));
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let (a, b, c, d) = (short(from.0), short(from.1), short(to.0), short(to.1));
        self.put(&format!("<path class=\"{class}\" d=\"M{a} {b}L{c} {d}\"/>"));
    }

    /// A path, as SVG writes it.
    pub fn path(&mut self, d: &str, class: &str) {
        if !d.is_empty() {
            self.put(&format!("<path class=\"{class}\" d=\"{d}\"/>"));
        }
    }

    /// A dot.
    pub fn dot(&mut self, (x, y): (f64, f64), radius: f64, class: &str) {
        self.put(&format!(
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>",
            short(x),
            short(y),
            short(radius)
        ));
    }

    /// What follows, up to [`Svg::close`], has an id of its own, and a name that is shown on it.
    pub fn open(&mut self, name: &str, shown: &str) {
        let id = format!("{}-{}", self.id, slug(name));
        let title = match shown.is_empty() {
            true => String::new(),
            false => format!("<title>{}</title>", escaped(shown)),
        };
        self.put(&format!("<g id=\"{id}\">{title}"));
    }

    /// Ends what [`Svg::open`] began.
    pub fn close(&mut self) {
        self.put("</g>");
    }

    fn put(&mut self, element: &str) {
        self.body += element;
        self.body.push('\n');
    }

    /// A file of its own, for white paper.
    #[must_use]
    pub fn file(&self) -> String {
        let style = colours::paper();
        let size = format!("width=\"{}\" height=\"{}\"", self.width(), short(self.height));
        let sheet = "<rect fill=\"#fff\" width=\"100%\" height=\"100%\"/>\n";
        self.element(&size, &format!("<style>{style}</style>\n{sheet}"))
    }

    /// A part of a page, which has the style sheet.
    #[must_use]
    pub fn part(&self) -> String {
        let class = if self.is_narrow() { "class=\"narrow\"" } else { "class=\"wide\"" };
        self.element(class, "")
    }

    fn element(&self, attributes: &str, head: &str) -> String {
        let mut text = String::new();
        let (id, margin) = (&self.id, 4.0);
        let _infallible = write!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" id=\"{id}\" {attributes} \
             viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\n\
             <title id=\"{id}-title\">{}</title>\n<desc id=\"{id}-desc\">{}</desc>\n\
             {head}{}</svg>\n",
            self.width(),
            short(self.height + margin),
            escaped(&self.title),
            escaped(&self.description),
            self.body
        );
        text
    }
}

/// A number with at most one decimal; never a minus before nothing.
#[must_use]
pub fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".into() } else { text.into() }
}

/// Text between tags.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A text in lines of at most so many letters.
#[must_use]
pub fn lines(text: &str, letters: f64) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match all.last_mut() {
            Some(line) if (line.chars().count() + 1 + word.chars().count()) as f64 <= letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => all.push(word.to_string()),
        }
    }
    all
}

/// A name as an id: lower case, hyphens for what is no letter or digit.
fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let all: Vec<String> = [0.0, -0.04, 3.0, 2.25, -7.06, 1234.56].map(short).into();
        assert_eq!(all, ["0", "0", "3", "2.2", "-7.1", "1234.6"]);
    }

    #[test]
    fn names_cannot_break_out_of_their_tags() {
        assert_eq!(escaped("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
    }

    #[test]
    fn a_file_is_complete_and_a_part_has_no_style() {
        let mut svg = Svg::new("time", Width::Narrow, "A <title>", "what is seen");
        svg.open("ZeRO 1", "a part");
        svg.rect((0.0, 20.0), (10.0, 5.0), "blue");
        svg.rect((0.0, 20.0), (0.0, 5.0), "blue");
        svg.close();
        let (file, part) = (svg.file(), svg.part());
        assert!(file.starts_with("<svg xmlns=") && file.ends_with("</svg>\n"));
        assert!(file.contains("<style>") && !part.contains("<style>"));
        assert!(part.contains("<g id=\"time-narrow-zero-1\"><title>a part</title>\n<rect"));
        assert!(part.contains("<title id=\"time-narrow-title\">A &lt;title&gt;</title>"));
        assert_eq!(part.matches("<rect").count(), 1, "{part}");
    }

    #[test]
    fn long_titles_are_broken() {
        assert_eq!(lines("one two three four", 9.0), ["one two", "three", "four"]);
        assert!(lines("", 9.0).is_empty());
    }
}
