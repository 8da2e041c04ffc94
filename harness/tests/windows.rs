//! Windows of every kind over records in disorder, some of them late, against a model that knows
//! all records: which windows a record counts in follows from the records before it alone.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Folder, text, trefoil};

/// Lag of the watermark, seconds.
const LAG: i64 = 20;

#[derive(Clone, Copy)]
struct Record {
    key: i64,
    time: i64,
    value: i64,
    /// The watermark that it carries: that of the records before it.
    mark: i64,
}

/// Records whose times go on by a second and a half, and back by up to a minute.
fn records(count: u64) -> Vec<Record> {
    let mut state = 7u64;
    let mut below = move |n: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let mut greatest = i64::MIN;
    (0..count)
        .map(|n| {
            let back = match below(16) {
                0 => below(200),
                1..4 => below(60),
                _ => below(8),
            };
            let time = 1_000_000 + (n * 3 / 2) as i64 - back as i64;
            let mark = greatest.saturating_sub(LAG);
            greatest = greatest.max(time);
            Record {
                key: below(5) as i64,
                time,
                value: below(100) as i64 - 50,
                mark,
            }
        })
        .collect()
}

fn folder(name: &str, records: &[Record]) -> Folder {
    let folder = Folder::new(name);
    folder.write(
        "schema.sql",
        &format!(
            "CREATE SOURCE r (k BIGINT, v BIGINT, ts TIMESTAMP(3), \
             WATERMARK FOR ts AS ts - INTERVAL '{LAG}' SECOND) WITH (connector = 'file', \
             path = 'r.ndjson', format = 'json', timestamp_unit = 's');"
        ),
    );
    let line = |r: &Record| {
        let Record {
            key, time, value, ..
        } = r;
        // Long enough for every shard to read some.
        format!(
            "{{\"k\": {key}, \"v\": {value}, \"pad\": \"{:0400}\", \"ts\": {time}}}\n",
            0
        )
    };
    folder.write("r.ndjson", &records.iter().map(line).collect::<String>());
    folder
}

/// A group: key, start, end; and of its records how many, and the sum of values.
type Groups = BTreeMap<(i64, i64, i64), (i64, i64)>;

/// What the query gives, and how many records were late.
fn run(folder: &Folder, window: &str, options: &[&str]) -> (Groups, u64) {
    let query = format!(
        "SELECT k, EXTRACT(EPOCH FROM window_start) AS a, EXTRACT(EPOCH FROM window_end) AS b, \
         COUNT(*) AS n, SUM(v) AS s FROM {window}"
    );
    let output = trefoil(folder)
        .args([
            "run",
            "schema.sql",
            "-c",
            &query,
            "--format",
            "csv",
            "--stats",
            "stats.json",
        ])
        .args(options)
        .output()
        .unwrap();
    assert!(output.status.success(), "{query}: {}", text(&output.stderr));
    let mut groups = Groups::new();
    for line in text(&output.stdout).lines().skip(1) {
        let numbers: Vec<i64> = line
            .split(',')
            .map(|f| f.parse::<f64>().unwrap() as i64)
            .collect();
        let [key, start, end, count, sum] = numbers[..] else {
            panic!("{line}")
        };
        let before = groups.insert((key, start, end), (count, sum));
        assert!(before.is_none(), "{window}: twice {line}");
    }
    let stats = folder.json("stats.json");
    let input = &stats["queries"][0]["inputs"][0];
    (groups, input["rows_late"].as_u64().unwrap())
}

/// The windows of each record that its watermark has left open.
fn model(records: &[Record], windows: impl Fn(i64) -> Vec<(i64, i64)>) -> (Groups, u64) {
    let (mut groups, mut late) = (Groups::new(), 0);
    for r in records {
        let open: Vec<_> = windows(r.time)
            .into_iter()
            .filter(|(_, end)| *end > r.mark)
            .collect();
        late += u64::from(open.is_empty());
        for (start, end) in open {
            let group = groups.entry((r.key, start, end)).or_default();
            *group = (group.0 + 1, group.1 + r.value);
        }
    }
    (groups, late)
}

