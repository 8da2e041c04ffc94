//! Sources of changes: what is computed from rows that come and go is what the same query gives
//! over the rows that stand in the end, at any number of shards and any size of frames.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write;

use common::{Folder, run_script, text};

const COLUMNS: &str = "id BIGINT NOT NULL, k VARCHAR, v BIGINT, x DOUBLE, ts TIMESTAMP(3)";

/// Changes of some rows, and the rows that stand behind them; `keyed`: what stood before is not
/// told.
fn changes(count: u64, keyed: bool) -> (String, String) {
    let mut state = 11u64;
    let mut below = move |n: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let (mut lines, mut stands) = (String::new(), BTreeMap::new());
    for n in 0..count {
        let id = below(200);
        let pad = "p".repeat(600);
        let row = format!(
            "\"k\":\"k{}\",\"v\":{},\"x\":{}.25,\"pad\":\"{pad}\",\
             \"ts\":\"2025-01-01T{:02}:{:02}:00Z\"",
            below(9),
            below(100) as i64 - 50,
            below(7),
            n % 24,
            below(60),
        );
        let row = format!("{{\"id\":{id},{row}}}");
        let key = |keyed: bool, row: &String| match keyed {
            true => format!("{{\"id\":{id}}}"),
            false => row.clone(),
        };
        let (before, after, op) = match stands.get(&id) {
            None => (None, Some(row), if n % 5 == 0 { "r" } else { "c" }),
            Some(before) if below(4) == 0 => (Some(key(keyed, before)), None, "d"),
            Some(before) => {
                let before = (!keyed).then(|| before.clone());
                (before, Some(row), "u")
            }
        };
        let side = |row: &Option<String>| row.clone().unwrap_or_else(|| "null".to_owned());
        let (b, a) = (side(&before), side(&after));
        match n % 3 {
            0 => writeln!(lines, "{{\"before\":{b},\"after\":{a},\"op\":\"{op}\"}}"),
            1 => writeln!(
                lines,
                "{{\"op\":\"{op}\",\"after\":{a},\"before\":{b},\"ts_ms\":{n}}}"
            ),
            _ => writeln!(
                lines,
                "{{\"schema\":{{}},\"payload\":{{\"before\":{b},\"after\":{a},\"op\":\"{op}\"}}}}"
            ),
        }
        .unwrap();
        match after {
            Some(row) => drop(stands.insert(id, row)),
            None => drop(stands.remove(&id)),
        }
    }
    let rows = stands.into_values().map(|row| row + "\n").collect();
    (lines, rows)
}

fn folder(name: &str, keyed: bool) -> Folder {
    let folder = Folder::new(name);
    let (lines, rows) = changes(3000, keyed);
    folder.write("c.json", &lines);
    folder.write("r.json", &rows);
    folder.write(
        "names.json",
        "{\"k\":\"k1\",\"name\":\"one\"}\n{\"k\":\"k2\",\"name\":\"two\"}\n",
    );
    folder
}

/// The script, with `r` the rows that stand.
fn plain(query: &str) -> String {
    source("CREATE SOURCE r", "", "r.json", "json") + query
}

fn captured(keyed: bool, query: &str) -> String {
    match keyed {
        true => {
            source(
                "CREATE TABLE r",
                ", PRIMARY KEY (id)",
                "c.json",
                "debezium_json",
            ) + query
        }
        false => source("CREATE SOURCE r", "", "c.json", "debezium_json") + query,
    }
}

fn source(create: &str, key: &str, path: &str, format: &str) -> String {
    format!(
        "{create} ({COLUMNS}{key}) WITH (connector = 'file', path = '{path}', format = '{format}');
         CREATE SOURCE names (k VARCHAR, name VARCHAR)
            WITH (connector = 'file', path = 'names.json', format = 'json');\n"
    )
}

fn run(folder: &Folder, sql: &str, cores: &str, rows: &str) -> Vec<String> {
    let options = ["--format", "csv", "--cores", cores, "--frame-rows", rows];
    let output = run_script(
        folder,
        sql,
        &[&options[..], &["--stats", "s.json"]].concat(),
    );
    assert!(output.status.success(), "{sql}: {}", text(&output.stderr));
    let lines = text(&output.stdout);
    lines.lines().skip(1).map(str::to_owned).collect()
}

/// The rows that stand once all changes are applied.
fn stands(lines: &[String]) -> Vec<String> {
    let mut stands: BTreeMap<String, i64> = BTreeMap::new();
    for line in lines {
        let weight = if line.starts_with('+') { 1 } else { -1 };
        *stands.entry(line[3..].to_owned()).or_default() += weight;
    }
    let rows = stands.into_iter();
    rows.flat_map(|(row, count)| vec![row; usize::try_from(count).unwrap()])
        .collect()
}

