//! Definitions, the catalogue behind them, views that are expanded, and questions that it answers.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use trefoil::catalog::Catalog;
use trefoil::syntax::Kind;
use trefoil::{Error, PlannedQuery, SourceFile, Step, check_script, plan_script, plan_steps};
use trefoil_ring0::program::OperatorSpec;

const TRADES: &str = "CREATE SOURCE trades (symbol VARCHAR, price DOUBLE, volume BIGINT, \
    event_time TIMESTAMP(3) NOT NULL, WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND) \
    WITH (connector = 'file', path = 'trades.ndjson', format = 'json');\n";

fn file(text: &str) -> SourceFile {
    SourceFile {
        name: "q.sql".into(),
        text: format!("{TRADES}{text}"),
        base: PathBuf::from("/data"),
    }
}

fn plan(text: &str) -> Vec<PlannedQuery> {
    plan_script(&[file(text)]).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

fn catalog(text: &str) -> Catalog {
    check_script(&[file(text)]).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

fn refusal(text: &str) -> String {
    match plan_script(&[file(text)]) {
        Err(Error::Sql(e)) => format!("{} {}:{} {}", e.code, e.line, e.column, e.message),
        other => panic!("{text}\n{other:?}"),
    }
}

/// What a query does and what it prints, without names of files.
fn shape(query: &PlannedQuery) -> String {
    let operators = query.program.stages.iter().flat_map(|s| &s.operators);
    let operators: Vec<_> = operators
        .map(|o| match o {
            OperatorSpec::Filter(e) => format!("{e:?}"),
            other => format!("{other:?}"),
        })
        .collect();
    format!("{operators:#?} {:?}", query.columns)
}

/// A query over views, and the same written out.
const VIEWS: [(&str, &str, &str); 11] = [
    (
        "CREATE VIEW v AS SELECT event_time AS ts, symbol FROM trades WHERE volume > 1;",
        "SELECT symbol, window_start, COUNT(*) AS n FROM v \
         GROUP BY symbol, TUMBLE(ts, INTERVAL '1' MINUTE) HAVING window_end > '2025-01-01'",
        "SELECT symbol, window_start, COUNT(*) AS n FROM trades WHERE volume > 1 \
         GROUP BY symbol, TUMBLE(event_time, INTERVAL '1' MINUTE) \
         HAVING window_end > '2025-01-01'",
    ),
    (
        "CREATE VIEW v AS SELECT symbol, 1 AS one FROM trades;",
        "SELECT COUNT(*) AS n, one, symbol FROM v GROUP BY one, symbol",
        "SELECT COUNT(*) AS n, 1 AS one, symbol FROM trades GROUP BY one, symbol",
    ),
    (
        "CREATE VIEW v AS SELECT symbol AS s, price * 2 AS p FROM trades WHERE volume > 1;",
        "SELECT s, p FROM v WHERE p > 3",
        "SELECT symbol AS s, price * 2 AS p FROM trades WHERE volume > 1 AND price * 2 > 3",
    ),
    (
        "CREATE VIEW v AS SELECT * FROM trades;",
        "SELECT symbol, COUNT(*) AS n FROM v GROUP BY symbol",
        "SELECT symbol, COUNT(*) AS n FROM trades GROUP BY symbol",
    ),
    (
        "CREATE VIEW v (s, p) AS SELECT symbol, price FROM trades; CREATE VIEW w AS SELECT p FROM v;",
        "SELECT * FROM w",
        "SELECT price AS p FROM trades",
    ),
    (
        "CREATE VIEW v AS SELECT symbol AS k, SUM(volume) AS n FROM trades GROUP BY 1;",
        "SELECT x.k FROM v AS x WHERE x.n > 10",
        "SELECT symbol AS k FROM trades GROUP BY symbol HAVING SUM(volume) > 10",
    ),
    (
        "CREATE VIEW v AS SELECT symbol, TUMBLE(event_time, INTERVAL '5' MINUTE) AS w, COUNT(*) AS n \
         FROM trades GROUP BY symbol, w;",
        "SELECT symbol, w, n, window_end FROM v WHERE n > 2",
        "SELECT symbol, TUMBLE(event_time, INTERVAL '5' MINUTE) AS w, COUNT(*) AS n, window_end FROM \
         trades GROUP BY symbol, TUMBLE(event_time, INTERVAL '5' MINUTE) HAVING COUNT(*) > 2",
    ),
    (
        "",
        "WITH a AS (SELECT symbol, price AS x FROM trades), b AS (SELECT x FROM a WHERE x > 1) \
         SELECT MAX(x) AS m FROM b",
        "SELECT MAX(price) AS m FROM trades WHERE price > 1",
    ),
    (
        "",
        "SELECT d.price FROM (SELECT price, symbol FROM trades) AS d WHERE d.symbol = 'a'",
        "SELECT price FROM trades WHERE symbol = 'a'",
    ),
    (
        // An alias of the outer query is never a column below the view.
        "CREATE VIEW v AS SELECT symbol AS s FROM trades;",
        "SELECT UPPER(s) AS price, COUNT(*) AS n FROM v GROUP BY price",
        "SELECT UPPER(symbol) AS price, COUNT(*) AS n FROM trades GROUP BY UPPER(symbol)",
    ),
    (
        // A name of WITH hides a view and a source, but not in its own definition.
        "CREATE VIEW v AS SELECT price FROM trades;",
        "WITH trades AS (SELECT symbol FROM trades), v AS (SELECT symbol FROM trades) SELECT * FROM v",
        "SELECT symbol FROM trades",
    ),
];

#[test]
fn views_are_what_they_stand_for() {
    for (define, query, written) in VIEWS {
        let view = plan(&format!("{define}{query};"));
        let plain = plan(&format!("{written};"));
        let same = |text: String| text.replace("Nested", "");
        assert_eq!(same(shape(&view[0])), same(shape(&plain[0])), "{query}");
    }
}

/// A view goes on to read what was renamed, and columns are named by it as before.
#[test]
fn views_follow_names() {
    let named = [
        (
            "CREATE VIEW v AS SELECT trades.symbol AS s, t.price AS p FROM trades \
             JOIN trades AS t ON trades.symbol = t.symbol WHERE trades.volume > 1;",
            "SELECT s, p FROM v",
        ),
        (
            "CREATE VIEW v AS SELECT symbol, window_end, COUNT(*) AS n \
             FROM TUMBLE(trades, event_time, INTERVAL '1' MINUTE) \
             GROUP BY symbol, window_start, window_end;",
            "SELECT * FROM v",
        ),
        (
            "CREATE VIEW v AS SELECT symbol FROM trades WHERE price > (SELECT AVG(price) FROM trades);",
            "SELECT * FROM v",
        ),
        (
            "CREATE VIEW v AS WITH trades AS (SELECT symbol FROM trades) SELECT * FROM trades;",
            "SELECT * FROM v",
        ),
    ];
    let defined = VIEWS.iter().map(|(define, query, _)| (*define, *query));
    let own = defined.filter(|(define, query)| !define.is_empty() && !query.contains("trades"));
    for (define, query) in named.into_iter().chain(own) {
        let before = plan(&format!("{define}{query};"));
        let rename = "ALTER SOURCE trades RENAME TO \"Moved\"; CREATE VIEW trades AS \
                      SELECT 1 AS one FROM \"Moved\";";
        let after = plan(&format!("{define}{rename}{query};"));
        assert_eq!(shape(&before[0]), shape(&after[0]), "{query}");
    }
}

#[test]
fn what_a_view_hides_does_not_exist() {
    let define = "CREATE VIEW v AS SELECT symbol AS s FROM trades;\n";
    for (query, said) in [
        ("SELECT symbol FROM v", "E0201 3:8"),
        ("SELECT s FROM v WHERE price > 1", "E0201 3:23"),
        ("SELECT trades.symbol FROM v", "E0202 3:8"),
        ("SELECT _offset FROM v", "E0201 3:8"),
    ] {
        let got = refusal(&format!("{define}{query}"));
        assert!(got.starts_with(said), "{query}: {got}");
    }
}

#[test]
fn queries_that_cannot_be_taken_in_are_refused_and_never_wrong() {
    let define = "CREATE VIEW v AS SELECT symbol, COUNT(*) AS n FROM trades GROUP BY symbol;\n";
    for query in [
        "SELECT n FROM v WHERE symbol NOT IN (SELECT symbol FROM v) EMIT CHANGES",
        "SELECT symbol FROM v UNION ALL SELECT symbol FROM v EMIT CHANGES",
    ] {
        let got = refusal(&format!("{define}{query}"));
        assert!(got.starts_with("E0301"), "{query}: {got}");
    }
}

#[test]
fn what_a_source_asks_for_and_cannot_get_is_refused() {
    for (connector, format, more) in [
        ("file", "avro", ""),
        (
            "kafka",
            "json",
            ", topic = 't', bootstrap_servers = 'localhost:9092'",
        ),
    ] {
        let path = match connector {
            "file" => ", path = 'x.ndjson'",
            _ => "",
        };
        let define = format!(
            "CREATE SOURCE s (k BIGINT, ts TIMESTAMP(3)) WITH (connector = '{connector}'{path}, \
             format = '{format}'{more});\n"
        );
        for query in [
            "SELECT k FROM s",
            "SELECT COUNT(*) FROM s",
            "SELECT DISTINCT k FROM s",
        ] {
            let got = refusal(&format!("{define}{query}"));
            assert!(got.starts_with("E0301 3:"), "{define}{query}: {got}");
            assert!(got.contains("reading \"s\""), "{define}{query}: {got}");
        }
    }
}

#[test]
fn the_catalogue_holds_what_is_declared() {
    let declared = catalog(
        "CREATE TABLE t (a BIGINT PRIMARY KEY, b DATE);
         CREATE TABLE log (a BIGINT) APPEND ONLY;
         CREATE SINK out (a BIGINT) WITH (connector = 'file', path = 'o', format = 'json');
         CREATE VIEW v AS SELECT symbol, price * 2 AS p, COUNT(*) AS n FROM trades GROUP BY 1, 2;
         CREATE MATERIALIZED VIEW m AS SELECT symbol FROM v EMIT CHANGES;
         CREATE INDEX i ON m (symbol);
         CREATE VIEW w AS SELECT * FROM m;
         INSERT INTO t (a) SELECT volume FROM trades;
         UPDATE t SET b = DATE '2025-01-01' WHERE a > 1;
         DELETE FROM t WHERE b IS NULL;
         ALTER TABLE log RENAME TO journal;",
    );
    for (name, kind) in [
        ("trades", Kind::Source),
        ("t", Kind::Table),
        ("journal", Kind::Table),
        ("out", Kind::Sink),
        ("v", Kind::View),
        ("m", Kind::MaterializedView),
        ("i", Kind::Index),
        ("w", Kind::View),
    ] {
        assert_eq!(declared.kind(name), Some(kind), "{name}");
    }
    assert_eq!(declared.kind("log"), None);
    let types: Vec<_> = declared.views["v"]
        .columns
        .iter()
        .map(|c| c.data_type.clone())
        .collect();
    use datafusion::arrow::datatypes::DataType::{Float64, Int64, Utf8};
    assert_eq!(types, [Some(Utf8), Some(Float64), Some(Int64)]);
}

#[test]
fn drop_takes_what_is_told() {
    let define =
        "CREATE VIEW v AS SELECT symbol FROM trades; CREATE VIEW w AS SELECT symbol FROM v;";
    let left = catalog(&format!("{define} DROP VIEW v CASCADE;"));
    assert_eq!((left.kind("v"), left.kind("w")), (None, None));
    let left = catalog(&format!(
        "{define} DROP VIEW w; DROP VIEW v; DROP VIEW IF EXISTS v;"
    ));
    assert_eq!(left.names().collect::<Vec<_>>(), ["trades"]);
    let again = format!(
        "{define} DROP VIEW w, v; CREATE VIEW v AS SELECT price FROM trades; SELECT * FROM v"
    );
    assert_eq!(plan(&again).len(), 1);
    assert!(refusal(&format!("{define}\nDROP VIEW v")).starts_with("E0210 3:11"));
    assert!(refusal(&format!("{define}\nDROP VIEW w; SELECT * FROM w")).starts_with("E0202 3:28"));
}

#[test]
fn if_not_exists_and_or_replace() {
    let queries = plan(
        "CREATE VIEW v AS SELECT symbol FROM trades;
         CREATE VIEW IF NOT EXISTS v AS SELECT price FROM trades; SELECT * FROM v;
         CREATE OR REPLACE VIEW v AS SELECT price FROM trades; SELECT * FROM v;",
    );
    let name = |q: &PlannedQuery| q.program.outputs[0].schema.fields[0].name.clone();
    assert_eq!(
        queries.iter().map(name).collect::<Vec<_>>(),
        ["symbol", "price"]
    );
}

#[test]
fn questions_are_answered() {
    let steps = plan_steps(&[file(
        "CREATE VIEW v AS SELECT symbol AS s, COUNT(*) AS n FROM trades GROUP BY symbol;
         SHOW SOURCES; SHOW TABLES; SHOW VIEWS; DESCRIBE trades; DESCRIBE v;
         SET trefoil.state_ttl = '1 hour'; SHOW state_ttl; SET state_ttl = DEFAULT; SHOW state_ttl;",
    )])
    .unwrap_or_else(|e| panic!("{e}"));
    let answers: Vec<Vec<String>> = steps
        .iter()
        .map(|step| match step {
            Step::Answer(answer) => {
                let cell = |c: &Option<String>| c.clone().unwrap_or("-".into());
                let row =
                    |r: &Vec<Option<String>>| r.iter().map(cell).collect::<Vec<_>>().join("|");
                answer.rows.iter().map(row).collect()
            }
            Step::Query(query) => panic!("{}", query.sql),
            Step::Analyze(analyze) => panic!("{}", analyze.query.sql),
        })
        .collect();
    let view = "v|view|SELECT symbol AS s, count(*) AS n FROM trades GROUP BY symbol";
    let trades = vec![
        "symbol|VARCHAR|true|-",
        "price|DOUBLE|true|-",
        "volume|BIGINT|true|-",
        "event_time|TIMESTAMP(3)|false|event time",
    ];
    let expected = vec![
        vec!["trades|file"],
        vec![],
        vec![view],
        trades,
        vec!["s|VARCHAR|true|-", "n|BIGINT|true|-"],
        vec!["1 hour"],
        vec!["none"],
    ];
    assert_eq!(answers, expected);
}

/// A view's columns are described as those of its sources are, where they are these, and else by the
/// names that types have in this SQL.
#[test]
fn columns_of_views_have_types_of_this_sql() {
    let columns = "t0 TIME(0), t TIME, u BIGINT UNSIGNED, b BYTEA, i INTERVAL, j JSON, \
                   ts TIMESTAMP(2), v VARCHAR(10), n BIGINT";
    let sql = format!(
        "CREATE SOURCE s ({columns}) WITH (connector = 'file', path = 'none', format = 'json');
         CREATE VIEW of_rows AS SELECT s.t0, t, u, b, i, j, ts AS at, v, -n AS n,
           ts + INTERVAL '1' SECOND AS later, j -> 'a' AS a FROM s WHERE n > 0;
         CREATE VIEW of_groups AS SELECT j, MAX(at) AS at FROM of_rows GROUP BY j;
         CREATE VIEW of_both AS SELECT y.at, x.v FROM s AS x JOIN of_rows AS y ON x.n = y.n;
         CREATE VIEW of_calls AS SELECT *, LAG(m) OVER (PARTITION BY v ORDER BY n) AS l FROM
           (SELECT v, n, MAX(j) AS m, ARRAY_AGG(j) AS a FROM s GROUP BY ROLLUP (v, n));
         DESCRIBE of_rows; DESCRIBE of_groups; DESCRIBE of_both; DESCRIBE of_calls;"
    );
    let steps = plan_steps(&[file(&sql)]).unwrap_or_else(|e| panic!("{e}"));
    let types = steps.iter().map(|step| match step {
        Step::Answer(answer) => {
            let cell = |c: &Option<String>| c.clone().unwrap_or_default();
            let row = |r: &Vec<Option<String>>| format!("{} {}", cell(&r[0]), cell(&r[1]));
            answer.rows.iter().map(row).collect::<Vec<_>>().join(", ")
        }
        _ => panic!("it is a question"),
    });
    let types: Vec<String> = types.collect();
    let of_rows = "t0 TIME(0), t TIME, u BIGINT UNSIGNED, b BYTEA, i INTERVAL, j JSON, \
                   at TIMESTAMP(2), v VARCHAR(10), n BIGINT, later TIMESTAMP(3), a JSON";
    let of_groups = "j JSON, at TIMESTAMP(3)";
    let of_both = "at TIMESTAMP(2), v VARCHAR(10)";
    let of_calls = "v VARCHAR, n BIGINT, m JSON, a JSON[], l JSON";
    assert_eq!(types, [of_rows, of_groups, of_both, of_calls]);
}

/// What other planners drop or read otherwise.
#[test]
fn traps() {
    let table = "CREATE TABLE c (symbol VARCHAR, tier VARCHAR, tags VARCHAR[], PRIMARY KEY (symbol)) \
                 WITH (connector = 'file', path = 'c', format = 'json');\n";
    for (query, said) in [
        // A version is checked, though of a table that is a file there is but one.
        (
            "SELECT tier FROM trades t JOIN c FOR SYSTEM_TIME AS OF t.event_tim ON t.symbol = c.symbol",
            "E0201 3:58 column \"t.event_tim\"",
        ),
        (
            "SELECT price FROM trades SETTINGS a = 1",
            "E0101 3:26 unexpected \"SETTINGS\"",
        ),
        // EMIT is no alias.
        (
            "SELECT price FROM trades EMIT EVERY INTERVAL '1' SECOND",
            "E0301 3:26 EMIT",
        ),
        (
            "SELECT price FROM trades t EMIT EVERY INTERVAL '1' SECOND",
            "E0301 3:28 EMIT",
        ),
        ("SELECT emit.price FROM trades EMIT CHANGES", "E0202 3:8"),
        // The clock is not folded.
        (
            "SELECT price FROM trades WHERE event_time < PROCTIME()",
            "E0301 3:45 function PROCTIME",
        ),
        (
            "CREATE SOURCE feed (n BIGINT, at TIMESTAMP) WITH (connector = 'file', path = 'f', \
             format = 'json', follow = true);\nSELECT n FROM feed WHERE at < now()",
            "E0301 4:31 function NOW",
        ),
        (
            "SELECT tags FROM trades CROSS JOIN UNNEST(tags) AS tag",
            "E0201",
        ),
        (
            "SELECT tag, ordinality FROM c CROSS JOIN UNNEST(tags) WITH ORDINALITY AS tag",
            "E0301",
        ),
        // What looks like a hint is a comment.
        ("SELECT /*+ no */ prise FROM trades", "E0201 3:18"),
    ] {
        let got = refusal(&format!("{table}{query}"));
        assert!(got.starts_with(said), "{query}\n  {got}");
    }
}

#[test]
fn results_of_one_name_are_told_apart() {
    for (query, names) in [
        ("SELECT symbol, symbol FROM trades", "symbol symbol_2"),
        (
            "SELECT symbol, price AS symbol FROM trades",
            "symbol symbol_2",
        ),
        (
            "SELECT price AS symbol, symbol FROM trades",
            "symbol symbol_2",
        ),
        (
            "SELECT COUNT(*), COUNT(*), 1 AS count_2 FROM trades",
            "count count_3 count_2",
        ),
        (
            "SELECT AVG(price), AVG(volume), symbol FROM trades GROUP BY symbol",
            "avg avg_2 symbol",
        ),
        (
            "SELECT *, symbol FROM trades",
            "symbol price volume event_time symbol_2",
        ),
        (
            "SELECT price AS volume, * FROM trades",
            "volume symbol price volume_2 event_time",
        ),
    ] {
        let planned = plan(query);
        let columns = planned[0].columns.iter().map(|c| c.name());
        assert_eq!(columns.collect::<Vec<_>>().join(" "), names, "{query}");
    }
}

#[test]
fn calls_that_differ_by_a_cast_are_two_columns() {
    for query in [
        "SELECT MAX(symbol), MAX(TRY_CAST(symbol AS BIGINT)) FROM trades",
        "SELECT MAX(CAST(price AS REAL)), MAX(price) FROM trades HAVING MAX(price) > 1",
        "SELECT symbol, CAST(symbol AS VARCHAR) AS c, COUNT(*) FROM trades GROUP BY symbol, c",
        "SELECT volume, COUNT(*) FROM trades GROUP BY volume, CAST(volume AS DOUBLE)",
        "SELECT SUM(volume) + SUM(CAST(volume AS INT)) AS n FROM trades",
    ] {
        assert_eq!(plan(query).len(), 1, "{query}");
    }
}
