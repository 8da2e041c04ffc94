//! The queries that `trefoil bench nexmark` runs, over the rows that its streams are made of: as
//! inputs that end, and as streams, what they give is what DataFusion gives in batch.

use std::ops::Range;

use datafusion::arrow::array::RecordBatch;
use trefoil::oracle::{self, Constants};
use trefoil::{PlannedQuery, SourceFile};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::program::{Made, SourceKind};
use trefoil_ring0::runtime::{Config, Executor, start};
use trefoil_ring0::schema::Schema;

use crate::changelog::collapsed;
use crate::compare::{self, Order, Rows, agree, difference, plan_generic, plan_native, rows};
use crate::crash;

const TEXT: &str = include_str!("../../../harness/src/bench/nexmark/queries.sql");
/// Events of all streams, and in a second: enough for ten of the windows.
const EVENTS: u64 = 8_000;
const EVENTS_PER_S: u64 = 80;

/// The sources, ending or not, and a query.
fn files(query: &str, ends: bool) -> Vec<SourceFile> {
    let (sources, _) = TEXT.split_once("\n-- q").unwrap();
    let sources = match ends {
        true => sources.replace("'nexmark',", &format!("'nexmark', rows = {EVENTS},")),
        false => sources.to_owned(),
    };
    vec![SourceFile {
        name: "nexmark.sql".to_owned(),
        text: format!("{sources}\n{query};"),
        base: ".".into(),
    }]
}

/// Names and texts of the queries. Where rows are alike in all that a query orders by, any of them
/// is right: these orders are of more columns.
fn queries() -> Vec<(String, String)> {
    let parts = TEXT.split("\n-- q").skip(1);
    let query = |part: &str| {
        let (number, sql) = part.split_once(':').unwrap();
        let (_, sql) = sql.split_once('\n').unwrap();
        let sql = sql.trim().trim_end_matches(';');
        let told = [
            (
                "ORDER BY date_time DESC)",
                "ORDER BY date_time DESC, price, extra)",
            ),
            (
                "ORDER BY price DESC)",
                "ORDER BY price DESC, date_time, extra)",
            ),
            (
                "ORDER BY b.price DESC)",
                "ORDER BY b.price DESC, b.date_time, b.extra)",
            ),
            ("b.date_time ASC)", "b.date_time ASC, b.extra)"),
            (
                "ORDER BY q.date_time ROWS",
                "ORDER BY q.date_time, q.id ROWS",
            ),
        ];
        let sql = told
            .iter()
            .fold(sql.to_owned(), |sql, (a, b)| sql.replace(a, b));
        (format!("q{number}"), sql)
    };
    parts.map(query).collect()
}

/// A query in words of batch SQL, which has no windows in FROM, no sessions and no versions.
fn in_batch(name: &str, query: &str) -> String {
    if name == "q11" {
        return SESSIONS.to_owned();
    }
    let at = "DATE_BIN(INTERVAL '10' SECOND, date_time)";
    let tumble = |table: &str| {
        let from =
            format!("TABLE(TUMBLE(TABLE {table}, DESCRIPTOR(date_time), INTERVAL '10' SECOND))");
        let to = format!(
            "(SELECT *, {at} AS window_start, {at} + INTERVAL '10' SECOND AS window_end \
             FROM {table}) AS h"
        );
        (from, to)
    };
    let at = "DATE_BIN(INTERVAL '2' SECOND, date_time)";
    let hop = (
        "TABLE(HOP(TABLE bid, DESCRIPTOR(date_time), INTERVAL '2' SECOND, INTERVAL '10' SECOND))"
            .to_owned(),
        format!(
            "(SELECT auction, z AS window_start, z + INTERVAL '10' SECOND AS window_end FROM \
             (SELECT *, generate_series({at} - INTERVAL '8' SECOND, {at}, INTERVAL '2' SECOND) \
             AS zs FROM bid) AS q CROSS JOIN UNNEST(zs) AS z) AS h"
        ),
    );
    // A table that is there beforehand is the same at any time.
    let versions = " FOR SYSTEM_TIME AS OF b.date_time";
    let words = [
        tumble("person"),
        tumble("auction"),
        tumble("bid"),
        hop,
        (versions.to_owned(), String::new()),
    ];
    let whole = query.replace("EMIT CHANGES", "");
    words
        .iter()
        .fold(whole, |sql, (from, to)| sql.replace(from, to))
}

const SESSIONS: &str = "SELECT bidder, COUNT(*), MIN(date_time), \
    MAX(date_time) + INTERVAL '10' SECOND FROM (SELECT *, SUM(apart) OVER (PARTITION BY bidder \
    ORDER BY date_time) AS island FROM (SELECT *, CASE WHEN date_time < LAG(date_time) OVER \
    (PARTITION BY bidder ORDER BY date_time) + INTERVAL '10' SECOND THEN 0 ELSE 1 END AS apart \
    FROM bid) AS p) AS q GROUP BY bidder, island";