/// With and without EMIT CHANGES.
const BOTH: [&str; 11] = [
    "SELECT id, v + 1 AS w FROM r WHERE v > 0",
    "SELECT k, COUNT(*) AS n, SUM(v) AS s, MIN(v) AS a, MAX(v) AS b, AVG(x) AS m FROM r GROUP BY k",
    "SELECT COUNT(*) AS n, SUM(x) AS s, COUNT(DISTINCT v) AS d, STDDEV(v) AS e FROM r",
    "SELECT k, MEDIAN(v) AS m, SUM(DISTINCT x) AS s FROM r GROUP BY k HAVING COUNT(*) > 3",
    "SELECT DISTINCT k, x FROM r",
    "SELECT n, COUNT(*) AS c FROM (SELECT k, v, COUNT(*) AS n FROM r GROUP BY k, v) t GROUP BY n",
    "SELECT k, window_start, SUM(v) AS s FROM r GROUP BY k, TUMBLE(ts, INTERVAL '1' HOUR)",
    "SELECT id, v, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v, id) AS p FROM r QUALIFY p <= 2",
    "SELECT id, v FROM r ORDER BY v DESC, id LIMIT 7",
    "SELECT r.id, names.name FROM r JOIN names ON r.k = names.k",
    "SELECT r.id, r.v, names.name FROM names FULL JOIN r ON r.k = names.k AND r.v > 0",
];

/// Over the rows that stand alone.
const FINAL: [&str; 4] = [
    "SELECT k, window_start, COUNT(*) AS n FROM r
        GROUP BY k, HOP(ts, INTERVAL '1' HOUR, INTERVAL '3' HOUR)",
    "SELECT k, window_start, window_end, COUNT(*) AS n FROM r
        GROUP BY k, SESSION(ts, INTERVAL '2' HOUR)",
    "SELECT id FROM r WHERE v > (SELECT AVG(v) FROM r) UNION ALL SELECT v FROM r WHERE id < 5",
    "SELECT id, k FROM r ORDER BY id",
];

#[test]
fn what_is_computed_is_that_of_the_rows_that_stand() {
    for keyed in [false, true] {
        let folder = folder(&format!("captured-{keyed}"), keyed);
        for query in BOTH.iter().chain(&FINAL) {
            let mut wanted = run(&folder, &plain(query), "1", "1024");
            wanted.sort();
            assert!(!wanted.is_empty(), "{query}");
            for (cores, rows) in [("1", "1"), ("1", "1024"), ("2", "7"), ("4", "1")] {
                let what = format!("{query}, key: {keyed}, {cores} shards, frames of {rows}");
                let mut got = run(&folder, &captured(keyed, query), cores, rows);
                got.sort();
                assert_eq!(got, wanted, "{what}");
                if !BOTH.contains(query) {
                    continue;
                }
                for emit in ["CHANGES", "EVERY INTERVAL '0.002' SECOND"] {
                    let sql = captured(keyed, &format!("{query} EMIT {emit}"));
                    let got = stands(&run(&folder, &sql, cores, rows));
                    assert_eq!(got, wanted, "{what}, EMIT {emit}");
                }
            }
        }
    }
}

/// Each change of a row is one change of the result, in the order of the file.
#[test]
fn changes_go_on_as_they_are() {
    let folder = Folder::new("captured-changes");
    let lines = [
        r#"{"before":null,"after":{"id":1,"k":"a","v":1},"op":"c"}"#,
        r#"{"before":null,"after":{"id":2,"k":"a","v":5},"op":"r"}"#,
        r#"{"before":{"id":1,"k":"a","v":1},"after":{"id":1,"k":"b","v":2},"op":"u"}"#,
        r#"{"before":{"id":2,"k":"a","v":5},"after":null,"op":"d"}"#,
        r#"{"before":{"id":1,"k":"b","v":2},"after":{"id":1,"k":"b","v":0},"op":"u"}"#,
    ];
    folder.write("c.json", &(lines.join("\n") + "\n"));
    for keyed in [false, true] {
        for (query, wanted) in [
            (
                "SELECT id, k, v FROM r WHERE v > 0 EMIT CHANGES",
                "+I,1,a,1 +I,2,a,5 -U,1,a,1 +U,1,b,2 -D,2,a,5 -D,1,b,2",
            ),
            (
                "SELECT k, SUM(v) AS s FROM r GROUP BY k EMIT CHANGES",
                "+I,a,1 -U,a,1 +U,a,6 -U,a,6 +U,a,5 +I,b,2 -D,a,5 -U,b,2 +U,b,0",
            ),
        ] {
            for rows in ["1", "7", "1024"] {
                let got = run(&folder, &captured(keyed, query), "1", rows).join(" ");
                assert_eq!(got, wanted, "{query}, key: {keyed}, frames of {rows}");
            }
        }
    }
}

/// What a sink writes is what a source reads.
#[test]
fn sinks_and_sources_agree() {
    let folder = folder("captured-round", false);
    let counts = "SELECT k, COUNT(*) AS n, SUM(v) AS s FROM r GROUP BY k";
    let wanted = run(
        &folder,
        &plain(&format!("{counts} ORDER BY k")),
        "1",
        "1024",
    );
    for cores in ["1", "4"] {
        let write = format!(
            "CREATE SINK o WITH (connector = 'file', path = 'o.json', format = 'debezium_json')
                AS {counts} EMIT CHANGES;"
        );
        run(&folder, &captured(false, &write), cores, "7");
        let read = "CREATE SOURCE o (k VARCHAR, n BIGINT, s BIGINT)
                WITH (connector = 'file', path = 'o.json', format = 'debezium_json');
            SELECT * FROM o ORDER BY k;";
        assert_eq!(run(&folder, read, cores, "7"), wanted, "{cores} shards");
    }
}

