//! A group that one split feeds has exactly its sequence of changes, also where it is made of
//! groups or ranks that change and have its key: on any number of shards, in frames of any size.

use std::collections::BTreeMap;

use datafusion::arrow::array::RecordBatch;
use trefoil_ring0::runtime::{Config, Executor};

use crate::compare::{Order, Rows, plan_generic, plan_native, rows, run, script};
use crate::crash;
use crate::tape::Tape;

const COLUMNS: &str = "ts TIMESTAMP, g BIGINT, h BIGINT, k BIGINT, v BIGINT";

/// Queries whose first column says which group a change is of.
const QUERIES: &[&str] = &[
    "SELECT g, COUNT(*) AS n, SUM(c) AS s FROM
     (SELECT g, k, COUNT(*) AS c FROM r GROUP BY g, k) GROUP BY g",
    "SELECT g, MAX(c) AS m, MIN(s) AS l FROM
     (SELECT k, g, COUNT(*) AS c, SUM(v) AS s FROM r GROUP BY g, k HAVING COUNT(*) % 3 > 0)
     GROUP BY g HAVING MAX(c) > 1",
    "SELECT g + 1 AS g, SUM(c) AS s FROM
     (SELECT g, k, COUNT(*) AS c FROM r GROUP BY g, k) GROUP BY g",
    "SELECT g, SUM(s) AS s, MAX(m) AS m FROM
     (SELECT g, h, SUM(c) AS s, MAX(c) AS m FROM
      (SELECT g, h, k, COUNT(*) AS c FROM r GROUP BY g, h, k) GROUP BY g, h) GROUP BY g",
    "SELECT g, h, SUM(c) AS s FROM
     (SELECT h, g, c FROM (SELECT k, g, h, COUNT(*) AS c FROM r GROUP BY g, h, k) WHERE c > 1)
     GROUP BY g, h HAVING h = 1",
    "SELECT g, COUNT(*) AS n FROM (SELECT DISTINCT g, k FROM r) GROUP BY g",
    "SELECT g, k, c FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY g ORDER BY c DESC, k) AS n
     FROM (SELECT g, k, COUNT(*) AS c FROM r GROUP BY g, k)) WHERE n <= 2",
    "SELECT g, SUM(c) AS s, COUNT(*) AS n FROM
     (SELECT *, RANK() OVER (PARTITION BY g, h ORDER BY c DESC) AS n FROM
      (SELECT g, h, k, COUNT(*) AS c FROM r GROUP BY g, h, k)) WHERE n <= 2 GROUP BY g",
    "SELECT g, SUM(v) AS s FROM
     (SELECT *, ROW_NUMBER() OVER (PARTITION BY g, k ORDER BY v DESC, ts DESC) AS n FROM r)
     WHERE n = 1 GROUP BY g",
    "SELECT g, window_start AS w, COUNT(*) AS n, SUM(c) AS s FROM
     (SELECT window_start, window_end, g, k, COUNT(*) AS c
      FROM TUMBLE(r, ts, INTERVAL '10' SECOND) GROUP BY window_start, window_end, g, k)
     GROUP BY window_start, window_end, g",
    "SELECT g, h, COUNT(*) AS n FROM (SELECT g, h, k, c,
      ROW_NUMBER() OVER (PARTITION BY g, h ORDER BY c DESC, k) AS n FROM
      (SELECT g, h, k, COUNT(*) AS c FROM r GROUP BY g, h, k))
     WHERE n <= 2 AND h = 1 GROUP BY g, h",
    "SELECT g, c, COUNT(*) AS n FROM
     (SELECT g, c FROM (SELECT g, COUNT(*) AS c FROM r GROUP BY g)) GROUP BY g, c",
    "SELECT g, window_start AS w, COUNT(*) AS n, SUM(c) AS s FROM
     (SELECT window_start, g, k, COUNT(*) AS c FROM r
      GROUP BY SESSION(ts, INTERVAL '1' SECOND), g, k)
     GROUP BY window_start, g",
    "SELECT g, COUNT(*) AS n FROM
     (SELECT window_end, k, g, COUNT(*) AS c FROM r
      GROUP BY SESSION(ts, INTERVAL '1' SECOND), k, g)
     GROUP BY g",
    "SELECT g, window_start AS w, SUM(c) AS s FROM
     (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, g ORDER BY c DESC, k) AS n FROM
      (SELECT window_start, window_end, g, k, COUNT(*) AS c
       FROM TUMBLE(r, ts, INTERVAL '10' SECOND) GROUP BY window_start, window_end, g, k))
     WHERE n <= 2 GROUP BY window_start, g",
    "SELECT g, k, c FROM (SELECT *, RANK() OVER (PARTITION BY window_start, g ORDER BY c DESC) AS n
     FROM (SELECT window_start, window_end, g, k, COUNT(*) AS c
      FROM TUMBLE(r, ts, INTERVAL '10' SECOND) GROUP BY window_start, window_end, g, k))
     WHERE n <= 2 AND window_start = '2026-01-01'",
    "SELECT i, SUM(n) AS s FROM
     (SELECT g AS i, h, COUNT(*) AS n FROM r GROUP BY g, h) GROUP BY i",
    "SELECT g, COUNT(*) AS n FROM
     (SELECT TUMBLE(ts, INTERVAL '10' SECOND) AS w, g, COUNT(*) AS c FROM r GROUP BY 1, 2)
     GROUP BY g",
];

