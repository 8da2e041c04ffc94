//! Windows over windows: groups by the start of a window that groups below made, under any name,
//! and windows of such starts, close by the watermark, before the input ends; each gives what the
//! same query gives over all rows at once.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use common::{Folder, text, trefoil};

const INNER: &str = "(SELECT k, window_start AS ws, COUNT(*) AS n, SUM(v) AS s FROM r
    GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)) t";
const HOPS: &str = "(SELECT k AS key, window_start, COUNT(*) AS n FROM r
    GROUP BY k, HOP(ts, INTERVAL '20' SECOND, INTERVAL '1' MINUTE, INTERVAL '7' SECOND)) t";

/// Without other keys: these groups stay where their rows were read.
const ALL_HOPS: &str = "(SELECT window_start AS ws, COUNT(*) AS n FROM r
    GROUP BY HOP(ts, INTERVAL '20' SECOND, INTERVAL '1' MINUTE)) t";

fn queries() -> Vec<String> {
    vec![
        format!("SELECT ws, MAX(n) AS m, COUNT(*) AS c FROM {INNER} GROUP BY ws"),
        format!("SELECT ws AS w2, COUNT(DISTINCT n) AS c FROM {INNER} WHERE s > 0 GROUP BY w2, n"),
        format!("SELECT TUMBLE(ws, INTERVAL '5' MINUTE) AS w, SUM(n) AS m FROM {INNER} GROUP BY w"),
        format!(
            "SELECT window_start, window_end, k, SUM(n) AS m FROM {INNER}
             GROUP BY k, HOP(ws, INTERVAL '2' MINUTE, INTERVAL '7' MINUTE, INTERVAL '1' MINUTE)"
        ),
        format!(
            "SELECT window_start, window_end, SUM(n) AS m FROM {INNER}
             GROUP BY CUMULATE(ws, INTERVAL '2' MINUTE, INTERVAL '6' MINUTE)"
        ),
        format!("SELECT window_start, MIN(n) AS m, SUM(n) AS s FROM {HOPS} GROUP BY window_start"),
        format!(
            "SELECT window_start AS five, SUM(n) AS s FROM {HOPS}
             GROUP BY TUMBLE(t.window_start, INTERVAL '5' MINUTE)"
        ),
        format!(
            "SELECT five, MAX(m) AS most FROM (
                SELECT key, window_start AS five, SUM(n) AS m FROM {HOPS}
                GROUP BY key, TUMBLE(t.window_start, INTERVAL '5' MINUTE)) u
             GROUP BY five HAVING MAX(m) > 1"
        ),
        format!(
            "SELECT TUMBLE(ws, INTERVAL '5' MINUTE) AS w, MAX(n) AS m, COUNT(*) AS c FROM {ALL_HOPS}
             GROUP BY w"
        ),
        format!("SELECT ws, MAX(n) AS m FROM {ALL_HOPS} GROUP BY ws"),
        // The windows below reach over the ends of those above.
        String::from(
            "SELECT TUMBLE(ws, INTERVAL '5' MINUTE) AS w, SUM(n) AS m FROM (SELECT window_start
             AS ws, COUNT(*) AS n FROM r GROUP BY TUMBLE(ts, INTERVAL '3' MINUTE)) t GROUP BY w",
        ),
        String::from(
            "SELECT TUMBLE(ws, INTERVAL '4' MINUTE) AS w, SUM(n) AS m FROM (SELECT window_start
             AS ws, COUNT(*) AS n FROM r GROUP BY TUMBLE(ts, INTERVAL '2' MINUTE,
             INTERVAL '1' MINUTE)) t GROUP BY w",
        ),
        format!(
            "SELECT ws, n, c FROM (SELECT ws, n, COUNT(*) AS c FROM {INNER} GROUP BY ws, n) u
             QUALIFY RANK() OVER (PARTITION BY ws ORDER BY c DESC) <= 1"
        ),
    ]
}

fn schema(connector: &str, watermark: &str) -> String {
    format!(
        "CREATE SOURCE r (k VARCHAR, v BIGINT, ts TIMESTAMP(3) NOT NULL{watermark})
         WITH (connector = {connector}, format = 'json');"
    )
}

