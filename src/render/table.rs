//! Tables in text: columns as wide as their widest cell, two spaces between them.

use super::wrap::wrap;
use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr;

/// On which side a column is flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A last column that is narrower than this is cut, not wrapped.
const MIN_WRAP: usize = 18;

/// A table with a header.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let columns = columns.iter().map(|(name, align)| ((*name).to_string(), *align)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells.into_iter().collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// Names of the columns, and whether each is flush right.
    pub fn header(&self) -> impl Iterator<Item = (&str, bool)> {
        self.columns.iter().map(|(name, align)| (name.as_str(), *align == Align::Right))
    }

    /// The rows.
    pub fn cells(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// For people; every line indented, rows one step further than the header. The last column
    /// is cut where the line would be longer than `width`.
    pub fn text(&self, width: usize) -> String {
        let header: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let widths: Vec<usize> = (0..self.columns.len()).map(|i| self.width(i)).collect();
        let mut text = String::new();
        self.line(&mut text, &header, &widths, width);
        for row in &self.rows {
            self.line(&mut text, row, &widths, width);
        }
        text
    }

    /// Like [`Table::text`], but the last column is broken into lines where it is too long.
    pub fn wrapped(&self, width: usize) -> String {
        let Some(last) = self.columns.len().checked_sub(1) else { return String::new() };
        let others = (0..last).map(|i| self.width(i)).sum::<usize>() + 2 * last;
        let room = width.saturating_sub(others);
        if room < MIN_WRAP || self.width(last) <= room {
            return self.text(width);
        }
        let mut broken = Self { columns: self.columns.clone(), rows: Vec::new() };
        for row in &self.rows {
            let cell = wrap(&row[last], room, 0);
            let mut lines = cell.lines();
            let mut first = row.clone();
            first[last] = lines.next().unwrap_or_default().to_string();
            broken.rows.push(first);
            for line in lines {
                let mut more = vec![String::new(); last];
                more.push(line.to_string());
                broken.rows.push(more);
            }
        }
        broken.text(width)
    }

    /// For documents.
    pub fn markdown(&self) -> String {
        let cell = |text: &str| text.trim().replace('|', "\\|");
        let names: Vec<String> = self.columns.iter().map(|(name, _)| cell(name)).collect();
        let rules: Vec<&str> = self
            .columns
            .iter()
            .map(|(_, align)| if *align == Align::Right { "---:" } else { "---" })
            .collect();
        let mut text = format!("| {} |\n| {} |\n", names.join(" | "), rules.join(" | "));
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|c| cell(c)).collect();
            let _infallible = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }

    /// For spreadsheets (RFC 4180, with `\n`).
    pub fn csv(&self) -> String {
        let header: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let lines = std::iter::once(&header).chain(&self.rows);
        lines.map(|row| csv_line(row)).collect()
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[column].width());
        cells.chain([self.columns[column].0.width()]).max().unwrap_or(0)
    }

    fn line(&self, text: &mut String, cells: &[String], widths: &[usize], limit: usize) {
        let mut line = String::new();
        for (i, (cell, (_, align))) in cells.iter().zip(&self.columns).enumerate() {
            let padding = " ".repeat(widths[i] - cell.width());
            let gap = if i == 0 { "" } else { "  " };
            let _infallible = match align {
                Align::Left => write!(line, "{gap}{cell}{padding}"),
                Align::Right => write!(line, "{gap}{padding}{cell}"),
            };
        }
        text.push_str(&cut(line.trim_end(), limit));
        text.push('\n');
    }
}

/// Cuts a line to `limit` columns, and shows that it did.
pub fn cut(line: &str, limit: usize) -> String {
    if line.width() <= limit {
        return line.to_string();
    }
    let mut kept = String::new();
    for c in line.chars() {
        kept.push(c);
        if kept.width() + 1 > limit {
            kept.pop();
            break;
        }
    }
    format!("{}…", kept.trim_end())
}

fn csv_line(row: &[String]) -> String {
    let cells: Vec<String> = row
        .iter()
        .map(|cell| match cell.trim() {
            plain if !plain.contains([',', '"', '\n', '\r']) => plain.to_string(),
            special => format!("\"{}\"", special.replace('"', "\"\"")),
        })
        .collect();
    cells.join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table =
            Table::new(&[("GPUs", Align::Right), ("plan", Align::Left), ("step", Align::Right)]);
        table.row(["8".into(), "DP 8".into(), "0.99 s".into()]);
        table.row(["192".into(), "DP 96 · TP 2".into(), "1.109 s".into()]);
        table
    }

    #[test]
    fn columns_line_up_by_what_is_seen() {
        let expected = "\
GPUs  plan             step
   8  DP 8           0.99 s
 192  DP 96 · TP 2  1.109 s
";
        assert_eq!(table().text(80), expected);
        assert!(table().text(20).lines().all(|line| line.width() <= 20));
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("語語語", 5), "語語…");
    }

    #[test]
    fn a_long_last_column_is_wrapped() {
        let mut table = Table::new(&[("a", Align::Right), ("why", Align::Left)]);
        table.row(["12".into(), "one two three four five six".into()]);
        assert_eq!(table.wrapped(24), " a  why\n12  one two three four\n    five six\n");
        assert_eq!(table.wrapped(80), table.text(80));
    }

    #[test]
    fn documents_and_spreadsheets() {
        assert_eq!(
            table().markdown(),
            "| GPUs | plan | step |\n| ---: | --- | ---: |\n| 8 | DP 8 | 0.99 s |\n\
             | 192 | DP 96 · TP 2 | 1.109 s |\n"
        );
        let mut table = Table::new(&[("a", Align::Left), ("b", Align::Left)]);
        table.row(["x, \"y\"".into(), "a|b".into()]);
        assert_eq!(table.csv(), "a,b\n\"x, \"\"y\"\"\",a|b\n");
        assert!(table.markdown().contains("a\\|b"));
    }
}
