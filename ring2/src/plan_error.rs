//! DataFusion's refusals in this SQL's words: types by the names they are declared with, and at
//! the call, constant or clause that they are about.

mod shape;

use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::tokenizer::{Location, Token};

use crate::error::SqlError;
use crate::functions;
use crate::later;
use crate::lower::Refusal;
use crate::partitioning::bound;
use crate::place::{find_word, word};
use crate::planner::window_keys;
use crate::script::Select;

/// How DataFusion's own refusals begin.
const PLANNING: &str = "Error during planning: ";

/// What to do about a constant that is no value of a type.
const NO_VALUE: &str = "a value of the type, or TRY_CAST, which gives NULL";

/// The refusal, at the place it names, else at what it is about, else at the statement.
pub(crate) fn refusal(select: &Select<'_>, error: &DataFusionError) -> SqlError {
    let span = error.diagnostic().and_then(|d| d.span);
    let at = span.map(|s| {
        let (line, column) = (s.start.line, s.start.column);
        Location { line, column }
    });
    let text = error.strip_backtrace();
    let text = text.rsplit("caused by\n").next().unwrap_or(&text);
    if let Some(known) = shape::known(select, "E0301", text.lines().next().unwrap_or_default()) {
        return later::instead(select, known);
    }
    said(select, text, at).unwrap_or_else(|| {
        let text = text.lines().next().unwrap_or_default();
        let text = text.rsplit("rror: ").next().unwrap_or(text);
        let text = text.strip_prefix(PLANNING).unwrap_or(text);
        let text = text.split(". No function matches").next().unwrap_or(text);
        let at = at.unwrap_or_else(|| select.chunk.start());
        match text.strip_prefix("This feature is not implemented: ") {
            Some(text) if text == window_keys::BEFORE_GROUPS => {
                let hint = "HAVING window_start > .., behind GROUP BY";
                select
                    .place
                    .hinted("E0301", find(select, "WHERE"), text, hint)
            }
            Some(text) => later::instead(select, select.place.error("E0301", at, in_sql(text))),
            None => select.place.error("E0206", at, in_sql(text)),
        }
    })
}

/// A refusal of lowering: at the construct that does not run yet, else at the call it names.
pub(crate) fn lowered(select: &Select<'_>, (code, message): Refusal) -> SqlError {
    let later = || later::first(select);
    // What reads a clock has a type; only nothing computes it.
    let is_clock = |e: &SqlError| e.message.starts_with("function ");
    let named = match code {
        "E0301" | "E0302" => later(),
        _ => later()
            .filter(is_clock)
            .or_else(|| said(select, &message, None)),
    };
    let named = named.or_else(|| shape::known(select, code, &message));
    named.unwrap_or_else(|| {
        // A call, or the word of a clause.
        let first = message.split(' ').next().unwrap_or_default();
        // A message that begins with a clause is about it.
        if message.starts_with(crate::lower::ENDLESS_JOIN) {
            let hint = "ON l.k = r.k AND r.ts BETWEEN l.ts - INTERVAL '1' SECOND AND l.ts + \
                        INTERVAL '1' SECOND, with a WATERMARK FOR ts on both";
            return select
                .place
                .hinted(code, find(select, first), message, hint);
        }
        if ["JOIN", "UNION", "NOT"].contains(&first) {
            return select.place.error(code, find(select, first), message);
        }
        let is_clause = first.len() > 1 && first.bytes().all(|b| b.is_ascii_uppercase());
        let call = message.split('(').next().unwrap_or_default();
        let call = if is_clause { first } else { call };
        let (_, at) = written(select, call);
        select.place.error(code, at, in_sql(&message))
    })
}

/// What this SQL says for a text of a known shape.
fn said(select: &Select<'_>, text: &str, at: Option<Location>) -> Option<SqlError> {
    called(select, text, at)
        .or_else(|| no_value(select, text))
        .or_else(|| apart(select, text, at))
        .or_else(|| in_clause(select, text, at))
        .or_else(|| operator(select, text, at))
}

fn hinted(select: &Select<'_>, at: Location, message: String, hint: &str) -> SqlError {
    let error = select.place.error("E0206", at, message);
    let hint = (!hint.is_empty()).then(|| hint.to_owned());
    SqlError { hint, ..error }
}

/// Where a word stands first.
fn find(select: &Select<'_>, word: &str) -> Location {
    find_word(&select.chunk.tokens, &[word], select.chunk.start())
}

