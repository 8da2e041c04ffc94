//! Queries over columns of any types.

use crate::compare::{Changes, Lenient};
use crate::data::{Column, Type};
use crate::expressions::{Class, Scope, class};
use crate::tape::Tape;

/// A query in two spellings.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) engine: String,
    /// For DataFusion, whose MIN and MAX depend on where NaN stands among the rows.
    pub(crate) batch: String,
    pub(crate) lenient: Lenient,
    pub(crate) changes: Changes,
    /// There is one group, also without any record.
    pub(crate) keyless: bool,
}

/// What both spellings are made of.
#[derive(Debug, Default)]
struct Both {
    engine: String,
    batch: String,
}

impl Both {
    fn push(&mut self, text: &str) {
        self.engine.push_str(text);
        self.batch.push_str(text);
    }

    fn add(&mut self, engine: &str, batch: &str) {
        self.engine.push_str(engine);
        self.batch.push_str(batch);
    }
}

/// A query over the source `r`.
pub(crate) fn query(columns: &[Column], tape: &mut Tape) -> Query {
    let kind = tape.below(10);
    let mut scope = Scope {
        columns,
        tape,
        lazy: false,
    };
    let mut nested = false;
    let mut from = "r".to_owned();
    let derived;
    if kind == 3 || kind >= 8 {
        (from, derived) = subquery(&mut scope);
        scope.columns = &derived;
        nested = true;
    } else if scope.tape.below(8) == 7 {
        let item;
        if let Some(list) = scope.column(|c| matches!(c.of, Type::List(_))) {
            from = format!("r CROSS JOIN UNNEST({}) AS e", list.name);
            nested = true;
            item = match list.of {
                Type::List(item) => *item,
                _ => unreachable!("a list is taken apart"),
            };
            let element = Column {
                name: "e".to_owned(),
                of: item,
                tame: list.tame,
            };
            derived = [columns, &[element]].concat();
            scope.columns = &derived;
        }
    }
    let filter = filter(&mut scope);
    let mut text = Both::default();
    match kind {
        0..=3 => text.push(&projection("SELECT", &from, &filter, &mut scope)),
        4 => text.push(&projection("SELECT DISTINCT", &from, &filter, &mut scope)),
        _ => text = aggregation(&from, &filter, kind == 5 && from == "r", &mut scope),
    }
    let lenient = Lenient {
        batch: scope.lazy || nested,
        engine: nested,
    };
    let grouped = kind > 4 && !text.engine.contains(" HAVING ") && !from.contains("UNNEST");
    Query {
        changes: match grouped {
            true => Changes::OneEach,
            false => Changes::Any,
        },
        keyless: grouped && !text.engine.contains(" GROUP BY "),
        engine: text.engine,
        batch: text.batch,
        lenient,
    }
}

/// A query in FROM, and its columns.
fn subquery(scope: &mut Scope<'_>) -> (String, Vec<Column>) {
    let mut columns = Vec::new();
    let mut list = Vec::new();
    for n in 0..2 + scope.tape.below(4) {
        let name = format!("p{n}");
        let (text, of, tame) = match scope.tape.below(3) {
            0 | 1 => {
                let column = scope.column(|_| true).expect("there is a column");
                (column.name, column.of, column.tame)
            }
            _ => {
                let to = Type::plain(scope.tape);
                (scope.cast(&to, 2), to, false)
            }
        };
        list.push(format!("{text} AS {name}"));
        columns.push(Column { name, of, tame });
    }
    let filter = filter(scope);
    (
        format!("(SELECT {} FROM r{filter}) AS q", list.join(", ")),
        columns,
    )
}

fn filter(scope: &mut Scope<'_>) -> String {
    match scope.tape.below(3) {
        2 => {
            scope.lazy = true;
            format!(" WHERE {}", scope.expr(Class::Bool, 3))
        }
        _ => String::new(),
    }
}

