//! DataFusion's refusals in this SQL's words: types by the names they are declared with, and at
//! the call or clause that they are about.

use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::error::SqlError;
use crate::place::find_word;
use crate::script::Select;

/// The refusal, at the place it names, else at what it is about, else at the statement.
pub(crate) fn refusal(select: &Select<'_>, error: &DataFusionError) -> SqlError {
    let start = select.chunk.start();
    let span = error.diagnostic().and_then(|d| d.span);
    let at = span.map(|s| {
        let (line, column) = (s.start.line, s.start.column);
        Location { line, column }
    });
    let text = error.strip_backtrace();
    let text = text.rsplit("caused by\n").next().unwrap_or(&text);
    let word = |w: &str| find_word(&select.chunk.tokens, &[w], start);
    if let Some((function, given)) = function(text) {
        let upper = function.to_uppercase();
        let (message, hint) = match given {
            Some((wanted, given)) => (
                format!("{upper} takes {}, not {}", named(wanted), named(given)),
                format!("{upper}(CAST(x AS {}))", named(wanted)),
            ),
            None => (format!("{upper} does not take this type"), String::new()),
        };
        let error = select
            .place
            .error("E0206", at.unwrap_or(word(&upper)), message);
        let hint = (!hint.is_empty()).then_some(hint);
        return SqlError { hint, ..error };
    }
    if let Some(given) = text.split("non-boolean predicate").nth(1) {
        let given = given.rsplit("returning ").next().unwrap_or_default();
        let message = format!("a condition is BOOLEAN, and this is {}", named(given));
        let hint = "compare it: x > 0, x IS NOT NULL";
        let at = at.unwrap_or(word("WHERE"));
        return select.place.hinted("E0206", at, message, hint);
    }
    let mut message = text;
    for prefix in [
        "Error during planning: ",
        "Internal error: ",
        "Arrow error: ",
        "Plan error: ",
    ] {
        message = message.strip_prefix(prefix).unwrap_or(message);
    }
    let message = message.lines().next().unwrap_or_default();
    select
        .place
        .error("E0206", at.unwrap_or(start), in_sql(message))
}

type Types<'t> = Option<(&'t str, &'t str)>;

/// The function that a text says is called wrongly, what it wants and what it got.
fn function(text: &str) -> Option<(&str, Types<'_>)> {
    let behind = text.split("Function '").nth(1)?;
    let (name, rest) = behind.split_once('\'')?;
    if rest.starts_with(" failed to match any signature") {
        let given = rest
            .split("but received ")
            .nth(1)
            .and_then(|r| r.split(' ').next());
        return Some((name, given.map(|g| ("number", g))));
    }
    let wanted = rest.strip_prefix(" requires ")?;
    let (wanted, given) = wanted.split_once(", but received ")?;
    let given = given.split([' ', '(', '.']).next()?;
    Some((name, Some((wanted, given))))
}

/// A type under the name it is declared with.
fn named(data_type: &str) -> &str {
    match data_type.trim() {
        "Utf8" | "LargeUtf8" | "Utf8View" | "String" => "VARCHAR",
        "Int64" => "BIGINT",
        "Int32" => "INT",
        "Float64" => "DOUBLE",
        "Float32" => "REAL",
        "Boolean" => "BOOLEAN",
        "Date32" => "DATE",
        "Timestamp" => "TIMESTAMP",
        "number" => "DOUBLE",
        other => other,
    }
}

/// A text with its types under these names.
fn in_sql(text: &str) -> String {
    let mut out = String::new();
    for (i, word) in text.split(' ').enumerate() {
        if i > 0 {
            out.push(' ');
        }
        let bare = word.trim_end_matches([',', '.', ')']);
        let name = named(bare);
        match name == bare {
            true => out.push_str(word),
            false => {
                out.push_str(name);
                out.push_str(&word[bare.len()..]);
            }
        }
    }
    out
}
