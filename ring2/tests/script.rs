//! Scripts are planned into the expected shapes, or refused at the expected places.

#![allow(clippy::unwrap_used)] // These are tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use trefoil::oracle::Constants;
use trefoil::{Error, PlannedQuery, ResultColumn, SourceFile, plan_script};
use trefoil_ring0::program::{
    AggregateSpec, ChangesSpec, OperatorSpec, Order, Phase, Routing, StageSpec,
};

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile {
        name: name.into(),
        text: text.into(),
        base: PathBuf::from("/data"),
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../harness/tests/fr082")
}

fn read(path: &str) -> SourceFile {
    file(path, &std::fs::read_to_string(folder().join(path)).unwrap())
}

fn plan(text: &str) -> Result<PlannedQuery, Error> {
    let mut all = plan_script(&[read("schema.sql"), file("q.sql", text)])?;
    assert_eq!(all.len(), 1);
    Ok(all.remove(0))
}

fn plan_query(name: &str) -> Result<Vec<PlannedQuery>, Error> {
    plan_script(&[read("schema.sql"), read(&format!("queries/{name}"))])
}

fn shape(stage: &StageSpec) -> String {
    let name = |o: &OperatorSpec| match o {
        OperatorSpec::Filter(_) => "filter".to_string(),
        OperatorSpec::FilterChanges(_) => "filter changes".to_string(),
        OperatorSpec::Project { .. } => "project".to_string(),
        OperatorSpec::Sessions(_) => "sessions".to_owned(),
        OperatorSpec::Panes(_) => "panes".to_owned(),
        OperatorSpec::Windows(_) => "windows".to_owned(),
        OperatorSpec::Sort(_) => "sort".to_owned(),
        OperatorSpec::Over(_) => "over".to_owned(),
        OperatorSpec::Latest(_) => "latest".to_owned(),
        OperatorSpec::Join(_) => "join".to_string(),
        OperatorSpec::Changing(ChangesSpec::Aggregate(_)) => "retract".to_owned(),
        OperatorSpec::Changing(ChangesSpec::MarkFirst { .. }) => "mark changes".to_owned(),
        OperatorSpec::Changing(ChangesSpec::Apart(_)) => "apart".to_owned(),
        OperatorSpec::Changing(ChangesSpec::Ranked(_)) => "ranked".to_owned(),
        OperatorSpec::Changing(ChangesSpec::Paced(_)) => "paced".to_owned(),
        OperatorSpec::Changing(ChangesSpec::Captured(_)) => "captured".to_owned(),
        OperatorSpec::Aggregate(a) => format!("{:?}", a.phase).to_lowercase(),
        OperatorSpec::MarkFirst { .. } => "mark first".to_owned(),
        OperatorSpec::DropLate(_) => "drop late".to_owned(),
        OperatorSpec::Unnest { .. } => "unnest".to_owned(),
        OperatorSpec::Repeat(_) => "repeat".to_owned(),
        OperatorSpec::Standing(_) => "standing".to_owned(),
        OperatorSpec::Applied => "applied".to_owned(),
    };
    stage
        .operators
        .iter()
        .map(name)
        .collect::<Vec<_>>()
        .join(" ")
}

fn shapes(query: &PlannedQuery) -> Vec<String> {
    query.program.stages.iter().map(shape).collect()
}

fn aggregate(query: &PlannedQuery) -> &AggregateSpec {
    let found = |o: &'_ _| match o {
        OperatorSpec::Aggregate(a) if a.phase != Phase::Partial => Some(Arc::clone(a)),
        _ => None,
    };
    let spec = query.program.stages[1]
        .operators
        .iter()
        .find_map(found)
        .unwrap();
    Box::leak(Box::new((*spec).clone()))
}

#[test]
fn queries_of_the_analysis_have_the_expected_shapes() {
    let cases: [(&str, &[&str], Option<Routing>); 4] = [
        ("01_test_stream_projection.sql", &["filter project"], None),
        (
            "03_orders_by_customer.sql",
            &["project", "complete project"],
            Some(Routing::Hash(vec![0])),
        ),
        (
            "04_sensor_stats.sql",
            &["project", "complete project"],
            Some(Routing::Hash(vec![0, 1])),
        ),
        (
            "09_trades_global.sql",
            &["project partial", "final project"],
            Some(Routing::Single),
        ),
    ];
    for (name, expected, routing) in cases {
        let all = plan_query(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(shapes(&all[0]), expected, "{name}");
        let got = all[0].program.exchanges.first().map(|e| e.routing.clone());
        assert_eq!(got, routing, "{name}");
    }
    let all = plan_query("01_test_stream_projection.sql").unwrap();
    let names: Vec<_> = all[0].program.outputs[0]
        .schema
        .fields
        .iter()
        .map(|f| &f.name)
        .collect();
    assert_eq!(names, ["id", "name", "name_upper", "doubled_value"]);
}

#[test]
fn tumbling_windows_are_a_key_and_two_results() {
    let query = plan(
        "SELECT symbol, TUMBLE(event_time, INTERVAL '5' MINUTE) AS w, COUNT(*) AS n, window_end \
         FROM trades GROUP BY symbol, w HAVING COUNT(*) > 1 EMIT ON WINDOW CLOSE",
    )
    .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        shapes(&query),
        ["project", "drop late complete filter project"]
    );
    let spec = aggregate(&query);
    assert_eq!(
        spec.window.map(|w| (w.key, w.size_ns)),
        Some((1, 300_000_000_000))
    );
    let exchange = &query.program.exchanges[0];
    assert_eq!(
        (&exchange.routing, exchange.order),
        (&Routing::Hash(vec![0]), Order::Chunks { bound: Some(2) })
    );
    let time = query.program.sources[0].event_time.unwrap();
    assert_eq!(time.lag_ns, Some(5_000_000_000));
    let name = "w".to_string();
    let (start, end) = (1, 2);
    assert_eq!(query.columns[1], ResultColumn::Window { name, start, end });
}

