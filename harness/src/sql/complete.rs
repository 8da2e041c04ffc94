//! Help for who types: Tab completes names, and Enter goes on to a new line until the statement has
//! its semicolon.

use std::sync::Arc;

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper, Result};
use trefoil::Engine;
use trefoil::syntax::is_complete;

/// Words with which statements are made.
const WORDS: [&str; 44] = [
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CREATE",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "DROP",
    "ELSE",
    "EMIT CHANGES",
    "EMIT ON WINDOW CLOSE",
    "END",
    "EXISTS",
    "FROM",
    "FULL JOIN",
    "GROUP BY",
    "HAVING",
    "HOP",
    "IN",
    "INNER JOIN",
    "INTERVAL",
    "IS NULL",
    "JOIN",
    "LEFT JOIN",
    "LIKE",
    "LIMIT",
    "MATERIALIZED VIEW",
    "NOT",
    "NULL",
    "ON",
    "OR",
    "ORDER BY",
    "SELECT",
    "SESSION",
    "SET",
    "SHOW",
    "SOURCE",
    "TUMBLE",
    "WATERMARK FOR",
    "WHERE",
    "WITH",
];

/// What the editor asks.
pub(super) struct Completion(pub(super) Arc<Engine>);

/// Where the word before the cursor begins.
fn word_start(line: &str, cursor: usize) -> usize {
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '\\');
    let before = &line[..cursor];
    before.trim_end_matches(in_word).len()
}

/// What the word can be: names as they are, then words.
fn candidates(word: &str, names: &[String]) -> Vec<String> {
    if word.is_empty() {
        return Vec::new();
    }
    let begins = |known: &str| {
        let head = known.get(..word.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(word))
    };
    let names = names.iter().filter(|n| begins(n)).cloned();
    let words = WORDS.iter().filter(|w| begins(w)).map(ToString::to_string);
    names.chain(words).collect()
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> Result<(usize, Vec<String>)> {
        let start = word_start(line, cursor);
        Ok((start, candidates(&line[start..cursor], &self.0.names())))
    }
}

impl Validator for Completion {
    fn validate(&self, context: &mut ValidationContext<'_>) -> Result<ValidationResult> {
        Ok(match is_whole(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

/// Whether what was typed can be run: a command of the shell ends with its line.
pub(super) fn is_whole(text: &str) -> bool {
    text.trim_start().starts_with('\\') || is_complete(text)
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}

impl Helper for Completion {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_words_are_completed() {
        let names = ["total", "trades", "trefoil.jobs", "Änderung"].map(str::to_owned);
        let found = |line: &str| {
            let start = word_start(line, line.len());
            candidates(&line[start..], &names)
        };
        assert_eq!(
            found("SELECT t"),
            ["total", "trades", "trefoil.jobs", "TUMBLE"]
        );
        assert_eq!(found("select SUM(TOT"), ["total"]);
        assert_eq!(found("FROM trefoil.j"), ["trefoil.jobs"]);
        assert_eq!(found("EMIT C"), ["CASE", "CREATE"]);
        assert_eq!(found("emit"), ["EMIT CHANGES", "EMIT ON WINDOW CLOSE"]);
        assert_eq!(found("SELECT "), [""; 0]);
        assert_eq!(found("Änd"), ["Änderung"]);
    }

    #[test]
    fn a_statement_is_whole_with_its_semicolon() {
        for whole in [
            "",
            "SELECT 1;",
            "\\d",
            "SELECT ';'; -- done",
            "SELECT 1; SELECT 2;\n",
        ] {
            assert!(is_whole(whole), "{whole}");
        }
        for open in [
            "SELECT 1",
            "SELECT ';",
            "SELECT 1; SELECT",
            "/* ;",
            "SELECT \"a;",
        ] {
            assert!(!is_whole(open), "{open}");
        }
    }
}
