//! A query that is ended again and again and goes on from its snapshots, with other shards each
//! time: what it gives before the barriers is what it gives undisturbed.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use trefoil::{PlannedQuery, convert};
use trefoil_ring0::runtime::{Config, Executor, Next, Running, start_from};
use trefoil_ring0::snapshot::{Piece, Restore, Told, refusal};

use crate::changelog::collapsed;
use crate::compare::{self, Order, agree, plan_native, rows, script};
use crate::data::{COLUMNS, lines};
use crate::endless::{bounded, endless};

/// Shards of one life after the other.
const SHARDS: [usize; 4] = [1, 2, 4, 3];

/// What a query gives in several lives, and how many these were; `None` where it has no snapshots.
pub(super) fn run(
    planned: &PlannedQuery,
    config: &Config,
) -> Result<Option<(Vec<RecordBatch>, usize)>, String> {
    if let Some(why) = refusal(&planned.program) {
        println!("no snapshots: {why}");
        return Ok(None);
    }
    let mut restore = None;
    let mut batches = Vec::new();
    for life in 1.. {
        let shards = match life {
            1 => config.shards,
            _ => SHARDS[(config.shards + life) % SHARDS.len()],
        };
        let config = Config {
            shards,
            combine_groups: [2, config.combine_groups, 0][life % 3],
            // glommio leaves a descriptor behind for each executor, and these are many.
            executor: Executor::Threads,
            ..config.clone()
        };
        let running = start_from(&planned.program, &config, restore.as_ref());
        let mut running = running.map_err(|e| e.to_string())?;
        let (rows, snapshot) = live(planned, &mut running, life as u64)?;
        batches.extend(rows);
        match snapshot {
            Some(pieces) => restore = Some(Restore::new(shards, running.begun(), pieces)),
            None => return Ok(Some((batches, life))),
        }
    }
    unreachable!("lives are not counted to the end")
}

/// The rows before the barrier, and all that shards told of it; or all rows, where it came too
/// late.
#[expect(clippy::type_complexity, reason = "two things of one life")]
fn live(
    planned: &PlannedQuery,
    running: &mut Running,
    epoch: u64,
) -> Result<(Vec<RecordBatch>, Option<Vec<(usize, Piece)>>), String> {
    let schema = Arc::clone(&planned.program.outputs[0].schema);
    let shards = running.shards();
    running.ask_barrier(epoch);
    let (mut batches, mut pieces) = (Vec::new(), Vec::new());
    let mut done = vec![false; shards];
    let (mut is_behind, mut is_over) = (false, false);
    // Who has ended before has nothing to tell.
    while !(is_behind || is_over) || is_behind && !done.iter().all(|done| *done) {
        for shard in running.ended_shards() {
            done[shard] = true;
        }
        while let Some((shard, told)) = running.next_told() {
            match told {
                Told::Piece(piece) => pieces.push((shard, piece)),
                Told::Done {
                    epoch: of,
                    pieces: last,
                    ..
                } => {
                    assert_eq!(of, epoch);
                    pieces.extend(last.into_iter().map(|piece| (shard, piece)));
                    done[shard] = true;
                }
            }
        }
        let wait = std::time::Duration::from_millis(1);
        match running
            .next_block_timeout(wait)
            .map_err(|e| e.to_string())?
        {
            Next::Block(block) => {
                if !is_behind {
                    let rows = convert::record_batch(&schema, block.rows());
                    batches.push(rows.map_err(|e| e.to_string())?);
                }
                running.give_back(block);
            }
            Next::Barrier(_, of) => {
                assert_eq!(of, epoch);
                is_behind = true;
            }
            Next::Nothing => {}
            Next::End => is_over = true,
        }
    }
    Ok((batches, is_behind.then_some(pieces)))
}

