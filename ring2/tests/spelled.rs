//! Every form that the SQL knows is read and printed back, whether it runs or not; and what reads
//! input without an end gives rows as they come or is refused, but never waits.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use trefoil::syntax::parse;
use trefoil::{Error, SourceFile, plan_script};

fn file(text: &str) -> SourceFile {
    SourceFile {
        name: "q.sql".into(),
        text: text.into(),
        base: PathBuf::from("/data"),
    }
}

fn printed(text: &str) -> String {
    let statements = parse(&file(text)).unwrap_or_else(|e| panic!("{text}\n{e}"));
    let texts: Vec<_> = statements.iter().map(ToString::to_string).collect();
    let printed = texts.join(";\n");
    let again = parse(&file(&printed)).unwrap_or_else(|e| panic!("{printed}\n{e}"));
    assert_eq!(again, statements, "{text}\n{printed}");
    printed
}

#[test]
fn forms_are_printed_as_one() {
    let same = |one: &str, other: &str| assert_eq!(printed(one), printed(other));
    for text in [
        "CREATE FUNCTION f () RETURNS INT",
        "CREATE OR REPLACE FUNCTION f (a INT, b STRUCT<x VARCHAR, y INT>[]) AS 'it''s'",
        "CREATE AGGREGATE \"F\" (DOUBLE PRECISION) RETURNS DOUBLE LANGUAGE rust",
        "DROP FUNCTION IF EXISTS f, g CASCADE",
        "DROP AGGREGATE f",
        "ALTER FUNCTION f RENAME TO g",
        "ALTER MATERIALIZED VIEW v RENAME TO w",
        "CREATE INDEX IF NOT EXISTS i ON v (a, b)",
        "SUBSCRIBE v WHERE a > 1 AND b IS NOT NULL",
        "DECLARE c CURSOR FOR SUBSCRIBE v WHERE a > 1",
        "FETCH 100 FROM c; CLOSE c; FLUSH; CHECKPOINT",
        "CREATE TABLE x (a INT) WITH (connector = 'stdout', type = 'sink')",
        "SELECT raw->'a'->>'b', raw->-1 FROM t WHERE a>-1",
    ] {
        printed(text);
    }
    same(
        "CREATE FUNCTION f (INTEGER) LANGUAGE sql RETURNS TEXT AS $$ SELECT 'a' $$",
        "create function F (int4) returns varchar as ' SELECT ''a'' ' language SQL",
    );
    let asof = |join: &str| {
        format!("SELECT * FROM t {join} q MATCH_CONDITION (t.ts >= q.ts) ON t.k = q.k")
    };
    same(&asof("ASOF JOIN"), &asof("ASOF LEFT JOIN"));
    same(&asof("ASOF JOIN"), &asof("LEFT OUTER ASOF JOIN"));
    same(
        "SELECT * FROM TABLE(SESSION(TABLE t PARTITION BY (k, l), DESCRIPTOR(ts), \
         INTERVAL '5' MINUTE))",
        "SELECT * FROM SESSION(t, ts, INTERVAL '5' MINUTE, k, l)",
    );
    same(
        "SELECT * FROM TABLE(SESSION(gap => INTERVAL '5' MINUTE, data => TABLE t PARTITION BY k, \
         timecol => DESCRIPTOR(ts)))",
        "SELECT * FROM SESSION(t, ts, INTERVAL '5' MINUTE, k)",
    );
    same(
        "SELECT * FROM TABLE(TUMBLE(DATA => TABLE t, SIZE => INTERVAL '5' MINUTE, \
         TIMECOL => DESCRIPTOR(ts)))",
        "SELECT * FROM TUMBLE(t, ts, INTERVAL '5' MINUTE)",
    );
}

/// The code of a refusal, or `runs`.
fn outcome(text: &str) -> String {
    match plan_script(&[file(text)]) {
        Ok(_) => "runs".into(),
        Err(Error::Sql(error)) => error.code.to_string(),
        Err(error) => panic!("{text}: {error}"),
    }
}

#[test]
fn a_table_of_a_connector_is_what_it_is_used_as() {
    let source =
        "CREATE SOURCE t (a BIGINT) WITH (connector = 'file', path = 't', format = 'json');";
    let table = |options: &str, rest: &str| {
        let table = format!("CREATE TABLE x (a BIGINT) WITH (format = 'json', {options});");
        outcome(&format!("{source} {table} {rest}"))
    };
    let (file, write) = (
        "connector = 'file', path = 'x'",
        "INSERT INTO x SELECT a FROM t",
    );
    let read = "SELECT a FROM x";
    for (options, rest, want) in [
        (file, read, "runs"),
        (file, write, "runs"),
        (
            "connector = 'file', path = 'x', type = 'source'",
            read,
            "runs",
        ),
        (
            "connector = 'file', path = 'x', type = 'source'",
            write,
            "E0211",
        ),
        (
            "connector = 'file', path = 'x', type = 'sink'",
            write,
            "runs",
        ),
        (
            "connector = 'file', path = 'x', type = 'sink'",
            read,
            "E0211",
        ),
        (
            "connector = 'file', path = 'x', type = 'both'",
            read,
            "E0104",
        ),
        ("connector = 'stdout'", write, "runs"),
        ("connector = 'stdout'", read, "E0211"),
        (file, "INSERT INTO x SELECT a FROM x", "E0211"),
        (
            file,
            "INSERT INTO x SELECT a FROM t; SELECT a FROM x",
            "E0211",
        ),
        (
            file,
            "CREATE VIEW v AS SELECT a FROM x; INSERT INTO x SELECT a FROM t",
            "E0211",
        ),
    ] {
        assert_eq!(table(options, rest), want, "{options}: {rest}");
    }
}

