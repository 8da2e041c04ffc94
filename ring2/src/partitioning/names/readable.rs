//! Names that DataFusion gives to columns: each is the text of its expression, in DataFusion's
//! words.

use crate::window::marker::{CUMULATE, CUMULATE_END, HOP, SESSION, SESSION_END};
use crate::window::{END, START};

/// Constants are called by their types.
const CONSTANTS: [&str; 17] = [
    "Boolean",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "Float32",
    "Float64",
    "Decimal128",
    "Date32",
    "TimestampSecond",
    "TimestampMillisecond",
    "TimestampMicrosecond",
    "TimestampNanosecond",
];

/// How a column's name goes on behind a function: what it is OVER, and how it is ordered.
const BEHIND: [&str; 5] = [
    " PARTITION BY [",
    " ORDER BY [",
    " ROWS BETWEEN ",
    " RANGE BETWEEN ",
    " GROUPS BETWEEN ",
];

/// The bound of a window that a call is.
pub(crate) fn bound(function: &str) -> Option<&'static str> {
    match function {
        START | HOP | CUMULATE | SESSION => Some("window_start"),
        END | CUMULATE_END | SESSION_END => Some("window_end"),
        _ => None,
    }
}

/// The name in the words of this SQL: columns without their relations, constants as they are
/// written, windows by their bounds, functions without what they are OVER.
pub(crate) fn readable(name: &str) -> String {
    if !name.contains(['(', ' ']) {
        return name.to_owned();
    }
    let mut out = String::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let end = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, behind) = rest.split_at(end);
        let called = closing(behind);
        rest = behind;
        match (bound(word), called) {
            (Some(bound), Some(close)) => {
                out.push_str(bound);
                rest = &behind[close..];
            }
            (None, Some(close)) if word == "Utf8" => {
                let inner = behind[1..close - 1].trim_matches('"');
                out.push_str(&format!("'{inner}'"));
                rest = &behind[close..];
            }
            (None, Some(close)) if CONSTANTS.contains(&word) => {
                out.push_str(&behind[1..close - 1]);
                rest = &behind[close..];
            }
            (None, Some(close)) if word == crate::ordinals::NAME => {
                out.push_str("ordinality");
                rest = &behind[close..];
            }
            _ if is_relation(word, behind) => rest = &behind[1..],
            _ => out.push_str(word),
        }
    }
    let cut = BEHIND.iter().filter_map(|b| out.find(b)).min();
    out.truncate(cut.unwrap_or(out.len()));
    out.replace("count(1)", "count(*)")
}

/// Whether a word stands before the name of a column.
fn is_relation(word: &str, behind: &str) -> bool {
    let mut behind = behind.chars();
    let starts = |c: char| c.is_alphabetic() || c == '_';
    word.starts_with(starts) && behind.next() == Some('.') && behind.next().is_some_and(starts)
}

/// Behind the bracket that closes the one that a text begins with.
fn closing(text: &str) -> Option<usize> {
    if !text.starts_with('(') {
        return None;
    }
    let (mut depth, mut quoted) = (0usize, false);
    let close = text.find(|c| {
        match c {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    close.map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn names_are_told_as_they_were_written() {
        let cases = [
            ("price", "price"),
            ("count(Int64(1))", "count(*)"),
            ("trades.volume % Int64(2)", "volume % 2"),
            (
                "split_part(trades.symbol,Utf8(\"-\"),Int64(1))",
                "split_part(symbol,'-',1)",
            ),
            ("sum(Float64(1.5))", "sum(1.5)"),
            (
                "rank() PARTITION BY [trefoil_tumble_start(t.ts,Int64(3),Int64(0))] ORDER BY [t.x \
                 ASC NULLS LAST] RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
                "rank()",
            ),
            (
                "max(trefoil_tumble_end(trefoil_tumble_start(t.ts,Int64(3),Int64(0)),Int64(3)))",
                "max(window_end)",
            ),
            ("a (not closed", "a (not closed"),
            ("Utf8(", "Utf8("),
            ("w.start", "w.start"),
        ];
        for (name, expected) in cases {
            assert_eq!(readable(name), expected, "{name}");
        }
    }
}