/// Of each kind of state at least one query that is ended several times.
const KINDS: &[&str] = &[
    "SELECT k, COUNT(*), SUM(x), MAX(s) FROM r GROUP BY k",
    "SELECT a.i, c.s FROM r AS a JOIN r AS c ON a.i = c.k",
    "SELECT a.i, c.k, c.s FROM r AS a RIGHT JOIN r AS c ON a.i = c.k AND a.x > 3.0",
    "SELECT a.i, a.s, c.k, c.s FROM r AS a FULL JOIN r AS c ON a.i = c.k AND a.b AND NOT c.b",
    "SELECT c.k, c.s FROM r AS a RIGHT SEMI JOIN r AS c ON a.i = c.k AND a.s <> c.s",
    "SELECT c.k, c.s FROM r AS a RIGHT ANTI JOIN r AS c ON a.i = c.k",
    "SELECT i FROM r WHERE b OR EXISTS (SELECT 1 FROM r AS c WHERE c.k = r.i)",
    "SELECT i, s FROM r WHERE NOT EXISTS (SELECT 1 FROM r AS c WHERE c.k = r.i AND c.x > r.x)",
    "SELECT n, COUNT(*) AS c, SUM(a) AS s, MIN(a) AS l, MEDIAN(a) AS m FROM \
     (SELECT k, COUNT(*) AS n, SUM(x) AS a FROM r GROUP BY k) t GROUP BY n EMIT CHANGES",
    "SELECT b, COUNT(DISTINCT n) AS c FROM (SELECT b, k, COUNT(*) AS n FROM r GROUP BY b, k) t \
     GROUP BY b EMIT CHANGES",
    "SELECT k, n, RANK() OVER (ORDER BY n DESC) AS p FROM \
     (SELECT k, COUNT(*) AS n FROM r GROUP BY k) t EMIT CHANGES",
    "SELECT b, k, n FROM (SELECT b, k, n, ROW_NUMBER() OVER (PARTITION BY b ORDER BY n DESC, k) \
     AS p FROM (SELECT b, k, COUNT(*) AS n FROM r GROUP BY b, k) t) u WHERE p <= 2 EMIT CHANGES",
    "SELECT k, n, LAG(n) OVER (ORDER BY k) AS a FROM \
     (SELECT k, COUNT(*) AS n FROM r GROUP BY k) u EMIT CHANGES",
    "SELECT k, COUNT(*) AS n FROM r GROUP BY k ORDER BY n DESC, k LIMIT 2 EMIT CHANGES",
    "SELECT k, w, n, RANK() OVER (PARTITION BY w ORDER BY n DESC) AS p FROM (SELECT k, \
     window_start AS w, COUNT(*) AS n FROM r GROUP BY k, TUMBLE(ts, INTERVAL '3' MINUTE)) t",
];

#[test]
fn kinds_of_state_have_several_lives() {
    let lines = lines(600, 17);
    let path = std::env::temp_dir().join(format!("trefoil-{}-lives.ndjson", std::process::id()));
    std::fs::write(&path, &lines).unwrap();
    for query in KINDS {
        let planned = plan_native(&script(&path, COLUMNS, query)).unwrap();
        let config = Config {
            shards: 2,
            frame_rows: 7,
            chunk_bytes: 1 + lines.len() / 60,
            ..Config::default()
        };
        assert_eq!(refusal(&planned[0].program), None, "{query}");
        // How far shards come before the first barrier is theirs to say.
        let mut lives = (0..50).map(|_| run(&planned[0], &config).unwrap().map_or(0, |ran| ran.1));
        assert!(lives.any(|lives| lives >= 3), "{query}");
    }
    std::fs::remove_file(path).unwrap();
}

/// Rows that nothing is kept of: each is given once, wherever the barriers fall.
#[test]
fn rows_are_given_once_in_any_number_of_lives() {
    let lines = lines(120, 29);
    let path = std::env::temp_dir().join(format!("trefoil-{}-once.ndjson", std::process::id()));
    std::fs::write(&path, &lines).unwrap();
    let query = "SELECT k, s, i FROM r WHERE b IS NOT DISTINCT FROM TRUE AND k = 1 OR \
                 k IS DISTINCT FROM i + 1";
    let planned = plan_native(&script(&path, COLUMNS, query)).unwrap();
    let rounds = std::env::var("TREFOIL_LIVES_ROUNDS").map_or(60, |n| n.parse().unwrap());
    for (round, shards) in (0..rounds).flat_map(|round| [2, 4].map(|s| (round, s))) {
        let config = Config {
            shards,
            frame_rows: 1 + round % 7,
            chunk_bytes: 1 + lines.len() / (5 + 11 * (round % 5)),
            ..Config::default()
        };
        let (wanted, _) = compare::run(&planned[0], &config).unwrap();
        let (got, lives) = run(&planned[0], &config).unwrap().expect("snapshots");
        let [got, wanted] = [&got, &wanted].map(|batches| rows(batches, Order::Any));
        assert!(
            got == wanted,
            "round {round}: {shards} shards, {lives} lives: {} rows for {}",
            got.len(),
            wanted.len()
        );
    }
    std::fs::remove_file(path).unwrap();
}

