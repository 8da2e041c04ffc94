//! Each file of a folder as a split of its own: what is late is decided by its file alone, and
//! neither the number of shards nor what stands in other files changes a result.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::collections::BTreeMap;

use common::{Folder, run_script, text};

/// Seconds by which the watermark stays behind.
const LAG: i64 = 3;

/// A record: seconds, and its key.
type Row = (i64, usize);

/// Files whose rows are out of order by up to `disorder` seconds, one of them far behind the rest.
fn files(disorder: i64, rows: usize) -> Vec<Vec<Row>> {
    let mut state = 7_u64;
    let mut random = |below: i64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as i64 % below
    };
    let starts = [5000, 1000, 4000, 9000];
    let file = |start: i64| {
        let row = |n: i64| (start + n / 4 - random(disorder + 1), random(3) as usize);
        (0..rows as i64).map(row).collect()
    };
    let mut files: Vec<Vec<Row>> = starts.map(file).into();
    files.insert(2, Vec::new());
    files
}

fn time(seconds: i64) -> String {
    let (hour, minute) = (seconds / 3600, seconds / 60 % 60);
    format!("2024-01-01T{hour:02}:{minute:02}:{:02}", seconds % 60)
}

fn write(folder: &Folder, files: &[Vec<Row>]) {
    for (number, rows) in files.iter().enumerate() {
        let record = |&(t, k): &Row| format!("{{\"t\":\"{}\",\"k\":{k}}}\n", time(t));
        let records: String = rows.iter().map(record).collect();
        folder.write(&format!("in/{number}.ndjson"), &records);
    }
}

fn source(splits: &str) -> String {
    format!(
        "CREATE SOURCE r (t TIMESTAMP(0) NOT NULL, k BIGINT, \
         WATERMARK FOR t AS t - INTERVAL '{LAG}' SECOND) \
         WITH (connector = 'file', path = 'in', format = 'json', splits = '{splits}');"
    )
}

/// The rows of each window and key by what `t` and `w`, its own file's watermark, say; and how many
/// rows are late.
fn model(
    files: &[Vec<Row>],
    windows: impl Fn(i64) -> Vec<(i64, i64)>,
) -> (BTreeMap<Row, i64>, u64) {
    let (mut counts, mut late) = (BTreeMap::new(), 0);
    for rows in files {
        let mut greatest = i64::MIN / 2;
        for &(t, k) in rows {
            let w = greatest - LAG;
            let open = windows(t).into_iter().filter(|(_, end)| *end > w);
            let open: Vec<_> = open.collect();
            late += u64::from(open.is_empty());
            for (start, _) in open {
                *counts.entry((start, k)).or_insert(0) += 1;
            }
            greatest = greatest.max(t);
        }
    }
    (counts, late)
}

fn run(folder: &Folder, splits: &str, query: &str, cores: &str) -> (Vec<String>, u64) {
    let options = ["--cores", cores, "--format", "csv", "--stats", "stats.json"];
    let output = run_script(folder, &format!("{}{query}", source(splits)), &options);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    let mut rows: Vec<_> = printed.lines().skip(1).map(str::to_owned).collect();
    rows.sort_unstable();
    let late = &folder.json("stats.json")["queries"][0]["inputs"][0]["rows_late"];
    (rows, late.as_u64().unwrap())
}

#[test]
fn what_is_late_is_decided_by_its_own_file() {
    for (disorder, rows) in [(2, 600), (40, 600), (40, 40_000)] {
        let folder = Folder::new(&format!("splits-{disorder}-{rows}"));
        let files = files(disorder, rows);
        write(&folder, &files);
        let tumbling = |t: i64| vec![(t - t.rem_euclid(10), t - t.rem_euclid(10) + 10)];
        let hopping = |t: i64| {
            let last = t - t.rem_euclid(5);
            (0..6).map(|n| (last - 5 * n, last - 5 * n + 30)).collect()
        };
        let cases = [
            ("TUMBLE(t, INTERVAL '10' SECOND)", model(&files, tumbling)),
            (
                "HOP(t, INTERVAL '5' SECOND, INTERVAL '30' SECOND)",
                model(&files, hopping),
            ),
        ];
        for (window, (counts, late)) in cases {
            let query =
                format!("SELECT window_start, k, COUNT(*) AS n FROM r GROUP BY k, {window};");
            let row = |(&(start, k), n): (&Row, &i64)| format!("{},{k},{n}", time(start));
            let mut want: Vec<_> = counts.iter().map(row).collect();
            want.sort_unstable();
            assert_eq!(late > 0, disorder > 2, "{window}");
            for cores in ["1", "2", "4"] {
                let got = run(&folder, "file", &query, cores);
                assert_eq!(got.1, late, "{window} at {cores}");
                assert!(got.0 == want, "{window} at {cores}: {:?} {want:?}", got.0);
            }
        }
        let (_, late) = run(
            &folder,
            "folder",
            "SELECT COUNT(*) FROM r GROUP BY TUMBLE(t, INTERVAL '10' SECOND);",
            "2",
        );
        assert!(
            late >= rows as u64,
            "one file is far behind those before it"
        );
    }
}

