//! What is computed from results that change: which changes come out on one shard, and what stands
//! on any number of them.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use common::{Folder, text, trefoil};

const SCHEMA: &str = "CREATE SOURCE r (k VARCHAR, v BIGINT, x DOUBLE, ts TIMESTAMP(3),
    WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
    WITH (connector = 'file', path = 'r.ndjson', format = 'json');";

/// Keys, values and minutes.
const GIVEN: [(&str, i64, u32); 6] = [
    ("a", 1, 0),
    ("b", 5, 0),
    ("a", 2, 0),
    ("a", 4, 0),
    ("b", 1, 1),
    ("c", -9, 2),
];

const COUNTS: &str = "(SELECT k, COUNT(*) AS n FROM r GROUP BY k) t";

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

/// The rows that stand, by how often.
fn stands(lines: &[String]) -> BTreeMap<String, i64> {
    let mut stands = BTreeMap::new();
    for line in lines {
        let weight = if line.starts_with('+') { 1 } else { -1 };
        *stands.entry(line[3..].to_owned()).or_default() += weight;
    }
    stands.retain(|_, weight| *weight != 0);
    stands
}

/// These changes come, and leave what the query gives without them.
fn check(folder: &Folder, query: &str, wanted: &str) {
    let changes = format!("{query} EMIT CHANGES");
    for rows in ["1", "7", "1024"] {
        let got = run(folder, &changes, "1", rows);
        assert_eq!(got.join(" "), wanted, "{query}, frames of {rows}");
    }
    let last = stands(&run(folder, &changes, "1", "7"));
    for (cores, rows) in [("2", "1"), ("2", "1024"), ("4", "7")] {
        let got = stands(&run(folder, &changes, cores, rows));
        assert_eq!(got, last, "{query}, {cores} shards, frames of {rows}");
    }
    let mut once = run(folder, query, "1", "7");
    once.sort();
    assert_eq!(last.into_keys().collect::<Vec<_>>(), once, "{query}");
}

#[test]
fn changes_of_changes() {
    let folder = Folder::new("changing");
    folder.write("schema.sql", SCHEMA);
    let record = |(k, v, minute): (&str, i64, u32)| {
        let time = format!("2025-01-01T00:{minute:02}:00Z");
        format!("{{\"k\": \"{k}\", \"v\": {v}, \"x\": {v}e300, \"ts\": \"{time}\"}}\n")
    };
    folder.write("r.ndjson", &GIVEN.map(record).concat());
    let cases = [
        // A group that moves takes its row from one group of groups to another.
        (
            format!("SELECT n, COUNT(*) AS c FROM {COUNTS} GROUP BY n"),
            "+I,1,1 -U,1,1 +U,1,2 -U,1,2 +U,1,1 +I,2,1 -D,2,1 +I,3,1 -D,1,1 +I,2,1 +I,1,1",
        ),
        // The greatest goes back; what leaves it as it was gives nothing.
        (
            "SELECT MAX(s) AS m FROM (SELECT k, SUM(-v) AS s FROM r GROUP BY k) t".to_owned(),
            "+I,-1 -U,-1 +U,-3 -U,-3 +U,-5 -U,-5 +U,-6 -U,-6 +U,9",
        ),
        // What is taken back leaves no trace in a sum.
        (
            "SELECT SUM(s) AS t FROM (SELECT k, SUM(x) AS s FROM r WHERE k = 'a' GROUP BY k) t"
                .to_owned(),
            "+I,1e300 -U,1e300 +U,3e300 -U,3e300 +U,7e300",
        ),
        (
            format!("SELECT COUNT(DISTINCT n) AS c FROM {COUNTS}"),
            "+I,1 -U,1 +U,2 -U,2 +U,3",
        ),
        (
            format!("SELECT n FROM {COUNTS} WHERE n > 1 GROUP BY n HAVING n < 3"),
            "+I,2 -D,2 +I,2",
        ),
        (
            format!("SELECT k, n, ROW_NUMBER() OVER (ORDER BY n DESC, k DESC) FROM {COUNTS}"),
            "+I,a,1,1 +I,b,1,1 -U,a,1,1 +U,a,1,2 -U,a,1,2 +U,a,2,1 -U,b,1,1 +U,b,1,2 -U,a,2,1 \
             +U,a,3,1 -U,b,1,2 +U,b,2,2 +I,c,1,3",
        ),
        // Who is below the limit is not told of, and moves up.
        (
            format!("SELECT k, n FROM {COUNTS} QUALIFY RANK() OVER (ORDER BY n) <= 1"),
            "+I,a,1 +I,b,1 -D,a,1 -U,b,1 +U,b,2 +I,c,1 -D,b,2",
        ),
        (
            "SELECT k, COUNT(*) AS n FROM r GROUP BY k ORDER BY n DESC LIMIT 1".to_owned(),
            "+I,a,1 -U,a,1 +U,a,2 -U,a,2 +U,a,3",
        ),
        // An aggregate is over the input, whatever a result is called.
        (
            "SELECT k, MIN(v) AS v FROM r GROUP BY k ORDER BY MAX(v) DESC, k LIMIT 1".to_owned(),
            "+I,a,1 +I,b,5 -D,a,1 -U,b,5 +U,b,1",
        ),
        // What they are ordered by is no column of the result.
        (
            "SELECT k FROM r ORDER BY v DESC, k LIMIT 2".to_owned(),
            "+I,a +I,b +I,a -D,a +I,a -D,a",
        ),
        (
            "SELECT k, v, SUM(v) OVER (PARTITION BY k ORDER BY v) AS t FROM r".to_owned(),
            "+I,a,1,1 +I,b,5,5 +I,a,2,3 +I,a,4,7 +I,b,1,1 -U,b,5,5 +U,b,5,6 +I,c,-9,-9",
        ),
        (
            format!("SELECT COUNT(*) AS c FROM {COUNTS} WHERE n > 100"),
            "+I,0",
        ),
    ];
    for (query, wanted) in cases {
        check(&folder, &query, wanted);
    }
}