/// Rows in disorder: what is late in a life behind another is what is late undisturbed.
#[test]
fn what_is_late_is_late_in_any_life() {
    let lines: Vec<String> = lines(900, 23).lines().map(ToOwned::to_owned).collect();
    let late = |(n, line): (usize, &String)| {
        // One row is far ahead of those behind it, in whichever of them a chunk begins.
        let at = 1_000_000 + n * 20
            - if n % 40 == 0 {
                0
            } else {
                301 + n % 40 * 20 + n % 3
            };
        let (second, ms) = (at / 1000, at % 1000);
        let (minute, second) = (second / 60 % 60, second % 60);
        let time = format!("\"te\":\"2025-01-01T00:{minute:02}:{second:02}.{ms:03}\"");
        line.replacen('{', &format!("{{{time},"), 1) + "\n"
    };
    let lines: String = lines.iter().enumerate().map(late).collect();
    let path = std::env::temp_dir().join(format!("trefoil-{}-late.ndjson", std::process::id()));
    std::fs::write(&path, &lines).unwrap();
    let text = format!(
        "CREATE SOURCE r (te TIMESTAMP(3), {COLUMNS}, WATERMARK FOR te AS te - INTERVAL '0.3' \
         SECOND) WITH (connector = 'file', path = '{}', format = 'json');\n\
         SELECT k, window_start, window_end, COUNT(*) AS n FROM r \
         GROUP BY k, SESSION(te, INTERVAL '0.001' SECOND);",
        path.display()
    );
    let files = [trefoil::SourceFile {
        name: "late.sql".to_owned(),
        text,
        base: std::path::PathBuf::new(),
    }];
    let planned = plan_native(&files).unwrap();
    assert_eq!(refusal(&planned[0].program), None);
    for (shards, round) in [1, 2, 4]
        .into_iter()
        .flat_map(|s| (0..8).map(move |n| (s, n)))
    {
        let config = Config {
            shards,
            frame_rows: 7,
            chunk_bytes: 1 + lines.len() / 60,
            ..Config::default()
        };
        let (wanted, _) = compare::run(&planned[0], &config).unwrap();
        let (got, lives) = run(&planned[0], &config).unwrap().expect("snapshots");
        let [got, wanted] = [&got, &wanted].map(|batches| rows(batches, Order::Any));
        let [more, less] = [(&got, &wanted), (&wanted, &got)].map(|(a, b)| {
            let only = a.iter().filter(|row| !b.contains(row));
            only.collect::<Vec<_>>()
        });
        assert!(
            got == wanted,
            "{shards} shards, {lives} lives, round {round}: {more:#?} {less:#?}"
        );
        assert!(wanted.len() < 50, "most are late");
    }
    std::fs::remove_file(path).unwrap();
}

/// A join that has ended is made again for nothing while the program goes on.
#[test]
fn a_join_that_has_ended_gives_nothing_again() {
    let file = |name: &str, count: u64| {
        let name = format!("trefoil-{}-{name}.ndjson", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, lines(count, 3)).unwrap();
        path
    };
    let (few, many) = (file("few", 9), file("many", 900));
    let query = "SELECT a.i, c.k FROM q AS a RIGHT JOIN q AS c ON a.i = c.k \
                 UNION ALL SELECT i, k FROM r";
    let mut files = script(&many, COLUMNS, query);
    let also = format!(
        "CREATE SOURCE q ({COLUMNS}) WITH (connector = 'file', path = '{}', format = 'json');\n",
        few.display()
    );
    files[0].text.insert_str(0, &also);
    let planned = plan_native(&files).unwrap();
    assert_eq!(refusal(&planned[0].program), None);
    for shards in [1, 2, 4] {
        let config = Config {
            shards,
            frame_rows: 7,
            chunk_bytes: 1024,
            ..Config::default()
        };
        let (wanted, _) = compare::run(&planned[0], &config).unwrap();
        let mut most = 0;
        for _ in 0..50 {
            let (got, lives) = run(&planned[0], &config).unwrap().expect("snapshots");
            let [got, wanted] = [&got, &wanted].map(|batches| rows(batches, Order::Any));
            assert!(
                agree(&got, &wanted, Order::Any),
                "{shards} shards, {lives} lives"
            );
            most = most.max(lives);
            if most >= 3 {
                break;
            }
        }
        assert!(most >= 3, "{shards} shards");
    }
    std::fs::remove_file(few).unwrap();
    std::fs::remove_file(many).unwrap();
}

