//! EMIT CHANGES: which changes come out, in which order, and that nothing about the run decides it.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use common::{Folder, text, trefoil};

/// The lines that a query gives, without the header.
fn lines(folder: &Folder, query: &str, options: &[&str]) -> Vec<String> {
    let output = trefoil(folder)
        .args(["run", "schema.sql", "-c", query, "--format", "csv"])
        .args(options)
        .output()
        .unwrap();
    assert!(output.status.success(), "{query}: {}", text(&output.stderr));
    text(&output.stdout)
        .lines()
        .skip(1)
        .map(str::to_owned)
        .collect()
}

const SCHEMA: &str = "CREATE SOURCE r (k VARCHAR, v BIGINT, x DOUBLE, tags VARCHAR[],
    ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
    WITH (connector = 'file', path = 'r.ndjson', format = 'json');";

fn source(name: &str, records: impl IntoIterator<Item = String>) -> Folder {
    let folder = Folder::new(name);
    folder.write("schema.sql", SCHEMA);
    let records: Vec<String> = records.into_iter().collect();
    folder.write("r.ndjson", &(records.join("\n") + "\n"));
    folder
}

/// Some records of few keys; `r` is any number. They are long enough for every shard to read some.
fn record(r: u64) -> String {
    let (key, hour, minute, second) = (r * r % 7, 10 + r / 3600, r / 60 % 60, r % 60);
    let value = (r * 7919 % 101) as i64 - 50;
    format!(
        "{{\"k\": \"{}\", \"v\": {value}, \"x\": {}.25, \"tags\": [\"a\", \"b{}\"], \
         \"pad\": \"{:01000}\", \
         \"ts\": \"2025-01-01T{hour}:{minute:02}:{second:02}Z\"}}",
        ["a", "b", "", "dd", "e", "f", "g"][key as usize],
        r % 13,
        r % 3,
        r,
    )
}

#[test]
fn each_record_gives_its_group_and_takes_back_how_it_was() {
    let given = [("a", 1), ("b", 5), ("a", 2), ("a", 4), ("b", 1), ("a", -9)];
    let folder = source(
        "changes-ops",
        given.map(|(k, v)| format!("{{\"k\": \"{k}\", \"v\": {v}}}")),
    );
    let cases = [
        (
            "SELECT k, SUM(v) AS s FROM r WHERE k = 'a' GROUP BY k EMIT CHANGES",
            "+I,a,1 -U,a,1 +U,a,3 -U,a,3 +U,a,7 -U,a,7 +U,a,-2",
        ),
        (
            "SELECT COUNT(*) AS n, MAX(v) AS m FROM r WHERE k = 'a' EMIT CHANGES",
            "+I,1,1 -U,1,1 +U,2,2 -U,2,2 +U,3,4 -U,3,4 +U,4,4",
        ),
        // HAVING turns true: a row comes; false: it goes; a row that was never out does not go.
        (
            "SELECT k, SUM(v) AS s FROM r WHERE k = 'a' GROUP BY k HAVING SUM(v) > 2 EMIT CHANGES",
            "+I,a,3 -U,a,3 +U,a,7 -D,a,7",
        ),
        (
            "SELECT SUM(v) AS s FROM r HAVING SUM(v) % 2 = 0 EMIT CHANGES",
            "+I,6 -U,6 +U,8 -U,8 +U,12 -D,12 +I,4",
        ),
        // A group exists or not: that it is met again changes nothing.
        (
            "SELECT DISTINCT k FROM r WHERE k = 'b' EMIT CHANGES",
            "+I,b",
        ),
        // Without a record the one group of all rows stands all the same, at the end.
        (
            "SELECT COUNT(*) AS n FROM r WHERE v > 100 EMIT CHANGES",
            "+I,0",
        ),
        (
            "SELECT COUNT(*) AS n FROM r WHERE v > 100 HAVING COUNT(*) > 0 EMIT CHANGES",
            "",
        ),
        (
            "SELECT k, COUNT(*) AS n FROM r WHERE v > 100 GROUP BY k EMIT CHANGES",
            "",
        ),
        // Rows of a stateless query only come.
        (
            "SELECT v, k FROM r WHERE v > 3 EMIT CHANGES",
            "+I,5,b +I,4,a",
        ),
    ];
    for (query, wanted) in cases {
        for (cores, rows) in [("1", "1"), ("1", "1024"), ("2", "7"), ("4", "1")] {
            let got = lines(&folder, query, &["--cores", cores, "--frame-rows", rows]);
            assert_eq!(
                got.join(" "),
                wanted,
                "{query}, {cores} shards, frames of {rows}"
            );
        }
    }
}