#[test]
fn a_split_has_its_number_and_its_own_places() {
    let folder = Folder::new("split-numbers");
    folder.write(
        "in/a.ndjson",
        "{\"t\":\"2024-01-01\",\"k\":1}\n{\"t\":\"2024-01-01\",\"k\":2}\n",
    );
    folder.write("in/b.ndjson", "");
    folder.write("in/c.ndjson", "{\"t\":\"2024-01-01\",\"k\":3}\n");
    let query = "SELECT k, _PARTITION AS p, _OFFSET AS o FROM r;";
    for cores in ["1", "2", "4"] {
        let (rows, _) = run(&folder, "file", query, cores);
        assert_eq!(rows, ["1,0,0", "2,0,25", "3,2,0"], "{cores}");
        let (rows, _) = run(&folder, "folder", query, cores);
        assert_eq!(rows, ["1,0,0", "2,0,25", "3,0,50"], "{cores}");
    }
}

/// What no window can hold is bad data, with its record.
#[test]
fn a_time_that_no_window_holds_is_told_with_its_record() {
    let folder = Folder::new("no-window");
    let records = [
        "{\"t\":\"2024-01-01T00:00:00\",\"k\":3}\n",
        "{\"t\":\"2262-04-11T23:47:16\",\"k\":1}\n",
        "{\"k\":2}\n",
    ];
    folder.write("in.ndjson", &records.concat());
    let windows = [
        "HOP(t, INTERVAL '5' SECOND, INTERVAL '30' SECOND)",
        "SESSION(t, INTERVAL '30' SECOND)",
        "CUMULATE(t, INTERVAL '5' SECOND, INTERVAL '30' SECOND)",
        "TUMBLE(t, INTERVAL '30' SECOND)",
    ];
    for (watermark, field) in [(", WATERMARK FOR t", ""), ("", ", event_time_field = 't'")] {
        for window in windows {
            for cores in ["1", "2"] {
                for (policy, code) in [("skip", 0), ("dlq", 0), ("fail", 1)] {
                    let sql = format!(
                        "CREATE SOURCE r (t TIMESTAMP(9), k BIGINT{watermark}) WITH (\
                         connector = 'file', path = 'in.ndjson', format = 'json', \
                         bad_data = '{policy}'{field});\
                         SELECT k, COUNT(*) AS n FROM r GROUP BY k, {window};"
                    );
                    let options = ["--cores", cores, "--format", "csv"];
                    let output = run_script(&folder, &sql, &options);
                    let said = text(&output.stderr);
                    assert_eq!(
                        output.status.code(),
                        Some(code),
                        "{window} {policy}: {said}"
                    );
                    if policy == "fail" {
                        assert!(said.contains("in.ndjson:2"), "{window}: {said}");
                        continue;
                    }
                    let printed = text(&output.stdout);
                    assert!(!printed.contains("\n2,"), "{window}: {printed}");
                    assert!(!printed.contains("\n1,"), "{window}: {printed}");
                    assert!(printed.contains("\n3,"), "{window}: {printed}");
                    if policy == "dlq" {
                        assert_eq!(folder.read("r.dlq.ndjson").lines().count(), 2, "{window}");
                    }
                }
            }
        }
    }
}

/// Two files whose times are far apart, one of them not to be ahead of the other: without windows
/// that says in which order they are read, and nothing else, also of rows without a time.
#[test]
fn what_is_not_to_drift_is_the_same_rows() {
    let folder = Folder::new("splits-drift");
    for (name, hour) in [("a", 20), ("b", 1)] {
        let record = |n: i64| match n % 7 {
            0 => format!("{{\"k\":{n},\"t\":null}}\n"),
            _ => format!("{{\"k\":{n},\"t\":\"{}\"}}\n", time(hour * 3600 + n)),
        };
        folder.write(
            &format!("{name}.ndjson"),
            &(0..3000).map(record).collect::<String>(),
        );
    }
    let source = |name: &str, options: &str| {
        format!(
            "CREATE SOURCE {name} (t TIMESTAMP(0), k BIGINT, WATERMARK FOR t) WITH \
             (connector = 'file', path = '{name}.ndjson', format = 'json'{options});\n"
        )
    };
    for query in [
        "SELECT k FROM (SELECT k FROM a UNION ALL SELECT k + 10000 FROM b) u;",
        "SELECT k % 5 AS g, COUNT(*) AS n, COUNT(t) AS times FROM
            (SELECT k, t FROM a UNION ALL SELECT k, t FROM b) u GROUP BY k % 5;",
        "SELECT a.k, b.t FROM a JOIN b ON a.k = b.k;",
    ] {
        let run = |options: &str, cores, rows| {
            let sql = source("a", options) + &source("b", "") + query;
            let output = run_script(&folder, &sql, &["--cores", cores, "--frame-rows", rows]);
            assert!(output.status.success(), "{sql}: {}", text(&output.stderr));
            let mut lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let wanted = run("", "1", "1024");
        assert!(wanted.len() >= 5);
        for (cores, rows) in [("1", "7"), ("2", "1024"), ("4", "1")] {
            let got = run(", max_drift = '1 minute'", cores, rows);
            assert_eq!(got, wanted, "{query} {cores} shards, frames of {rows}");
        }
    }
}