fn lines(count: usize) -> String {
    let mut tape = Tape::endless(19);
    let mut line = |n: usize| {
        let [g, h, k, v] = [3, 2, 7, 5].map(|below| tape.below(below));
        let at = format!("2026-01-01T00:00:{:02}.{:03}", n / 10, n % 10 * 100);
        format!("{{\"ts\":\"{at}\",\"g\":{g},\"h\":{h},\"k\":{k},\"v\":{v}}}\n")
    };
    (0..count).map(&mut line).collect()
}

/// The changes of each group, in the order in which they came.
fn sequences(batches: &[RecordBatch]) -> BTreeMap<String, Rows> {
    let mut groups: BTreeMap<String, Rows> = BTreeMap::new();
    for row in rows(batches, Order::Said) {
        groups.entry(format!("{:?}", row[1])).or_default().push(row);
    }
    groups
}

#[test]
fn groups_of_groups_have_their_sequence() {
    let lines = lines(300);
    let path = std::env::temp_dir().join(format!("trefoil-{}-sequence.ndjson", std::process::id()));
    std::fs::write(&path, &lines).unwrap();
    for query in QUERIES {
        let files = script(&path, COLUMNS, &format!("{query} EMIT CHANGES"));
        let config = |shards, frame_rows, executor| Config {
            shards,
            frame_rows,
            executor,
            chunk_bytes: 1 + lines.len() / 9,
            ..Config::default()
        };
        let [native, generic] = [plan_native(&files), plan_generic(&files)].map(Result::unwrap);
        let given = |planned: &_, config: Config| sequences(&run(planned, &config).unwrap().0);
        let one = given(&native[0], config(1, 1024, Executor::Threads));
        assert!(one.values().map(Vec::len).sum::<usize>() > 5, "{query}");
        for planned in [&native[0], &generic[0]] {
            for (shards, frame_rows) in [(1, 1), (2, 1), (2, 7), (4, 1), (4, 1024)] {
                for executor in [Executor::Threads, Executor::Uring] {
                    let several = given(planned, config(shards, frame_rows, executor));
                    assert!(
                        several == one,
                        "{query}\n{shards} shards, frames of {frame_rows}, {executor:?}\n\
                         {several:?}\nnot\n{one:?}"
                    );
                }
            }
            let lived = crash::run(planned, &config(2, 7, Executor::Threads)).unwrap();
            let (batches, lives) = lived.expect("it has snapshots");
            assert!(
                lives > 1 && sequences(&batches) == one,
                "{query}\n{lives} lives\n{:?}\nnot\n{one:?}",
                sequences(&batches)
            );
        }
    }
    std::fs::remove_file(&path).unwrap();
}