/// The changes of each key, which come in the order of its records; `keys` columns follow `op`.
fn by_key(lines: &[String], keys: usize) -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        let key = line.splitn(keys + 2, ',').skip(1).take(keys);
        let key = key.collect::<Vec<_>>().join(",");
        groups.entry(key).or_default().push(line.clone());
    }
    groups
}

/// The same 5,000 records, one by one and in bulk, give the same changes: one for each, never none.
#[test]
fn one_path() {
    let folder = source("changes-path", (0..5000).map(record));
    let cases = [
        (
            "SELECT k, COUNT(*) AS n, SUM(v) AS s, AVG(x) AS a, MIN(x) AS l, MAX(v) AS m, \
             STDDEV(x) \
          AS d, MIN(k) AS f FROM r GROUP BY k EMIT CHANGES",
            1,
            5000,
        ),
        (
            "SELECT COUNT(*) AS n, SUM(x) AS s, MAX(k) AS m FROM r EMIT CHANGES",
            0,
            5000,
        ),
        (
            "SELECT k, window_start, COUNT(*) AS n, SUM(v) AS s FROM r \
          GROUP BY k, TUMBLE(ts, INTERVAL '10' MINUTE) EMIT CHANGES",
            2,
            5000,
        ),
        (
            "SELECT TUMBLE_START(ts, INTERVAL '10' MINUTE) AS w, COUNT(*) AS n FROM r \
          GROUP BY TUMBLE(ts, INTERVAL '10' MINUTE) EMIT CHANGES",
            1,
            5000,
        ),
        (
            "SELECT tag, window_start, COUNT(*) AS n FROM r \
          CROSS JOIN UNNEST(tags) AS tag GROUP BY tag, \
             TUMBLE(ts, INTERVAL '10' MINUTE) EMIT CHANGES",
            2,
            10_000,
        ),
    ];
    for (query, keys, changes) in cases {
        let bulk = lines(&folder, query, &["--cores", "1", "--frame-rows", "1024"]);
        let come = bulk.iter().filter(|l| l.starts_with('+')).count();
        assert_eq!(come, changes, "{query}");
        for cores in ["1", "2", "4"] {
            for rows in ["1", "7", "1024"] {
                let got = lines(&folder, query, &["--cores", cores, "--frame-rows", rows]);
                let label = format!("{query}, {cores} shards, frames of {rows}");
                assert_eq!(got.len(), bulk.len(), "{label}");
                assert!(by_key(&got, keys) == by_key(&bulk, keys), "{label}");
            }
        }
        // What stands in the end is what the same query gives without changes.
        let last = query.trim_end_matches(" EMIT CHANGES");
        let mut last = lines(&folder, last, &["--cores", "1"]);
        last.sort();
        let mut stands = by_key(&bulk, 0).remove("").unwrap();
        let mut rows: BTreeMap<String, i64> = BTreeMap::new();
        for line in stands.drain(..) {
            let weight = if line.starts_with('+') { 1 } else { -1 };
            *rows.entry(line[3..].to_owned()).or_default() += weight;
        }
        rows.retain(|_, weight| *weight != 0);
        assert!(rows.values().all(|weight| *weight == 1), "{query}");
        assert_eq!(rows.into_keys().collect::<Vec<_>>(), last, "{query}");
    }
}