/// Code, line, column, text.
const REFUSED: [(&str, u64, u64, &str); 26] = [
    ("E0101", 1, 25, "SELECT malformed syntax here..."),
    ("E0101", 1, 1, "HELLO"),
    ("E0101", 1, 30, "SELECT id FROM test_stream x y"),
    ("E0102", 1, 8, "SELECT 'abc"),
    ("E0201", 1, 8, "SELECT valu FROM test_stream"),
    ("E0201", 2, 7, "SELECT id FROM test_stream\nWHERE foo > 1"),
    ("E0202", 1, 16, "SELECT id FROM test_strem"),
    ("E0202", 1, 8, "SELECT x.id FROM test_stream"),
    ("E0203", 1, 8, "SELECT value, COUNT(*) FROM test_stream"),
    (
        "E0203",
        1,
        12,
        "SELECT id, name FROM test_stream GROUP BY id",
    ),
    ("E0204", 1, 8, "SELECT foo(id) FROM test_stream"),
    (
        "E0207",
        1,
        34,
        "SELECT id FROM test_stream WHERE SUM(value) > 1",
    ),
    (
        "E0207",
        1,
        21,
        "SELECT DISTINCT ON (id) id FROM test_stream",
    ),
    (
        "E0301",
        1,
        28,
        "SELECT id FROM test_stream EMIT EVERY INTERVAL '1' SECOND",
    ),
    (
        "E0301",
        1,
        28,
        "SELECT id FROM test_stream ASOF JOIN trades MATCH_CONDITION (test_stream.event_time >= \
         trades.event_time) ON name = symbol AND id < trade_id",
    ),
    (
        "E0301",
        1,
        9,
        "SELECT (SELECT MAX(id) FROM test_stream GROUP BY id) AS a FROM trades EMIT CHANGES",
    ),
    (
        "E0301",
        1,
        8,
        "SELECT NTH_VALUE(id, 2 ORDER BY value) FROM test_stream",
    ),
    (
        "E0301",
        1,
        8,
        "SELECT ARRAY_AGG(DISTINCT id ORDER BY value) FROM test_stream",
    ),
    ("E0301", 1, 8, "SELECT PROCTIME() FROM test_stream"),
    ("E0202", 1, 13, "INSERT INTO a VALUES (1)"),
    (
        "E0103",
        1,
        36,
        "CREATE SOURCE a (b BIGINT) WITH (  pth = 'x')",
    ),
    (
        "E0104",
        1,
        34,
        "CREATE SOURCE a (b BIGINT) WITH (path = 'x')",
    ),
    (
        "E0205",
        1,
        28,
        "CREATE SOURCE a (b BIGINT, b DATE) WITH (path = 'x')",
    ),
    (
        "E0302",
        1,
        20,
        "CREATE SOURCE a (b BIGNT) WITH (path = 'x')",
    ),
    (
        "E0401",
        1,
        8,
        "SELECT TUMBLE_END(event_time, INTERVAL '1' DAY) FROM trades",
    ),
    (
        "E0401",
        1,
        45,
        "SELECT COUNT(*) FROM trades GROUP BY TUMBLE(symbol, INTERVAL '1' HOUR)",
    ),
];

#[test]
fn wrong_statements_are_refused_at_their_place() {
    let mut wrong = Vec::new();
    for (code, line, column, text) in REFUSED {
        let got = match plan(text) {
            Err(Error::Sql(e)) => format!("{} {}:{} {}", e.code, e.line, e.column, e.message),
            other => format!("{other:?}"),
        };
        if !got.starts_with(&format!("{code} {line}:{column} ")) {
            wrong.push(format!(
                "{text}\n   expected {code} {line}:{column}\n   got {got}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_ungrouped_column_of_the_analysis_is_found() {
    let Err(Error::Sql(e)) = plan_query("07_sliding_zscore_invalid.sql") else {
        panic!("07 was planned");
    };
    assert_eq!((e.code, e.line, e.column), ("E0203", 9, 6));
    assert!(e.to_string().contains("\"value\""), "{e}");
}

#[test]
fn conditions_are_lowered_and_the_oracle_runs_the_same_text() {
    for text in [
        "SELECT order_id FROM orders WHERE order_date >= DATE '2025-11-06' - INTERVAL '30' DAY",
        "SELECT order_id FROM orders WHERE order_date >= '2025-11-06' AND customer_id IN ('a', 'b')",
        "SELECT order_id FROM orders WHERE event_time < TIMESTAMP '2025-11-06 00:00:00'",
        "SELECT o.* FROM orders o WHERE NOT o.order_amount BETWEEN 1 AND 2.5",
        "SELECT COUNT(*) FROM orders",
        "SELECT symbol, AVG(volume), STDDEV(volume), VARIANCE(price) FROM trades GROUP BY 1",
        "SELECT TUMBLE(event_time, INTERVAL '1' HOUR), COUNT(*) FROM trades \
         GROUP BY TUMBLING(event_time, INTERVAL '1' HOUR)",
    ] {
        plan(text).unwrap_or_else(|e| panic!("{e}"));
        let files = [read("schema.sql"), file("q.sql", text)];
        let got = trefoil::oracle::batch(&files, &[], SystemTime::UNIX_EPOCH, Constants::Known)
            .unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(got.len(), 1);
    }
}