/// Of two inputs without an end, joined near each other in time.
const NEAR: &[&str] = &[
    "SELECT a.i, c.i FROM q AS a JOIN r AS c ON a.k = c.k AND a.i <> c.i \
     AND c.ts BETWEEN a.ts - INTERVAL '9' SECOND AND a.ts + INTERVAL '5' SECOND",
    "SELECT a.i, a.ts, c.i, c.s FROM q AS a FULL JOIN r AS c ON a.k = c.k AND a.s < c.s \
     AND c.ts BETWEEN a.ts - INTERVAL '30' SECOND AND a.ts + INTERVAL '30' SECOND",
    "SELECT a.k, a.s, c.i FROM q AS a LEFT JOIN r AS c ON a.k = c.k AND a.b \
     AND c.ts BETWEEN a.ts AND a.ts + INTERVAL '20' SECOND",
    "SELECT a.i, c.i FROM q AS a RIGHT JOIN r AS c \
     ON c.ts BETWEEN a.ts - INTERVAL '2' SECOND AND a.ts",
    "SELECT a.i, a.s FROM q AS a LEFT ANTI JOIN r AS c ON a.k = c.k AND a.i < c.i \
     AND c.ts BETWEEN a.ts - INTERVAL '30' SECOND AND a.ts + INTERVAL '30' SECOND",
    "SELECT i, s FROM q WHERE b OR EXISTS (SELECT 1 FROM r WHERE r.k = q.k AND r.s > q.s \
     AND r.ts BETWEEN q.ts AND q.ts + INTERVAL '2' MINUTE)",
];

/// Of two inputs without an end, in the same windows.
const WINDOWED: &[&str] = &[
    "SELECT a.window_start, a.k, a.i, c.i AS j FROM TUMBLE(q, ts, INTERVAL '1' MINUTE) AS a \
     JOIN TUMBLE(r, ts, INTERVAL '1' MINUTE) AS c ON a.k = c.k AND a.window_start = c.window_start \
     AND a.window_end = c.window_end",
    "SELECT a.k, a.i, c.i AS j, c.window_end FROM TUMBLE(q, ts, INTERVAL '1' MINUTE) AS a \
     FULL JOIN (SELECT * FROM TUMBLE(r, ts, INTERVAL '1' MINUTE) WHERE b) AS c \
     ON a.k = c.k AND a.s < c.s \
     AND a.window_start = c.window_start AND a.window_end = c.window_end",
    "SELECT a.k, a.i, c.i AS j, a.window_end FROM HOP(q, ts, INTERVAL '1' MINUTE, \
     INTERVAL '2' MINUTE) AS a LEFT JOIN HOP(r, ts, INTERVAL '1' MINUTE, INTERVAL '2' MINUTE) AS c \
     ON a.k = c.i AND a.window_start = c.window_start AND a.window_end = c.window_end",
    "SELECT a.i, a.window_start FROM TUMBLE(q, ts, INTERVAL '5' MINUTE) AS a LEFT SEMI JOIN \
     TUMBLE(r, ts, INTERVAL '5' MINUTE) AS c ON a.k = c.k AND a.i < c.i \
     AND a.window_start = c.window_start",
    "SELECT c.i, c.window_start FROM TUMBLE(q, ts, INTERVAL '1' MINUTE) AS a RIGHT ANTI JOIN \
     TUMBLE(r, ts, INTERVAL '1' MINUTE) AS c ON a.window_start = c.window_start AND a.k = c.k \
     AND a.s < c.s",
    "SELECT a.k, a.window_start, a.n, c.m FROM \
     (SELECT k, window_start, COUNT(*) AS n FROM q GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)) \
     AS a RIGHT JOIN (SELECT k, window_start, MAX(i) AS m FROM r \
     GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)) AS c \
     ON a.k = c.k AND a.window_start = c.window_start",
    "SELECT a.i, c.n FROM TUMBLE(q, ts, INTERVAL '1' MINUTE) AS a JOIN \
     (SELECT k, window_start, window_end, COUNT(*) AS n FROM r \
     GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)) AS c \
     ON a.k = c.k AND a.window_start = c.window_start AND a.window_end = c.window_end",
    "SELECT w, i, j FROM (SELECT a.window_start AS w, a.i, c.i AS j, \
     RANK() OVER (PARTITION BY a.window_start ORDER BY a.i, c.i) AS n \
     FROM TUMBLE(q, ts, INTERVAL '1' MINUTE) AS a JOIN TUMBLE(r, ts, INTERVAL '1' MINUTE) AS c \
     ON a.k = c.k AND a.window_start = c.window_start) AS t WHERE n <= 2",
];

