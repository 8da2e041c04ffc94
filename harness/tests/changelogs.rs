//! Changelogs in sinks: all changes, what stands by key, and as Debezium writes them; each says the
//! same as the others at any number of shards and any size of frames.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::collections::BTreeMap;

use common::{Folder, run_script, text};
use serde_json::Value;

const SOURCE: &str = "CREATE SOURCE r (k VARCHAR, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts)
    WITH (connector = 'file', format = 'json', path = 'r.json');\n";

fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    let record = |n: u64| {
        let (key, value) = (n * n % 11, (n * 7919 % 101) as i64 - 50);
        // Long enough for every shard to read some.
        format!(
            "{{\"k\":\"k{key}\",\"v\":{value},\"pad\":\"{:01000}\",\
             \"ts\":\"2025-01-01T00:{:02}:{:02}Z\"}}\n",
            0,
            n / 60,
            n % 60,
        )
    };
    folder.write("r.json", &(0..2500).map(record).collect::<String>());
    folder
}

fn runs(folder: &Folder, sql: &str, cores: &str, rows: &str) -> String {
    let options = ["--cores", cores, "--frame-rows", rows];
    let output = run_script(folder, &format!("{SOURCE}{sql}"), &options);
    assert!(output.status.success(), "{sql}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn objects(lines: &str) -> Vec<Value> {
    lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

/// How often each row stands, once these are applied; none goes that is not there.
fn apply(rows: &mut BTreeMap<String, i64>, row: &Value, weight: i64) {
    let count = rows.entry(row.to_string()).or_default();
    *count += weight;
    assert!(*count >= 0, "{row} goes before it comes");
    rows.retain(|_, count| *count != 0);
}

const QUERIES: [(&str, &[&str]); 4] = [
    (
        "SELECT k, COUNT(*) AS n, SUM(v) AS s FROM r GROUP BY k",
        &["k"],
    ),
    (
        "SELECT SUM(v) AS s, k FROM r GROUP BY k HAVING SUM(v) % 3 > 0",
        &["k"],
    ),
    (
        "SELECT k, window_start, COUNT(*) AS n FROM r GROUP BY k, TUMBLE(ts, INTERVAL '10' MINUTE)",
        &["k", "window_start"],
    ),
    (
        "SELECT n, COUNT(*) AS c FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) t GROUP BY n",
        &["n"],
    ),
];

const TOTALS: &str = "SELECT k, COUNT(*) AS n, window_start, window_end FROM r
    GROUP BY k, TUMBLE(ts, INTERVAL '10' MINUTE)";

/// By row number, by the keys of what is ranked, and by those of a session's start.
const RANKED: [(&str, &[&str]); 9] = [
    (
        "SELECT window_start, rn, k, n FROM (SELECT *, ROW_NUMBER() OVER
            (PARTITION BY window_start, window_end ORDER BY n DESC, k) AS rn FROM (TOTALS) w) t
            WHERE rn <= 3",
        &["window_start", "rn"],
    ),
    (
        "SELECT k, window_start, n FROM (SELECT *, ROW_NUMBER() OVER
            (PARTITION BY window_start ORDER BY n DESC, k) AS rn FROM (TOTALS) w) t
            WHERE rn <= 3 AND n > 2",
        &["k", "window_start"],
    ),
    (
        "SELECT k, window_start, n, RANK() OVER (PARTITION BY window_start, window_end
            ORDER BY n DESC) AS place FROM (TOTALS) w",
        &["k", "window_start"],
    ),
    (
        "SELECT k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS rn
            FROM r) t WHERE rn = 1",
        &["k"],
    ),
    (
        "SELECT v, rn FROM (SELECT k, v, ts, ROW_NUMBER() OVER (ORDER BY v, ts) AS rn FROM r) t
            WHERE rn < 4",
        &["rn"],
    ),
    (
        "SELECT k, COUNT(*) AS n FROM r GROUP BY k ORDER BY SUM(v) DESC, k LIMIT 4",
        &["k"],
    ),
    (
        "SELECT n, c, ROW_NUMBER() OVER (ORDER BY c DESC, n) AS rn FROM
            (SELECT n, COUNT(*) AS c FROM (TOTALS) w GROUP BY n) t",
        &["rn"],
    ),
    ("SELECT COUNT(*) AS n, MAX(v) AS m FROM r", &[]),
    (
        "SELECT k, window_start, COUNT(*) AS n FROM r
            GROUP BY k, SESSION(ts, INTERVAL '4' SECOND)",
        &["k", "window_start"],
    ),
];

