//! Statements at random: each of its parts is any that its place takes.

use proptest::prelude::*;
use proptest::sample::select;

fn name() -> impl Strategy<Value = String> {
    let plain = select(vec![
        "a", "b", "k", "ts", "price", "value", "emit", "path", "line", "x1", "_p",
    ]);
    let quoted = select(vec![
        "\"A b\"",
        "\"select\"",
        "\"q\"\"q\"",
        "\"ü\"",
        "Mixed",
    ]);
    prop_oneof![6 => plain.prop_map(str::to_string), 1 => quoted.prop_map(str::to_string)]
}

fn interval() -> impl Strategy<Value = String> {
    let units = select(vec!["SECOND", "MINUTE", "HOUR", "DAY"]);
    prop_oneof![
        (1..90u32, units).prop_map(|(n, u)| format!("INTERVAL '{n}' {u}")),
        (1..90u32).prop_map(|n| format!("INTERVAL '{n} seconds'")),
    ]
}

fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<u16>().prop_map(|n| n.to_string()),
        (any::<u16>(), 0..100u8).prop_map(|(a, b)| format!("{a}.{b}")),
        select(vec![
            "NULL",
            "TRUE",
            "false",
            "DATE '2025-11-06'",
            "TIMESTAMP '2025-11-06 10:00:00'"
        ])
        .prop_map(str::to_string),
        "[a-zA-Z '%ü\\\\]{0,6}".prop_map(|t| format!("'{}'", t.replace('\'', "''"))),
    ]
}

fn expr() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        3 => name(),
        2 => literal(),
        1 => (name(), name()).prop_map(|(a, b)| format!("{a}.{b}")),
        1 => interval(),
        1 => Just("CURRENT_DATE".to_string()),
        1 => Just("COUNT(*)".to_string()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let e = || inner.clone();
        let op = select(vec![
            "+", "-", "*", "/", "%", "=", "<>", "<", "<=", ">", ">=", "AND", "OR", "||", "->", "->>",
            "IS DISTINCT FROM", "IS NOT DISTINCT FROM",
        ]);
        let test = select(vec![
            "IS NULL", "IS NOT NULL", "IS TRUE", "IS NOT FALSE", "IS UNKNOWN", "NOTNULL",
        ]);
        let called = select(vec!["UPPER", "sum", "Abs", "coalesce", "MAX", "string_agg"]);
        let data_type = select(vec!["BIGINT", "VARCHAR", "DOUBLE PRECISION", "TIMESTAMP(3)", "INT[]"]);
        let over = select(vec![
            "", " FILTER (WHERE a > 1)", " OVER ()", " OVER (PARTITION BY k ORDER BY a DESC NULLS LAST)",
            " OVER w", " OVER (ORDER BY ts ROWS BETWEEN 3 PRECEDING AND CURRENT ROW)",
        ]);
        let window = select(vec!["TUMBLE", "HOP", "SLIDING", "session", "CUMULATE", "TUMBLE_START"]);
        let cast = data_type.clone();
        prop_oneof![
            4 => (e(), op, e()).prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
            1 => (e(), test).prop_map(|(a, t)| format!("({a}) {t}")),
            1 => e().prop_map(|a| format!("NOT ({a})")),
            1 => e().prop_map(|a| format!("- ({a})")),
            2 => (called, e(), e(), over).prop_map(|(f, a, b, o)| format!("{f}({a}, {b}){o}")),
            1 => (e(), cast).prop_map(|(a, t)| format!("CAST({a} AS {t})")),
            1 => (e(), data_type).prop_map(|(a, t)| format!("TRY_CAST({a} AS {t})")),
            1 => e().prop_map(|a| format!("({a})::BIGINT")),
            1 => (e(), e(), e()).prop_map(|(a, b, c)| format!("CASE WHEN {a} THEN {b} ELSE {c} END")),
            1 => (e(), e(), e()).prop_map(|(a, b, c)| format!("CASE {a} WHEN {b} THEN {c} END")),
            1 => (e(), e(), e()).prop_map(|(a, b, c)| format!("({a}) NOT IN (1, {b}, {c})")),
            1 => (e(), e(), e()).prop_map(|(a, b, c)| format!("({a}) BETWEEN ({b}) AND ({c})")),
            1 => (e(), e()).prop_map(|(a, b)| format!("({a}) LIKE ({b}) ESCAPE '!'")),
            1 => (e(), e()).prop_map(|(a, b)| format!("SUBSTRING(({a}) FROM ({b}))")),
            1 => e().prop_map(|a| format!("EXTRACT(HOUR FROM ({a}))")),
            1 => e().prop_map(|a| format!("TRIM(LEADING 'x' FROM ({a}))")),
            1 => (e(), e()).prop_map(|(a, b)| format!("ARRAY[{a}, {b}]")),
            1 => (name(), e()).prop_map(|(a, b)| format!("{a}[({b})]")),
            1 => (name(), e()).prop_map(|(t, a)| format!("EXISTS (SELECT 1 FROM {t} WHERE {a})")),
            1 => (e(), name()).prop_map(|(a, t)| format!("({a}) IN (SELECT a FROM {t})")),
            1 => name().prop_map(|t| format!("(SELECT MAX(a) FROM {t})")),
            1 => (window, name(), interval(), interval())
                .prop_map(|(w, ts, i, j)| format!("{w}({ts}, {i}, {j})")),
        ]
    })
    .boxed()
}

