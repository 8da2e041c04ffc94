//! Joins of inputs without an end that forget rows: those of `state_ttl`, of joined rows with
//! others, of groups by windows under EMIT CHANGES. What batch SQL says of the records that are not
//! late is what they give, whatever was forgotten in between and wherever a life ended.

use std::fmt::Write as _;

use proptest::prelude::*;
use trefoil_ring0::runtime::{Config, Executor};

use crate::changelog::collapsed;
use crate::compare::{self, Case, Changes, Lenient, Order, agree, rows};
use crate::crash;
use crate::endless::endless;

const COLUMNS: &str = "n BIGINT, side BIGINT, k BIGINT, ts TIMESTAMP(3), us TIMESTAMP(6)";

/// Of a record: its side, its key and milliseconds.
type Record = (u8, Option<u8>, i64);

/// How far watermarks are behind, in milliseconds.
const LAG_MS: i64 = 2000;

fn lines<'r>(records: impl IntoIterator<Item = (usize, &'r Record)>) -> String {
    let mut lines = String::new();
    for (n, (side, k, ms)) in records {
        let (minute, second) = (ms / 60_000, ms / 1000 % 60);
        let time = format!("2025-01-01T07:{minute:02}:{second:02}.{:03}", ms % 1000);
        let ts = format!("\"ts\":\"{time}\",\"us\":\"{time}{:03}\"", n % 3);
        write!(lines, "{{\"n\":{n},\"side\":{side},{ts}").unwrap();
        k.iter().for_each(|k| write!(lines, ",\"k\":{k}").unwrap());
        lines.push_str("}\n");
    }
    lines
}

/// The records that are not late.
fn on_time(records: &[Record]) -> Vec<(usize, &Record)> {
    let mut greatest = i64::MIN / 2;
    let mut on_time = Vec::new();
    for (n, record) in records.iter().enumerate() {
        if record.2 >= greatest - LAG_MS {
            on_time.push((n, record));
        }
        greatest = greatest.max(record.2);
    }
    on_time
}

/// A query over the streams `q`, `r` and `p`, and the same for batch SQL over the table `r`.
struct Query {
    engine: String,
    batch: String,
}

fn check(name: &str, records: &[Record], query: &Query) -> Result<(), String> {
    let path = std::env::temp_dir().join(format!("trefoil-{}-{name}.ndjson", std::process::id()));
    std::fs::write(&path, lines(records.iter().enumerate())).unwrap();
    let planned = endless(&path, COLUMNS, "2", &query.engine);
    let kept = lines(on_time(records));
    let case = Case {
        name,
        columns: COLUMNS,
        lines: &kept,
        query: &query.engine,
        batch: &query.batch,
        lenient: Lenient::default(),
        changes: Changes::Any,
        keyless: false,
        order: Order::Any,
    };
    let wanted = compare::batch(&case, &path, trefoil::oracle::Constants::Known)??;
    let changes = query.engine.contains("EMIT CHANGES");
    let stand = |batches: &[_]| match changes {
        true => collapsed(batches).map(|(rows, _)| rows),
        false => Ok(rows(batches, Order::Any)),
    };
    for (shards, frame_rows) in [(1, 1), (1, 1024), (2, 7), (4, 1), (4, 1024)] {
        let config = Config {
            shards,
            frame_rows,
            chunk_bytes: 512,
            executor: Executor::Threads,
            ..Config::default()
        };
        let label = format!("{}\n{shards} shards, frames of {frame_rows}", query.engine);
        let (got, _) = compare::run(&planned, &config).map_err(|e| format!("{label}: {e}"))?;
        let got = stand(&got).map_err(|e| format!("{label}: {e}"))?;
        if !agree(&got, &wanted, Order::Any) {
            let difference = compare::difference(&Ok(got), &Ok(wanted));
            return Err(format!("{label}\n{difference}"));
        }
        let (lives, count) = crash::run(&planned, &config)?.expect("there are snapshots");
        let got = stand(&lives).map_err(|e| format!("{label}, {count} lives: {e}"))?;
        if !agree(&got, &wanted, Order::Any) {
            let difference = compare::difference(&Ok(got), &Ok(wanted));
            return Err(format!("{label} in {count} lives\n{difference}"));
        }
    }
    std::fs::remove_file(path).unwrap();
    Ok(())
}