fn projection(select: &str, from: &str, filter: &str, scope: &mut Scope<'_>) -> String {
    let list = (0..1 + scope.tape.below(4)).map(|n| {
        let text = match scope.tape.below(5) {
            0 => scope.column(|_| true).expect("there is a column").name,
            _ => {
                let class = scope.any_class();
                scope.expr(class, 4)
            }
        };
        format!("{text} AS v{n}")
    });
    let list = list.collect::<Vec<_>>().join(", ");
    format!("{select} {list} FROM {from}{filter}")
}

fn aggregation(from: &str, filter: &str, windowed: bool, scope: &mut Scope<'_>) -> Both {
    let mut keys = Vec::new();
    let mut text = Both::default();
    text.push("SELECT ");
    for n in 0..scope.tape.below(4) {
        let key = match scope.tape.below(3) {
            0 | 1 => scope.column(|_| true).expect("there is a column").name,
            _ => {
                let class = scope.any_class();
                scope.expr(class, 2)
            }
        };
        // A literal number would be a place in the select list.
        if key.starts_with(|c: char| c.is_ascii_digit() || c == '-') || keys.contains(&key) {
            continue;
        }
        text.push(&format!("{key} AS g{n}, "));
        keys.push(key);
    }
    if windowed {
        let minutes = [1, 7, 60][scope.tape.below(3) as usize];
        keys.push(format!("TUMBLE(ts, INTERVAL '{minutes}' MINUTE)"));
        text.push("window_start AS w, ");
    }
    for n in 0..1 + scope.tape.below(4) {
        let (engine, batch) = call(scope);
        let comma = if n == 0 { "" } else { ", " };
        text.add(
            &format!("{comma}{engine} AS a{n}"),
            &format!("{comma}{batch} AS a{n}"),
        );
    }
    text.push(&format!(" FROM {from}{filter}"));
    if !keys.is_empty() {
        text.push(&format!(" GROUP BY {}", keys.join(", ")));
    }
    if scope.tape.below(4) == 3 {
        let (engine, batch) = call(scope);
        let condition = [" IS NOT NULL", " IS NULL OR COUNT(*) > 1"][scope.tape.below(2) as usize];
        text.add(
            &format!(" HAVING {engine}{condition}"),
            &format!(" HAVING {batch}{condition}"),
        );
    }
    text
}

/// A call of an aggregate.
fn call(scope: &mut Scope<'_>) -> (String, String) {
    let filter = match scope.tape.below(4) {
        3 => {
            scope.lazy = true;
            Some(scope.expr(Class::Bool, 2))
        }
        _ => None,
    };
    let with = |text: &str, more: &str| match (&filter, more) {
        (None, "") => text.to_owned(),
        (None, more) => format!("{text} FILTER (WHERE {more})"),
        (Some(f), "") => format!("{text} FILTER (WHERE {f})"),
        (Some(f), more) => format!("{text} FILTER (WHERE {f} AND {more})"),
    };
    let same = |text: String| (with(&text, ""), with(&text, ""));
    match scope.tape.below(9) {
        6 => same(distinct(scope)),
        7 | 8 => same(other(scope)),
        0 => same("COUNT(*)".to_owned()),
        1 => {
            let class = scope.any_class();
            same(format!("COUNT({})", scope.expr(class, 2)))
        }
        2 | 3 => same(sum(scope)),
        _ => {
            let least = scope.tape.below(2) == 0;
            let function = if least { "MIN" } else { "MAX" };
            if let Some(column) = scope
                .column(|c| c.of.is_float())
                .filter(|_| scope.tape.below(3) == 0)
            {
                let (name, of) = (&column.name, column.of.sql());
                let plain = with(&format!("{function}({name})"), "");
                let batch = match least {
                    true => {
                        let numbers = with(&format!("MIN({name})"), &format!("NOT ISNAN({name})"));
                        format!("COALESCE({numbers}, {plain})")
                    }
                    false => {
                        let nans = with("COUNT(*)", &format!("ISNAN({name})"));
                        format!("CASE WHEN {nans} > 0 THEN CAST('NaN' AS {of}) ELSE {plain} END")
                    }
                };
                return (plain, batch);
            }
            let column = scope.column(|c| class(&c.of) != Class::Nested && !c.of.is_float());
            let argument = match column.filter(|_| scope.tape.below(3) > 0) {
                Some(column) => column.name,
                None => {
                    let all = [
                        Class::Text,
                        Class::Date,
                        Class::Timestamp,
                        Class::Time,
                        Class::Bool,
                    ];
                    let class = *scope.tape.pick(&all);
                    scope.expr(class, 2)
                }
            };
            same(format!("{function}({argument})"))
        }
    }
}