fn relation() -> BoxedStrategy<String> {
    let alias = || prop_oneof![Just(String::new()), name().prop_map(|a| format!(" AS {a}"))];
    let leaf = prop_oneof![
        4 => (name(), alias()).prop_map(|(t, a)| format!("{t}{a}")),
        1 => (name(), name(), interval(), alias())
            .prop_map(|(t, ts, i, a)| format!("TUMBLE({t}, {ts}, {i}){a}")),
        1 => (name(), name(), interval(), interval(), alias()).prop_map(|(t, ts, i, j, a)| {
            format!("TABLE(HOP(TABLE {t}, DESCRIPTOR({ts}), {i}, {j})){a}")
        }),
    ];
    leaf.prop_recursive(2, 6, 2, move |inner| {
        let join = select(vec![
            "JOIN",
            "INNER JOIN",
            "LEFT JOIN",
            "RIGHT OUTER JOIN",
            "FULL JOIN",
            "SEMI JOIN",
            "LEFT ANTI JOIN",
        ]);
        prop_oneof![
            (inner.clone(), join, name(), expr())
                .prop_map(|(l, j, t, e)| format!("{l} {j} {t} ON {e}")),
            (inner.clone(), name()).prop_map(|(l, t)| format!("{l} JOIN {t} USING (k, a)")),
            (inner.clone(), name()).prop_map(|(l, t)| format!("{l} CROSS JOIN {t}")),
            (inner.clone(), name(), name()).prop_map(|(l, a, b)| {
                format!("{l} CROSS JOIN UNNEST({a}) WITH ORDINALITY AS {b}")
            }),
            (inner.clone(), name(), name(), name()).prop_map(|(l, t, s, a)| {
                format!("{l} JOIN {t} FOR SYSTEM_TIME AS OF {s}.ts AS {a} ON {s}.k = {a}.k")
            }),
            (inner.clone(), name()).prop_map(|(l, t)| {
                format!("{l} ASOF JOIN {t} AS q MATCH_CONDITION (a.ts >= q.ts) ON a.k = q.k")
            }),
            (inner.clone(), name()).prop_map(|(l, a)| format!("(SELECT * FROM {l}) AS {a}")),
            (inner.clone(), name()).prop_map(|(l, t)| format!("{l}, {t} AS other")),
        ]
    })
    .boxed()
}