/// Sides of joins, all of them with the columns n, k and ts; which table, and which records.
fn side(table: &str, number: usize, columns: &str) -> String {
    format!("(SELECT {columns} FROM {table} WHERE side = {number})")
}

const TABLES: [&str; 3] = ["q", "r", "p"];

/// Groups of a side by windows.
fn groups(table: &str, number: usize, call: &str, seconds: u32) -> String {
    format!(
        "(SELECT k, window_start, {call} AS c FROM {table} WHERE side = {number} \
         GROUP BY k, TUMBLE(ts, INTERVAL '{seconds}' SECOND))"
    )
}

const KINDS: [&str; 8] = [
    "JOIN",
    "LEFT JOIN",
    "RIGHT JOIN",
    "FULL JOIN",
    "LEFT SEMI JOIN",
    "LEFT ANTI JOIN",
    "RIGHT SEMI JOIN",
    "RIGHT ANTI JOIN",
];

/// What a kind of join has of its sides.
fn select(kind: &str, left: &str, right: &str) -> String {
    match kind {
        "LEFT SEMI JOIN" | "LEFT ANTI JOIN" => left.to_owned(),
        "RIGHT SEMI JOIN" | "RIGHT ANTI JOIN" => right.to_owned(),
        _ => format!("{left}, {right}"),
    }
}

fn near(a: &str, b: &str, seconds: u32) -> String {
    let i = format!("INTERVAL '{seconds}' SECOND");
    format!("{b} BETWEEN {a} - {i} AND {a} + {i}")
}

const CONDITIONS: [&str; 4] = [
    "",
    " AND a.n < c.n",
    " AND a.n % 2 = c.n % 3",
    " AND a.ts <= c.ts",
];

/// Rows of joins that have nothing else match within the setting.
fn by_setting(kind: &str, condition: &str, seconds: u32, tables: [&str; 3]) -> Query {
    let [l, r, _] = tables;
    // The time is no column of the right side, but where the condition names it.
    let hidden = !condition.contains("ts");
    let of = |right: &str, on: &str| {
        let select = select(kind, "a.n, a.k", "c.n AS m");
        let left = side(l, 0, "*");
        format!("SELECT {select} FROM {left} AS a {kind} {right} AS c ON a.k = c.k{condition}{on}")
    };
    let narrow = if hidden { "n, k" } else { "n, k, ts" };
    let engine = of(&side(r, 1, narrow), "");
    let batch = of(
        &side("r", 1, "*"),
        &format!(" AND {}", near("a.ts", "c.ts", seconds)),
    );
    Query {
        engine: format!("SET state_ttl = '{seconds} seconds';\n{engine}"),
        batch: batch.replace(&format!("FROM {l} "), "FROM r "),
    }
}

/// Joined rows with others, by intervals or by the setting.
fn chained(kinds: [&str; 2], by_setting: bool, seconds: u32, window: bool) -> Query {
    let of = |tables: [&str; 3], more: bool| {
        let [a, c, e] = [0, 1, 2].map(|n| side(tables[n], n, "*"));
        let on = |near: String| {
            if more {
                format!(" AND {near}")
            } else {
                String::new()
            }
        };
        let first = on(near("a.ts", "c.ts", seconds));
        let second = on(near(
            "a.ts",
            "e.ts",
            seconds + if by_setting { 0 } else { 3 },
        ));
        let [one, two] = kinds;
        let joined = format!(
            "SELECT a.n AS n, a.ts AS ts, c.n AS m, e.n AS o FROM {a} AS a {one} {c} AS c \
             ON a.k = c.k{first} {two} {e} AS e ON c.k = e.k{second}"
        );
        match window {
            true => format!(
                "SELECT window_start, COUNT(*) AS all, SUM(m) AS m, COUNT(o) AS o \
                 FROM ({joined}) AS z GROUP BY TUMBLE(ts, INTERVAL '10' SECOND)"
            ),
            false => joined,
        }
    };
    let engine = of(TABLES, !by_setting);
    Query {
        engine: match by_setting {
            true => format!("SET state_ttl = '{seconds} seconds';\n{engine}"),
            false => engine,
        },
        batch: of(["r"; 3], true),
    }
}