/// The rows that stand in the end, from what a sink was given.
fn of_changes(lines: &str) -> BTreeMap<String, i64> {
    let mut rows = BTreeMap::new();
    for mut object in objects(lines) {
        let op = object.as_object_mut().unwrap().remove("op").unwrap();
        let weight = if op.as_str().unwrap().starts_with('+') {
            1
        } else {
            -1
        };
        apply(&mut rows, &object, weight);
    }
    rows
}

fn of_upserts(lines: &str, keys: &[&str]) -> BTreeMap<String, i64> {
    let mut stands: BTreeMap<Vec<String>, Value> = BTreeMap::new();
    for mut object in objects(lines) {
        let op = object.as_object_mut().unwrap().remove("op").unwrap();
        let key = keys.iter().map(|key| object[key].to_string()).collect();
        match op.as_str().unwrap() {
            "+U" => drop(stands.insert(key, object)),
            "-D" => assert!(stands.remove(&key).is_some(), "{object} was not there"),
            other => panic!("{other}"),
        }
    }
    stands
        .into_values()
        .map(|row| (row.to_string(), 1))
        .collect()
}

fn of_envelopes(lines: &str) -> BTreeMap<String, i64> {
    let mut rows = BTreeMap::new();
    for object in objects(lines) {
        let (before, after) = (&object["before"], &object["after"]);
        let op = match (before.is_null(), after.is_null()) {
            (true, false) => "c",
            (false, true) => "d",
            (false, false) => "u",
            (true, true) => panic!("{object}"),
        };
        assert_eq!(object["op"], op);
        for (row, weight) in [(before, -1), (after, 1)] {
            if !row.is_null() {
                apply(&mut rows, row, weight);
            }
        }
    }
    rows
}

#[test]
fn what_stands_is_the_same_in_every_mode() {
    check_modes(&folder("changelog-modes"), &QUERIES);
}

#[test]
fn what_is_ranked_has_a_key() {
    check_modes(&folder("changelog-ranks"), &RANKED[..5]);
}

#[test]
fn what_has_other_keys_has_one() {
    check_modes(&folder("changelog-keys"), &RANKED[5..]);
}

fn check_modes(folder: &Folder, queries: &[(&str, &[&str])]) {
    let sink = "CREATE SINK o WITH (connector = 'stdout', ";
    for (query, keys) in queries {
        let query = query.replace("TOTALS", TOTALS);
        let batch = format!("{sink} format = 'json'); INSERT INTO o {query} EMIT FINAL;");
        let wanted: BTreeMap<String, i64> = objects(&runs(folder, &batch, "1", "1024"))
            .into_iter()
            .map(|row| (row.to_string(), 1))
            .collect();
        assert!(!wanted.is_empty());
        for emit in ["CHANGES", "EVERY INTERVAL '0.001' SECOND", "FINAL"] {
            let run = |options: &str, cores, rows| {
                let sql = format!("{sink}{options}); INSERT INTO o {query} EMIT {emit};");
                runs(folder, &sql, cores, rows)
            };
            for (cores, rows) in [("1", "1"), ("2", "7"), ("4", "1024")] {
                let what = format!("{query} EMIT {emit}, {cores} shards, frames of {rows}");
                let got = of_changes(&run("mode = 'changelog'", cores, rows));
                assert_eq!(got, wanted, "{what}");
                let got = of_upserts(&run("mode = 'upsert'", cores, rows), keys);
                assert_eq!(got, wanted, "{what}");
                let got = of_envelopes(&run("format = 'debezium_json'", cores, rows));
                assert_eq!(got, wanted, "{what}");
            }
        }
    }
}

