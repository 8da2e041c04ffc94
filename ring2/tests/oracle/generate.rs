//! Queries over columns of any types.

use crate::compare::{Changes, Lenient, Order};
use crate::data::{Column, Type};
use crate::expressions::{Class, Scope, class};
use crate::tape::Tape;
use crate::windows::Window;

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
    pub(crate) order: Order,
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
    let kind = tape.below(15);
    let mut scope = Scope {
        columns,
        tape,
        lazy: false,
    };
    let mut nested = false;
    let mut from = "r".to_owned();
    let derived;
    if kind == 3 || (8..=10).contains(&kind) {
        (from, derived) = subquery(&mut scope);
        scope.columns = &derived;
        nested = true;
    } else if kind < 12
        && scope.tape.below(8) == 7
        && let Some(list) = scope.column(|c| matches!(c.of, Type::List(_)))
    {
        let elements;
        (from, elements) = taken_apart(list, &mut scope);
        derived = [columns, &elements].concat();
        scope.columns = &derived;
        nested = true;
    }
    let filter = filter(&mut scope);
    let window = match kind {
        5 | 12 | 13 if from == "r" => Some(Window::fixed(scope.tape)),
        14 => Some(Window::session(scope.tape)),
        _ => None,
    };
    let mut text = Both::default();
    match kind {
        0..=3 => text.push(&projection("SELECT", &from, &filter, &mut scope)),
        4 => text.push(&projection("SELECT DISTINCT", &from, &filter, &mut scope)),
        10 | 11 => text.push(&ordered(&from, &filter, &mut scope)),
        _ => text = aggregation(&from, &filter, window, &mut scope),
    }
    // A COUNT is never NULL: DataFusion does not count what is only compared with that.
    let having = text.engine.split_once(" HAVING ");
    let uncounted = having.is_some_and(|(_, condition)| condition.starts_with("COUNT("));
    // Nor is what IS gives, and DataFusion does not compute what is asked about it.
    let asked_twice = ["NULL", "TRUE", "FALSE", "UNKNOWN"]
        .iter()
        .any(|of| text.engine.contains(&format!(" {of}) IS ")));
    let lenient = Lenient {
        batch: scope.lazy || nested,
        engine: nested || uncounted || asked_twice,
    };
    let ordered = matches!(kind, 10 | 11);
    let grouped = kind > 4 && !ordered && !text.engine.contains(" HAVING ");
    let grouped = grouped && !from.contains("UNNEST");
    Query {
        changes: match window {
            None | Some(Window::Tumble { .. }) if grouped => Changes::OneEach,
            _ => Changes::Any,
        },
        keyless: grouped && !text.engine.contains(" GROUP BY "),
        engine: text.engine,
        batch: text.batch,
        lenient,
        order: match ordered {
            true => Order::Said,
            false => Order::Any,
        },
    }
}

/// A list that is taken apart in FROM, and the columns of its elements.
fn taken_apart(list: Column, scope: &mut Scope<'_>) -> (String, Vec<Column>) {
    let Type::List(item) = list.of else {
        unreachable!("a list is taken apart")
    };
    let element = Column {
        name: "e".to_owned(),
        of: *item,
        tame: list.tame,
    };
    let from = format!("r CROSS JOIN UNNEST({})", list.name);
    if scope.tape.below(2) == 0 {
        return (format!("{from} AS e"), vec![element]);
    }
    let number = Column {
        name: "z".to_owned(),
        of: Type::Int {
            bits: 64,
            signed: true,
        },
        tame: true,
    };
    (
        format!("{from} WITH ORDINALITY AS u(e, z)"),
        vec![element, number],
    )
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

/// Rows in an order that leaves nothing open: all columns are its keys, and no zeros are apart.
fn ordered(from: &str, filter: &str, scope: &mut Scope<'_>) -> String {
    let mut list = Vec::new();
    let mut order = Vec::new();
    for n in 0..1 + scope.tape.below(4) {
        let exact = |c: &Column| class(&c.of) != Class::Nested && !c.of.is_float();
        let value = match scope.column(exact).filter(|_| scope.tape.below(2) == 0) {
            Some(column) => column.name,
            None => {
                let class = *scope.tape.pick(&EXACT);
                scope.expr(class, 3)
            }
        };
        list.push(format!("{value} AS v{n}"));
        let way = *scope
            .tape
            .pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
        order.push(format!("v{n}{way}"));
    }
    let (list, order) = (list.join(", "), order.join(", "));
    let limit = match scope.tape.below(4) {
        0 => String::new(),
        1 => format!(" OFFSET {}", scope.tape.below(9)),
        n => {
            let limit = 1 + scope.tape.below(12);
            let offset = match n {
                2 => String::new(),
                _ => format!(" OFFSET {}", scope.tape.below(9)),
            };
            format!(" LIMIT {limit}{offset}")
        }
    };
    format!("SELECT {list} FROM {from}{filter} ORDER BY {order}{limit}")
}

/// Classes whose values are equal only if they are the same.
const EXACT: [Class; 5] = [
    Class::Text,
    Class::Date,
    Class::Timestamp,
    Class::Time,
    Class::Bool,
];

fn aggregation(from: &str, filter: &str, window: Option<Window>, scope: &mut Scope<'_>) -> Both {
    let session = matches!(window, Some(Window::Session { .. }));
    let mut keys = Vec::new();
    let mut text = Both::default();
    text.push("SELECT ");
    for n in 0..scope.tape.below(4) {
        let exact = |c: &Column| class(&c.of) != Class::Nested && !c.of.is_float();
        let key = match scope.tape.below(3) {
            _ if session => match scope.column(exact) {
                Some(column) => column.name,
                None => continue,
            },
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
    let spelt = window.map(|w| w.spell(filter, &keys));
    if let Some(window) = &spelt {
        let [start, end] = &window.bounds;
        text.add(
            "window_start AS w, window_end AS x, ",
            &format!("{start} AS w, {end} AS x, "),
        );
    }
    for n in 0..1 + scope.tape.below(4) {
        let (engine, batch) = call(scope);
        let comma = if n == 0 { "" } else { ", " };
        text.add(
            &format!("{comma}{engine} AS a{n}"),
            &format!("{comma}{batch} AS a{n}"),
        );
    }
    let (mut by, mut by_batch) = (keys.clone(), keys);
    match spelt {
        None => text.push(&format!(" FROM {from}{filter}")),
        Some(window) => {
            text.add(
                &format!(" FROM {from}{filter}"),
                &format!(" FROM {}", window.from),
            );
            by.push(window.engine);
            by_batch.push(window.batch);
        }
    }
    if !by.is_empty() {
        text.add(
            &format!(" GROUP BY {}", by.join(", ")),
            &format!(" GROUP BY {}", by_batch.join(", ")),
        );
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
        6 => {
            let text = distinct(scope);
            // DataFusion may take the order of another call.
            let list = text
                .strip_prefix("ARRAY_AGG(")
                .and_then(|t| t.split_once(" ORDER BY "));
            match list {
                None => same(text),
                Some((list, _)) => {
                    let list = with(&format!("ARRAY_AGG({list})"), "");
                    let batch = format!("ARRAY_SORT({list}, 'ASC', 'NULLS LAST')");
                    (with(&text, ""), batch)
                }
            }
        }
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
                    let class = *scope.tape.pick(&EXACT);
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
    // DataFusion's AVG of integers is of DOUBLEs.
    let is_wide = |c: &Column| matches!(c.of, Type::Int { bits: 64, .. });
    let exact = |c: &Column| exact(c) && (c.tame || function != "AVG" || !is_wide(c));
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
