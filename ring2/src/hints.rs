//! What the tokens around an error of syntax say about it: a misspelt word, a clause in the wrong
//! place, a comma too many. A guess is only a hint, never a correction.

use datafusion::sql::sqlparser::tokenizer::{Location, Token};

use crate::error::{SqlError, nearest};
use crate::place::{Chunk, word};

/// Words that statements and clauses begin with.
const CLAUSES: [&str; 37] = [
    "SELECT", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "UNION", "JOIN",
    "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "ON", "USING", "WITH", "AS", "AND", "OR", "BY",
    "EMIT", "WINDOW", "QUALIFY", "VALUES", "INTO", "BETWEEN", "DISTINCT", "FOR", "CASE", "WHEN",
    "THEN", "ELSE", "END", "NOT", "IN",
];
const UNITS: [&str; 8] = [
    "SECOND",
    "MINUTE",
    "HOUR",
    "DAY",
    "WEEK",
    "MONTH",
    "YEAR",
    "MILLISECOND",
];
const EMIT: &str = "EMIT CHANGES, EMIT ON WINDOW CLOSE, EMIT FINAL or EMIT EVERY INTERVAL '1' \
                    SECOND, at the end of the statement";

/// The tokens of a statement, around one of them.
struct Around<'a> {
    chunk: &'a Chunk,
    index: usize,
}

impl Around<'_> {
    /// The word `n` tokens behind, or before where `n` is below 0; empty where there is none.
    fn word(&self, n: isize) -> String {
        self.token(n).and_then(word_of).unwrap_or_default()
    }

    fn token(&self, n: isize) -> Option<&datafusion::sql::sqlparser::tokenizer::TokenWithSpan> {
        let at = self.index.checked_add_signed(n)?;
        self.chunk.tokens.get(at)
    }

    fn is(&self, n: isize, token: &Token) -> bool {
        self.token(n).is_some_and(|t| t.token == *token)
    }

    /// Whether the word stands anywhere before.
    fn has(&self, wanted: &str) -> bool {
        let before = &self.chunk.tokens[..self.index];
        before.iter().any(|t| word(t).as_deref() == Some(wanted))
    }

    /// Whether the place is inside of a CAST, before its type.
    fn has_open_cast(&self) -> bool {
        let mut closed = 0usize;
        for i in (1..self.index).rev() {
            match &self.chunk.tokens[i].token {
                Token::RParen => closed += 1,
                Token::LParen if closed > 0 => closed -= 1,
                Token::LParen => {
                    let call = word(&self.chunk.tokens[i - 1]).unwrap_or_default();
                    return matches!(call.as_str(), "CAST" | "TRY_CAST");
                }
                _ => {}
            }
        }
        false
    }

    /// Whether the place is inside of a FILTER without WHERE.
    fn has_open_filter(&self) -> bool {
        let tokens = &self.chunk.tokens[..self.index.min(self.chunk.tokens.len())];
        let open = (tokens.iter()).rposition(|t| matches!(t.token, Token::LParen | Token::RParen));
        open.is_some_and(|i| {
            let of_filter = i > 0 && word(&tokens[i - 1]).as_deref() == Some("FILTER");
            let next = self.chunk.tokens.get(i + 1).and_then(word);
            of_filter && tokens[i].token == Token::LParen && next.as_deref() != Some("WHERE")
        })
    }

    /// The known word that the one at `n` may be meant for.
    fn meant(&self, n: isize) -> Option<String> {
        let written = self.word(n);
        let unknown = written.len() > 2 && !CLAUSES.contains(&written.as_str());
        let found = unknown.then(|| nearest(&written, CLAUSES.into_iter()));
        found.flatten().map(str::to_string)
    }
}

fn word_of(token: &datafusion::sql::sqlparser::tokenizer::TokenWithSpan) -> Option<String> {
    word(token)
}

/// Adds a hint where there is one.
pub(crate) fn with_syntax_hint(error: SqlError, chunk: &Chunk, at: Location) -> SqlError {
    let index = chunk.tokens.iter().position(|t| t.span.start >= at);
    let index = index.unwrap_or(chunk.tokens.len());
    let around = Around { chunk, index };
    let hint = hint(&around).or_else(|| lacks_comma(&around, &error.message));
    SqlError {
        hint: hint.or(error.hint.clone()),
        ..error
    }
}

/// Two words side by side in a select list, where the parser wanted nothing in particular.
fn lacks_comma(around: &Around<'_>, message: &str) -> Option<String> {
    let words = !around.word(0).is_empty() && !around.word(-1).is_empty();
    let list = around.has("SELECT") && !around.has("FROM");
    (words && list && !message.contains(", expected"))
        .then(|| "columns are separated by commas".to_string())
}

