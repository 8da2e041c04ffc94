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
            "SELECT EXTRACT(EPOCH FROM at - TIMESTAMP '2024-01-01') AS e, \
             EXTRACT(MILLISECONDS FROM at - TIMESTAMP '2024-01-01') AS m, k FROM t",
            &[
                r#"{"e":1.0,"m":1000,"k":"a"}"#,
                r#"{"e":2.0,"m":2000,"k":"c"}"#,
                r#"{"e":90000.5,"m":90000500,"k":"b"}"#,
            ],
        ),
        (
            "SELECT k, at - TIMESTAMP '2024-01-01' < INTERVAL '1' DAY AS x, \
             at - TIMESTAMP '2024-01-01' BETWEEN INTERVAL '25' HOUR AND INTERVAL '1' MONTH AS y, \
             at - TIMESTAMP '2023-12-31T23:59:58' IN (INTERVAL '3' SECOND, INTERVAL '1' DAY) AS z \
             FROM t",
            &[
                r#"{"k":"a","x":true,"y":false,"z":true}"#,
                r#"{"k":"b","x":false,"y":true,"z":false}"#,
                r#"{"k":"c","x":true,"y":false,"z":false}"#,
            ],
        ),
        (
            "SELECT EXTRACT(MILLISECONDS FROM i) AS m, EXTRACT(NANOSECONDS FROM i) AS n, \
             INTERVAL '1' DAY = INTERVAL '24' HOUR AS a, INTERVAL '40' DAY > INTERVAL '1' MONTH \
             AND i IS DISTINCT FROM INTERVAL '29' DAY AS b FROM \
             (SELECT INTERVAL '1 day 62.768 seconds' AS i FROM t) AS q LIMIT 1",
            &[r#"{"m":2768,"n":2768000000,"a":true,"b":true}"#],
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

/// A text that is cast to JSON has to be JSON, and is printed as such.
#[test]
fn texts_are_cast_to_json() {
    let folder = folder("parsed");
    let sql = "SELECT ('{\"n\":[1, 2.50],\"k\":\"' || k || '\"}')::JSON AS j, \
               CAST('[true]' AS JSONB)->>0 AS t, '{\"a\": {\"b\": 1}}'::json->'a'->>'b' AS b, \
               raw::JSON FROM t WHERE k = 'a'";
    let want = concat!(
        r#"{"j":{"n":[1, 2.50],"k":"a"},"t":"true","b":"1","#,
        r#""raw":{"a":{"b":"x\n","c":[1.50, null]}}}"#
    );
    for shards in ["1", "3"] {
        let (rows, told) = run(&folder, sql, shards);
        assert_eq!(rows, [want], "{told}");
    }
    let (rows, told) = run(&folder, "SELECT CAST(k AS JSON) AS j FROM t", "1");
    assert!(
        rows.is_empty() && told.contains("t.ndjson:1: byte 0: this is no JSON"),
        "{told}"
    );
}

#[test]
fn numbers_are_decimals_to_the_digit() {
    let folder = folder("digits");
    let sql = "SELECT CAST(12345678901234567.89 AS DECIMAL(20, 2)) AS a, \
               -12345678901234567.89::NUMERIC(20, 2) AS b, \
               CAST(-12345678901234567.895 AS DECIMAL(20, 2)) AS c, \
               CAST(99999999999999999999999999999999999999 AS DECIMAL(38, 0)) - 1 AS d, \
               CAST(2.345 AS DECIMAL(3, 2)) AS e, CAST(1e3 AS DECIMAL(5, 1)) AS f";
    let want = concat!(
        r#"{"a":12345678901234567.89,"b":-12345678901234567.89,"c":-12345678901234567.90,"#,
        r#""d":99999999999999999999999999999999999998,"e":2.35,"f":1000.0}"#
    );
    let (rows, told) = run(&folder, sql, "1");
    assert_eq!(rows, [want], "{told}");
    let sql = "SELECT CAST(123456789.125 AS DECIMAL(38, 10)) AS a, \
               CAST(-1.1 AS DECIMAL(38, 30)) AS b, CAST(1e15 AS DECIMAL(38, 10)) AS c, \
               CAST(25e-4 AS DECIMAL(6, 5)) AS d";
    let want = concat!(
        r#"{"a":123456789.1250000000,"b":-1.100000000000000000000000000000,"#,
        r#""c":1000000000000000.0000000000,"d":0.00250}"#
    );
    let (rows, told) = run(&folder, sql, "1");
    assert_eq!(rows, [want], "{told}");
    // Its name is what is written.
    let (rows, told) = run(
        &folder,
        "SELECT CAST(1.5 AS DECIMAL(3, 2)) FROM t LIMIT 1",
        "1",
    );
    assert_eq!(rows, [r#"{"1.5":1.50}"#], "{told}");
    let (_, told) = run(
        &folder,
        "SELECT CAST(1234567890123456.5 AS DECIMAL(5, 2)) AS a",
        "1",
    );
    assert!(told.contains("error[E0206]"), "{told}");
}

/// Numbers that a DOUBLE cannot tell from others are compared to the last digit with what has as
/// many; beside a DOUBLE they are one.
#[test]
fn numbers_are_compared_to_the_digit() {
    let folder = Folder::new("compared");
    folder.write(
        "s.sql",
        "CREATE SOURCE r (d DECIMAL(38, 16), b BIGINT, x DOUBLE, n INT)
         WITH (connector = 'file', path = 'r.ndjson', format = 'json');",
    );
    folder.write(
        "r.ndjson",
        concat!(
            "{\"d\":\"12345678901234567.89\",\"b\":9007199254740992,",
            "\"x\":0.30000000000000004,\"n\":1}\n",
            "{\"d\":\"-12345678901234567.90\",\"b\":9007199254740993,\"x\":0.3,\"n\":2}\n",
            "{\"d\":\"100.5000000000000001\",\"b\":1,\"x\":1.5,\"n\":3}\n",
        ),
    );
    for (condition, want) in [
        ("d = 12345678901234567.89", &[1][..]),
        ("(-12345678901234567.900) = d", &[2]),
        ("d IS NOT DISTINCT FROM 12345678901234567.89", &[1]),
        ("d > 100.50000000000000005", &[1, 3]),
        ("d <> 100.5000000000000001", &[1, 2]),
        ("d IN (12345678901234567.89, 100.5000000000000001)", &[1, 3]),
        (
            "d NOT IN (12345678901234567.89, 100.5000000000000001)",
            &[2],
        ),
        (
            "d BETWEEN 12345678901234567.885 AND 12345678901234567.895",
            &[1],
        ),
        ("12345678901234567.88 BETWEEN 0 AND d", &[1]),
        (
            "CASE d WHEN 12345678901234567.89 THEN TRUE ELSE n = 3 END",
            &[1, 3],
        ),
        ("b = 9007199254740993.0", &[2]),
        ("b IN (0.5, 9007199254740993.0, NULL)", &[2]),
        ("9007199254740993.0 IN (b, 7)", &[2]),
        (
            "CASE b WHEN 0.5 THEN FALSE WHEN +9007199254740993.0 THEN TRUE ELSE n = 3 END",
            &[2, 3],
        ),
        (
            "CAST(d AS DECIMAL(20, 2)) = CAST('12345678901234567.89' AS DECIMAL(38, 2))",
            &[1],
        ),
        ("b > 9007199254740992.5", &[2]),
        ("n < 12345678901234567890123.5", &[1, 2, 3]),
        ("x = 0.30000000000000004", &[1]),
        ("x = 0.300000000000000044", &[1]),
        ("x IN (0.30000000000000004, 1.5000000000000000)", &[1, 3]),
        ("x BETWEEN 0.2999999999999999 AND 0.3000000000000000", &[2]),
    ] {
        let sql = format!("SELECT n FROM r WHERE {condition}");
        for shards in ["1", "3"] {
            let (rows, told) = run(&folder, &sql, shards);
            let want: Vec<String> = want.iter().map(|n| format!("{{\"n\":{n}}}")).collect();
            let mut rows = rows;
            rows.sort();
            assert_eq!(rows, want, "{condition}: {told}");
        }
    }
}

/// What takes the order of a DOUBLE takes zeros of both signs as one.
#[test]
fn zeros_are_peers_within_aggregates() {
    let folder = Folder::new("peers");
    folder.write(
        "s.sql",
        "CREATE SOURCE z (i BIGINT, d DOUBLE, k VARCHAR)
         WITH (connector = 'file', path = 'z.ndjson', format = 'json');",
    );
    let rows: String = (1..=4)
        .map(|i| {
            let zero = ["-0.0", "0.0"][i % 2];
            format!("{{\"i\":{i},\"d\":{zero},\"k\":\"k{i}\"}}\n")
        })
        .collect();
    folder.write("z.ndjson", &rows);
    for (sql, want) in [
        (
            "SELECT ARRAY_AGG(i ORDER BY d, i) AS a, ARRAY_AGG(i ORDER BY d DESC, i DESC) AS b, \
             STRING_AGG(k, ',' ORDER BY d, i) AS c FROM z",
            r#"{"a":[1,2,3,4],"b":[4,3,2,1],"c":"k1,k2,k3,k4"}"#,
        ),
        (
            "SELECT FIRST_VALUE(i ORDER BY d, i) AS a, LAST_VALUE(i ORDER BY d, i) AS b, \
             FIRST_VALUE(i ORDER BY CAST(d AS REAL) DESC, i) AS c FROM z",
            r#"{"a":1,"b":4,"c":1}"#,
        ),
    ] {
        for shards in ["1", "3"] {
            let (rows, told) = run(&folder, sql, shards);
            assert_eq!(rows, [want], "{sql}, {shards} shards: {told}");
        }
    }
}

/// Times of day and lengths of time, as constants of every form, compared, negated, ordered.
#[test]
fn times_and_lengths_of_time() {
    let folder = Folder::new("lengths");
    folder.write(
        "s.sql",
        "CREATE SOURCE c (n BIGINT, tm TIME(3), fine TIME(6), s VARCHAR, i INTERVAL, b BYTEA,
            pair STRUCT<a INT, b VARCHAR>)
         WITH (connector = 'file', path = 'c.ndjson', format = 'json');",
    );
    folder.write(
        "c.ndjson",
        concat!(
            r#"{"n":1,"tm":"12:00:00.500","fine":"12:00:00.500000","s":"1 mon -2 days +03:04:05","#,
            r#""i":"1 day","b":"01","pair":{"a":1,"b":"x"}}"#,
            "\n",
            r#"{"n":2,"tm":"11:00:00","fine":"11:00:00.000001","s":"PT90M","i":"02:00:00","#,
            r#""b":"00","pair":{"a":2,"b":"y"}}"#,
            "\n",
        ),
    );
    for (sql, want) in [
        (
            "SELECT n FROM c WHERE tm = TIME '12:00:00.5' AND tm <= fine",
            &[r#"{"n":1}"#][..],
        ),
        (
            "SELECT tm = fine AS e, tm < fine AS l FROM c",
            &[r#"{"e":false,"l":true}"#, r#"{"e":true,"l":false}"#],
        ),
        (
            "SELECT n FROM c WHERE tm BETWEEN TIME '10:59:59.999999' AND fine",
            &[r#"{"n":1}"#, r#"{"n":2}"#],
        ),
        (
            "SELECT -i AS a, -(i + INTERVAL '1' MONTH) AS b FROM c WHERE n = 1",
            &[r#"{"a":"-1 days","b":"-1 mons -1 days"}"#],
        ),
        (
            "SELECT CAST(s AS INTERVAL) AS a, TRY_CAST(s || 'x' AS INTERVAL) AS b FROM c",
            &[
                r#"{"a":"01:30:00","b":null}"#,
                r#"{"a":"1 mon -2 days +03:04:05","b":null}"#,
            ],
        ),
        (
            "SELECT INTERVAL '1 day 02:03:04.5' AS a, INTERVAL '-01:30' AS b, \
             INTERVAL 'P1Y2M3DT4H5M6.7S' AS c, '2 hrs ago'::INTERVAL AS d FROM c WHERE n = 1",
            &[concat!(
                r#"{"a":"1 day 02:03:04.5","b":"-01:30:00","#,
                r#""c":"1 year 2 mons 3 days 04:05:06.7","d":"-02:00:00"}"#
            )],
        ),
        (
            "SELECT ROW_NUMBER() OVER (ORDER BY tm) AS a, RANK() OVER (ORDER BY i DESC) AS b, \
             LAG(n) OVER (ORDER BY b) AS c FROM c",
            &[r#"{"a":1,"b":2,"c":null}"#, r#"{"a":2,"b":1,"c":2}"#],
        ),
        (
            "SELECT (pair).b AS b, (c.pair).a + 1 AS a, ARRAY[pair][1].b AS c FROM c WHERE n = 2",
            &[r#"{"b":"y","a":3,"c":"y"}"#],
        ),
    ] {
        for shards in ["1", "3"] {
            let (rows, told) = run(&folder, sql, shards);
            assert_eq!(rows, want, "{sql}, {shards} shards: {told}");
        }
    }
    let sink = "CREATE SINK p WITH (connector = 'file', path = 'p.parquet', format = 'parquet') \
                AS SELECT n, i FROM c";
    let (_, told) = run(&folder, sink, "1");
    assert!(told.contains("error[E0302]: column \"i\""), "{told}");
}

/// Rows stand by a bound of their window, however it is called.
#[test]
fn an_order_by_bounds_of_windows() {
    let folder = folder("bounds");
    let query = "SELECT TUMBLE(at, INTERVAL '1' HOUR) AS w, k FROM t \
                 GROUP BY TUMBLE(at, INTERVAL '1' HOUR), k ORDER BY ";
    let later = r#"{"w":{"start":"2024-01-02T01:00:00","end":"2024-01-02T02:00:00"},"k":"b"}"#;
    for by in [
        "w.start DESC",
        "window.end DESC",
        "w.end - w.start, window_start DESC",
        "TUMBLE_START(at, INTERVAL '1' HOUR) DESC",
        "TUMBLE_END(at, INTERVAL '1' HOUR) + INTERVAL '1' DAY DESC",
    ] {
        let (rows, told) = run(&folder, &format!("{query}{by} LIMIT 1"), "2");
        assert_eq!(rows, [later], "{by}: {told}");
    }
}

#[test]
fn windows_have_lengths_of_every_form() {
    let folder = folder("forms");
    let count = "SELECT COUNT(*) AS n FROM t GROUP BY TUMBLE(at, ";
    for length in [
        "'1' HOUR",
        "'01:00'",
        "'01:00:00'",
        "'PT1H'",
        "'0 days 60 mins'",
    ] {
        let sql = format!("{count}INTERVAL {length})");
        let (rows, told) = run(&folder, &sql, "1");
        assert_eq!(rows, [r#"{"n":1}"#, r#"{"n":1}"#], "{length}: {told}");
    }
    let source = SCHEMA.replace("t (k", "u (k");
    let source = source.replace("FOR at", "FOR at AS at - INTERVAL '00:00:05'");
    let sql = format!(
        "{source} {}INTERVAL '1' HOUR)",
        count.replace("FROM t", "FROM u")
    );
    let (rows, told) = run(
        &folder,
        &format!("{sql} EMIT EVERY INTERVAL '00:00:10'"),
        "1",
    );
    let came = r#"{"op":"+I","n":1}"#;
    assert_eq!(rows, [came, came], "{told}");
    let (_, told) = run(&folder, &format!("{count}INTERVAL 'P1M')"), "1");
    assert!(told.contains("error[E0213]"), "{told}");
}
