//! Tables drawn with lines, aligned by what a terminal shows: a wide character takes two columns,
//! a combining one none.

use unicode_width::UnicodeWidthStr;

/// The side on which a column's cells begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Text of which no character breaks a line or drives a terminal.
pub(super) fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
        out
    })
}

/// A table of escaped texts.
#[derive(Debug, Default)]
pub(super) struct Table {
    names: Vec<String>,
    sides: Vec<Side>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(super) fn new(names: Vec<String>, sides: Vec<Side>) -> Self {
        let rows = Vec::new();
        Self { names, sides, rows }
    }

    /// Adds a row.
    pub(super) fn push(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Draws it.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].width());
            cells.chain([self.names[column].width()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.names.len()).map(width).collect();
        let rule = |left: &str, middle: &str, right: &str| {
            let dashes: Vec<String> = widths.iter().map(|w| "─".repeat(w + 2)).collect();
            format!("{left}{}{right}\n", dashes.join(middle))
        };
        let line = |cells: &[String]| {
            let mut line = String::from("│");
            for ((cell, &width), &side) in cells.iter().zip(&widths).zip(&self.sides) {
                let space = " ".repeat(width - cell.width());
                line += &match side {
                    Side::Left => format!(" {cell}{space} │"),
                    Side::Right => format!(" {space}{cell} │"),
                };
            }
            line + "\n"
        };
        out.extend_from_slice(rule("┌", "┬", "┐").as_bytes());
        out.extend_from_slice(line(&self.names).as_bytes());
        out.extend_from_slice(rule("├", "┼", "┤").as_bytes());
        let rows = self.rows.iter();
        rows.for_each(|row| out.extend_from_slice(line(row).as_bytes()));
        out.extend_from_slice(rule("└", "┴", "┘").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_as_wide_as_they_look() {
        let row = |cells: [&str; 2]| cells.map(escaped).to_vec();
        let mut table = Table::new(row(["t", "n"]), vec![Side::Left, Side::Right]);
        for text in ["a", "日本", "e\u{301}", "🦀x", "tab\there"] {
            table.push(row([text, "1"]));
        }
        let mut out = Vec::new();
        table.write(&mut out);
        let text = String::from_utf8(out).expect("text");
        let drawn: Vec<&str> = text.lines().collect();
        assert!(
            drawn.iter().all(|line| line.width() == drawn[0].width()),
            "{text}"
        );
        assert_eq!(drawn[4], "│ 日本      │ 1 │");
        assert_eq!(drawn[7], "│ tab\\there │ 1 │");
    }
}