/// Ranks of a window that closes come as it does, from input that has no end yet.
#[test]
fn ranks_come_as_their_window_closes() {
    let folder = Folder::new("changing-close");
    folder.write(
        "schema.sql",
        &SCHEMA.replace("'file', path = 'r.ndjson'", "'stdin'"),
    );
    let query = "SELECT k, window_start, COUNT(*) AS n FROM r \
        GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE) \
        QUALIFY RANK() OVER (PARTITION BY window_start ORDER BY COUNT(*) DESC) <= 1 \
        EMIT ON WINDOW CLOSE";
    let record = |minute: u32, k: &str| {
        format!("{{\"k\": \"{k}\", \"ts\": \"2025-01-01T00:{minute:02}:00Z\"}}\n")
    };
    let given: Vec<String> = [(0, "a"), (0, "b"), (0, "a"), (1, "b"), (2, "c"), (3, "d")]
        .map(|(minute, k)| record(minute, k))
        .into();
    for cores in ["1", "2", "4"] {
        let mut child = trefoil(&folder)
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
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::Write::write_all(&mut input, given.concat().as_bytes()).unwrap();
        // These come while the input is still open: the lag of the last record closes two windows.
        let mut lines = Vec::new();
        while lines.len() < 3 {
            let mut line = String::new();
            assert!(std::io::BufRead::read_line(&mut out, &mut line).unwrap() > 0);
            lines.push(line.trim().to_owned());
        }
        lines.sort();
        let wanted = [
            "a,2025-01-01T00:00:00,2",
            "b,2025-01-01T00:01:00,1",
            "k,window_start,n",
        ];
        assert_eq!(lines, wanted, "{cores} shards");
        drop(input);
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut out, &mut rest).unwrap();
        let mut rest: Vec<&str> = rest.lines().map(str::trim).collect();
        rest.sort();
        let wanted = ["c,2025-01-01T00:02:00,1", "d,2025-01-01T00:03:00,1"];
        assert_eq!(rest, wanted, "{cores} shards");
        assert!(child.wait().unwrap().success());
    }
}

/// Ranks over groups under EMIT CHANGES: the pack's query, collapsed.
#[test]
fn ranks_of_windows_are_those_expected() {
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fr082");
    let expected = std::fs::read_to_string(pack.join("expected/08_trending_rank.csv")).unwrap();
    // Names, windows and ranks: averages differ in their last digits.
    let told = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let start = cells[1].trim_end_matches(".000Z");
        let start = start.trim_start_matches("\"{\"\"start\"\":\"\"");
        let start = start.trim_end_matches('"').to_owned();
        let [count, total, rank] = [cells[3], cells[4], cells[6]].map(str::to_owned);
        [cells[0].to_owned(), start, count, total, rank].join(",")
    };
    let mut wanted: Vec<String> = expected.lines().skip(1).map(told).collect();
    wanted.sort();
    let mut first = None;
    for (cores, rows) in [
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
                pack.join("queries/08_trending_rank.sql"),
            ])
            .args(["--format", "csv", "--cores", cores, "--frame-rows", rows])
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", text(&run.stderr));
        let lines: Vec<String> = text(&run.stdout)
            .lines()
            .skip(1)
            .map(str::to_owned)
            .collect();
        let mut got: Vec<String> = stands(&lines).into_keys().map(|line| told(&line)).collect();
        got.sort();
        assert_eq!(got, wanted, "{cores} shards, frames of {rows}");
        if cores == "1" {
            let count = lines.len();
            assert_eq!(*first.get_or_insert(count), count, "frames of {rows}");
        }
    }
}
