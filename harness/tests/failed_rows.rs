//! Rows on which an expression fails, and windows: such a row is left out, and its time has moved
//! the watermark as that of a row which a filter leaves out. What cannot be read has no time. So
//! what is late for them is the same at any number of shards and any size of frames.

mod common;

use std::collections::BTreeMap;

use common::{Folder, run_script, text};

/// Lag of the watermark, and length of a window, in seconds.
const LAG: i64 = 10;
const SIZE: i64 = 30;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Good,
    /// A division by zero.
    Fails,
    /// No BIGINT.
    Bad,
}

#[derive(Clone, Copy)]
struct Record {
    key: i64,
    time: i64,
    kind: Kind,
}

fn records(count: i64) -> Vec<Record> {
    let mut state = 3u64;
    let mut below = move |n: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % n) as i64
    };
    let record = |n: i64| {
        let kind = match below(20) {
            0 | 1 => Kind::Fails,
            2 => Kind::Bad,
            _ => Kind::Good,
        };
        // Those that are left out are ahead of the others, which would be late for them.
        let ahead = if kind == Kind::Good { 0 } else { below(60) };
        Record {
            key: below(3),
            time: 1_000_000 + n - below(25) + ahead,
            kind,
        }
    };
    (0..count).map(record).collect()
}

/// By key and window how many records, and how many are late.
fn model(records: &[Record]) -> (BTreeMap<(i64, i64), i64>, u64) {
    let (mut groups, mut late, mut greatest) = (BTreeMap::new(), 0, i64::MIN);
    for record in records.iter().filter(|r| r.kind != Kind::Bad) {
        let start = record.time - record.time.rem_euclid(SIZE);
        let is_late = greatest > i64::MIN && start + SIZE <= greatest - LAG;
        greatest = greatest.max(record.time);
        match (record.kind, is_late) {
            (Kind::Good, true) => late += 1,
            (Kind::Good, false) => *groups.entry((record.key, start)).or_default() += 1,
            _ => {}
        }
    }
    (groups, late)
}

#[test]
fn what_fails_moves_the_watermark_and_what_is_bad_does_not() {
    let folder = Folder::new("failed-rows");
    let records = records(3000);
    let line = |r: &Record| {
        let value = match r.kind {
            Kind::Good => "1",
            Kind::Fails => "0",
            Kind::Bad => "\"x\"",
        };
        let Record { key, time, .. } = r;
        // Long enough for every shard to read some.
        format!(
            "{{\"pad\":\"{:01000}\",\"k\":{key},\"ts\":{time},\"v\":{value}}}\n",
            0
        )
    };
    folder.write("r.ndjson", &records.iter().map(line).collect::<String>());
    let count = |kind| records.iter().filter(|r| r.kind == kind).count() as u64;
    let (wanted, late) = model(&records);
    assert!(late > 20 && wanted.len() > 50, "it says something");
    for policy in ["skip", "dlq"] {
        for query in [
            "SUM(1 / v) AS n FROM r",
            "COUNT(*) AS n FROM r WHERE 1 / v > 0",
        ] {
            for emit in ["ON WINDOW CLOSE", "CHANGES"] {
                let sql = format!(
                    "CREATE SOURCE r (k BIGINT, v BIGINT, ts TIMESTAMP(3),
                        WATERMARK FOR ts AS ts - INTERVAL '{LAG}' SECOND)
                     WITH (connector = 'file', path = 'r.ndjson', format = 'json',
                        timestamp_unit = 's', bad_data = '{policy}');
                     SELECT k, EXTRACT(EPOCH FROM window_start) AS a, {query}
                     GROUP BY k, TUMBLE(ts, INTERVAL '{SIZE}' SECOND) EMIT {emit};"
                );
                for (cores, rows) in [("1", "1"), ("1", "1024"), ("2", "7"), ("4", "1")] {
                    let options = ["--format", "csv", "--cores", cores, "--frame-rows", rows];
                    let options = [&options[..], &["--stats", "s.json"]].concat();
                    let output = run_script(&folder, &sql, &options);
                    assert!(output.status.success(), "{}", text(&output.stderr));
                    let mut groups = BTreeMap::new();
                    for line in text(&output.stdout).lines().skip(1) {
                        let line = line.trim_start_matches("+I,").trim_start_matches("+U,");
                        if line.starts_with("-U,") {
                            continue;
                        }
                        let numbers = line.split(',').map(|f| f.parse::<f64>().unwrap() as i64);
                        let [key, start, n] = numbers.collect::<Vec<_>>()[..] else {
                            panic!("{line}")
                        };
                        groups.insert((key, start), n);
                    }
                    let what = format!("{policy}: {query} EMIT {emit}, {cores} shards of {rows}");
                    assert_eq!(groups, wanted, "{what}");
                    let stats = folder.json("s.json");
                    assert_eq!(stats["sources"][0]["rows_bad"], count(Kind::Bad), "{what}");
                    let input = &stats["queries"][0]["inputs"][0];
                    assert_eq!(input["rows_failed"], count(Kind::Fails), "{what}");
                    assert_eq!(input["rows_late"], late, "{what}");
                }
            }
        }
    }
}

/// An item of a list that cannot be cast fails its own row: neither the others of its frame, nor
/// one that is not asked for it.
#[test]
fn an_item_that_cannot_be_cast_fails_its_row_alone() {
    let folder = Folder::new("failed-items");
    let lists = [
        r#"["1"]"#,
        r#"["x"]"#,
        "null",
        r#"["2","3"]"#,
        "[]",
        r#"["4",null]"#,
    ];
    let line = |(i, list): (usize, &&str)| format!("{{\"i\":{i},\"v\":{list}}}\n");
    folder.write(
        "l.ndjson",
        &lists.iter().enumerate().map(line).collect::<String>(),
    );
    let cast = [
        r#"{"i":0,"t":[1]}"#,
        r#"{"i":2,"t":null}"#,
        r#"{"i":3,"t":[2,3]}"#,
        r#"{"i":4,"t":[]}"#,
        r#"{"i":5,"t":[4,null]}"#,
    ];
    let case = [
        cast[0],
        r#"{"i":1,"t":null}"#,
        cast[1],
        cast[2],
        cast[3],
        cast[4],
    ];
    for (query, want, failed) in [
        ("i, CAST(v AS BIGINT[]) AS t FROM r", &cast[..], 1),
        (
            "i, CASE WHEN i <> 1 THEN CAST(v AS BIGINT[]) END AS t FROM r",
            &case,
            0,
        ),
        (
            "i FROM r WHERE i <> 1 AND (v::BIGINT[])[1] > 1",
            &[r#"{"i":3}"#, r#"{"i":5}"#],
            0,
        ),
        ("SUM((v::BIGINT[])[1]) AS s FROM r", &[r#"{"s":7}"#], 1),
    ] {
        let sql = format!(
            "CREATE SOURCE r (i BIGINT, v VARCHAR[]) WITH (connector = 'file',
             path = 'l.ndjson', format = 'json', bad_data = 'skip'); SELECT {query};"
        );
        for rows in ["1", "2", "7", "1024"] {
            let options = ["--frame-rows", rows, "--stats", "s.json", "--cores", "1"];
            let output = run_script(&folder, &sql, &options);
            assert!(output.status.success(), "{}", text(&output.stderr));
            let out = text(&output.stdout);
            assert_eq!(out.lines().collect::<Vec<_>>(), want, "{query} by {rows}");
            let input = &folder.json("s.json")["queries"][0]["inputs"][0];
            assert_eq!(input["rows_failed"], failed, "{query} by {rows}");
        }
    }
}
