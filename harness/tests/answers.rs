//! Expressions and windows that are easy to get wrong, from a file to what is printed.

#![allow(clippy::unwrap_used)] // These are tests.

mod common;

use common::{Folder, trefoil};

const SCHEMA: &str = "CREATE SOURCE t (k VARCHAR, raw JSON, tags VARCHAR[], at TIMESTAMP(3),
    WATERMARK FOR at) WITH (connector = 'file', path = 't.ndjson', format = 'json');";
/// The last record is behind its window's end by the watermark of the one before.
const ROWS: [&str; 3] = [
    r#"{"k":"a","raw":{"a":{"b":"x\n","c":[1.50, null]}},"tags":["p","q"],"#,
    r#"{"k":"b","raw":[{"z":true}],"tags":["p"],"at":"2024-01-02T01:00:00.500"}"#,
    r#"{"k":"c","raw":null,"tags":["p"],"at":"2024-01-01T00:00:02"}"#,
];

fn run(folder: &Folder, sql: &str, shards: &str) -> (Vec<String>, String) {
    let output = trefoil(folder)
        .args(["run", "s.sql", "-c", sql, "--cores", shards])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    (lines, String::from_utf8(output.stderr).unwrap())
}

fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write("s.sql", SCHEMA);
    let [first, others @ ..] = ROWS;
    let rows = format!(
        "{first}\"at\":\"2024-01-01T00:00:01\"}}\n{}\n",
        others.join("\n")
    );
    folder.write("t.ndjson", &rows);
    folder
}

