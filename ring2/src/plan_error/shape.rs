//! Refusals of lowering by what they say: where in the text stands what they are about, and what to
//! write instead. Whether a query runs is decided elsewhere; here it is only told.

mod joins;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Query, Select as Plain, SelectItem, SetExpr, Spanned, Visit,
    Visitor, visit_expressions,
};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use crate::check::aggregates;
use crate::error::SqlError;
use crate::place::word;
use crate::script::Select;
use crate::views;

/// Where the construct stands.
enum At {
    /// The first of these sequences that the text has; words in upper case, or signs.
    Words(&'static [&'static [&'static str]]),
    /// As that, and the message begins with the words.
    Called(&'static [&'static [&'static str]]),
    /// The first subquery that stands for a value, and may give several rows.
    Several,
    /// The first subquery that stands for a value.
    Value,
    /// The first IN that is no condition of its own.
    In,
    /// Where the function is that the message begins with.
    Call,
    /// The last of three names with dots between.
    Field,
    /// Where the relation that the message names as its fourth word is named again.
    Again,
}

/// What a message says, where its construct is, the message that is shown where it is another one,
/// and what to do.
struct Shape {
    /// Another code than the refusal's.
    code: Option<&'static str>,
    says: &'static str,
    at: At,
    told: &'static str,
    hint: &'static str,
}

const fn shape(says: &'static str, at: At, told: &'static str, hint: &'static str) -> Shape {
    Shape {
        code: None,
        says,
        at,
        told,
        hint,
    }
}

/// What is wrong, and will not run.
const fn wrong(
    code: &'static str,
    says: &'static str,
    at: At,
    told: &'static str,
    hint: &'static str,
) -> Shape {
    Shape {
        code: Some(code),
        ..shape(says, at, told, hint)
    }
}

const SUBQUERY: &[&[&str]] = &[&["(", "SELECT"]];
const WINDOWS: &[&[&str]] = &[
    &["TUMBLE"],
    &["TUMBLING"],
    &["HOP"],
    &["SLIDING"],
    &["SESSION"],
    &["CUMULATE"],
    &["WINDOW_START"],
    &["WINDOW_END"],
    &["GROUP"],
];
const SETS: &[&[&str]] = &[&["GROUPING", "SETS"], &["ROLLUP"], &["CUBE"]];
const APART: &str = "write the inner query's results to a file, and read that with another query";

const SHAPES: &[Shape] = &[
    shape(
        "several rows in the place of a value",
        At::Several,
        "",
        "MAX(x) or MIN(x) in it, or a JOIN",
    ),
    shape(
        "Correlated scalar subquery must be aggregated",
        At::Several,
        "a subquery that may give several rows in the place of a value is not supported yet",
        "MAX(x) or MIN(x) in it, or a JOIN",
    ),
    shape(
        "EXISTS of a subquery that has a row",
        At::Words(&[&["EXISTS"]]),
        "",
        "it is always true; a count is compared: (SELECT COUNT(*) ..) > 0",
    ),
    shape(
        "EXISTS and IN of an aggregate of all rows",
        At::Words(&[&["EXISTS"], &["IN", "(", "SELECT"]]),
        "",
        "a comparison with it: (SELECT COUNT(*) FROM t WHERE t.k = k) = 0",
    ),
    shape(
        "IN over columns that may be NULL, but",
        At::In,
        "IN over columns that may be NULL, but for a condition of WHERE, is not supported yet",
        "EXISTS (SELECT 1 FROM t WHERE t.x = x) in WHERE; as a value, (SELECT COUNT(*) ..) > 0",
    ),
    shape(
        "NOT IN over columns that may be NULL",
        At::Words(&[&["NOT", "IN", "("], &["IN", "(", "SELECT"], &["NOT"]]),
        "NOT IN over columns that may be NULL, of such a subquery, is not supported yet",
        "NOT EXISTS (SELECT 1 FROM t WHERE t.x = x) says what NULL means",
    ),
    shape(
        ", a column from further around,",
        At::Words(&[&["EXISTS"], &["IN", "(", "SELECT"], &["(", "SELECT"]]),
        "",
        "columns of the query right around it: joins, or EXISTS beside EXISTS instead of within",
    ),
    shape(
        "UNION of groups under EMIT CHANGES",
        At::Words(&[&["UNION"]]),
        "",
        "group what UNION ALL gives: SELECT .. FROM (SELECT .. UNION ALL SELECT ..) t GROUP BY ..",
    ),
    shape(
        "EXISTS (SELECT ..) is not supported yet",
        At::Words(&[&["NOT", "EXISTS"], &["EXISTS"]]),
        "this EXISTS is not supported yet",
        "conditions on columns of the query around it stand in its own WHERE, in no UNION",
    ),
    shape(
        " IN (SELECT ..) is not supported yet",
        At::In,
        "this IN (SELECT ..) is not supported yet",
        "EXISTS (SELECT 1 .. WHERE t.x = x), with all conditions of its own in that WHERE",
    ),
    shape(
        "(SELECT ..) is not supported yet",
        At::Value,
        "this subquery in the place of a value is not supported yet",
        "columns of the query around it in its WHERE alone, no LIMIT n; or JOIN and GROUP BY",
    ),
    shape(
        "UNNEST of what UNNEST or an aggregation gives",
        At::Words(&[&["UNNEST"]]),
        "",
        "a list that is a column of a source, or computed from its columns, is taken apart",
    ),
    shape(
        "UNNEST of several lists",
        At::Words(&[&["UNNEST"]]),
        "",
        "UNNEST takes one list",
    ),
    shape(
        "ORDER BY without LIMIT or OFFSET under EMIT CHANGES",
        At::Words(&[&["OFFSET"], &["ORDER"]]),
        "",
        "ORDER BY .. LIMIT n, or leave EMIT CHANGES out",
    ),
    shape(
        "OVER over input without an end",
        At::Words(&[&["OVER"]]),
        "",
        "EMIT CHANGES, or PARTITION BY window_start, window_end behind a window that closes",
    ),
    shape(
        "LIMIT over input without an end",
        At::Words(&[&["LIMIT"], &["OFFSET"]]),
        "",
        "ROW_NUMBER() OVER (PARTITION BY .. ORDER BY ..) <= 3 with EMIT CHANGES",
    ),
    shape(
        "ORDER BY over input without an end",
        At::Words(&[&["ORDER"]]),
        "",
        "leave it out: rows come in the order of the input",
    ),
    shape(
        "windows over results that change",
        At::Words(WINDOWS),
        "",
        "leave EMIT CHANGES out: windows of windows close one after the other",
    ),
    shape(
        "a window that not all grouping sets have",
        At::Words(SETS),
        "",
        "one query with the window for each set",
    ),
    shape(
        "grouping sets by sessions",
        At::Words(&[&["SESSION"]]),
        "",
        "one query for each set, or TUMBLE",
    ),
    shape(
        "CUBE of more than 15 keys",
        At::Words(&[&["CUBE"]]),
        "",
        "GROUPING SETS of those that are wanted",
    ),
    shape(
        " over groups, which have no order,",
        At::Call,
        "",
        "without ORDER BY it runs, in any order; or group a file of the groups",
    ),
    shape(
        " of such values over all rows ",
        At::Call,
        "",
        "with GROUP BY; or of a part: x['field'], x[1]",
    ),
    shape(
        "a result of type ",
        At::Call,
        "",
        "CAST(x AS VARCHAR), or a part of it: x['field'], x[1]",
    ),
    shape(
        "ORDER BY in NTH_VALUE",
        At::Words(&[&["NTH_VALUE"], &["ARRAY_AGG"]]),
        "one row of those that an aggregate orders is not supported yet",
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY k ORDER BY y) = 2",
    ),
    shape(
        "max_drift, by the event time of",
        At::Words(&[&["PROCTIME"]]),
        "",
        "windows on event time, or sources without max_drift",
    ),
    shape(
        "reading the stream",
        At::Again,
        "",
        "write it to a file with one query, and read that",
    ),
    shape(
        "GROUPING SETS (",
        At::Words(SETS),
        "a window within grouping sets is not supported yet",
        "one query with the window for each set",
    ),
    wrong(
        "E0206",
        "trefoil_as_of_time over ",
        At::Words(&[&["OF"]]),
        "FOR SYSTEM_TIME AS OF takes a TIMESTAMP",
        "FOR SYSTEM_TIME AS OF s.ts, a column of the other side, or PROCTIME()",
    ),
    wrong(
        "E0203",
        "to grouping function is not in grouping columns",
        At::Words(&[&["GROUPING", "("]]),
        "GROUPING takes a key of GROUP BY",
        "GROUPING(k) with GROUP BY ROLLUP (k)",
    ),
    wrong(
        "E0207",
        "Invalid window frame: start bound",
        At::Words(&[&["ROWS"], &["RANGE"], &["GROUPS"], &["OVER"]]),
        "the frame ends before it begins",
        "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
    ),
    wrong(
        "E0206",
        "Expected an integer value",
        At::Words(&[&["LAG"], &["LEAD"], &["NTILE"], &["NTH_VALUE"]]),
        "a number of rows is a whole number",
        "LAG(x, 1), LEAD(x, 1), NTILE(4)",
    ),
    wrong(
        "E0206",
        "requires a positive integer",
        At::Call,
        "",
        "NTILE(4) OVER (ORDER BY x)",
    ),
    wrong(
        "E0206",
        "Cannot access field at argument",
        At::Field,
        "a field of what is no STRUCT",
        "DESCRIBE names the columns and their types",
    ),
    shape(
        " by what is no argument",
        At::Call,
        "DISTINCT with ORDER BY of something else is not supported yet",
        "with DISTINCT the order is that of the argument: ARRAY_AGG(DISTINCT x ORDER BY x)",
    ),
    shape(
        "HOP or CUMULATE over rows that were joined with a table",
        At::Words(WINDOWS),
        "",
        "FROM HOP(stream, ts, slide, size) AS s JOIN the table, and GROUP BY s.window_start",
    ),
    shape(
        "a window over rows that were grouped or joined, of an input",
        At::Words(WINDOWS),
        "",
        APART,
    ),
    shape(
        "a window over a computed time",
        At::Words(WINDOWS),
        "",
        "a window takes a column of its source: TUMBLE(ts, ..)",
    ),
    shape(
        "windows of several kinds or times",
        At::Words(WINDOWS),
        "",
        "a window of windows is a query over a query",
    ),
    shape(
        "UNION of inputs of which only some have a watermark",
        At::Words(&[&["UNION"]]),
        "",
        "WATERMARK FOR ts AS ts - INTERVAL '5' SECOND in each CREATE SOURCE",
    ),
    shape(
        "this UNION is not supported yet",
        At::Words(&[&["UNION"]]),
        "",
        "the same columns of each input, UNNEST in all of them or in none",
    ),
    shape(
        "a STRUCT with a member of type JSON",
        At::Words(&[&["NAMED_STRUCT", "("], &["STRUCT", "("], &["ROW", "("]]),
        "",
        "CAST(.. AS VARCHAR): the member is a text then",
    ),
];

/// The refusal as it is told, where its message is of a known shape.
pub(super) fn known(select: &Select<'_>, code: &'static str, message: &str) -> Option<SqlError> {
    let unbuilt = "This feature is not implemented: ";
    let message = message.strip_prefix(unbuilt).unwrap_or(message);
    let mut shapes = SHAPES.iter().chain(joins::SHAPES);
    let shape = shapes.find(|s| message.contains(s.says))?;
    let mut begins = String::new();
    let at = match &shape.at {
        At::Words(words) => sequence(select, words).map(|(at, _)| at),
        At::Called(words) => sequence(select, words).map(|(at, word)| {
            begins = word;
            at
        }),
        At::Several => value(select, is_several),
        At::Value => value(select, |_| true),
        At::In => part_in(select),
        At::Field => {
            let mut places = select.chunk.tokens.windows(5);
            let dots = places.find(|t| [1, 3].iter().all(|&i| t[i].token == Token::Period));
            dots.map(|t| t[4].span.start)
        }
        At::Again => {
            let name = message.split(' ').nth(3).unwrap_or_default().to_uppercase();
            let tokens = select.chunk.tokens.iter();
            let mut named = tokens.filter(|t| word(t).is_some_and(|w| w == name));
            named
                .next()
                .map(|first| named.next().unwrap_or(first).span.start)
        }
        At::Call => {
            let call = message.split([' ', '(']).next().unwrap_or_default();
            Some(super::written(select, call).1)
        }
    };
    let told = match shape.told {
        "" => super::in_sql(message),
        told => format!("{begins}{told}"),
    };
    let at = at.or_else(|| views::only(select));
    let at = at.unwrap_or_else(|| select.chunk.start());
    let code = shape.code.unwrap_or(code);
    Some(select.place.hinted(code, at, told, shape.hint))
}

/// Where the first of these sequences stands that the text has, and its words.
fn sequence(select: &Select<'_>, all: &[&[&str]]) -> Option<(Location, String)> {
    let tokens = &select.chunk.tokens;
    all.iter().find_map(|words| {
        let is = |(token, wanted): (&TokenWithSpan, &&str)| match word(token) {
            Some(word) => word == **wanted,
            None => token.token.to_string() == **wanted,
        };
        let mut places = tokens.windows(words.len());
        let found = places.find(|place| place.iter().zip(*words).all(is))?;
        let spoken = words
            .iter()
            .take_while(|w| **w != "(")
            .copied()
            .collect::<Vec<_>>();
        let spoken = match spoken.as_slice() {
            [] => "a subquery".to_owned(),
            spoken => spoken.join(" "),
        };
        Some((found[0].span.start, spoken))
    })
}

/// Where the first subquery stands that is a value and of this kind.
fn value(select: &Select<'_>, kind: fn(&Query) -> bool) -> Option<Location> {
    let flow = visit_expressions(&select.query, |expr| match expr {
        Expr::Subquery(query) if kind(query) => ControlFlow::Break(query.span().start),
        _ => ControlFlow::Continue(()),
    });
    flow.break_value().filter(|at| at.line > 0)
}

/// Whether a query may give several rows, by its text.
fn is_several(query: &Query) -> bool {
    let SetExpr::Select(plain) = query.body.as_ref() else {
        return true;
    };
    let keys = match &plain.group_by {
        GroupByExpr::Expressions(keys, _) => !keys.is_empty(),
        GroupByExpr::All(_) => true,
    };
    let aggregated = plain.projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => aggregates(expr),
        _ => false,
    });
    keys || !aggregated
}

/// Where the first IN over a subquery stands that is no condition of its own; else the first.
fn part_in(select: &Select<'_>) -> Option<Location> {
    let mut whole = Whole::default();
    let _: ControlFlow<()> = select.query.visit(&mut whole);
    let Whole { found, of_its_own } = whole;
    let part = found.iter().find(|at| !of_its_own.contains(at));
    part.or(found.first()).copied().filter(|at| at.line > 0)
}

#[derive(Default)]
struct Whole {
    found: Vec<Location>,
    of_its_own: Vec<Location>,
}

impl Whole {
    fn condition(&mut self, expr: &Expr) {
        match expr {
            Expr::BinaryOp {
                left,
                op: BinaryOperator::And,
                right,
            } => {
                self.condition(left);
                self.condition(right);
            }
            Expr::Nested(inner) => self.condition(inner),
            Expr::InSubquery { .. } => self.of_its_own.push(expr.span().start),
            _ => {}
        }
    }
}

impl Visitor for Whole {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Plain) -> ControlFlow<()> {
        if let Some(condition) = &select.selection {
            self.condition(condition);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::InSubquery { .. } = expr {
            self.found.push(expr.span().start);
        }
        ControlFlow::Continue(())
    }
}