fn query() -> BoxedStrategy<String> {
    let item = prop_oneof![
        expr(),
        (expr(), name()).prop_map(|(e, a)| format!("{e} AS {a}")),
        Just("*".to_string()),
    ];
    let items = prop::collection::vec(item, 1..4).prop_map(|i| i.join(", "));
    let clause = |word: &'static str| {
        prop_oneof![
            Just(String::new()),
            expr().prop_map(move |e| format!(" {word} {e}"))
        ]
    };
    let group = prop_oneof![
        Just(String::new()),
        (expr(), expr()).prop_map(|(a, b)| format!(" GROUP BY {a}, {b}")),
        Just(" GROUP BY GROUPING SETS ((a), (a, b), ())".to_string()),
        Just(" GROUP BY ROLLUP (a, b)".to_string()),
    ];
    let order = prop_oneof![
        Just(String::new()),
        expr().prop_map(|e| format!(" ORDER BY {e} DESC NULLS FIRST LIMIT 3 OFFSET 1")),
    ];
    let with = prop_oneof![
        3 => Just(String::new()),
        1 => (name(), name()).prop_map(|(a, t)| format!("WITH {a} (x) AS (SELECT k FROM {t}) ")),
    ];
    let distinct = select(vec!["", "DISTINCT "]);
    (
        with,
        distinct,
        items,
        relation(),
        clause("WHERE"),
        group,
        clause("HAVING"),
        clause("QUALIFY"),
        order,
    )
        .prop_map(|(with, d, items, from, w, g, h, q, o)| {
            format!("{with}SELECT {d}{items} FROM {from}{w}{g}{h}{q}{o}")
        })
        .boxed()
}

fn emit_query() -> impl Strategy<Value = String> {
    let emit = select(vec![
        "",
        " EMIT CHANGES",
        " EMIT FINAL",
        " EMIT ON WINDOW CLOSE",
        " EMIT EVERY INTERVAL '1' SECOND",
    ]);
    let union = select(vec![
        "",
        " UNION ALL SELECT k FROM t",
        " EXCEPT SELECT k FROM t",
    ]);
    prop_oneof![
        4 => (query(), emit.clone()).prop_map(|(q, e)| format!("{q}{e}")),
        1 => (name(), union, emit).prop_map(|(t, u, e)| format!("SELECT a FROM {t}{u}{e}")),
    ]
}

fn columns() -> impl Strategy<Value = String> {
    let data_type = select(vec![
        "BIGINT",
        "text",
        "DOUBLE",
        "TIMESTAMP(3)",
        "DECIMAL(10, 2)",
        "VARCHAR[]",
        "JSON",
        "STRUCT<venue VARCHAR, lot INT>",
        "STRUCT<a STRUCT<b INT>>[]",
        "CHARACTER VARYING",
        "BOOL",
    ]);
    let tail = select(vec![
        "",
        " NOT NULL",
        " NULL",
        " GENERATED ALWAYS AS (a + 1) STORED",
    ]);
    let column = (name(), data_type, tail).prop_map(|(n, t, s)| format!("{n} {t}{s}"));
    prop::collection::vec(column, 1..4).prop_map(|c| c.join(", "))
}

fn options() -> impl Strategy<Value = String> {
    let value = select(vec!["'x'", "1", "true", "'it''s'", "-5"]);
    let name = select(vec!["connector", "path", "follow", "'a.b'", "a.b", "x1"]);
    (name, value).prop_map(|(n, v)| format!("WITH ({n} = {v})"))
}

