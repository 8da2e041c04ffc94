//! ASOF joins: what DataFusion says in other words, which rank all candidates of a row. Over a
//! right side that ends, and over one that does not, where rows come late.

use std::fmt::Write as _;

use proptest::prelude::*;
use trefoil_ring0::program::{SourceKind, Splits};
use trefoil_ring0::runtime::{Config, Executor};

use crate::compare::{self, Case, Changes, Lenient, Order, agree, rows};
use crate::crash;
use crate::endless::{bounded, endless};
use crate::run_all;

const COLUMNS: &str = "n BIGINT, side BIGINT, k BIGINT, s VARCHAR, x DOUBLE, ts TIMESTAMP(3), \
                       us TIMESTAMP(6), o TIMESTAMP(3)";

/// The sides; of the right one groups have nothing that says which of them came first.
const LEFT: &str = "(SELECT * FROM r WHERE side = 0)";
const RIGHT: &str = "(SELECT * FROM r WHERE side = 1)";
/// The right side of a second join over streams, of which none is read twice.
const NEXT: &str = "(SELECT * FROM p WHERE side = 1)";
const GROUPS: &str = "(SELECT k, s, ts, MAX(us) AS us, MAX(o) AS o, MAX(x) AS x, MAX(n) AS n \
                      FROM r WHERE side = 1 GROUP BY k, s, ts)";

/// Of a record: its side, key, text, and milliseconds.
type Record = (u8, Option<u8>, Option<u8>, i64);

/// Behind the beginning of a day.
fn time(ms: i64) -> String {
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!(
        "2025-01-01T{hour:02}:{minute:02}:{second:02}.{:03}",
        ms % 1000
    )
}

/// Records as lines, each with its number.
fn lines<'r>(records: impl IntoIterator<Item = (usize, &'r Record)>) -> String {
    let mut lines = String::new();
    for (n, (side, k, s, ms)) in records {
        write!(
            lines,
            "{{\"n\":{n},\"side\":{side},\"ts\":\"{}\"",
            time(*ms)
        )
        .unwrap();
        write!(lines, ",\"us\":\"{}{:03}\"", time(*ms), n % 3).unwrap();
        if n % 5 > 0 {
            write!(lines, ",\"o\":\"{}\"", time(ms / 4 * 3)).unwrap();
            let x = ["0.0", "2.5", "1.5", "\"NaN\"", "-3.0"][(*ms % 5) as usize];
            write!(lines, ",\"x\":{x}").unwrap();
        }
        k.iter().for_each(|k| write!(lines, ",\"k\":{k}").unwrap());
        s.iter()
            .for_each(|s| write!(lines, ",\"s\":\"{s}\"").unwrap());
        lines.push_str("}\n");
    }
    lines
}

/// One ASOF join: the comparison, the columns it compares, the keys of the left side and of the
/// right one.
#[derive(Debug, Clone)]
struct Asof {
    op: &'static str,
    times: (&'static str, &'static str),
    keys: &'static [(&'static str, &'static str)],
    null_equal: bool,
    right: &'static str,
}

impl Asof {
    fn on(&self, left: impl Fn(&str) -> String, right: &str) -> String {
        let equal = if self.null_equal {
            "IS NOT DISTINCT FROM"
        } else {
            "="
        };
        let pairs = self.keys.iter();
        let pairs = pairs.map(|(l, r)| format!("({} {equal} {right}.{r})", left(l)));
        pairs.collect::<Vec<_>>().join(" AND ")
    }
}

/// A chain of joins, and what stands above it.
#[derive(Debug, Clone)]
struct Query {
    joins: Vec<Asof>,
    above: Above,
}

/// The columns of a query above, and what stands behind its FROM.
type Above = (&'static str, &'static str);