fn hint(around: &Around<'_>) -> Option<String> {
    let (before, here) = (around.word(-1), around.word(0));
    let has = |w: &str| around.has(w);
    let did_you_mean = |w: String| format!("did you mean \"{w}\"?");
    let text = match (before.as_str(), here.as_str()) {
        (_, "SYSTEM_TIME") => {
            "the version stands before the alias: JOIN t FOR SYSTEM_TIME AS OF s.ts AS c"
        }
        (_, "EMIT") | ("EMIT", _) => EMIT,
        (_, "FROM" | "WHERE" | "GROUP" | "HAVING" | "ORDER" | "LIMIT") if has("EMIT") => EMIT,
        (_, _) if around.has_open_cast() => "CAST(x AS type)",
        (_, _) if around.has_open_filter() => "FILTER (WHERE condition)",
        (_, "") if around.is(0, &Token::RArrow) => "at least is written >=",
        ("AND" | "OR", _) if matches!(around.word(-2).as_str(), "AND" | "OR") => {
            return Some(format!("a condition follows {}", around.word(-2)));
        }
        ("BY", "") if around.token(0).is_none() => "a column follows BY",
        ("DESCRIBE", "") => "DESCRIBE name",
        (_, "") if around.word(-2) == "SET" && around.index == 2 => "SET name = value",
        (_, "END") => "CASE WHEN a > 1 THEN 'x' ELSE 'y' END",
        (_, _) if has("CASE") && !has("END") => "CASE WHEN a > 1 THEN 'x' ELSE 'y' END",
        (_, "SETTINGS") => "SET name = value; before the query",
        (_, "FORMAT") => "trefoil run --format json|csv|..",
        (_, "TABLE") if around.index == 0 => "SELECT * FROM t",
        (_, "ON") if has("CROSS") => "CROSS JOIN takes no condition: JOIN .. ON",
        (_, "WHERE") if has("WHERE") => "a second condition is added with AND",
        (_, "WHERE") if has("HAVING") || has("GROUP") => {
            "WHERE stands before GROUP BY; conditions on groups go into HAVING"
        }
        (_, "WHERE") if has("LIMIT") || has("ORDER") => "WHERE stands before ORDER BY and LIMIT",
        (_, "GROUP") if has("ORDER") => "GROUP BY stands before ORDER BY",
        (_, "GROUP") if has("HAVING") => "GROUP BY stands before HAVING",
        (_, "ORDER") if has("LIMIT") => "ORDER BY stands before LIMIT",
        (_, "GROUP") if around.word(1) != "BY" => "GROUP BY key",
        (_, "ORDER") if around.word(1) != "BY" => "ORDER BY column",
        ("WHERE" | "HAVING" | "ON" | "AND" | "OR", "") if around.token(0).is_none() => {
            return Some(format!("a condition follows {before}"));
        }
        ("GROUP" | "ORDER", "BY") => match around.word(-2).as_str() {
            w @ ("WHERE" | "HAVING" | "ON" | "AND" | "OR") => {
                return Some(format!("a condition follows {w}"));
            }
            _ => return None,
        },
        (_, "FROM") if around.is(-1, &Token::Comma) => "take the comma before FROM away",
        ("SELECT", "FROM") => "name the columns, or SELECT * FROM ..",
        ("EXCEPT" | "EXCLUDE" | "REPLACE", _) if around.is(-2, &Token::Mul) => {
            "behind \"*\" stands nothing: name the columns"
        }
        ("", _) if around.word(-2) == "EXCEPT" && around.is(-3, &Token::Mul) => {
            "behind \"*\" stands nothing: name the columns"
        }
        ("", _) if around.word(-2) == "IN" && around.is(0, &Token::RParen) => {
            "IN takes at least one value"
        }
        ("", unit) if around.word(-2) == "INTERVAL" && !unit.is_empty() => {
            let nearest = nearest(unit, UNITS.into_iter()).map(str::to_string);
            return nearest
                .map(did_you_mean)
                .or(Some("INTERVAL '5' MINUTE".into()));
        }
        (b, "BY") => {
            let known = ["GROUP", "ORDER", "PARTITION"];
            let nearest = nearest(b, known.into_iter());
            return nearest.map(|n| format!("did you mean \"{n} BY\"?"));
        }
        _ => {
            if let Some(meant) = around.meant(0).or_else(|| around.meant(-1)) {
                return Some(did_you_mean(meant));
            }
            if around.is(0, &Token::Backslash) || around.is(0, &Token::Char('`')) {
                "names are quoted with \", strings with '"
            } else {
                return None;
            }
        }
    };
    Some(text.to_string())
}
