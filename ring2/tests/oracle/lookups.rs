//! Windows over streams that are joined with tables: what is late, and what a window has, is as if
//! nothing were joined and the table's keys stood in WHERE.

use trefoil_ring0::runtime::Config;

use crate::compare::{self, Order, agree, rows};
use crate::data::{COLUMNS, lines};
use crate::endless::{bounded, endless};

/// What is joined, and what says the same without it.
const PAIRS: [(&str, &str); 8] = [
    (
        "FROM q AS a JOIN names AS m ON a.k = m.key GROUP BY m.name, TUMBLE(a.ts, WIDTH)",
        "FROM q AS a WHERE k < 2 GROUP BY k, TUMBLE(a.ts, WIDTH)",
    ),
    (
        "FROM q AS a JOIN names FOR SYSTEM_TIME AS OF a.ts AS m ON a.k = m.key \
         GROUP BY m.name, TUMBLE(a.ts, WIDTH)",
        "FROM q AS a WHERE k < 2 GROUP BY k, TUMBLE(a.ts, WIDTH)",
    ),
    (
        "FROM names AS m JOIN q AS a ON a.k = m.key WHERE a.i > 0 GROUP BY TUMBLE(a.ts, WIDTH)",
        "FROM q AS a WHERE k < 2 AND a.i > 0 GROUP BY TUMBLE(a.ts, WIDTH)",
    ),
    (
        "FROM q AS a LEFT JOIN names AS m ON a.k = m.key \
         GROUP BY m.name, TUMBLE(a.ts, WIDTH)",
        "FROM q AS a GROUP BY CASE WHEN k < 2 THEN k END, TUMBLE(a.ts, WIDTH)",
    ),
    (
        "FROM q AS a JOIN names AS m ON a.k = m.key JOIN names AS o ON o.key = m.key + 1 \
         GROUP BY o.name, TUMBLE(a.ts, WIDTH)",
        "FROM q AS a WHERE k < 1 GROUP BY k, TUMBLE(a.ts, WIDTH)",
    ),
    (
        "FROM q AS a WHERE k IN (SELECT key FROM names) GROUP BY TUMBLE(a.ts, WIDTH)",
        "FROM q AS a WHERE k < 2 GROUP BY TUMBLE(a.ts, WIDTH)",
    ),
    (
        "FROM TUMBLE(q, ts, WIDTH) AS a JOIN names AS m ON a.k = m.key \
         GROUP BY a.window_start, a.window_end, m.name",
        "FROM TUMBLE(q, ts, WIDTH) AS a WHERE k < 2 GROUP BY a.window_start, a.window_end, k",
    ),
    (
        "FROM HOP(q, ts, INTERVAL '5' SECOND, WIDTH) AS a JOIN names AS m ON a.k = m.key \
         GROUP BY a.window_start, m.name",
        "FROM HOP(q, ts, INTERVAL '5' SECOND, WIDTH) AS a WHERE k < 2 \
         GROUP BY a.window_start, k",
    ),
];

#[test]
fn windows_of_streams_beside_tables() {
    let folder = std::env::temp_dir();
    let [path, names] = ["lookups", "names"]
        .map(|name| folder.join(format!("trefoil-{}-{name}.ndjson", std::process::id())));
    std::fs::write(&path, lines(400, 11)).unwrap();
    let named = (-2..2).map(|key| format!("{{\"key\":{key},\"name\":\"n{key}\"}}\n"));
    std::fs::write(&names, named.collect::<String>()).unwrap();
    let table = format!(
        "CREATE TABLE names (key BIGINT, name VARCHAR) WITH (connector = 'file', path = '{}', \
         format = 'json')",
        names.display()
    );
    for (joined, plain) in PAIRS {
        let query = |from: &str| {
            let from = from.replace("WIDTH", "INTERVAL '10' SECOND");
            format!("SELECT COUNT(*) AS n, SUM(a.i) AS t, MIN(a.ts) AS first {from}")
        };
        let config = |shards, frame_rows| Config {
            shards,
            frame_rows,
            chunk_bytes: 1024,
            ..Config::default()
        };
        let answer = |planned| {
            let (batches, _) = compare::run(&planned, &config(1, 7)).unwrap();
            rows(&batches, Order::Any)
        };
        let wanted = answer(endless(&path, COLUMNS, "1", &query(plain)));
        let all = answer(bounded(&path, COLUMNS, "100000", &query(plain)));
        assert!(
            !agree(&wanted, &all, Order::Any),
            "nothing is late: {plain}"
        );
        let text = format!("{table};\n{}", query(joined));
        let planned = endless(&path, COLUMNS, "1", &text);
        assert!(!planned.changes, "{joined}");
        for (shards, frame_rows) in [(1, 1), (1, 1024), (2, 7), (4, 1), (4, 1024)] {
            let (batches, _) = compare::run(&planned, &config(shards, frame_rows)).unwrap();
            let got = rows(&batches, Order::Any);
            let (got_rows, wanted_rows) = (got.len(), wanted.len());
            assert!(
                agree(&got, &wanted, Order::Any),
                "{joined} at {shards} shards, {frame_rows} rows: {got_rows} of {wanted_rows}"
            );
        }
    }
    std::fs::remove_file(path).unwrap();
    std::fs::remove_file(names).unwrap();
}

/// What no watermark closes is a changelog, as it is without a window.
#[test]
fn windows_that_nothing_closes_change() {
    let path = std::path::Path::new("q.ndjson");
    let table = "CREATE TABLE names (key BIGINT, at TIMESTAMP, name VARCHAR) \
                 WITH (connector = 'file', path = 'names.ndjson', format = 'json')";
    let width = "INTERVAL '10' SECOND";
    for query in [
        format!(
            "SELECT a.window_start, COUNT(*) AS n FROM TUMBLE(q, ts, {width}) AS a \
             ASOF JOIN names AS m MATCH_CONDITION (a.ts >= m.at) ON a.k = m.key \
             GROUP BY a.window_start"
        ),
        format!(
            "SELECT a.window_start, COUNT(*) AS n FROM TUMBLE(q, t, {width}) AS a \
             JOIN names AS m ON a.k = m.key GROUP BY a.window_start"
        ),
        format!(
            "SELECT a.window_start, MAX(a.window_end) AS e \
             FROM CUMULATE(q, ts, INTERVAL '5' SECOND, {width}) AS a \
             JOIN names AS m ON a.k = m.key GROUP BY a.window_start"
        ),
        "SELECT a.ts, COUNT(*) AS n FROM q AS a JOIN names AS m ON a.k = m.key GROUP BY a.ts"
            .to_owned(),
    ] {
        let planned = endless(path, COLUMNS, "1", &format!("{table};\n{query}"));
        assert!(planned.changes, "{query}");
    }
}
