//! Times at the ends of their types: what has no place there is an error of its row, NULL for
//! TRY_CAST, and nothing wraps around.

mod common;

use common::{Folder, run_script, text};

/// What a query gives over these records with `bad_data`, and what it says.
fn run(rows: &str, bad_data: &str, sql: &str) -> (Vec<String>, String) {
    let folder = Folder::new("times");
    folder.write("t.ndjson", rows);
    let source = format!(
        "CREATE SOURCE t (n INT, v BIGINT, at TIMESTAMP(9), us TIMESTAMP(6)) WITH \
         (connector = 'file', path = 't.ndjson', format = 'json', timestamp_unit = 'ns', \
         bad_data = '{bad_data}');\n"
    );
    let output = run_script(&folder, &format!("{source}{sql};"), &["--cores", "1"]);
    let lines = text(&output.stdout).lines().map(str::to_owned).collect();
    (lines, text(&output.stderr))
}

#[test]
fn integers_are_times_within_a_day() {
    let rows = "{\"n\":86399,\"v\":86399999999}\n{\"n\":86400,\"v\":86400000000}\n\
                {\"n\":-1,\"v\":-1}\n{\"n\":null,\"v\":null}\n";
    let sql = "SELECT TRY_CAST(n AS TIME(0)) AS a, TRY_CAST(v AS TIME(6)) AS b FROM t";
    let want = [
        r#"{"a":"23:59:59","b":"23:59:59.999999"}"#,
        r#"{"a":null,"b":null}"#,
        r#"{"a":null,"b":null}"#,
        r#"{"a":null,"b":null}"#,
    ];
    assert_eq!(run(rows, "fail", sql).0, want);
    for (cast, left) in [
        ("CAST(n AS TIME(0))", 2),
        ("v::TIME(6)", 2),
        // So many nanoseconds are two minutes at most.
        ("CAST(v AS TIME)", 3),
    ] {
        let sql = format!("SELECT {cast} AS c FROM t");
        assert_eq!(run(rows, "skip", &sql).0.len(), left, "{cast}");
        let (_, told) = run(rows, "fail", &sql);
        assert!(told.contains("TIME out of range in CAST"), "{cast}: {told}");
    }
    let (_, told) = run(
        rows,
        "fail",
        "SELECT 86400::TIME(9) AS a, 86400000000000::TIME(9) AS b FROM t",
    );
    assert!(told.contains("TIME out of range in CAST"), "{told}");
}