/// A function that does not take what it got, and a condition that is none.
fn called(select: &Select<'_>, text: &str, at: Option<Location>) -> Option<SqlError> {
    if let Some((function, wanted, given)) = function(text) {
        let (name, place) = written(select, function);
        let message = match (wanted, given) {
            (Some(wanted), Some(given)) => {
                format!("{name} takes {}, not {}", named(wanted), list(given))
            }
            (None, Some("")) => format!("{name} lacks its arguments"),
            (None, Some(given)) => format!("{name} does not take {}", list(given)),
            (_, None) => format!("{name} does not take this type"),
        };
        let hint = match wanted {
            Some(wanted) => format!("CAST(x AS {})", named(wanted)),
            None => example(function, &name, given.unwrap_or_default()),
        };
        return Some(hinted(select, at.unwrap_or(place), message, &hint));
    }
    if let Some((_, given)) = text.split_once("non-boolean predicate") {
        let given = given.rsplit("returning ").next().unwrap_or_default();
        let message = format!("a condition is BOOLEAN, and this is {}", named(given));
        let hint = "compare it: x > 0, x IS NOT NULL";
        // What it says of a condition behind an aggregation is HAVING.
        let clause = match find(select, "WHERE") {
            at if at == select.chunk.start() => find(select, "HAVING"),
            at => at,
        };
        return Some(hinted(select, at.unwrap_or(clause), message, hint));
    }
    None
}

/// A constant that is no value of the type it is wanted as.
fn no_value(select: &Select<'_>, text: &str) -> Option<SqlError> {
    // A constant that is no value of a type: in quotes, or a number.
    if let Some(constant) = between(text, "from '", "'").or(between(text, "string '", "'"))
        && let Some(wanted) = between(text, " AS ", "):")
    {
        let (constant, at) = constant_at(select, constant);
        let wanted = wanted.trim_end_matches(')');
        let message = format!("{constant} is no {}", named(wanted));
        return Some(hinted(select, at, message, NO_VALUE));
    }
    if let Some(constant) = between(text, "Cannot cast string '", "'")
        && let Some(wanted) = between(text, "' to value of ", " type")
    {
        let (constant, at) = constant_at(select, constant);
        let message = format!("{constant} is no {}", named(wanted));
        return Some(hinted(select, at, message, NO_VALUE));
    }
    if let Some((_, rest)) = text.split_once(" cast value ") {
        let (constant, wanted) = rest.split_once(" to ")?;
        let wanted = wanted
            .trim_start_matches("type ")
            .trim_start_matches("value of ");
        let wanted = named(wanted.trim_end_matches(" type"));
        let (constant, at) = constant_at(select, constant.trim_matches('\''));
        let message = format!("{constant} is no value of {wanted}");
        return Some(hinted(select, at, message, NO_VALUE));
    }
    if let Some((_, rest)) = text.split_once("Unsupported CAST from ") {
        let (from, to) = rest.split_once(" to ")?;
        let message = format!("{} cannot be cast to {}", named(from), named(to));
        let at = find_word(
            &select.chunk.tokens,
            &["CAST", "TRY_CAST"],
            select.chunk.start(),
        );
        return Some(hinted(
            select,
            at,
            message,
            "by way of VARCHAR, or of a part of it",
        ));
    }
    None
}

/// Types that do not go together.
fn apart(select: &Select<'_>, text: &str, at: Option<Location>) -> Option<SqlError> {
    let pairs = [
        ("coerce arithmetic expression ", " to valid types", ""),
        ("temporal operation ", ": ", ""),
        ("comparison operation ", "", ""),
        ("logical boolean operation ", "", ""),
        ("string concat operation ", "", ""),
        ("to coerce ", " in LIKE expression", "LIKE"),
        ("Failed to coerce types ", " in BETWEEN", "BETWEEN"),
        ("compatible types to compare ", "", "IN"),
    ];
    for (before, behind, clause) in pairs {
        if let Some(types) = between(text, before, behind) {
            let types = in_sql(types.trim_end_matches('.'));
            let message = match clause {
                "" => format!("{types} cannot be computed"),
                _ => format!("{types} do not go together in {clause}"),
            };
            let place = match clause {
                "" => select.chunk.start(),
                _ => find(select, clause),
            };
            let hint = "CAST(x AS type) where one of them is another type";
            return Some(hinted(select, at.unwrap_or(place), message, hint));
        }
    }
    None
}

