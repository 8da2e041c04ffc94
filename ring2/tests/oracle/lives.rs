//! That queries of each kind do go on from snapshots in the midst of what they read, and not only
//! where they had begun nothing yet or had come to the end.

use std::path::Path;

use datafusion::arrow::array::RecordBatch;
use trefoil_ring0::runtime::{Config, Executor};

use crate::changelog::collapsed;
use crate::compare::{Order, Rows, agree, difference, plan_native, rows, run, script};
use crate::crash;
use crate::data::{COLUMNS, lines};

/// How many lives one of the runs has at least.
const LIVES: usize = 3;
/// A run whose barriers all come too late is made again, up to so often.
const RUNS_MAX: usize = 200;

/// A query of each kind, and in which order its rows come.
const KINDS: &[(&str, Order)] = &[
    (
        "SELECT k, window_start, COUNT(*), SUM(i), MAX(s) FROM r \
         GROUP BY k, TUMBLE(ts, INTERVAL '7' MINUTE)",
        Order::Any,
    ),
    (
        "SELECT s, window_start, COUNT(*), SUM(i), MIN(g), MAX(n) FROM r \
         GROUP BY s, HOP(ts, INTERVAL '2' MINUTE, INTERVAL '7' MINUTE)",
        Order::Any,
    ),
    (
        "SELECT window_start, COUNT(*), COUNT(DISTINCT k) FROM r \
         GROUP BY HOP(ts, INTERVAL '2' MINUTE, INTERVAL '7' MINUTE)",
        Order::Any,
    ),
    (
        "SELECT k, window_start, window_end, COUNT(*), MIN(i), COUNT(DISTINCT s) FROM r \
         GROUP BY k, CUMULATE(ts, INTERVAL '3' MINUTE, INTERVAL '15' MINUTE)",
        Order::Any,
    ),
    (
        "SELECT k, window_start, window_end, COUNT(*), SUM(i), MAX(g), MIN(n) FROM r \
         GROUP BY k, SESSION(ts, INTERVAL '2' MINUTE)",
        Order::Any,
    ),
    (
        "SELECT window_start, window_end, COUNT(*) FROM r WHERE k = 1 AND b \
         GROUP BY SESSION(ts, INTERVAL '150' SECOND)",
        Order::Any,
    ),
    (
        "SELECT k, s, COUNT(*), COUNT(DISTINCT i), SUM(i), GROUPING(k, s) FROM r \
         GROUP BY CUBE (k, s)",
        Order::Any,
    ),
    (
        "SELECT k, COUNT(*) AS n FROM r WHERE i > 9223372036854775806 \
         GROUP BY GROUPING SETS ((k), (), ())",
        Order::Any,
    ),
    (
        "SELECT k, s, i, tags, o, n FROM r ORDER BY i DESC, ts",
        Order::Said,
    ),
    (
        "SELECT k, s, ts FROM r ORDER BY k, ts LIMIT 40 OFFSET 3",
        Order::Said,
    ),
    (
        "SELECT k, i, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts, i) AS p, \
                SUM(i) OVER (PARTITION BY k ORDER BY ts, i ROWS 3 PRECEDING) AS q FROM r",
        Order::Any,
    ),
    (
        "SELECT i, LAG(s) OVER (ORDER BY ts, i) AS p, COUNT(*) OVER () AS n FROM r",
        Order::Any,
    ),
    (
        "SELECT k, window_start, COUNT(*), SUM(i) FROM r \
         GROUP BY k, TUMBLE(ts, INTERVAL '7' MINUTE) EMIT CHANGES",
        Order::Any,
    ),
    (
        "SELECT k, window_start, COUNT(*), SUM(i) FROM r \
         GROUP BY k, HOP(ts, INTERVAL '2' MINUTE, INTERVAL '7' MINUTE) EMIT CHANGES",
        Order::Any,
    ),
    (
        "SELECT k, window_start, window_end, COUNT(*), MAX(g) FROM r \
         GROUP BY k, SESSION(ts, INTERVAL '2' MINUTE) EMIT CHANGES",
        Order::Any,
    ),
    (
        "SELECT k, s, COUNT(*), SUM(i) FROM r GROUP BY ROLLUP (k, s) EMIT CHANGES",
        Order::Any,
    ),
];

/// What batches leave: of a changelog what stands.
fn left(query: &str, batches: &[RecordBatch], order: Order) -> Result<Rows, String> {
    match query.ends_with("EMIT CHANGES") {
        true => collapsed(batches).map(|(rows, _)| rows),
        false => Ok(rows(batches, order)),
    }
}

/// Runs a query undisturbed, and until a run had enough lives; whatever it had, the rows are alike.
fn check(path: &Path, chunk_bytes: usize, (query, order): &(&str, Order)) -> Result<(), String> {
    let planned = plan_native(&script(path, COLUMNS, query)).map_err(|e| e.to_string())?;
    let config = |run: usize| Config {
        shards: [1, 2, 4][run % 3],
        frame_rows: [7, 1024][run % 2],
        executor: Executor::Threads,
        chunk_bytes,
        ..Config::default()
    };
    let (batches, _) = run(&planned[0], &config(0))?;
    let whole = left(query, &batches, *order)?;
    for run in 0..RUNS_MAX {
        let lives = crash::run(&planned[0], &config(run))?;
        let (batches, lives) = lives.ok_or("there are no snapshots")?;
        let got = left(query, &batches, *order)?;
        if !agree(&got, &whole, *order) {
            let told = difference(&Ok(got), &Ok(whole));
            return Err(format!(
                "{lives} lives, beginning with {:?}\n{told}",
                config(run)
            ));
        }
        if lives >= LIVES {
            return Ok(());
        }
    }
    Err(format!("no run had {LIVES} lives"))
}

#[test]
fn queries_of_each_kind_have_several_lives() {
    let lines = lines(1500, 21);
    let name = format!("trefoil-{}-lives.ndjson", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, &lines).unwrap();
    let chunk_bytes = 1 + lines.len() / 40;
    let ran = KINDS.iter().map(|kind| {
        check(&path, chunk_bytes, kind).map_err(|difference| format!("{}\n{difference}", kind.0))
    });
    let differences: Vec<_> = ran.filter_map(Result::err).collect();
    std::fs::remove_file(path).unwrap();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}