#[test]
fn integers_are_timestamps_in_seconds() {
    let rows = "{\"n\":5,\"v\":5}\n{\"n\":-5,\"v\":90000000000}\n";
    let sql = "SELECT CAST(n AS TIMESTAMP(9)) AS a, TRY_CAST(n AS TIMESTAMP) AS b, \
               TRY_CAST(v AS TIMESTAMP(9)) AS c, TRY_CAST(v AS TIMESTAMP(0)) AS d, \
               CAST(v AS TIMESTAMP(3)) AS e FROM t";
    let first = r#"{"a":"1970-01-01T00:00:05","b":"1970-01-01T00:00:05","#.to_owned()
        + r#""c":"1970-01-01T00:00:05","d":"1970-01-01T00:00:05","e":"1970-01-01T00:00:00.005"}"#;
    let second = r#"{"a":"1969-12-31T23:59:55","b":"1969-12-31T23:59:55","c":null,"#.to_owned()
        + r#""d":"4821-12-26T16:00:00","e":"1972-11-07T16:00:00"}"#;
    assert_eq!(run(rows, "fail", sql).0, [first, second]);
    let (left, _) = run(rows, "skip", "SELECT v::TIMESTAMP AS a FROM t");
    assert_eq!(left, [r#"{"a":"1970-01-01T00:00:05"}"#]);
    let constants =
        "SELECT TRY_CAST(90000000000 AS TIMESTAMP(9)) AS a, TRY_CAST(7 AS TIMESTAMP) AS b";
    let want = r#"{"a":null,"b":"1970-01-01T00:00:07"}"#;
    assert_eq!(run(rows, "fail", constants).0, [want]);
}

#[test]
fn the_first_times_of_a_type_are_not_cut_off() {
    let (least, next) = ("-9223372036854775808", "-9223372036000000000");
    let row = |ns: &str| format!("{{\"v\":{ns},\"at\":{ns}}}\n");
    let rows = [row(least), row(next), row("-1")].concat();
    for field in [
        "microsecond",
        "millisecond",
        "second",
        "minute",
        "hour",
        "day",
        "week",
        "month",
        "year",
    ] {
        let sql = format!("SELECT DATE_TRUNC('{field}', at) <= at AS a FROM t");
        let (_, told) = run(&rows, "fail", &sql);
        assert!(
            told.contains("t.ndjson:1:") && told.contains("out of range"),
            "{field}: {told}"
        );
        let (left, _) = run(&rows, "skip", &sql);
        assert!(
            left.iter().all(|row| row == r#"{"a":true}"#),
            "{field}: {left:?}"
        );
        let some = if field.ends_with("second") { 2 } else { 1 };
        assert_eq!(left.len(), some, "{field}");
    }
    // Microseconds have room for these, and none before the first.
    let us =
        "SELECT DATE_TRUNC('hour', at::TIMESTAMP(6)) AS a FROM t WHERE v = -9223372036854775808";
    assert_eq!(run(&rows, "fail", us).0, [r#"{"a":"1677-09-21T00:00:00"}"#]);
    let first =
        format!("SELECT DATE_TRUNC('day', CAST(v AS TIMESTAMP(6))) AS a FROM t WHERE v = {least}");
    let (_, told) = run(&rows, "fail", &first);
    assert!(
        told.contains("TIMESTAMP out of range in DATE_TRUNC"),
        "{told}"
    );
}

/// The end of time of many tables is the last day of a year of four digits.
#[test]
fn constants_are_as_far_as_columns() {
    let folder = Folder::new("times");
    let rows = "{\"a\":\"9999-12-31T00:00:00\",\"b\":\"9999-12-31T00:00:00.000001\",\"c\":5}\n\
                {\"a\":\"1492-10-12T01:02:03\",\"b\":\"1969-12-31T23:59:59\",\"c\":-5}\n";
    folder.write("t.ndjson", rows);
    let source = "CREATE SOURCE t (a TIMESTAMP(3), b TIMESTAMP(6), c TIMESTAMP(9)) WITH \
                  (connector = 'file', path = 't.ndjson', format = 'json', \
                  timestamp_unit = 's');\n";
    for (condition, want) in [
        ("a = '9999-12-31'", [true, false]),
        ("a < TIMESTAMP '9999-12-31'", [false, true]),
        ("TIMESTAMP '9999-12-31' <= b", [true, false]),
        ("a IN ('9999-12-31', '2026-01-01')", [true, false]),
        (
            "a NOT BETWEEN '1492-10-12' AND '1492-10-12 01:02:03.0005'",
            [true, false],
        ),
        ("c < '9999-12-31'", [true, true]),
        ("'1500-01-01' > c", [false, false]),
        (
            "a IS NOT DISTINCT FROM '1492-10-12T01:02:03Z'",
            [false, true],
        ),
        ("b > '9999-12-31 00:00:00.000000'", [true, false]),
        ("b >= '9999-12-31 00:00:00.000001'", [true, false]),
    ] {
        let script = format!("{source}SELECT {condition} AS x FROM t;");
        let output = run_script(&folder, &script, &["--cores", "1"]);
        let lines = want.map(|x| format!("{{\"x\":{x}}}\n")).concat();
        let told = text(&output.stderr);
        assert_eq!(text(&output.stdout), lines, "{condition}: {told}");
    }
    // Cut off to microseconds it would be equal to what is less.
    for condition in [
        "b >= '9999-12-31 00:00:00.0000005'",
        "b IN ('9999-12-31 00:00:00.0000005')",
        "b < TIMESTAMP '9999-12-31 00:00:00.0000005'",
    ] {
        let script = format!("{source}SELECT {condition} AS x FROM t;");
        let output = run_script(&folder, &script, &["--cores", "1"]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{condition}: {told}");
        assert!(told.contains("error[E0206]"), "{condition}: {told}");
        assert!(output.stdout.is_empty(), "{condition}");
    }
}

#[test]
fn a_date_takes_whole_days() {
    let rows =
        "{\"n\":1,\"at\":\"2024-02-28T10:00:00\"}\n{\"n\":2,\"at\":\"2024-02-29T10:00:00\"}\n";
    let length = "CASE n WHEN 1 THEN INTERVAL '1 month 48 hours' ELSE INTERVAL '90 minutes' END";
    for (sum, first) in [
        (format!("at::DATE + {length}"), "2024-03-30"),
        (format!("{length} + at::DATE"), "2024-03-30"),
        (format!("at::DATE - {length}"), "2024-01-26"),
    ] {
        let sql = format!("SELECT {sum} AS d FROM t");
        assert_eq!(
            run(rows, "skip", &sql).0,
            [format!("{{\"d\":\"{first}\"}}")]
        );
        let (_, told) = run(rows, "fail", &sql);
        assert!(
            told.contains("t.ndjson:2:") && told.contains("a DATE has no hours"),
            "{told}"
        );
    }
    let at = format!("SELECT at + {length} AS d FROM t");
    let want = [
        r#"{"d":"2024-03-30T10:00:00"}"#,
        r#"{"d":"2024-02-29T11:30:00"}"#,
    ];
    assert_eq!(run(rows, "fail", &at).0, want);
}
