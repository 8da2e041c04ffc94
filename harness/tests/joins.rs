//! Joins and subqueries of the acceptance pack, at any number of shards with both executors, and
//! over streams that do not end.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Folder, run_script, text, trefoil};

fn pack() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fr082")
}

fn run(query: &str, options: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_trefoil"))
        .arg("run")
        .args([
            pack().join("schema.sql"),
            pack().join("queries").join(format!("{query}.sql")),
        ])
        .args(["--format", "csv"])
        .args(options)
        .output()
        .unwrap();
    assert!(output.status.success(), "{query}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The cells of a line of CSV.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => cells.last_mut().unwrap().push(c),
        }
    }
    cells
}

/// A list's elements come in any order, and a time may say that it is UTC.
fn plain(cell: String) -> String {
    if let Some(list) = cell.strip_prefix('[').and_then(|c| c.strip_suffix(']')) {
        let mut elements: Vec<&str> = list.split(',').collect();
        elements.sort_unstable();
        return elements.join(",");
    }
    let time = cell.strip_suffix('Z').unwrap_or(&cell);
    match time.as_bytes().get(10) {
        Some(b'T') => time.strip_suffix(".000").unwrap_or(time).to_owned(),
        _ => cell,
    }
}

fn lines(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().skip(1);
    let mut lines: Vec<Vec<String>> = lines
        .map(|line| cells(line).into_iter().map(plain).collect())
        .collect();
    lines.sort();
    lines
}

/// Cells agree where they are the same text, or numbers within 1e-9.
fn same(a: &str, b: &str) -> bool {
    a == b
        || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(x), Ok(y))
            if (x - y).abs() <= 1e-9 * x.abs().max(y.abs()).max(1.0))
}

#[test]
fn queries_give_what_is_expected() {
    for query in [
        "07b_sliding_zscore",
        "10_big_spenders",
        "11b_recent_orders_fixed_date",
        "12_readings_with_metadata",
        "13_trade_quotes",
        "14_common_products",
    ] {
        let expected = std::fs::read_to_string(pack().join(format!("expected/{query}.csv")));
        let expected = lines(&expected.unwrap());
        for cores in ["1", "2", "4", "8"] {
            for executor in ["uring", "threads"] {
                let got = lines(&run(query, &["--cores", cores, "--executor", executor]));
                let label = format!("{query}, {cores} shards, {executor}");
                assert_eq!(got.len(), expected.len(), "{label}");
                for (got, expected) in got.iter().zip(&expected) {
                    let agree = got.len() == expected.len()
                        && got.iter().zip(expected).all(|(a, b)| same(a, b));
                    assert!(agree, "{label}: {got:?} instead of {expected:?}");
                }
            }
        }
    }
}

/// What day it is decides how many rows there are, and nothing else does.
#[test]
fn a_clock_among_the_conditions_of_a_join() {
    let one = lines(&run("11_recent_orders", &["--cores", "1"]));
    assert_eq!(lines(&run("11_recent_orders", &["--cores", "4"])), one);
}

/// A table is there before the first row of standard input is looked at, whatever comes first; and
/// the stream need not be held, however long it is.
#[test]
fn a_stream_looks_into_a_table() {
    let folder = Folder::new("lookup");
    folder.write(
        "schema.sql",
        "CREATE TABLE c (k BIGINT, name VARCHAR, PRIMARY KEY (k)) \
         WITH (connector = 'file', path = 'c.ndjson', format = 'json');\n\
         CREATE SOURCE s (k BIGINT, n BIGINT) WITH (connector = 'stdin', format = 'json');",
    );
    let table: String = (0..5000)
        .map(|k| format!("{{\"k\": {k}, \"name\": \"n{k}\"}}\n"))
        .collect();
    folder.write("c.ndjson", &table);
    let stream: String = (0..20_000)
        .map(|n| format!("{{\"k\": {}, \"n\": {n}}}\n", n % 5001))
        .collect();
    folder.write("s.ndjson", &stream);
    for cores in ["1", "2", "4"] {
        for small in ["0", "10000000"] {
            let query = format!(
                "SET broadcast_max_bytes = {small}; \
                 SELECT s.n, c.name FROM s LEFT JOIN c ON s.k = c.k EMIT CHANGES"
            );
            let input = std::fs::File::open(folder.0.join("s.ndjson")).unwrap();
            let output = trefoil(&folder)
                .args(["run", "schema.sql", "-c", &query, "--format", "csv"])
                .args(["--cores", cores])
                .stdin(input)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", text(&output.stderr));
            let mut got = lines(&text(&output.stdout));
            got.sort_by_key(|row| row[1].parse::<u64>().unwrap());
            assert_eq!(got.len(), 20_000, "{cores} shards, {small}");
            for (n, row) in got.iter().enumerate() {
                let name = match n % 5001 {
                    5000 => String::new(),
                    k => format!("n{k}"),
                };
                assert_eq!(
                    *row,
                    ["+I".to_owned(), n.to_string(), name],
                    "{cores}, {small}"
                );
            }
        }
    }
}