/// Queries of s, and what becomes of them with a watermark and without.
fn endless_rows() -> Vec<(String, &'static str, &'static str)> {
    vec![
        ("SELECT k FROM s".to_owned(), "runs", "runs"),
        ("SELECT k FROM s EMIT CHANGES".to_owned(), "runs", "runs"),
        ("SELECT k FROM s EMIT FINAL".to_owned(), "E0402", "E0402"),
        ("SELECT k FROM s ORDER BY k".to_owned(), "E0404", "E0404"),
        (
            "SELECT k FROM s ORDER BY k LIMIT 3".to_owned(),
            "E0404",
            "E0404",
        ),
        ("SELECT k FROM s LIMIT 3".to_owned(), "E0404", "E0404"),
        ("SELECT k FROM s OFFSET 3".to_owned(), "E0404", "E0404"),
        (
            "SELECT k FROM (SELECT k FROM s LIMIT 3) AS q".to_owned(),
            "E0404",
            "E0404",
        ),
        ("SELECT DISTINCT k FROM s".to_owned(), "runs", "runs"),
        (
            "SELECT DISTINCT k FROM s EMIT FINAL".to_owned(),
            "E0402",
            "E0402",
        ),
        ("SELECT COUNT(*) FROM s".to_owned(), "runs", "runs"),
        (
            "SELECT k, COUNT(*) FROM s GROUP BY k".to_owned(),
            "runs",
            "runs",
        ),
        (
            "SELECT k, COUNT(*) FROM s GROUP BY k EMIT FINAL".to_owned(),
            "E0402",
            "E0402",
        ),
        (
            "SELECT k, RANK() OVER (ORDER BY v) FROM s".to_owned(),
            "E0301",
            "E0301",
        ),
    ]
}

/// As [`endless_rows`], of windows.
fn endless_windows() -> Vec<(String, &'static str, &'static str)> {
    let window = "TUMBLE(ts, INTERVAL '1' SECOND)";
    let table = "TUMBLE(s, ts, INTERVAL '1' SECOND)";
    vec![
        (
            format!("SELECT COUNT(*) FROM s GROUP BY {window}"),
            "runs",
            "runs",
        ),
        (
            format!("SELECT COUNT(*) FROM s GROUP BY {window} EMIT FINAL"),
            "runs",
            "E0402",
        ),
        (
            format!("SELECT COUNT(*) FROM s GROUP BY {window} LIMIT 1"),
            "E0404",
            "E0404",
        ),
        (
            "SELECT COUNT(*) FROM s GROUP BY TUMBLE(other, INTERVAL '1' SECOND)".to_owned(),
            "E0402",
            "runs",
        ),
        (
            format!("SELECT COUNT(*) FROM {table} GROUP BY window_end EMIT FINAL"),
            "runs",
            "E0402",
        ),
        (
            format!(
                "SELECT COUNT(*) FROM {table} GROUP BY DATE_TRUNC('hour', window_start) \
                     EMIT ON WINDOW CLOSE"
            ),
            "E0402",
            "E0402",
        ),
        (
            format!("SELECT MAX(n) FROM (SELECT COUNT(*) AS n FROM s GROUP BY k, {window}) AS q"),
            "E0301",
            "runs",
        ),
        (
            format!(
                "SELECT n, RANK() OVER (ORDER BY n) FROM \
                     (SELECT COUNT(*) AS n FROM s GROUP BY k, {window}) AS q"
            ),
            "E0301",
            "runs",
        ),
    ]
}

#[test]
fn nothing_waits_for_an_end_that_never_comes() {
    let columns = "k BIGINT, v BIGINT, ts TIMESTAMP(3), other TIMESTAMP(3)";
    let generator = "connector = 'generator', rate = 10";
    let tail = "connector = 'file', path = 'f.ndjson', format = 'json', follow = true";
    for options in [generator, tail] {
        let timed = format!("CREATE SOURCE s ({columns}, WATERMARK FOR ts) WITH ({options});");
        let untimed =
            format!("CREATE SOURCE s ({columns}) WITH ({options}, event_time_field = 'ts');");
        for (query, with, without) in endless_rows().into_iter().chain(endless_windows()) {
            let [timed, untimed] = [&timed, &untimed].map(|s| outcome(&format!("{s} {query}")));
            assert_eq!((&*timed, &*untimed), (with, without), "{options}: {query}");
        }
    }
}