/// Of two inputs without an end of which nothing says when rows match no more.
const REGULAR: &[&str] = &[
    "SELECT a.i, c.i AS j FROM q AS a JOIN r AS c ON a.k = c.k AND a.i < c.i",
    "SELECT a.k, a.s, c.i FROM q AS a LEFT JOIN r AS c ON a.k = c.i AND c.b",
    "SELECT a.i, c.k, c.s FROM q AS a FULL JOIN r AS c ON a.k = c.i",
    "SELECT a.i FROM q AS a LEFT ANTI JOIN r AS c ON a.k = c.k AND a.x < c.x",
    "SELECT c.i FROM q AS a RIGHT SEMI JOIN r AS c ON a.k = c.k AND a.s < c.s",
    "SELECT a.i FROM q AS a LEFT SEMI JOIN (SELECT k, MAX(i) AS m FROM r GROUP BY k) AS c \
     ON a.k = c.k AND a.i < c.m",
    "SELECT a.n, COUNT(*) AS m FROM (SELECT k, COUNT(*) AS n FROM q GROUP BY k) AS a \
     JOIN r AS c ON a.k = c.k GROUP BY a.n",
];

/// Files stand for streams that could be read again: what is held across lives is what a join gives
/// that keeps one of its sides.
#[test]
fn interval_joins_have_several_lives() {
    check_lives("near", NEAR, "");
}

#[test]
fn window_joins_have_several_lives() {
    check_lives("windowed", WINDOWED, "");
}

#[test]
fn regular_joins_have_several_lives() {
    check_lives("regular", REGULAR, " EMIT CHANGES");
}

/// `emit`: what is behind the query where its inputs have no end.
fn check_lives(name: &str, queries: &[&str], emit: &str) {
    let text = lines(500, 23);
    let mut sorted: Vec<&str> = text
        .lines()
        .filter(|l| l.starts_with("{\"ts\":\""))
        .collect();
    sorted.sort_unstable();
    let path = std::env::temp_dir().join(format!("trefoil-{}-{name}.ndjson", std::process::id()));
    std::fs::write(&path, sorted.join("\n") + "\n").unwrap();
    for query in queries {
        let bounded = bounded(&path, COLUMNS, "1", query);
        let endless = endless(&path, COLUMNS, "1", &format!("{query}{emit}"));
        for shards in [1, 2, 4] {
            let config = Config {
                shards,
                frame_rows: 7,
                chunk_bytes: 1024,
                ..Config::default()
            };
            let (wanted, _) = compare::run(&bounded, &config).unwrap();
            let wanted = rows(&wanted, Order::Any);
            assert!(!wanted.is_empty(), "{query}");
            let mut most = 0;
            for _ in 0..50 {
                let (got, lives) = run(&endless, &config).unwrap().expect("snapshots");
                let got = match endless.changes {
                    true => collapsed(&got).unwrap().0,
                    false => rows(&got, Order::Any),
                };
                let agrees = agree(&got, &wanted, Order::Any);
                assert!(agrees, "{query}\n{shards} shards, {lives} lives");
                most = most.max(lives);
                if most >= 3 {
                    break;
                }
            }
            assert!(most >= 3, "{query}\n{shards} shards");
        }
    }
    std::fs::remove_file(path).unwrap();
}
