//! EMIT EVERY: of a changelog what is left of it from time to time. When that is the clock decides;
//! what stands in the end is what the same query gives without it.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use common::{Folder, text, trefoil};

const SCHEMA: &str = "CREATE SOURCE r (k VARCHAR, v BIGINT, ts TIMESTAMP(3),
    WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
    WITH (connector = 'file', path = 'r.ndjson', format = 'json');";

fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write("schema.sql", SCHEMA);
    let record = |n: u64| {
        let (key, value) = (n * n % 11, (n * 7919 % 101) as i64 - 50);
        let (minute, second) = (n / 60 % 60, n % 60);
        // Long enough for every shard to read some.
        format!(
            "{{\"k\": \"k{key}\", \"v\": {value}, \"pad\": \"{:01000}\", \
             \"ts\": \"2025-01-01T00:{minute:02}:{second:02}Z\"}}\n",
            0
        )
    };
    folder.write("r.ndjson", &(0..3000).map(record).collect::<String>());
    folder
}

fn run(folder: &Folder, query: &str, cores: &str, rows: &str) -> Vec<String> {
    let output = trefoil(folder)
        .args(["run", "schema.sql", "-c", query, "--format", "csv"])
        .args(["--cores", cores, "--frame-rows", rows])
        .output()
        .unwrap();
    assert!(output.status.success(), "{query}: {}", text(&output.stderr));
    let lines = text(&output.stdout);
    lines.lines().skip(1).map(str::to_owned).collect()
}

/// The rows that stand once all changes are applied, and none goes that was not there.
fn stands(lines: &[String]) -> Vec<String> {
    let mut stands: BTreeMap<String, i64> = BTreeMap::new();
    for line in lines {
        let weight = if line.starts_with('+') { 1 } else { -1 };
        let count = stands.entry(line[3..].to_owned()).or_default();
        *count += weight;
        assert!(*count >= 0, "{line} goes before it comes");
    }
    let rows = stands.into_iter();
    rows.flat_map(|(row, count)| vec![row; count as usize])
        .collect()
}

const QUERIES: [&str; 8] = [
    "SELECT k, COUNT(*) AS n, SUM(v) AS s FROM r GROUP BY k",
    // Without its key.
    "SELECT SUM(v) % 5 AS s FROM r GROUP BY k HAVING SUM(v) > 0",
    "SELECT COUNT(*) AS n, MAX(v) AS m FROM r",
    "SELECT k, window_start, COUNT(*) AS n FROM r GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)",
    "SELECT k, window_start, window_end, COUNT(*) AS n FROM r
        GROUP BY k, SESSION(ts, INTERVAL '4' SECOND)",
    "SELECT n, COUNT(*) AS c FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) t GROUP BY n",
    "SELECT k, SUM(v) AS s FROM r GROUP BY k ORDER BY s DESC LIMIT 3",
    "SELECT k, n, ROW_NUMBER() OVER (ORDER BY n, k) AS place
        FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) t",
];

/// Once an hour is once, at the end: no change is told of that another one takes back.
#[test]
fn what_is_left_at_the_end_is_told_once() {
    let folder = folder("every-end");
    for query in QUERIES {
        let mut wanted = run(&folder, query, "1", "1024");
        wanted.sort();
        assert!(!wanted.is_empty(), "{query}");
        for (cores, rows) in [("1", "1"), ("1", "7"), ("2", "1024"), ("4", "7")] {
            let hourly = format!("{query} EMIT EVERY INTERVAL '1' HOUR");
            let got = run(&folder, &hourly, cores, rows);
            assert!(got.iter().all(|line| line.starts_with("+I,")), "{got:?}");
            assert_eq!(
                stands(&got),
                wanted,
                "{query}, {cores} shards, frames of {rows}"
            );
        }
    }
}

#[test]
fn what_stands_does_not_depend_on_when_it_is_told() {
    let folder = folder("every-often");
    for query in QUERIES {
        let mut wanted = run(&folder, query, "1", "1024");
        wanted.sort();
        for (cores, rows) in [("1", "1"), ("2", "7"), ("4", "1024")] {
            let often = format!("{query} EMIT EVERY INTERVAL '0.001' SECOND");
            let got = run(&folder, &often, cores, rows);
            assert_eq!(
                stands(&got),
                wanted,
                "{query}, {cores} shards, frames of {rows}"
            );
        }
    }
}

/// Changes are told of while the input is open and nothing comes, once each.
#[test]
fn changes_come_while_nothing_else_does() {
    let folder = Folder::new("every-live");
    folder.write(
        "schema.sql",
        &SCHEMA.replace("'file', path = 'r.ndjson'", "'stdin'"),
    );
    let query = "SELECT k, COUNT(*) AS n FROM r GROUP BY k HAVING COUNT(*) < 4 \
                 EMIT EVERY INTERVAL '0.02' SECOND";
    for (cores, executor) in [("1", "auto"), ("2", "auto"), ("4", "threads")] {
        let mut child = trefoil(&folder)
            .args(["run", "schema.sql", "-c", query, "--format", "csv"])
            .args(["--cores", cores, "--executor", executor])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            assert!(out.read_line(&mut line).unwrap() > 0);
            line.trim().to_owned()
        };
        let mut give = |k: &str, count: usize| {
            let record = format!("{{\"k\": \"{k}\", \"ts\": \"2025-01-01T00:00:00Z\"}}\n");
            input.write_all(record.repeat(count).as_bytes()).unwrap();
        };
        // One write is taken in one piece; how many changes it takes is not for this to know.
        let told = |lines: &mut dyn FnMut() -> String, wanted: &str| {
            let mut stands = String::new();
            while stands != wanted {
                let line = lines();
                stands = match &line[..3] {
                    "+I," | "+U," => line[3..].to_owned(),
                    _ => String::new(),
                };
            }
        };
        give("a", 2);
        assert_eq!(line(), "op,k,n");
        told(&mut line, "a,2");
        give("a", 1);
        assert_eq!([line(), line()], ["-U,a,2", "+U,a,3"]);
        give("a", 1);
        assert_eq!(line(), "-D,a,3");
        give("b", 1);
        assert_eq!(line(), "+I,b,1");
        drop(input);
        assert!(child.wait().unwrap().success());
    }
}

/// What changed before a run was stopped is told of.
#[test]
fn a_run_that_is_stopped_tells_what_is_left() {
    let folder = Folder::new("every-stop");
    folder.write(
        "schema.sql",
        "CREATE SOURCE g (id BIGINT) WITH (connector = 'generator', rate = 1000);",
    );
    let query = "SELECT COUNT(*) > 0 AS any FROM g EMIT EVERY INTERVAL '1' DAY";
    for cores in ["1", "2"] {
        let output = trefoil(&folder)
            .args(["run", "schema.sql", "-c", query, "--format", "csv"])
            .args(["--cores", cores, "--for", "0.2s"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "op,any\r\n+I,true\r\n");
    }
}