impl Query {
    /// As it is written here. Columns of the left side are those of `l`; `s1` is the first join's.
    fn asof(&self) -> String {
        let column = |name: &str| match name {
            "s1" => "c1.s".to_owned(),
            name => format!("l.{name}"),
        };
        let mut from = format!("{LEFT} AS l");
        let mut select = "l.n AS n, l.ts AS ts".to_owned();
        for (number, join) in (1..).zip(&self.joins) {
            let (Asof { op, right, .. }, c) = (join, format!("c{number}"));
            let (a, b) = join.times;
            let on = join.on(column, &c);
            // The left side has the names of the first one's keys once.
            let alike = join.keys.iter().all(|(l, r)| l == r);
            let using = number == 1 && op.len() == 2 && alike && !join.null_equal;
            let on = match (on.is_empty(), using) {
                (true, _) => on,
                (false, true) => {
                    let names = join.keys.iter().map(|(name, _)| *name);
                    format!(" USING ({})", names.collect::<Vec<_>>().join(", "))
                }
                (false, false) => format!(" ON {on}"),
            };
            write!(
                from,
                " ASOF JOIN {right} AS {c} MATCH_CONDITION (l.{a} {op} {c}.{b}){on}"
            )
            .unwrap();
            write!(select, ", {c}.n AS n{number}").unwrap();
        }
        let (columns, behind) = self.above;
        format!("SELECT {columns} FROM (SELECT {select} FROM {from}) AS z{behind}")
    }

    /// All candidates of each row, ranked, and the first of them.
    fn ranked(&self) -> String {
        let mut from = LEFT.to_owned();
        let mut select = "n, ts".to_owned();
        for (number, join) in (1..).zip(&self.joins) {
            let Asof { op, right, .. } = join;
            let (a, b) = join.times;
            let on = join.on(|name| format!("l.{name}"), "c");
            let on = if on.is_empty() {
                on
            } else {
                format!("{on} AND ")
            };
            let desc = if op.starts_with('>') { "DESC" } else { "ASC" };
            from = format!(
                "(SELECT * FROM (SELECT l.*, c.n AS n{number}, c.s AS s{number}, ROW_NUMBER() OVER \
                 (PARTITION BY l.n ORDER BY c.{b} {desc}, c.n {desc}) AS p{number} \
                 FROM {from} AS l LEFT JOIN {right} AS c ON {on}l.{a} {op} c.{b}) AS z \
                 WHERE p{number} = 1)"
            );
            write!(select, ", n{number}").unwrap();
        }
        let (columns, behind) = self.above;
        let text = format!("SELECT {columns} FROM (SELECT {select} FROM {from} AS y) AS z{behind}");
        text.replace("FROM p", "FROM r")
    }
}

fn case<'a>(name: &'a str, lines: &'a str, query: &'a str, batch: &'a str) -> Case<'a> {
    Case {
        name,
        columns: COLUMNS,
        lines,
        query,
        batch,
        lenient: Lenient::default(),
        changes: Changes::Any,
        keyless: false,
        order: Order::Any,
    }
}

/// How far the watermark is behind, in milliseconds.
const LAG_MS: i64 = 2000;

/// The records that are not late.
fn on_time(records: &[Record]) -> Vec<(usize, &Record)> {
    let mut greatest = i64::MIN;
    let mut on_time = Vec::new();
    for (n, record) in records.iter().enumerate() {
        if greatest == i64::MIN || record.3 >= greatest - LAG_MS {
            on_time.push((n, record));
        }
        greatest = greatest.max(record.3);
    }
    on_time
}

/// Runs a query over inputs without an end, once through and in several lives; what is late is left
/// out, and counted. A stream is not read twice, so the left side is of another one.
fn check_endless(name: &str, records: &[Record], query: &Query) -> Result<(), String> {
    let path = std::env::temp_dir().join(format!("trefoil-{}-{name}.ndjson", std::process::id()));
    std::fs::write(&path, lines(records.iter().enumerate())).unwrap();
    let left = LEFT.replace("FROM r", "FROM q");
    let text = query.asof().replace(LEFT, &left);
    let planned = endless(&path, COLUMNS, "2", &text);
    let kept = on_time(records);
    let (kept_lines, batch) = (lines(kept.iter().copied()), query.ranked());
    let wanted = compare::batch(
        &case(name, &kept_lines, &text, &batch),
        &path,
        trefoil::oracle::Constants::Known,
    )?;
    let wanted = wanted?;
    for (shards, frame_rows) in [(1, 1), (1, 1024), (2, 7), (4, 1), (4, 7), (4, 1024)] {
        let config = Config {
            shards,
            frame_rows,
            chunk_bytes: 512,
            executor: Executor::Threads,
            ..Config::default()
        };
        let (got, applied) = compare::run(&planned, &config)?;
        let got = rows(&got, Order::Any);
        if !agree(&got, &wanted, Order::Any) {
            let (got, wanted) = (Ok(got), Ok(wanted));
            let difference = compare::difference(&got, &wanted);
            return Err(format!(
                "{text}\n{shards} shards, frames of {frame_rows}\n{difference}"
            ));
        }
        if query.above == EVERYTHING {
            let all = kept.iter().map(|(_, (side, ..))| match side {
                1 => query.joins.len() as u64,
                _ => 1,
            });
            assert_eq!(applied, all.sum::<u64>(), "those that are not late: {text}");
        }
        let lives = crash::run(&planned, &config)?.expect("there are snapshots");
        if !agree(&rows(&lives.0, Order::Any), &wanted, Order::Any) {
            return Err(format!("{text}\n{shards} shards in {} lives", lives.1));
        }
    }
    std::fs::remove_file(path).unwrap();
    Ok(())
}