/// The column `op` comes first in each format, and in sinks that declare their columns.
#[test]
fn every_format_tells_what_a_row_does_first() {
    let folder = source(
        "changes-formats",
        [3, 4].map(|v| format!("{{\"k\": \"a\", \"v\": {v}}}")),
    );
    let query = "SELECT k, SUM(v) AS s FROM r GROUP BY k EMIT CHANGES";
    let cases = [
        ("csv", "op,k,s\r\n+I,a,3\r\n-U,a,3\r\n+U,a,7\r\n"),
        (
            "ndjson",
            "{\"op\":\"+I\",\"k\":\"a\",\"s\":3}\n{\"op\":\"-U\",\"k\":\"a\",\"s\":3}\n\
             {\"op\":\"+U\",\"k\":\"a\",\"s\":7}\n",
        ),
        (
            "json",
            "[\n{\"op\":\"+I\",\"k\":\"a\",\"s\":3},\n{\"op\":\"-U\",\"k\":\"a\",\"s\":3},\n\
             {\"op\":\"+U\",\"k\":\"a\",\"s\":7}\n]\n",
        ),
        (
            "markdown",
            "| op | k | s |\n| --- | --- | ---: |\n\
             | +I | a | 3 |\n| -U | a | 3 |\n| +U | a | 7 |\n",
        ),
    ];
    for (format, wanted) in cases {
        let run = trefoil(&folder)
            .args(["run", "schema.sql", "-c", query, "--format", format])
            .output()
            .unwrap();
        assert_eq!(text(&run.stdout), wanted, "{format}: {}", text(&run.stderr));
    }
    let table = trefoil(&folder)
        .args(["run", "schema.sql", "-c", query, "--format", "table"])
        .output()
        .unwrap();
    assert!(
        text(&table.stdout).contains("│ op │ k │ s │"),
        "{}",
        text(&table.stdout)
    );
    let sink = format!(
        "CREATE SINK o (name VARCHAR, total BIGINT) WITH (connector = 'file', path = 'o.csv', \
         format = 'csv'); INSERT INTO o {query};"
    );
    let run = trefoil(&folder)
        .args(["run", "schema.sql", "-c", &sink])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert_eq!(
        folder.read("o.csv"),
        "op,name,total\r\n+I,a,3\r\n-U,a,3\r\n+U,a,7\r\n"
    );
    let taken = "SELECT k AS op, COUNT(*) FROM r GROUP BY k EMIT CHANGES";
    let run = trefoil(&folder)
        .args(["run", "schema.sql", "-c", taken])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(3));
    assert!(
        text(&run.stderr).starts_with("error[E0205]"),
        "{}",
        text(&run.stderr)
    );
}

/// The pack says how many changes there are of each kind, and what stands once all are applied.
/// Of sessions it counts new versions only: how one that grows or merges takes back its old bounds
/// can be written in more than one way.
#[test]
fn the_numbers_of_changes_are_those_expected() {
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fr082");
    for query in [
        "06_session_fraud",
        "07c_sliding_high_avg_changes",
        "08b_trending_changes",
    ] {
        let name = query.split_once('_').map_or(query, |(number, _)| number);
        let counts = pack.join(format!("expected/{name}_changes_count.txt"));
        let counts = std::fs::read_to_string(counts).unwrap();
        let rows = std::fs::read_to_string(pack.join(format!("expected/{query}.csv"))).unwrap();
        for (cores, frame_rows) in [
            ("1", "1"),
            ("1", "1024"),
            ("2", "7"),
            ("4", "1"),
            ("8", "7"),
        ] {
            let run = Command::new(env!("CARGO_BIN_EXE_trefoil"))
                .arg("run")
                .args([
                    pack.join("schema.sql"),
                    pack.join(format!("queries/{query}.sql")),
                ])
                .args([
                    "--format",
                    "csv",
                    "--cores",
                    cores,
                    "--frame-rows",
                    frame_rows,
                ])
                .output()
                .unwrap();
            assert!(run.status.success(), "{}", text(&run.stderr));
            let out = text(&run.stdout);
            let of = |op: &str| out.lines().filter(|l| l.starts_with(op)).count();
            let (inserts, updates, deletes) = (of("+I"), of("+U"), of("-D"));
            assert_eq!(of("-U"), updates);
            let upserts = inserts + updates;
            let got = match name {
                "06" => format!("upserts {upserts}\n"),
                _ => format!(
                    "upserts {upserts}\ninserts {inserts}\nupdates {updates}\ndeletes {deletes}\n"
                ),
            };
            assert_eq!(
                got, counts,
                "{query}: {cores} shards, frames of {frame_rows}"
            );
            let standing = inserts - deletes;
            assert_eq!(
                standing,
                rows.lines().count() - 1,
                "{query}: rows that stand"
            );
        }
    }
}