fn sessions(records: &[Record], gap: i64) -> (Groups, u64) {
    let mut keys: BTreeMap<i64, Vec<Record>> = BTreeMap::new();
    let mut late = 0;
    for r in records {
        match r.time < r.mark {
            true => late += 1,
            false => keys.entry(r.key).or_default().push(*r),
        }
    }
    let mut groups = Groups::new();
    for (key, mut rows) in keys {
        rows.sort_by_key(|r| r.time);
        for part in rows.chunk_by(|a, b| b.time - a.time < gap) {
            let (start, last) = (part[0].time, part[part.len() - 1].time);
            let sum = part.iter().map(|r| r.value).sum();
            groups.insert((key, start, last + gap), (part.len() as i64, sum));
        }
    }
    (groups, late)
}

fn hopping(size: i64, slide: i64, offset: i64) -> impl Fn(i64) -> Vec<(i64, i64)> {
    move |time| {
        let last = time - (time - offset).rem_euclid(slide);
        let starts = (0..)
            .map(|n| last - n * slide)
            .take_while(|start| start + size > time);
        starts.map(|start| (start, start + size)).collect()
    }
}

fn cumulating(size: i64, step: i64) -> impl Fn(i64) -> Vec<(i64, i64)> {
    move |time| {
        let start = time - time.rem_euclid(size);
        let ends = (1..=size / step).map(|n| start + n * step);
        ends.filter(|end| *end > time)
            .map(|end| (start, end))
            .collect()
    }
}

#[test]
fn records_count_in_the_windows_that_their_own_watermark_left_open() {
    let records = records(3000);
    let folder = folder("windows", &records);
    let cases: Vec<(&str, (Groups, u64))> = vec![
        (
            "r GROUP BY k, TUMBLE(ts, INTERVAL '30' SECOND)",
            model(&records, hopping(30, 30, 0)),
        ),
        (
            "r GROUP BY k, TUMBLE(ts, INTERVAL '30' SECOND, INTERVAL '7' SECOND)",
            model(&records, hopping(30, 30, 7)),
        ),
        (
            "r GROUP BY k, HOP(ts, INTERVAL '10' SECOND, INTERVAL '60' SECOND)",
            model(&records, hopping(60, 10, 0)),
        ),
        (
            "r GROUP BY k, SLIDING(ts, INTERVAL '25' SECOND, INTERVAL '10' SECOND)",
            model(&records, hopping(25, 10, 0)),
        ),
        (
            "r GROUP BY k, HOP(ts, INTERVAL '7' SECOND, INTERVAL '20' SECOND, INTERVAL '3' SECOND)",
            model(&records, hopping(20, 7, 3)),
        ),
        (
            "r GROUP BY k, HOP(ts, INTERVAL '2' SECOND, INTERVAL '99' SECOND, INTERVAL '1' SECOND)",
            model(&records, hopping(99, 2, 1)),
        ),
        (
            // Not by panes.
            "r GROUP BY k, SLIDING(ts, INTERVAL '9' SECOND, INTERVAL '4' SECOND) \
             HAVING COUNT(DISTINCT v) > 0",
            model(&records, hopping(9, 4, 0)),
        ),
        (
            "r GROUP BY k, CUMULATE(ts, INTERVAL '10' SECOND, INTERVAL '60' SECOND)",
            model(&records, cumulating(60, 10)),
        ),
        (
            "r GROUP BY k, SESSION(ts, INTERVAL '9' SECOND)",
            sessions(&records, 9),
        ),
        (
            "r GROUP BY k, SESSION(ts, INTERVAL '40' SECOND)",
            sessions(&records, 40),
        ),
        (
            "TUMBLE(r, ts, INTERVAL '30' SECOND) GROUP BY k, window_start, window_end",
            model(&records, hopping(30, 30, 0)),
        ),
        (
            "TABLE(HOP(TABLE r, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '60' SECOND)) \
             GROUP BY k, window_start, window_end",
            model(&records, hopping(60, 10, 0)),
        ),
        (
            "CUMULATE(r, ts, INTERVAL '10' SECOND, INTERVAL '60' SECOND) \
             GROUP BY k, window_start, window_end",
            model(&records, cumulating(60, 10)),
        ),
    ];
    for (window, (want, late)) in cases {
        assert!(late > 0 && want.len() > 20, "{window} says something");
        for cores in ["1", "2", "4"] {
            for frame_rows in ["1", "7", "1024"] {
                let options = ["--cores", cores, "--frame-rows", frame_rows];
                let got = run(&folder, window, &options);
                assert!(
                    got == (want.clone(), late),
                    "{window} at {cores} shards, frames of {frame_rows}: {} late instead of \
                     {late}; unlike: {:?}",
                    got.1,
                    differences(&got.0, &want),
                );
            }
        }
    }
}