const WATERMARK: &str = ", WATERMARK FOR ts AS ts - INTERVAL '5' SECOND";

/// Records of one hour, none of which is late.
fn records() -> String {
    let record = |n: u64| {
        let second = (n * 2).saturating_sub(n * n % 5);
        let (minute, second) = (second / 60, second % 60);
        format!(
            "{{\"k\": \"k{}\", \"v\": {}, \"pad\": \"{:0900}\", \
             \"ts\": \"2025-01-01T00:{minute:02}:{second:02}Z\"}}\n",
            n * n % 11,
            (n * 7919 % 101) as i64 - 50,
            0
        )
    };
    (0..1500).map(record).collect()
}

fn run(folder: &Folder, query: &str, cores: &str, rows: &str) -> Vec<String> {
    let output = trefoil(folder)
        .args(["run", "schema.sql", "-c", query, "--format", "csv"])
        .args(["--cores", cores, "--frame-rows", rows])
        .output()
        .unwrap();
    assert!(output.status.success(), "{query}: {}", text(&output.stderr));
    let mut lines: Vec<String> = text(&output.stdout)
        .lines()
        .skip(1)
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

#[test]
fn windows_over_windows_give_what_all_rows_at_once_give() {
    let folder = Folder::new("nested-windows");
    folder.write("r.ndjson", &records());
    for query in queries() {
        // Without a watermark nothing closes before the end.
        folder.write("schema.sql", &schema("'file', path = 'r.ndjson'", ""));
        let wanted = run(&folder, &query, "1", "1024");
        assert!(wanted.len() > 3, "{query}");
        folder.write(
            "schema.sql",
            &schema("'file', path = 'r.ndjson'", WATERMARK),
        );
        for (cores, rows) in [
            ("1", "1"),
            ("1", "1024"),
            ("2", "7"),
            ("4", "1"),
            ("4", "1024"),
        ] {
            let got = run(&folder, &query, cores, rows);
            assert_eq!(got, wanted, "{query}, {cores} shards, frames of {rows}");
        }
    }
}

/// Results come while the input is open, and all of them come.
#[test]
fn windows_over_windows_close_before_the_input_ends() {
    let folder = Folder::new("nested-live");
    folder.write("r.ndjson", &records());
    for query in queries() {
        folder.write("schema.sql", &schema("'file', path = 'r.ndjson'", ""));
        let wanted = run(&folder, &query, "1", "1024");
        folder.write(
            "schema.sql",
            &schema("'file', path = 'live', follow = true", WATERMARK),
        );
        let live = folder.0.join("live");
        for cores in ["1", "4"] {
            std::fs::write(&live, records()).unwrap();
            let mut child = trefoil(&folder)
                .args(["run", "schema.sql", "-c", &query, "--format", "csv"])
                .args(["--cores", cores])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut out = BufReader::new(child.stdout.take().unwrap());
            let mut lines = Vec::new();
            // The header, and what the records closed but for the last windows.
            while lines.len() < wanted.len() / 2 {
                let mut line = String::new();
                assert!(out.read_line(&mut line).unwrap() > 0, "{query}");
                lines.push(line.trim_end().to_owned());
            }
            // A record far behind the others closes the rest.
            let last = "{\"k\": \"z\", \"v\": 1, \"ts\": \"2025-01-02T00:00:00Z\"}\n";
            let mut file = std::fs::OpenOptions::new()
                .append(true)
                .open(&live)
                .unwrap();
            file.write_all(last.as_bytes()).unwrap();
            while lines.len() < wanted.len() + 1 {
                let mut line = String::new();
                assert!(out.read_line(&mut line).unwrap() > 0, "{query}");
                lines.push(line.trim_end().to_owned());
            }
            child.kill().unwrap();
            child.wait().unwrap();
            out.read_to_string(&mut String::new()).unwrap();
            let mut got = lines.split_off(1);
            got.sort();
            assert_eq!(got, wanted, "{query}, {cores} shards");
        }
    }
}