/// Groups by windows that change.
fn changing(kind: &str, on: usize, condition: &str, seconds: u32) -> Query {
    let of = |tables: [&str; 2], by_setting: bool| {
        let [l, r] = tables;
        let left = match on {
            3 => side(l, 0, "k, ts AS window_start, n AS c"),
            _ => groups(l, 0, "COUNT(*)", 5),
        };
        let right = groups(r, 1, "MAX(n)", if on == 2 { 3 } else { 5 });
        let on = match (on, by_setting) {
            (0, _) => " AND a.window_start = c.window_start".to_owned(),
            (1, true) => String::new(),
            _ => format!(" AND {}", near("a.window_start", "c.window_start", seconds)),
        };
        let select = select(
            kind,
            "a.k, a.window_start, a.c",
            "c.k AS j, c.window_start AS w, c.c AS d",
        );
        format!("SELECT {select} FROM {left} AS a {kind} {right} AS c ON a.k = c.k{on}{condition}")
    };
    let engine = format!("{} EMIT CHANGES", of(["q", "r"], true));
    Query {
        engine: match on {
            1 => format!("SET state_ttl = '{seconds} seconds';\n{engine}"),
            _ => engine,
        },
        batch: of(["r"; 2], false),
    }
}

/// Records behind one another, some of which are late if any may be.
fn records(count: std::ops::Range<usize>, late: bool) -> impl Strategy<Value = Vec<Record>> {
    let k = prop_oneof![1 => Just(None), 6 => (0..3u8).prop_map(Some)];
    prop::collection::vec((0..3u8, k, 0..20i64), count).prop_map(move |records| {
        let record = |(n, (side, k, back)): (usize, (u8, _, i64))| {
            let back = match back {
                0 if late => 7000,
                back => back % 3 * 700,
            };
            (side, k, n as i64 * 800 + 10_000 - back)
        };
        records.into_iter().enumerate().map(record).collect()
    })
}

proptest! {
    #![proptest_config(crate::join_cases(30))]

    #[test]
    fn joins_within_a_setting(
        seed in any::<u64>(),
        records in records(0..100, true),
        kind in prop::sample::select(&KINDS[..]),
        condition in prop::sample::select(&CONDITIONS[..]),
        seconds in 1..12u32,
    ) {
        let query = by_setting(kind, condition, seconds, TABLES);
        check(&format!("ttl-{seed}"), &records, &query).unwrap();
    }

    #[test]
    fn joined_rows_with_others(
        seed in any::<u64>(),
        records in records(0..100, true),
        kinds in (prop::sample::select(&KINDS[..2]), prop::sample::select(&KINDS[..2])),
        by_setting in any::<bool>(),
        seconds in 1..8u32,
        window in any::<bool>(),
    ) {
        let query = chained([kinds.0, kinds.1], by_setting, seconds, window);
        check(&format!("chained-{seed}"), &records, &query).unwrap();
    }

    #[test]
    fn windows_that_change(
        seed in any::<u64>(),
        records in records(0..100, false),
        kind in prop::sample::select(&KINDS[..]),
        on in 0..4usize,
        condition in prop::sample::select(&["", " AND a.c < c.c", " AND a.c % 2 = c.c % 3"][..]),
        seconds in 1..12u32,
    ) {
        let query = changing(kind, on, condition, seconds);
        check(&format!("changing-{seed}"), &records, &query).unwrap();
    }
}