/// What one clause does not take.
fn in_clause(select: &Select<'_>, text: &str, at: Option<Location>) -> Option<SqlError> {
    if let Some(types) = between(text, "Failed to coerce ", " to common types in CASE") {
        let types = types.trim_end_matches(" and else (None)");
        // VALUES are made one.
        let word = |word| find_word(&select.chunk.tokens, &[word], Location::empty());
        if word("CASE") == Location::empty() && word("VALUES") != Location::empty() {
            let types = types.trim_start_matches("then (").trim_end_matches(')');
            let types = in_sql(types);
            let message = format!("a column of VALUES has no common type: {types}");
            let place = find(select, "VALUES");
            return Some(hinted(select, place, message, "CAST(x AS type)"));
        }
        let message = format!("the parts of CASE have no common type: {}", in_sql(types));
        let hint = "all branches of a CASE have one type: CAST, or NULL";
        return Some(hinted(
            select,
            at.unwrap_or(find(select, "CASE")),
            message,
            hint,
        ));
    }
    if text.contains("Unary operator '-'") {
        let message = "operator - takes a number or an interval".to_string();
        return Some(hinted(
            select,
            at.unwrap_or(select.chunk.start()),
            message,
            "CAST(x AS DOUBLE)",
        ));
    }
    text.contains("unnest() can only be applied").then(|| {
        let hint = "declare it as a list: tags VARCHAR[]";
        hinted(
            select,
            find(select, "UNNEST"),
            "UNNEST takes a list".to_string(),
            hint,
        )
    })
}

/// What one operator does not take.
fn operator(select: &Select<'_>, text: &str, at: Option<Location>) -> Option<SqlError> {
    if let Some(types) = between(text, "argument type for regex operation ", "") {
        let message = format!("{} cannot be computed", in_sql(types));
        let hint = "both sides are VARCHAR: CAST(x AS VARCHAR)";
        let at = at.unwrap_or_else(|| select.chunk.start());
        return Some(hinted(select, at, message, hint));
    }
    text.contains("Dot access not supported").then(|| {
        let tokens = select.chunk.tokens.windows(2);
        let dot = [Token::RParen, Token::Period];
        let found = tokens
            .into_iter()
            .find(|t| t[0].token == dot[0] && t[1].token == dot[1]);
        let at = found.map_or_else(|| select.chunk.start(), |t| t[1].span.start);
        let message = "a field is named by a text in square brackets here".to_owned();
        hinted(select, at, message, "(expression)['field']")
    })
}

/// How a function is called, whose arguments are of these types.
fn example(function: &str, name: &str, given: &str) -> String {
    let own = match function {
        "date_part" => "EXTRACT(HOUR FROM ts)",
        "btrim" => "TRIM(CAST(x AS VARCHAR))",
        "make_array" => "ARRAY[1, 2]: its elements have one type",
        "array_has" | "cardinality" => "x = ANY(list)",
        "substr" => "SUBSTR(x, 1, 3)",
        "approx_distinct" => "COUNT(DISTINCT x)",
        _ => "",
    };
    let syntax = functions::syntax(function).unwrap_or_default();
    let sums = ["sum", "avg", "stddev", "var_", "variance", "median"];
    let numeric = syntax.contains("numeric") || sums.iter().any(|s| function.starts_with(s));
    match own {
        "" if numeric && given == "Utf8" => format!("{name}(CAST(x AS DOUBLE))"),
        "" => syntax,
        own => own.to_owned(),
    }
}

/// The function that a text says is called wrongly, what it wants and what it got.
fn function(text: &str) -> Option<(&str, Option<&str>, Option<&str>)> {
    let behind = text.split_once("Function '");
    let called = behind.and_then(|(_, rest)| rest.split_once('\''));
    if let Some((name, rest)) = called
        && let Some(rest) = rest.strip_prefix(" requires ")
        && let Some((wanted, given)) = rest.split_once(", but received ")
    {
        return Some((name, Some(wanted), given.split([' ', '.', '(']).next()));
    }
    if let Some(call) = between(text, "name and argument types '", "'.")
        && let Some((name, given)) = call.split_once('(')
    {
        let given = given.strip_suffix(')')?;
        // The first argument of these is a field of a time.
        let field = matches!(name, "date_part" | "date_trunc");
        let rest = given.strip_prefix("Utf8, ").filter(|_| field);
        return Some((name, None, Some(rest.unwrap_or(given))));
    }
    if let Some(name) = between(text, "satisfy a call to '", "' function") {
        let given = between(text, "coercion from ", " to the signature");
        return Some((name, None, given));
    }
    if let Some(name) = between(text, "Support for '", "' for data type ") {
        return Some((name, None, between(text, " for data type ", " is not")));
    }
    let (name, rest) = called?;
    let given = between(rest, " failed to match any signature", "")?;
    let given = between(given, "but received ", " ");
    Some((name, None, given.filter(|g| !g.contains(['(', '[']))))
}