/// Neither side of these ends, or what they wait for never comes.
#[test]
fn joins_that_would_wait_for_ever_are_refused() {
    let folder = Folder::new("endless");
    folder.write(
        "schema.sql",
        "CREATE TABLE c (k BIGINT, n BIGINT, PRIMARY KEY (k)) \
         WITH (connector = 'file', path = 'c.ndjson', format = 'json');\n\
         CREATE SOURCE f (k BIGINT) \
         WITH (connector = 'file', path = 'c.ndjson', format = 'json', follow = true);\n\
         CREATE SOURCE s (k BIGINT, n BIGINT) \
         WITH (connector = 'file', path = 'c.ndjson', format = 'json', follow = true);",
    );
    folder.write("c.ndjson", "{\"k\": 1, \"n\": 2}\n");
    for (query, at) in [
        ("SELECT k FROM s WHERE k NOT IN (SELECT f.k FROM f)", "1:25"),
        ("SELECT s.n FROM s RIGHT JOIN c ON s.k = c.k", "1:25"),
        (
            "SELECT s.n, c.n AS m FROM c ASOF JOIN s MATCH_CONDITION (c.n >= s.n) ON c.k = s.k",
            "1:29",
        ),
        ("SELECT a.n FROM s a JOIN s b ON a.k = b.k", "1:26"),
    ] {
        let output = trefoil(&folder)
            .args(["run", "schema.sql", "-c", query])
            .output()
            .unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{query}: {said}");
        assert!(said.contains("error[E0301]") && said.contains(at), "{said}");
    }
}

/// Nothing bounds what such a join keeps: it is said before it runs.
#[test]
fn a_regular_join_of_streams_warns() {
    let folder = Folder::new("regular");
    for (name, rows) in [
        ("a", "{\"k\": 1, \"n\": 10}\n{\"k\": 2, \"n\": 20}\n"),
        ("b", "{\"k\": 1, \"n\": 11}\n{\"k\": 1, \"n\": 12}\n"),
    ] {
        folder.write(&format!("{name}.ndjson"), rows);
    }
    let source = |name: &str| {
        format!(
            "CREATE SOURCE {name} (k BIGINT, n BIGINT) WITH (connector = 'file', \
             path = '{name}.ndjson', format = 'json', follow = true);\n"
        )
    };
    folder.write("schema.sql", &(source("a") + &source("b")));
    let query = "SELECT a.n, b.n AS m FROM a JOIN b ON a.k = b.k";
    let changes = "SELECT a.n, b.n AS m FROM a LEFT JOIN b ON a.k = b.k";
    for (query, limit, last) in [(query, "2", "10,12"), (changes, "3", "+I,20,")] {
        let output = trefoil(&folder)
            .args(["run", "schema.sql", "-c", query, "--format", "csv"])
            .args(["--limit", limit, "--cores", "2"])
            .output()
            .unwrap();
        let (rows, said) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains("warning: a regular join keeps all rows"),
            "{said}"
        );
        assert!(rows.contains(last), "{rows}");
    }
}

/// A row whose window is closed is late, and one that is behind its watermark and whose window is
/// open is not; a window's rows without a match leave when it closes.
#[test]
fn a_window_join_of_streams_drops_what_is_late() {
    let folder = Folder::new("window-join");
    let at = |time: &str, n: u32| format!("{{\"ts\": \"2025-01-01T00:0{time}\", \"n\": {n}}}\n");
    let left = [at("0:10", 1), at("2:30", 2), at("1:59", 3), at("2:10", 4)].concat();
    folder.write("a.ndjson", &(left + &at("4:00", 5)));
    folder.write(
        "b.ndjson",
        &(at("0:50", 6) + &at("2:59", 7) + &at("3:00", 8)),
    );
    let source = |name: &str| {
        format!(
            "CREATE SOURCE {name} (ts TIMESTAMP(3), n BIGINT, WATERMARK FOR ts) WITH \
             (connector = 'file', path = '{name}.ndjson', format = 'json', follow = true);\n"
        )
    };
    folder.write("schema.sql", &(source("a") + &source("b")));
    let query = |window: &str| {
        format!(
            "SELECT x.n, y.n AS m FROM {} AS x FULL JOIN {} AS y \
             ON x.window_start = y.window_start AND x.window_end = y.window_end AND x.n < 4",
            window.replace('?', "a"),
            window.replace('?', "b")
        )
    };
    // In the second one 1:59 is late for one of its windows, and not for the other.
    let tumble = "TUMBLE(?, ts, INTERVAL '1' MINUTE)";
    let hop = "HOP(?, ts, INTERVAL '1' MINUTE, INTERVAL '2' MINUTE)";
    for (window, wanted, late) in [
        (tumble, &[",8", "1,6", "2,7", "4,"][..], 1),
        (hop, &["1,6", "1,6", "2,7", "2,7", "2,8", "3,7", "4,"], 0),
    ] {
        for cores in ["1", "2"] {
            let limit = wanted.len().to_string();
            let output = trefoil(&folder)
                .args(["run", "schema.sql", "-c", &query(window), "--format", "csv"])
                .args(["--limit", &limit, "--cores", cores, "--stats", "stats.json"])
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", text(&output.stderr));
            let got: Vec<String> = lines(&text(&output.stdout))
                .iter()
                .map(|l| l.join(","))
                .collect();
            assert_eq!(got, wanted, "{window}, {cores}");
            let stats = folder.json("stats.json");
            let inputs = stats["queries"][0]["inputs"].as_array().unwrap();
            let counts = inputs
                .iter()
                .map(|input| input["rows_late"].as_u64().unwrap());
            assert_eq!(counts.sum::<u64>(), late, "{window}, {cores}");
        }
    }
}