/// An aggregate of values each of which counts once. Of floating point they would be equal here
/// that are not in DataFusion: zeros, and NaNs.
fn distinct(scope: &mut Scope<'_>) -> String {
    let exact = |c: &Column| class(&c.of) != Class::Nested && !c.of.is_float();
    let Some(column) = scope.column(exact) else {
        return "COUNT(DISTINCT 1)".to_owned();
    };
    let name = &column.name;
    match scope.tape.below(4) {
        0 => format!("ARRAY_AGG(DISTINCT {name} ORDER BY {name})"),
        1 if column.of.is_number() && column.tame => format!("SUM(DISTINCT {name})"),
        2 if column.of.is_number() && column.tame => format!("AVG(DISTINCT {name})"),
        _ => format!("COUNT(DISTINCT {name})"),
    }
}

/// An aggregate that Ring 0 does not have.
fn other(scope: &mut Scope<'_>) -> String {
    let column = scope.column(|c| class(&c.of) != Class::Nested && !c.of.is_float());
    let Some(name) = column.map(|c| c.name) else {
        return "COUNT(*)".to_owned();
    };
    // DataFusion orders all rows by what one of the calls orders by, so that every one does.
    let by = match scope.tape.below(2) {
        0 => format!(" ORDER BY {name}"),
        _ => format!(" ORDER BY {name} DESC"),
    };
    match scope.tape.below(7) {
        0 => format!("ARRAY_AGG({name}{by})"),
        1 => format!("FIRST_VALUE({name}{by})"),
        2 => format!("LAST_VALUE({name}{by})"),
        3 => {
            let text = scope.expr(Class::Text, 2);
            format!("STRING_AGG({text}, ', ' ORDER BY {text})")
        }
        4 => {
            let condition = scope.expr(Class::Bool, 2);
            let function = ["BOOL_AND", "BOOL_OR"][scope.tape.below(2) as usize];
            format!("{function}({condition})")
        }
        5 => match scope.column(|c| c.of.is_number() && c.tame && !c.of.is_float()) {
            Some(number) => format!("MEDIAN({})", number.name),
            None => format!("FIRST_VALUE({name}{by})"),
        },
        _ => match scope.column(|c| matches!(c.of, Type::Int { .. })) {
            Some(number) => {
                let function = ["BIT_AND", "BIT_OR", "BIT_XOR"][scope.tape.below(3) as usize];
                format!("{function}({})", number.name)
            }
            None => format!("ARRAY_AGG({name}{by})"),
        },
    }
}

/// SUM and the like, of numbers whose sums do not depend on their order.
fn sum(scope: &mut Scope<'_>) -> String {
    let functions = [
        "SUM",
        "AVG",
        "STDDEV",
        "VAR_SAMP",
        "STDDEV_POP",
        "VAR_POP",
        "SUM",
        "AVG",
    ];
    let function = *scope.tape.pick(&functions);
    let exact =
        |c: &Column| c.of.is_number() && (c.tame || (!c.of.is_float() && !function.contains('_')));
    let exact = |c: &Column| exact(c) && (c.tame || function != "STDDEV");
    let argument = match scope.column(exact) {
        None => "1".to_owned(),
        Some(column) => match scope.tape.below(4) {
            0 => format!("{} * 2", column.name),
            1 => format!(
                "CASE WHEN {} THEN {} END",
                scope.expr(Class::Bool, 2),
                column.name
            ),
            _ => column.name,
        },
    };
    if argument.starts_with("CASE") {
        scope.lazy = true;
    }
    format!("{function}({argument})")
}
