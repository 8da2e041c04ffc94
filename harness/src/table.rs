//! Tables drawn with lines, aligned by what a terminal shows: a wide character takes two columns,
//! a combining one none.

use unicode_width::UnicodeWidthStr;

/// The side on which a column's cells begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Text of which no character breaks a line or drives a terminal.
pub(crate) fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
        out
    })
}

/// Draws a table of escaped texts.
pub(crate) fn write_table(
    names: Vec<String>,
    rows: &[Vec<String>],
    sides: &[Side],
    out: &mut Vec<u8>,
) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].width());
        cells.chain([names[column].width()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let rule = |left: &str, middle: &str, right: &str| {
        let dashes: Vec<String> = widths.iter().map(|w| "─".repeat(w + 2)).collect();
        format!("{left}{}{right}\n", dashes.join(middle))
    };
    let line = |cells: &[String]| {
        let mut line = String::from("│");
        for ((cell, &width), &side) in cells.iter().zip(&widths).zip(sides) {
            let space = " ".repeat(width - cell.width());
            line += &match side {
                Side::Left => format!(" {cell}{space} │"),
                Side::Right => format!(" {space}{cell} │"),
            };
        }
        line + "\n"
    };
    out.extend_from_slice(rule("┌", "┬", "┐").as_bytes());
    out.extend_from_slice(line(&names).as_bytes());
    out.extend_from_slice(rule("├", "┼", "┤").as_bytes());
    rows.iter()
        .for_each(|row| out.extend_from_slice(line(row).as_bytes()));
    out.extend_from_slice(rule("└", "┴", "┘").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_as_wide_as_they_look() {
        let row = |cells: [&str; 2]| cells.map(escaped).to_vec();
        let rows = ["a", "日本", "e\u{301}", "🦀x", "tab\there"].map(|t| row([t, "1"]));
        let mut out = Vec::new();
        write_table(row(["t", "n"]), &rows, &[Side::Left, Side::Right], &mut out);
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