/// A statement that is read.
pub(crate) fn statement() -> impl Strategy<Value = String> {
    let exists = || select(vec!["", "IF NOT EXISTS "]);
    let key = select(vec![
        "",
        ", PRIMARY KEY (a)",
        ", WATERMARK FOR ts",
        ", WATERMARK FOR ts AS ts - INTERVAL '5' SECOND",
    ]);
    let kind = || {
        select(vec![
            "SOURCE",
            "STREAM",
            "TABLE",
            "SINK",
            "VIEW",
            "MATERIALIZED VIEW",
            "INDEX",
        ])
    };
    prop_oneof![
        4 => emit_query(),
        2 => (select(vec!["SOURCE", "STREAM", "TABLE"]), exists(), name(), columns(), key, options())
            .prop_map(|(k, e, n, c, p, o)| format!("CREATE {k} {e}{n} ({c}{p}) {o}")),
        1 => (name(), columns()).prop_map(|(n, c)| format!("CREATE TABLE {n} ({c}) APPEND ONLY")),
        1 => (exists(), name(), options(), emit_query())
            .prop_map(|(e, n, o, q)| format!("CREATE SINK {e}{n} {o} AS {q}")),
        1 => (name(), name(), options()).prop_map(|(n, v, o)| format!("CREATE SINK {n} FROM {v} {o}")),
        1 => (select(vec!["VIEW", "OR REPLACE VIEW", "MATERIALIZED VIEW"]), name(), emit_query())
            .prop_map(|(k, n, q)| format!("CREATE {k} {n} AS {q}")),
        1 => (name(), name(), emit_query())
            .prop_map(|(n, a, q)| format!("CREATE VIEW {n} ({a}, b) AS {q}")),
        1 => (exists(), name(), name(), name())
            .prop_map(|(e, i, v, c)| format!("CREATE INDEX {e}{i} ON {v} ({c})")),
        1 => (name(), emit_query()).prop_map(|(t, q)| format!("INSERT INTO {t} {q}")),
        1 => (name(), name(), expr(), literal())
            .prop_map(|(t, c, e, l)| format!("INSERT INTO {t} ({c}, b) VALUES ({e}, {l}), (1, 2)")),
        1 => (name(), name(), expr(), expr())
            .prop_map(|(t, c, a, b)| format!("UPDATE {t} SET {c} = {a}, b = 1 WHERE {b}")),
        1 => (name(), expr()).prop_map(|(t, e)| format!("DELETE FROM {t} WHERE {e}")),
        1 => (kind(), name(), name(), select(vec!["", " CASCADE", " RESTRICT"]))
            .prop_map(|(k, a, b, c)| format!("DROP {k} IF EXISTS {a}, {b}{c}")),
        1 => (kind(), name(), name()).prop_map(|(k, a, b)| format!("ALTER {k} {a} RENAME TO {b}")),
        1 => select(vec!["SOURCES", "TABLES", "SINKS", "VIEWS", "JOBS", "ALL", "read", "MATERIALIZED VIEWS"])
            .prop_map(|s| format!("SHOW {s}")),
        1 => name().prop_map(|n| format!("DESCRIBE {n}")),
        1 => (name(), select(vec!["'1 hour'", "5", "DEFAULT", "latest", "-1"]))
            .prop_map(|(n, v)| format!("SET {n} = {v}")),
        1 => select(vec!["FLUSH", "CHECKPOINT"]).prop_map(str::to_string),
        1 => (name(), expr()).prop_map(|(v, e)| format!("SUBSCRIBE {v} WHERE {e}")),
        1 => (name(), name()).prop_map(|(c, v)| format!("DECLARE {c} CURSOR FOR SUBSCRIBE {v}")),
        1 => (any::<u32>(), name()).prop_map(|(n, c)| format!("FETCH {n} FROM {c}")),
        1 => name().prop_map(|c| format!("CLOSE {c}")),
        1 => (select(vec!["", "ANALYZE ", "(FORMAT dot) "]), emit_query())
            .prop_map(|(o, q)| format!("EXPLAIN {o}{q}")),
    ]
}

/// Text that is nearly a statement: some words taken out, doubled or exchanged.
pub(crate) fn broken() -> impl Strategy<Value = String> {
    (
        statement(),
        prop::collection::vec((0..40usize, 0..4u8, 0..40usize), 1..4),
    )
        .prop_map(|(text, edits)| {
            let mut words: Vec<String> = text.split(' ').map(str::to_string).collect();
            for (at, edit, other) in edits {
                let (at, other) = (at % words.len(), other % words.len());
                match edit {
                    0 if words.len() > 1 => drop(words.remove(at)),
                    1 => words.insert(at, words[other].clone()),
                    2 => words.swap(at, other),
                    _ => words.truncate(at.max(1)),
                }
            }
            words.join(" ")
        })
}