#[test]
fn what_is_no_change_is_bad_data() {
    let folder = Folder::new("captured-bad");
    let lines = [
        r#"{"after":{"id":1,"v":1},"op":"c"}"#,
        r#"{"after":{"v":2},"op":"c"}"#,
        r#"{"before":null,"after":{"id":1,"v":3},"op":"u"}"#,
        r#"{"id":4}"#,
    ];
    folder.write("c.json", &(lines.join("\n") + "\n"));
    let query = "SELECT id, v FROM r;";
    let skip =
        captured(false, query).replace("'debezium_json'", "'debezium_json', bad_data = 'skip'");
    for cores in ["1", "4"] {
        assert_eq!(run(&folder, &skip, cores, "7"), ["1,1"]);
        let stats = folder.json("s.json");
        assert_eq!(stats["sources"][0]["rows_bad"], 3);
        let output = run_script(&folder, &captured(false, query), &["--cores", cores]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains("c.json:2") && told.contains("column id"),
            "{told}"
        );
    }
    // A row that goes has to have come, where it is to stand in the end.
    folder.write("c.json", "{\"before\":{\"id\":1},\"op\":\"d\"}\n");
    let output = run_script(&folder, &captured(false, query), &[]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("a row goes that never came"), "{told}");
    assert!(run(&folder, &captured(true, query), "1", "7").is_empty());
}

#[test]
fn what_cannot_run_is_refused() {
    let folder = folder("captured-refused", false);
    let counts = "SELECT COUNT(*) FROM r GROUP BY";
    for (query, code) in [
        (
            format!("{counts} HOP(ts, INTERVAL '1' HOUR, INTERVAL '3' HOUR) EMIT CHANGES"),
            "E0301",
        ),
        (
            format!("{counts} SESSION(ts, INTERVAL '3' HOUR) EMIT CHANGES"),
            "E0301",
        ),
        (
            format!("{counts} CUMULATE(ts, INTERVAL '1' HOUR, INTERVAL '3' HOUR) EMIT CHANGES"),
            "E0301",
        ),
        ("SELECT _offset FROM r".to_owned(), "E0301"),
        (
            "SELECT k, ARRAY_AGG(v) FROM r GROUP BY k EMIT CHANGES".to_owned(),
            "E0301",
        ),
    ] {
        let output = run_script(&folder, &captured(false, &query), &[]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{query}: {told}");
        assert!(told.contains(code), "{query}: {told}");
    }
    let timed = captured(false, "SELECT id FROM r")
        .replace("ts TIMESTAMP(3)", "ts TIMESTAMP(3), WATERMARK FOR ts");
    let endless = captured(false, "SELECT id FROM r EMIT FINAL")
        .replace("'debezium_json'", "'debezium_json', follow = true");
    for (sql, code) in [(timed, "E0301"), (endless, "E0402")] {
        let output = run_script(&folder, &sql, &[]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{sql}: {told}");
        assert!(told.contains(code), "{sql}: {told}");
    }
}

/// An update that gives a row another key takes the row with the old one away.
#[test]
fn an_update_may_change_the_key() {
    let folder = Folder::new("captured-keys");
    folder.write(
        "m.json",
        concat!(
            r#"{"before":null,"after":{"id":1,"v":10},"op":"c"}"#,
            "\n",
            r#"{"before":{"id":1,"v":10},"after":{"id":2,"v":11},"op":"u"}"#,
            "\n",
            r#"{"before":{"id":2},"after":{"id":2,"v":12},"op":"u"}"#,
            "\n",
            r#"{"payload":{"before":{"id":2,"v":12},"after":{"id":3,"v":5},"op":"u"}}"#,
            "\n",
            r#"{"before":null,"after":{"id":1,"v":7},"op":"c"}"#,
            "\n",
        ),
    );
    let table = "CREATE TABLE m (id BIGINT, v BIGINT, PRIMARY KEY (id)) \
                 WITH (connector = 'file', path = 'm.json', format = 'debezium_json');\n";
    for (cores, rows) in [("1", "1024"), ("1", "2"), ("4", "7"), ("4", "1")] {
        let mut all = run(&folder, &format!("{table}SELECT id, v FROM m"), cores, rows);
        all.sort();
        assert_eq!(all, ["1,7", "3,5"], "{cores} shards, {rows} rows");
        let sum = format!("{table}SELECT SUM(v) AS s, MAX(v) AS m, COUNT(*) AS n FROM m");
        assert_eq!(run(&folder, &sum, cores, rows), ["12,7,2"]);
        let changes = run(&folder, &format!("{sum} EMIT CHANGES"), cores, rows);
        assert_eq!(stands(&changes), ["12,7,2"], "{cores} shards, {rows} rows");
    }
}