/// Rows match whose times are no further apart than the setting says, whenever they come; those
/// that match nothing any more are forgotten, which is counted, and leave where their side is kept.
#[test]
fn a_setting_says_how_long_rows_match() {
    let folder = Folder::new("state-ttl");
    let at = |minute: u32, n: u32| {
        format!(
            "{{\"ts\": \"2025-01-01T00:{minute:02}:00\", \"k\": {}, \"n\": {n}}}\n",
            n % 2
        )
    };
    let times = [0, 10, 20, 30, 40, 50];
    let rows = |add: u32| {
        let rows = (add..).zip(times).map(|(n, minute)| at(minute, n));
        rows.collect::<String>()
    };
    folder.write("a.ndjson", &rows(0));
    folder.write("b.ndjson", &rows(10));
    let source = |name: &str| {
        format!(
            "CREATE SOURCE {name} (ts TIMESTAMP(3), k BIGINT, n BIGINT, WATERMARK FOR ts) WITH \
             (connector = 'file', path = '{name}.ndjson', format = 'json', follow = true);\n"
        )
    };
    folder.write("schema.sql", &(source("a") + &source("b")));
    // Those 0 and 20 minutes apart, and not those 40.
    let query = "SET state_ttl = '20 minutes'; SELECT a.n, b.n AS m FROM a JOIN b ON a.k = b.k";
    let mut wanted = Vec::new();
    for (n, one) in times.iter().enumerate() {
        for (m, other) in times.iter().enumerate().filter(|(m, _)| m % 2 == n % 2) {
            if one.abs_diff(*other) <= 20 {
                wanted.push(format!("{n},{}", m + 10));
            }
        }
    }
    wanted.sort();
    for cores in ["1", "2"] {
        let output = trefoil(&folder)
            .args(["run", "schema.sql", "-c", query, "--format", "csv"])
            .args(["--limit", &wanted.len().to_string(), "--cores", cores])
            .args(["--stats", "stats.json"])
            .output()
            .unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(!said.contains("warning"), "{said}");
        let got = lines(&text(&output.stdout));
        let got: Vec<String> = got.iter().map(|l| l.join(",")).collect();
        assert_eq!(got, wanted, "{cores}");
        let stats = folder.json("stats.json");
        let inputs = stats["queries"][0]["inputs"].as_array().unwrap();
        let forgotten = |input: &serde_json::Value| input["rows_forgotten"].as_u64();
        let forgotten: Vec<u64> = inputs.iter().filter_map(forgotten).collect();
        // What is at least 20 minutes behind the last watermark, if that came before the limit.
        assert!(forgotten.iter().all(|rows| *rows <= 3), "{forgotten:?}");
        assert!(forgotten.iter().sum::<u64>() > 0, "{stats}");
    }
}

/// -0.0 and 0.0 are one key, and 1 / x is another value of each.
#[test]
fn what_is_computed_of_a_zero_is_its_own() {
    let folder = Folder::new("joins-zeros");
    let xs = ["-0.0", "0.0", "1.0", "null", "-0.0", "-2.0"];
    let ids = (1..).zip(xs);
    let record = |(id, x): (i64, &str)| format!("{{\"id\":{id},\"x\":{x}}}\n");
    folder.write("a.ndjson", &ids.map(record).collect::<String>());
    let record = |v: &str| format!("{{\"v\":{v}}}\n");
    folder.write("b.ndjson", &["-1.0", "0.5", "2.0"].map(record).concat());
    let sql =
        "CREATE SOURCE a (id BIGINT, x DOUBLE, y REAL GENERATED ALWAYS AS (CAST(x AS REAL)) STORED)
            WITH (connector = 'file', path = 'a.ndjson', format = 'json');
        CREATE SOURCE b (v DOUBLE) WITH (connector = 'file', path = 'b.ndjson', format = 'json');
        SELECT id, (SELECT COUNT(*) FROM b WHERE b.v < 1 / a.x) AS behind,
            (SELECT COUNT(*) FROM b WHERE b.v < 1 / a.y AND b.v <> a.x) AS narrow,
            (SELECT COUNT(*) FROM b WHERE b.v < a.x) AS less
        FROM a ORDER BY id;";
    let wanted = "id,behind,narrow,less\n1,0,0,1\n2,3,3,1\n3,2,2,2\n4,0,0,0\n5,0,0,1\n6,1,1,0\n";
    for cores in ["1", "2", "4"] {
        let options = ["--cores", cores, "--format", "csv"];
        let output = run_script(&folder, sql, &options);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let got = text(&output.stdout).replace('\r', "");
        assert_eq!(got, wanted, "{cores} shards");
    }
}