const OPS: [&str; 4] = [">=", ">", "<=", "<"];
const TIMES: [(&str, &str); 5] = [
    ("ts", "ts"),
    ("ts", "us"),
    ("us", "ts"),
    ("o", "o"),
    ("x", "x"),
];
const KEYS: [&[(&str, &str)]; 4] = [&[("k", "k")], &[("k", "k"), ("s", "s")], &[("s", "s")], &[]];
const EVERYTHING: Above = ("*", "");
const ABOVE: [Above; 6] = [
    EVERYTHING,
    EVERYTHING,
    ("*", " WHERE n1 > 7"),
    ("n", " WHERE n1 IS NULL"),
    ("n1, ts", " WHERE n % 3 = 1"),
    (
        "window_start, COUNT(*) AS c, COUNT(n1) AS m, SUM(n1 - n) AS d",
        " GROUP BY TUMBLE(ts, INTERVAL '10' SECOND)",
    ),
];

fn asof(times: usize) -> impl Strategy<Value = Asof> {
    let keys = prop::sample::select(&KEYS[..]);
    let right = prop_oneof![4 => Just(RIGHT), 1 => Just(GROUPS)];
    let op = prop::sample::select(&OPS[..]);
    let times = prop::sample::select(&TIMES[..times]);
    (op, times, keys, any::<bool>(), right).prop_map(|(op, times, keys, null_equal, right)| Asof {
        op,
        times,
        // Groups of a key and a time are told apart by their numbers alone, if at all.
        keys: if right == GROUPS { KEYS[1] } else { keys },
        null_equal,
        right,
    })
}