fn differences(got: &Groups, want: &Groups) -> Vec<String> {
    let keys: BTreeSet<_> = got.keys().chain(want.keys()).collect();
    let unlike = keys.into_iter().filter(|k| got.get(k) != want.get(k));
    unlike
        .take(5)
        .map(|k| format!("{k:?}: {:?}, want {:?}", got.get(k), want.get(k)))
        .collect()
}

/// Without groups rows are multiplied, and none is late.
#[test]
fn a_table_function_gives_each_row_with_each_of_its_windows() {
    let records = records(500);
    let folder = folder("window-rows", &records);
    let windows = hopping(25, 10, 0);
    let mut want = BTreeMap::new();
    for r in &records {
        for (start, end) in windows(r.time) {
            *want.entry((r.key, start, end, r.value)).or_insert(0) += 1;
        }
    }
    let query = "SELECT k, EXTRACT(EPOCH FROM window_start), EXTRACT(EPOCH FROM window_end), v \
                 FROM HOP(r, ts, INTERVAL '10' SECOND, INTERVAL '25' SECOND)";
    for cores in ["1", "4"] {
        let output = trefoil(&folder)
            .args([
                "run",
                "schema.sql",
                "-c",
                query,
                "--format",
                "csv",
                "--cores",
                cores,
            ])
            .args(["--frame-rows", "7"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let mut got = BTreeMap::new();
        for line in text(&output.stdout).lines().skip(1) {
            let row: Vec<i64> = line
                .split(',')
                .map(|f| f.parse::<f64>().unwrap() as i64)
                .collect();
            let [key, start, end, value] = row[..] else {
                panic!("{line}")
            };
            *got.entry((key, start, end, value)).or_insert(0) += 1;
        }
        assert_eq!(got, want, "{cores} shards");
    }
}

/// A condition on one of the several windows of a row is one of the groups that they make.
#[test]
fn conditions_on_several_windows() {
    let folder = Folder::new("several");
    let rows = [1, 4, 8].map(|s| format!("{{\"at\":\"2024-01-01T00:00:{s:02}\"}}\n"));
    folder.write("t.ndjson", &rows.concat());
    folder.write(
        "s.sql",
        "CREATE SOURCE t (at TIMESTAMP(3), WATERMARK FOR at) WITH (connector = 'file', \
         path = 't.ndjson', format = 'json');",
    );
    let after = |seconds: u32| format!("> TIMESTAMP '2024-01-01 00:00:{seconds:02}'");
    let hop = "at, INTERVAL '5' SECOND, INTERVAL '10' SECOND";
    let list = "window_start, window_end, COUNT(*) AS n";
    let row = |start: u32, end: u32, n: u32| {
        format!(
            "{{\"window_start\":\"2024-01-01T00:00:{start:02}\",\
             \"window_end\":\"2024-01-01T00:00:{end:02}\",\"n\":{n}}}"
        )
    };
    let hops = vec![row(0, 10, 3), row(5, 15, 1)];
    for (sql, want) in [
        (
            format!(
                "SELECT {list} FROM t GROUP BY HOP({hop}) HAVING window_end {}",
                after(5)
            ),
            &hops,
        ),
        (
            format!(
                "SELECT * FROM (SELECT {list} FROM t GROUP BY HOP({hop})) AS q \
                 WHERE window_end {} AND n < 3",
                after(5)
            ),
            &vec![row(5, 15, 1)],
        ),
        (
            format!(
                "SELECT {list} FROM t GROUP BY CUMULATE({hop}) HAVING window_end {}",
                after(5)
            ),
            &vec![row(0, 10, 3)],
        ),
        (
            format!(
                "SELECT {list} FROM t GROUP BY SESSION(at, INTERVAL '2' SECOND) \
                 HAVING window_end {} OR window_start IS NULL",
                after(5)
            ),
            &vec![row(4, 6, 1), row(8, 10, 1)],
        ),
    ] {
        for shards in ["1", "2"] {
            let output = trefoil(&folder)
                .args(["run", "s.sql", "-c", &sql, "--cores", shards])
                .output()
                .unwrap();
            let printed = text(&output.stdout);
            let mut rows: Vec<_> = printed.lines().collect();
            rows.sort_unstable();
            assert_eq!(rows, *want, "{sql}: {}", text(&output.stderr));
        }
    }
}