/// The streams end behind so many events, which take their time.
fn cut(mut planned: PlannedQuery) -> PlannedQuery {
    for source in &mut planned.program.sources {
        if let SourceKind::Generator(generator) = &mut source.kind
            && let Made::Nexmark(made) = &mut generator.made
        {
            generator.rows = Some(made.table.rows_of(EVENTS));
            made.events_per_s = EVENTS_PER_S;
        }
    }
    planned
}

/// All rows of all sources.
fn tables() -> Vec<(String, Schema, Vec<Frame>)> {
    let table = |name: &str| {
        let query = files(&format!("SELECT * FROM {name}"), true);
        let planned = cut(plan_native(&query).unwrap().remove(0));
        let mut running = start(&planned.program, &Config::default()).unwrap();
        let mut frames = Vec::new();
        while let Some(block) = running.next_block().unwrap() {
            frames.push(block.rows().clone());
            running.give_back(block);
        }
        let schema = oracle::source_schema(&query, name).unwrap().unwrap();
        (name.to_owned(), schema, frames)
    };
    ["person", "auction", "bid", "side_input"].map(table).into()
}

/// The rows that a query leaves.
fn left(planned: &PlannedQuery, batches: &[RecordBatch]) -> Result<Rows, String> {
    match planned.changes {
        true => collapsed(batches).map(|(rows, _)| rows),
        false => Ok(rows(batches, Order::Any)),
    }
}

/// Shards, and rows of a frame.
type Sizes = (usize, usize);
const ALL: [Sizes; 9] = [
    (1, 1),
    (1, 7),
    (1, 1024),
    (2, 1),
    (2, 7),
    (2, 1024),
    (4, 1),
    (4, 7),
    (4, 1024),
];
const SOME: [Sizes; 3] = [(1, 1024), (2, 7), (4, 1)];

/// The first difference of a query as it is planned, on threads and on io_uring.
fn check(planned: &PlannedQuery, expected: &Rows, sizes: &[Sizes]) -> Result<(), String> {
    for &(shards, frame_rows) in sizes {
        let config = Config {
            shards,
            frame_rows,
            executor: match frame_rows {
                1024 if shards < 4 => Executor::Uring,
                _ => Executor::Threads,
            },
            ..Config::default()
        };
        let judge = |how: &str, got: Result<Rows, String>| match &got {
            Ok(rows) if agree(rows, expected, Order::Any) => Ok(()),
            _ => Err(format!(
                "{how}, {shards} shards, frames of {frame_rows}\n{}",
                difference(&got, &Ok(expected.clone()))
            )),
        };
        let ran = compare::run(planned, &config).and_then(|(b, _)| left(planned, &b));
        judge("at once", ran)?;
        if frame_rows == 7
            && let Some((batches, lives)) = crash::run(planned, &config)?
        {
            judge(&format!("in {lives} lives"), left(planned, &batches))?;
        }
    }
    Ok(())
}

/// Compares these of the queries.
fn compare_queries(numbers: Range<usize>) {
    let tables = tables();
    let mut differences = Vec::new();
    for (name, query) in queries().drain(numbers) {
        // What the clock decides upon no batch query knows.
        if query.contains("PROCTIME()") {
            continue;
        }
        let ending = files(&query.replace("EMIT CHANGES", ""), true);
        let words = files(&in_batch(&name, &query), true);
        let expected = match oracle::batch(&words, &tables, compare::now(), Constants::Known) {
            Ok(batch) => rows(&batch[0].batches, Order::Any),
            Err(error) => {
                differences.push(format!("{name} in batch: {error}"));
                continue;
            }
        };
        assert!(!expected.is_empty(), "{name}");
        let plans = [
            ("that end", plan_native(&ending), ALL.as_slice()),
            (
                "that end, generic kernels",
                plan_generic(&ending),
                SOME.as_slice(),
            ),
            (
                "as streams",
                plan_native(&files(&query, false)),
                SOME.as_slice(),
            ),
        ];
        for (how, planned, sizes) in plans {
            let checked = match planned {
                Ok(mut planned) => check(&cut(planned.remove(0)), &expected, sizes),
                Err(error) => Err(error.to_string()),
            };
            if let Err(difference) = checked {
                differences.push(format!("{name} over sources {how}: {difference}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn queries_of_nexmark_from_0_on() {
    compare_queries(0..11);
}

#[test]
fn queries_of_nexmark_from_11_on() {
    compare_queries(11..23);
}

/// Windows of the clock: whatever it says, each row is in one.
#[test]
fn windows_of_the_clock_have_all_bids() {
    let all = queries();
    let (_, query) = all.iter().find(|(name, _)| name == "q12").unwrap();
    let query = format!("SELECT SUM(bid_count) AS n FROM ({query}) AS w");
    for shards in [1, 2, 4] {
        let planned = cut(plan_native(&files(&query, true)).unwrap().remove(0));
        let config = Config {
            shards,
            ..Config::default()
        };
        let (batches, _) = compare::run(&planned, &config).unwrap();
        let got = rows(&batches, Order::Any);
        assert_eq!(format!("{got:?}"), "[[Text(\"7360\")]]");
    }
}