/// A function as it is written, and where: some have a syntax of their own.
fn written(select: &Select<'_>, function: &str) -> (String, Location) {
    let own = match function {
        "date_part" => "EXTRACT",
        "btrim" => "TRIM",
        "strpos" => "POSITION",
        "substr" => "SUBSTRING",
        "make_array" => "ARRAY",
        "array_has" | "cardinality" => "ANY",
        _ => function,
    };
    let tokens = &select.chunk.tokens;
    let upper = [function.to_uppercase(), own.to_uppercase()];
    let found = tokens.iter().find_map(|t| {
        let name = word(t).filter(|w| upper.contains(w))?;
        Some((name, t.span.start))
    });
    let [name, _] = upper;
    found.unwrap_or((name, select.chunk.start()))
}

/// A constant as it is written, and where.
fn constant_at(select: &Select<'_>, constant: &str) -> (String, Location) {
    let value = constant.parse::<f64>().ok();
    let mut tokens = select.chunk.tokens.iter();
    let found = tokens.find(|t| match &t.token {
        Token::SingleQuotedString(text) => text == constant,
        Token::Number(n, _) => value.is_some_and(|v| n.parse() == Ok(v.abs())),
        _ => false,
    });
    match found {
        Some(t) => (t.token.to_string(), t.span.start),
        None => (format!("'{constant}'"), select.chunk.start()),
    }
}

/// What stands behind one text and, where there is one, before another.
fn between<'t>(text: &'t str, before: &str, behind: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    match behind {
        "" => Some(rest),
        _ => rest.split_once(behind).map(|(inner, _)| inner),
    }
}

/// A type under the name it is declared with.
fn named(data_type: &str) -> String {
    let data_type = data_type.trim();
    if let Some((outer, inner)) = data_type.split_once('(') {
        let inner = inner.strip_suffix(')').unwrap_or(inner);
        return match (outer, inner) {
            ("List", _) => format!("{}[]", named(inner)),
            ("Struct", _) => "STRUCT".into(),
            ("Timestamp", "s") => "TIMESTAMP(0)".into(),
            ("Timestamp", "ms") => "TIMESTAMP(3)".into(),
            ("Timestamp", "µs") => "TIMESTAMP(6)".into(),
            ("Timestamp", "ns") => "TIMESTAMP(9)".into(),
            ("Decimal128" | "Decimal256", _) => format!("DECIMAL({inner})"),
            ("Interval", _) => "INTERVAL".into(),
            ("Time32" | "Time64", _) => "TIME".into(),
            ("Map", _) => "MAP".into(),
            _ => data_type.into(),
        };
    }
    let name = match data_type {
        "Utf8" | "LargeUtf8" | "Utf8View" | "String" => "VARCHAR",
        "Int64" => "BIGINT",
        "Int32" => "INT",
        "Int16" => "SMALLINT",
        "Int8" => "TINYINT",
        "UInt64" => "BIGINT UNSIGNED",
        "UInt32" => "INT UNSIGNED",
        "UInt16" => "SMALLINT UNSIGNED",
        "UInt8" => "TINYINT UNSIGNED",
        "Float64" => "DOUBLE",
        "Float32" => "REAL",
        "Boolean" => "BOOLEAN",
        "Date32" => "DATE",
        "Binary" => "BYTEA",
        "Timestamp" => "TIMESTAMP",
        other => other,
    };
    name.into()
}

/// Types between commas, under these names.
fn list(types: &str) -> String {
    match types.contains(", ") {
        true => {
            in_sql(types).replacen(", ", " and ", usize::from(types.matches(", ").count() == 1))
        }
        false => named(types),
    }
}

/// A text with its types under these names.
fn in_sql(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let end = match first {
            '\'' => rest[1..].find('\'').map_or(rest.len(), |i| i + 2),
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (mut token, mut behind) = rest.split_at(end);
        let bound = bound(token);
        let nested = bound.is_some()
            || matches!(
                token,
                "List"
                    | "Struct"
                    | "Timestamp"
                    | "Decimal128"
                    | "Decimal256"
                    | "Interval"
                    | "Time64"
                    | "Map"
            );
        if nested && behind.starts_with('(') {
            let mut depth = 0usize;
            let close = behind.find(|c| {
                match c {
                    '(' => depth += 1,
                    ')' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                depth == 0
            });
            let close = close.map_or(rest.len(), |i| end + i + 1);
            (token, behind) = rest.split_at(close);
        }
        out.push_str(&bound.map_or_else(|| named(token), str::to_owned));
        // `named` trims: a blank is a token of its own.
        if token.trim().is_empty() {
            out.push_str(token);
        }
        rest = behind;
    }
    out
}
