//! What draws: text with a role, lines of parts, panels, bars; and where a click goes.

use crate::keymap::Action;
use crate::theme::{Look, PARTS, Role};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

/// What a click means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The same as a key.
    Do(Action),
    /// The cursor goes to this line.
    Line(usize),
}

/// A pen over a buffer.
pub struct Pen<'a> {
    buffer: &'a mut Buffer,
    look: Look,
    targets: Vec<(Rect, Target)>,
}

impl<'a> Pen<'a> {
    /// A pen.
    #[must_use]
    pub fn new(buffer: &'a mut Buffer, look: Look) -> Self {
        Self { buffer, look, targets: Vec::new() }
    }

    /// The whole buffer.
    #[must_use]
    pub fn area(&self) -> Rect {
        self.buffer.area
    }

    /// What a click at a cell means: what was drawn last lies on top.
    #[must_use]
    pub fn target(&self, x: u16, y: u16) -> Option<Target> {
        let holds = |area: &Rect| area.contains((x, y).into());
        self.targets.iter().rev().find(|(area, _)| holds(area)).map(|(_, target)| *target)
    }

    /// Makes an area clickable.
    pub fn clickable(&mut self, area: Rect, target: Target) {
        self.targets.push((area, target));
    }

    /// Writes at most `width` columns of a text; returns the column behind it.
    pub fn text(&mut self, (x, y): (u16, u16), width: u16, role: Role, text: &str) -> u16 {
        let area = self.buffer.area;
        if x >= area.right() || y >= area.bottom() || y < area.y {
            return x;
        }
        let width = width.min(area.right() - x);
        let (end, _) = self.buffer.set_stringn(x, y, text, width.into(), self.look.style(role));
        end
    }

    /// Writes parts one behind the other.
    pub fn line(&mut self, area: Rect, parts: &[(Role, &str)]) {
        let mut x = area.x;
        for (role, text) in parts {
            let left = area.right().saturating_sub(x);
            x = self.text((x, area.y), left, *role, text);
        }
    }

    /// Writes a text that ends at the right edge.
    pub fn right(&mut self, area: Rect, role: Role, text: &str) {
        let width = u16::try_from(text.chars().count()).unwrap_or(u16::MAX).min(area.width);
        self.text((area.right() - width, area.y), width, role, text);
    }

    /// Marks a line as the one under the cursor, whatever is written there.
    pub fn select(&mut self, area: Rect) {
        let area = area.intersection(self.buffer.area);
        for y in area.y..area.bottom() {
            for x in area.x..area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.modifier.insert(Modifier::REVERSED);
                }
            }
        }
    }

    /// Empties an area.
    pub fn clear(&mut self, area: Rect) {
        let area = area.intersection(self.buffer.area);
        for y in area.y..area.bottom() {
            for x in area.x..area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.reset();
                }
            }
        }
        self.targets.push((area, Target::Line(usize::MAX)));
    }

    /// A frame with a title; returns what is inside.
    pub fn panel(&mut self, area: Rect, title: &str, has_cursor: bool) -> Rect {
        if area.width < 2 || area.height < 2 {
            return Rect { width: 0, height: 0, ..area };
        }
        let role = if has_cursor { Role::Accent } else { Role::Dim };
        let rule = "─".repeat(usize::from(area.width - 2));
        let last = area.bottom() - 1;
        self.text((area.x, area.y), area.width, role, &format!("┌{rule}┐"));
        self.text((area.x, last), area.width, role, &format!("└{rule}┘"));
        for y in area.y + 1..last {
            self.text((area.x, y), 1, role, "│");
            self.text((area.right() - 1, y), 1, role, "│");
        }
        let title_role = if has_cursor { Role::Accent } else { Role::Title };
        let room = area.width.saturating_sub(4);
        if !title.is_empty() {
            self.text((area.x + 2, area.y), room, title_role, &format!(" {title} "));
        }
        Rect::new(area.x + 1, area.y + 1, area.width - 2, area.height - 2)
    }

    /// A bar of one part: `share` of the area's width.
    pub fn bar(&mut self, area: Rect, share: f64, role: Role) {
        const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
        let eighths = (share.clamp(0.0, 1.0) * f64::from(area.width) * 8.0).round() as usize;
        let text = "█".repeat(eighths / 8) + EIGHTHS[eighths % 8];
        self.text((area.x, area.y), area.width, role, &text);
    }

    /// A bar of several parts over a whole; each has its colour and its glyph.
    pub fn stack(&mut self, area: Rect, parts: &[f64], whole: f64) {
        let mut sum = 0.0;
        let column = |value: f64| {
            let share = (value / whole.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
            (share * f64::from(area.width)).round() as u16
        };
        for (place, part) in (0u8..).zip(parts) {
            let from = column(sum);
            sum += part.max(0.0);
            let glyph = PARTS[usize::from(place) % PARTS.len()];
            let text = glyph.repeat(usize::from(column(sum) - from));
            self.text((area.x + from, area.y), area.width, Role::Part(place), &text);
        }
        let rest = "·".repeat(usize::from(area.width.saturating_sub(column(sum))));
        self.text((area.x + column(sum), area.y), area.width, Role::Dim, &rest);
    }
}

/// The row of an area at a place, or an empty one below it.
#[must_use]
pub fn row(area: Rect, at: usize) -> Rect {
    let at = u16::try_from(at).unwrap_or(u16::MAX);
    match at < area.height {
        true => Rect { y: area.y + at, height: 1, ..area },
        false => Rect { y: area.bottom(), height: 0, width: 0, ..area },
    }
}

/// The first line that is shown so that the cursor is seen.
#[must_use]
pub fn first(at: usize, height: u16) -> usize {
    (at + 1).saturating_sub(usize::from(height).max(1))
}

/// An area in two, the upper one of a height.
#[must_use]
pub fn below(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    let upper = Rect { height, ..area };
    let lower = Rect { y: area.y + height, height: area.height - height, ..area };
    (upper, lower)
}

/// An area in two, the left one of a width.
#[must_use]
pub fn beside(area: Rect, width: u16) -> (Rect, Rect) {
    let width = width.min(area.width);
    let left = Rect { width, ..area };
    let right = Rect { x: area.x + width, width: area.width - width, ..area };
    (left, right)
}