fn records(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Record>> {
    let of = prop_oneof![1 => Just(None), 5 => (0..3u8).prop_map(Some)];
    // Some of them are late, and many have the same time.
    let record = (0..2u8, of.clone(), of, (0..8i64, 0..20i64));
    prop::collection::vec(record, count).prop_map(|records| {
        let times = |(n, (side, k, s, (second, back))): (usize, (u8, _, _, (i64, i64)))| {
            let back = if back == 0 { 4 } else { second % 3 };
            (side, k, s, (n as i64 / 4 * 1000 + 8000) - back * 1000)
        };
        records.into_iter().enumerate().map(times).collect()
    })
}

proptest! {
    #![proptest_config(crate::join_cases(40))]

    /// The right side ends: anything is compared, and the answer is that of the batch.
    #[test]
    fn asof_joins_of_what_ends(
        seed in any::<u64>(),
        records in records(0..60),
        joins in prop::collection::vec(asof(TIMES.len()), 1..4),
        above in prop::sample::select(&ABOVE[..]),
    ) {
        let query = Query { joins, above };
        let (text, batch) = (query.asof(), query.ranked());
        let (name, lines) = (format!("asof-{seed}"), lines(records.iter().enumerate()));
        run_all(&case(&name, &lines, &text, &batch), &[Executor::Threads]).unwrap();
    }

    /// It does not: by event times, and without what is late.
    #[test]
    fn asof_joins_without_end(
        seed in any::<u64>(),
        records in records(0..120),
        (join, next) in (asof(1), prop::option::of(asof(1))),
        above in prop::sample::select(&ABOVE[..]),
    ) {
        let mut joins = vec![Asof { right: RIGHT, ..join }];
        joins.extend(next.map(|next| Asof { right: NEXT, ..next }));
        let query = Query { joins, above };
        check_endless(&format!("endless-asof-{seed}"), &records, &query).unwrap();
    }
}

/// Rows alike by key and time stand as their files do, and then as they do in these. Each file has
/// a watermark of its own.
#[test]
fn several_splits() {
    let folder = std::env::temp_dir().join(format!("trefoil-{}-asof-splits", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let record = |n: i64| -> Record {
        let (side, k) = ((n * 7 % 3 == 0) as u8, (n % 4) as u8);
        let back = if n % 11 == 0 { 9 } else { n % 3 };
        (
            side,
            Some(k).filter(|k| *k > 0),
            None,
            10_000 + n % 90 / 3 * 1000 - back * 1000,
        )
    };
    let records: Vec<Record> = (0..270).map(record).collect();
    let mut kept = Vec::new();
    let mut paths = Vec::new();
    for (part, some) in records.chunks(90).enumerate() {
        let number = |(n, record)| (n + part * 90, record);
        kept.extend(on_time(some).into_iter().map(number));
        let path = folder.join(format!("{part}.ndjson"));
        std::fs::write(&path, lines(some.iter().enumerate().map(number))).unwrap();
        paths.push(path);
    }
    let all = lines(records.iter().enumerate());
    let kept = lines(kept);
    for op in OPS {
        let keys = KEYS[0];
        let join = Asof {
            op,
            times: ("ts", "ts"),
            keys,
            null_equal: false,
            right: RIGHT,
        };
        let query = Query {
            joins: vec![join],
            above: EVERYTHING,
        };
        let (text, batch) = (query.asof(), query.ranked());
        let text = text.replace(LEFT, &LEFT.replace("FROM r", "FROM q"));
        let wanted = |lines: &str| {
            let known = trefoil::oracle::Constants::Known;
            compare::batch(&case("splits", lines, &text, &batch), &folder, known)
        };
        let mut streams = endless(&paths[0], COLUMNS, "2", &text);
        for source in &mut streams.program.sources {
            source.splits = Splits::Files;
            let SourceKind::Files { paths: of, .. } = &mut source.kind else {
                panic!("{source:?} reads no file")
            };
            of.clone_from(&paths);
        }
        let files = bounded(&folder, COLUMNS, "2", &text);
        for (planned, lines) in [(&files, &all), (&streams, &kept)] {
            let wanted = wanted(lines).unwrap().unwrap();
            for (shards, frame_rows) in [(1, 1), (1, 1024), (2, 7), (4, 1), (4, 7), (4, 1024)] {
                let config = Config {
                    shards,
                    frame_rows,
                    chunk_bytes: 700,
                    executor: Executor::Threads,
                    ..Config::default()
                };
                let (got, _) = compare::run(planned, &config).unwrap();
                let got = rows(&got, Order::Any);
                let agrees = agree(&got, &wanted, Order::Any);
                let (got, wanted) = (Ok(got), Ok(wanted.clone()));
                let difference = compare::difference(&got, &wanted);
                assert!(
                    agrees,
                    "{text}\n{shards} shards, {frame_rows}: {difference}"
                );
            }
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// What follows from one join is the key of the next, whatever lies between.
#[test]
fn chains_of_asof_joins() {
    let join = |op, keys| Asof {
        op,
        times: ("ts", "ts"),
        keys,
        null_equal: false,
        right: RIGHT,
    };
    let joins = vec![
        join(">=", &[("k", "k")]),
        join("<", &[("s1", "s")]),
        join(">", &[("s1", "s"), ("k", "k")]),
    ];
    let record = |n: i64| {
        let some = |of: i64| Some(of as u8).filter(|of| *of > 0);
        (
            (n % 2) as u8,
            some(n * 7 % 4),
            some(n * 5 % 3),
            n / 3 * 500 + 5000 - n % 4 * 500,
        )
    };
    let records: Vec<Record> = (0..400).map(record).collect();
    let lines = lines(records.iter().enumerate());
    for above in ABOVE {
        let joins = joins.clone();
        let query = Query { joins, above };
        let (text, batch) = (query.asof(), query.ranked());
        run_all(
            &case("asof-chain", &lines, &text, &batch),
            &[Executor::Threads],
        )
        .unwrap();
    }
}