#[test]
fn a_change_is_one_line() {
    let folder = Folder::new("changelog-lines");
    let given = [("a", 1), ("b", 5), ("a", 2), ("a", -9)];
    let record = |(k, v): (&str, i64)| {
        format!("{{\"k\":\"{k}\",\"v\":{v},\"ts\":\"2025-01-01T00:00:00Z\"}}\n")
    };
    folder.write("r.json", &given.map(record).concat());
    let query = "SELECT k, SUM(v) AS s FROM r GROUP BY k HAVING SUM(v) > 0 EMIT CHANGES";
    let cases = [
        (
            "mode = 'upsert', format = 'csv'",
            query,
            "op,k,s\r\n+U,a,1\r\n+U,b,5\r\n+U,a,3\r\n-D,a,3\r\n",
        ),
        (
            "mode = 'upsert', format = 'csv'",
            "SELECT rn, k, s FROM (SELECT k, SUM(v) AS s, ROW_NUMBER() OVER (ORDER BY SUM(v) DESC)
                AS rn FROM r GROUP BY k HAVING SUM(v) > 0) t WHERE rn <= 2 EMIT CHANGES",
            "op,rn,k,s\r\n+U,1,a,1\r\n+U,1,b,5\r\n+U,2,a,1\r\n+U,2,a,3\r\n-D,2,a,3\r\n",
        ),
        (
            "mode = 'upsert', format = 'csv'",
            "SELECT k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) AS rn
                FROM r) t WHERE rn = 1 EMIT CHANGES",
            "op,k,v\r\n+U,a,1\r\n+U,b,5\r\n+U,a,2\r\n",
        ),
        (
            "mode = 'changelog', format = 'csv'",
            "SELECT k, v FROM r WHERE v > 1",
            "op,k,v\r\n+I,b,5\r\n+I,a,2\r\n",
        ),
        (
            "format = 'debezium_json'",
            query,
            "{\"before\":null,\"after\":{\"k\":\"a\",\"s\":1},\"op\":\"c\"}\n\
             {\"before\":null,\"after\":{\"k\":\"b\",\"s\":5},\"op\":\"c\"}\n\
             {\"before\":{\"k\":\"a\",\"s\":1},\"after\":{\"k\":\"a\",\"s\":3},\"op\":\"u\"}\n\
             {\"before\":{\"k\":\"a\",\"s\":3},\"after\":null,\"op\":\"d\"}\n",
        ),
        (
            "format = 'debezium_json'",
            "SELECT k AS op FROM r WHERE v = 5",
            "{\"before\":null,\"after\":{\"op\":\"b\"},\"op\":\"c\"}\n",
        ),
    ];
    for (options, query, wanted) in cases {
        for rows in ["1", "7", "1024"] {
            let sql = format!(
                "CREATE SINK o WITH (connector = 'stdout', {options}); INSERT INTO o {query};"
            );
            assert_eq!(
                runs(&folder, &sql, "1", rows),
                wanted,
                "{query}, frames of {rows}"
            );
        }
    }
}

#[test]
fn what_a_mode_cannot_take_is_refused() {
    let folder = folder("changelog-refused");
    let counts = "SELECT k, COUNT(*) AS c FROM r GROUP BY k";
    for (options, query, said) in [
        (
            "mode = 'upsert'",
            "SELECT v FROM r".to_owned(),
            "without a key",
        ),
        (
            "mode = 'upsert', format = 'debezium_json'",
            format!("{counts} EMIT CHANGES"),
            "tells what stood before",
        ),
        (
            "mode = 'upsert'",
            format!("SELECT c FROM ({counts}) t EMIT CHANGES"),
            "without a key",
        ),
        (
            "mode = 'upsert'",
            format!("SELECT c FROM ({counts}) t ORDER BY c LIMIT 2 EMIT CHANGES"),
            "SELECT all of their key: k",
        ),
        (
            "mode = 'upsert'",
            format!(
                "SELECT k, RANK() OVER (PARTITION BY c ORDER BY k) AS place FROM ({counts}) t \
                 EMIT CHANGES"
            ),
            "without a key",
        ),
        (
            "mode = 'upsert'",
            "SELECT k, v, RANK() OVER (PARTITION BY k ORDER BY v) AS place FROM r EMIT CHANGES"
                .to_owned(),
            "without a key",
        ),
        (
            "mode = 'upsert'",
            "SELECT k, COUNT(*) AS c FROM r GROUP BY ROLLUP (k) EMIT CHANGES".to_owned(),
            "COALESCE",
        ),
        ("mode = 'append'", format!("{counts} EMIT CHANGES"), "E0211"),
    ] {
        let sql = format!(
            "{SOURCE}CREATE SINK o WITH (connector = 'stdout', {options});\nINSERT INTO o {query};"
        );
        let output = run_script(&folder, &sql, &[]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{sql}: {told}");
        assert!(
            told.contains(said) && told.contains("q.sql:4:"),
            "{sql}: {told}"
        );
    }
}