#[test]
fn members_of_json_and_lengths_of_time() {
    let folder = folder("answers");
    for (sql, want) in [
        (
            "SELECT raw->'a'->>'b' AS b, raw->'a'->'c' AS c, raw->-1->>'z' AS z FROM t",
            &[
                r#"{"b":"x\n","c":[1.50, null],"z":null}"#,
                r#"{"b":null,"c":null,"z":"true"}"#,
                r#"{"b":null,"c":null,"z":null}"#,
            ][..],
        ),
        (
            "SELECT raw->'a'->'c' AS c, COUNT(*) AS n FROM t GROUP BY raw->'a'->'c'",
            &[r#"{"c":[1.50, null],"n":1}"#, r#"{"c":null,"n":2}"#],
        ),
        (
            "SELECT (raw->'a'->'c'->>0)::DOUBLE * 2 AS d FROM t WHERE raw->'a'->>'b' LIKE 'x%'",
            &[r#"{"d":3.0}"#],
        ),
        (
            "SELECT at - TIMESTAMP '2024-01-01' AS d FROM t WHERE k = 'b'",
            &[r#"{"d":"1 day 01:00:00.5"}"#],
        ),
        (
            "SELECT INTERVAL '-1 day 2 hours' AS i, ARRAY[INTERVAL '14' MONTH] AS l FROM t LIMIT 1",
            &[r#"{"i":"-1 days +02:00:00","l":["1 year 2 mons"]}"#],
        ),
        (
            "SELECT '\\xDEAD'::bytea AS b, k LIKE '!%' ESCAPE '!' AS e FROM t LIMIT 1",
            &[r#"{"b":"dead","e":false}"#],
        ),
    ] {
        for shards in ["1", "2"] {
            let (lines, errors) = run(&folder, sql, shards);
            assert_eq!(lines, want, "{sql}\n{errors}");
        }
    }
}

#[test]
fn windows_are_seen_through_what_stands_between() {
    let folder = folder("between");
    let with = |from: &str, rest: &str| {
        format!(
            "SELECT tag, window_start AS w, COUNT(*) AS n FROM {from}, UNNEST(tags) AS tag {rest}"
        )
    };
    let minute = "INTERVAL '1' MINUTE";
    let half = "INTERVAL '30' SECOND";
    for (table, call) in [
        (
            format!("TUMBLE(t, at, {minute})"),
            format!("TUMBLE(at, {minute})"),
        ),
        (
            format!("HOP(t, at, {half}, {minute})"),
            format!("HOP(at, {half}, {minute})"),
        ),
    ] {
        let plain = with("t", &format!("WHERE tag = 'p' GROUP BY tag, {call}"));
        let between = with(&table, "WHERE tag = 'p' GROUP BY tag, window_start");
        let subquery = format!(
            "SELECT tag, w, COUNT(*) AS n FROM (SELECT tag, window_start AS w, at FROM {table}, \
             UNNEST(tags) AS tag) AS q WHERE tag = 'p' GROUP BY tag, w"
        );
        let (want, errors) = run(&folder, &plain, "1");
        assert!(!want.is_empty(), "{plain}\n{errors}");
        assert!(want.iter().all(|line| line.contains("\"n\":1")), "{want:?}");
        for sql in [between, subquery] {
            for shards in ["1", "2", "4"] {
                let (lines, errors) = run(&folder, &sql, shards);
                assert_eq!(lines, want, "{sql}\n{errors}");
            }
        }
    }
}

#[test]
fn an_element_may_have_the_name_of_a_column() {
    let folder = folder("named");
    for (sql, want) in [
        (
            "SELECT x.k, u.k FROM t AS x, UNNEST(tags) AS u(k) WHERE u.k = 'q'",
            &[r#"{"k":"a","k_2":"q"}"#][..],
        ),
        (
            "SELECT tags.tags AS one FROM t, UNNEST(tags) AS tags WHERE t.k = 'b'",
            &[r#"{"one":"p"}"#],
        ),
        (
            "SELECT u.k, COUNT(*) AS n FROM t, UNNEST(tags) AS u(k) GROUP BY u.k",
            &[r#"{"k":"p","n":3}"#, r#"{"k":"q","n":1}"#],
        ),
        (
            "SELECT q.k FROM (SELECT u.k FROM t, UNNEST(tags) AS u(k)) AS q WHERE q.k = 'q'",
            &[r#"{"k":"q"}"#],
        ),
        (
            "SELECT u.* FROM t, UNNEST(tags) AS u(k) WHERE t.k = 'b'",
            &[r#"{"k":"p"}"#],
        ),
    ] {
        let (lines, errors) = run(&folder, sql, "2");
        assert_eq!(lines, want, "{sql}\n{errors}");
    }
}

#[test]
fn a_pattern_that_matches_nothing_says_so() {
    let folder = folder("pattern");
    let sql = "CREATE SOURCE g (a BIGINT) WITH (connector = 'file', path = 'no/*.json', \
               format = 'json'); SELECT a FROM g";
    let (lines, errors) = run(&folder, sql, "1");
    assert!(lines.is_empty());
    assert!(errors.contains("the pattern matches no file"), "{errors}");
}

/// -0.0 and 0.0 are peers, whichever came first.
#[test]
fn zeros_of_both_signs_have_one_rank() {
    let folder = Folder::new("zeros");
    let rows = ["0.0", "-0.0", "0.0", "1.0"].map(|d| format!("{{\"d\":{d},\"k\":1}}\n"));
    folder.write("z.json", &rows.concat());
    let sql = "CREATE SOURCE z (d DOUBLE, k INT) WITH (connector = 'file', format = 'json', \
               path = 'z.json');";
    folder.write("s.sql", sql);
    for over in ["ORDER BY d", "PARTITION BY k ORDER BY d"] {
        let query = format!(
            "SELECT RANK() OVER ({over}) AS r, DENSE_RANK() OVER ({over}) AS d, \
             COUNT(*) OVER ({over}) AS c FROM z"
        );
        for shards in ["1", "2"] {
            let (lines, _) = run(&folder, &query, shards);
            let tied = r#"{"r":1,"d":1,"c":3}"#;
            assert_eq!(
                lines,
                [tied, tied, tied, r#"{"r":4,"d":2,"c":4}"#],
                "{query}"
            );
        }
    }
}
